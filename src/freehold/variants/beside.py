"""Models beside a worker: a process of its own that reads specialists which take more than a moment, so that the worker keeps its own.

The worker writes frames to it, a length and MessagePack, and hears frames back. What comes while it is at work waits and goes over together, so that
busy times cost fewer round trips, and texts for one specialist are answered in one go. The process reads a specialist when it is first asked, and
forgets those that were asked longest ago when they take too much memory. It ends when the worker does, for then its input ends.
"""

import asyncio
import os
import struct
import subprocess
import sys
import threading
from collections import OrderedDict
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO, NamedTuple

import msgspec

from freehold.catalog import Durability
from freehold.errors import FreeholdError, OperatorError
from freehold.store.blobs import Blobs
from freehold.variants.card import Card
from freehold.variants.specialist import Answered, Answerer, read

_HEAD = struct.Struct("<I")
_MOST_FRAME = 64 * 2**20
_MOST_AT_ONCE = 64
"""Questions that go over together at most: more would have the first of them wait for the last."""


class Question(msgspec.Struct, frozen=True, array_like=True):
    """One text for one specialist."""

    n: int
    """Which question it is."""
    hash: str
    """The specialist's."""
    text: str


class Ask(msgspec.Struct, frozen=True, array_like=True):
    """What the worker writes."""

    questions: tuple[Question, ...]
    cards: tuple[tuple[Card, Card | None], ...] = ()
    """Those of specialists that are asked for the first time, each with the one under it."""


class Reply(msgspec.Struct, frozen=True, array_like=True):
    """What is said to one question."""

    n: int
    """Which."""
    answer: Answered | None = None
    """None where it has no answer."""
    error: str | None = None
    """Why it could not be asked."""


class ModelFailed(OperatorError):
    """The model's process could not answer. That says nothing about the question."""


class _Waiting(NamedTuple):
    card: Card
    under: Card | None
    text: str
    future: "Future[Answered | None]"


