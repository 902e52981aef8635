"""A specialist answers: its files are read once, when it is first asked, and checked against its card. No file of it is code that runs
outside the sandbox."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import NamedTuple, Protocol

from freehold.chat import JSON
from freehold.errors import DataError, OperatorError
from freehold.store.open import Store
from freehold.variants.card import Card
from freehold.variants.shelf import find, read_files


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
    def size_bytes(self) -> int:
        """About how much memory it takes."""

    def answer(self, texts: Sequence[str]) -> list[Answered | None]:
        """What it says to each text; None where it has no answer, and whoever comes next is asked."""


FORMATS: dict[str, str] = {
    "head": "freehold.variants.heads",
    "habit": "freehold.variants.habit",
    "stream": "freehold.variants.streams",
    "tagger": "freehold.variants.tagger",
    "encoder": "freehold.variants.encoder",
    "code": "freehold.variants.code",
}
"""The module of each format, whose `load` makes an `Answerer` of the files, or `load_over` of them and the one under it. Imported when one is
asked."""


def load(store: Store, card: Card, known: Callable[[str], Answerer | None] = lambda _: None) -> Answerer:
    """The specialist of a card. `known`: gives one of that name that is read already.

    Raises DataError for files that are not what they have to be, OperatorError where a package is missing.
    """

    def under() -> Answerer:
        assert card.over is not None
        return known(card.over) or load(store, find(store, card.tenant, card.over), known)

    return read(card, read_files(store, card), under)


def read(card: Card, files: Mapping[str, bytes], under: Callable[[], Answerer]) -> Answerer:
    """The specialist of these files. `under`: gives the one under it, where it has one. Raises as `load`."""
    if card.format not in FORMATS:
        raise DataError(f"{card.label} is of the format '{card.format}', which this Freehold does not read: {', '.join(FORMATS)}.")
    try:
        module = import_module(FORMATS[card.format])
        made: Answerer = module.load(files) if card.over is None else module.load_over(files, under())
    except ImportError as error:
        raise OperatorError(
            f"{card.label} needs the package '{error.name}', which is not installed: pip install 'freehold[embeddings]'."
        ) from error
    return made
