"""One round for one task: read the calls that arrived, draw, score, take in, raise and close alerts, withdraw.

Everything a batch of calls changes is written in one transaction with the place up to which calls were read. So a round that is killed leaves
nothing behind but what its judges cost, and is done again with the same draws; and of two monitors one has a task at a time.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import uuid4

import msgspec
from sqlalchemy import Connection

from freehold.catalog import AGREEMENT, Metric, Task
from freehold.errors import CallerError, FreeholdError
from freehold.evaluation.alarm import Alarm, Change, Rule
from freehold.evaluation.scorer import Scorer
from freehold.evaluation.sequence import Mean
from freehold.journal.call import Call
from freehold.journal.reach import Reach, settled
from freehold.journal.read import arrived
from freehold.monitor import floor as floors
from freehold.monitor import inputs, records
from freehold.monitor.alerts import What, close_alert, raise_alert
from freehold.monitor.deliver import channels_of
from freehold.monitor.records import CURSOR, INPUTS, Cursor, Floor, Look, Quality
from freehold.monitor.sample import ANSWERED, LIVE, chance, drawn
from freehold.promotion.gate import active_hash, withdraw
from freehold.store.open import Store
from freehold.store.times import microseconds
from freehold.tables import MonitorTable, WatchTable

BATCH = 1_000
"""Calls that are read at one time."""
WHO = "monitor"
"""Who withdraws certificates, in the history of policies."""
_HOLD_S = 300.0
_AT_ONCE = 8
_SILENT = 20
"""Answers without a score in a row after which a scorer counts as silent."""
_ALPHA = 0.05
_log = logging.getLogger("freehold.monitor")


class Watched(NamedTuple):
    """A scorer, and whether it asks a model."""

    scorer: Scorer
    is_judge: bool
    """A judge steers and alerts, and withdraws nothing; it rests where the day's budget is spent."""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What a round did for a task."""

    task: str
    """The task."""
    seen: int = 0
    """Live calls that were read."""
    drawn: int = 0
    """Of them, those that were looked at."""
    scored: int = 0
    """Scores that were taken in."""
    raised: tuple[str, ...] = ()
    """Ids of alerts."""
    closed: tuple[str, ...] = ()
    """Ids of alerts that are over."""
    withdrawn: str | None = None
    """The policy that was withdrawn."""
    is_elsewhere: bool = False
    """Whether another monitor is at this task."""


@dataclass(frozen=True, slots=True)
class Round:
    """What a round takes."""

    store: Store
    tenant: str
    table: MonitorTable
    scorers: Callable[[WatchTable], Sequence[Watched]]
    """The scorers of a task."""
    metric: Callable[[str], Metric]
    """A metric by name."""
    clock: Callable[[], datetime]
    holder: str = ""
    """The monitor's own name."""
    wait_s: float = 1.0
    """How long it is waited at most for those who write at this moment; what they write is else the next round's."""


def new_holder() -> str:
    """A name for a monitor."""
    return uuid4().hex[:12]


async def watch(round: Round, task: Task) -> Told:
    """Takes in everything that has arrived for a task. Raises OperatorError where the store fails, CallerError for an unknown scorer."""
    told = Told(task=task.id)
    watched = round.scorers(_table(round, task))
    while True:
        cursor = _claimed(round, task.id)
        if cursor is None:
            return msgspec.structs.replace(told, is_elsewhere=True)
        reach, awaited = None, cursor.awaited
        try:
            reach, awaited = await settled(round.store, cursor.awaited, round.clock(), round.wait_s)
            if reach is not None:
                batch, upto = await asyncio.to_thread(arrived, round.store, round.tenant, task.id, cursor.after, reach.calls, BATCH)
                told = await _take(round, task, watched, cursor, batch, upto, reach, told)
        finally:
            _released(round, task.id, awaited)
        if reach is None or len(batch) < BATCH:
            break
    channels = channels_of(round.table)
    while await asyncio.to_thread(inputs.look, round.store, round.tenant, task.id, channels, round.clock()):
        pass
    return _withdrawn(round, task, told)


