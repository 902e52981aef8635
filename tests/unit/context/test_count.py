"""How many tokens something is, and how sure that is."""

import subprocess
import sys
from collections.abc import Sequence

import pytest

from freehold.chat import Media, Message, Refusal, Text, Thinking, ToolCall, ToolResult
from freehold.context.count import CALL_TOKENS, MESSAGE_TOKENS, Tokenizer, counter_of, estimate, pieces_of, rule_for, tokens_of


class ByLetter:
    """A tokenizer for which every letter is a token."""

    def encode(self, text: str) -> Sequence[int]:
        return [ord(letter) for letter in text]


def said(text: str, role: str = "user") -> Message:
    return Message(role=role, parts=(Text(text=text),))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("", {}),
        ("the cat", {"words": 2}),
        ("extraordinarily", {"words": 1, "long": 7}),
        ("1234567", {"numbers": 3}),
        ("a, b...", {"words": 2, "signs": 2, "more_signs": 2}),
        ("a\n    b\tc  d", {"words": 4, "breaks": 3}),
        ("aName", {"words": 1, "humps": 1}),
        ("größer", {"words": 1, "accents": 2}),
        ("你好", {"east": 2}),
        ("привет", {"scripts": 6}),
        ("😀–", {"symbols": 2}),
        ("\x00\x07", {"breaks": 2}),
        ("\ud800", {"symbols": 1}),
    ],
)
def test_a_text_is_cut_into_pieces(text: str, pieces: dict[str, int]) -> None:
    assert {name: count for name, count in pieces_of(text)._asdict().items() if count} == pieces


def test_an_estimate_says_by_which_rule_it_is_made() -> None:
    count = tokens_of("I paid with my card at a petrol station on Friday.", "gpt-5-mini")
    assert (count.tokens, count.is_exact, count.rule, count.unknown) == (12, False, "o200k", 0)
    assert count.shown == "about 12"


def test_a_tokenizer_that_is_handed_in_is_exact_about_text() -> None:
    assert isinstance(ByLetter(), Tokenizer)
    count = tokens_of("hello", tokenizer=ByLetter())
    assert (count.tokens, count.is_exact, count.rule, count.shown) == (5, True, "tokenizer", "5")


def test_of_a_message_no_count_is_exact() -> None:
    """What stands around its words is known for no model."""
    count = tokens_of(said("hello"), tokenizer=ByLetter())
    assert (count.tokens, count.is_exact) == (5 + MESSAGE_TOKENS, False)


def test_nothing_has_no_tokens_and_one_character_at_least_one() -> None:
    assert tokens_of("").tokens == 0
    assert tokens_of([]).tokens == 0
    assert [estimate(text) for text in (" ", "a", ".", "é")] == [1, 1, 1, 4]


def test_a_conversation_is_the_sum_of_its_messages() -> None:
    messages = [said("You are brief.", "system"), said("What does it cost?"), said("Nothing.", "assistant")]
    assert tokens_of(messages).tokens == sum(tokens_of(message).tokens for message in messages)


def test_everything_with_words_counts() -> None:
    call = ToolCall(id="1", name="find", arguments='{"city":"Rome"}')
    result = ToolResult(call="1", parts=(Text(text="sunny"),))
    message = Message(role="assistant", parts=(Thinking(text="hm", sealed="xyz"), Refusal(text="no"), call, result), name="ann")
    words = len("hm" + "xyz" + "no" + "find" + '{"city":"Rome"}' + "sunny") + len("ann") + 1
    assert tokens_of(message, tokenizer=ByLetter()).tokens == words + MESSAGE_TOKENS + 2 * CALL_TOKENS


def test_a_part_nobody_estimates_is_unknown_and_never_nothing() -> None:
    image = Media(kind="image", url="https://example.org/cat.png")
    shown = Message(role="user", parts=(Text(text="hello"), image, ToolResult(call="1", parts=(image,))))
    assert tokens_of(shown).unknown == 2
    assert tokens_of(shown, estimates=lambda part: None).unknown == 2
    known = counter_of("gpt-5", estimates=lambda part: 85)(shown)
    assert (known.unknown, known.tokens) == (0, MESSAGE_TOKENS + CALL_TOKENS + 1 + 2 * 85)


@pytest.mark.parametrize(
    ("model", "rule"),
    [("gpt-4o-mini", "o200k"), ("openai/gpt-5", "o200k"), ("o3", "o200k"), ("gpt-4.1", "o200k"), ("gpt-4-turbo", "cl100k"), ("", "cl100k")],
)
def test_a_model_that_is_not_known_counts_as_one_that_cuts_finer(model: str, rule: str) -> None:
    assert rule_for(model) == rule


def test_counting_loads_no_tokenizer() -> None:
    program = "import sys, freehold.context.history; print({'tiktoken', 'tokenizers', 'numpy'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout == "set()\n"
