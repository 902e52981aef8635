"""What a batch is to do, and what it did."""

from hashlib import blake2b
from math import inf
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

import msgspec

from freehold.errors import CallerError
from freehold.pipelines.scope import is_number

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
    provider_batch: bool = False
    """Whether questions are handed to their providers as batches, which are cheaper and come back within a day."""
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
    """What it cost, earlier runs included; None where that is unknown."""
    known_usd: float
    """What of that is known: it cost so much, or more."""
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
    if job.at_once is not None and not (isinstance(job.at_once, int) and job.at_once >= 1):
        raise CallerError(f"--concurrency (at_once) is {job.at_once!r}; expected a number from 1 up, or 'auto' (None).")
    if job.budget_usd is not None and not (is_number(job.budget_usd) and 0 < job.budget_usd < 1e9):
        raise CallerError(f"--budget-usd (budget_usd) is {job.budget_usd!r}; expected a number of dollars above 0, such as 5.")
    if job.provider_batch and job.budget_usd is not None:
        raise CallerError(
            "--budget-usd cannot hold with --provider-batch: what is handed over is paid as a whole, once it is answered. Leave one of them out."
        )
    if job.provider_batch and job.ray:
        raise CallerError("--provider-batch hands questions over from one process, and with --ray several ask. Leave one of them out.")
    if job.deadline_s is not None and not (is_number(job.deadline_s) and 0 < job.deadline_s < inf):
        raise CallerError(f"--deadline-s (deadline_s) is {job.deadline_s!r}; expected a number of seconds above 0, such as 60.")
    if not isinstance(job.attempts, int) or job.attempts < 1:
        raise CallerError(f"--attempts (attempts) is {job.attempts!r}; expected a number from 1 up.")
    if job.input.absolute() == job.out.absolute():
        raise CallerError(f"{job.input} is read and would be overwritten. Name another file by --out.")
