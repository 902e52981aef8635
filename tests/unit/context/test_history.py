"""A conversation fitted into a budget, by each strategy."""

import asyncio
import random
from collections.abc import Sequence

import pytest

from freehold.chat import Media, Message, Role, Text, ToolCall, ToolResult
from freehold.context.count import Count, Counted
from freehold.context.history import SUMMARY, Fitted, Retrieve, Strategy, Summaries, Summarise, Trim, fit
from freehold.errors import CallerError


def letters(value: Counted) -> Count:
    """A counter by which every letter is a token, and nothing else is."""
    if isinstance(value, str):
        return Count(len(value), True, "letters")
    messages = (value,) if isinstance(value, Message) else value
    parts = [part for message in messages for part in message.parts]
    return Count(sum(len(part.text) for part in parts if isinstance(part, Text)), True, "letters")


def said(role: Role, text: str) -> Message:
    return Message(role=role, parts=(Text(text=text),))


def talk(turns: int, size: int = 5) -> tuple[Message, ...]:
    """`u0…`, `a0…` and so on, each of so many letters."""
    return tuple(said(role, f"{role[0]}{n}".ljust(size, ".")) for n in range(turns) for role in ("user", "assistant"))  # type: ignore[arg-type]


def fitted(messages: Sequence[Message], budget: int, strategy: Strategy) -> Fitted:
    return asyncio.run(fit(messages, budget, strategy, letters))


def heads(done: Fitted) -> list[str]:
    return [part.text.rstrip(".") for message in done.messages for part in message.parts if isinstance(part, Text)]


class Listed:
    """A summariser that says which messages it was given, and remembers them."""

    def __init__(self, says: str = "") -> None:
        self.given: list[list[str]] = []
        self.says = says

    async def __call__(self, messages: Sequence[Message]) -> str:
        texts = [part.text.rstrip(".").removeprefix(SUMMARY) for message in messages for part in message.parts if isinstance(part, Text)]
        self.given.append(texts)
        return self.says or "+".join(texts)


@pytest.mark.parametrize("strategy", [Trim(), Summarise(Listed(), 2), Retrieve()])
def test_what_fits_stays_as_it_is(strategy: Strategy) -> None:
    """Even where it begins with the assistant."""
    messages = talk(3)[1:]
    assert fitted(messages, 25, strategy) == (messages, letters(messages), 0, 0)


def test_the_oldest_turns_go_first() -> None:
    done = fitted(talk(4), 29, Trim())
    assert heads(done) == ["u2", "a2", "u3", "a3"]
    assert (done.tokens.tokens, done.dropped, done.summarised) == (20, 4, 0)


def test_the_systems_words_stay_wherever_they_stand() -> None:
    messages = [said("system", "s"), *talk(3)[:4], said("developer", "d"), *talk(3)[4:]]
    assert heads(fitted(messages, 12, Trim())) == ["s", "d", "u2", "a2"]
    assert heads(fitted(messages, 12, Retrieve())) == ["s", "d", "u2", "a2"]


def test_the_first_turns_stay_if_asked_for() -> None:
    assert heads(fitted(talk(5), 30, Trim(keep_first=1))) == ["u0", "a0", "u3", "a3", "u4", "a4"]
    assert heads(fitted(talk(5), 10, Trim(keep_first=1))) == ["u4", "a4"]
    assert heads(fitted(talk(5), 40, Trim(keep_first=9))) == ["u0", "a0", "u1", "a1", "u2", "a2", "u4", "a4"]


def test_no_conversation_that_was_cut_begins_with_the_assistant() -> None:
    messages = [said("assistant", "hello"), *talk(3)]
    assert heads(fitted(messages, 34, Trim(keep_first=1))) == ["u0", "a0", "u1", "a1", "u2", "a2"]
    assert heads(fitted(messages, 34, Retrieve())) == ["u0", "a0", "u1", "a1", "u2", "a2"]


