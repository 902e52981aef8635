"""The wire formats side by side: whatever one door or one provider needs to know of how it is spoken to."""

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

import msgspec

from freehold.chat import JSON, ChatAnswer, ChatRequest, Chunk, Modality
from freehold.gateway import anthropic, anthropic_stream, embeddings, openai, openai_answers, openai_stream
from freehold.gateway.sse import Event


class StreamReader(Protocol):
    """Events of a provider into pieces of an answer."""

    @property
    def is_done(self) -> bool:
        """Whether the stream has said that it ended."""

    def read(self, told: Event) -> list[Chunk]:
        """The pieces in one event. Raises ProviderError."""


class StreamWriter(Protocol):
    """Pieces of an answer into events for a caller."""

    def write(self, chunk: Chunk) -> bytes:
        """The events of one piece. Raises ProviderError for one that cannot stand where it comes."""

    def end(self) -> bytes:
        """The events that end the stream."""

    def broken(self, message: str, kind: str) -> bytes:
        """The event that says that the answer ends here because something failed."""


class Format(NamedTuple):
    """How one family of clients and providers talks."""

    name: str
    path: str
    """Where a chat is asked for, below the base URL."""
    read_request: Callable[[JSON], ChatRequest]
    """Body to request. Raises CallerError."""
    write_request: Callable[[ChatRequest], dict[str, JSON]]
    """Request to body. Raises CallerError for what cannot be said."""
    read_answer: Callable[[bytes], ChatAnswer]
    """Body to answer. Raises DataError."""
    write_answer: Callable[[ChatAnswer], dict[str, JSON]]
    """Answer to body."""
    stream_reader: Callable[[int], StreamReader]
    """Reads one stream; told how many answers were asked for."""
    stream_writer: Callable[[bool], StreamWriter]
    """Writes one stream; told whether the caller asked for usage in it."""
    credentials: Callable[[str], list[tuple[str, str]]]
    """The headers that carry a key."""
    error: Callable[[int, str, str], dict[str, JSON]]
    """The body of an error: its status, its message, the call it is about; empty where there is none."""
    error_kind: Callable[[int], str]
    """What this format calls errors of a status."""
    takes: frozenset[Modality]
    """What a request may hold beside text, whichever provider then takes it."""
    gives: frozenset[Modality]
    """What an answer may hold beside text."""


_OPENAI_KINDS = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
_ANTHROPIC_KINDS = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def _openai_kind(status: int) -> str:
    return _OPENAI_KINDS.get(status, "invalid_request_error" if status < 500 else "server_error")


def _anthropic_kind(status: int) -> str:
    return _ANTHROPIC_KINDS.get(status, "invalid_request_error" if status < 500 else "api_error")


def _openai_error(status: int, message: str, call: str) -> dict[str, JSON]:
    code = "model_not_found" if status == 404 and call else None
    about: dict[str, JSON] = {"message": message, "type": _openai_kind(status), "param": None, "code": code}
    return {"error": about | ({"call": call} if call else {})}


def _anthropic_error(status: int, message: str, call: str) -> dict[str, JSON]:
    return {"type": "error", "error": {"type": _anthropic_kind(status), "message": message}, "request_id": call or None}


OPENAI = Format(
    name="openai",
    path="/chat/completions",
    read_request=openai.read_request,
    write_request=openai.write_request,
    read_answer=openai_answers.read_answer,
    write_answer=openai_answers.write_answer,
    stream_reader=openai_stream.StreamReader,
    stream_writer=openai_stream.StreamWriter,
    credentials=lambda key: [("authorization", f"Bearer {key}")],
    error=_openai_error,
    error_kind=_openai_kind,
    takes=frozenset({"image", "audio", "video", "file"}),
    gives=frozenset({"image", "audio", "video", "file"}),
)
ANTHROPIC = Format(
    name="anthropic",
    path="/messages",
    read_request=anthropic.read_request,
    write_request=anthropic.write_request,
    read_answer=anthropic.read_answer,
    write_answer=anthropic.write_answer,
    stream_reader=lambda answers: anthropic_stream.StreamReader(),
    stream_writer=lambda with_usage: anthropic_stream.StreamWriter(),
    credentials=lambda key: [("x-api-key", key), ("anthropic-version", "2023-06-01")],
    error=_anthropic_error,
    error_kind=_anthropic_kind,
    takes=frozenset({"image", "file"}),
    gives=frozenset(),
)
EMBEDDINGS = OPENAI._replace(name="embeddings", path="/embeddings", read_answer=embeddings.read_answer)
"""A door beside OpenAI's, to the providers that speak its format."""
FORMATS: Mapping[str, Format] = {each.name: each for each in (OPENAI, ANTHROPIC)}


def error_message(body: bytes) -> str:
    """What a provider's error says, in either format; the beginning of its body where it is in none."""
    try:
        told = msgspec.json.decode(body)
        error = told.get("error") or told.get("detail") or told if isinstance(told, dict) else told  # `detail` is FastAPI's
        message = error.get("message") if isinstance(error, dict) else error
        if isinstance(message, str) and message:
            return message[:2_000]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    return body[:500].decode(errors="replace") or "no reason was given"
