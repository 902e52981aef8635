"""Variants that ask others: several answers and a vote, the best of several, an answer that is checked and revised, guards before and after.

Each is a function from an `Ask` to an outcome. Whom it asks may be such a variant itself, so they compose. What each question cost is an attempt
of the one call that all of it is for.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from math import isnan, nan
from typing import Any, NamedTuple, Protocol

import msgspec

from freehold.catalog import Variant
from freehold.chat import JSON, Cause, Message, Text, Usage, canonical_json
from freehold.errors import DataError, FreeholdError, OperatorError, ProviderError
from freehold.variants.functions import FunctionFailed, Functions, Pass, Refuse, called
from freehold.variants.outcome import Outcome

COMPOSED = frozenset({"vote", "best_of", "verify", "guard"})
"""The kinds that ask others."""
_LOOK = (
    "Check the answer above against the question, step by step. Answer with JSON alone: "
    '{"right": true} where it is right, else {"right": false, "why": "what is wrong, in a sentence"}.'
)
_AGAIN = "That answer was checked and refused: {why}\nAnswer the question again, in the same form as before."


class NoAnswer(DataError):
    """A variant that was asked has none for this: whoever comes next is asked."""


class Given(NamedTuple):
    """An answer of a variant that was asked."""

    output: JSON
    """What it says, as the journal keeps it."""
    words: str
    """The same as it was said."""
    usage: Usage | None = None
    """As of `Outcome`."""
    known: Mapping[str, float] = {}
    """As of `Outcome`."""


class Ask(Protocol):
    """How a variant asks another the question of the call."""

    async def __call__(self, variant: str, cause: Cause, more: Sequence[Message] = (), number: int = 0) -> Given:
        """`more`: what is said after the question. `number`: which of several answers this is, so that they can differ.

        Raises NoAnswer, and ProviderError where nobody gives an answer of the form that is asked for.
        """

    def value(self, output: JSON) -> Any:
        """An answer as functions of the project's own are told it."""

    def values(self) -> Mapping[str, Any]:
        """The input, likewise, by parameter."""


async def compose(variant: Variant, functions: Functions, ask: Ask) -> Outcome:
    """What a variant of one of these kinds answers. Raises as `Ask`, and as its functions."""
    match variant.kind:
        case "vote":
            return await _vote(ask, variant)
        case "best_of":
            return await _best_of(ask, variant, functions)
        case "verify":
            return await _verify(ask, variant, functions)
        case "guard":
            return await _guard(ask, _the_one(variant), functions)
    raise OperatorError(f"'{variant.id}' is of kind '{variant.kind}', which asks nobody else")


def _the_one(variant: Variant) -> str:
    assert isinstance(variant.of, str)
    return variant.of


async def _vote(ask: Ask, variant: Variant) -> Outcome:
    """Self-consistency (Wang et al. 2022, arXiv:2203.11171): the answer that most samples give; of several the one that comes first, in the
    order in which those are named who were asked.

    Its confidence is the share of all who were asked that gave it. One who fails or gives no answer of the task's form has no vote.
    """
    given = await _several(ask, variant)
    counted = Counter(canonical_json(one.output) for one in given)
    most = max(counted.values())
    chosen = next(one for one in given if counted[canonical_json(one.output)] == most)
    return Outcome(chosen.output, None, chosen.usage, {"confidence": most / len(variant.samples())})


async def _best_of(ask: Ask, variant: Variant, functions: Functions) -> Outcome:
    """The answer of n that a scorer puts highest; of equals the first. An answer that it cannot score is not chosen."""
    given = await _several(ask, variant)
    scores = await asyncio.gather(*(_score(ask, functions, one) for one in given), return_exceptions=True)
    scored = [(one, score) for one, score in zip(given, scores, strict=True) if not isinstance(score, BaseException)]
    for score in scores:
        if isinstance(score, BaseException) and (not scored or not isinstance(score, FunctionFailed)):
            raise score
    best = max(scored, key=lambda pair: pair[1])[0]
    return Outcome(best.output, None, best.usage)


