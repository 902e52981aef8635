"""How OpenAI and Anthropic are spoken to about batches: which request asks for what, and what is said of a batch in answer.

By their references of November 2026: platform.openai.com/docs/api-reference/batch and platform.claude.com/docs/en/api/messages/batches.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol
from urllib.parse import quote

import msgspec

from freehold.errors import ProviderError
from freehold.providers.plain import Ask
from freehold.providers.spooled import Spooled

_TRANSFER_S = 3_600.0
_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,200}")
_TICKET, _PART, _DIGEST = "freehold_ticket", "freehold_part", "freehold_digest"
_BOUNDARY = "freehold-b0f3b7c1a94d4e5f"


class Batch(NamedTuple):
    """What a provider says of a batch."""

    id: str
    """Its id there."""
    status: str
    """How far it is, in the provider's word."""
    is_over: bool
    """Whether nothing more will come of it."""
    created_at: float
    """When it was created, in seconds since 1970."""
    requests: int
    """How many requests there are in it; 0 where that is not counted yet."""
    answered: int
    """How many of them have an answer."""
    failed: int
    """How many have none and get none."""
    outputs: tuple[str, ...]
    """Where its answers are, below the base URL."""
    why: str
    """Why it failed as a whole; empty where it did not."""
    about: Mapping[str, str] | None
    """What was noted with it when it was created; None where nothing can be."""


class Page(NamedTuple):
    """Some batches, the newest first."""

    batches: list[Batch]
    """Which."""
    has_more: bool
    """Whether there are older ones."""


class BatchAPI(Protocol):
    """How one provider is spoken to. What it answers raises ProviderError where it is not what it has to be."""

    @property
    def uploads(self) -> bool:
        """Whether the requests are uploaded before the batch is created."""

    def upload(self, ticket: str, batch: Spooled) -> Ask:
        """Uploads the requests."""

    def read_file(self, body: bytes) -> str:
        """The id of what was uploaded."""

    def create(self, ticket: str, n: int, digest: str, file: str | None, batch: Spooled) -> Ask:
        """Creates a batch."""

    def look(self, batch: str) -> Ask:
        """Looks how far it is."""

    def cancel(self, batch: str) -> Ask:
        """Has no more of it begun."""

    def listing(self, after: str | None) -> Ask:
        """Lists batches, from the one after `after`."""

    def read(self, body: bytes) -> Batch:
        """A batch."""

    def read_page(self, body: bytes) -> Page:
        """A list of batches."""


def is_ours(batch: Batch, ticket: str, n: int, digest: str) -> bool | None:
    """Whether a batch is this part of this ticket; None where nothing that is said of it tells."""
    if batch.about is None:
        return None
    return (batch.about.get(_TICKET), batch.about.get(_PART), batch.about.get(_DIGEST)) == (ticket, str(n), digest)


# OpenAI.


class _File(msgspec.Struct):
    id: str


class _Count(msgspec.Struct):
    total: int = 0
    completed: int = 0
    failed: int = 0


class _Error(msgspec.Struct):
    message: str | None = None
    code: str | None = None
    line: int | None = None


class _Errors(msgspec.Struct):
    data: list[_Error] | None = None


class _OpenAIBatch(msgspec.Struct):
    id: str
    status: str
    created_at: float = 0.0
    request_counts: _Count | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None
    errors: _Errors | None = None
    metadata: dict[str, str] | None = None


class _OpenAIPage(msgspec.Struct):
    data: list[_OpenAIBatch]
    has_more: bool = False


_OVER = frozenset({"completed", "failed", "expired", "cancelled"})


