"""A program answers: one pure function of a text, which gives None where it does not know. Files of the format `code`.

A decision list is read as data, and answers in the worker. Every other program runs in Monty, an interpreter of a part of Python without files, network,
imports of its own or processes (github.com/pydantic/monty), in a process beside the worker, within limits of time and memory. No source is ever run by
this process itself.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from math import isfinite
from threading import Lock
from typing import Any, Final

import msgspec

from freehold.chat import JSON
from freehold.errors import DataError, OperatorError
from freehold.variants.decisions import DecisionList, read
from freehold.variants.specialist import Answered, Answerer

SOURCE: Final = "answer.py"
CARD: Final = "answer.json"
"""What an answer of a program is worth that says nothing of that itself."""
MOST_BYTES: Final = 64 << 10
"""Of a program, and of what it gives."""
_TIME_S = 0.2
_MEMORY_BYTES = 64 << 20


class Stopped(DataError):
    """A program that failed, or that was stopped, and why."""


class Program:
    """As of `Answerer`: a program in Monty."""

    is_quick = False
    size_bytes = _MEMORY_BYTES

    def __init__(self, source: str, confidence: float = 1.0, time_s: float = _TIME_S) -> None:
        """`confidence`: what each answer is worth: how often it was right on rows that it was not written from. `time_s`: of one text.

        Raises Stopped for a program that has no such function, OperatorError where Monty is not installed.
        """
        self._source = source
        self._confidence = confidence
        self._time_s = time_s
        self._pool: Any = None
        self._ask(None)

    def answer(self, texts: Sequence[str]) -> list[Answered | None]:
        """As of `Answerer`. One that fails on a text has no answer to it."""
        return [None if isinstance(said, Stopped) or said is None else Answered(said, self._confidence) for said in self.outputs(texts)]

    def outputs(self, texts: Sequence[str]) -> list[JSON | Stopped]:
        """What it gives to each text: an answer, None where it knows none, or why it failed."""
        found: list[JSON | Stopped] = []
        for text in texts:
            try:
                said = self._ask(text)
                found.append(
                    said if _is_plain(said) else Stopped(f"it gave {str(said)[:80]!r}, which is no JSON value, or too large a one")
                )
            except Stopped as error:
                found.append(error)
        return found

    def __del__(self) -> None:
        with suppress(Exception):  # such as at the end of the interpreter, when half of it is gone
            self.close()

    def close(self) -> None:
        """Ends its process."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.__exit__(None, None, None)

    def _ask(self, text: str | None) -> Any:
        """What it gives to a text; None only reads it. Each text has a session of its own: what a program keeps of one caller's never reaches another's."""
        try:
            from pydantic_monty import Monty, MontyCrashedError, MontyError
        except ImportError:
            raise OperatorError("A program that answers runs in Monty, which is not installed: pip install 'freehold[sandbox]'.") from None
        if len(self._source.encode(errors="surrogatepass")) > MOST_BYTES:
            raise Stopped(f"the program is longer than {MOST_BYTES >> 10} KiB")
        try:
            if self._pool is None:
                self._pool = Monty(max_processes=1).__enter__()
            with self._pool.checkout(limits={"max_feed_duration_secs": self._time_s, "max_memory": _MEMORY_BYTES}) as session:
                session.feed_run(f"{self._source}\nanswer", print_callback=_unheard, skip_type_check=True)
                return None if text is None else session.feed_run("answer(text)", inputs={"text": text}, print_callback=_unheard)
        except (MontyError, MontyCrashedError) as error:
            self.close()
            raise Stopped(_why(error)) from error


def sandboxed(source: str) -> Callable[[str], JSON]:
    """A function of a program that has an `answer(text)`, for files of yours that hold one: it runs in Monty alone, from any thread.

    Nothing is started before it is first called, so that the file may be imported before workers are forked. The function gives None where the program
    knows no answer, and raises Stopped where it failed; OperatorError where Monty is not installed.
    """
    alone, programs = Lock(), list[Program]()

    def ask(text: str) -> JSON:
        with alone:
            if not programs:
                programs.append(Program(source))
            (said,) = programs[0].outputs([text])
        if isinstance(said, Stopped):
            raise said
        return said

    return ask


def load(files: Mapping[str, bytes]) -> Answerer:
    """The program of these files. Raises DataError, OperatorError."""
    try:
        source = files[SOURCE].decode()
        confidence = float(msgspec.json.decode(files[CARD])["confidence"])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"not a program: {error}. Train it again.") from None
    return answerer_of(source, confidence)


def answerer_of(source: str, confidence: float = 1.0) -> "DecisionList | Program":
    """Who answers by a program: a list as data, anything else in Monty. Raises Stopped, OperatorError."""
    return read(source) or Program(source, confidence)


def _unheard(stream: str, text: str) -> None:
    """Nobody reads what it prints."""


def _is_plain(value: object) -> bool:
    return _is_json(value) and len(msgspec.json.encode(value)) <= MOST_BYTES


def _is_json(value: object, levels: int = 20) -> bool:
    if isinstance(value, dict):
        return levels > 0 and all(isinstance(key, str) and _is_json(one, levels - 1) for key, one in value.items())
    if isinstance(value, list):
        return levels > 0 and all(_is_json(one, levels - 1) for one in value)
    return value is None or isinstance(value, str | int | bool) or (isinstance(value, float) and isfinite(value))


def _why(error: BaseException) -> str:
    """What went wrong, in a line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:300]
