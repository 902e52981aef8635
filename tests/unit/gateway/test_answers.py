"""Answers are remembered for as long as is said, under the key they came with, and no more of them than there is room for."""

from freehold.chat import ChatAnswer, Choice, Text
from freehold.gateway.answers import Answers, key_of


def answer(text: str) -> ChatAnswer:
    return ChatAnswer(id="a", model="m", choices=(Choice(parts=(Text(text=text),)),))


def test_an_answer_holds_until_its_time_is_up() -> None:
    answers = Answers()
    answers.keep(b"k", answer("yes"), b"raw", 10.0)
    found = answers.find(b"k", 9.0)
    assert found is not None and (found.answer, found.raw) == (answer("yes"), b"raw")
    assert answers.find(b"k", 10.0) is None
    assert answers.find(b"k", 9.0) is None


def test_what_was_used_longest_ago_is_forgotten_first() -> None:
    answers = Answers(most_bytes=2_000)
    for name in (b"a", b"b"):
        answers.keep(name, answer("x" * 200), None, 10.0)
    answers.find(b"a", 0.0)
    answers.keep(b"c", answer("x" * 200), None, 10.0)
    assert [answers.find(name, 0.0) is not None for name in (b"a", b"b", b"c")] == [True, False, True]
    answers.keep(b"d", answer("x" * 3_000), None, 10.0)
    assert answers.find(b"d", 0.0) is None


def test_the_question_is_what_counts() -> None:
    asked = {"model": "m", "messages": [{"role": "user", "content": "a"}], "temperature": 0.0}
    assert key_of(asked, "openai", "k") == key_of({**asked, "stream": True, "user": "ann", "metadata": {"n": "1"}}, "openai", "k")
    others = [({**asked, "temperature": 1.0}, "openai", "k"), (asked, "anthropic", "k"), (asked, "openai", "another")]
    assert len({key_of(asked, "openai", "k"), *(key_of(*other) for other in others)}) == 4
