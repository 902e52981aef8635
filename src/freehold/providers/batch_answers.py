"""The answers of a batch, line by line, of either provider."""

from collections.abc import Mapping
from typing import Any, BinaryIO, Literal, NamedTuple, TypeAlias

import msgspec

from freehold.chat import ChatAnswer
from freehold.errors import DataError, ProviderError
from freehold.gateway.formats import error_message
from freehold.providers.asking import MOST_ANSWER_BYTES
from freehold.providers.provider import Provider

Status: TypeAlias = Literal["answered", "failed", "malformed", "expired", "cancelled"]
AT_ONCE = 256
"""How many lines are read at once."""
_ENDS: Mapping[Any, Status] = {
    "batch_expired": "expired",
    "batch_cancelled": "cancelled",
    "expired": "expired",
    "canceled": "cancelled",
}
_NOT_DONE, _UNKNOWN = 503, 502
_CODES = {
    "invalid_request_error": 400,
    "invalid_request": 400,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "overloaded_error": 529,
}
"""By Anthropic's types of errors."""


class Result(NamedTuple):
    """What became of one request."""

    custom_id: str
    """Which."""
    status: Status
    """How it ended."""
    answer: ChatAnswer | None
    """The answer; None where there is none."""
    why: str
    """Why there is none; empty where there is."""
    code: int = 200
    """The HTTP status that it would have had by itself."""
    body: bytes = b""
    """The answer as it came."""


class _Line(msgspec.Struct):
    """A line of answers, of either provider."""

    custom_id: str
    response: "_Response | None" = None
    error: Any = None
    result: "_Ended | None" = None


class _Response(msgspec.Struct):
    status_code: int = 0
    body: msgspec.Raw = msgspec.Raw(b"null")


class _Ended(msgspec.Struct):
    type: str
    message: msgspec.Raw = msgspec.Raw(b"null")
    error: msgspec.Raw = msgspec.Raw(b"null")


def read_some(provider: Provider, file: BinaryIO, most: int = AT_ONCE) -> list[Result]:
    """The next results of a file. Raises ProviderError for what is no line of answers."""
    found: list[Result] = []
    while len(found) < most and (line := file.readline(MOST_ANSWER_BYTES + 1)):
        if len(line) > MOST_ANSWER_BYTES:
            raise ProviderError(f"'{provider.name}' gave an answer of more than {MOST_ANSWER_BYTES // 2**20} MiB")
        if line.strip():
            found.append(_result(provider, line))
    return found


def _result(provider: Provider, line: bytes) -> Result:
    try:
        told = msgspec.json.decode(line, type=_Line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProviderError(f"'{provider.name}' gave a line of answers that cannot be read: {error}") from None
    if told.result is not None:
        ended = told.result
        if ended.type == "succeeded":
            return _answered(provider, told.custom_id, bytes(ended.message))
        if ended.type != "errored":
            return Result(told.custom_id, _ENDS.get(ended.type, "failed"), None, ended.type, _NOT_DONE)
        said = _inner(bytes(ended.error))
        return Result(told.custom_id, "failed", None, error_message(said), _CODES.get(_type_of(said), _UNKNOWN))
    if told.error is not None or told.response is None:
        about = told.error if isinstance(told.error, dict) else {}
        code = about.get("code")
        why = str(about.get("message") or code or "no reason was given")[:2_000]
        return Result(told.custom_id, _ENDS.get(code, "failed"), None, why, _NOT_DONE)
    if told.response.status_code != 200:
        return Result(told.custom_id, "failed", None, error_message(bytes(told.response.body)), told.response.status_code)
    return _answered(provider, told.custom_id, bytes(told.response.body))


def _answered(provider: Provider, id: str, body: bytes) -> Result:
    try:
        return Result(id, "answered", provider.format.read_answer(body), "", body=body)
    except DataError as error:
        return Result(id, "malformed", None, f"the provider's answer cannot be read: {error}", body=body)


def _inner(error: bytes) -> bytes:
    """Anthropic puts an error in an error."""
    try:
        told = msgspec.json.decode(error)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return error
    return msgspec.json.encode(told["error"]) if isinstance(told, dict) and isinstance(told.get("error"), dict) else error


def _type_of(error: bytes) -> str:
    try:
        told = msgspec.json.decode(error)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    return str(told.get("type", "")) if isinstance(told, dict) else ""
