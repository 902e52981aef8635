"""What calls teach once somebody has spoken: a correction is an example, a correction beside its answer a preference, and so are two answers
one of which was found better.

Whose word it is weighs as in a reward (`voices.py`): what is taught is what has more than half of the weight. So a crowd of users, whose
voices alone may not have all of it, teaches nothing that nobody else says; and where people disagree evenly nothing is taught.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from freehold.catalog import Reward
from freehold.chat import JSON
from freehold.feedback.preference import read_preference
from freehold.feedback.voices import Voice, voice_of, weigh
from freehold.journal.call import Call, Feedback
from freehold.journal.rows import digest_of

_ANY = Reward()
_MOST = 0.5
"""What is taught has more than this share of the weight."""


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """A question with its right answer, which somebody said."""

    call: str
    """The call whose answer was corrected."""
    item: str
    """What was asked, by name."""
    input: JSON
    """What was asked."""
    output: JSON
    """The answer as it should have been."""
    feedback: tuple[str, ...]
    """The ids of the corrections that say so."""


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """A question with two answers, one of which is the better one."""

    item: str
    """What was asked, by name."""
    input: JSON
    """What was asked."""
    chosen: JSON
    """The better answer."""
    rejected: JSON
    """The other."""
    chosen_call: str | None = None
    """The call that gave the better one; None for a correction and for an answer that no call gave."""
    rejected_call: str | None = None
    """The call that gave the other; None for an answer that no call gave."""
    feedback: tuple[str, ...]
    """The ids of what says so."""


def examples_of(call: Call, said: Sequence[Feedback], rule: Reward = _ANY) -> tuple[Example, ...]:
    """The right answer to what was asked, where those who corrected it agree enough: one example or none. `rule`: of the call's task."""
    settled = _corrected(call, said, rule)
    if settled is None or call.input is None:
        return ()
    output, ids = settled
    return (Example(call=call.id, item=call.item, input=call.input, output=output, feedback=ids),)


def preferences_of(call: Call, said: Sequence[Feedback], others: Mapping[str, Call], rule: Reward = _ANY) -> tuple[Pair, ...]:
    """The pairs that a call teaches: its correction and its answer, and its answer and those that it was compared with.

    `others`: the calls that preferences name, by id (`named_in` says which); a pair whose other answer is not known is left out. Of two
    calls the better one teaches the pair, so that going through all calls gives each pair once.
    """
    if call.input is None or call.output is None:
        return ()
    pairs: list[Pair] = []
    settled = _corrected(call, said, rule)
    if settled is not None and digest_of(settled[0]) != digest_of(call.output):
        pairs.append(_pair(call, settled[0], None, call.output, call.id, settled[1]))
    for other, spoken in _compared(call, said).items():
        weighed = weigh(rule, dict.fromkeys(spoken, 1.0))
        for verdict in ("better_than", "worse_than"):
            agreed = {voice: one for voice, one in spoken.items() if voice in weighed.shares and one[0] == verdict}
            if sum(weighed.shares[voice] for voice in agreed) <= _MOST:
                continue
            ids = tuple(sorted(id for _, id, _ in agreed.values()))
            if other.startswith("call "):
                found = others.get(other.removeprefix("call "))
                if verdict == "better_than" and found is not None and found.output is not None:
                    pairs.append(_pair(call, call.output, call.id, found.output, found.id, ids))
            else:
                answer = next(iter(agreed.values()))[2]
                if verdict == "better_than":
                    pairs.append(_pair(call, call.output, call.id, answer, None, ids))
                else:
                    pairs.append(_pair(call, answer, None, call.output, call.id, ids))
    return tuple(pairs)


def named_in(said: Iterable[Feedback]) -> set[str]:
    """The calls whose answers were compared with others."""
    found = (read_preference(one.content) for one in said if one.kind == "preference")
    return {one.call for one in found if one is not None and one.call is not None}


def _corrected(call: Call, said: Sequence[Feedback], rule: Reward) -> tuple[JSON, tuple[str, ...]] | None:
    """The correction that has most of the weight, and the ids of those who say it. Who gives no name shares one voice with the others."""
    by_voice: dict[Voice, list[Feedback]] = {}
    for one in _in_time(said):
        if one.kind == "correction" and one.call == call.id and one.content is not None:
            voice = voice_of(one)
            by_voice[voice] = [one] if voice.is_named else [*by_voice.get(voice, ()), one]
    weighed = weigh(rule, dict.fromkeys(by_voice, 1.0))
    share: dict[str, float] = {}
    saying: dict[str, list[Feedback]] = {}
    for voice, of_voice in by_voice.items():
        for one in of_voice if voice in weighed.shares else ():
            digest = digest_of(one.content)
            share[digest] = share.get(digest, 0.0) + weighed.shares[voice] / len(of_voice)
            saying.setdefault(digest, []).append(one)
    best = max(share, key=lambda digest: (share[digest], digest), default=None)
    if best is None or share[best] <= _MOST:
        return None
    return saying[best][0].content, tuple(sorted(one.id for one in saying[best]))


def _compared(call: Call, said: Sequence[Feedback]) -> dict[str, dict[Voice, tuple[str, str, JSON]]]:
    """By the other answer what each voice said last of the two: the verdict, its id, and the answer where no call gave it. Those without a
    name are one voice, whose verdict is the last of them."""
    found: dict[str, dict[Voice, tuple[str, str, JSON]]] = {}
    for one in _in_time(said):
        preference = read_preference(one.content) if one.kind == "preference" and one.call == call.id else None
        if preference is None or (preference.call is None and preference.answer is None):
            continue
        other = f"call {preference.call}" if preference.call is not None else f"answer {digest_of(preference.answer)}"
        found.setdefault(other, {})[voice_of(one)] = (preference.verdict, one.id, preference.answer)
    return found


def _in_time(said: Iterable[Feedback]) -> list[Feedback]:
    return sorted(said, key=lambda one: (one.at, one.id))


def _pair(call: Call, chosen: JSON, chosen_call: str | None, rejected: JSON, rejected_call: str | None, ids: tuple[str, ...]) -> Pair:
    return Pair(
        item=call.item,
        input=call.input,
        chosen=chosen,
        rejected=rejected,
        chosen_call=chosen_call,
        rejected_call=rejected_call,
        feedback=ids,
    )
