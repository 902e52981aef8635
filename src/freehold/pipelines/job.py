"""What a batch is to do, and what it did."""

from hashlib import blake2b
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

import msgspec

from freehold.errors import CallerError

Ended: TypeAlias = Literal["done", "budget", "interrupted", "cancelled", "failing"]
"""Why a batch ended: every row has, the money was spent, somebody pressed Ctrl-C, or cancelled it from elsewhere, or one row after the other got
no answer, so that something is wrong that going on does not mend."""
_ID_BYTES = 8


class Job(NamedTuple):
    """What is to be done."""

    input: Path
    """The rows."""
    out: Path
    """Where the answers go, in the same order."""
    at_once: int | None = None
    """Requests under way at one time to one model; None to find out what its provider takes."""
    budget_usd: float | None = None
    """The most that all of it may cost, earlier runs included; None for no limit."""
    resume: bool = False
    """Whether to go on where a run broke off."""
    retry_failed: bool = False
    """Whether only those rows are done again that failed."""
    attempts: int = 3
    """How often a row is tried that fails in a way which may pass."""
    deadline_s: float | None = None
    """How long one row may take."""
    overwrite: bool = False
    """Whether what stands at `out` may be overwritten."""
    ray: bool = False
    """Whether the workers of a Ray cluster ask."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a batch did."""

    id: str
    """What it is called: `freehold runs show ID`."""
    name: str
    """What was run."""
    ended: Ended
    """Why it ended."""
    why: str = ""
    """The same in words, where there is something to say."""
    rows: int
    """Rows that were read."""
    done: int
    """Rows that have their answer, earlier runs included."""
    failed: int
    """Rows that failed, and are in the side file."""
    left: int | None
    """Rows that were not begun; None where nobody knows how many there are."""
    cost_usd: float | None
    """What this run cost; None where that is unknown."""
    seconds: float
    """How long it took."""
    out: str
    """Where the answers are."""
    failures: str | None
    """Where the rows are that failed, each with its reason; None where none did."""


def batch_id(program: str, job: Job) -> str:
    """What a batch is called: the same for the same program over the same file to the same place, so that it can be gone on with."""
    said = "\0".join((program, str(job.input.absolute()), str(job.out.absolute())))
    return blake2b(said.encode("utf-8", "surrogateescape"), digest_size=_ID_BYTES).hexdigest()


def check(job: Job) -> None:
    """Raises CallerError for a job that cannot be done."""
    if job.at_once is not None and job.at_once < 1:
        raise CallerError(f"--concurrency is {job.at_once}; expected 'auto' or a number from 1 up.")
    if job.budget_usd is not None and not 0 < job.budget_usd < 1e9:
        raise CallerError(f"--budget-usd {job.budget_usd:g} is no budget; it is a number of dollars above 0, such as 5.")
    if job.attempts < 1:
        raise CallerError(f"--attempts is {job.attempts}; expected a number from 1 up.")
    if job.input.absolute() == job.out.absolute():
        raise CallerError(f"{job.input} is read and would be overwritten. Name another file by --out.")
