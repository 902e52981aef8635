"""A habit answers: one person's, or one customer's, way of answering over a specialist that is everybody's. Files of the format `habit`.

It says of each answer of the shared specialist what its owner would have said: the share of each of their own answers, from their own rows alone.
It holds no text of anybody's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from freehold.chat import JSON, canonical_json
from freehold.errors import DataError
from freehold.variants.specialist import Answered, Answerer

HABIT = "habit.json"


class Own(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is answered in the place of one answer."""

    shared: JSON
    """What the shared specialist says."""
    answer: JSON
    """What the owner would say."""
    share: float
    """How sure that is, in [0, 1]."""


class Habit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that is known of how one owner answers."""

    own: tuple[Own, ...]
    """One for each answer of the shared specialist that the owner has rows of."""
    unseen: float
    """How sure it is that the owner keeps an answer that they have no row of."""


@dataclass(slots=True)
class HabitAnswerer:
    """As of `Answerer`."""

    shared: Answerer
    habit: Habit
    is_quick: bool = True
    size_bytes: int = 10_000
    _own: dict[bytes, Own] = field(init=False)

    def __post_init__(self) -> None:
        self._own = {canonical_json(one.shared): one for one in self.habit.own}
        self.is_quick = self.shared.is_quick

    def answer(self, texts: Sequence[str]) -> list[Answered | None]:
        """As of `Answerer`."""
        return [None if said is None else self._as_owner(said) for said in self.shared.answer(texts)]

    def _as_owner(self, said: Answered) -> Answered:
        own = self._own.get(canonical_json(said.output))
        if own is None:
            return said._replace(confidence=said.confidence * self.habit.unseen)
        return Answered(own.answer, said.confidence * own.share, said.known)


def load_over(files: Mapping[str, bytes], shared: Answerer) -> HabitAnswerer:
    """The habit of these files over a specialist. Raises DataError."""
    try:
        return HabitAnswerer(shared, msgspec.json.decode(files.get(HABIT, b""), type=Habit))
    except msgspec.DecodeError as error:
        raise DataError(f"not a habit: {error}. Train it again.") from None