async def _take(
    round: Round, task: Task, watched: Sequence[Watched], cursor: Cursor, batch: Sequence[Call], upto: int, reach: Reach, told: Told
) -> Told:
    """One batch: what is found of it, then all of it written at once."""
    table = _table(round, task)
    live = [call for call in batch if call.source in LIVE]
    p = chance(len(live), table.share or round.table.share, table.most or round.table.most)
    chosen = drawn(round.tenant, live, p)
    today = round.clock().astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    is_spent = records.spent_since(round.store, round.tenant, today) >= round.table.budget_usd
    looks = await _scored([each for each in watched if not (is_spent and each.is_judge)], chosen, p)
    asked = [call for call in chosen if call.source in ANSWERED]
    looks += [Look(INPUTS, call.id, None, p) for call in asked]
    floor, pairs, news = await _floor(round, task, watched, batch, reach)
    after = msgspec.structs.replace(cursor, after=upto, seen=cursor.seen + len(live), drawn=cursor.drawn + len(chosen))
    variants = {call.id: call.variant for call in chosen}
    now = round.clock()
    raised: list[str | None] = []
    closed: list[str | None] = []
    with round.store.writing() as connection:
        held = records.read(connection, round.tenant, task.id, CURSOR, Cursor, is_held=True)
        if held is None or held.holder != round.holder or held.after != cursor.after:
            return told  # it took so long that another monitor went on from here: what we found is that one's to find
        new = records.take_in(connection, round.tenant, task.id, looks, now)
        by_watch: dict[tuple[str, str], list[Look]] = defaultdict(list)
        for look in new:
            if look.watch != INPUTS:
                by_watch[variants[look.call], look.watch].append(look)
        for (variant, scorer), some in by_watch.items():
            _take_scores(round, connection, task, variant, scorer.removeprefix("score "), some, raised, closed)
        if floor is not None:
            _take_pairs(round, connection, task, floor, pairs, news, asked, raised, closed)
        records.write(connection, round.tenant, task.id, CURSOR, after, now)
    return msgspec.structs.replace(
        told,
        seen=told.seen + len(live),
        drawn=told.drawn + len(chosen),
        scored=told.scored + sum(look.value is not None for look in new),
        raised=(*told.raised, *(id for id in raised if id)),
        closed=(*told.closed, *(id for id in closed if id)),
    )


async def _scored(watched: Sequence[Watched], chosen: Sequence[Call], p: float) -> list[Look]:
    """Every scorer's word on every drawn answer, several at one time. An answer that was not given has no score of a scorer."""
    turn = asyncio.Semaphore(_AT_ONCE)

    async def look(each: Watched, call: Call) -> Look:
        async with turn:
            said = await each.scorer.score(floors.case_of(call))
        name, value, why = f"score {each.scorer.metric.id}", None, said.why[:300]
        if said.value is not None:
            try:
                value, why = each.scorer.metric.unit(said.value), ""
            except CallerError as error:
                why = str(error)[:300]
        return Look(name, call.id, value, p, said.cost_usd, why or None if value is None else None)

    answered = [call for call in chosen if call.outcome == "answered"]
    return list(await asyncio.gather(*(look(each, call) for call in answered for each in watched)))


async def _floor(
    round: Round, task: Task, watched: Sequence[Watched], batch: Sequence[Call], reach: Reach
) -> tuple[Floor | None, list[floors.Pair], floors.News]:
    """The watch over the active policy's certificate, and the pairs that have come about; None where no certificate is served on."""
    nothing = floors.News({}, 0, 0)
    certificate = floors.certified(round.store, round.tenant, task.id)
    if certificate is None:
        return None, [], nothing
    begun = floors.begun(certificate)
    with round.store.reading() as connection:
        floor = records.read(connection, round.tenant, task.id, floors.name_of(begun), Floor) or begun
    metric = round.metric(floor.metric)
    scorer = next((e.scorer for e in watched if e.scorer.metric.id == metric.id and e.scorer.metric.deterministic and not e.is_judge), None)
    by_rule = metric.id == AGREEMENT or scorer is not None
    found = floors.news(round.store, round.tenant, task.id, floor, batch, by_rule, reach)
    return floor, await floors.pairs(round.store, round.tenant, task.id, floor, metric, found, by_rule, scorer), found


