"""How providers that speak OpenAI's words are asked to tune a model: a file is uploaded, a job is made of it, and looked at until it is over.

By its reference of November 2026: developers.openai.com/api/reference/resources/fine_tuning. Together, Fireworks and others take the same.
"""

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec

from freehold.chat import JSON
from freehold.errors import ProviderError
from freehold.providers.plain import Ask, ask
from freehold.providers.provider import Provider

_ID = re.compile(r"[A-Za-z0-9_.:-]{1,200}")
_BOUNDARY = "freehold-1c0de5b7a94d4e5f"
_UPLOAD_S = 3_600.0
_OVER = frozenset({"succeeded", "failed", "cancelled"})
_MOST_FAILURES = 10


class Tuning(NamedTuple):
    """What a provider says of a job."""

    id: str
    """Its id there."""
    status: str
    """How far it is, in the provider's word."""
    is_over: bool
    """Whether nothing more will come of it."""
    model: str | None
    """The tuned model's name; None until there is one."""
    trained_tokens: int | None
    """What it bills, where it says."""
    why: str
    """Why it failed; empty where it did not."""


class Metrics(NamedTuple):
    """How far training is, by the newest event that says."""

    step: int
    steps: int
    loss: float | None
    held_out: float | None


class _Id(msgspec.Struct):
    id: str


class _Error(msgspec.Struct):
    message: str | None = None
    code: str | None = None


class _Job(msgspec.Struct):
    id: str
    status: str
    fine_tuned_model: str | None = None
    trained_tokens: int | None = None
    error: _Error | None = None


class _Numbers(msgspec.Struct):
    step: int = 0
    total_steps: int = 0
    train_loss: float | None = None
    valid_loss: float | None = None


class _Event(msgspec.Struct):
    type: str | None = None
    data: Any = None


class _Events(msgspec.Struct):
    data: list[_Event]


async def upload(provider: Provider, file: Path) -> str:
    """Uploads rows to learn from, and gives the id of what was uploaded. Raises ProviderError."""
    purpose = f'--{_BOUNDARY}\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nfine-tune\r\n'
    named = f'--{_BOUNDARY}\r\ncontent-disposition: form-data; name="file"; filename="{file.name}"\r\n'
    head = f"{purpose}{named}content-type: application/jsonl\r\n\r\n".encode()
    pieces: Sequence[bytes | Path] = (head, file, f"\r\n--{_BOUNDARY}--\r\n".encode())
    body = await _told(provider, Ask("POST", "/files", pieces, f"multipart/form-data; boundary={_BOUNDARY}", total_s=_UPLOAD_S))
    return _id(_decoded(body, _Id).id)


async def create(provider: Provider, wanted: Mapping[str, JSON]) -> Tuning:
    """Makes a job. Raises ProviderError."""
    return _tuning(await _told(provider, Ask("POST", "/fine_tuning/jobs", (msgspec.json.encode(wanted),))))


async def look(provider: Provider, job: str) -> Tuning:
    """How far a job is. Raises ProviderError."""
    return _tuning(await _told(provider, Ask("GET", f"/fine_tuning/jobs/{quote(job, safe='')}")))


async def metrics(provider: Provider, job: str) -> Metrics | None:
    """The newest numbers of a job; None where it says none, or does not say."""
    try:
        body = await _told(provider, Ask("GET", f"/fine_tuning/jobs/{quote(job, safe='')}/events?limit=20"))
        for event in _decoded(body, _Events).data:  # the newest first
            if event.type == "metrics":
                told = msgspec.convert(event.data, _Numbers)
                return Metrics(told.step, told.total_steps, told.train_loss, told.valid_loss)
    except (ProviderError, msgspec.ValidationError):
        return None
    return None


async def follow(provider: Provider, job: str, poll_s: float, tell: Callable[[Tuning, Metrics | None], None]) -> Tuning:
    """Looks at a job until it is over, through failures of the line that pass. Raises ProviderError after ten in a row."""
    failures = 0
    while True:
        try:
            found = await look(provider, job)
            failures = 0
        except ProviderError:
            failures += 1
            if failures >= _MOST_FAILURES:
                raise
        else:
            tell(found, None if found.is_over else await metrics(provider, job))
            if found.is_over:
                return found
        await asyncio.sleep(poll_s)


async def _told(provider: Provider, asked: Ask) -> bytes:
    told = await ask(provider, asked)
    if told.status != 200:
        raise ProviderError(f"'{provider.name}' answered {asked.method} {asked.path} with {told.status}: {_words(told.body)}")
    return told.body


def _words(body: bytes) -> str:
    try:
        error = msgspec.json.decode(body, type=dict[str, _Error])["error"]
    except (msgspec.DecodeError, KeyError):
        return body[:200].decode(errors="replace")
    return (error.message or error.code or "no reason was given")[:500]


def _tuning(body: bytes) -> Tuning:
    told = _decoded(body, _Job)
    why = (told.error.message or told.error.code or "") if told.error is not None else ""
    is_over = told.status in _OVER
    if told.status != "succeeded" and is_over:
        why = why or f"it is {told.status}, and no reason was given"
    return Tuning(_id(told.id), told.status, is_over, told.fine_tuned_model, told.trained_tokens, why[:2_000])


def _decoded(body: bytes, type: type[Any]) -> Any:
    try:
        return msgspec.json.decode(body, type=type)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProviderError(f"the provider's word about a tuning cannot be read: {error}") from None


def _id(id: str) -> str:
    """An id that may stand in an address."""
    if not _ID.fullmatch(id) or set(id) <= {"."}:
        raise ProviderError(f"the provider calls something '{id[:80]}', which is no id")
    return id
