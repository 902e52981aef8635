"""What is asked, and by what answers are measured: tasks, metrics, scorers, judges, evaluations."""

from typing import Literal

import msgspec

from freehold.catalog import Content, Reward, Sampling, Scope
from freehold.chat import JSON
from freehold.errors import OperatorError
from freehold.tables.models import ServingTable


class MetricTable(msgspec.Struct, frozen=True, kw_only=True):
    """`[metrics.NAME]`."""

    kind: Literal["binary", "bounded"] = "bounded"
    """`binary` declares that every score is 0 or 1, which allows the exact binomial test."""
    better: Literal["higher", "lower"] = "higher"
    """Which end of the range is good."""
    range: tuple[float, float] = (0.0, 1.0)
    """The least and the greatest score there can be."""
    deterministic: bool = False
    """Whether equal answers always get equal scores."""


class ScorerTable(msgspec.Struct, frozen=True, kw_only=True):
    """`[scorers.NAME]`: a scorer with settings of its own."""

    kind: str
    """What it is, with what stands behind the colon, such as `numeric:0.01`."""
    field: str | None = None
    """The field of answer and right answer that it looks at, such as `queue` or `address.city`; all of them where nothing is said."""
    options: dict[str, JSON] = {}
    """What else its kind takes."""


class JudgeTable(msgspec.Struct, frozen=True, kw_only=True):
    """`[judges.NAME]`: a model that judges answers."""

    model: str
    """Who judges: a name under `[models]`."""
    kind: Literal["rubric", "reference", "pairwise"] = "rubric"
    """`rubric`: a score by the rubric. `reference`: by how far it says what the right answer says. `pairwise`: which of two answers is better,
    asked in both orders."""
    rubric: str = ""
    """What it goes by, in words. Needed for `rubric`; the others have words of their own."""
    range: tuple[float, float] = (1.0, 5.0)
    """The least and the greatest score it may give; a pairwise judge gives 0, 0.5 or 1."""
    better: Literal["higher", "lower"] = "higher"
    """Which end of the range is good."""
    sampling: Sampling = Sampling()
    """How the model writes."""

    def __post_init__(self) -> None:
        low, high = self.range
        if not -1e9 <= low < high <= 1e9:
            raise OperatorError(f"a judge's range is [{low}, {high}]; it takes two numbers, the lower one first")
        if self.kind == "rubric" and not self.rubric.strip():
            raise OperatorError('a judge of kind "rubric" has no rubric; say in words what it goes by')
        if self.kind == "pairwise" and (self.range != (1.0, 5.0) or self.better == "lower"):
            raise OperatorError("a pairwise judge says which of two answers is better: 0, 0.5 or 1. Take out range and better.")

    @property
    def scores(self) -> tuple[float, float]:
        """The least and the greatest score it gives."""
        return (0.0, 1.0) if self.kind == "pairwise" else self.range


class TaskTable(msgspec.Struct, frozen=True, kw_only=True):
    """`[tasks.NAME]`."""

    reference: str | None = None
    """The variant the others are compared with."""
    variants: tuple[str, ...] = ()
    """The variants that may answer."""
    metric: str | None = None
    """The metric the floor is about."""
    max_loss: float = 0.02
    """The floor: what a policy may lose against the reference on average, in [0, 1]."""
    confidence: float = 0.95
    """1 - δ of its certificate."""
    p95_s: float | None = None
    """A limit on the predicted 95th percentile of latency, in seconds."""
    allow_uncertified: bool = False
    """Whether a policy without a certificate may be promoted."""
    content: Content | None = None
    """What of this task's calls is kept; the journal's rule when left out."""
    instruction: str = ""
    """What the task asks, in words."""
    licence: str | None = None
    """The licence of its calls; that of `[data]` when left out."""
    consent: str | None = None
    """On what the people agreed to its calls' use for data sets; as in `[data]` when left out."""
    explore: float = 0.0
    """The share of its calls after which another of its variants, drawn at random, is asked the same, to learn from. It is never the answer."""
    serving: ServingTable = ServingTable()
    """How serving asks for its answers."""
    reward: Reward | None = None
    """How what is said about its calls becomes one number in [0, 1]."""
    scope: Scope | None = None
    """Who each has a habit of their own over the task's specialists: `subject`, the person a call is about, or `tenant`, the customer it is billed to.
    Nobody where nothing is said."""

    def __post_init__(self) -> None:
        if not 0 <= self.explore <= 1:
            raise OperatorError(f"a task's explore is {self.explore}; it is a share from 0 to 1, such as 0.05")

    def over(self, declared: "TaskTable") -> "TaskTable":
        """What is said here, and what a program declares where this says nothing, or what is usual anyway."""
        usual = TaskTable()
        said = {name: getattr(self, name) for name in self.__struct_fields__ if getattr(self, name) != getattr(usual, name)}
        return msgspec.structs.replace(declared, **said)


class EvaluationTable(msgspec.Struct, frozen=True, kw_only=True):
    """`[evaluation]`."""

    people: tuple[str, ...] = ()
    """Tags that name groups of people: evaluations tell results apart by them, and show no group that is small."""
    least_people: int = 20
    """The fewest independent items (groups of dependent ones count once) of a group of people that is shown."""

    def __post_init__(self) -> None:
        if self.least_people < 2:
            raise OperatorError(f"evaluation.least_people is {self.least_people}; it is a number from 2 up, such as 20")


class EconomicsTable(msgspec.Struct, frozen=True, kw_only=True):
    """`[economics]`: what specialists cost that no call tells."""

    machine_usd_per_hour: float | None = None
    """What an hour of the machine that trains and serves them costs; None is unknown."""
    standing_usd_per_month: float = 0.0
    """What is kept running for a specialist, idle or not."""
    label_usd: float | None = None
    """What a label costs that no tariff pays: somebody's time; None is unknown."""
    retrain_months: float = 12.0
    """After how many months a specialist is trained anew, again and again; 0 for never."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1e6:
                raise OperatorError(f"economics.{name} is {value}; it is a number from 0 to 1,000,000")
        if 0 < self.retrain_months < 0.1:
            raise OperatorError(f"economics.retrain_months is {self.retrain_months}; it is a number of months from 0.1 up, or 0 for never")