class Beside:
    """The process beside a worker, from the worker's side. A thread writes to it and hears it; any event loop may wait for what it says."""

    def __init__(self, blobs: Blobs, durability: Durability, most_bytes: int | None = None) -> None:
        """`most_bytes`: what all specialists it has read may take; a quarter of the machine's memory where nothing is said."""
        most = most_bytes or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4
        self._arguments = (str(blobs.folder), durability, str(most))
        self._waiting: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._process: subprocess.Popen[bytes] | None = None
        self._told: set[str] = set()
        self._is_closed = False
        self._thread: threading.Thread | None = None

    async def answer(self, card: Card, under: Card | None, text: str) -> Answered | None:
        """What a specialist answers to a text; None where it has no answer. Raises ModelFailed."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="freehold-beside", daemon=True)
            self._thread.start()
        future: Future[Answered | None] = Future()
        self._waiting.put(_Waiting(card, under, text, future))
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Ends the process; nobody is answered any more."""
        self._is_closed = True
        self._waiting.put(None)
        if self._process is not None:
            self._process.kill()
        if self._thread is not None:
            self._thread.join()

    @property
    def process_id(self) -> int | None:
        """Of the process; None before it is asked anything."""
        return None if self._process is None else self._process.pid

    def _work(self) -> None:
        """The thread: what waits goes over together, and is heard, until it is closed."""
        while (first := self._waiting.get()) is not None:
            some = [first]
            with suppress(Empty):
                while len(some) < _MOST_AT_ONCE and (more := self._waiting.get_nowait()) is not None:
                    some.append(more)
            try:
                replies = self._exchange(some)
            except (OSError, EOFError, msgspec.DecodeError) as error:
                self._end()
                what = "its process ended" if isinstance(error, OSError | EOFError) else f"it said what cannot be read ({error})"
                why = ModelFailed(f"The model beside this worker gave no answer: {what}. It is started again when it is next asked.")
                for one in some:
                    _settle(one.future, why)
                continue
            for one, reply in zip(some, replies, strict=True):
                _settle(one.future, ModelFailed(reply.error) if reply.error is not None else reply.answer)
        self._end()

    def _exchange(self, some: list[_Waiting]) -> list[Reply]:
        """Writes questions and hears what is said to each. Raises OSError or EOFError where the process died."""
        if self._is_closed:
            raise EOFError("this worker ends")
        process = self._process or self._start()
        assert process.stdin is not None and process.stdout is not None
        new = {one.card.hash: (one.card, one.under) for one in some if one.card.hash not in self._told}
        ask = Ask(tuple(Question(n, one.card.hash, one.text) for n, one in enumerate(some)), tuple(new.values()))
        frame = msgspec.msgpack.encode(ask)
        process.stdin.write(_HEAD.pack(len(frame)) + frame)
        process.stdin.flush()
        self._told.update(new)
        told = _frame(process.stdout)
        if told is None:
            raise EOFError("its process ended")
        replies = msgspec.msgpack.decode(told, type=list[Reply])
        return sorted(replies, key=lambda reply: reply.n)

    def _start(self) -> "subprocess.Popen[bytes]":
        code = "from freehold.variants.beside import main; main()"
        self._told.clear()
        self._process = subprocess.Popen([sys.executable, "-c", code, *self._arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return self._process

    def _end(self) -> None:
        if (process := self._process) is not None:
            self._process = None
            process.kill()
            for pipe in (process.stdin, process.stdout):
                with suppress(OSError):
                    assert pipe is not None
                    pipe.close()
            process.wait()


def _settle(future: "Future[Answered | None]", said: Answered | ModelFailed | None) -> None:
    """Tells whoever waits, unless nobody does any more."""
    if future.set_running_or_notify_cancel():
        if isinstance(said, ModelFailed):
            future.set_exception(said)
        else:
            future.set_result(said)


class _Shelf:
    """What the process has read, those that were asked last at the end."""

    def __init__(self, blobs: Blobs, most_bytes: int) -> None:
        self._blobs = blobs
        self._most = most_bytes
        self._cards: dict[str, tuple[Card, Card | None]] = {}
        self._read: OrderedDict[str, Answerer] = OrderedDict()

    def know(self, cards: tuple[tuple[Card, Card | None], ...]) -> None:
        """Takes cards of specialists that will be asked."""
        for card, under in cards:
            self._cards[card.hash] = card, under
            if under is not None:
                self._cards[under.hash] = under, None

    def answerer(self, hash: str) -> Answerer:
        """A specialist, read where it is not yet. Raises FreeholdError."""
        known = self._read.get(hash)
        if known is None:
            card, under = self._cards[hash]
            files = {file.name: self._blobs.get(file.blob) for file in card.files}

            def below() -> Answerer:
                assert under is not None
                return self.answerer(under.hash)

            known = self._read[hash] = read(card, files, below)
        self._read.move_to_end(hash)
        while len(self._read) > 1 and sum(one.size_bytes for one in self._read.values()) > self._most:
            self._read.popitem(last=False)
        return known


def main() -> None:
    """The process: `FOLDER DURABILITY MOST_BYTES`, frames on stdin and stdout."""
    folder, durability, most = sys.argv[1:4]
    shelf = _Shelf(Blobs(Path(folder), "power" if durability == "power" else "process"), int(most))
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints is no frame
    decode = msgspec.msgpack.Decoder(Ask).decode
    while (frame := _frame(sys.stdin.buffer)) is not None:
        ask = decode(frame)
        shelf.know(ask.cards)
        told = msgspec.msgpack.encode(_replies(shelf, ask.questions))
        out.write(_HEAD.pack(len(told)) + told)
        out.flush()


def _frame(stream: IO[bytes]) -> bytes | None:
    head = stream.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    (size,) = _HEAD.unpack(head)
    if size > _MOST_FRAME:
        return None
    data = stream.read(size)
    return data if len(data) == size else None


def _replies(shelf: _Shelf, questions: tuple[Question, ...]) -> list[Reply]:
    """What is said to each, the texts of one specialist together."""
    by_hash: dict[str, list[Question]] = {}
    for question in questions:
        by_hash.setdefault(question.hash, []).append(question)
    told: list[Reply] = []
    for hash, some in by_hash.items():
        try:
            answers = shelf.answerer(hash).answer([question.text for question in some])
        except FreeholdError as error:
            told += [Reply(question.n, error=str(error)) for question in some]
        except Exception as error:  # noqa: BLE001 whatever it is, it is the text's: one by one it shows whose
            alone = len(some) == 1
            told += (
                [Reply(some[0].n, error=f"{type(error).__name__}: {error}")] if alone else [r for q in some for r in _replies(shelf, (q,))]
            )
        else:
            told += [Reply(question.n, answer) for question, answer in zip(some, answers, strict=True)]
    return told