def _take_scores(
    round: Round,
    connection: Connection,
    task: Task,
    variant: str,
    scorer: str,
    looks: Sequence[Look],
    raised: list[str | None],
    closed: list[str | None],
) -> None:
    """A variant's new scores into its sequence and its alarm."""
    name, now, channels = f"quality {variant} {scorer}", round.clock(), channels_of(round.table)
    rule = Rule(run_length=round.table.run_length, learn=round.table.learn, level=_table(round, task).level)
    state = records.read(connection, round.tenant, task.id, name, Quality)
    if state is None:
        state = Quality(variant=variant, scorer=scorer, mean=Mean(alpha=_ALPHA), alarm=Alarm(rule=rule))
    if state.alarm.rule != rule:  # asked for otherwise since
        closed.append(close_alert(connection, round.tenant, task.id, name, "the alarm was set anew", channels, now))
        state = msgspec.structs.replace(state, alarm=Alarm(rule=rule))
    scored = [(look.value, 1.0 / look.inclusion) for look in looks if look.value is not None]
    mean = state.mean.with_scores([value for value, _ in scored], [weight for _, weight in scored])
    alarm, changes = state.alarm.with_scores([value for value, _ in scored])
    silent, why = state.silent, state.why
    for look in looks:
        silent, why = (silent + 1, look.why or "") if look.value is None else (0, "")
    state = msgspec.structs.replace(state, mean=mean, alarm=alarm, silent=silent, why=why)
    for change in changes:
        if change.phase == "raised":
            raised.append(raise_alert(connection, round.tenant, task.id, name, _fall(state, change), channels, now))
        else:
            over = f"{change.after:,} scores since say that the mean is above {state.alarm.level:.3f} again"
            closed.append(close_alert(connection, round.tenant, task.id, name, over, channels, now))
    if silent >= _SILENT:
        raised.append(raise_alert(connection, round.tenant, task.id, f"silent {variant} {scorer}", _silence(state), channels, now))
    elif scored:
        over = "it scores again"
        closed.append(close_alert(connection, round.tenant, task.id, f"silent {variant} {scorer}", over, channels, now))
    records.write(connection, round.tenant, task.id, name, state, now)


def _take_pairs(
    round: Round,
    connection: Connection,
    task: Task,
    before: Floor,
    pairs: Sequence[floors.Pair],
    news: floors.News,
    asked: Sequence[Call],
    raised: list[str | None],
    closed: list[str | None],
) -> None:
    """New pairs into the watch over a certificate, and those over earlier ones closed."""
    name, now, channels = floors.name_of(before), round.clock(), channels_of(round.table)
    state = records.read(connection, round.tenant, task.id, name, Floor, is_held=True) or before
    looks = [Look(name, pair.call, pair.loss, pair.inclusion) for pair in pairs]
    new = records.take_in(connection, round.tenant, task.id, looks, now)
    state = floors.with_pairs(floors.with_calls(state, asked), new, round.table.run_length)
    state = msgspec.structs.replace(state, said=news.said, drawn=news.drawn)
    for other in records.named(connection, round.tenant, task.id, "floor ", Floor):
        if other != name:
            over = f"another certificate is served on, {state.certificate[:12]}"
            closed.append(close_alert(connection, round.tenant, task.id, other, over, channels, now))
    if state.broken:
        raised.append(raise_alert(connection, round.tenant, task.id, name, _broken(state, task), channels, now))
    records.write(connection, round.tenant, task.id, name, state, now)


