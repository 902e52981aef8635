"""What specialists of a task cost: labels, training, judging and asking before the first answer, and what each question costs then."""

from collections.abc import Collection

from freehold.catalog import Task
from freehold.feedback.credits import credits_of
from freehold.feedback.queues import queues_of
from freehold.feedback.review_status import status_of, tariff_of
from freehold.journal.costs import Cost, labels_given, trial_costs
from freehold.project import Project
from freehold.promotion.cases import How, Part
from freehold.promotion.costs import Seen
from freehold.promotion.economics import Owned
from freehold.promotion.records import certificates_of
from freehold.variants import shelf
from freehold.variants.card import Card

_SAY_MACHINE = "say economics.machine_usd_per_hour"


class Books:
    """Everything that was paid for a task's specialists. What was paid for its labels and judges counts in full against each of them."""

    def __init__(self, project: Project, task: Task, owned: Collection[str], seen: Seen) -> None:
        """`owned`: the names of the task's specialists."""
        self._project, self._task, self._owned, self._seen = project, task, owned, seen
        self._table = project.config.economics
        self._ran = seen.ran()
        self._shared = (self._labels(), self._judging(), self._asking())

    def paid_for(self, card: Card, share: float) -> tuple[Owned, tuple[Part, ...], tuple[str, ...]]:
        """What it costs, what of that was paid before its first answer, and what nobody knows the price of. `share`: of the questions, that it
        answers."""
        training, again_usd = self._training(card)
        parts = (self._shared[0], training, *self._shared[1:])
        unknown = [f"{part.name}: {part.unknown}" for part in parts if part.unknown]
        machine_usd = 0.0
        if card.tested is not None and card.format != "model":
            machine_usd = card.tested.us_per_row / 3.6e9 * (self._table.machine_usd_per_hour or 0.0)
            unknown += [f"serving: a machine's time: {_SAY_MACHINE}"] if self._table.machine_usd_per_hour is None else []
        rented_usd, unknown_too = self._rented(card, share)
        owned = Owned(
            fixed_usd=sum(part.usd for part in parts),
            training_usd=again_usd,
            per_question_usd=machine_usd,
            rented_per_question_usd=rented_usd,
            per_month_usd=self._table.standing_usd_per_month,
            retrain_months=self._table.retrain_months,
        )
        return owned, parts, tuple(unknown + unknown_too)

    def share(self, card: Card) -> tuple[float | None, How, int | None]:
        """The share of questions that it answers, how that is known, and by how many questions."""
        answered, asked = self._seen.since_first(card.name)
        if answered:
            return answered / asked, "served", asked
        for certificate in reversed(certificates_of(self._project.store, self._project.tenant, self._task.id)):
            if certificate.certified and certificate.specialists.get(card.name) == card.hash and certificate.share.get(card.name):
                return certificate.share[card.name], "certified", certificate.n_calibrate
        rows = max((measure.n for measure in card.tested.measures), default=0) if card.tested else 0
        covered = card.tested.covered if card.tested else ()
        best = max((one.coverage for one in covered if one.coverage * (1.0 - one.low) <= self._task.max_loss), default=0.0)
        return (best, "tested", rows) if best and rows else (None, "unknown", None)

    def _labels(self) -> Part:
        """What people were paid for labels of the task, what is due to them, and what labels cost that no tariff pays."""
        store, tenant, credits = self._project.store, self._project.tenant, self._project.config.credits
        booked: dict[str, int] = {}
        for row in credits_of(store, tenant):
            if row.task == self._task.id and row.about.startswith("verdict "):
                booked[row.about] = booked.get(row.about, 0) + row.amount_nano
        still_open = [queue for queue in queues_of(store, tenant, self._task.id) if queue.closed_at is None]
        status = [status_of(store, queue, self._project.catalog.metric(queue.metric), credits) for queue in still_open]
        tariffs = [tariff_of(one.queue, credits) for one in status]
        paying = [one for one, own in zip(status, tariffs, strict=True) if own.tasks.get(self._task.id, own.per_verdict_usd) > 0]
        paid = sum(amount != 0 for amount in booked.values()) + sum(rater.accepted for one in paying for rater in one.reviewers)
        given = sum(labels_given(store, tenant, self._task.id).values())
        unpaid, each_usd = max(0, given - paid), self._table.label_usd
        return Part(
            name="labels",
            usd=sum(booked.values()) / 1e9 + sum(one.due_usd for one in status) + unpaid * (each_usd or 0.0),
            what=f"{given:,} labels, {given - unpaid:,} of them paid by a tariff",
            unknown=f"{unpaid:,} labels that no tariff pays: say economics.label_usd" if unpaid and each_usd is None else "",
        )

    def _judging(self) -> Part:
        others = [cost for name, cost in self._seen.watching.items() if name not in self._owned]
        return _part("judging", sum(others, self._seen.judging), "verdicts of judges")

    def _asking(self) -> Part:
        candidates = trial_costs(self._project.store, self._project.tenant, self._task.id)
        return _part("asking", sum(self._seen.trials.values(), candidates), "answers that were asked for to learn something")

    def _training(self, card: Card) -> tuple[Part, float]:
        """What it and those that it goes on from took, and what its own training alone did."""
        line = shelf.chain(self._project.store, card)
        hour = self._table.machine_usd_per_hour
        seconds = sum(one.training_s for one in line)
        usd = [(one.training_usd or 0.0) + one.training_s / 3600 * (hour or 0.0) for one in line]
        unknown = [f"{seconds:,.0f} s of a machine: {_SAY_MACHINE}"] if hour is None else []
        unknown += ["calls to models meanwhile"] if any(one.training_usd is None for one in line) else []
        what = f"{len(line)} training{'s' * (len(line) > 1)} of {seconds:,.0f} s"
        return Part(name="training", usd=sum(usd), what=what, unknown="; ".join(unknown)), usd[0]

    def _rented(self, card: Card, share: float) -> tuple[float, list[str]]:
        """What others are paid for each question: whoever serves it, and judges of what it answers."""
        usd, unknown = 0.0, []
        if card.format == "model":
            asked = self._ran[card.name].cost if card.name in self._ran else self._seen.trials.get(card.name, Cost())
            priced = asked.calls - asked.unknown
            usd += asked.known_usd / priced if priced else 0.0
            unknown += [] if priced else ["serving: what its provider asks for an answer, of which none has a price yet"]
        watched, answered = self._seen.watching.get(card.name, Cost()), self._seen.since_first(card.name)[0]
        if watched.calls and answered:
            usd += watched.known_usd / answered * share
            unknown += [f"serving: {watched.unknown:,} verdicts of judges"] if watched.unknown else []
        return usd, unknown


def _part(name: str, cost: Cost, what: str) -> Part:
    unknown = f"{cost.unknown:,} of {cost.calls:,} {what}" if cost.unknown else ""
    return Part(name=name, usd=cost.known_usd, what=f"{cost.calls:,} {what}", unknown=unknown)
