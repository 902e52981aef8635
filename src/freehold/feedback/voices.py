"""Whose word weighs what: everybody who spoke, one voice each, and the share of the weight that each of them has under a reward.

A crowd is many voices of one source. What it can do is bounded by the share of that source (`at_most`), however many come.
"""

from collections.abc import Mapping
from typing import NamedTuple, TypeVar

from freehold.catalog import TRUST, Reward
from freehold.journal.call import Feedback

_T = TypeVar("_T")
_P = TypeVar("_P", bound="Voice | str")
_ROUNDING = 1e-12
_MANY = ("user", "import")
"""Sources behind which there are many, so that whoever gives no name is one of them, and all of those together are one voice."""


class Voice(NamedTuple):
    """Somebody who speaks: one author of one source, however often."""

    source: str
    """As feedback has it: `user`, `person:ann`, `judge:gpt-5`."""
    author: str | None
    """Who of the source; None for whoever gives no name."""

    @property
    def kind(self) -> str:
        """The source without the name behind it."""
        return self.source.partition(":")[0]

    @property
    def is_named(self) -> bool:
        """Whether it is known to be one and the same."""
        return self.author is not None or self.kind not in _MANY


class Weighed(NamedTuple):
    """What the voices that spoke weigh."""

    shares: dict[Voice, float]
    """Those that are heard; the shares sum to 1. Empty where nobody is."""
    why: str
    """Why nobody is heard; empty where somebody is."""
    unheard: dict[Voice, str]
    """The others, and why they are not heard."""


def voice_of(said: Feedback) -> Voice:
    """Whose word it is."""
    return Voice(said.source, said.author)


def weigh(rule: Reward, speaking: Mapping[Voice, float]) -> Weighed:
    """The share of each voice that spoke. `speaking`: each with a factor to what it weighs."""
    weights = {voice: _of(rule.trust, voice, TRUST.get(voice.kind, 0.0)) * factor for voice, factor in speaking.items()}
    unheard = {voice: f"the word of '{voice.source}' weighs nothing" for voice, weight in weights.items() if weight <= 0}
    heard = {voice: weight for voice, weight in weights.items() if weight > 0}
    for source, members in _groups(rule.voices, heard).items():
        if len(members) < (least := rule.voices[source]):
            unheard |= dict.fromkeys(members, f"{len(members)} of the {least} voices of '{source}' that it takes spoke")
    heard = {voice: weight for voice, weight in heard.items() if voice not in unheard}
    decisive = next((source for source in rule.first if any(_is_of(voice, source) for voice in heard)), None)
    if decisive is not None:
        unheard |= {voice: f"'{decisive}' spoke, and comes first" for voice in heard if not _is_of(voice, decisive)}
        heard = {voice: weight for voice, weight in heard.items() if voice not in unheard}
    if not heard:
        return Weighed({}, "; ".join(dict.fromkeys(unheard.values())) or "nobody said anything that counts", unheard)
    shares = _shared(rule, heard)
    if shares is None:
        alone = " and ".join(
            f"'{source}', whose voices may have {rule.at_most[source]:g} of the weight," for source in _groups(rule.at_most, heard)
        )
        return Weighed({}, f"only {alone} spoke", unheard | dict.fromkeys(heard, f"only {alone} spoke"))
    return Weighed(shares, "", unheard)


def _shared(rule: Reward, weights: Mapping[Voice, float]) -> dict[Voice, float] | None:
    """The share of each voice; None where those that may not have all of the weight are alone."""
    place_of: dict[Voice, Voice | str] = {voice: voice for voice in weights}
    place_of |= {voice: source for source, members in _groups(rule.at_most, weights).items() for voice in members}
    totals: dict[Voice | str, float] = {}
    for voice, weight in weights.items():
        totals[place_of[voice]] = totals.get(place_of[voice], 0.0) + weight
    shares = capped(totals, rule.at_most)
    if shares is None:
        return None
    return {voice: weight / totals[place_of[voice]] * shares[place_of[voice]] for voice, weight in weights.items()}


def capped(weights: Mapping[_P, float], most: Mapping[str, float]) -> dict[_P, float] | None:
    """Shares in proportion to weights, none above its most; what one may not have goes to the others. None where they cannot sum to 1."""
    fixed: dict[_P, float] = {}
    while True:
        left = 1.0 - sum(fixed.values())
        rest = {name: weight for name, weight in weights.items() if name not in fixed}
        if not rest:
            return fixed if left <= _ROUNDING else None
        total = sum(rest.values())
        shares = {name: weight / total * left for name, weight in rest.items()}
        over: dict[_P, float] = {
            name: most[name] for name, share in shares.items() if isinstance(name, str) and share > most.get(name, 1.0) + _ROUNDING
        }
        if not over:
            return fixed | shares
        fixed |= over


def _of(said: Mapping[str, _T], voice: Voice, otherwise: _T) -> _T:
    return said.get(voice.source, said.get(voice.kind, otherwise))


def _is_of(voice: Voice, source: str) -> bool:
    return source in (voice.source, voice.kind)


def _groups(named: Mapping[str, object], voices: Mapping[Voice, float]) -> dict[str, list[Voice]]:
    """The voices of each source that is named, each under the longest name of its own."""
    groups: dict[str, list[Voice]] = {}
    for voice in voices:
        for source in (voice.source, voice.kind):
            if source in named:
                groups.setdefault(source, []).append(voice)
                break
    return groups
