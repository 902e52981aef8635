"""A labelling session with a person: one question on the screen at a time, and what is typed becomes a judgement.

A terminal's keys and a pipe's lines say the same things: a key that needs no more is a line by itself.
"""

import sys
from collections.abc import Mapping
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from freehold.catalog import Metric
from freehold.chat import JSON
from freehold.cli.keyboard import END, ENTER, Terminal, piped_line
from freehold.errors import CallerError
from freehold.feedback.label import Progress
from freehold.feedback.question import Judgement, Question, right
from freehold.feedback.show import answer_text, asked_text, difference, excerpt, pages, typed_correction

MORE = 4
"""How many times as much is shown after asking for more."""
LEAST_WIDTH = 36
"""Columns an answer needs to stand beside others."""
_NONE, _ALL = ("0", "none"), ("*", "all")


class Sitting(Protocol):
    """Who is asked, and what is done with what they say: a labelling session, or a reviewer's seat at a queue."""

    metric: Metric
    """What is judged."""

    def next(self) -> Question | None:
        """The question to put; the same until something is said to it."""

    def answer(self, question: Question, judgement: Judgement) -> None:
        """Keeps a judgement. Raises CallerError."""

    def skip(self, question: Question) -> None:
        """Puts a question off."""

    def undo(self) -> str | None:
        """Takes the last thing back; None where there is none."""

    def progress(self) -> Progress:
        """How far it has come."""


def converse(session: Sitting, console: Console) -> bool:
    """Asks until there is no question left or the rater stops. Whether it was stopped by Ctrl-C, after which all that was said stands.

    Raises CallerError where there is nobody to ask, and for a piped line that says nothing about its question.
    """
    return False if session.next() is None else converse_at(Asking(session), console)


def converse_at(desk: "Asking", console: Console) -> bool:
    """As `converse`, with what is in hand already."""
    try:
        if sys.stdin is not None and sys.stdin.isatty():
            with Terminal(_write) as keys:
                _ask_by_keys(desk, keys, console)
        else:
            _ask_by_lines(desk, console)
    except KeyboardInterrupt:
        return True
    return False


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


class Asking:
    """The question in hand, and what of it is not yet said."""

    keys: Mapping[str, str] = {"u": "u", "s": "s", "m": "m", "p": "page", "d": "diff", "q": "q"}
    """Keys that need no more, and the lines they stand for."""
    lines: Mapping[str, tuple[str, str]] = {"c": ("c", "The right answer: ")}
    """Keys that a text follows: how the line begins that they stand for, and what the text is asked for with."""

    def __init__(self, session: Sitting) -> None:
        self.session = session
        self.metric = session.metric
        self.message = ""
        self.times = 1
        self.page = 0
        self.is_diff = False
        self.marked: frozenset[str] = frozenset()
        self._item = ""
        self._correction: JSON = None

    def question(self) -> Question | None:
        """The question to show."""
        question = self.session.next()
        if question is not None and question.item != self._item:
            self.begin(question)
        return question

    def begin(self, question: Question) -> None:
        """A new one is in hand: what was said of the one before is not about it."""
        self._item, self._correction, self.times, self.page, self.is_diff, self.marked = question.item, None, 1, 0, False, frozenset()

    def heed(self, question: Question, line: str) -> bool:
        """Does what a line says; false when it says to stop. Raises CallerError for one that says nothing we know."""
        line = line.strip()
        self.message = ""
        if line == "q":
            return False
        if line == "m":
            self.times, self.page = self.times * MORE, 0
        elif line == "page":
            self.page = (self.page + 1) % max(pages(text, self.times) for text in texts_of(question, self.is_diff))
        elif line == "diff":
            self.is_diff, self.page = not self.is_diff, 0
        elif line == "s":
            self.session.skip(question)
        elif line == "u":
            self.message = "Taken back." if self.session.undo() else "There is nothing to take back."
        elif line == "c" or line.startswith("c "):
            self._correct(question, line[1:].strip())
        else:
            self.answer(question, judgement_of(line, question, self.metric)._replace(correction=self._correction))
        return True

    def keys_line(self, question: Question) -> str:
        """What can be pressed."""
        return keys_line(question, self.metric)

    def answer(self, question: Question, judgement: Judgement) -> None:
        """A judgement was said."""
        self.session.answer(question, judgement)

    def _correct(self, question: Question, text: str) -> None:
        """The right answer decides alone where equal answers are equally right; else it is kept until the answers are judged."""
        if not text:
            raise CallerError("'c' takes the right answer after it, as in 'c transfer'. For the answer of that letter write 'C'.")
        correction = typed_correction(text, tuple(answer.output for answer in question.answers))
        if self.metric.kind == "binary" and self.metric.deterministic:
            self.answer(question, Judgement(correction=correction))
        else:
            self._correction = correction
            self.message = "The right answer is noted. Now judge the answers shown."