def test_a_call_is_never_parted_from_its_result() -> None:
    """A turn in which the user spoke between them goes as one with the turn before it."""
    call = Message(role="assistant", parts=(Text(text="look"), ToolCall(id="1", name="find", arguments="{}")))
    result = Message(role="tool", parts=(ToolResult(call="1", parts=(Text(text="it"),)), Text(text="....")))
    messages = [said("user", "u0"), call, said("user", "u1"), result, said("user", "u2")]
    assert heads(fitted(messages, 11, Trim())) == ["u2"]
    assert heads(fitted([*messages, said("user", "u3")], 14, Trim())) == ["u2", "u3"]


@pytest.mark.parametrize("strategy", [Trim(2), Summarise(Listed(), 2), Retrieve(keep_last=2)])
def test_a_last_turn_that_is_too_long_is_an_error_that_names_both_counts(strategy: Strategy) -> None:
    messages = [said("system", "brief"), *talk(2), said("user", "x" * 1_200)]
    with pytest.raises(CallerError, match=r"into 1,000 tokens: the system's words have 5 and the last turn 1,200, and both have to stay"):
        fitted(messages, 1_000, strategy)


def test_the_systems_words_alone_may_be_too_long() -> None:
    with pytest.raises(CallerError, match=r"the system's words have 9 and there is no turn"):
        fitted([said("system", "x" * 9)], 5, Trim())


def test_a_part_of_unknown_size_is_an_error() -> None:
    """A budget cannot be held with it."""
    image = Message(role="user", parts=(Media(kind="image", url="https://example.org/cat.png"),))
    with pytest.raises(CallerError, match=r"1 parts of the conversation have no known size.*counter_of\(model, estimates=\.\.\.\)"):
        asyncio.run(fit([image], 1_000, Trim()))


def test_older_turns_become_a_summary_that_says_so() -> None:
    summarise = Listed("short")
    done = fitted(talk(12), 90, Summarise(summarise, keep_last=2))
    assert heads(done) == [f"{SUMMARY}short", "u10", "a10", "u11", "a11"]
    assert done.messages[0].role == "user"
    assert (done.tokens.tokens, done.dropped, done.summarised) == (61, 0, 20)
    assert summarise.given == [[f"{who}{n}" for n in range(10) for who in "ua"]]


def test_a_summary_stands_after_the_systems_words() -> None:
    messages = [said("system", "s"), *talk(11), said("developer", "d"), *talk(12)[22:]]
    assert heads(fitted(messages, 90, Summarise(Listed("short"), keep_last=1))) == ["s", "d", f"{SUMMARY}short", "u11", "a11"]


def test_a_summary_is_paid_for_once_and_used_while_it_fits() -> None:
    """Two more turns have room behind it; only when they have not, the earlier summary is summarised with what fell out."""
    summarise = Listed("short")
    strategy = Summarise(summarise, keep_last=1, room=0.6)
    assert fitted(talk(10), 90, strategy).summarised == 18
    assert fitted(talk(10), 90, strategy).summarised == 18
    assert len(summarise.given) == 1
    assert heads(fitted(talk(12), 90, strategy))[1:] == ["u9", "a9", "u10", "a10", "u11", "a11"]
    assert len(summarise.given) == 1
    assert heads(fitted(talk(20), 90, strategy))[1:] == ["u19", "a19"]
    assert summarise.given[1][:3] == ["short", "u9", "a9"]
    assert summarise.given[1][-2:] == ["u18", "a18"]


def test_another_conversation_has_another_summary() -> None:
    summarise = Listed("short")
    strategy = Summarise(summarise, keep_last=1, room=0.6)
    fitted(talk(10), 90, strategy)
    fitted([said("user", "else."), *talk(10)[1:]], 90, strategy)
    assert len(summarise.given) == 2


def test_a_summary_that_does_not_fit_is_left_out_and_still_paid_for_once() -> None:
    summarise = Listed("x" * 100)
    strategy = Summarise(summarise, keep_last=1)
    for _ in range(2):
        done = fitted(talk(10), 90, strategy)
        assert done == fitted(talk(10), 90, Trim())
    assert len(summarise.given) == 1


