"""Runs in the store: what is under way and how far it is, for people who look, and for a word to stop."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Literal, TypeAlias

import msgspec
from sqlalchemy import bindparam, case, insert, select, update

from freehold.errors import CallerError, nearest
from freehold.journal.read import calls_by_episode, slices
from freehold.pipelines.run import Progress, RunKind, Steps
from freehold.store.open import Store
from freehold.store.schema import runs
from freehold.store.times import microseconds, moment

State: TypeAlias = Literal["running", "cancelling", "done", "failed", "cancelled", "lost"]
"""`lost`: nobody has heard of it for a minute, so that its process is gone."""
LOST_S = 60.0
_WANTS_TO_STOP = (runs.c.state == "cancelling") & (bindparam("new_state") == "running")  # which was said in the meantime, and holds
_GO_ON = (
    update(runs)
    .where(runs.c.tenant == bindparam("new_tenant"), runs.c.id == bindparam("new_id"))
    .values(
        {name: bindparam(f"new_{name}") for name in ("kind", "name", "begun", "seen", "body")}
        | {"state": case((_WANTS_TO_STOP, "cancelling"), else_=bindparam("new_state"))}
    )
)


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """A run, as the store has it."""

    id: str
    """Its name, which is its episode's too."""
    kind: RunKind
    """What sort of run."""
    name: str
    """What runs."""
    state: State
    """Whether it runs still."""
    begun: datetime
    """Since when."""
    seen: datetime
    """When it was last heard of."""
    progress: Progress
    """How far it is."""


def see(store: Store, tenant: str, seen: Sequence[Recorded]) -> set[str]:
    """Notes how far these runs are, each once, in one transaction. Gives the ids of those that somebody wants to stop."""
    rows = [
        {
            "tenant": tenant, "id": run.id, "kind": run.kind, "name": run.name, "state": run.state, "begun": microseconds(run.begun),
            "seen": microseconds(run.seen), "body": msgspec.json.encode(run.progress),
        }
        for run in seen
    ]  # fmt: skip
    ids = [run.id for run in seen]
    with store.writing() as connection:
        among = [runs.c.id.in_(some) for some in slices(ids)]
        states = {
            id: state
            for some in among
            for id, state in connection.execute(select(runs.c.id, runs.c.state).where(runs.c.tenant == tenant, some))
        }
        if new := [row for row in rows if row["id"] not in states]:
            connection.execute(insert(runs), new)
        if known := [{f"new_{name}": value for name, value in row.items()} for row in rows if row["id"] in states]:
            connection.execute(_GO_ON, known)
    return {id for id, state in states.items() if state == "cancelling"}


def cancel(store: Store, tenant: str, id: str, now: datetime) -> Recorded:
    """Asks a run to stop, by its id or the beginning of it. Raises CallerError for one that is none, or is over."""
    run = find(store, tenant, id, now)
    if run.state not in ("running", "cancelling"):
        raise CallerError(f"Run {run.id} of '{run.name}' is {run.state} already.")
    with store.writing() as connection:
        mine = (runs.c.tenant == tenant) & (runs.c.id == run.id) & runs.c.state.in_(("running", "cancelling"))
        connection.execute(update(runs).where(mine).values(state="cancelling"))
    return msgspec.structs.replace(run, state="cancelling")


def known_run(store: Store, tenant: str, id: str) -> Recorded | None:
    """The run of exactly that id; None where there is none."""
    with store.reading() as connection:
        row = connection.execute(select(runs).where(runs.c.tenant == tenant, runs.c.id == id)).first()
    return None if row is None else _recorded(row, row.state)


def known_steps(store: Store, tenant: str, episodes: Collection[str]) -> dict[str, Steps]:
    """What the journal has of runs that were broken off, by episode; those of which it has nothing are left out."""
    return {episode: Steps(calls) for episode, calls in calls_by_episode(store, tenant, list(episodes)).items()}


def find(store: Store, tenant: str, id: str, now: datetime) -> Recorded:
    """The run of that id, or of an id that begins so. Raises CallerError for none, and for several."""
    fits = [run for run in listed(store, tenant, now) if run.id.startswith(id)]
    fits = [run for run in fits if run.id == id] or fits
    if len(fits) != 1:
        known = [run.id for run in listed(store, tenant, now)[:12]]
        raise CallerError(f"{'Several runs begin' if fits else 'No run begins'} with '{id[:80]}'.{nearest(id, known)}")
    return fits[0]


def listed(store: Store, tenant: str, now: datetime, most: int = 1_000) -> list[Recorded]:
    """The runs, the newest first."""
    wanted = select(runs).where(runs.c.tenant == tenant).order_by(runs.c.begun.desc()).limit(most)
    with store.reading() as connection:
        return [
            _recorded(
                row, "lost" if row.state in ("running", "cancelling") and (now - moment(row.seen)).total_seconds() > LOST_S else row.state
            )
            for row in connection.execute(wanted)
        ]


def _recorded(row: Any, state: State) -> Recorded:
    return Recorded(
        id=row.id,
        kind=row.kind,
        name=row.name,
        state=state,
        begun=moment(row.begun),
        seen=moment(row.seen),
        progress=msgspec.json.decode(row.body, type=Progress),
    )
