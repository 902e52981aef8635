"""Evaluations in the store, and the single scores of each as one Parquet file beside it, readable by its owner alone.

The file has items by name and why they were scored as they were, which may quote what somebody said: it is what erasing a person has to
look into. The row in the store has sums, and reasons that were counted.
"""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from sqlalchemy import delete, insert, select, update

from freehold.errors import CallerError, DataError, nearest
from freehold.evaluation.result import Asked, Evaluation, Part, Side, Targets
from freehold.evaluation.table import Table
from freehold.store.files import private_file
from freehold.store.open import Store
from freehold.store.schema import evaluations
from freehold.store.times import microseconds, moment

FOLDER = "evaluations"
"""Where single scores lie, below the project's folder."""


class Row(NamedTuple):
    """An evaluation as the store has it."""

    id: str
    task: str
    state: str
    """`running`, or `done` once it has said everything."""
    begun: datetime
    asked: Asked
    targets: Targets | None
    targets_hash: str | None
    targets_at: datetime | None
    result: Evaluation | None


def begin(store: Store, tenant: str, id: str, asked: Asked, asked_hash: str, now: datetime) -> None:
    """Keeps that an evaluation has begun; one that is gone on with stays as it is."""
    e = evaluations.c
    with store.writing() as connection:
        if connection.execute(select(e.id).where(e.tenant == tenant, e.id == id)).first() is None:
            connection.execute(
                insert(evaluations).values(
                    tenant=tenant,
                    id=id,
                    task=asked.task,
                    state="running",
                    begun=microseconds(now),
                    asked_hash=asked_hash,
                    asked=msgspec.json.encode(asked),
                )
            )


def unfinished(store: Store, tenant: str, asked_hash: str) -> str | None:
    """The id of the newest evaluation that was asked for the same and did not end."""
    e = evaluations.c
    wanted = select(e.id).where(e.tenant == tenant, e.asked_hash == asked_hash, e.state == "running").order_by(e.seq.desc()).limit(1)
    with store.reading() as connection:
        found: str | None = connection.execute(wanted).scalar()
    return found


def fix(store: Store, tenant: str, id: str, targets: Targets, hash: str, now: datetime) -> tuple[datetime, int]:
    """Keeps targets before anybody looks at what is to confirm them; targets that are kept already stay, with their time.

    Gives when that was, and how many different lists this data was asked about, this one included.
    """
    e = evaluations.c
    with store.writing() as connection:
        known = connection.execute(select(e.targets_hash, e.targets_at).where(e.tenant == tenant, e.id == id)).one()
        at = moment(known.targets_at) if known.targets_hash == hash else now
        connection.execute(
            update(evaluations)
            .where(e.tenant == tenant, e.id == id)
            .values(targets=msgspec.json.encode(targets), targets_hash=hash, targets_at=microseconds(at), data=targets.data)
        )
        kept = connection.execute(select(e.targets).where(e.tenant == tenant, e.data == targets.data).order_by(e.seq)).scalars()
        lists = list(dict.fromkeys(_claims(msgspec.json.decode(each, type=Targets)) for each in kept))
    return at, lists.index(_claims(targets)) + 1


def _claims(targets: Targets) -> bytes:
    """What the confirming part is asked about: what a build requires besides is no claim."""
    return msgspec.json.encode(msgspec.structs.replace(targets, requirements=()))


def finish(store: Store, tenant: str, evaluation: Evaluation) -> None:
    """Keeps what an evaluation said."""
    e = evaluations.c
    with store.writing() as connection:
        connection.execute(
            update(evaluations)
            .where(e.tenant == tenant, e.id == evaluation.id)
            .values(state="done", ended=microseconds(evaluation.ended), body=msgspec.json.encode(evaluation))
        )


def rows(store: Store, tenant: str, task: str | None = None, limit: int | None = None) -> list[Row]:
    """Evaluations, the newest first."""
    e = evaluations.c
    wanted = select(evaluations).where(e.tenant == tenant).order_by(e.seq.desc())
    wanted = wanted if task is None else wanted.where(e.task == task)
    with store.reading() as connection:
        found = connection.execute(wanted if limit is None else wanted.limit(limit)).all()
    return [
        Row(
            row.id,
            row.task,
            row.state,
            moment(row.begun),
            msgspec.json.decode(row.asked, type=Asked),
            None if row.targets is None else msgspec.json.decode(row.targets, type=Targets),
            row.targets_hash,
            None if row.targets_at is None else moment(row.targets_at),
            None if row.body is None else msgspec.json.decode(row.body, type=Evaluation),
        )
        for row in found
    ]


def find(store: Store, tenant: str, id: str) -> Evaluation:
    """The finished evaluation whose id begins so. Raises CallerError where there is none, or several."""
    known = rows(store, tenant)
    found = [row for row in known if row.id.startswith(id)] if id else []
    if len(found) > 1 and not any(row.id == id for row in found):
        raise CallerError(f"Several evaluations begin with '{id}': {', '.join(row.id for row in found[:5])}. Say more of it.")
    found = [row for row in found if row.id == id] or found
    if not found:
        raise CallerError(f"There is no evaluation '{id}'.{nearest(id, [row.id for row in known])} 'freehold evaluate list' shows them.")
    if found[0].result is None:
        raise CallerError(f"Evaluation {found[0].id} has not ended. Run the same command again with --resume to go on with it.")
    return found[0].result


