"""The monitor: a round for every task, then whoever has to be told is told, again and again until it is stopped."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from freehold.errors import CallerError, FreeholdError, nearest
from freehold.evaluation.scorer import Scorer
from freehold.monitor.deliver import Report, Send, deliver
from freehold.monitor.round import Round, Told, Watched, new_holder, watch
from freehold.project import Project
from freehold.tables import WatchTable

JUDGE = "judge:"
"""What the names of scorers begin with that ask a model for its opinion."""
_log = logging.getLogger("freehold.monitor")


class Rounds(msgspec.Struct, frozen=True, kw_only=True):
    """What one round did."""

    tasks: tuple[Told, ...]
    """For each task."""
    failed: dict[str, str]
    """Why it failed for some, by task."""
    sent: int
    """Messages about alerts that arrived."""
    unsent: int
    """Messages that did not, or not yet."""


def tasks_of(project: Project, wanted: Sequence[str] = ()) -> list[str]:
    """The tasks to watch: those named, or all of freehold.toml. Raises CallerError for one that is not there."""
    known = list(project.config.tasks)
    for name in wanted:
        if name not in known:
            raise CallerError(f"There is no task '{name}' in freehold.toml.{nearest(name, known)}")
    return list(wanted) or known


def rounds_of(project: Project, scorers: Callable[[Sequence[str]], Sequence[Scorer]], clock: Callable[[], datetime]) -> Round:
    """What a monitor's rounds take. `scorers`: makes them by name."""
    made: dict[tuple[str, ...], list[Watched]] = {}

    def of(table: WatchTable) -> list[Watched]:
        if table.scorers not in made:
            each = [_one(project, spec, scorer) for spec, scorer in zip(table.scorers, scorers(table.scorers), strict=True)]
            made[table.scorers] = each
        return made[table.scorers]

    return Round(project.store, project.tenant, project.config.monitor, of, project.catalog.metric, clock, new_holder())


def _one(project: Project, spec: str, scorer: Scorer) -> Watched:
    table = project.config.scorers.get(spec)
    return Watched(scorer, (table.kind if table is not None else spec).startswith(JUDGE) or scorer.metric.id.startswith(JUDGE))


async def once(project: Project, round: Round, tasks: Sequence[str], senders: Mapping[str, Send]) -> Rounds:
    """One round. What fails for one task, such as a scorer of a package that is gone, keeps no other from being watched."""
    told, failed = [], {}
    for name in tasks:
        try:
            told.append(await watch(round, project.task(name)))
        except FreeholdError as error:
            failed[name] = str(error)
            _log.error("monitor.failed: task '%s': %s", name, error)
    try:
        report = await asyncio.to_thread(deliver, round.store, round.tenant, senders, round.clock)
    except FreeholdError as error:
        report = Report(0, 0)
        _log.error("monitor.untold: %s", error)
    return Rounds(tasks=tuple(told), failed=failed, sent=report.sent, unsent=report.failed)


async def forever(
    project: Project, round: Round, tasks: Sequence[str], senders: Mapping[str, Send], every_s: float, tell: Callable[[Rounds], None]
) -> None:
    """Round after round, the next `every_s` after the last began, until SIGTERM or Ctrl-C, which let a round that is under way end."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for sig in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(sig, stop.set)
    try:
        while not stop.is_set():
            due = loop.time() + every_s
            tell(await once(project, round, tasks, senders))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), max(0.0, due - loop.time()))
    finally:
        for sig in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(sig)


def now() -> datetime:
    """The time."""
    return datetime.now(UTC)
