"""Many requests handed to a provider at once, at half the price, and answered within a day: OpenAI's batches and Anthropic's message batches.

`submit` hands them over, `poll` looks how far they are, `results` reads the answers. A `BatchTicket` is noted before anything is sent, so
that a process that was killed finds its batches again, and hands nothing over twice.
"""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path
from typing import BinaryIO, Literal, TypeAlias

import msgspec

from freehold.errors import CallerError, ProviderError
from freehold.gateway.formats import error_message
from freehold.providers.batch_answers import Result, read_some
from freehold.providers.batch_api import APIS, Batch, is_ours
from freehold.providers.plain import Ask, NothingSent, Told, ask
from freehold.providers.provider import Provider
from freehold.providers.spooled import Limits, Spooled, mark_of, spooled

PartState: TypeAlias = Literal["submitting", "unsure", "submitted", "ended", "lost"]
"""`submitting`: it may have been handed over. `unsure`: a batch may be it, and only its answers will tell. `lost`: it was not handed over."""
MOST_RESULT_BYTES = 8 * 2**30
"""How large a file of answers may be."""
_TRANSFER_S = 3_600.0
_MAY_HELP = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
_SKEW_S = 3_600.0
_MOST_PAGES = 200
_LONGEST_WAIT_S = 120.0
_ATTEMPTS = 6

Wait: TypeAlias = Callable[[float], Awaitable[None]]
"""Waits so many seconds."""


