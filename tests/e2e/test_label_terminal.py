"""`freehold label` as a person meets it: the real command on a pseudo-terminal, and the same through a pipe."""

import fcntl
import json
import os
import pty
import re
import select as os_select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from shutil import copyfile
from typing import Any

import pytest
from sqlalchemy import select

from command import RUN
from freehold.journal.call import Call
from freehold.journal.write import append_many
from freehold.store.open import open_store
from freehold.store.schema import draws, feedback

RUN_ON_TERMINAL = (
    f"import fcntl, signal, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); signal.signal(signal.SIGINT, signal.default_int_handler); {RUN}"
)
"""The terminal becomes the one that Ctrl-C comes from; a shell that runs the tests in the background has it ignored, and that is inherited."""
ARGUMENTS = ["label", "triage", "--rater", "anna"]
PATIENCE_S = 120
TOML = """\
[project]
name = "bank"
[metrics.correct]
kind = "binary"
deterministic = true
[metrics.grade]
range = [0.0, 10.0]
[tasks.triage]
reference = "frontier"
metric = "correct"
"""


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with 20 items, on 8 of which its two variants disagree; made once, for migrating takes longer than labelling."""
    folder = tmp_path_factory.mktemp("filled")
    (folder / "freehold.toml").write_text(TOML)
    put(folder, {f"i{n}": ("transfer", f"loan {n}" if n < 8 else "transfer") for n in range(20)})
    return folder


@pytest.fixture
def project(filled: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    for name in ("freehold.toml", "freehold.db"):
        copyfile(filled / name, tmp_path / name)
    return tmp_path


def put(project: Path, outputs: dict[str, tuple[Any, Any]]) -> None:
    with open_store("sqlite:///freehold.db", project) as store:
        calls = [
            Call(id=f"{item}/{variant}", task="triage", variant=variant, item=item, input=f"message {item}", output=output)
            for item, pair in outputs.items()
            for variant, output in zip(("frontier", "cheap"), pair, strict=True)
        ]
        append_many(store, calls)


def labels(project: Path) -> dict[str, float]:
    """Scores by call."""
    with open_store("sqlite:///freehold.db", project) as store, store.reading() as connection:
        return {row.call: row.value for row in connection.execute(select(feedback).where(feedback.c.kind == "label"))}


def inclusions(project: Path) -> list[float]:
    with open_store("sqlite:///freehold.db", project) as store, store.reading() as connection:
        return [row.inclusion for row in connection.execute(select(draws))]


class Person:
    """Somebody at a terminal of 100 columns and 40 rows, who reads and presses keys."""

    def __init__(self, project: Path, *options: str) -> None:
        self.hand, screen = pty.openpty()
        fcntl.ioctl(screen, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
        self.settings = termios.tcgetattr(screen)
        self._screen = screen
        environment = {**os.environ, "TERM": "xterm", "NO_COLOR": "1", "PYTHONWARNINGS": "error"}
        environment.pop("COLUMNS", None)
        self.process = subprocess.Popen(
            [sys.executable, "-c", RUN_ON_TERMINAL, *ARGUMENTS, "--project", str(project), *options],
            stdin=screen,
            stdout=screen,
            stderr=screen,
            env=environment,
            start_new_session=True,
        )
        self._unread = ""

    def sees(self, text: str) -> str:
        """Waits until the screen shows it, and gives what was shown up to there."""
        until = time.monotonic() + PATIENCE_S
        while text not in self._unread:
            left = until - time.monotonic()
            if left <= 0 or not os_select.select([self.hand], [], [], left)[0]:
                raise AssertionError(f"'{text}' was not shown; there is: {self._unread}")
            self._unread += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", os.read(self.hand, 65_536).decode(errors="replace"))
        end = self._unread.index(text) + len(text)
        shown, self._unread = self._unread[:end], self._unread[end:]
        return shown

    def sees_question(self, progress: str) -> str:
        """Waits for the whole screen of a question."""
        return self.sees(progress) + self.sees("q quit")

    def press(self, keys: str) -> None:
        os.write(self.hand, keys.encode())

    def exits(self) -> int:
        """Waits for the end. The terminal is as it was before."""
        status = self.process.wait(PATIENCE_S)
        assert termios.tcgetattr(self._screen) == self.settings
        return status

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.hand)
        os.close(self._screen)


@pytest.fixture
def sit_down(project: Path) -> Iterator[Any]:
    """Starts the command on a terminal of its own."""
    people: list[Person] = []

    def start(*options: str) -> Person:
        people.append(Person(project, *options))
        return people[-1]

    yield start
    for person in people:
        person.close()


def right_key(screen: str) -> str:
    """The key of 'transfer', read off the screen: the answers stand side by side, the first panel left."""
    return "1" if screen.index("transfer") < screen.index("loan") else "2"


def test_a_person_labels_undoes_quits_and_goes_on(sit_down: Any, project: Path) -> None:
    """Keys do what the line below the answers says, nothing shown names a variant, and a second run starts where the first ended."""
    person = sit_down()
    person.sees("8 questions; 12 items agree and need nobody.")
    person.sees("blind and in random order")
    screen = person.sees_question("1 of 8")
    assert "frontier" not in screen and "cheap" not in screen
    assert "A [1]" in screen and "B [2]" in screen
    person.press("\x1b[A")  # an arrow marks no answer A
    person.press(right_key(screen))
    person.sees("✓ right")
    person.press("\r")
    person.sees_question("2 of 8 · less than a minute left")
    person.press("0")
    person.sees_question("3 of 8")
    assert sorted(labels(project).values()) == [0.0, 0.0, 0.0, 1.0]
    person.press("u")
    person.sees_question("2 of 8")
    person.sees("Taken back.")
    assert sorted(labels(project).values()) == [0.0, 1.0]
    person.press("\r")
    person.sees("Mark the right answers first")
    person.press("s")
    person.sees_question("2 of 8 · 1 skipped")
    person.press("q")
    person.sees("1 of 8 questions have an answer.")
    assert person.exits() == 0
    kept = labels(project)
    assert len(set(inclusions(project))) == 1

    person = sit_down()
    person.sees("1 have an answer already.")
    person.sees_question("2 of 8")
    for n in range(2, 9):
        person.press("*")
        person.sees(f"{n + 1} of 8" if n < 8 else "That was the last question")
    person.press("u")
    person.sees_question("8 of 8")
    person.press("c")
    person.sees("The right answer: ")
    person.press("cab\x7frd\r")
    person.sees("That was the last question")
    person.press("\r")
    person.sees("20 of 20 items are drawn, each with probability 1.000")
    assert person.exits() == 0
    assert len(labels(project)) == 16
    assert kept.items() <= labels(project).items()
    assert inclusions(project) == [1.0] * 20
    with open_store("sqlite:///freehold.db", project) as store, store.reading() as connection:
        (typed,) = connection.execute(select(feedback.c.body).where(feedback.c.kind == "correction")).scalars()
    assert bytes(typed) == b'"card"'


def test_scores_are_typed_and_what_is_wrong_is_said(sit_down: Any, project: Path) -> None:
    person = sit_down("--metric", "grade")
    screen = person.sees_question("1 of 20")
    assert "enter scores A" in screen
    assert "0 to 10" in screen
    person.press("1")
    person.sees("Scores for A")
    person.press("1\r")  # goes on from the digit that opened the line
    person.sees("is no score for each answer" if "B [2]" in screen else "outside [0, 10]")
    person.press("\r")
    person.sees("Scores for A")
    person.press("2 3\r" if "B [2]" in screen else "2\r")
    person.sees_question("2 of 20")
    person.press("q")
    assert person.exits() == 0
    assert sorted(labels(project).values()) == ([2.0, 3.0] if "B [2]" in screen else [2.0, 2.0])


def test_a_long_answer_is_shown_piece_by_piece(sit_down: Any, project: Path) -> None:
    put(project, {f"long{n}": ("\n".join(f"line {i}" for i in range(60)), f"short {n}") for n in range(30)})
    person = sit_down()
    first = person.sees_question("1 of")
    while "short" not in first:
        person.press("s")
        first = person.sees_question("skipped")
    assert "more characters: m" in first and "line 59" not in first
    person.press("m")
    assert "line 59" in person.sees("q quit")
    person.press("\x04")  # Ctrl-D is the end, as q is
    assert person.exits() == 0


def test_ctrl_c_keeps_what_was_said_and_gives_the_terminal_back(sit_down: Any, project: Path) -> None:
    person = sit_down()
    person.sees_question("1 of 8")
    person.press("*")
    person.sees_question("2 of 8")
    person.press("\x03")
    person.sees("1 of 8 questions have an answer.")
    assert person.exits() == 130
    assert len(labels(project)) == 2


def test_killed_in_the_middle_nothing_said_is_lost(sit_down: Any, project: Path) -> None:
    person = sit_down()
    person.sees_question("1 of 8")
    person.press("*")
    person.sees_question("2 of 8")
    person.process.send_signal(signal.SIGKILL)
    person.process.wait()
    assert len(labels(project)) == 2
    assert len(inclusions(project)) > 0


def run(project: Path, stdin: "str | None", *options: str) -> "subprocess.CompletedProcess[str]":
    """The command without a terminal."""
    return subprocess.run(
        [sys.executable, "-c", RUN, *ARGUMENTS, "--project", str(project), *options],
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def test_piped_lines_label_and_a_second_pipe_goes_on(project: Path) -> None:
    done = run(project, "A\nb\n0\nu\n12\ns\nc card\nq\n")
    assert done.returncode == 0, done.stderr
    assert "4 of 8 questions have an answer." in done.stdout
    assert "which certify when it has one: 1." in done.stdout
    assert len(labels(project)) == 8
    done = run(project, "all\n" * 8)
    assert "20 of 20 items are drawn" in done.stdout
    assert "8 of 8 questions have an answer" in run(project, None).stdout  # nothing to ask takes nobody


def test_a_wrong_line_stops_the_pipe_and_keeps_those_before_it(project: Path) -> None:
    """The lines after it would be about other questions."""
    done = run(project, "A\nZ\nA\n")
    assert done.returncode == 2
    assert "line 2: 'Z' names no answer. There are A, B" in done.stderr
    assert len(labels(project)) == 2


def test_without_a_terminal_and_without_input_it_says_what_it_takes(project: Path) -> None:
    done = run(project, None)
    assert done.returncode == 2
    assert "standard input is empty" in done.stderr
    closed = subprocess.run(
        ["sh", "-c", 'exec "$@" <&-', "sh", sys.executable, "-c", RUN, *ARGUMENTS, "--project", str(project)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert closed.returncode == 2
    assert "standard input is empty" in closed.stderr
    assert labels(project) == {}


def test_json_prints_the_status_and_asks_nothing(project: Path) -> None:
    status = json.loads(run(project, None, "--json", "--budget", "4").stdout)
    assert (status["items"], status["free"], status["planned"], status["drawn"]) == (20, 12, 10, 0)
    assert [floor["max_loss"] for floor in status["floors"]] == [0.01, 0.02, 0.05]
    assert "What a floor takes" in run(project, None, "--status").stdout