def test_nothing_is_paid_for_a_summary_that_cannot_fit() -> None:
    summarise = Listed("short")
    assert heads(fitted(talk(10), 20, Summarise(summarise, keep_last=1))) == ["u8", "a8", "u9", "a9"]
    assert summarise.given == []


def test_a_summariser_that_fails_is_heard() -> None:
    async def fail(messages: Sequence[Message]) -> str:
        raise TimeoutError("no answer")

    with pytest.raises(TimeoutError, match="no answer"):
        fitted(talk(10), 90, Summarise(fail, keep_last=1))


def test_only_so_many_summaries_are_kept() -> None:
    kept = Summaries(most=2)
    for n in range(3):
        kept.keep(bytes([n]), str(n))
    assert [kept.find(bytes([n])) for n in range(3)] == [None, "1", "2"]


def test_turns_like_the_question_stay_in_their_order() -> None:
    messages = [
        said("user", "my hotel is in Rome"), said("assistant", "noted"), said("user", "what a day"), said("assistant", "indeed"),
        said("user", "the flight to Rome is at nine"), said("assistant", "good"), said("user", "how is the weather"), said("assistant", "fine"),
        said("user", "when is my flight to Rome"),
    ]  # fmt: skip
    done = fitted(messages, 85, Retrieve(question_turns=1))
    assert heads(done) == ["my hotel is in Rome", "noted", "the flight to Rome is at nine", "good", "when is my flight to Rome"]
    assert done.dropped == 4


def test_of_turns_that_are_alike_the_later_stay() -> None:
    assert heads(fitted(talk(5), 30, Retrieve(score=lambda question, texts: [0.0] * len(texts)))) == ["u2", "a2", "u3", "a3", "u4", "a4"]


def test_a_score_may_be_awaited_and_is_asked_for_the_users_last_words_and_what_led_to_them() -> None:
    asked = []

    async def score(question: str, texts: Sequence[str]) -> Sequence[float]:
        asked.append((question, len(texts)))
        return [float(-n) for n in range(len(texts))]

    assert heads(fitted(talk(5), 20, Retrieve(score))) == ["u0", "a0", "u4", "a4"]
    assert asked == [("u3...\na3...\nu4...", 4)]
    fitted(talk(5), 20, Retrieve(score, question_turns=1))
    assert asked[1] == ("u4...", 4)
    fitted(talk(2), 15, Retrieve(score, question_turns=3))
    assert asked[2] == ("u0...\na0...\nu1...", 1)


def test_a_score_that_forgets_a_text_is_an_error() -> None:
    with pytest.raises(CallerError, match="score gave 1 numbers for 4 texts"):
        fitted(talk(5), 20, Retrieve(lambda question, texts: [1.0]))


@pytest.mark.parametrize(
    ("make", "said_so"),
    [
        (lambda: Trim(-1), "keep_first is -1; expected a number of turns from 0"),
        (lambda: Summarise(Listed(), 0), "keep_last is 0; expected a number of turns from 1"),
        (lambda: Summarise(Listed(), room=1.0), "room is 1.0; expected a share"),
        (lambda: Retrieve(keep_last=0), "keep_last is 0"),
        (lambda: Retrieve(question_turns=0), "question_turns is 0"),
    ],
)
def test_a_strategy_checks_itself(make: object, said_so: str) -> None:
    with pytest.raises(CallerError, match=said_so):
        make()  # type: ignore[operator]


def test_a_counter_that_counts_more_than_the_sum_is_obeyed() -> None:
    """Such as one that adds what every request has, or that cuts words across messages."""

    def dearer(value: Counted) -> Count:
        plain = letters(value)
        return plain if isinstance(value, str | Message) else plain._replace(tokens=plain.tokens + 3 * len(value))

    rng = random.Random(3)
    for _ in range(50):
        messages, budget = talk(rng.randint(2, 20), rng.randint(4, 9)), rng.randint(40, 120)
        for strategy in (Trim(1), Retrieve(), Summarise(Listed("short"), 2)):
            assert asyncio.run(fit(messages, budget, strategy, dearer)).tokens.tokens <= budget
