"""Embeddings, which OpenAI's format alone has: what is asked is passed on, what comes back is checked and passed back as it is."""

from typing import Any

import msgspec

from freehold.chat import JSON, ChatAnswer, Choice
from freehold.errors import CallerError, DataError
from freehold.gateway.fields import Fields
from freehold.gateway.openai_usage import read_usage


class _Embeddings(msgspec.Struct):
    """An answer, as far as it is read."""

    data: list[msgspec.Raw]
    model: str | None = None
    usage: Any = None


_decode = msgspec.json.Decoder(_Embeddings).decode


def check_request(body: dict[str, JSON]) -> None:
    """Raises CallerError for a body that asks for nothing that could be embedded, or says how in what is no number or text."""
    asked = body.get("input")
    if not (
        isinstance(asked, str) or (isinstance(asked, list) and (_are_texts(asked) or _is_tokens(asked) or all(map(_is_tokens, asked))))
    ):
        asked = None
    if not asked:
        raise CallerError("input: expected a text, a list of texts, or tokens")
    fields = Fields(body, "")
    fields.take("encoding_format", str)
    fields.take("user", str)
    if fields.has("dimensions") and not _is_whole(fields.raw("dimensions"), 1):
        raise CallerError("dimensions: expected a whole number from 1 on")


def _are_texts(values: list[JSON]) -> bool:
    return all(isinstance(value, str) for value in values)


def _is_tokens(value: JSON) -> bool:
    return isinstance(value, list) and bool(value) and all(_is_whole(token, 0) for token in value)


def _is_whole(value: JSON, least: int) -> bool:
    """Whether it is a whole number, however it is written: JSON's 38.0 is one."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= least and value % 1 == 0


def read_answer(body: bytes) -> ChatAnswer:
    """What is known of an answer without its numbers: that it is one, and what it used. Raises DataError where it is none."""
    try:
        answer = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(f"the provider's answer holds no embeddings: {error}") from None
    return ChatAnswer(id="", model=answer.model or "", choices=(Choice(),), usage=read_usage(answer.usage))
