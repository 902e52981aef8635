"""A conversation fitted into so many tokens, by a strategy that says what goes: the oldest turns, what is told in a summary instead, or what
has least to do with the question.

Whatever the strategy, what comes out is never more than the budget by the counter that was handed in. The system's words and the last turn
stay, and where these alone are too many, that is an error: nothing is cut in silence. Turns go as wholes, see `turns.py`.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from inspect import isawaitable
from typing import NamedTuple, TypeAlias

import msgspec

from freehold.chat import Message, Text
from freehold.context.count import Count, Counter, tokens_of
from freehold.context.likeness import bm25
from freehold.context.turns import begins_turn, split, words_of
from freehold.errors import CallerError

SUMMARY = "Summary of the conversation so far:\n"
"""How a message begins that is a summary. It is the user's: said by the system, what a user once wrote would become the system's word."""

Score: TypeAlias = Callable[[str, Sequence[str]], Awaitable[Sequence[float]] | Sequence[float]]
"""How much each of some texts has to do with a question; more is more."""


class Summaries:
    """Summaries by what they cover, so that nobody pays twice for one. Of more than `most` the oldest goes."""

    def __init__(self, most: int = 1_000) -> None:
        self._most = most
        self._by_digest: dict[bytes, str] = {}

    def find(self, covers: bytes) -> str | None:
        """The summary of these messages."""
        return self._by_digest.get(covers)

    def keep(self, covers: bytes, summary: str) -> None:
        """Keeps the summary of these messages."""
        self._by_digest[covers] = summary
        while len(self._by_digest) > self._most:
            del self._by_digest[next(iter(self._by_digest))]


@dataclass(frozen=True, slots=True)
class Trim:
    """The oldest turns go."""

    keep_first: int = 0
    """So many of the first turns stay, where there is room for them beside the last one."""

    def __post_init__(self) -> None:
        _check("keep_first", self.keep_first, 0)


@dataclass(frozen=True, slots=True)
class Summarise:
    """The older turns become one message, which says that it is a summary. What it once summarised, it summarises again with what fell out
    since, and only when that has to be. Where the summary does not fit, the oldest turns go, as by `Trim`."""

    summarise: Callable[[Sequence[Message]], Awaitable[str]]
    """Gives the summary of messages; the first of them may be an earlier summary. What it raises is raised."""
    keep_last: int = 4
    """So many of the last turns stay as they are, or as many of them as fit beside a summary."""
    room: float = 0.25
    """The share of the budget that these leave for the summary, wherever the last turn allows it."""
    kept: Summaries = field(default_factory=Summaries, compare=False)
    """Where summaries are found again."""

    def __post_init__(self) -> None:
        _check("keep_last", self.keep_last, 1)
        if not 0 < self.room < 1:
            raise CallerError(f"room is {self.room}; expected a share of the budget between 0 and 1, such as 0.25")


@dataclass(frozen=True, slots=True)
class Retrieve:
    """Of the older turns those stay that have most to do with what is being asked, in their order; of equal ones the later."""

    score: Score = bm25
    """How much a turn has to do with it."""
    keep_last: int = 1
    """So many of the last turns stay whatever they are about, or as many of them as fit."""
    question_turns: int = 2
    """What is being asked are the user's last words and so many turns less one before them: a `Yes, please` says nothing by itself."""

    def __post_init__(self) -> None:
        _check("keep_last", self.keep_last, 1)
        _check("question_turns", self.question_turns, 1)


Strategy: TypeAlias = Trim | Summarise | Retrieve
"""What goes where not everything fits."""


class Fitted(NamedTuple):
    """A conversation that fits."""

    messages: tuple[Message, ...]
    """What is left, in its order."""
    tokens: Count
    """How many that are, never more than the budget."""
    dropped: int
    """Messages that are gone."""
    summarised: int
    """Messages that a summary stands for."""


async def fit(messages: Sequence[Message], budget_tokens: int, strategy: Strategy, counter: Counter = tokens_of) -> Fitted:
    """The conversation in at most `budget_tokens`; as it is, where it fits.

    Raises CallerError where the system's words and the last turn alone do not fit, and where the size of a part is unknown.
    """
    messages = tuple(messages)
    whole = counter(messages)
    if whole.unknown:
        raise CallerError(
            f"{whole.unknown} parts of the conversation have no known size, such as an image; the budget is {budget_tokens:,} tokens. "
            "Hand in a counter that estimates them: counter_of(model, estimates=...)."
        )
    if whole.tokens <= budget_tokens:
        return Fitted(messages, whole, 0, 0)
    allowed = budget_tokens
    while True:
        fitted = await _fit(_Measured(messages, allowed, budget_tokens, counter), strategy)
        if fitted.tokens.tokens <= budget_tokens:
            return fitted
        allowed -= fitted.tokens.tokens - budget_tokens  # a counter may count more than the sum of what it counts one by one


