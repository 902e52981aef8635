"""A vote over one variant several times, or over several variants once each."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from freehold.catalog import Variant
from freehold.chat import JSON, Cause, Message
from freehold.config import parse
from freehold.errors import CallerError, DataError, OperatorError
from freehold.variants.compose import Given, compose
from freehold.variants.declare import ask, vote
from freehold.variants.functions import Functions
from freehold.variants.outcome import Outcome


class Answering:
    """Variants that answer as they are told to, and note who was asked. An error is raised."""

    def __init__(self, **answers: JSON) -> None:
        self._answers = answers
        self.asked: list[tuple[str, int]] = []

    async def __call__(self, variant: str, cause: Cause, more: Sequence[Message] = (), number: int = 0) -> Given:
        self.asked.append((variant, number))
        answer = self._answers[variant]
        if isinstance(answer, Exception):
            raise answer
        return Given(answer, str(answer))

    def value(self, output: JSON) -> Any:
        return output

    def values(self) -> Mapping[str, Any]:
        return {}


def voted(variant: Variant, **answers: JSON) -> tuple[Outcome, list[tuple[str, int]]]:
    asked = Answering(**answers)
    return asyncio.run(compose(variant, Functions(), asked)), asked.asked


def test_each_of_several_is_asked_once_and_most_of_them_are_right() -> None:
    found, asked = voted(vote(of=("a", "b", "c")).variant, a="3", b="4", c="4")
    assert (found.output, found.known) == ("4", {"confidence": 2 / 3})
    assert asked == [("a", 0), ("b", 1), ("c", 2)]


def test_one_is_asked_n_times() -> None:
    found, asked = voted(vote(3, "a").variant, a={"x": 1})
    assert (found.output, found.known) == ({"x": 1}, {"confidence": 1.0})
    assert asked == [("a", 0), ("a", 1), ("a", 2)]


def test_one_that_is_declared_with_it_is_asked_n_times() -> None:
    warm = ask("a", name="warm")
    declared = vote(2, warm)
    assert (declared.variant.of, declared.variant.n, declared.parts) == ("warm", 2, (warm,))


def test_of_equals_the_one_that_is_named_first_counts() -> None:
    assert voted(vote(of=("a", "b", "c")).variant, a="3", b="4", c="5")[0].output == "3"


def test_one_who_fails_has_no_vote_and_lessens_the_confidence() -> None:
    found, _ = voted(vote(of=("a", "b", "c")).variant, a=DataError("none"), b="4", c="4")
    assert (found.output, found.known) == ("4", {"confidence": 2 / 3})
    with pytest.raises(DataError, match="none"):
        voted(vote(of=("a", "b")).variant, a=DataError("none"), b=DataError("neither"))


def test_a_vote_over_several_is_declared_with_its_parts() -> None:
    sampled = vote(3, "cheap")
    panel = vote(of=("a", ask("b", examples=2, name="b2"), sampled), name="panel")
    assert panel.variant == Variant(id="panel", kind="vote", of=("a", "b2", "cheap-vote3"))
    assert [one.name for one in panel.all()] == ["panel", "b2", "cheap-vote3"]
    assert vote(of=("a", "b")).name == "vote-a-b"


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"of": "a"}, "how many answers of 'a'"),
        ({"n": 1, "of": "a"}, "n is 1; expected a number from 2"),
        ({"of": ("a",)}, "names 1 variants; expected from 2"),
        ({"of": ()}, "names 0 variants"),
        ({"n": 2, "of": ("a", "b")}, "n is 2 and of names 2 variants"),
    ],
)
def test_a_vote_of_nobody_knows_how_many_is_refused(told: dict[str, Any], said: str) -> None:
    with pytest.raises(CallerError, match=said):
        vote(**told)


MODELS = {"a": {}, "b": {}}


def test_the_configuration_names_several_as_a_list(tmp_path: Any) -> None:
    config = parse({"models": MODELS, "variants": {"panel": {"kind": "vote", "of": ["a", "b"]}}}, tmp_path)
    assert config.catalog().variants["panel"].samples() == ("a", "b")


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"kind": "vote", "of": ["a"]}, "a list of 1; a vote takes one of 2 to 100"),
        ({"kind": "vote", "of": ["a", "b"], "n": 2}, "and no n"),
        ({"kind": "vote", "of": "a"}, "n is 1; it is a number from 1 to 100, for a vote from 2"),
        ({"kind": "verify", "of": ["a", "b"], "by": "a"}, "a vote takes one of 2"),
        ({"kind": "vote", "of": ["a", "c"]}, "names 'c', which is not there"),
        ({"kind": "vote", "of": ["a", "panel"]}, "in a circle: panel -> panel"),
    ],
)
def test_a_vote_that_cannot_be_is_refused_with_the_key(tmp_path: Any, table: dict[str, Any], said: str) -> None:
    with pytest.raises(OperatorError, match=said):
        parse({"models": MODELS, "variants": {"panel": table}}, tmp_path)
