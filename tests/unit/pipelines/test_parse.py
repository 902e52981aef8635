"""A model's words become a value: what is surely meant is taken, each repair is named, and nothing is made up."""

from datetime import date
from enum import Enum
from typing import Any, Literal

import pytest
from pydantic import BaseModel, TypeAdapter

from freehold.pipelines.guess import MOST_CHARS as MOST_GUESSED
from freehold.pipelines.guess import guessed
from freehold.pipelines.parse import MOST_SHOWN, Malformed, parse


class Triage(BaseModel):
    queue: Literal["cards", "transfers", "other"]
    urgent: bool = False
    note: str | None = None


class Solution(BaseModel):
    reasoning: str
    answer: str


class Node(BaseModel):
    name: str
    child: "Node | None" = None


class Colour(Enum):
    RED = "Red"
    BLUE = "Blue"


def read(words: str, kind: Any, **options: bool) -> tuple[Any, tuple[str, ...]]:
    found = parse(words, TypeAdapter(kind), **options)
    return found.value, found.repairs


def is_malformed(words: str, kind: Any, **options: bool) -> bool:
    with pytest.raises(Malformed):
        parse(words, TypeAdapter(kind), **options)
    return True


@pytest.mark.parametrize(
    ("words", "repairs"),
    [
        ('{"queue": "cards", "urgent": true}', ()),
        ('```json\n{"queue": "cards", "urgent": true}\n```', ("fence",)),
        ('Sure!\n```\n{"queue": "cards", "urgent": true}\n```\nAnything else?', ("fence", "prose")),
        ('I would say {"queue": "cards", "urgent": true}.', ("prose",)),
        ('{"queue": "cards", "urgent": true,}', ("commas",)),
        ("{'queue': 'cards', 'urgent': true}", ("quotes",)),
        ("{“queue”: “cards”, “urgent”: true}", ("quotes",)),
        ('{queue: "cards", urgent: true}', ("quotes",)),
        ('{"queue": "cards", "urgent": True}', ("literals",)),
        ('{"queue": "cards", // lost\n "urgent": true /* at once */}', ("comments",)),
        ('{"queue": "Cards ", "urgent": true}', ("case",)),
        ('{"queue": "cards", "urgent": true', ("tail",)),
        ('```json\n{"queue": "cards", "urgent": true\n```', ("fence", "tail")),
        ('{"queue": "cards" "urgent": true}', ("syntax",)),
        ('{"queue": cards, "urgent": true}', ("syntax",)),
        ('{"queue": "cards", "urgent": true, "note": null, "further": 1}', ()),
        ('With $\\frac{1}{2}$ and {x | x > 0} in mind: {"queue": "cards", "urgent": true}', ("prose",)),
    ],
)
def test_an_object_is_found_and_what_had_to_be_repaired_is_named(words: str, repairs: tuple[str, ...]) -> None:
    assert read(words, Triage) == (Triage(queue="cards", urgent=True), repairs)


def test_of_several_documents_the_last_that_is_of_the_type_counts() -> None:
    words = 'First I thought {"queue": "cards"}. No: {"queue": "other"}. (See {"page": 3}.)'
    assert read(words, Triage) == (Triage(queue="other"), ("prose",))


@pytest.mark.parametrize(
    "words",
    [
        "",
        "{",
        '{"queue": }',
        '{"queue"',
        '{"queue": ""}',
        '{"queue": null}',
        '{"urgent": true}',
        '{"queue": "car',
        '{"queue": "cards',
        '{"queue": "parcels"}',
        '{"queue" "cards"}',
        '[{"queue": "cards"}]',
        "the queue is cards",
    ],
)
def test_what_would_have_to_be_made_up_is_malformed(words: str) -> None:
    assert is_malformed(words, Triage)


def test_a_text_that_broke_off_counts_as_far_as_it_came_and_a_choice_or_number_does_not() -> None:
    assert read('{"queue": "cards", "note": "The machine kept', Triage) == (Triage(queue="cards", note="The machine kept"), ("tail",))
    assert read('{"queue": "cards", "urgent": tr', Triage) == (Triage(queue="cards"), ("tail",))
    assert read("[10, 20, 3", list[int]) == ([10, 20], ("tail",))
    assert is_malformed('{"reasoning": "so", "answer": "', Solution)
    assert is_malformed('{"reasoning": "so it', Solution)
    assert is_malformed("[", list[int])


