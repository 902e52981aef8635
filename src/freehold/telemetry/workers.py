"""What each worker counts, in a file of its own, so that whichever of them is asked tells the totals of all.

A worker that takes a dead one's place goes on from its file: totals never go back. The folder belongs to one run of the gateway.
"""

import os
from collections.abc import Iterable
from operator import add
from pathlib import Path

import msgspec

from freehold.telemetry.counts import Samples
from freehold.telemetry.names import METRICS

_SUFFIX = ".counts"


class Snapshot(msgspec.Struct, frozen=True):
    """The counts of one worker at one time."""

    instance: str
    """The name of this worker's place, kept by whoever takes it."""
    since: float
    """When counting began there, in seconds since 1970 UTC."""
    at: float
    """When this was written."""
    samples: Samples
    """What was counted."""
    gauges: dict[str, float]
    """Values as they were then, by metric."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Snapshot).decode
_WIDTHS = {metric.name: metric.width for metric in METRICS}


def frozen(snapshot: Snapshot) -> bytes:
    """The bytes of a snapshot, in one step that no other thread can come between."""
    return _encode(snapshot)


def thawed(data: bytes) -> Snapshot | None:
    """The snapshot of these bytes; None where they are none of ours."""
    try:
        snapshot = _decode(data)
    except msgspec.DecodeError:
        return None
    fits = all(len(cell) == _WIDTHS.get(name) for name, series in snapshot.samples.items() for cell in series.values())
    return snapshot if fits else None


def write(folder: Path, worker: int, data: bytes) -> None:
    """Puts a worker's snapshot in the place of its last one. Raises OSError."""
    draft = folder / f".{worker}{_SUFFIX}"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    draft.replace(folder / f"{worker}{_SUFFIX}")


def read(folder: Path, worker: int) -> Snapshot | None:
    """What a worker wrote last; None where there is nothing of it."""
    try:
        return thawed((folder / f"{worker}{_SUFFIX}").read_bytes())
    except OSError:
        return None


def read_all(folder: Path) -> dict[int, Snapshot]:
    """What every worker wrote last."""
    numbers = sorted(int(path.stem) for path in folder.glob(f"*{_SUFFIX}") if path.stem.isdigit())
    return {number: snapshot for number in numbers if (snapshot := read(folder, number)) is not None}


def total(snapshots: Iterable[Snapshot]) -> Samples:
    """The sum of all of them."""
    summed: Samples = {}
    for snapshot in snapshots:
        for name, series in snapshot.samples.items():
            into = summed.setdefault(name, {})
            for labels, cell in series.items():
                known = into.get(labels)
                into[labels] = cell if known is None else list(map(add, known, cell))
    return summed
