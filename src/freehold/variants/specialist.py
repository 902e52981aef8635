"""A specialist answers: its files are read once, when it is first asked, and checked against its card. No file of it is code that runs
outside the sandbox."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import NamedTuple, Protocol, TypeAlias

from freehold.chat import JSON
from freehold.errors import DataError, OperatorError
from freehold.store.open import Store
from freehold.variants.card import Card
from freehold.variants.shelf import read_files


class Answered(NamedTuple):
    """What a specialist says to one text."""

    output: JSON
    """Its answer."""
    confidence: float
    """How sure it is, in [0, 1]."""
    known: Mapping[str, float] = {}
    """What else a policy's `accept` may look at, such as `in_scope`."""


class Answerer(Protocol):
    """A specialist whose files are read."""

    @property
    def is_quick(self) -> bool:
        """Whether it answers within a moment, without a model beside it: those answer in the worker itself."""

    @property
    def bytes(self) -> int:
        """About how much memory it takes."""

    def answer(self, texts: Sequence[str]) -> list[Answered | None]:
        """What it says to each text; None where it has no answer, and whoever comes next is asked."""


Load: TypeAlias = Callable[[Mapping[str, bytes]], Answerer]
FORMATS: dict[str, str] = {"head": "freehold.variants.heads"}
"""The module of each format, whose `load` makes an `Answerer` of the files. Imported when one is asked."""


def load(store: Store, card: Card) -> Answerer:
    """The specialist of a card. Raises DataError for files that are not what they have to be, OperatorError where a package is missing."""
    if card.format not in FORMATS:
        raise DataError(f"{card.label} is of the format '{card.format}', which this Freehold does not read: {', '.join(FORMATS)}.")
    read: Load = import_module(FORMATS[card.format]).load
    try:
        return read(read_files(store, card))
    except ImportError as error:
        raise OperatorError(
            f"{card.label} needs the package '{error.name}', which is not installed: pip install 'freehold[embeddings]'."
        ) from error
