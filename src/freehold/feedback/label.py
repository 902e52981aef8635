"""A labelling session: the next question, what a person says to it, skipping, taking back, and how far it has come.

Pure but for the keeper it is handed, which makes every judgement durable at once. There is nothing to save at the end: killed at any
point, a session has left what was judged, and the next one goes on with the first question that has no answer.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from statistics import median
from typing import NamedTuple, Protocol

import msgspec

from freehold.catalog import Metric
from freehold.errors import CallerError
from freehold.feedback.draw import Draw
from freehold.feedback.question import Ballot, Content, Judgement, Question, feedback_rows, question_of, scores_by_digest
from freehold.journal.call import Feedback

PERSON = "person:"
"""What the source of everything said by a person begins with."""


class Keeper(Protocol):
    """Where a session reads what it shows and keeps what was said."""

    def content(self, ballot: Ballot) -> Content:
        """What was asked and answered. Raises OperatorError where it is not kept."""

    def keep(self, add: Sequence[Feedback], remove: Sequence[str]) -> list[Feedback]:
        """Removes feedback by id, adds other, and draws anew how far the answers reach: all of it at once, durable when it returns.

        Gives the feedback that was there under the ids of `remove`.
        """


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a session has come."""

    answered: int
    """Questions of the draw that have an answer, of this session and earlier ones."""
    questions: int
    """Questions of the draw."""
    skipped: int
    """Questions put off or left out in this session, and still open."""
    free: int
    """Items of the draw that need nobody."""
    waiting: int
    """Answers beyond an open question, which count when that has its answer."""
    drawn: int
    """Items that count as drawn by now: all before the first open question."""
    items: int
    """Items of the task that could be drawn."""
    seconds_left: float | None
    """What the open questions will take at the median pace of this session; None before its first answer."""


class _Said(NamedTuple):
    """A judgement that can be taken back."""

    item: str
    ids: list[str]
    """Of the feedback it became."""
    replaced: list[Feedback]
    """Feedback of the same rater that it took the place of."""


class _PutOff(NamedTuple):
    """A skip that can be taken back."""

    item: str


class Session:
    """Questions in order, one at a time, to one rater."""

    def __init__(
        self,
        *,
        tenant: str,
        task: str,
        metric: Metric,
        rater: str,
        draw: Draw,
        ballots: Mapping[str, Ballot],
        answered: Iterable[str],
        keeper: Keeper,
        clock: Callable[[], datetime],
    ) -> None:
        self.metric = metric
        self.draw = draw
        self.rater = _checked(rater)
        self._tenant = tenant
        self._seed = "\x00".join((tenant, task, metric.id))
        self._questions = draw.questions
        self._ballots = ballots
        self._answered = set(answered)
        self._skips: dict[str, int] = {}
        self._done: list[_Said | _PutOff] = []
        self._keeper = keeper
        self._clock = clock
        self._last = clock()
        self._paces: list[float] = []

    def next(self) -> Question | None:
        """The question to put: the first open one in order, then those that were skipped once; None when there is none left.

        One that is skipped twice is left out for this session. Asking again without saying anything gives the same question.
        """
        item = next((item for item in self._questions if item not in self._answered and item not in self._skips), None)
        if item is None:
            item = next((item for item, times in self._skips.items() if times == 1 and item not in self._answered), None)
        return None if item is None else question_of(self._ballots[item], self._keeper.content(self._ballots[item]), self._seed)

    def answer(self, question: Question, judgement: Judgement) -> None:
        """Keeps a judgement. Where it raises, nothing has changed. Raises CallerError for scores that do not fit question or metric."""
        if question.item in self._answered or question.item not in self._questions:
            raise CallerError(f"Item '{question.item}' is not being asked about; answer what next() gave last.")
        scores = scores_by_digest(question, judgement, self.metric)
        now = self._clock()
        rows = feedback_rows(
            self._ballots[question.item],
            scores,
            judgement.correction,
            self.metric.id,
            self._tenant,
            PERSON + self.rater,
            self.draw.size / len(self.draw.order),
            now,
        )
        ids = [row.id for row in rows]
        replaced = self._keeper.keep(rows, ids)
        self._answered.add(question.item)
        self._done.append(_Said(question.item, ids, replaced))
        self._paces.append((now - self._last).total_seconds())
        self._last = now

    def skip(self, question: Question) -> None:
        """Puts a question off to the end. While it is open, what is answered after it does not count as drawn."""
        self._skips[question.item] = self._skips.get(question.item, 0) + 1
        self._done.append(_PutOff(question.item))
        self._last = self._clock()

    def undo(self) -> str | None:
        """Takes the last judgement or skip of this session back, and gives its item; None when there is none. Can be repeated.

        What a judgement said is deleted, not overruled: a slip of a finger is no opinion. What it had replaced is put back.
        """
        if not self._done:
            return None
        last = self._done[-1]
        if isinstance(last, _Said):
            self._keeper.keep(last.replaced, last.ids)
            self._answered.discard(last.item)
        else:
            self._skips[last.item] -= 1
            if not self._skips[last.item]:
                del self._skips[last.item]
        self._done.pop()
        self._last = self._clock()
        return last.item

    def progress(self) -> Progress:
        """How far it has come."""
        answered = sum(item in self._answered for item in self._questions)
        left = len(self._questions) - answered
        drawn = self.draw.completed(self._answered)
        return Progress(
            answered=answered,
            questions=len(self._questions),
            skipped=sum(item not in self._answered for item in self._skips),
            free=self.draw.size - len(self._questions),
            waiting=answered - sum(item not in self.draw.free for item in self.draw.order[:drawn]),
            drawn=drawn,
            items=len(self.draw.order),
            seconds_left=median(self._paces) * left if self._paces else None,
        )


def _checked(rater: str) -> str:
    name = rater.strip()
    if not name or not name.isprintable():
        raise CallerError(f"--rater {rater!r} is no name; it is kept with each label, such as --rater anna.")
    return name
