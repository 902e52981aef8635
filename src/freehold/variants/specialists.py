"""The specialists that a worker serves: known by their cards, read when they are first asked, forgotten when others need the room."""

from collections import OrderedDict

from freehold.catalog import Variant
from freehold.store.open import Store
from freehold.variants.beside import Beside
from freehold.variants.card import Card
from freehold.variants.outcome import Outcome
from freehold.variants.shelf import habit_name, newest, on_shelf
from freehold.variants.specialist import Answered, Answerer, load

MOST_BYTES = 256 * 2**20
"""What those may take that a worker has read itself; the one that was asked longest ago goes first."""


class Specialists:
    """Those that stood on the shelf when it was last looked at. A call that has begun keeps the one it began with."""

    def __init__(self, store: Store, tenant: str, most_bytes: int = MOST_BYTES) -> None:
        self._store = store
        self._tenant = tenant
        self._most = most_bytes
        self._seen = -1
        self._cards: dict[str, Card] = {}
        self._read: OrderedDict[str, Answerer] = OrderedDict()
        """By hash, so that one of the same files is read once. Those that were asked last are at the end."""
        self._beside: Beside | None = None

    def refresh(self) -> None:
        """Looks whether any came or went since. Raises OperatorError where the store cannot be read."""
        now = newest(self._store, self._tenant)
        if now != self._seen:
            self._cards = {card.name: card for card in on_shelf(self._store, self._tenant)}
            self._seen = now
            still = {card.hash for card in self._cards.values()}
            for gone in self._read.keys() - still:
                del self._read[gone]

    def variant(self, name: str) -> Variant | None:
        """The variant of that name; None where no specialist has it."""
        card = self._cards.get(name)
        if card is None:
            return None
        return card.variant or Variant(id=name, kind="specialist")

    @property
    def held_bytes(self) -> int:
        """What those take that are read here."""
        return sum(one.size_bytes for one in self._read.values())

    def is_quick(self, name: str) -> bool:
        """Whether a specialist answers within a moment, here."""
        return self._cards[name].is_quick

    def run(self, name: str, text: str, owner: str | None) -> Outcome | None:
        """What a quick specialist answers to whoever has this hash, by their own habit where they have one; None where it has no answer.

        Raises DataError or OperatorError for one that cannot be read.
        """
        (said,) = self._answerer(self._card(name, owner)).answer((text,))
        return _outcome(said)

    async def ask(self, name: str, text: str, owner: str | None) -> Outcome | None:
        """The same of one that is not quick: it answers in a process beside this one. Raises ModelFailed."""
        if self._beside is None:
            self._beside = Beside(self._store.blobs, self._store.durability)
        card = self._card(name, owner)
        return _outcome(await self._beside.answer(card, self._cards.get(card.over or ""), text))

    def close(self) -> None:
        """Ends the process beside this one."""
        if self._beside is not None:
            self._beside.close()
            self._beside = None

    def _card(self, name: str, owner: str | None) -> Card:
        own = self._cards.get(habit_name(name, owner)) if owner is not None else None
        return own or self._cards[name]

    def _answerer(self, card: Card) -> Answerer:
        answerer = self._read.get(card.hash)
        if answerer is None:
            answerer = self._read[card.hash] = load(self._store, card, lambda name: self._answerer(self._cards[name]))
            while len(self._read) > 1 and self.held_bytes > self._most:
                self._read.popitem(last=False)
        self._read.move_to_end(card.hash)
        return answerer


def _outcome(said: Answered | None) -> Outcome | None:
    return None if said is None else Outcome(said.output, 0.0, known={"confidence": said.confidence, **said.known})
