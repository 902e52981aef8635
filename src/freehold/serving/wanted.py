"""What is wanted of whichever model is asked for a call: the question, as each is put it."""

from freehold.chat import ChatAnswer, Outcome
from freehold.gateway.formats import Format
from freehold.providers.provider import Target
from freehold.serving.asked import AS_IT_IS, Asked, Turn
from freehold.serving.resources import Resources


class Wanted:
    """One question to models."""

    __slots__ = ("_door", "_has", "asked", "caller", "may_stream", "turn")

    def __init__(self, has: Resources, asked: Asked, caller: str, door: Format, may_stream: bool, turn: Turn = AS_IT_IS) -> None:
        self.asked = asked
        """What is asked."""
        self.caller = caller
        """Who asks, for turns."""
        self.turn = turn
        """How they are asked differently from others."""
        self.may_stream = may_stream
        """Whether pieces of an answer are of use as they come."""
        self._has = has
        self._door = door

    @property
    def answers(self) -> int:
        """How many answers are asked for."""
        count = self.asked.body.get("n")
        return count if type(count) is int else 1

    @property
    def tokens(self) -> int:
        """About how many tokens it will take, for limits."""
        return self.asked.tokens

    def session(self) -> str:
        """What the calls of one conversation share, so that they come to one model."""
        return self.asked.session

    def target(self, model: str) -> Target:
        """Who answers to a model's name. Raises CallerError."""
        return self._has.target(model, self._door)

    def outgoing(self, target: Target) -> tuple[Format, bytes]:
        """In which format they are asked, and the body. Raises CallerError where they cannot be asked this."""
        return self.asked.outgoing(target, self._has.variant(target.variant), self.may_stream, self.turn)

    def says_less(self, variant: str, why: str) -> bool:
        """As of `Asked`."""
        return self.asked.says_less(variant, why)

    def outcome(self, answer: ChatAnswer) -> Outcome:
        """How it ended with whoever answered so."""
        return "answered" if self.turn.is_free else self.asked.outcome(answer)