def _withdrawn(round: Round, task: Task, told: Told) -> Told:
    """Withdraws the active policy where its certificate is no longer believed: said by the store, so that a kill in between changes nothing."""
    certificate = floors.certified(round.store, round.tenant, task.id)
    if certificate is None or task.allow_uncertified:
        return told
    with round.store.reading() as connection:
        state = records.read(connection, round.tenant, task.id, floors.name_of(floors.begun(certificate)), Floor)
    if state is None or not state.broken or active_hash(round.store, round.tenant, task.id) != state.policy:
        return told
    if not withdraw(round.store, round.tenant, task.id, state.policy, WHO, state.broken, round.clock()):
        return told
    _log.error("certificate.withdrawn: policy %s of task '%s' is served no longer: %s", state.policy[:12], task.id, state.broken)
    return msgspec.structs.replace(told, withdrawn=state.policy)


def _claimed(round: Round, task: str) -> Cursor | None:
    """The task's cursor, ours for a while; None where another monitor has it."""
    now = round.clock()
    row = (round.tenant, task, CURSOR, microseconds(now), msgspec.msgpack.encode(Cursor()))
    with round.store.writing() as connection:
        round.store.insert_new(connection, "watches", ("tenant", "task", "name", "at", "body"), "tenant, task, name", [row])
        cursor = records.read(connection, round.tenant, task, CURSOR, Cursor, is_held=True) or Cursor()
        if cursor.holder not in ("", round.holder) and cursor.until > microseconds(now):
            return None
        mine = msgspec.structs.replace(cursor, holder=round.holder, until=microseconds(now) + int(_HOLD_S * 1e6))
        records.write(connection, round.tenant, task, CURSOR, mine, now)
    return mine


def _released(round: Round, task: str, awaited: Reach | None) -> None:
    try:
        with round.store.writing() as connection:
            cursor = records.read(connection, round.tenant, task, CURSOR, Cursor, is_held=True)
            if cursor is not None and cursor.holder == round.holder:
                records.write(
                    connection, round.tenant, task, CURSOR, msgspec.structs.replace(cursor, until=0, awaited=awaited), round.clock()
                )
    except FreeholdError as error:  # it ends by itself
        _log.warning("monitor.unreleased: task '%s' is left alone until its time is over: %s", task, error)


def _table(round: Round, task: Task) -> WatchTable:
    return round.table.tasks.get(task.id, WatchTable())


def _fall(state: Quality, change: Change) -> What:
    low, high = state.mean.interval()
    return What(
        kind="quality",
        text=(
            f"The quality of '{state.variant}' by '{state.scorer}' has fallen below {state.alarm.level:.3f}: the last {change.after:,} scores or "
            f"fewer are evidence of {change.evidence:,.0f}, which takes {state.alarm.rule.run_length:,.0f} scores or more by chance."
        ),
        numbers={
            "level": state.alarm.level,
            "scores": float(state.mean.n),
            "mean of all": state.mean.mean or 0.0,
            "its interval": f"[{low:.3f}, {high:.3f}]",
        },
    )


def _silence(state: Quality) -> What:
    return What(
        kind="scorer",
        text=f"'{state.scorer}' has no score of the last {state.silent} answers of '{state.variant}' or more: nobody watches their quality.",
        numbers={"answers": float(state.silent)},
    )


def _broken(state: Floor, task: Task) -> What:
    then = "it is allowed uncertified, and stays" if task.allow_uncertified else f"the reference '{state.reference}' answers from now on"
    return What(
        kind="certificate",
        text=f"Policy {state.policy[:12]} is no longer believed to keep its floor: {state.broken}; {then}.",
        numbers={
            "floor": state.max_loss,
            "loss": state.estimate or 0.0,
            "lower bound": state.least,
            "pairs": float(state.loss.n),
            "certificate": state.certificate,
        },
    )