def judgement_of(line: str, question: Question, metric: Metric) -> Judgement:
    """What a line says about the answers: under a binary metric which are right, else a score for each. Raises CallerError."""
    words = line.replace(",", " ").split()
    letters = [answer.letter for answer in question.answers]
    if metric.kind == "binary":
        if line in _ALL:
            return right(question, frozenset(letters), metric)
        named = frozenset() if line in _NONE else frozenset(name for word in words for name in _letters(word, letters))
        if not named and line not in _NONE:
            raise CallerError(f"'{line}' says nothing: name the right answers ({', '.join(letters)}), 0 for none of them, * for all.")
        return right(question, named, metric)
    low, high = metric.range
    try:
        scores = [float(word) for word in words]
    except ValueError:
        scores = []
    if len(scores) != len(letters):
        raise CallerError(
            f"'{line}' is no score for each answer: it takes {len(letters)} numbers from {low:g} to {high:g}, for {' '.join(letters)}."
        )
    return Judgement(dict(zip(letters, scores, strict=True)))


def _letters(word: str, letters: list[str]) -> list[str]:
    """The answers a word names: by its letters, or by their numbers from 1."""
    name = word.upper()
    if name in letters:
        return [name]
    by_number = {str(n): name for n, name in enumerate(letters[:9], start=1)}
    named = [by_number.get(character, character) for character in name]
    unknown = [character for character in named if character not in letters]
    if unknown:
        raise CallerError(
            f"'{word}' names no answer. There are {', '.join(letters)}; 0 is none of them, * all; s skips, u undoes, q quits."
        )
    return named


def _ask_by_lines(desk: Asking, console: Console) -> None:
    """Piped input: each line is about the question shown last. A wrong one ends it, for the lines after it would meet other questions."""
    number = 0
    while (question := desk.question()) is not None:
        console.print(_screen(question, desk, console.width))
        line = piped_line()
        if line is None:
            if number == 0:
                raise CallerError(
                    "Labelling takes somebody who answers, and standard input is empty. Run it in a terminal, or pipe one line for each question."
                )
            return
        number += 1
        try:
            if not desk.heed(question, line):
                return
        except CallerError as error:
            raise CallerError(f"line {number}: {error} What the lines before it said is kept.") from None


def _ask_by_keys(desk: Asking, keys: Terminal, console: Console) -> None:
    while True:
        question = desk.question()
        if question is None:
            console.print("That was the last question. u takes it back, any other key ends.")
            if keys.key() != "u" or desk.session.undo() is None:
                return
            continue
        line = _typed(question, desk, keys, console)
        try:
            if not desk.heed(question, line):
                return
        except CallerError as error:
            desk.message = str(error)


