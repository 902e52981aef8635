"""The nouns of reviewing: a queue, an item it asks about, what a reviewer says to it, and what becomes of the item. Pure."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from hashlib import blake2b
from typing import Literal, NamedTuple, TypeAlias

import msgspec

from freehold.catalog import Metric
from freehold.chat import JSON
from freehold.feedback.question import Ballot
from freehold.journal.answers import REVIEW

Rule: TypeAlias = Literal["random", "confidence", "disagreement", "region", "interval"]
Role: TypeAlias = Literal["reviewer", "senior"]
ItemState: TypeAlias = Literal["open", "decided", "disputed", "withdrawn"]
VerdictState: TypeAlias = Literal["shown", "given", "skipped", "flagged"]
Worth: TypeAlias = Callable[[Sequence[str]], Sequence[float]]
"""How much there is to learn from each of these items, from 0 up: known to later stages, and therefore handed in."""


class Queue(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Items of a task put before reviewers. All of it but its end, who is excluded and what was withdrawn is fixed when it is opened."""

    id: str
    """Twelve hex digits."""
    tenant: str
    """Whose data it is."""
    task: str
    """The task."""
    metric: str
    """What is judged."""
    reference: str
    """The variant the others are compared with."""
    variants: tuple[str, ...] = ()
    """Whose answers stand beside it; none where the reference's alone are judged."""
    rule: Rule = "random"
    """By what its items were chosen."""
    region: str = ""
    """The condition of the rule `region`, in the policy language."""
    size: int
    """About how many questions were to be drawn."""
    explore: float = 1.0
    """The share of the draw that looks at no rule: every item has at least this part of an equal chance."""
    frame: int
    """How many items could be drawn, those that need nobody among them."""
    floor: float | None = None
    """The least probability with which any item could be drawn; None where some could not be, so that labels teach and certify nothing."""
    reviewers: int = 1
    """How many judge each item."""
    is_unanimous: bool = False
    """Whether all of them have to agree; else more than half."""
    agree_within: float = 0.0
    """How far two scores may lie apart and still agree, in the metric's own range."""
    tags: tuple[str, ...] = ()
    """What a reviewer has to know about."""
    guidelines: str = ""
    """What reviewers are told."""
    tariff_usd: float | None = None
    """What an accepted verdict earns; None for what the project's `[credits]` say."""
    pays_worth: bool = False
    """Whether the tariff is weighed by what a verdict was worth."""
    lease_s: float = 1800.0
    """How long an item that was shown waits for its reviewer before another one gets it."""
    excluded: tuple[str, ...] = ()
    """Reviewers whose verdicts count no more."""
    opened_at: datetime
    """When it was opened, UTC."""
    closed_at: datetime | None = None
    """When it was closed, UTC; None while it is open."""

    @property
    def session(self) -> str:
        """What its items are called among the draws."""
        return f"{REVIEW}:{self.metric}:{self.id}"


class QueueItem(msgspec.Struct, frozen=True, kw_only=True):
    """An item of a queue."""

    ticket: str
    """What reviewers know it by."""
    item: str
    """What was asked, by name."""
    state: ItemState
    """How far it is."""
    is_gold: bool
    """Whether its answer is known: everybody is asked, and nobody is told."""
    is_drawn: bool
    """Whether the rule chose it, so that verdicts on it become feedback."""
    inclusion: float | None
    """The probability with which it was drawn; None where that is no audit."""
    ballot: Ballot
    """Which calls gave which answer."""
    expected: dict[str, float] | None
    """Of gold, the score of each answer, by its digest."""


class Said(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a reviewer said to an item."""

    scores: dict[str, float] = {}
    """By the answer's digest, in the metric's own range."""
    correction: JSON = None
    """The right answer, where it was given."""
    comment: str = ""
    """Anything else."""
    reason: str = ""
    """Why it was flagged."""
    seconds: float | None = None
    """From when it was shown to when it was answered."""
    skips: int = 0
    """How often it was put off."""
    role: Role = "reviewer"
    """As what it was said."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """One reviewer's row for one item."""

    ticket: str
    """The item."""
    reviewer: str
    """Who."""
    state: VerdictState
    """How far that is."""
    shown_at: datetime
    """When it was shown, UTC."""
    at: datetime | None
    """When it was answered, UTC; None where it was not."""
    said: Said
    """What was said."""


class Decision(NamedTuple):
    """What has become of an item."""

    state: Literal["open", "decided", "disputed"]
    """How far it is."""
    scores: Mapping[str, float]
    """The score of each answer by digest; empty unless it is decided."""
    accepted: tuple[Verdict, ...]
    """The verdicts that count, the one that decides last."""


def ticket_of(queue: str, item: str) -> str:
    """What reviewers know an item by: its own name may say something."""
    return blake2b(f"{queue}\0{item}".encode(errors="surrogatepass"), digest_size=12, person=b"ticket").hexdigest()


def agree(one: Mapping[str, float], other: Mapping[str, float], within: float) -> bool:
    """Whether two verdicts say the same of every answer."""
    return one.keys() == other.keys() and all(abs(one[digest] - other[digest]) <= within + 1e-9 for digest in one)


def decide(queue: Queue, verdicts: Sequence[Verdict]) -> Decision:
    """What verdicts on one item make of it; those of excluded reviewers are not heard.

    A senior's decides, the last one's where there are several. Else more than half of those who are to judge it, and of those who did, have
    to agree; with `is_unanimous` all of them. Where everybody has judged and that is not so, or somebody says that it cannot be judged, it
    waits for a senior. Accepted are the verdicts that agree with the outcome.
    """
    heard = [verdict for verdict in verdicts if verdict.reviewer not in queue.excluded]
    given = sorted(
        (verdict for verdict in heard if verdict.state == "given"), key=lambda verdict: (verdict.at or verdict.shown_at, verdict.reviewer)
    )
    seniors = [verdict for verdict in given if verdict.said.role == "senior"]
    if seniors:
        return _decided(given, seniors[-1], queue.agree_within)
    leader, size = _largest(given, queue.agree_within)
    needed = queue.reviewers if queue.is_unanimous else max(queue.reviewers // 2, len(given) // 2) + 1
    if leader is not None and size >= needed and not (queue.is_unanimous and size < len(given)):
        return _decided(given, leader, queue.agree_within)
    is_flagged = any(verdict.state == "flagged" for verdict in heard)
    answered = sum(verdict.state in ("given", "flagged") for verdict in heard)
    return Decision("disputed" if is_flagged or answered >= queue.reviewers else "open", {}, ())


def _decided(given: Sequence[Verdict], leader: Verdict, within: float) -> Decision:
    same = [verdict for verdict in given if verdict is not leader and agree(verdict.said.scores, leader.said.scores, within)]
    return Decision("decided", leader.said.scores, (*same, leader))


def _largest(given: Sequence[Verdict], within: float) -> tuple[Verdict | None, int]:
    """The verdict that most agree with, itself among them; the earliest of several."""
    counted = [(sum(agree(other.said.scores, verdict.said.scores, within) for other in given), verdict) for verdict in given]
    size, leader = max(counted, key=lambda pair: pair[0], default=(0, None))
    return leader, size


def missed(expected: Mapping[str, float], scores: Mapping[str, float], metric: Metric) -> bool:
    """Whether a verdict on a gold item is wrong: another score under a binary metric, one that is off by over a quarter of the range else."""
    low, high = metric.range
    return not agree(expected, scores, 0.0 if metric.kind == "binary" else (high - low) / 4)
