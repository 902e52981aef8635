"""A task's reward: all that was said about a call, and about its episode, as one number in [0, 1], or none and why.

For each metric that counts every voice has one word, and the words are averaged with the shares that `voices.py` gives them; then the
metrics are averaged with their weights. So a reward is a mean of words whose shares sum to 1, and each of them is told. What all voices of
one source together can move it by is at most their share (`at_most`).
"""

import logging
import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeAlias

import msgspec

from freehold.catalog import Catalog, Reward
from freehold.errors import CallerError
from freehold.feedback.preference import read_preference
from freehold.feedback.voices import Voice, voice_of, weigh
from freehold.journal.call import Feedback
from freehold.journal.rows import digest_of

RewardFunction: TypeAlias = Callable[[Sequence[Feedback]], float | None]
"""A reward that a program says itself: everything said about a call in, a number in [0, 1] or None out."""
_OWN_NUMBER = ("score", "label", "verifier")
_log = logging.getLogger("freehold.feedback")


class Word(msgspec.Struct, frozen=True, kw_only=True):
    """What one voice said of one metric, and how much of the reward it is."""

    metric: str
    """What was judged."""
    source: str
    """Who said it."""
    author: str | None
    """Who of the source; None for whoever gave no name."""
    value: float
    """What it is worth, in [0, 1]."""
    share: float
    """Its share of the reward; those of all words sum to 1."""
    feedback: tuple[str, ...]
    """The ids of what it rests on."""


class Unheard(msgspec.Struct, frozen=True):
    """Something that was said and is not in the reward."""

    feedback: str
    """Its id."""
    why: str
    """Why it is not."""


class Rewarded(msgspec.Struct, frozen=True, kw_only=True):
    """A reward, and what it was made of."""

    value: float | None
    """The reward in [0, 1]; None where there is none."""
    why: str = ""
    """Why there is none; empty where there is one."""
    words: tuple[Word, ...] = ()
    """What it is the mean of. Empty for a function's, which tells its number alone."""
    unheard: tuple[Unheard, ...] = ()
    """What was left out."""


class _Reading(NamedTuple):
    """What one piece of feedback is worth."""

    said: Feedback
    """What was said."""
    value: float
    """Its worth in [0, 1]."""


def reward(rule: Reward | RewardFunction, said: Sequence[Feedback], catalog: Catalog, answer: str | None = None) -> Rewarded:
    """The reward of a call. `said`: what was said about it and about its episode, in any order. `answer`: the digest of what was answered,
    by which a correction that changes nothing is known to be none.
    """
    if not isinstance(rule, Reward):
        return _by_function(rule, said)
    unheard: dict[str, str] = {}
    readings: dict[str, dict[Voice, list[_Reading]]] = {metric: {} for metric, weight in rule.metrics.items() if weight > 0}
    for one in sorted(said, key=lambda each: (each.at, each.id)):  # sums of floats depend on their order, and a reward does not
        if one.kind == "comment":
            continue
        value = _worth(rule, one, catalog, answer)
        if one.metric not in readings:
            unheard[one.id] = f"'{one.metric}' is no metric of this reward"
        elif isinstance(value, str):
            unheard[one.id] = value
        else:
            readings[one.metric].setdefault(voice_of(one), []).append(_Reading(one, value))
    words: list[Word] = []
    silent: dict[str, str] = {}
    for metric, by_voice in readings.items():
        spoken = {voice: _word(found) for voice, found in by_voice.items()}
        weighed = weigh(rule, {voice: _factor(rule, used) for voice, used in spoken.items()})
        if not weighed.shares:
            silent[metric] = weighed.why
        for voice, used in spoken.items():
            if voice in weighed.unheard:
                unheard.update((each.said.id, weighed.unheard[voice]) for each in used)
            elif voice in weighed.shares:
                words.append(_as_word(metric, voice, used, weighed.shares[voice]))
            kept = {each.said.id for each in used}
            unheard.update((each.said.id, "the same voice said more since") for each in by_voice[voice] if each.said.id not in kept)
    left_out = tuple(Unheard(id, why) for id, why in sorted(unheard.items()))
    for metric in rule.needs:
        if metric in silent:
            return Rewarded(value=None, why=f"it takes a word on '{metric}': {silent[metric]}", unheard=left_out)
    if not words:
        why = "; ".join(f"{metric}: {reason}" for metric, reason in silent.items()) or "no metric counts"
        return Rewarded(value=None, why=why, unheard=left_out)
    total = math.fsum(rule.metrics[metric] for metric in readings if metric not in silent)
    words = [msgspec.structs.replace(word, share=word.share * rule.metrics[word.metric] / total) for word in sorted(words, key=_order)]
    mean = math.fsum(word.share * word.value for word in words)
    return Rewarded(value=min(1.0, max(0.0, round(mean, 12))), words=tuple(words), unheard=left_out)


