"""A conversation as turns: what has to stay together when some of it is left out."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from freehold.chat import Message, Refusal, Text, ToolCall, ToolResult

_SYSTEM = ("system", "developer")


class Split(NamedTuple):
    """The messages of a conversation, by place: every place is in one of these, once."""

    system: tuple[int, ...]
    """What the system or the developer says, wherever it stands."""
    turns: tuple[tuple[int, ...], ...]
    """The rest in its order, each turn from what the user says up to the next time the user does. Calls of tools and their results are in one
    turn: where a user spoke between them, both turns are one. What comes before the user's first word is a turn too."""


def split(messages: Sequence[Message]) -> Split:
    """The turns of a conversation."""
    system: list[int] = []
    turns: list[list[int]] = []
    called: dict[str, int] = {}
    """By the id of a call, the turn that made it."""
    for place, message in enumerate(messages):
        if message.role in _SYSTEM:
            system.append(place)
            continue
        if not turns or begins_turn(message):
            turns.append([])
        turns[-1].append(place)
        for part in message.parts:
            if isinstance(part, ToolResult) and (made := called.get(part.call, len(turns))) < len(turns) - 1:
                turns[made:] = [[place for turn in turns[made:] for place in turn]]
                called = {call: min(turn, made) for call, turn in called.items()}
            elif isinstance(part, ToolCall):
                called[part.id] = len(turns) - 1
    return Split(tuple(system), tuple(map(tuple, turns)))


def begins_turn(message: Message) -> bool:
    """Whether a turn begins with it: the user says something. A result of a tool, under whichever role, is no word of the user's."""
    return message.role == "user" and not any(isinstance(part, ToolResult) for part in message.parts)


def words_of(messages: Iterable[Message]) -> str:
    """What is said in messages, as one text: words, what tools were asked and what they gave."""
    said: list[str] = []
    for message in messages:
        for part in message.parts:
            match part:
                case Text(text=text) | Refusal(text=text):
                    said.append(text)
                case ToolCall():
                    said += (part.name, part.arguments)
                case ToolResult():
                    said += [inner.text for inner in part.parts if isinstance(inner, Text)]
    return "\n".join(said)
