"""A training run: where it says how far it is, and keeps what it has learnt so far, so that it goes on after a kill."""

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

from freehold.chat import JSON
from freehold.errors import DataError, StoreBusy
from freehold.routing.arrays import Packed, pack, unpack
from freehold.store.files import private_file
from freehold.store.lock import KernelLock

CHECKPOINT = "checkpoint.safetensors"
_RUNS = "runs"
_DIGITS = 16


def run_folder(project: Path, digest: str) -> Path:
    """Where a run of this plan keeps what it has learnt so far."""
    return project / _RUNS / digest[:_DIGITS]


@contextmanager
def alone(project: Path, digest: str) -> Iterator[None]:
    """There is no other run of this plan meanwhile. Raises StoreBusy where there is one."""
    lock = KernelLock(project / f".train-{digest[:_DIGITS]}.lock")
    try:
        with lock.held(0.0):
            try:
                yield
            finally:
                lock.path.unlink(missing_ok=True)
    finally:
        lock.close()


class Forgotten(NamedTuple):
    """What became of runs that had not ended."""

    begin_anew: int
    """So many were broken off; what they had learnt is removed."""
    under_way: int
    """So many are under way, and will find that their data set is gone."""


def forget_unfinished(project: Path) -> Forgotten:
    """Removes what runs learnt that were broken off. One that learns elsewhere keeps no more than the name of its job there, which stays."""
    count = under_way = 0
    for folder in sorted((project / _RUNS).glob("*")):
        try:
            with alone(project, folder.name):
                if any(folder.rglob(CHECKPOINT)) and not _is_elsewhere(folder / CHECKPOINT):
                    shutil.rmtree(folder)
                    count += 1
        except StoreBusy:
            under_way += 1
    return Forgotten(count, under_way)


def _is_elsewhere(checkpoint: Path) -> bool:
    try:
        return not unpack(checkpoint.read_bytes(), "a checkpoint").arrays
    except (OSError, DataError):
        return False


class Step(NamedTuple):
    """How far a run is."""

    stage: str
    """What is being done, such as `embedding` or `epoch 3`."""
    done: int
    """How much of it."""
    total: int
    """Of how much."""
    loss: float | None = None
    """The training loss now; None where there is none."""
    held_out: float | None = None
    """The loss on the calibration part, where it was last looked at."""


Tell = Callable[[Step], None]


class Run:
    """One run of a plan, in a folder of its own."""

    def __init__(self, folder: Path, digest: str, tell: Tell = lambda _: None, clock: Callable[[], float] = time.monotonic) -> None:
        """`digest`: the plan's, by which a checkpoint is known to be of this run. `folder` is made where it is missing."""
        self.folder = folder
        self._digest = digest
        self._tell = tell
        self._clock = clock
        self._began = clock()
        self._earlier_s = 0.0
        self._whole: Run | None = None
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def part(self, name: str) -> "Run":
        """A part of the run, such as one of several models that are compared: it keeps its own beside the others', and its time is the run's."""
        part = Run(self.folder / name, self._digest, self._tell, self._clock)
        part._whole = self
        return part

    @property
    def seconds(self) -> float:
        """How long it has taken, runs that it goes on from included."""
        return self._whole.seconds if self._whole is not None else self._earlier_s + self._clock() - self._began

    def tell(self, stage: str, done: int, total: int, loss: float | None = None, held_out: float | None = None) -> None:
        """Says how far it is."""
        self._tell(Step(stage, done, total, loss, held_out))

    def keep(self, arrays: Mapping[str, NDArray[Any]], about: JSON) -> None:
        """Keeps what is learnt so far, in the place of what was kept before: whole, or not at all."""
        said: JSON = {"plan": self._digest, "seconds": self.seconds, "about": about}
        with private_file(self.folder / CHECKPOINT) as file:
            file.write(pack(arrays, said))

    def kept(self) -> Packed | None:
        """What an earlier run of the same plan kept; None where none did, or what it left is damaged: then it begins anew."""
        path = self.folder / CHECKPOINT
        if not path.is_file():
            return None
        try:
            found = unpack(path.read_bytes(), "a checkpoint")
        except DataError:
            return None
        if not isinstance(found.about, dict) or found.about.get("plan") != self._digest:
            return None
        whole = self._whole or self
        whole._earlier_s = max(whole._earlier_s, float(found.about["seconds"]))
        return Packed(found.arrays, found.about["about"])