class Part(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One batch of a ticket."""

    n: int
    """Its place among the ticket's."""
    digest: str
    """What tells its requests from others."""
    requests: int
    """How many there are."""
    state: PartState
    """How far it is."""
    since: float
    """When it was first begun to be handed over, in seconds since 1970."""
    file: str | None = None
    """The provider's id of the requests that were uploaded."""
    batch: str | None = None
    """The provider's id of the batch."""
    maybe: tuple[str, ...] = ()
    """The ids of batches that may be it."""
    status: str = ""
    """What the provider last said of it."""
    answered: int = 0
    """How many requests have an answer, as the provider counts them."""
    failed: int = 0
    """How many have none and get none."""
    outputs: tuple[str, ...] = ()
    """Where its answers are, below the base URL."""
    why: str = ""
    """Why it failed as a whole."""


class BatchTicket(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Requests that were handed over, or are being. As JSON it outlives the process."""

    id: str
    """What it is called, here and at the provider."""
    provider: str
    """To whom."""
    format: str
    """How that one is spoken to."""
    parts: tuple[Part, ...] = ()
    """The batches that the requests were split into."""
    is_whole: bool = False
    """Whether all requests are in one of them."""

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come of it."""
        return self.is_whole and all(part.state == "ended" for part in self.parts)

    @property
    def needs_submit(self) -> bool:
        """Whether `submit` has to be called again, with the same requests."""
        return not self.is_whole or any(part.state in ("submitting", "lost") for part in self.parts)


Note: TypeAlias = Callable[[BatchTicket], None]
"""Keeps a ticket, durably, before it returns. Called in a thread."""


async def submit(
    provider: Provider,
    requests: Iterable[tuple[str, bytes]],
    note: Note,
    ticket: BatchTicket | str,
    *,
    limits: Limits | None = None,
    now: Callable[[], float] = time.time,
    wait: Wait = asyncio.sleep,
) -> BatchTicket:
    """Hands over requests (ids of 1 to 55 letters, digits, - and _, and bodies in the provider's format), in as many batches as its limits need.

    `ticket`: the name of a new one, or one that was noted, to go on with: what was handed over is left alone. Its requests have to be the
    same again. Raises CallerError where they are not, ProviderError where the provider takes none; what was noted by then stands.
    """
    known = ticket if isinstance(ticket, BatchTicket) else BatchTicket(id=ticket, provider=provider.name, format=provider.format.name)
    return await _Desk(provider, known, note, now, wait).submit(requests, limits)


async def poll(
    provider: Provider, ticket: BatchTicket, note: Note, *, now: Callable[[], float] = time.time, wait: Wait = asyncio.sleep
) -> BatchTicket:
    """Looks once how far it is, and notes what is new. Raises ProviderError."""
    return await _Desk(provider, ticket, note, now, wait).poll()


async def cancel(
    provider: Provider, ticket: BatchTicket, note: Note, *, now: Callable[[], float] = time.time, wait: Wait = asyncio.sleep
) -> BatchTicket:
    """Has the provider begin no more of it; what was answered by then is paid for, and comes by `results`. Raises ProviderError."""
    return await _Desk(provider, ticket, note, now, wait).cancel()


async def settle(
    provider: Provider, ticket: BatchTicket, note: Note, *, now: Callable[[], float] = time.time, wait: Wait = asyncio.sleep
) -> BatchTicket:
    """Has a ticket be what of it was handed over, where `submit` broke off and is not called again. A part that nobody has is over, and has no
    `batch`. Raises ProviderError."""
    return await _Desk(provider, ticket, note, now, wait).settle()


async def results(provider: Provider, ticket: BatchTicket, *, wait: Wait = asyncio.sleep) -> AsyncIterator[Result]:
    """What became of the requests in the batches that have ended, in any order, each once. A request that has none was never begun, or stood
    in a batch that failed as a whole (`Part.why`). Raises ProviderError."""
    desk = _Desk(provider, ticket, lambda _: None, time.time, wait)
    mark, seen = mark_of(ticket.id), set[str]()
    for part in ticket.parts:
        for path in part.outputs if part.state == "ended" else ():
            with tempfile.TemporaryFile() as file:
                await desk.download(path, file)
                file.seek(0)
                while lines := await asyncio.to_thread(read_some, provider, file):
                    for result in lines:
                        if result.custom_id not in seen and result.custom_id.startswith(mark):
                            seen.add(result.custom_id)
                            yield result._replace(custom_id=result.custom_id.removeprefix(mark))


class _Desk:
    """One ticket at work."""

    def __init__(self, provider: Provider, ticket: BatchTicket, note: Note, now: Callable[[], float], wait: Wait) -> None:
        if ticket.format not in APIS or ticket.format != provider.format.name:
            raise CallerError(f"batch {ticket.id} was handed to a provider that speaks '{ticket.format}'; '{provider.name}' does not")
        self._provider = provider
        self._ticket = ticket
        self._note = note
        self._now = now
        self._wait = wait
        self._api = APIS[ticket.format]

    # Handing over.

    async def submit(self, requests: Iterable[tuple[str, bytes]], limits: Limits | None) -> BatchTicket:
        with tempfile.TemporaryDirectory(prefix="freehold-batch-") as folder:
            batches = spooled(self._ticket.format, mark_of(self._ticket.id), requests, Path(folder), limits)
            n = 0
            while (batch := await asyncio.to_thread(next, batches, None)) is not None:
                await self._hand_over(n, batch)
                n += 1
        if n < len(self._ticket.parts):
            raise CallerError(
                f"batch {self._ticket.id} has {len(self._ticket.parts)} parts, and of these requests there are {n}; they differ"
            )
        await self._noted(msgspec.structs.replace(self._ticket, is_whole=True))
        return self._ticket

    async def _hand_over(self, n: int, batch: Spooled) -> None:
        known = self._ticket.parts
        part = known[n] if n < len(known) else None
        if part is not None and part.digest != batch.digest:
            raise CallerError(
                f"the requests of part {n} are not those that batch {self._ticket.id} was begun with. Begin a new one, by another name."
            )
        if part is not None and part.state in ("submitted", "ended", "unsure"):
            return
        if part is None:
            part = Part(n=n, digest=batch.digest, requests=batch.requests, state="submitting", since=self._now())
            await self._set(part)
        elif part.state == "submitting":
            found = await self._found(part)
            if found.state != "lost":
                await self._set(found)
                return
        if part.state == "lost":  # it is certain that nobody has it
            part = msgspec.structs.replace(part, state="submitting", since=self._now(), maybe=(), batch=None)
            await self._set(part)
        await self._set(await self._sent(part, batch))

    async def _sent(self, part: Part, batch: Spooled) -> Part:
        """Uploads what is needed and creates the batch. Where it is unclear whether that came through, the provider's list tells."""
        failure: ProviderError | None = None
        if self._api.uploads and part.file is None:
            uploaded = await self._asked(self._api.upload(self._ticket.id, batch))
            part = msgspec.structs.replace(part, file=self._api.read_file(uploaded.body))
            await self._set(part)
        creating = self._api.create(self._ticket.id, part.n, part.digest, part.file, batch)
        for attempt in range(_ATTEMPTS):
            told: Told | None = None
            try:
                told = await ask(self._provider, creating)
            except ProviderError as error:
                failure = error
            if told is not None and told.status == 200:
                return self._as_told(part, self._api.read(told.body))
            if told is not None:
                failure = self._refused(creating, told)
                if told.status not in _MAY_HELP:
                    break
            await self._wait(_wait_s(attempt, told.retry_after_s if told is not None else None))
            may_be_there = told.status >= 500 if told is not None else not isinstance(failure, NothingSent)
            if may_be_there and (found := await self._found(part)).state != "lost":
                return found
        assert failure is not None
        raise failure

    async def _found(self, part: Part) -> Part:
        """The part, with the batch that it is at the provider: `submitted` for one, `unsure` for those that may be it, `lost` for none."""
        after: str | None = None
        maybe: list[str] = []
        for _ in range(_MOST_PAGES):
            told = await self._asked(self._api.listing(after))
            page = self._api.read_page(told.body)
            for batch in page.batches:
                sure = is_ours(batch, self._ticket.id, part.n, part.digest)
                if sure:
                    return self._as_told(part, batch)
                taken = any(batch.id == other.batch for other in self._ticket.parts)
                if sure is None and not taken and batch.requests == part.requests and batch.created_at >= part.since - _SKEW_S:
                    maybe.append(batch.id)
            if not page.has_more or not page.batches or page.batches[-1].created_at < part.since - _SKEW_S:
                break
            after = page.batches[-1].id
        return await self._made_sure(msgspec.structs.replace(part, maybe=tuple(maybe), batch=None))

    # Looking.

    async def poll(self) -> BatchTicket:
        for part in self._ticket.parts:
            if part.state == "submitted" and part.batch is not None:
                told = await self._asked(self._api.look(part.batch))
                await self._set(self._as_told(part, self._api.read(told.body)))
            elif part.state == "unsure":
                await self._set(await self._made_sure(part))
        return self._ticket

    async def settle(self) -> BatchTicket:
        for known in self._ticket.parts:
            part = await self._found(known) if known.state == "submitting" else known
            if part.state == "lost":
                part = msgspec.structs.replace(part, state="ended", batch=None, requests=0)
            await self._set(part)
        await self._noted(msgspec.structs.replace(self._ticket, is_whole=True))
        return self._ticket

    async def _made_sure(self, part: Part) -> Part:
        """Looks at the answers of batches that may be it: they tell by their ids whose they are."""
        left: list[str] = []
        for id in part.maybe:
            batch = self._api.read((await self._asked(self._api.look(id))).body)
            if not batch.is_over:
                left.append(id)
                continue
            if await self._is_marked(batch):
                return self._as_told(part, batch)
        return msgspec.structs.replace(part, maybe=tuple(left), state="unsure" if left else "lost")

    async def _is_marked(self, batch: Batch) -> bool:
        for path in batch.outputs:
            with tempfile.TemporaryFile() as file:
                await self.download(path, file)
                file.seek(0)
                first = await asyncio.to_thread(read_some, self._provider, file, 1)
                if first:
                    return first[0].custom_id.startswith(mark_of(self._ticket.id))
        return False

    def _as_told(self, part: Part, batch: Batch) -> Part:
        return msgspec.structs.replace(
            part,
            state="ended" if batch.is_over else "submitted",
            batch=batch.id,
            maybe=(),
            status=batch.status,
            answered=batch.answered,
            failed=batch.failed,
            outputs=batch.outputs,
            why=batch.why,
        )

    async def cancel(self) -> BatchTicket:
        for part in self._ticket.parts:
            if part.state == "submitted" and part.batch is not None:
                asking = self._api.cancel(part.batch)
                told = await self._asked(asking, is_refusable=True)
                if told.status == 200:
                    await self._set(self._as_told(part, self._api.read(told.body)))
        return await self.poll()

    async def download(self, path: str, file: BinaryIO) -> None:
        """Has a file of answers, whole, in `file`."""
        for attempt in range(_ATTEMPTS):
            file.seek(0)
            file.truncate()
            asking = Ask("GET", path, into=file, most_bytes=MOST_RESULT_BYTES, total_s=_TRANSFER_S)
            try:
                told = await ask(self._provider, asking)
            except ProviderError:
                if attempt + 1 == _ATTEMPTS:
                    raise
                await self._wait(_wait_s(attempt, None))
                continue
            if told.status == 200:
                return
            if told.status not in _MAY_HELP or attempt + 1 == _ATTEMPTS:
                raise self._refused(asking, told)
            await self._wait(_wait_s(attempt, told.retry_after_s))

    # One request, and the ticket.

    async def _asked(self, asking: Ask, is_refusable: bool = False) -> Told:
        """Asks, again and again where that may help: nothing that is asked here does harm when it is done twice."""
        for attempt in range(_ATTEMPTS):
            try:
                told = await ask(self._provider, asking)
            except ProviderError:
                if attempt + 1 == _ATTEMPTS:
                    raise
                await self._wait(_wait_s(attempt, None))
                continue
            if told.status == 200 or (is_refusable and told.status not in _MAY_HELP):
                return told
            if told.status not in _MAY_HELP or attempt + 1 == _ATTEMPTS:
                raise self._refused(asking, told)
            await self._wait(_wait_s(attempt, told.retry_after_s))
        raise AssertionError("the last attempt raises")

    def _refused(self, asking: Ask, told: Told) -> ProviderError:
        return ProviderError(
            f"'{self._provider.name}' answered {asking.method} {asking.path} with {told.status}: {error_message(told.body)}"
        )

    async def _set(self, part: Part) -> None:
        parts = list(self._ticket.parts)
        parts[part.n : part.n + 1] = [part]
        await self._noted(msgspec.structs.replace(self._ticket, parts=tuple(parts)))

    async def _noted(self, ticket: BatchTicket) -> None:
        if ticket != self._ticket:
            await asyncio.to_thread(self._note, ticket)
            self._ticket = ticket


def _wait_s(attempt: int, told_s: float | None) -> float:
    return min(_LONGEST_WAIT_S, told_s if told_s is not None else 2.0**attempt)
