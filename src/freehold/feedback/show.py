"""What a person is shown: inputs and answers as text that fits a screen and cannot play tricks on a terminal. Pure."""

import re
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from freehold.chat import JSON, is_messages, text_of

LINES = 16
"""How many lines of an input or an answer are shown at first."""
CHARACTERS = 1_200
"""How many characters are."""

_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
"""Control characters but tab and newline, and those that turn the direction of writing: an answer could hide or forge what is shown."""
_HIDDEN_ROLES = ("system", "developer")


class Excerpt(NamedTuple):
    """The beginning of a text."""

    text: str
    hidden: int
    """How many characters are not in it."""


def asked_text(asked: JSON) -> str:
    """An input: the words of a text or an only message, each message of a conversation under its role, an object key by key.

    The system's words are left out: they belong to the task and are the same each time.
    """
    inner = asked.get("messages") if isinstance(asked, Mapping) else asked
    if isinstance(inner, list) and is_messages(inner):
        spoken = [message for message in inner if message["role"] not in _HIDDEN_ROLES]
        words = [text_of([message]) or answer_text(message.get("content")) for message in spoken]
        if len(spoken) == 1:
            return plain(words[0])
        return plain("\n".join(f"{message['role']}: {said}" for message, said in zip(spoken, words, strict=True)))
    if isinstance(asked, Mapping):
        return plain("\n".join(f"{key}: {answer_text(value)}" for key, value in asked.items()))
    return answer_text(asked)


def answer_text(output: JSON) -> str:
    """An answer: a text as it is, anything else as JSON."""
    if isinstance(output, str):
        return plain(output)
    compact = msgspec.json.encode(output).decode()
    return plain(compact if len(compact) <= 60 else msgspec.json.format(compact.encode(), indent=2).decode())


def plain(text: str) -> str:
    """The text with a � for each character that could steer a terminal."""
    return _UNSEEN.sub("�", text.replace("\r\n", "\n"))


def excerpt(text: str, times: int = 1) -> Excerpt:
    """The beginning of a text: `times` as much as is shown at first."""
    shown = "\n".join(text.split("\n", LINES * times)[: LINES * times])[: CHARACTERS * times]
    return Excerpt(shown, len(text) - len(shown))


def typed_correction(text: str, outputs: tuple[JSON, ...]) -> JSON:
    """What a rater typed as the right answer, as a value of the answers' kind: JSON where no answer is a text, where it can be read so."""
    text = text.strip()
    same = next((output for output in outputs if answer_text(output).strip() == text), None)
    if same is not None:
        return same
    if any(isinstance(output, str) for output in outputs):
        return text
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