def _by_function(function: RewardFunction, said: Sequence[Feedback]) -> Rewarded:
    """A program's own reward. Whatever is wrong with it is told as the reason why there is none."""
    try:
        value = function(said)
    except Exception as error:  # noqa: BLE001 the boundary of code that is not ours
        _log.exception("reward.failed")
        return Rewarded(value=None, why=f"the reward's function failed: {type(error).__name__}: {error}")
    if value is None:
        return Rewarded(value=None, why="the reward's function has none")
    if isinstance(value, bool | int | float) and 0 <= value <= 1:
        return Rewarded(value=float(value))
    return Rewarded(value=None, why=f"the reward's function gave {value!r:.60}; expected a number from 0 to 1, or None")


def _worth(rule: Reward, said: Feedback, catalog: Catalog, answer: str | None) -> float | str:
    """What one piece of feedback is worth, or why it is worth nothing."""
    if said.kind not in rule.kinds:
        return f"'{said.kind}' is no kind of feedback that this reward hears"
    if said.value is not None:
        try:
            return catalog.metric(said.metric).unit(said.value)
        except CallerError as error:
            return str(error)
    if said.kind == "correction":
        is_none = answer is not None and said.content is not None and digest_of(said.content) == answer
        return 1.0 if is_none else rule.corrected
    if said.kind == "preference":
        preference = read_preference(said.content)
        if preference is None:
            return "it is no preference that can be read"
        return {"better_than": rule.preferred, "worse_than": 1.0 - rule.preferred, "same_as": 0.5}[preference.verdict]
    if said.kind == "label" and isinstance(said.content, str):
        return rule.labels.get(said.content, "the reward does not say what this label is worth")
    return "it has no score"


def _word(readings: Iterable[_Reading]) -> list[_Reading]:
    """What counts of all that a voice said of a metric: about the call before the episode, a number of its own before what a correction
    implies, and that before preferences. Of a known voice the last number and the last correction; of preferences all, for they are about
    different pairs; and of those without a name all, for they may be many. `readings`: in the order in which they were said."""
    found = list(readings)
    found = [each for each in found if each.said.call is not None] or found
    for kinds in (_OWN_NUMBER, ("correction",), ("preference",)):
        of_kind = [each for each in found if each.said.kind in kinds]
        if of_kind:
            is_one = voice_of(of_kind[0].said).is_named and kinds != ("preference",)
            return of_kind[-1:] if is_one else of_kind
    raise AssertionError("comments are no readings")


def _factor(rule: Reward, used: Sequence[_Reading]) -> float:
    return rule.episode if used[0].said.call is None else 1.0


def _as_word(metric: str, voice: Voice, used: Sequence[_Reading], share: float) -> Word:
    return Word(
        metric=metric,
        source=voice.source,
        author=voice.author,
        value=math.fsum(each.value for each in used) / len(used),
        share=share,
        feedback=tuple(each.said.id for each in used),
    )


def _order(word: Word) -> tuple[str, str, str]:
    return (word.metric, word.source, word.author or "")
