"""How probable an answer was to whoever gave it."""

import math

import pytest

from freehold.chat import JSON, ChatAnswer, Choice, Text
from freehold.journal.probable import probabilities_of


def answer(logprobs: JSON) -> ChatAnswer:
    return ChatAnswer(id="1", model="m", choices=(Choice(parts=(Text(text="cards"),), logprobs=logprobs),), usage=None, created=0)


def token(said: str, p: float, *others: tuple[str, float]) -> JSON:
    return {"token": said, "logprob": math.log(p), "top_logprobs": [{"token": one, "logprob": math.log(q)} for one, q in others]}


def test_an_answer_of_one_token_has_its_candidates_beside_it() -> None:
    one = answer({"content": [token("cards", 0.6, ("cards", 0.6), (" cards", 0.1), ("loans", 0.2), ("", 0.05))]})
    assert probabilities_of("cards", None, one) == pytest.approx({"cards": 0.7, "loans": 0.2})


def test_an_answer_of_several_tokens_has_their_product() -> None:
    two = answer({"content": [token("ca", 0.5, ("ca", 0.5), ("lo", 0.4)), token("rds", 0.8)]})
    assert probabilities_of("cards", None, two) == pytest.approx({"cards": 0.4})
    assert probabilities_of({"queue": "cards"}, None, two) == pytest.approx({'{"queue":"cards"}': 0.4})


def test_who_answers_here_says_it_itself() -> None:
    assert probabilities_of("cards", 0.75, None) == {"cards": 0.75}
    assert probabilities_of("cards", 1.0, None) == {}
    assert probabilities_of("x" * 201, 0.75, None) == {}
    assert probabilities_of(None, 0.75, None) == {}


@pytest.mark.parametrize(
    "told",
    [None, {}, {"content": None}, {"content": []}, {"content": [{}]}, {"content": [{"token": "a", "logprob": "x"}]}, {"content": "abc"},
     {"content": [{"token": 3, "logprob": -1.0, "top_logprobs": [{"token": None, "logprob": 1e9}]}]}, [1, 2]],
)  # fmt: skip
def test_what_is_no_such_thing_says_nothing(told: JSON) -> None:
    assert probabilities_of("cards", None, answer(told)) in ({}, {"cards": pytest.approx(math.exp(-1))})
