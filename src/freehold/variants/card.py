"""A specialist's card: what it is, what it was made of, and how good it was when it was made. It travels with its files."""

from datetime import datetime
from hashlib import sha256
from typing import Literal, TypeAlias

import msgspec

from freehold.catalog import Variant
from freehold.chat import JSON, canonical_json

Openness: TypeAlias = Literal["open", "weights", "closed", "none"]
"""Of a base model: with data and code, its weights alone, a service, or no base at all."""


class Artefact(msgspec.Struct, frozen=True):
    """One file of a specialist."""

    name: str
    """Its name in the specialist's folder."""
    bytes: int
    """Its size."""
    sha256: str
    """Hash of its content."""
    blob: str
    """The blob that holds it."""


class Base(msgspec.Struct, frozen=True, kw_only=True):
    """The model that a specialist was made from."""

    name: str
    """What it is called."""
    licence: str | None = None
    """Its licence, as its folder says; None where it does not."""
    openness: Openness = "weights"
    """How open it is."""
    sha256: str | None = None
    """Hash of its weights."""


class Plan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that determines a training run: the same plan gives the same bytes on one machine."""

    task: str
    """The task it is for."""
    method: str
    """How it learns."""
    dataset: str
    """What it learns from, `NAME@HASH`."""
    seed: int = 0
    """Of everything that is drawn."""
    embedder: str | None = None
    """The folder of an embedder that `freehold embedder build` made; None for what needs no download."""
    base: str | None = None
    """The folder of the model that is tuned, for methods that tune one."""
    continues: str | None = None
    """The specialist that goes on learning; None for one that begins anew."""
    budget_usd: float | None = None
    """What calls to models may cost at most; None for no limit. It may end a run, and so it is part of the plan."""
    options: dict[str, JSON] = {}
    """The method's own settings; what is left out is the method's choice."""
    code: str
    """The version of Freehold."""

    @property
    def digest(self) -> str:
        """SHA-256 of the plan."""
        return sha256(canonical_json(msgspec.to_builtins(self))).hexdigest()


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """A mean over the test part, and between what it lies at 95 % confidence."""

    name: str
    """Such as `exact` or `set_f1`."""
    mean: float
    """In [0, 1]."""
    low: float
    """Lower end."""
    high: float
    """Upper end."""
    n: int
    """Rows."""
    groups: int
    """Independent groups among them."""


class Covered(msgspec.Struct, frozen=True, kw_only=True):
    """How much of the test part it answers at a confidence that was chosen on the calibration part."""

    precision: float
    """What was aimed at."""
    confidence: float
    """From which confidence on it answers; above 1 where none was enough."""
    coverage: float
    """Share of the test part that it then answers."""
    precise: float | None
    """Share of those that are right; None where it answers none."""
    low: float
    """Lower bound of that share, at 95 % confidence."""


class Tested(msgspec.Struct, frozen=True, kw_only=True):
    """How a specialist did on the test part, which nothing was chosen by."""

    measures: tuple[Measure, ...]
    """The first is the one that gates look at."""
    answered: float
    """Share of rows that it answered at all."""
    log_loss: float | None = None
    """Mean of -log of the probability of the right answer, for those that know one."""
    calibration_error: float | None = None
    """Mean distance of confidence from how often it is right, in fifteen groups of equal size."""
    covered: tuple[Covered, ...] = ()
    """At 95 %, 98 % and 99 % precision."""
    answers: dict[str, tuple[int, float]] = {}
    """For tasks with few answers: rows of each right answer, and the share that it got."""
    chars: float = 0.0
    """Mean length of what it answers, in characters."""
    distinct: int = 0
    """Different answers that it gave."""
    us_per_row: float = 0.0
    """Microseconds of one row alone, by the median, where it was tested. Not part of any hash."""


Of: TypeAlias = Literal["all", "dataset", "region", "answer"]
"""What rows have in common: nothing, their data set, their region of the traffic, or the answer that is right."""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """How much of what its predecessor knew a specialist still knows, on rows of earlier test parts."""

    of: Of = "dataset"
    """What the rows have in common."""
    name: str
    """Which; of a data set `NAME@HASH`."""
    n: int
    """Rows."""
    before: float
    """What the predecessor got."""
    after: float
    """What it gets itself."""
    low: float
    """Lower end of the difference after - before, rows paired, at the task's confidence: of all rows by itself, of parts for all together."""
    high: float
    """Upper end."""


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """What a specialist is."""

    name: str
    """What policies call it."""
    tenant: str
    """Whose it is."""
    task: str
    """What it answers."""
    format: str
    """Who reads its files: `head`, `tagger`, `encoder`, `code`; or `model` for one that a provider serves."""
    files: tuple[Artefact, ...] = ()
    """What it is made of."""
    plan: Plan
    """How it was made."""
    dataset: str | None
    """Hash of the version of the data set it learnt from."""
    taught: tuple[str, ...] = ()
    """Hashes of the data sets that those it goes on from learnt from, oldest first."""
    is_quick: bool = True
    """Whether it answers within a moment, in a worker itself; else in a process beside it."""
    rows: dict[str, int] = {}
    """Rows of each part of that."""
    made: dict[str, JSON] = {}
    """What its method says of the run: epochs, temperature, what was chosen by what."""
    tested: Tested | None = None
    """How good it was on the test part."""
    kept: tuple[Kept, ...] = ()
    """What it kept of what its predecessor knew."""
    base: Base | None = None
    """What it was made from; None where it began from nothing."""
    licence: str | None = None
    """The one licence of all rows it learnt from; None where they have several or none."""
    replaces: str | None = None
    """The variant that it is there to take calls from: its task's reference."""
    subject: str | None = None
    """Hash of the person or customer it belongs to alone."""
    over: str | None = None
    """The specialist that answers under it, for one that belongs to somebody."""
    variant: Variant | None = None
    """How it is asked, for those that a model answers: with another prompt, or another name."""
    training_s: float
    """Seconds of the run, those of runs that it went on from included. Not part of the hash."""
    training_usd: float | None
    """What calls to models cost in the run; None where a part is unknown. `freehold economics` adds the machine's time."""
    created_at: datetime
    """When, UTC. Not part of the hash."""

    @property
    def learnt_from(self) -> tuple[str, ...]:
        """Hashes of all data sets that it knows anything of, oldest first."""
        own = () if self.dataset is None else (self.dataset,)
        return tuple(dict.fromkeys((*self.taught, *own)))

    @property
    def hash(self) -> str:
        """What names it: its files and how it is asked. Two runs of one plan on one machine have one hash."""
        made = (
            self.task,
            self.format,
            self.subject,
            self.over,
            sorted((file.name, file.sha256) for file in self.files),
            msgspec.to_builtins(self.variant),
        )
        return sha256(canonical_json(msgspec.to_builtins(made))).hexdigest()

    @property
    def label(self) -> str:
        """How people call it."""
        return f"{self.name}@{self.hash[:12]}"
