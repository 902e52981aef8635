"""Alerts: raised once, told once to each channel, acknowledged by a person, closed when it is over. A watch has one that is open at most."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, TypeAlias

import msgspec
from sqlalchemy import Connection, func, insert, select, update

from freehold.errors import CallerError, nearest
from freehold.journal.rows import digest_of
from freehold.store.open import Store
from freehold.store.schema import alerts, deliveries
from freehold.store.times import microseconds, moment

Kind: TypeAlias = Literal["quality", "inputs", "certificate", "scorer"]


class What(msgspec.Struct, frozen=True, kw_only=True):
    """What an alert says. No words of anybody's calls are in it."""

    kind: Kind
    """`quality`: a fall; `inputs`: they have changed; `certificate`: one was withdrawn; `scorer`: one is silent."""
    text: str
    """In a sentence or two."""
    numbers: dict[str, float | str] = {}
    """What it rests on."""


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """An alert, as the store has it."""

    id: str
    """Its name."""
    task: str
    """The task it is about."""
    watch: str
    """What raised it."""
    state: Literal["open", "acknowledged", "closed"]
    """Whether it is over, or somebody is at it."""
    opened: datetime
    """When it was raised."""
    acknowledged: datetime | None
    """When somebody said that they had seen it."""
    closed: datetime | None
    """When it was over."""
    what: What
    """What it says."""
    by: str | None = None
    """Who acknowledged it, or accepted what it is about."""
    over: str = ""
    """Why it was closed."""


class _Body(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    what: What
    by: str | None = None
    over: str = ""


def open_of(connection: Connection, tenant: str, task: str, watch: str) -> str | None:
    """The id of a watch's open alert."""
    a = alerts.c
    mine = (a.tenant == tenant) & (a.task == task) & (a.watch == watch) & (a.is_open == 1)
    found: str | None = connection.execute(select(a.id).where(mine)).scalar()
    return found


def raise_alert(
    connection: Connection, tenant: str, task: str, watch: str, what: What, channels: Sequence[str], now: datetime
) -> str | None:
    """Raises an alert and has it told, unless the watch has one open; its id. The caller holds the task's cursor."""
    if open_of(connection, tenant, task, watch) is not None:
        return None
    a = alerts.c
    mine = (a.tenant == tenant) & (a.task == task) & (a.watch == watch)
    earlier = connection.execute(select(func.count()).select_from(alerts).where(mine)).scalar_one()
    id = digest_of([tenant, task, watch, earlier])[:12]
    row = {"id": id, "tenant": tenant, "task": task, "watch": watch, "is_open": 1, "opened": microseconds(now)}
    connection.execute(insert(alerts).values(**row, body=msgspec.json.encode(_Body(what=what))))
    _tell(connection, tenant, id, "opened", channels, now)
    return id


def close_alert(
    connection: Connection, tenant: str, task: str, watch: str, over: str, channels: Sequence[str], now: datetime, by: str | None = None
) -> str | None:
    """Closes a watch's open alert, if it has one, and has that told; its id."""
    id = open_of(connection, tenant, task, watch)
    if id is None:
        return None
    body = msgspec.json.decode(connection.execute(select(alerts.c.body).where(alerts.c.id == id)).scalar_one(), type=_Body)
    said = msgspec.structs.replace(body, over=over, by=by or body.by)
    values: dict[str, Any] = {"is_open": None, "closed": microseconds(now), "body": msgspec.json.encode(said)}
    connection.execute(update(alerts).where(alerts.c.id == id).values(values))
    _tell(connection, tenant, id, "closed", channels, now)
    return id


def acknowledge(store: Store, tenant: str, id: str, by: str, now: datetime) -> Alert:
    """Notes that somebody has seen it. Raises CallerError for one that is none, or is over."""
    alert = find(store, tenant, id)
    if alert.state == "closed":
        raise CallerError(f"Alert {alert.id} is over since {alert.closed}; there is nothing to acknowledge.")
    with store.writing() as connection:
        a = alerts.c
        body = msgspec.json.encode(_Body(what=alert.what, by=alert.by or by))
        still_open = (a.id == alert.id) & (a.is_open == 1) & a.acknowledged.is_(None)
        connection.execute(update(alerts).where(still_open).values(acknowledged=microseconds(now), body=body))
    return find(store, tenant, alert.id)


def listed(store: Store, tenant: str, task: str | None = None, all: bool = False) -> list[Alert]:
    """The alerts that are not over, or all, the newest first."""
    a = alerts.c
    wanted = select(alerts).where(a.tenant == tenant).order_by(a.seq.desc())
    wanted = wanted if task is None else wanted.where(a.task == task)
    wanted = wanted if all else wanted.where(a.is_open == 1)
    with store.reading() as connection:
        return [_alert(row) for row in connection.execute(wanted)]


def find(store: Store, tenant: str, beginning: str) -> Alert:
    """The alert whose id begins so. Raises CallerError where there is none or several."""
    known = {alert.id: alert for alert in listed(store, tenant, all=True)}
    found = [alert for id, alert in known.items() if id.startswith(beginning)]
    if not found:
        raise CallerError(f"There is no alert '{beginning}'.{nearest(beginning, list(known))}")
    if len(found) > 1:
        raise CallerError(f"'{beginning}' begins the ids of {len(found)} alerts. Say more of it.")
    return found[0]


def open_alerts(store: Store, tenant: str, task: str | None = None) -> int:
    """How many are not over, of a task or of all."""
    a = alerts.c
    wanted = select(func.count()).select_from(alerts).where(a.tenant == tenant, a.is_open == 1)
    with store.reading() as connection:
        return int(connection.execute(wanted if task is None else wanted.where(a.task == task)).scalar_one())


def _tell(connection: Connection, tenant: str, id: str, event: str, channels: Sequence[str], now: datetime) -> None:
    rows = [
        {"tenant": tenant, "alert": id, "event": event, "channel": channel, "state": "due", "tries": 0, "due": microseconds(now)}
        for channel in channels
    ]
    if rows:
        connection.execute(insert(deliveries), rows)


def _alert(row: Any) -> Alert:
    body = msgspec.json.decode(row.body, type=_Body)
    return Alert(
        id=row.id,
        task=row.task,
        watch=row.watch,
        state="closed" if row.is_open is None else "open" if row.acknowledged is None else "acknowledged",
        opened=moment(row.opened),
        acknowledged=None if row.acknowledged is None else moment(row.acknowledged),
        closed=None if row.closed is None else moment(row.closed),
        what=body.what,
        by=body.by,
        over=body.over,
    )
