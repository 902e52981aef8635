"""The specialists that a worker serves: known by their cards, read when they are first asked."""

from freehold.catalog import Variant
from freehold.store.open import Store
from freehold.variants.card import Card
from freehold.variants.outcome import Outcome
from freehold.variants.shelf import habit_name, newest, on_shelf
from freehold.variants.specialist import Answerer, load


class Specialists:
    """Those that stood on the shelf when it was last looked at."""

    def __init__(self, store: Store, tenant: str) -> None:
        self._store = store
        self._tenant = tenant
        self._seen = -1
        self._cards: dict[str, Card] = {}
        self._read: dict[str, Answerer] = {}
        """By hash, so that one of the same files is read once."""

    def refresh(self) -> None:
        """Looks whether any came or went since. Raises OperatorError where the store cannot be read."""
        now = newest(self._store, self._tenant)
        if now != self._seen:
            self._cards = {card.name: card for card in on_shelf(self._store, self._tenant)}
            self._seen = now
            still = {card.hash for card in self._cards.values()}
            self._read = {hash: answerer for hash, answerer in self._read.items() if hash in still}

    def variant(self, name: str) -> Variant | None:
        """The variant of that name; None where no specialist has it."""
        card = self._cards.get(name)
        if card is None:
            return None
        return card.variant or Variant(id=name, kind="specialist")

    def has(self, name: str) -> bool:
        """Whether a specialist has that name."""
        return name in self._cards

    def run(self, name: str, text: str, owner: str | None) -> Outcome | None:
        """What a specialist answers to whoever has this hash, by their own habit where they have one; None where it has no answer.

        Raises DataError or OperatorError for one that cannot be read.
        """
        own = self._cards.get(habit_name(name, owner)) if owner is not None else None
        (said,) = self._answerer(own or self._cards[name]).answer((text,))
        return None if said is None else Outcome(said.output, 0.0, known={"confidence": said.confidence, **said.known})

    def _answerer(self, card: Card) -> Answerer:
        answerer = self._read.get(card.hash)
        if answerer is None:
            answerer = self._read[card.hash] = load(self._store, card, lambda name: self._answerer(self._cards[name]))
        return answerer
