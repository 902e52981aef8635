"""An exchange becomes a call: the same that an import of its log would give, without being written down as a log first."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, NamedTuple

from freehold.chat import JSON, ChatAnswer, Choice, Media, Outcome, Refusal, Text, ToolCall, canonical_json, media_json
from freehold.errors import DataError
from freehold.gateway.openai_answers import finish_word
from freehold.journal.build import texts_of
from freehold.journal.formats.completion import USUAL_ENDS, arguments_of, held
from freehold.journal.formats.openai import input_of, item_of, metadata_of, subject_of
from freehold.journal.formats.record import MAX_LEVELS, TOO_DEEP, is_deeper
from freehold.journal.shape import shape_of

_MOST_NAME = 512


class Question(NamedTuple):
    """What a request asks, as the journal keeps it."""

    input: JSON
    """As of `Call`."""
    item: str
    """As of `Call`."""
    shape: str
    """As of `Call`."""
    subject: str | None
    """As of `Call`."""
    tags: dict[str, str]
    """As of `Call`."""


def question(request: Mapping[str, Any], asked: dict[str, Any]) -> Question:
    """The question in a body of chat completions, of which `asked` is what `question_of` says. Raises DataError for one that no journal can
    keep."""
    input = input_of(asked)
    if not isinstance(input, str) and is_deeper(input, MAX_LEVELS):
        raise DataError(TOO_DEEP)
    metadata = metadata_of(request)
    tags = texts_of(metadata) if metadata else {}
    subject = tags.pop("subject", None) or subject_of(request)
    for name in (*tags, subject or "-"):
        if not 0 < len(name) <= _MOST_NAME or "\0" in name:
            raise DataError(f"metadata and user: a name has {len(name)} characters; expected 1 to {_MOST_NAME}, none of them NUL")
    return Question(input, item_of(asked), shape_of(input), subject, tags)


def question_about(input: JSON) -> Question:
    """The question of a request that is no chat, such as the texts to be embedded. Raises DataError as `question`."""
    if not isinstance(input, str) and is_deeper(input, MAX_LEVELS):
        raise DataError(TOO_DEEP)
    return Question(input, blake2b(canonical_json(input), digest_size=16).hexdigest(), shape_of(input), None, {})


def outcome_of(answer: ChatAnswer) -> Outcome:
    """How a call ended that has this answer."""
    for choice in answer.choices:
        if choice.finish not in ("refused", "filtered"):
            return "answered"
    return "refused" if answer.choices else "malformed"


def output_of(answer: ChatAnswer) -> JSON:
    """Plain text where the answer is that; else an object of what it holds. None where it has no choice."""
    outputs = [_said(choice) for choice in answer.choices]
    return outputs[0] if len(outputs) == 1 else {"choices": outputs} if outputs else None


def unusual_end(answer: ChatAnswer) -> str:
    """Why the answer ended, where that is worth a tag; else empty."""
    for choice in answer.choices:
        if choice.finish != "stop" and (word := finish_word(choice.finish)) not in USUAL_ENDS:
            return word
    return ""


def _said(choice: Choice) -> JSON:
    parts = choice.parts
    if len(parts) == 1 and type(parts[0]) is Text:
        return parts[0].text
    kept: dict[str, JSON] = {}
    if refusal := "".join(part.text for part in parts if isinstance(part, Refusal)):
        kept["refusal"] = refusal
    calls = [{"name": part.name, "arguments": arguments_of(part.arguments or "{}")} for part in parts if isinstance(part, ToolCall)]
    if calls:
        kept["tool_calls"] = calls
    content = "".join(part.text for part in parts if isinstance(part, Text))
    return held(content, kept, [media_json(part) for part in parts if isinstance(part, Media)])