def _typed(question: Question, desk: Asking, keys: Terminal, console: Console) -> str:
    """What the rater types about a question, as a line."""
    letters = [answer.letter for answer in question.answers]
    has_marks = desk.metric.kind == "binary" and len(letters) <= 26
    while True:
        console.clear()
        console.print(_screen(question, desk, console.width))
        key = keys.key()
        if key in desk.keys:
            return desk.keys[key]
        if key == END:
            return "q"
        if key in desk.lines:
            begins, prompt = desk.lines[key]
            if text := keys.line(prompt):
                return f"{begins} {text}"
        elif not has_marks:
            if key == ENTER or key in "0123456789.+-*" or key.isupper():
                prompt = f"Scores for {' '.join(letters)}: " if desk.metric.kind == "bounded" else "Right ones, by letter: "
                if text := keys.line(prompt, "" if key == ENTER else key):
                    return text
        elif key in (*_NONE, *_ALL):
            return key
        elif key == ENTER and desk.marked:
            return " ".join(sorted(desk.marked))
        elif key == ENTER:
            desk.message = "Mark the right answers first, or press 0 for none of them."
        elif key.isupper() or key.isdigit():
            desk.marked ^= frozenset(_named(key, letters))


def _named(key: str, letters: list[str]) -> list[str]:
    """The answer a key marks; none for a key of no answer, which may be a slip."""
    try:
        return _letters(key, letters)
    except CallerError:
        return []


def _screen(question: Question, desk: Asking, width: int) -> RenderableType:
    """The question, its answers side by side where there is room, and the keys."""
    shown: RenderableType
    if desk.is_diff:
        panels = [_panel(title, text, desk, False) for title, text in differences(question)]
        shown = Group(*panels)
    else:
        panels = [_panel(_title(n, a.letter, a.letter in desk.marked), answer_text(a.output), desk, a.letter in desk.marked)
                  for n, a in enumerate(question.answers, start=1)]  # fmt: skip
        shown = Group(*panels)
        if len(panels) * LEAST_WIDTH <= width:
            grid = Table.grid(expand=True)
            for _ in panels:
                grid.add_column(ratio=1)
            grid.add_row(*panels)
            shown = grid
    lines = [
        Text(progress_line(desk.session.progress()), style="bold"),
        _panel("asked", asked_text(question.asked), desk, False),
        shown,
        Text(desk.keys_line(question), style="dim"),
    ]
    return Group(*lines, Text(desk.message, style="bold red")) if desk.message else Group(*lines)


def differences(question: Question) -> list[tuple[str, str]]:
    """How each further answer differs from the first, under a title."""
    first, *others = question.answers
    before = answer_text(first.output)
    return [(f"from {first.letter} to {other.letter}", difference(before, answer_text(other.output))) for other in others]


def texts_of(question: Question, is_diff: bool) -> list[str]:
    """Everything that is shown of a question."""
    answers = [text for _, text in differences(question)] if is_diff else [answer_text(answer.output) for answer in question.answers]
    return [asked_text(question.asked), *answers]


def _title(number: int, letter: str, is_marked: bool) -> str:
    return f"{letter}{f' [{number}]' if number <= 9 else ''}{' ✓ right' if is_marked else ''}"


def _panel(title: str, text: str, desk: Asking, is_marked: bool) -> Panel:
    page = excerpt(text, desk.times, desk.page)
    shown = Text(page.text)
    if page.hidden:
        shown.append(f"\n… {page.hidden:,} more characters: m or p", style="italic")
    return Panel(shown, title=Text(title), title_align="left", border_style="green" if is_marked else "dim")


def progress_line(progress: Progress) -> str:
    """How far it is, for people: `12 of 58 · about 9 min left`."""
    parts = [f"{progress.answered + 1:,} of {progress.questions:,}"]
    if progress.skipped:
        parts.append(f"{progress.skipped:,} skipped")
    if progress.seconds_left is not None:
        minutes = progress.seconds_left / 60
        parts.append(f"about {minutes:.0f} min left" if minutes >= 1 else "less than a minute left")
    return " · ".join(parts)


def keys_line(question: Question, metric: Metric) -> str:
    """What can be pressed, in fewer columns than the narrowest terminals have."""
    last = question.answers[-1].letter
    if metric.kind == "binary":
        choose = f"{f'1-{len(question.answers)}' if len(question.answers) <= 9 else f'A-{last}'} right  enter done  0 none  * all"
    else:
        choose = f"enter scores A-{last}, {metric.range[0]:g} to {metric.range[1]:g}"
    return f"{choose}  c correct  s skip  u undo  m more  q quit"