def test_an_entry_of_a_list_that_broke_off_is_left_out() -> None:
    assert read('[{"name": "a"}, {"name": "b"}, {"na', list[Node]) == ([Node(name="a"), Node(name="b")], ("tail",))
    assert read('[{"queue": "cards"}, {"queue": "oth', list[Triage]) == ([Triage(queue="cards")], ("tail",))


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ('He said "hi" and left.', 'He said "hi" and left.'),
        ('With {"l": 1, "t": 2} it is so.', 'With {"l": 1, "t": 2} it is so.'),
        ('A comma (","). Then "a, b" follows', 'A comma (","). Then "a, b" follows'),
        ("line\nby\tline", "line\nby\tline"),
        ("\\(x \\ge 2\\)", "\\(x \\ge 2\\)"),
        ("\\( \\frac{1}{2} \\)", "\\( \\frac{1}{2} \\)"),
    ],
)
def test_quotes_and_characters_within_a_text_that_were_not_escaped_are_its_own(written: str, meant: str) -> None:
    value, _ = read(f'{{"reasoning": "{written}", "answer": "7"}}', Solution)
    assert value == Solution(reasoning=meant, answer="7")


def test_an_inner_object_is_never_taken_for_the_outer_one() -> None:
    words = '{"name": "outer "most" one", "child": {"name": "inner"}}'
    assert read(words, Node)[0] == Node(name='outer "most" one', child=Node(name="inner"))
    assert is_malformed('{"name": , "child": {"name": "inner"}}', Node)


def test_json_repair_may_neither_add_nor_lose_words() -> None:
    assert guessed('{"a": "x" "b": "y"}') == '{"a":"x","b":"y"}'
    assert guessed('{"a": , "b": 1}') is None
    assert is_malformed("[1, 2, ...]", list[int])
    assert is_malformed("[see below]", list[int])


@pytest.mark.parametrize(
    "words", ["cards", "Cards.", "**cards**", '"cards"', "```\ncards\n```", "The queue is cards", "No transfers.\nAnswer: cards"]
)
def test_a_choice_may_stand_in_bare_words(words: str) -> None:
    assert read(words, Literal["cards", "transfers", "other"])[0] == "cards"


def test_a_choice_counts_only_where_exactly_one_stands_there_as_a_whole_word() -> None:
    queue = Literal["cards", "transfers", "other"]
    for words in ("cards or transfers", "cardsharp", "not cards", "It isn't cards", "none", "card"):
        assert is_malformed(words, queue)
    assert read("cards, though transfers came to mind. The answer is cards.", queue) == ("cards", ("choice",))
    assert read("It is RED", Colour) == (Colour.RED, ("choice", "case"))
    assert read("B) because A is wrong", Literal["A", "B"])[0] == "B"
    assert is_malformed("A hard question.", Literal["A", "B"])


def test_yes_and_true_are_true_where_they_are_the_answer() -> None:
    for words in ("true", "True", "yes", "Yes.", "The answer is yes", "That is true."):
        assert read(words, bool)[0] is True
    for words in ("false", "No.", "The answer is: no"):
        assert read(words, bool)[0] is False
    for words in ("No doubt about it", "It is not true", "true or false?", "perhaps"):
        assert is_malformed(words, bool)


@pytest.mark.parametrize(
    ("words", "number"),
    [
        ("1,234", 1234),
        ("$1,234.50", 1234.5),
        ("about 12 km", 12),
        ("-5", -5),
        ("minus 5", -5),
        ("6 * 7 = 42\n#### 42", 42),
        ("So \\boxed{1{,}234} it is, of 5", 1234),
        ("There are 3 and 4. The answer is **7**.", 7),
        ("45 %", 45),
        ("007", 7),
    ],
)
def test_a_number_may_have_separators_a_currency_or_a_unit(words: str, number: float) -> None:
    assert read(words, float)[0] == number


@pytest.mark.parametrize(
    "words", ["3 or 4", "10-12", "3,5", "1/2", "2026-11-26", "5 million", "$5k", "2π", "\\sqrt{2}", "many", "x2", "1.2.3"]
)
def test_words_with_no_one_plain_number_are_malformed(words: str) -> None:
    assert is_malformed(words, float)


