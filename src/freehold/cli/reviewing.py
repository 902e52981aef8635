"""A reviewer at a terminal or behind a pipe. What labelling asks is asked in the same words; what comes with a queue is added to it.

`--json` is for programs: each question is a line of JSON on standard output, and what is said to it a line of JSON on standard input.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from freehold.chat import JSON
from freehold.cli.labelling import Asking, converse_at, keys_line
from freehold.errors import CallerError, DataError
from freehold.feedback.attached import attached
from freehold.feedback.question import Judgement, Question, right
from freehold.feedback.seat import Seat
from freehold.store.files import private_file


class Reviewing(Asking):
    """The question in hand at a queue: it may also be flagged, commented on, and what it holds beside words be written to files."""

    keys: Mapping[str, str] = {**Asking.keys, "g": "guide", "w": "write"}
    lines: Mapping[str, tuple[str, str]] = {
        **Asking.lines,
        "f": ("flag", "Why it cannot be judged: "),
        "n": ("note", "Comment: "),
    }

    def __init__(self, seat: Seat, console: Console, files: Path | None) -> None:
        super().__init__(seat)
        self._seat = seat
        self._console = console
        self._files = files
        self._comment = ""

    def begin(self, question: Question) -> None:
        super().begin(question)
        self._comment = ""

    def heed(self, question: Question, line: str) -> bool:
        word, _, text = line.strip().partition(" ")
        if word == "flag":
            self._seat.flag(question, text)
            self.message = "Flagged."
        elif word == "note" and text.strip():
            self._comment = text.strip()
            self.message = "The comment is noted. Now judge the answers shown."
        elif line.strip() == "guide":
            self.message = self._seat.queue.guidelines or "There are no guidelines."
        elif line.strip() == "write":
            self.message = self._written(question)
        else:
            return super().heed(question, line)
        return True

    def answer(self, question: Question, judgement: Judgement) -> None:
        self._seat.answer(question, judgement, self._comment)

    def keys_line(self, question: Question) -> str:
        beside = "  w files" if _attachments(question) else ""
        diff = "  d diff" if len(question.answers) > 1 else ""
        return f"p page{diff}{beside}  f flag  n note  g guidelines\n{keys_line(question, self.metric)}"

    def _written(self, question: Question) -> str:
        """Writes what a terminal cannot show into files, and says where."""
        found = _attachments(question)
        if not found:
            return "There is nothing beside the words."
        folder = self._files if self._files is not None else _folder()
        folder.mkdir(parents=True, exist_ok=True)
        names = []
        for name, one in found:
            if one.data is None:
                names.append(str(one))
                continue
            path = folder / f"{name}.{one.ending}"
            with private_file(path) as file:
                file.write(one.data)
            names.append(str(path))
        return "\n".join(names)


def sit_down(seat: Seat, console: Console, files: Path | None) -> bool:
    """Asks until there is nothing left or the reviewer stops; whether Ctrl-C did. Raises CallerError."""
    told = f"Queue {seat.queue.id} of task '{seat.queue.task}': judged by {seat.queue.metric}, blind and in random order."
    console.print(told, markup=False, soft_wrap=True)
    if seat.queue.guidelines:
        console.print(seat.queue.guidelines, markup=False, soft_wrap=True)
    was_interrupted = False if seat.next() is None else converse_at(Reviewing(seat, console, files), console)
    progress = seat.progress()
    left = progress.questions - progress.answered
    console.print(
        f"{progress.answered:,} judged. " + (f"{left:,} are left; the next run goes on." if left else "There is nothing left for you."),
        markup=False,
        soft_wrap=True,
    )
    return was_interrupted


class Line(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a program says to a question: one of these, with a comment if need be."""

    right: list[str] | None = None
    """The letters of the right answers; none for none of them."""
    scores: dict[str, float] | None = None
    """A score for each letter."""
    correction: JSON = None
    """The right answer."""
    comment: str = ""
    """Anything else."""
    flag: str | None = None
    """Why it cannot be judged."""
    skip: bool = False
    """To put it off."""
    undo: bool = False
    """To take the last thing back."""


def judgement_of(said: Line, question: Question, seat: Seat) -> Judgement:
    """The judgement that a program's line is. Raises CallerError for one that says nothing."""
    if said.right is not None and said.scores is not None:
        raise CallerError("both right and scores are there; expected one of them")
    if said.right is not None:
        if seat.metric.kind != "binary":
            low, high = seat.metric.range
            raise CallerError(
                f"metric '{seat.metric.id}' is no matter of right or wrong; expected scores from {low:g} to {high:g} by letter"
            )
        return right(question, frozenset(said.right), seat.metric)._replace(correction=said.correction)
    if said.scores is None and said.correction is None:
        raise CallerError("nothing is said: one of right, scores, correction, flag, skip and undo has to be there")
    return Judgement(said.scores or {}, said.correction)


def question_json(seat: Seat, question: Question) -> dict[str, Any]:
    """A question as a program sees it."""
    return {
        "queue": seat.queue.id,
        "metric": seat.queue.metric,
        "asked": question.asked,
        "answers": {answer.letter: answer.output for answer in question.answers},
        "progress": seat.progress(),
    }


def by_json(seat: Seat) -> bool:
    """Puts each question as a line and takes a line for it, until there is none of either. Raises CallerError, DataError for a line that is
    none: the lines after it would meet other questions."""
    number = 0
    while (question := seat.next()) is not None:
        sys.stdout.write(msgspec.json.encode(question_json(seat, question)).decode() + "\n")
        sys.stdout.flush()
        try:
            line = sys.stdin.readline()
        except KeyboardInterrupt:
            return True
        if not line.strip():
            return False
        number += 1
        try:
            said = msgspec.json.decode(line.encode(errors="surrogateescape"), type=Line)
            _heed(seat, question, said)
        except (msgspec.DecodeError, CallerError) as error:
            kind = DataError if isinstance(error, msgspec.DecodeError) else CallerError
            raise kind(f"line {number}: {error} What the lines before it said is kept.") from None
    return False


def _heed(seat: Seat, question: Question, said: Line) -> None:
    if said.undo:
        if seat.undo() is None:
            raise CallerError("there is nothing to take back")
    elif said.skip:
        seat.skip(question)
    elif said.flag is not None:
        seat.flag(question, said.flag)
    else:
        seat.answer(question, judgement_of(said, question, seat), said.comment)


def _attachments(question: Question) -> list[tuple[str, Any]]:
    found = [(f"asked-{n}", one) for n, one in enumerate(attached(question.asked), start=1)]
    for answer in question.answers:
        found += [(f"{answer.letter}-{n}", one) for n, one in enumerate(attached(answer.output), start=1)]
    return found


def _folder() -> Path:
    import tempfile

    return Path(tempfile.mkdtemp(prefix="freehold-review-"))