# Single scores.


class Single(NamedTuple):
    """One score of one answer."""

    item: str
    group: int
    variant: str
    scorer: str
    score: float | None
    why: str
    part: str
    """`choose` or `confirm`."""
    call: str | None


def path_of(folder: Path, id: str) -> Path:
    """Where the single scores of an evaluation lie."""
    return folder / FOLDER / f"{id}.parquet"


def write(folder: Path, id: str, table: Table, call_NV: "np.ndarray[tuple[int, int], np.dtype[np.object_]]") -> Path:
    """Writes single scores, in order of scorer, item and variant."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    scorers, count, variants = len(table.metrics), len(table), len(table.variants)
    per_scorer = count * variants
    score = table.score_SNV.reshape(-1)
    columns: dict[str, object] = {
        "item": pa.array(np.tile(np.repeat(np.array(table.items, dtype=object), variants), scorers), pa.string()).dictionary_encode(),
        "group": np.tile(np.repeat(table.group_N, variants), scorers),
        "variant": pa.array(np.tile(np.array(table.variants, dtype=object), count * scorers), pa.string()).dictionary_encode(),
        "scorer": pa.array(np.repeat([metric.id for metric in table.metrics], per_scorer), pa.string()).dictionary_encode(),
        "score": pa.array(score, pa.float64(), mask=np.isnan(score)),
        "why": pa.array([str(why or "") for why in table.why_SNV.reshape(-1)], pa.string()),
        "part": pa.array(
            np.tile(np.repeat(np.where(table.selects_N, "choose", "confirm"), variants), scorers), pa.string()
        ).dictionary_encode(),
        "call": pa.array(np.tile(call_NV.reshape(-1), scorers), pa.string()),
    }
    path = path_of(folder, id)
    with private_file(path) as file:
        pq.write_table(pa.table(columns), file, compression="zstd")
    return path


def singles(folder: Path, id: str) -> list[Single]:
    """Every single score of an evaluation. Raises DataError where the file is gone or damaged."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = path_of(folder, id)
    try:
        table = pq.read_table(path)
        return [Single(**row) for row in table.to_pylist()]
    except FileNotFoundError:
        raise DataError(f"The single scores {path} are missing. Restore them from a backup, or evaluate again.") from None
    except (OSError, pa.ArrowException, TypeError) as error:
        raise DataError(f"The single scores {path} cannot be read: {error}. Restore them from a backup, or evaluate again.") from None


class Removed(NamedTuple):
    """What an erasure did to evaluations."""

    evaluations: dict[str, int]
    """How many items each of them lost, by id."""
    unreadable: tuple[Path, ...]
    """Files that are damaged and were left."""


def erase(store: Store, tenant: str, folder: Path, items: Mapping[str, set[str]]) -> Removed:
    """Removes the single scores of these items, by task, and every reason from the evaluations that had any: it may quote them.

    Sums stay; they say that so many of their items are gone.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    gone: dict[str, int] = {}
    unreadable: list[Path] = []
    for row in rows(store, tenant) if items else ():
        theirs = items.get(row.task, set()) | {item for task, some in items.items() if task.startswith(f"{row.task}@") for item in some}
        path = path_of(folder, row.id)
        if not theirs or not path.exists():
            continue
        try:
            table = _spelt_out(pq.read_table(path))
            is_theirs = pc.is_in(table.column("item"), value_set=pa.array(sorted(theirs), pa.string()))
            lost = len(set(table.filter(is_theirs).column("item").to_pylist()))
        except (OSError, pa.ArrowException, KeyError):
            unreadable.append(path)
            continue
        if lost:
            with private_file(path) as file:
                pq.write_table(table.filter(pc.invert(is_theirs)), file, compression="zstd")
            _without_reasons(store, tenant, row, lost)
            gone[row.id] = lost
    return Removed(gone, tuple(unreadable))


def _spelt_out(table: Any) -> Any:
    """The table with every text in its place: a dictionary would keep those that no row has any more."""
    import pyarrow as pa

    texts = [pa.field(field.name, pa.string()) if pa.types.is_dictionary(field.type) else field for field in table.schema]
    return table.cast(pa.schema(texts))


def _without_reasons(store: Store, tenant: str, row: Row, lost: int) -> None:
    e = evaluations.c
    of_row = (e.tenant == tenant) & (e.id == row.id)
    with store.writing() as connection:
        if row.result is None:
            connection.execute(delete(evaluations).where(of_row))
            return
        plain = msgspec.structs.replace(
            row.result,
            sides=_plain(row.result.sides),
            parts=_plain_parts(row.result.parts),
            people=_plain_parts(row.result.people),
            erased=row.result.erased + lost,
        )
        connection.execute(update(evaluations).where(of_row).values(body=msgspec.json.encode(plain)))


def _plain(sides: tuple[Side, ...]) -> tuple[Side, ...]:
    bare = msgspec.structs.replace
    return tuple(bare(side, means=tuple(bare(mean, reasons={}) for mean in side.means)) for side in sides)


def _plain_parts(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    return tuple(msgspec.structs.replace(part, sides=_plain(part.sides)) for part in parts)
