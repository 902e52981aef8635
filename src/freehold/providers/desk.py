"""Where questions go that need no answer now: what is known of their answers already, and a note of those that are to be handed over together."""

from typing import NamedTuple, Protocol

from freehold.providers.provider import Target


class HandedOver(Exception):
    """A question was taken down, and its answer comes later: whoever asked begins anew then. No failure, so nobody falls back for it."""


class Told(NamedTuple):
    """What came back for a question."""

    status: int
    """The HTTP status that its provider ended it with."""
    body: bytes
    """The answer as it would have come by itself; why there is none, as text, where the status is not 200."""


class Desk(Protocol):
    """Who takes questions down."""

    def takes(self, target: Target) -> bool:
        """Whether a model's questions are handed over; others are asked at once."""

    def serves(self, session: str) -> bool:
        """Whether a run's questions come here; those of others in the same process do not."""

    def find(self, session: str, call: str, target: Target, body: bytes) -> Told:
        """What came back for a question, each answer for one question alone. Raises HandedOver where nothing has yet. `session`: the run that
        asks; `call`: its call, for one may ask the same several times."""

    def is_waiting(self, session: str) -> bool:
        """Whether anything that a run asked is answered later, so that the run is begun anew."""

    def look(self, session: str, call: str, target: Target, body: bytes) -> tuple[str, Told | None]:
        """What is known, by `tell`, of a question that is asked at once, and under which id. Raises HandedOver where its run has been left."""

    def tell(self, id: str, told: Told) -> None:
        """Something came back. It is there when the call has to be begun anew for something else that it asks."""

    def keep(self, session: str, call: str) -> None:
        """A call is durable: what came back for it is used up."""
