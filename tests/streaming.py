"""A project with a program that streams, in front of a scripted upstream: for tests of the library and of real processes."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

from tests.upstream import Said, Upstream, openai_answer, upstream, whole

from command import RUN

PROGRAM = '''
import freehold

@freehold.task(reference="cheap")
def first(message: str) -> str:
    """Say it."""

@freehold.task(reference="cheap")
def second(message: str) -> str:
    """Say it again."""

@freehold.pipeline
async def desk(message: str) -> list[str]:
    if message == "broken":
        raise KeyError("no such card")
    return [await first.acall(message), await second.acall(message + "!")]
'''


class Desk:
    """The project, and what its upstream was asked. `answer` says what is said to a question; it may wait."""

    def __init__(self, folder: Path, up: Upstream) -> None:
        self.folder = folder
        self.up = up
        self.answer: Callable[[str], str] = lambda question: question.upper()
        self.status = 200
        up.answer = self._answered
        (folder / "freehold.toml").write_text(
            f'[providers.up]\nkind = "openai"\nbase_url = "{up.url}"\n[models.cheap]\nprovider = "up"\n'
            "price = { input_per_mtok = 1.0, output_per_mtok = 1.0 }\n"
        )
        (folder / "desk.py").write_text(PROGRAM)

    def _answered(self, said: Said) -> Iterator[bytes]:
        if self.status != 200:
            return whole({"error": {"message": "not now"}}, self.status)
        body = openai_answer("cheap")
        body["choices"][0]["message"]["content"] = self.answer(question_of(said))
        return whole(body)

    @property
    def questions(self) -> list[str]:
        """What was asked, in order."""
        return [question_of(said) for said in self.up.asked]

    def lines(self, name: str) -> list[dict[str, Any]]:
        """The whole lines of a file."""
        path = self.folder / name
        return [json.loads(line) for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")] if path.exists() else []

    def start(self, *arguments: str, program: str = "desk.py:desk", **pipes: Any) -> "subprocess.Popen[str]":
        """A stream as a process of its own."""
        command = [sys.executable, "-W", "error", "-c", RUN, "stream", program, *arguments]
        return subprocess.Popen(command, cwd=self.folder, text=True, stderr=subprocess.PIPE, **pipes)


def question_of(said: Said) -> str:
    """What was asked, without what stands around it."""
    content = said.body["messages"][-1]["content"]
    return str(content if isinstance(content, str) else content[0]["text"]).strip()


@contextmanager
def desk(folder: Path) -> Iterator[Desk]:
    """A project in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with upstream() as up:
        yield Desk(folder, up)


def until(is_so: Callable[[], bool], longest_s: float = 60.0) -> None:
    """Waits for another process or thread, for nobody says when it is so far."""
    ends = time.monotonic() + longest_s
    never = Event()
    while not is_so():
        assert time.monotonic() < ends, "it never was so"
        never.wait(0.02)
