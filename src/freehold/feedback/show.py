"""What a person is shown: inputs and answers as text that fits a screen and cannot play tricks on a terminal. Pure."""

import re
from collections.abc import Mapping
from difflib import SequenceMatcher, unified_diff
from typing import NamedTuple

import msgspec

from freehold.chat import JSON, is_messages, text_of
from freehold.feedback.attached import attached, without

LINES = 16
"""How many lines of an input or an answer are shown at first."""
CHARACTERS = 1_200
"""How many characters are."""

_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
"""Control characters but tab and newline, and those that turn the direction of writing: an answer could hide or forge what is shown."""
_HIDDEN_ROLES = ("system", "developer")


class Excerpt(NamedTuple):
    """A page of a text."""

    text: str
    hidden: int
    """How many characters come after it."""


def asked_text(asked: JSON) -> str:
    """An input: the words of a text or an only message, each message of a conversation under its role, an object key by key; and what
    there is beside the words.

    The system's words are left out: they belong to the task and are the same each time.
    """
    beside = [plain(f"[{one}]") for one in attached(asked)]
    return "\n".join([*([words] if (words := _words(asked)) else []), *beside])


def _words(asked: JSON) -> str:
    asked = asked if isinstance(asked, str) else without(asked) if not _has_messages(asked) else asked
    inner = asked.get("messages") if isinstance(asked, Mapping) else asked
    if isinstance(inner, list) and is_messages(inner):
        spoken = [message for message in inner if message["role"] not in _HIDDEN_ROLES]
        words = [text_of([message]) or ("" if attached(message) else answer_text(message.get("content"))) for message in spoken]
        if len(spoken) == 1:
            return plain(words[0])
        return plain("\n".join(f"{message['role']}: {said}" for message, said in zip(spoken, words, strict=True)))
    if isinstance(asked, Mapping):
        return plain("\n".join(f"{key}: {answer_text(value)}" for key, value in asked.items()))
    return answer_text(asked)


def _has_messages(asked: JSON) -> bool:
    return is_messages(asked.get("messages") if isinstance(asked, Mapping) else asked)


def answer_text(output: JSON) -> str:
    """An answer: a text as it is, anything else as JSON, with a word in the place of what is no text."""
    output = without(output)
    if isinstance(output, str):
        return plain(output)
    compact = msgspec.json.encode(output).decode()
    return plain(compact if len(compact) <= 60 else msgspec.json.format(compact.encode(), indent=2).decode())


def plain(text: str) -> str:
    """The text with a � for each character that could steer a terminal."""
    return _UNSEEN.sub("�", text.replace("\r\n", "\n"))


def excerpt(text: str, times: int = 1, page: int = 0) -> Excerpt:
    """A page of the text, the first or a later one: `times` as much as is shown at first; the last where it has fewer."""
    while True:
        shown = "\n".join(text.split("\n", LINES * times)[: LINES * times])[: CHARACTERS * times]
        rest = text[len(shown) :].removeprefix("\n")
        if page <= 0 or not rest:
            return Excerpt(shown, len(text) - len(shown) if rest else 0)
        text, page = rest, page - 1


def pages(text: str, times: int = 1) -> int:
    """How many pages it has."""
    count = 1
    while excerpt(text, times, count - 1).hidden:
        count += 1
    return count


def difference(one: str, other: str) -> str:
    """What is different in the other text: line by line; within a single line word by word, as [-gone-] and {+new+}."""
    if one == other:
        return "They are the same."
    if "\n" in one or "\n" in other:
        return "\n".join(list(unified_diff(one.split("\n"), other.split("\n"), n=2, lineterm=""))[2:])
    before, after = re.findall(r"\s*\S+", one), re.findall(r"\s*\S+", other)
    parts = []
    for kind, i, j, k, m in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        gone, new = "".join(before[i:j]), "".join(after[k:m])
        if kind == "equal":
            parts.append(gone)
        else:
            parts += [f" [-{gone.strip()}-]"] if gone else []
            parts += [f" {{+{new.strip()}+}}"] if new else []
    return "".join(parts).strip()


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
