"""What a stream is to do, and what it did."""

from hashlib import blake2b
from math import inf
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

import msgspec

from freehold.errors import CallerError

Ended: TypeAlias = Literal["done", "stopped", "broken off", "budget", "cancelled"]
"""Why a stream ended: its source did, somebody stopped it and waited, or did not wait, the money was spent, somebody cancelled it from elsewhere."""
MOST_AT_ONCE = 10_000
_ID_BYTES = 8


class Job(NamedTuple):
    """What is to be done."""

    source: Path | None
    """A folder, or a file of JSON lines; None for standard input."""
    to: Path | None
    """A folder, or a file of JSON lines; None for standard output."""
    dead: Path | None = None
    """Where items go that fail for good; None for a file beside the output."""
    at_once: int = 16
    """Items under way at one time, at most: nothing is read beyond them."""
    key: str | None = None
    """The field in which an item names its own key; None for keys by place and content."""
    budget_usd: float | None = None
    """The most that all of it may cost, earlier runs included; None for no limit."""
    deadline_s: float | None = None
    """How long one attempt at an item may take."""
    attempts: int = 6
    """How often an item is tried that fails in a way which may pass, with ever longer waits between."""
    most_lag_s: float | None = None
    """How old the oldest item under way may be before the log has a warning."""
    retry_dead: bool = False
    """Whether those items are done again that failed for good, and nothing else."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a stream did."""

    id: str
    """What it is called: `freehold runs show ID`."""
    name: str
    """What was run."""
    ended: Ended
    """Why it ended."""
    why: str
    """The same in words, where there is something to say."""
    done: int
    """Items that have their answer by this run."""
    repeated: int
    """Items that were read again and had been finished before."""
    failed: int
    """Items that failed for good, and are in the file of dead letters."""
    left: int
    """Items that were read and not finished; the next run reads them again."""
    cost_usd: float | None
    """What it cost, earlier runs included; None where that is unknown."""
    known_usd: float
    """What of that is known: it cost so much, or more."""
    seconds: float
    """How long it took."""
    out: str
    """Where the answers are."""
    dead: str
    """Where the items are that failed for good."""


def stream_id(program: str, job: Job) -> str:
    """What a stream is called: the same for the same program from the same source to the same place, so that it can be gone on with."""
    to = "-" if job.to is None else str(job.to.absolute())
    said = "\0".join(("stream", program, source_name(job), to))
    return blake2b(said.encode("utf-8", "surrogateescape"), digest_size=_ID_BYTES).hexdigest()


def source_name(job: Job) -> str:
    """What it reads."""
    return "stdin" if job.source is None else str(job.source.absolute())


def is_folder(path: Path) -> bool:
    """Whether answers go into files of a folder: one that is there, or a name without an ending."""
    return path.is_dir() or (not path.exists() and not path.suffix)


_LINES = (".jsonl", ".ndjson")


def check(job: Job, written: tuple[Path, ...]) -> None:
    """Raises CallerError for a job that cannot be done. `written`: where it would write."""
    if not 1 <= job.at_once <= MOST_AT_ONCE:
        raise CallerError(f"--at-once is {job.at_once}; expected a number of items from 1 to {MOST_AT_ONCE:,}.")
    if job.budget_usd is not None and not 0 < job.budget_usd < 1e9:
        raise CallerError(f"--budget-usd {job.budget_usd:g} is no budget; it is a number of dollars above 0, such as 5.")
    if job.attempts < 1:
        raise CallerError(f"--attempts is {job.attempts}; expected a number from 1 up.")
    for value, option in ((job.deadline_s, "--deadline-s"), (job.most_lag_s, "--most-lag-s")):
        if value is not None and not 0 < value < inf:
            raise CallerError(f"{option} is {value:g}; expected a number of seconds above 0.")
    source = job.source
    if source is not None and not source.exists() and (source.suffix not in _LINES or not source.absolute().parent.is_dir()):
        raise CallerError(
            f"There is no {source} to take items from. Name a folder that is there, or a file of JSON lines, which may come later."
        )
    for path in written:
        if job.source is not None and path.absolute() in (job.source.absolute(), *job.source.absolute().parents):
            raise CallerError(f"{path} is where the items come from. Name another by --to or --dead.")
        if job.source is not None and path.absolute().parent == job.source.absolute() and job.source.is_dir():
            raise CallerError(
                f"{path} would be taken for an item, for it lies in {job.source}. Name a place outside of it by --to or --dead."
            )
