"""Requests of a batch on the disk, as a provider takes them: a file for each batch, of as many and as large as its limits allow."""

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec

from freehold.errors import CallerError

_ID = re.compile(r"[A-Za-z0-9_-]{1,55}")
_DIGEST_BYTES = 16


class Limits(NamedTuple):
    """What a provider takes in one batch."""

    requests: int
    """How many requests."""
    bytes: int
    """How large all of them together."""
    one_model: bool
    """Whether they all have to be to one model."""


LIMITS = {"openai": Limits(50_000, 200_000_000, True), "anthropic": Limits(100_000, 256_000_000, False)}
"""By format. A provider that speaks one and takes less says so, and the batch fails."""
_HEADS = {"openai": b"", "anthropic": b'{"requests":['}
_ENDS = {"openai": b"", "anthropic": b"]}"}
_BETWEEN = {"openai": b"\n", "anthropic": b","}


class Spooled(NamedTuple):
    """The requests of one batch."""

    path: Path
    """The file."""
    requests: int
    """How many there are."""
    digest: str
    """What tells these requests from others."""


class _Spool:
    def __init__(self, path: Path, format: str) -> None:
        self.path = path
        self.requests = 0
        self.size = len(_HEADS[format]) + len(_ENDS[format])
        self._format = format
        self._file: BinaryIO = path.open("wb")
        self._digest = blake2b(digest_size=_DIGEST_BYTES)
        self._write(_HEADS[format])

    def _write(self, data: bytes) -> None:
        self._digest.update(data)
        self._file.write(data)

    def add(self, line: bytes) -> None:
        if self.requests:
            self._write(_BETWEEN[self._format])
        self._write(line)
        self.requests += 1
        self.size += len(line) + 1

    def ended(self) -> Spooled:
        self._write(_ENDS[self._format])
        self._file.close()
        return Spooled(self.path, self.requests, self._digest.hexdigest())

    def close(self) -> None:
        self._file.close()


def mark_of(ticket: str) -> str:
    """What the ids of a ticket's requests begin with at the provider, by which its answers tell whose they are."""
    return f"{blake2b(ticket.encode(), digest_size=4).hexdigest()}-"


def spooled(format: str, mark: str, requests: Iterable[tuple[str, bytes]], folder: Path, limits: Limits | None = None) -> Iterator[Spooled]:
    """The requests (an id and the body of a chat in a format) in files, each of which is taken away when the next is asked for.

    The same requests give the same files. `mark`: what their ids begin with. Raises CallerError for one that no batch takes.
    """
    most = limits or LIMITS[format]
    open_spools: dict[str, _Spool] = {}
    known: set[str] = set()
    try:
        for n, (id, body) in enumerate(requests):
            if not _ID.fullmatch(id):
                raise CallerError(f"request {n} is called '{id[:80]}'; a batch takes ids of 1 to 55 letters, digits, - and _")
            if id in known:
                raise CallerError(f"two requests are called '{id}'; each needs an id of its own")
            known.add(id)
            model, line = _line(format, mark, id, body)
            model = model if most.one_model else ""
            spool = open_spools.get(model)
            if len(line) + 1 + len(_HEADS[format]) + len(_ENDS[format]) > most.bytes:
                raise CallerError(f"request '{id}' has {len(line):,} bytes; a batch takes {most.bytes:,}")
            if spool is not None and (spool.requests >= most.requests or spool.size + len(line) + 1 > most.bytes):
                yield from _given(open_spools.pop(model))
                spool = None
            if spool is None:
                spool = open_spools[model] = _Spool(folder / f"batch-{n}.json", format)
            spool.add(line)
        for model in list(open_spools):
            yield from _given(open_spools.pop(model))
    finally:
        for left in open_spools.values():
            left.close()


def _given(spool: _Spool) -> Iterator[Spooled]:
    yield spool.ended()
    with suppress(OSError):
        spool.path.unlink()


def _line(format: str, mark: str, id: str, body: bytes) -> tuple[str, bytes]:
    """The model a request is to, and the request as it stands in a batch."""
    try:
        read = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CallerError(f"request '{id}' is no JSON: {error}") from None
    if not isinstance(read, dict) or not isinstance(read.get("model"), str):
        raise CallerError(f"request '{id}' names no model; expected the body of a chat")
    if read.pop("stream", False):
        raise CallerError(f"request '{id}' asks for a stream; the answers of a batch are whole")
    read.pop("stream_options", None)
    if format == "anthropic":
        return read["model"], msgspec.json.encode({"custom_id": mark + id, "params": read})
    return read["model"], msgspec.json.encode({"custom_id": mark + id, "method": "POST", "url": "/v1/chat/completions", "body": read})
