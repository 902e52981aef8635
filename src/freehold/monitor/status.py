"""What is known of live traffic at this moment, as the store has it; and what people say about alerts."""

from datetime import UTC, datetime

import msgspec

from freehold.evaluation.alarm import Alarm, Phase
from freehold.monitor import inputs, records
from freehold.monitor.alerts import Alert, close_alert, find, open_alerts
from freehold.monitor.deliver import undelivered
from freehold.monitor.records import CURSOR, INPUTS, Cursor, Floor, Inputs, Quality
from freehold.project import Project
from freehold.store.open import Store


class OfVariant(msgspec.Struct, frozen=True, kw_only=True):
    """The quality of a variant's live answers by one scorer."""

    variant: str
    """Who answered."""
    scorer: str
    """What scored."""
    n: int
    """Scores."""
    mean: float | None
    """Their mean, weighed by how they were drawn."""
    low: float
    """The mean lies above this, at all times together, with probability 0.95,"""
    high: float
    """and below this."""
    phase: Phase
    """Whether its alarm learns, watches, or has gone off."""
    level: float | None
    """What the alarm watches for; None while it learns."""
    evidence: float
    """How near it is to going off, or, gone off, to being over."""
    silent: int
    """Answers without a score since the last that had one."""
    why: str
    """Why the last of those had none."""


class OfCertificate(msgspec.Struct, frozen=True, kw_only=True):
    """What live traffic says of a certificate."""

    policy: str
    """The policy's hash."""
    certificate: str
    """Its certificate."""
    metric: str
    """What the loss is measured by."""
    max_loss: float
    """The floor."""
    calls: int
    """Drawn calls of the policy."""
    share: float | None
    """The share of them that another than the reference answered."""
    pairs: int
    """Of those, how many could be compared."""
    loss: float | None
    """The policy's mean loss as it looks."""
    low: float
    """It is at least this, at all times together, with the certificate's confidence."""
    broken: str
    """Why it is no longer believed; empty while it is."""


class OfTask(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is watched of a task."""

    task: str
    """The task."""
    seen: int
    """Live calls that were read."""
    drawn: int
    """Of them, those that were looked at."""
    quality: tuple[OfVariant, ...]
    """By variant and scorer."""
    inputs: Inputs | None
    """Whether inputs have changed; None before the first look."""
    certificates: tuple[OfCertificate, ...]
    """Those that were served on while it was watched."""
    open: int
    """Alerts that are not over."""


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of all tasks."""

    tasks: tuple[OfTask, ...]
    """Those that were ever watched."""
    spent_today_usd: float
    """What scoring has cost today, UTC, as far as it is known."""
    budget_usd: float
    """What it may."""
    undelivered: tuple[dict[str, object], ...]
    """Messages about alerts that have not arrived."""


def status(project: Project, now: datetime) -> Status:
    """What is known now."""
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return Status(
        tasks=tuple(_of_task(project, task) for task in records.watched_tasks(project.store, project.tenant)),
        spent_today_usd=records.spent_since(project.store, project.tenant, today),
        budget_usd=project.config.monitor.budget_usd,
        undelivered=tuple(undelivered(project.store, project.tenant)),
    )


def accept(store: Store, tenant: str, id: str, by: str, now: datetime) -> Alert:
    """What an alert is about is usual from now on: it is closed, and its watch begins anew. A certificate is not believed again by that.

    Raises CallerError for an alert that is none.
    """
    alert = find(store, tenant, id)
    task, watch = alert.task, alert.watch
    with store.writing() as connection:
        records.read(connection, tenant, task, CURSOR, Cursor, is_held=True)  # no round writes meanwhile
        if alert.what.kind == "quality" and (state := records.read(connection, tenant, task, watch, Quality, is_held=True)):
            anew = msgspec.structs.replace(state, alarm=Alarm(rule=state.alarm.rule))
            records.write(connection, tenant, task, watch, anew, now)
        if alert.what.kind == "inputs" and (seen := records.read(connection, tenant, task, watch, Inputs, is_held=True)):
            records.write(connection, tenant, task, watch, inputs.accepted(seen), now)
        close_alert(connection, tenant, task, watch, f"accepted by {by}", (), now, by)
    return find(store, tenant, alert.id)


def _of_task(project: Project, task: str) -> OfTask:
    store, tenant = project.store, project.tenant
    with store.reading() as connection:
        cursor = records.read(connection, tenant, task, CURSOR, Cursor) or Cursor()
        quality = records.named(connection, tenant, task, "quality ", Quality)
        seen = records.read(connection, tenant, task, INPUTS, Inputs)
        certificates = records.named(connection, tenant, task, "floor ", Floor)
    return OfTask(
        task=task,
        seen=cursor.seen,
        drawn=cursor.drawn,
        quality=tuple(map(_of_variant, quality.values())),
        inputs=seen,
        certificates=tuple(map(_of_certificate, certificates.values())),
        open=open_alerts(store, tenant, task),
    )


def _of_variant(state: Quality) -> OfVariant:
    low, high = state.mean.interval()
    return OfVariant(
        variant=state.variant,
        scorer=state.scorer,
        n=state.mean.n,
        mean=state.mean.mean,
        low=low,
        high=high,
        phase=state.alarm.phase,
        level=None if state.alarm.phase == "learning" else state.alarm.level,
        evidence=state.alarm.detector.evidence,
        silent=state.silent,
        why=state.why,
    )


def _of_certificate(state: Floor) -> OfCertificate:
    return OfCertificate(
        policy=state.policy,
        certificate=state.certificate,
        metric=state.metric,
        max_loss=state.max_loss,
        calls=state.others.n,
        share=state.others.mean,
        pairs=state.loss.n,
        loss=state.estimate,
        low=max(-1.0, state.least),
        broken=state.broken,
    )
