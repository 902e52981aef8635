"""What became of a data set's rows from one version to another, by name."""

from typing import NamedTuple

import msgspec

from freehold.datasets.dropped import dropped_in
from freehold.datasets.table import DIGEST, batches_of, examples_in, row_digest
from freehold.datasets.versions import DROPPED, ROWS, Version


class Row(msgspec.Struct, frozen=True):
    """A row that is not the same in both."""

    id: str
    kind: str
    task: str | None
    item: str
    why: str = ""
    """Of one that went, why the new version left it out, where it says; of one that moved, from which part to which."""


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """The new version beside the old one; rows are in the order of their ids."""

    came: tuple[Row, ...]
    """Only the new one has them."""
    went: tuple[Row, ...]
    """Only the old one has them."""
    changed: tuple[Row, ...]
    """Both have them, and what they hold differs."""
    moved: tuple[Row, ...]
    """Both have them, in different parts."""
    same: int
    """How many are the same in both."""


class _Known(NamedTuple):
    digest: bytes
    split: str
    kind: str
    task: str | None
    item: str
    call: str


def compare(old: Version, new: Version) -> Difference:
    """What came and went. Raises DataError where rows cannot be read."""
    before, after = _rows(old), _rows(new)
    why: dict[tuple[str, str], str] = {}
    for one in dropped_in(new.folder / DROPPED):
        why.update({(one.kind, call): f"{one.reason}: {one.detail}" if one.detail else one.reason for call in one.calls[:1]})
    both = sorted(before.keys() & after.keys())
    changed = [id for id in both if before[id].digest != after[id].digest]
    moved = [id for id in both if before[id].split != after[id].split]
    return Difference(
        came=tuple(_row(id, after[id]) for id in sorted(after.keys() - before.keys())),
        went=tuple(_row(id, one, why.get((one.kind, one.call), "")) for id, one in sorted(before.items()) if id not in after),
        changed=tuple(_row(id, after[id]) for id in changed),
        moved=tuple(_row(id, after[id], f"{before[id].split} to {after[id].split}") for id in moved),
        same=len(both) - len({*changed, *moved}),
    )


def _rows(version: Version) -> dict[str, _Known]:
    found: dict[str, _Known] = {}
    for table in batches_of(version.folder / ROWS):
        for example, split in zip(examples_in(table), table.column("split").to_pylist(), strict=True):
            digest = row_digest(example)[:DIGEST]
            found[example.id] = _Known(digest, split, example.kind, example.task, example.item, example.calls[0])
    return found


def _row(id: str, known: _Known, why: str = "") -> Row:
    return Row(id, known.kind, known.task, known.item, why)