def test_numbers_within_an_object_are_read_likewise() -> None:
    class Bill(BaseModel):
        total: float

    assert read('{"total": "$1,200"}', Bill) == (Bill(total=1200), ("number",))
    assert read('{"reasoning": "2 + 2", "answer": 4}', Solution) == (Solution(reasoning="2 + 2", answer="4"), ("number",))
    assert is_malformed('{"total": "3 or 4"}', Bill)


def test_a_type_that_is_a_text_takes_the_words_as_they_are() -> None:
    for words in ("", " two words\n", '"a" and "b"', "```x```", '{"a": 1}', "5"):
        assert read(words, str) == (words, ())
    assert read('"Paris"\n', str) == ("Paris", ("quotes",))


def test_other_types_written_as_texts_take_bare_words() -> None:
    assert read("2026-11-26", date) == (date(2026, 11, 26), ())
    assert read("some words", str | None) == ("some words", ())
    assert read("None", int | None) == (None, ("literals",))
    assert read("5 apples", int | str) == ("5 apples", ())
    assert read('so {"a": 1}', Any) == ({"a": 1}, ("prose",))


def test_a_choice_written_as_another_kind_of_value_is_that_choice() -> None:
    class Room(BaseModel):
        smoking: Literal["True", "False", "dontcare"]
        beds: Literal["1", "2"]

    assert read('{"smoking": true, "beds": 2}', Room) == (Room(smoking="True", beds="2"), ("case",))


def test_null_for_what_may_be_left_out_is_its_default() -> None:
    assert read('{"queue": "cards", "urgent": null}', Triage) == (Triage(queue="cards"), ("null",))


def test_a_wrapped_output_is_read_in_either_form() -> None:
    for words in ('{"value": [1, 2]}', "[1, 2]", '```json\n{"value": [1, 2],}\n```', '{"value": [1, 2'):
        assert read(words, list[int], wrapped=True)[0] == ([1] if words.endswith("2") else [1, 2])
    assert read('{"value": "a"}', str, wrapped=True) == ("a", ())
    assert read("a", str, wrapped=True) == ("a", ())
    assert read('{"value": "half a sen', str, wrapped=True) == ("half a sen", ("tail",))
    assert is_malformed('{"value": }', str, wrapped=True)
    assert read('{"value": null}', int | None, wrapped=True) == (None, ())


def test_the_error_says_what_was_said_and_what_was_expected() -> None:
    with pytest.raises(Malformed, match=r"no value: 'no idea'\..*Expected one of 'cards', 'transfers'") as choice:
        parse("no idea", TypeAdapter(Literal["cards", "transfers"]))
    assert choice.value.words == "no idea"
    with pytest.raises(Malformed, match=r"not of the type: queue: Input should be 'cards'.*JSON of the type Triage \(object\)") as record:
        parse('{"queue": "parcels"}' + " " * 1000, TypeAdapter(Triage))
    assert len(record.value.words) == MOST_SHOWN


@pytest.mark.parametrize("size", [1 << 20, 100_000])
@pytest.mark.parametrize(
    "piece",
    [
        "[",
        "{",
        '{"',
        '{"a":',
        '["a",',
        '"',
        "'",
        "{/*",
        "```",
        "{}{",
        "\\",
        '{"a": "x" y',
        '{"a": "b"c"}, ',
        "\\boxed{",
        "1,",
        "{x:1} ",
        "\ud800",
    ],
)
def test_hostile_words_are_malformed_and_nothing_worse(piece: str, size: int) -> None:
    """What takes more than linear time is bounded: json_repair sees little, each character is looked at a few times, one by one at most 128 Ki."""
    words = (piece * (size // len(piece) + 1))[:size]
    for kind in (Solution, int, Literal["cards", "transfers"]):
        assert is_malformed(words, kind)


def test_json_repair_never_sees_long_or_deep_words() -> None:
    assert guessed('{"a" : "' + "x" * MOST_GUESSED + '" "b": 1}') is None
    assert guessed("[" * 30 + '"a" "b"' + "]" * 30) is None


def test_valid_json_is_read_at_any_length() -> None:
    numbers = list(range(200_000))
    assert read(str(numbers), list[int]) == (numbers, ())
    assert read(f"Here:\n```json\n{numbers}\n```", list[int]) == (numbers, ("fence",))
    assert read(f"Here: {numbers}", list[int]) == (numbers, ("prose",))
