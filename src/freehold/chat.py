"""The nouns of one exchange: what was asked, as text the router can read, and what it used, as one canonical record."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, TypeAlias

import msgspec

from freehold.errors import DataError

JSON: TypeAlias = Any
"""A value that entered as JSON: None, bool, int, float, str, list or dict."""

Role: TypeAlias = Literal["system", "developer", "user", "assistant", "tool"]
Modality: TypeAlias = Literal["text", "image", "audio", "video", "file"]

_ROLES_OF_THE_TASK = frozenset({"system", "developer"})


class Usage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, forbid_unknown_fields=True):
    """What one answer used, in tokens. The parts always sum: `input_tokens` = fresh + cached_read + cached_write."""

    input_tokens: int = 0
    """All tokens put before the model, cached ones included."""
    cached_read: int = 0
    """Those of `input_tokens` that the provider read from its prompt cache."""
    cached_write: int = 0
    """Those of `input_tokens` that the provider wrote to its prompt cache."""
    output_tokens: int = 0
    """All tokens the model produced, reasoning included."""
    reasoning_tokens: int = 0
    """Those of `output_tokens` spent on reasoning the caller does not see."""
    input_by_modality: dict[Modality, int] | None = None
    """`input_tokens` split by modality, where the provider says; sums to `input_tokens`."""
    output_by_modality: dict[Modality, int] | None = None
    """`output_tokens` split by modality, where the provider says; sums to `output_tokens`."""

    def __post_init__(self) -> None:
        counts = (self.input_tokens, self.cached_read, self.cached_write, self.output_tokens, self.reasoning_tokens)
        if min(counts) < 0:
            raise DataError(f"usage has a negative count: {counts}; token counts are whole numbers from 0")
        if self.cached_read + self.cached_write > self.input_tokens:
            raise DataError(
                f"usage does not add up: cached_read {self.cached_read} + cached_write {self.cached_write} is more than "
                f"input_tokens {self.input_tokens}, which is the total and includes both"
            )
        if self.reasoning_tokens > self.output_tokens:
            raise DataError(
                f"usage does not add up: reasoning_tokens {self.reasoning_tokens} is more than output_tokens "
                f"{self.output_tokens}, which includes it"
            )
        for total, split, name in (
            (self.input_tokens, self.input_by_modality, "input_by_modality"),
            (self.output_tokens, self.output_by_modality, "output_by_modality"),
        ):
            if split is not None and (sum(split.values()) != total or min(split.values(), default=0) < 0):
                raise DataError(f"usage does not add up: {name} {split} has to sum to {total} with no negative part")

    @property
    def fresh_tokens(self) -> int:
        """Input tokens that touched no cache."""
        return self.input_tokens - self.cached_read - self.cached_write


def text_of(asked: JSON) -> str:
    """The words of an input that differ from call to call: what routing looks at.

    A string is itself. Of a list of chat messages (or an object with `messages`), the text parts of every message except the
    system's and the developer's, which belong to the task. Of any other object, its strings and numbers in order.
    """
    if isinstance(asked, str):
        return asked
    messages = _messages_in(asked)
    if messages is None:
        return "\n".join(_leaves(asked))
    return "\n".join(_words(m for m in messages if m["role"] not in _ROLES_OF_THE_TASK))


def system_text_of(asked: JSON) -> str:
    """The system's and the developer's words of an input made of chat messages; empty for every other input."""
    return "\n".join(_words(m for m in _messages_in(asked) or () if m["role"] in _ROLES_OF_THE_TASK))


def is_messages(value: JSON) -> bool:
    """Whether `value` is a list of chat messages."""
    return isinstance(value, list) and bool(value) and all(isinstance(m, Mapping) and isinstance(m.get("role"), str) for m in value)


def _messages_in(asked: JSON) -> list[dict[str, JSON]] | None:
    inner = asked.get("messages") if isinstance(asked, Mapping) else asked
    return inner if is_messages(inner) else None


def _words(messages: Iterable[Mapping[str, JSON]]) -> Iterator[str]:
    for message in messages:
        yield from _leaves(message.get("content"))


def _leaves(value: JSON) -> Iterator[str]:
    """The texts and numbers in a JSON value, in order; of a content part, its words and never its type, ids or a file's bytes."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, bool) or value is None:
        return
    elif isinstance(value, int):
        yield str(value)
    elif isinstance(value, float):
        yield f"{value:.15g}"
    elif isinstance(value, list):
        for entry in value:
            yield from _part(entry) if isinstance(entry, Mapping) and isinstance(entry.get("type"), str) else _leaves(entry)
    elif isinstance(value, Mapping):
        for entry in value.values():
            yield from _leaves(entry)


def _part(part: Mapping[str, JSON]) -> Iterator[str]:
    """The words of one content part, or of any other typed object in a list."""
    if part["type"] in _PARTS_WITHOUT_WORDS:
        return
    if part["type"] in _PARTS_OF_TEXT:
        yield from _leaves(part.get("text"))
        return
    for key, entry in part.items():
        if key not in _KEYS_WITHOUT_WORDS:
            yield from _leaves(entry)


_PARTS_OF_TEXT = frozenset({"text", "input_text", "output_text"})
_PARTS_WITHOUT_WORDS = frozenset({"image", "image_url", "input_image", "audio", "input_audio", "file", "input_file", "document", "video"})
_KEYS_WITHOUT_WORDS = frozenset({"type", "id", "tool_use_id", "call_id", "cache_control", "signature"})


def canonical_json(value: JSON) -> bytes:
    """The one byte string of a JSON value: keys sorted, no spaces. What is hashed and compared."""
    return msgspec.json.encode(value, order="deterministic")
