"""Taking a person out of data sets: new versions without their rows, the old ones gone, and what left the house named or removed."""

import shutil
import tempfile
from collections.abc import Collection, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from freehold.datasets.dropped import DroppedFile, dropped_in
from freehold.datasets.export import exports_of
from freehold.datasets.facts import counts_of, depth_of
from freehold.datasets.split import PARTS
from freehold.datasets.table import FORM, batches_of, content_hash, examples_in, row_digest, schema
from freehold.datasets.versions import DROPPED, ROWS, Version, drafts, file_of, put_in_place, versions


class Theirs(NamedTuple):
    """By what a person's rows are known."""

    subject: str
    """Hash of their name, as rows have it: for rows whose calls are gone already."""
    calls: Collection[str]
    """Ids of the calls about them."""
    feedback: Collection[str]
    """Ids of what was said about those, and of what they said."""


class Renewed(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a version."""

    old: str
    """As NAME@HASH; it is gone."""
    new: str | None
    """The version that follows it; None where no row is left."""
    rows: int
    """How many rows were theirs."""


class ErasedFrom(msgspec.Struct, frozen=True, kw_only=True):
    """What an erasure did to data sets."""

    renewed: tuple[Renewed, ...] = ()
    removed: tuple[str, ...] = ()
    """Versions that went without one to follow."""
    exports_removed: tuple[str, ...] = ()
    """Folders whose files were removed: they held what was erased."""
    exports_left: tuple[str, ...] = ()
    """Folders where an export is no longer as it was written: whoever has it has to be told."""


def erase_from(root: Path, theirs: Theirs, now: datetime) -> ErasedFrom:
    """Makes new versions of every data set that holds any of a person's rows. Nobody else may work on data sets meanwhile.

    What a build left behind that died goes whole: nobody knows what is in it.
    """
    for left in drafts(root):
        shutil.rmtree(left)
    renewed: list[Renewed] = []
    gone: list[str] = []
    left_there: list[str] = []
    for version in versions(root):
        if (rows := _count(version, theirs)) == (0, 0):
            continue
        removed, stayed = _remove_exports(version)
        gone += removed
        left_there += stayed
        new = _without(root, version, theirs, now)
        shutil.rmtree(version.folder)
        renewed.append(Renewed(old=version.label, new=new.label if new else None, rows=rows[0]))
    return ErasedFrom(
        renewed=tuple(renewed),
        removed=tuple(one.old for one in renewed if one.new is None),
        exports_removed=tuple(gone),
        exports_left=tuple(left_there),
    )


def remove(found: Sequence[Version]) -> ErasedFrom:
    """Removes versions altogether."""
    gone: list[str] = []
    left_there: list[str] = []
    for version in found:
        removed, stayed = _remove_exports(version)
        gone += removed
        left_there += stayed
        shutil.rmtree(version.folder)
        if not any(version.folder.parent.iterdir()):
            version.folder.parent.rmdir()
    return ErasedFrom(removed=tuple(version.label for version in found), exports_removed=tuple(gone), exports_left=tuple(left_there))


def _is_theirs(theirs: Theirs, subject: str | None, calls: Sequence[str], feedback: Sequence[str]) -> bool:
    return subject == theirs.subject or any(id in theirs.calls for id in calls) or any(id in theirs.feedback for id in feedback)


def _mask(theirs: Theirs, table: Any) -> list[bool]:
    """Which rows of a table stay."""
    columns = zip(*(table.column(name).to_pylist() for name in ("subject", "calls", "feedback")), strict=True)
    return [not _is_theirs(theirs, *row) for row in columns]


def _count(version: Version, theirs: Theirs) -> tuple[int, int]:
    """How many rows are theirs, and how many of those that were left out."""
    rows = sum(not keep for table in batches_of(version.folder / ROWS, ["subject", "calls", "feedback"]) for keep in _mask(theirs, table))
    return rows, sum(any(id in theirs.calls for id in one.calls) for one in dropped_in(version.folder / DROPPED))


def _without(root: Path, version: Version, theirs: Theirs, now: datetime) -> Version | None:
    """The version without their rows; None where none is left."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    draft = Path(tempfile.mkdtemp(dir=root, prefix=".draft-"))
    digests = bytearray()
    parts: list[int] = []
    suspected: list[tuple[str, str]] = []
    try:
        with pq.ParquetWriter(draft / ROWS, schema(*FORM), compression="zstd") as writer:
            for table in batches_of(version.folder / ROWS):
                kept = table.filter(pa.array(_mask(theirs, table)))
                if not len(kept):
                    continue
                writer.write_table(kept)
                examples = examples_in(kept)
                digests += b"".join(map(row_digest, examples))
                parts += [PARTS.index(part) for part in kept.column("split").to_pylist()]
                suspected += [
                    (example.id[:16], suspect)
                    for example, suspect in zip(examples, kept.column("suspect").to_pylist(), strict=True)
                    if suspect is not None
                ]
        if not parts:
            return None
        dropped = DroppedFile(draft / DROPPED)
        for one in dropped_in(version.folder / DROPPED):
            if not any(id in theirs.calls for id in one.calls):
                dropped.add(one)
        dropped.close()
        old = version.manifest
        manifest = msgspec.structs.replace(
            old,
            **counts_of(draft / ROWS),
            **depth_of(draft / ROWS, old.answers),
            hash=content_hash(bytes(digests), np.array(parts, dtype=np.int8), suspected),
            dropped=dict(sorted(dropped.counts.items())),
            suspects=len(suspected),
            erased=old.rows - len(parts),
            follows=old.hash,
            stands_for=(*old.stands_for, old.hash),
            files=(file_of(draft / ROWS), file_of(draft / DROPPED)),
            created_at=now,
        )
        return put_in_place(root, draft, manifest)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _remove_exports(version: Version) -> tuple[list[str], list[str]]:
    """Removes the exports of a version that still lie as they were written; the folders of those, and of the others."""
    removed: list[str] = []
    left: list[str] = []
    for exported in exports_of(version):
        if exported.openness == "statistics":
            continue
        folder = Path(exported.folder)
        is_whole = True
        for file in exported.files:
            path = folder / file.name
            if path.is_file() and msgspec.structs.replace(file_of(path), name=file.name) == file:
                path.unlink()
            else:
                is_whole = False
        (removed if is_whole else left).append(f"{exported.folder} ({exported.format}, {exported.at:%Y-%m-%d})")
    return removed, left
