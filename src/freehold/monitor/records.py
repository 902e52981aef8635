"""What watching has in the store: how far each watch has come, and every call that was looked at. Both are written in one transaction, so that
a watch never counts a call twice, and goes on after a kill from exactly where its samples end.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, TypeVar

import msgspec
from sqlalchemy import Connection, func, insert, select, update

from freehold.evaluation.alarm import Alarm
from freehold.evaluation.sequence import Detector, Mean
from freehold.journal.reach import Reach
from freehold.store.open import Store
from freehold.store.schema import looks, watches
from freehold.store.times import microseconds

CURSOR = "cursor"
INPUTS = "inputs"
_S = TypeVar("_S", bound=msgspec.Struct)


class Cursor(msgspec.Struct, frozen=True, kw_only=True):
    """How far a task's calls were read, and who reads them at present."""

    after: int = 0
    """The newest call that was read, by its place in the journal."""
    holder: str = ""
    """The monitor that is at it."""
    until: int = 0
    """Until when the others leave it alone, microseconds since 1970 UTC."""
    seen: int = 0
    """Live calls that were read."""
    drawn: int = 0
    """Of them, those that were looked at."""
    awaited: Reach | None = None
    """Up to where is read once everybody who wrote then has ended; None where nobody is waited for."""


class Quality(msgspec.Struct, frozen=True, kw_only=True):
    """What a scorer says of a variant's live answers, so far."""

    variant: str
    """Who answered."""
    scorer: str
    """What scored."""
    mean: Mean
    """The confidence sequence."""
    alarm: Alarm
    """The alarm for a fall."""
    silent: int = 0
    """Answers without a score since the last one that had one."""
    why: str = ""
    """Why the last of those had none."""


class Inputs(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a task's inputs have changed, as far as one has looked."""

    seen: int = 0
    """Looks so far."""
    upto: int = 0
    """The newest sample that was part of a look, by its place among `looks`."""
    begin: int = 0
    """Samples up to this place are no longer what is usual: somebody said so."""
    usual: int | None = None
    """While an alert is open: the newest sample of what was usual before."""
    evidence: float = 0.0
    """What the looks have come to."""
    p: float | None = None
    """The p-value of the last look."""
    distance: float | None = None
    """How far apart its samples lay."""
    calm: int = 0
    """Looks in a row, while an alert is open, that resemble what was usual."""


class Floor(msgspec.Struct, frozen=True, kw_only=True):
    """What live traffic says of the loss of a certified policy."""

    policy: str
    """Its hash."""
    certificate: str
    """Its certificate."""
    metric: str
    """What the loss is measured by."""
    reference: str
    """What it is a loss against."""
    max_loss: float
    """The floor."""
    others: Mean
    """Of drawn calls, whether another than the reference answered."""
    loss: Mean
    """(1 + paired loss) / 2 of calls that another answered."""
    detector: Detector
    """Evidence that those lose too much of late."""
    said: int = 0
    """The newest feedback that was looked at for pairs, by its place."""
    drawn: int = 0
    """The newest row of a labelling draw, likewise."""
    broken: str = ""
    """Why the certificate is no longer believed; empty while it is."""

    @property
    def least(self) -> float:
        """The policy's mean loss is at least this, at all times together, with the certificate's confidence."""
        return self.others.lower() * (2.0 * self.loss.lower() - 1.0) if self.loss.n else -1.0

    @property
    def estimate(self) -> float | None:
        """The policy's mean loss; None where nothing is known."""
        mean, share = self.loss.mean, self.others.mean
        return None if mean is None or share is None else share * (2.0 * mean - 1.0)


class Look(NamedTuple):
    """One call that was looked at."""

    watch: str
    """By what."""
    call: str
    """Its id."""
    value: float | None
    """What was found; None for nothing."""
    inclusion: float
    """The probability with which it was drawn."""
    cost_usd: float | None = 0.0
    """What looking cost."""
    why: str | None = None
    """Why nothing was found."""


def read(connection: Connection, tenant: str, task: str, name: str, kind: type[_S], is_held: bool = False) -> _S | None:
    """A watch's state; held, nobody else changes it before the transaction ends."""
    w = watches.c
    wanted = select(w.body).where(w.tenant == tenant, w.task == task, w.name == name)
    body = connection.execute(wanted.with_for_update() if is_held else wanted).scalar()
    return None if body is None else msgspec.msgpack.decode(body, type=kind)


def write(connection: Connection, tenant: str, task: str, name: str, state: msgspec.Struct, now: datetime) -> None:
    """Keeps a watch's state."""
    w = watches.c
    values = {"body": msgspec.msgpack.encode(state), "at": microseconds(now)}
    mine = (w.tenant == tenant) & (w.task == task) & (w.name == name)
    if connection.execute(select(w.seq).where(mine)).first() is not None:
        connection.execute(update(watches).where(mine).values(values))
    else:
        connection.execute(insert(watches).values(tenant=tenant, task=task, name=name, **values))


def named(connection: Connection, tenant: str, task: str, beginning: str, kind: type[_S]) -> dict[str, _S]:
    """The states of the watches whose names begin so."""
    w = watches.c
    wanted = (
        select(w.name, w.body).where(w.tenant == tenant, w.task == task, w.name.startswith(beginning, autoescape=True)).order_by(w.name)
    )
    return {name: msgspec.msgpack.decode(body, type=kind) for name, body in connection.execute(wanted)}


def take_in(connection: Connection, tenant: str, task: str, found: Sequence[Look], now: datetime) -> list[Look]:
    """Keeps those looks whose call the watch has not had yet, and gives them. The caller holds the task's cursor."""
    k = looks.c
    known: set[tuple[str, str]] = set()
    for begin in range(0, len(found), 500):
        ids = {look.call for look in found[begin : begin + 500]}
        known |= {
            (row.watch, row.call)
            for row in connection.execute(select(k.watch, k.call).where(k.tenant == tenant, k.task == task, k.call.in_(ids)))
        }
    new = list({(look.watch, look.call): look for look in found if (look.watch, look.call) not in known}.values())
    if new:
        at = microseconds(now)
        connection.execute(insert(looks), [{"tenant": tenant, "task": task, "at": at, **look._asdict()} for look in new])
    return new


def spent_since(store: Store, tenant: str, since: datetime) -> float:
    """What looking has cost since then, as far as it is known."""
    k = looks.c
    with store.reading() as connection:
        wanted = select(func.sum(k.cost_usd)).where(k.tenant == tenant, k.at >= microseconds(since))
        return float(connection.execute(wanted).scalar() or 0.0)


def samples(store: Store, tenant: str, task: str, after: int, upto: int | None = None) -> list[tuple[int, str]]:
    """The calls whose inputs were drawn, by their place, in its order."""
    k = looks.c
    wanted = select(k.seq, k.call).where(k.tenant == tenant, k.task == task, k.watch == INPUTS, k.seq > after)
    wanted = wanted if upto is None else wanted.where(k.seq <= upto)
    with store.reading() as connection:
        return [(seq, call) for seq, call in connection.execute(wanted.order_by(k.seq))]


def watched_tasks(store: Store, tenant: str) -> list[str]:
    """The tasks that were ever watched."""
    w = watches.c
    with store.reading() as connection:
        return list(connection.execute(select(w.task).where(w.tenant == tenant).distinct().order_by(w.task)).scalars())
