"""How a queue's reviewers are doing: how far each is, how far they agree and can be trusted, what gold they missed, what they have earned.

What is agreed on and trusted is verdicts on answers: each answer of each item is a row, each reviewer a column. Excluded reviewers are shown and
count for nobody else.
"""

from collections.abc import Sequence
from datetime import datetime
from statistics import median

import msgspec
import numpy as np

from freehold.catalog import Catalog, Metric
from freehold.errors import DataError
from freehold.feedback import credits as ledger
from freehold.feedback.agreement import Agreement, Estimate, agreement
from freehold.feedback.queue import Queue, QueueItem, Verdict, decide, missed
from freehold.feedback.queues import contents, queues_of
from freehold.feedback.reliability import Reliability, reliability
from freehold.feedback.worth import Verdict as Worked
from freehold.feedback.worth import due as due_of
from freehold.feedback.worth import narrowings
from freehold.store.open import Store
from freehold.tables import CreditsTable

_DRAWS = 500


class ReviewerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One reviewer at one queue."""

    reviewer: str
    """Who."""
    is_senior: bool
    """Whether they decided where others disagreed."""
    is_excluded: bool
    """Whether their verdicts count no more."""
    given: int
    """Verdicts."""
    accepted: int
    """Those that agree with what their items came to; on gold, with what is known."""
    skipped: int
    """Items put off or left to others."""
    flagged: int
    """Items they say cannot be judged."""
    median_s: float | None
    """What a verdict takes them, in seconds."""
    gold: int
    """Gold items they judged."""
    gold_missed: int
    """Those they got wrong."""
    accuracy: Estimate | None
    """How often a verdict on an answer is right, by what all say; None where nothing tells."""
    skill: float | None
    """How far that is above chance."""
    earned_usd: float
    """What their verdicts here are due, by the tariff that holds."""


class ReviewStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One queue."""

    queue: Queue
    """The queue."""
    items: dict[str, int]
    """How many drawn items are in which state."""
    gold: int
    """Gold items."""
    agreement: Agreement | None
    """Of the reviewers that count, on answers that two or more judged; None where there are none."""
    reviewers: tuple[ReviewerStatus, ...]
    """Everybody who was shown anything, the most trusted first."""
    due_usd: float
    """What all accepted verdicts are due together."""


def status_of(store: Store, queue: Queue, metric: Metric, table: CreditsTable, seed: int = 0) -> ReviewStatus:
    """How a queue is doing. Changes nothing."""
    items, verdicts = contents(store, queue)
    found = _Table(queue, items, verdicts, metric, seed)
    names = sorted({verdict.reviewer for verdict in verdicts})
    worked = found.worked(tariff_of(queue, table))
    due = dict.fromkeys(names, 0)
    for one in worked:
        due[one.reviewer] += due_of(one, tariff_of(queue, table))
    told = [found.reviewer(name, due[name] / 1e9) for name in names]
    states: dict[str, int] = {}
    for item in items:
        if item.is_drawn:
            states[item.state] = states.get(item.state, 0) + 1
    return ReviewStatus(
        queue=queue,
        items=states,
        gold=sum(item.is_gold for item in items),
        agreement=found.agreement(),
        reviewers=tuple(sorted(told, key=lambda one: -1.0 if one.accuracy is None else one.accuracy.value or 0.0, reverse=True)),
        due_usd=sum(due.values()) / 1e9,
    )


def tariff_of(queue: Queue, table: CreditsTable) -> CreditsTable:
    """What verdicts of a queue are paid by: its own tariff, or that of the project where it has none."""
    if queue.tariff_usd is None:
        return table
    return CreditsTable(per_verdict_usd=queue.tariff_usd, by="worth" if queue.pays_worth else "tariff")


def book(store: Store, tenant: str, task: str, catalog: Catalog, table: CreditsTable, now: datetime) -> int:
    """Books what verdicts of a task's closed queues are due and is not booked, and takes back what is not due any more; how many rows that took."""
    count = 0
    for queue in queues_of(store, tenant, task):
        if queue.closed_at is not None:
            items, verdicts = contents(store, queue)
            own = tariff_of(queue, table)
            worked = _Table(queue, items, verdicts, catalog.metric(queue.metric), 0).worked(own)
            count += len(ledger.settle(store, tenant, worked, own, now))
    return count


