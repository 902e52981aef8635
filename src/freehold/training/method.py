"""The seam of training methods: each is told of a job, and gives the files of a specialist. Built-in ones come through the same door as
those of installed packages: an entry point of the group `freehold.methods` that names a `Method`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import msgspec

from freehold.catalog import Task, Variant
from freehold.chat import JSON
from freehold.errors import CallerError, FreeholdError, OperatorError, nearest
from freehold.routing.embed import Embedder
from freehold.tables import ProviderTable
from freehold.training.asking import Asks, Models
from freehold.training.lesson import Lesson
from freehold.training.run import Run
from freehold.variants.card import Base, Card, Plan
from freehold.variants.specialist import Answerer

GROUP = "freehold.methods"
"""The group of entry points that packages add methods by."""
_HERE = {
    "head": "head:METHOD",
    "stream": "stream:METHOD",
    "tagger": "tagger:METHOD",
    "encoder": "encoder:METHOD",
    "code": "code:METHOD",
    "prompt": "prompt:METHOD",
    "provider": "provider:METHOD",
    "distill": "distill:METHOD",
}
BUILT_IN = tuple(EntryPoint(name, f"freehold.training.methods.{where}", GROUP) for name, where in _HERE.items())
"""The methods that come with Freehold."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """The specialist that goes on learning."""

    card: Card
    """What it is."""
    files: Mapping[str, bytes]
    """What it is made of."""
    lessons: tuple[Lesson, ...]
    """What it learnt from, and what those before it did, as far as that is still there: oldest first. Replay draws from their training parts."""


@dataclass(frozen=True, slots=True)
class Job:
    """What a method is told."""

    task: Task
    """What it is for."""
    plan: Plan
    """What determines the run."""
    lesson: Lesson
    """What is to be learnt. Methods look at its training and calibration parts, never at the test part."""
    embedder: Embedder | None = None
    """Texts to vectors; None for what needs no download."""
    base: Path | None = None
    """The folder of the model that is tuned."""
    earlier: Earlier | None = None
    """The specialist that goes on learning; None for one that begins anew."""
    models: Models | None = None
    """Asks models; None while a run is only looked at beforehand."""
    providers: Mapping[str, ProviderTable] = field(default_factory=dict)
    """The project's providers, for methods that have one of them learn."""


class Estimate(NamedTuple):
    """What a run is expected to take."""

    seconds: float
    """Of this machine's time."""
    bytes: int
    """Of memory, at most."""
    usd: float | None = 0.0
    """What it costs, such as a provider's tuning; None where a price is unknown. A method leaves out what `asks` cost: whoever knows the prices adds that."""
    asks: tuple[Asks, ...] = ()
    """Questions to models."""


class Made(NamedTuple):
    """What a method made."""

    format: str
    """Who reads the files: a name of `variants.specialist.FORMATS`, or `model` for one that a provider serves."""
    files: Mapping[str, bytes]
    """The specialist's files by name: safetensors, ONNX, JSON, or source that runs in the sandbox alone."""
    about: Mapping[str, JSON] = {}
    """What the card says of the run."""
    base: Base | None = None
    """What it was made from."""
    variant: Variant | None = None
    """How it is asked, of the format `model`."""
    prompt: str | None = None
    """The template it is asked with, of the format `model`; it is kept, and the variant names it by its hash."""
    answerer: Answerer | None = None
    """What it is tested by, of the format `model`; None for one that is not tested here."""
    usd: float | None = 0.0
    """What it cost beside calls to models; None where that is unknown."""


O = TypeVar("O", bound=msgspec.Struct, contravariant=True)  # noqa: E741 the options of a method


class Method(Protocol[O]):
    """A way to learn."""

    @property
    def name(self) -> str:
        """What people call it."""

    @property
    def about(self) -> str:
        """What it makes, in a sentence, and from which source it is."""

    @property
    def options(self) -> type[Any]:
        """The record of its settings, a frozen `msgspec.Struct` that forbids unknown fields."""

    def estimate(self, job: Job, options: O) -> Estimate:
        """What a run will take. Raises TrainingError for data that it cannot learn from, OperatorError where a package is missing."""

    def train(self, job: Job, options: O, run: Run) -> Made:
        """Learns. Raises TrainingError where nothing comes of it. Keeps what it has so far by `run.keep`, where it takes more than seconds."""


def methods() -> dict[str, EntryPoint]:
    """Every method there is, by name. Raises CallerError where two packages have one of the same name."""
    found = {point.name: point for point in BUILT_IN}
    for point in entry_points(group=GROUP):
        other = found.setdefault(point.name, point)
        if other.value != point.value:
            raise CallerError(f"'{point.name}' is a method of two packages, {other.value} and {point.value}. Uninstall one of them.")
    return found


def method_of(name: str) -> "Method[Any]":
    """The method of that name. Raises CallerError, OperatorError."""
    known = methods()
    if name not in known:
        raise CallerError(f"There is no method '{name[:80]}'.{nearest(name, list(known))} 'freehold train --methods' says what each makes.")
    try:
        found: Method[Any] = known[name].load()
    except FreeholdError:
        raise
    except Exception as error:
        raise OperatorError(f"The method '{name}' cannot be loaded from {known[name].value}: {type(error).__name__}: {error}") from error
    return found


def options_of(method: "Method[Any]", said: Mapping[str, JSON]) -> Any:
    """A plan's options as the method's record. Raises CallerError that names the wrong one."""
    try:
        return msgspec.convert(dict(said), method.options, strict=False)
    except msgspec.ValidationError as error:
        fields = method.options.__struct_fields__
        unknown = next((name for name in said if name not in fields), None)
        why = (
            f"has no option '{unknown}'.{nearest(unknown, list(fields))}" if unknown is not None else f"cannot take these options: {error}."
        )
        raise CallerError(f"The method '{method.name}' {why}") from None