class OpenAIBatches:
    """A file of JSON lines is uploaded, a batch is made of it, and its answers are two more files: those that came, and those that failed."""

    uploads = True

    def upload(self, ticket: str, batch: Spooled) -> Ask:
        """As of `BatchAPI`."""
        purpose = f'--{_BOUNDARY}\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
        file = f'--{_BOUNDARY}\r\ncontent-disposition: form-data; name="file"; filename="freehold-{batch.digest}.jsonl"\r\n'
        head = f"{purpose}{file}content-type: application/jsonl\r\n\r\n".encode()
        pieces = (head, batch.path, f"\r\n--{_BOUNDARY}--\r\n".encode())
        return Ask("POST", "/files", pieces, f"multipart/form-data; boundary={_BOUNDARY}", total_s=_TRANSFER_S)

    def read_file(self, body: bytes) -> str:
        """As of `BatchAPI`."""
        return _name(_decoded(body, _File).id)

    def create(self, ticket: str, n: int, digest: str, file: str | None, batch: Spooled) -> Ask:
        """As of `BatchAPI`."""
        body = {
            "input_file_id": file,
            "endpoint": "/v1/chat/completions",
            "completion_window": "24h",
            "metadata": {_TICKET: ticket, _PART: str(n), _DIGEST: digest},
        }
        return Ask("POST", "/batches", (msgspec.json.encode(body),))

    def look(self, batch: str) -> Ask:
        """As of `BatchAPI`."""
        return Ask("GET", f"/batches/{quote(batch, safe='')}")

    def cancel(self, batch: str) -> Ask:
        """As of `BatchAPI`."""
        return Ask("POST", f"/batches/{quote(batch, safe='')}/cancel")

    def listing(self, after: str | None) -> Ask:
        """As of `BatchAPI`."""
        return Ask("GET", "/batches?limit=100" + (f"&after={quote(after, safe='')}" if after else ""))

    def read(self, body: bytes) -> Batch:
        """As of `BatchAPI`."""
        return self._of(_decoded(body, _OpenAIBatch))

    def read_page(self, body: bytes) -> Page:
        """As of `BatchAPI`."""
        told = _decoded(body, _OpenAIPage)
        return Page([self._of(each) for each in told.data], told.has_more)

    def _of(self, told: _OpenAIBatch) -> Batch:
        count = told.request_counts or _Count()
        errors = (told.errors.data if told.errors is not None else None) or []
        why = "; ".join(f"line {e.line}: {e.message or e.code}" if e.line else str(e.message or e.code) for e in errors[:5])
        return Batch(
            id=_name(told.id),
            status=told.status,
            is_over=told.status in _OVER,
            created_at=told.created_at,
            requests=count.total,
            answered=count.completed,
            failed=count.failed,
            outputs=tuple(f"/files/{_name(file)}/content" for file in (told.output_file_id, told.error_file_id) if file),
            why=(why or "no reason was given")[:2_000] if told.status == "failed" else "",
            about=told.metadata or {},
        )


# Anthropic.


class _Counts(msgspec.Struct):
    processing: int = 0
    succeeded: int = 0
    errored: int = 0
    canceled: int = 0
    expired: int = 0


class _AnthropicBatch(msgspec.Struct):
    id: str
    processing_status: str
    created_at: str = ""
    request_counts: _Counts = msgspec.field(default_factory=_Counts)
    results_url: str | None = None


class _AnthropicPage(msgspec.Struct):
    data: list[_AnthropicBatch]
    has_more: bool = False


class AnthropicBatches:
    """The requests come with the word to create a batch, and the answers in one file. Nothing can be noted with a batch."""

    uploads = False

    def upload(self, ticket: str, batch: Spooled) -> Ask:
        """As of `BatchAPI`: it takes no uploads."""
        raise NotImplementedError

    def read_file(self, body: bytes) -> str:
        """As of `BatchAPI`: it takes no uploads."""
        raise NotImplementedError

    def create(self, ticket: str, n: int, digest: str, file: str | None, batch: Spooled) -> Ask:
        """As of `BatchAPI`."""
        return Ask("POST", "/messages/batches", (batch.path,), total_s=_TRANSFER_S)

    def look(self, batch: str) -> Ask:
        """As of `BatchAPI`."""
        return Ask("GET", f"/messages/batches/{quote(batch, safe='')}")

    def cancel(self, batch: str) -> Ask:
        """As of `BatchAPI`."""
        return Ask("POST", f"/messages/batches/{quote(batch, safe='')}/cancel")

    def listing(self, after: str | None) -> Ask:
        """As of `BatchAPI`."""
        return Ask("GET", "/messages/batches?limit=100" + (f"&after_id={quote(after, safe='')}" if after else ""))

    def read(self, body: bytes) -> Batch:
        """As of `BatchAPI`."""
        return self._of(_decoded(body, _AnthropicBatch))

    def read_page(self, body: bytes) -> Page:
        """As of `BatchAPI`."""
        told = _decoded(body, _AnthropicPage)
        return Page([self._of(each) for each in told.data], told.has_more)

    def _of(self, told: _AnthropicBatch) -> Batch:
        count, id = told.request_counts, _name(told.id)
        failed = count.errored + count.canceled + count.expired
        return Batch(
            id=id,
            status=told.processing_status,
            is_over=told.processing_status == "ended",
            created_at=_seconds(told.created_at),
            requests=count.processing + count.succeeded + failed,
            answered=count.succeeded,
            failed=failed,
            # not at `results_url` itself, which may be anywhere: the key goes where the configuration says and nowhere else
            outputs=(f"/messages/batches/{id}/results",) if told.results_url else (),
            why="",
            about=None,
        )


APIS: Mapping[str, BatchAPI] = {"openai": OpenAIBatches(), "anthropic": AnthropicBatches()}
"""By format."""


def _decoded(body: bytes, type: type[Any]) -> Any:
    try:
        return msgspec.json.decode(body, type=type)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProviderError(f"the provider's word about a batch cannot be read: {error}") from None


def _name(id: str) -> str:
    """An id that may stand in an address."""
    if not _NAME.fullmatch(id) or set(id) <= {"."}:
        raise ProviderError(f"the provider calls something '{id[:80]}', which is no id")
    return id


def _seconds(at: str) -> float:
    try:
        moment = datetime.fromisoformat(at)
    except ValueError:
        return 0.0
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