class _Measured:
    """A conversation that is too long, with the tokens of its turns."""

    def __init__(self, messages: tuple[Message, ...], allowed: int, budget_tokens: int, counter: Counter) -> None:
        self.messages, self.counter = messages, counter
        self.system, self.turns = split(messages)
        self.sizes = [sum(counter(messages[place]).tokens for place in turn) for turn in self.turns]
        system = sum(counter(messages[place]).tokens for place in self.system)
        self.last = len(self.turns) - 1
        self.most = allowed
        """What the whole may have."""
        self.allowed = allowed - system
        """What turns and summary may have."""
        self.room = self.allowed - (self.sizes[-1] if self.sizes else 0)
        """What is left beside the last turn."""
        if self.room < 0:
            last = f"the last turn {self.sizes[-1]:,}" if self.sizes else "there is no turn"
            raise CallerError(
                f"The conversation cannot be fitted into {budget_tokens:,} tokens: the system's words have {system:,} and {last}, and both have "
                "to stay. Raise the budget, or shorten one of them."
            )

    def latest(self, most: int, room: int) -> list[int]:
        """As many of the last turns as there is room for beside the last one, which is always among them."""
        kept = [self.last] if self.turns else []
        for turn in range(self.last - 1, max(-1, self.last - most), -1):
            if self.sizes[turn] > room or not self.may_begin(turn):
                break
            room -= self.sizes[turn]
            kept.append(turn)
        return kept[::-1]

    def may_begin(self, turn: int) -> bool:
        """Whether a conversation may begin with it: not with an assistant or with a tool."""
        return begins_turn(self.messages[self.turns[turn][0]])

    def fitted(self, kept: Sequence[int], summary: Message | None = None, covered: int = 0) -> Fitted:
        """What is left of it: these turns, and a summary of the first so many."""
        stay = sorted([*self.system, *(place for turn in kept for place in self.turns[turn])])
        left = [self.messages[place] for place in stay]
        summarised = sum(map(len, self.turns[:covered]))
        if summary is not None:
            left.insert(sum(place < self.turns[covered][0] for place in self.system), summary)
        return Fitted(tuple(left), self.counter(left), len(self.messages) - len(stay) - summarised, summarised)


async def _fit(talk: _Measured, strategy: Strategy) -> Fitted:
    match strategy:
        case Trim():
            return _trimmed(talk, strategy.keep_first)
        case Retrieve():
            return await _retrieved(talk, strategy)
        case Summarise():
            return await _summarised(talk, strategy) or _trimmed(talk, 0)


def _trimmed(talk: _Measured, keep_first: int) -> Fitted:
    room, first = talk.room, []
    for turn in [turn for turn in range(talk.last) if talk.may_begin(turn)][:keep_first]:
        if talk.sizes[turn] > room:
            break
        room -= talk.sizes[turn]
        first.append(turn)
    return talk.fitted(sorted({*first, *talk.latest(talk.last + 1 - len(first), room)}))


async def _retrieved(talk: _Measured, strategy: Retrieve) -> Fitted:
    kept = talk.latest(strategy.keep_last, talk.room)
    room = talk.allowed - sum(talk.sizes[turn] for turn in kept)
    older = [turn for turn in range(talk.last) if turn not in kept and talk.may_begin(turn)]
    if older:
        texts = [words_of(talk.messages[place] for place in talk.turns[turn]) for turn in older]
        asked = [place for turn in talk.turns[max(0, talk.last + 1 - strategy.question_turns) : talk.last] for place in turn]
        question = words_of(talk.messages[place] for place in (*asked, talk.turns[talk.last][0]))
        found = strategy.score(question, texts)
        scores = await found if isawaitable(found) else found
        if len(scores) != len(older):
            raise CallerError(f"score gave {len(scores)} numbers for {len(older)} texts; expected one for each, in their order")
        for _, turn in sorted(zip(scores, older, strict=True), reverse=True):
            if talk.sizes[turn] <= room:
                room -= talk.sizes[turn]
                kept.append(turn)
    return talk.fitted(sorted(kept))


async def _summarised(talk: _Measured, strategy: Summarise) -> Fitted | None:
    """None where the summary does not fit, or where there is no older turn to be summarised."""
    digests = _digests(talk)
    for covered in range(max(0, talk.last + 1 - strategy.keep_last), 0, -1):
        if (known := strategy.kept.find(digests[covered])) is not None:
            fitted = talk.fitted(range(covered, talk.last + 1), _message(known), covered)
            if fitted.tokens.tokens <= talk.most:
                return fitted
            break
    kept = talk.latest(strategy.keep_last, talk.room - round(strategy.room * talk.allowed))
    covered = kept[0] if kept else 0
    if covered == 0 or talk.fitted(kept, _message(""), covered).tokens.tokens > talk.most:
        return None
    summary = strategy.kept.find(digests[covered])
    if summary is None:
        summary = await strategy.summarise(_to_summarise(talk, strategy.kept, digests, covered))
        strategy.kept.keep(digests[covered], summary)
    fitted = talk.fitted(kept, _message(summary), covered)
    return fitted if fitted.tokens.tokens <= talk.most else None


def _to_summarise(talk: _Measured, kept: Summaries, digests: Sequence[bytes], covered: int) -> tuple[Message, ...]:
    """The first so many turns; those of them that a summary covers already, as that summary."""
    for known in range(covered - 1, 0, -1):
        if (summary := kept.find(digests[known])) is not None:
            return (_message(summary), *(talk.messages[place] for turn in talk.turns[known:covered] for place in turn))
    return tuple(talk.messages[place] for turn in talk.turns[:covered] for place in turn)


def _message(summary: str) -> Message:
    return Message(role="user", parts=(Text(text=SUMMARY + summary),))


def _digests(talk: _Measured) -> list[bytes]:
    """What names the first n turns, for every n."""
    hashed = blake2b(digest_size=16)
    digests = [hashed.digest()]
    for turn in talk.turns:
        for place in turn:
            hashed.update(msgspec.msgpack.encode(talk.messages[place]))
        digests.append(hashed.digest())
    return digests


def _check(name: str, value: int, least: int) -> None:
    if value < least:
        raise CallerError(f"{name} is {value}; expected a number of turns from {least}")