async def _score(ask: Ask, functions: Functions, one: Given) -> float:
    """How good an answer is. Raises FunctionFailed where nobody can say."""
    assert functions.score is not None
    found = await called(functions.score, (ask.value(one.output),), functions.deadline_s)
    try:
        score = float(found)
    except (TypeError, ValueError):
        score = nan
    if isnan(score):
        raise FunctionFailed(f"the scorer gave {found!r:.80}, which is no number")
    return score


async def _several(ask: Ask, variant: Variant) -> list[Given]:
    """What those answer who are to be asked, without those who fail. Raises what the first one failed with where all do."""
    found = await asyncio.gather(*(ask(one, "sample", number=k) for k, one in enumerate(variant.samples())), return_exceptions=True)
    given = [one for one in found if isinstance(one, Given)]
    for one in found:
        if isinstance(one, BaseException) and (isinstance(one, Refuse) or not isinstance(one, FreeholdError)):
            raise one
    if not given:
        raise next(one for one in found if isinstance(one, BaseException))
    return given


async def _verify(ask: Ask, variant: Variant, functions: Functions) -> Outcome:
    """An answer that a check accepted, or after `n` revisions the last one; `verified` says which, for a policy to look at."""
    given = await ask(_the_one(variant), "sample")
    said: list[Message] = []
    for revision in range(variant.n + 1):
        why = await _wrong(ask, variant, functions, given)
        if why is None:
            return Outcome(given.output, None, given.usage, {**given.known, "verified": 1.0})
        if revision == variant.n:
            break
        said += [_message("assistant", given.words), _message("user", _AGAIN.format(why=why))]
        try:
            given = await ask(_the_one(variant), "revision", tuple(said))
        except (DataError, ProviderError, FunctionFailed):
            break  # the one before stands, as what it is
    return Outcome(given.output, None, given.usage, {**given.known, "verified": 0.0})


async def _wrong(ask: Ask, variant: Variant, functions: Functions, given: Given) -> str | None:
    """What is wrong with an answer; None where nothing is."""
    if functions.check is not None:
        found = await called(functions.check, (ask.value(given.output),), functions.deadline_s)
        if isinstance(found, str):
            return found or None
        return None if found is None or found is True else "it is wrong"
    assert variant.by is not None
    verdict = await ask(variant.by, "check", (_message("assistant", given.words), _message("user", _LOOK)))
    return _verdict(verdict.words)


def _verdict(words: str) -> str | None:
    start, end = words.find("{"), words.rfind("}")
    try:
        told = msgspec.json.decode(words[start : end + 1])
        right = told["right"]
    except (msgspec.DecodeError, KeyError, TypeError, RecursionError):
        raise FunctionFailed(f"the check gave no verdict, but: {words[:200]!r}") from None
    return None if right is True else str(told.get("why") or "it is wrong")[:2_000]


async def _guard(ask: Ask, of: str, functions: Functions) -> Outcome:
    """Another's answer, where the question may be asked and the answer be given. A guard that gives False or `Pass` hands on to whoever comes
    next; one that raises `Refuse` ends the call."""
    if functions.before is not None and _says_no(await called(functions.before, ask.values(), functions.deadline_s)):
        raise NoAnswer(f"the guard before '{of}' lets this question pass on")
    given = await ask(of, "sample")
    if functions.after is not None and _says_no(await called(functions.after, (ask.value(given.output),), functions.deadline_s)):
        raise NoAnswer(f"the guard after '{of}' does not accept its answer")
    return Outcome(given.output, None, given.usage, given.known)


def _says_no(found: object) -> bool:
    return found is False or found is Pass


def _message(role: Any, words: str) -> Message:
    return Message(role=role, parts=(Text(text=words),))