class _Table:
    """The verdicts of a queue as a table of answers by reviewers, and what follows from it."""

    def __init__(self, queue: Queue, items: Sequence[QueueItem], verdicts: Sequence[Verdict], metric: Metric, seed: int) -> None:
        self.queue, self.metric = queue, metric
        self.items = {item.ticket: item for item in items}
        self.verdicts = verdicts
        self.given = [verdict for verdict in verdicts if verdict.state == "given" and verdict.ticket in self.items]
        by_ticket: dict[str, list[Verdict]] = {}
        for verdict in self.given:
            by_ticket.setdefault(verdict.ticket, []).append(verdict)
        self.by_ticket = by_ticket
        decided = {(verdict.ticket, verdict.reviewer) for ticket in by_ticket for verdict in decide(queue, by_ticket[ticket]).accepted}
        self.accepted = {
            (verdict.ticket, verdict.reviewer)
            for verdict in self.given
            if verdict.reviewer not in queue.excluded and self._is_right(verdict, (verdict.ticket, verdict.reviewer) in decided)
        }
        self.names = sorted({verdict.reviewer for verdict in self.given})
        self.rows = [(ticket, digest) for ticket in by_ticket for digest in self.items[ticket].ballot.calls]
        place = {row: n for n, row in enumerate(self.rows)}
        self.ratings_NR = np.full((len(self.rows), len(self.names)), np.nan)
        for verdict in self.given:
            for digest, score in verdict.said.scores.items():
                if (n := place.get((verdict.ticket, digest))) is not None:
                    self.ratings_NR[n, self.names.index(verdict.reviewer)] = score
        self.rng = np.random.default_rng(seed)
        self.trusted = self._trusted()

    def agreement(self) -> Agreement | None:
        """Of those that count."""
        counted = [n for n, name in enumerate(self.names) if name not in self.queue.excluded]
        tickets = {ticket: n for n, ticket in enumerate(self.by_ticket)}
        groups_N = np.array([tickets[ticket] for ticket, _ in self.rows], dtype=np.int64)  # answers to one item are judged together
        level, values = ("nominal", (0.0, 1.0)) if self.metric.kind == "binary" else ("interval", None)
        try:
            return agreement(self.ratings_NR[:, counted], level, self.rng, _DRAWS, values=values, groups_N=groups_N)  # type: ignore[arg-type]
        except DataError:  # nobody has judged what somebody else did
            return None

    def _trusted(self) -> Reliability | None:
        known_N = np.array([(self.items[ticket].expected or {}).get(digest, np.nan) for ticket, digest in self.rows])
        try:
            return reliability(self.ratings_NR, self.rng, _DRAWS, known_N=known_N)
        except DataError:  # no verdict, or measurements, which are no classes
            return None

    def reviewer(self, name: str, earned_usd: float) -> ReviewerStatus:
        """One of them."""
        mine = [verdict for verdict in self.verdicts if verdict.reviewer == name]
        given = [verdict for verdict in self.given if verdict.reviewer == name]
        gold = [verdict for verdict in given if self.items[verdict.ticket].expected is not None]
        paces = [verdict.said.seconds for verdict in given if verdict.said.seconds is not None]
        worth = {} if self.trusted is None else {self.names[one.column]: one for one in self.trusted.reviewers}
        return ReviewerStatus(
            reviewer=name,
            is_senior=any(verdict.said.role == "senior" for verdict in mine),
            is_excluded=name in self.queue.excluded,
            given=len(given),
            accepted=sum((verdict.ticket, name) in self.accepted for verdict in given),
            skipped=sum(verdict.state == "skipped" for verdict in mine),
            flagged=sum(verdict.state == "flagged" for verdict in mine),
            median_s=median(paces) if paces else None,
            gold=len(gold),
            gold_missed=sum(self._missed(verdict) for verdict in gold),
            accuracy=worth[name].accuracy if name in worth else None,
            skill=worth[name].skill if name in worth else None,
            earned_usd=earned_usd,
        )

    def _missed(self, verdict: Verdict) -> bool:
        expected = self.items[verdict.ticket].expected
        return expected is not None and missed(expected, verdict.said.scores, self.metric)

    def _is_right(self, verdict: Verdict, is_decided: bool) -> bool:
        """Whether it agrees with what is known of its item: of gold with that, whatever most say; else with what the item came to."""
        return is_decided if self.items[verdict.ticket].expected is None else not self._missed(verdict)

    def worked(self, table: CreditsTable) -> list[Worked]:
        """Every verdict, with what is known of its worth. Gold that was missed is never paid, nor a verdict that does not count."""
        skill = {} if self.trusted is None else {self.names[one.column]: one.skill for one in self.trusted.reviewers}
        narrowed = self._narrowed() if table.by == "worth" else {}
        return [
            Worked(
                id=f"{self.queue.id} {verdict.ticket} {verdict.reviewer}",
                reviewer=verdict.reviewer,
                task=self.queue.task,
                is_accepted=(verdict.ticket, verdict.reviewer) in self.accepted,
                missed_gold=self._missed(verdict),
                reliability=min(1.0, max(0.0, skill.get(verdict.reviewer, 1.0))),
                narrowed=narrowed.get((verdict.ticket, verdict.reviewer), 1.0),
            )
            for verdict in self.given
        ]

    def _narrowed(self) -> dict[tuple[str, str], float]:
        """By how much each accepted verdict narrowed the interval of the mean score of the queue's answers, against the average one.

        What an interval is wide of is how unsure the truths are (p(1-p), by Dawid and Skene) and how much they differ: with a verdict left out
        its answers are as unsure as before it was given.
        """
        if self.trusted is None or len(self.trusted.values) != 2:
            return {}
        sure_NC = np.array(self.trusted.posterior)
        unsure_N = sure_NC[:, 1] * (1.0 - sure_NC[:, 1])
        spread = float(sure_NC[:, 1].mean() * (1.0 - sure_NC[:, 1].mean())) * len(self.rows)
        tables = {one.column: np.array(one.confusion) for one in self.trusted.reviewers}
        place = {row: n for n, row in enumerate(self.rows)}
        accepted = sorted(self.accepted)
        without = []
        for ticket, name in accepted:
            column, more = self.names.index(name), 0.0
            for digest in self.items[ticket].ballot.calls:
                n = place[(ticket, digest)]
                said = self.trusted.values.index(self.ratings_NR[n, column])
                before = sure_NC[n] / np.maximum(tables[column][:, said], 1e-12)
                p = float(before[1] / before.sum())
                more += p * (1.0 - p) - float(unsure_N[n])
            without.append(float(np.sqrt(max(0.0, spread + unsure_N.sum() + more))))
        width = float(np.sqrt(spread + unsure_N.sum()))
        return dict(zip(accepted, narrowings(width, without), strict=True))
