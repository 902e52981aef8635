"""One reviewer at one queue: the same conversation that a labelling session has, over a desk."""

from freehold.errors import CallerError
from freehold.feedback.desk import Desk
from freehold.feedback.label import Progress
from freehold.feedback.question import Judgement, Question
from freehold.feedback.queue import Queue
from freehold.feedback.reviewers import Reviewer


class Seat:
    """Questions one at a time. Asking again without saying anything gives the same one."""

    def __init__(self, desk: Desk, queue: Queue, reviewer: Reviewer) -> None:
        self.queue = queue
        self.reviewer = reviewer
        self.metric = desk.metric_of(queue)
        self._desk = desk
        self._in_hand: tuple[str, Question] | None = None

    def has_work(self) -> bool:
        """Whether there is anything for this reviewer now. Shows nothing."""
        progress = self._desk.progress(self.queue, self.reviewer)
        return progress.questions > progress.answered

    def next(self) -> Question | None:
        """The question to put; None where there is nothing for this reviewer now."""
        if self._in_hand is None:
            self._in_hand = self._desk.next(self.queue, self.reviewer)
        return None if self._in_hand is None else self._in_hand[1]

    def answer(self, question: Question, judgement: Judgement, comment: str = "") -> None:
        """Keeps a verdict. Raises CallerError for one that does not fit, and then nothing has changed."""
        self._desk.answer(self.queue, self.reviewer, self._ticket(question), judgement, comment)
        self._in_hand = None

    def skip(self, question: Question) -> None:
        """Puts it off to the end, once; the second time it is left to others."""
        self._desk.skip(self.queue, self.reviewer, self._ticket(question))
        self._in_hand = None

    def flag(self, question: Question, reason: str) -> None:
        """Says that it cannot be judged, and why. Raises CallerError without a reason."""
        self._desk.flag(self.queue, self.reviewer, self._ticket(question), reason)
        self._in_hand = None

    def undo(self) -> str | None:
        """Takes the last verdict, flag or skip back, and gives its ticket; None where there is none."""
        taken = self._desk.take_back(self.queue, self.reviewer)
        if taken is not None:
            self._in_hand = None
        return taken

    def progress(self) -> Progress:
        """How far this reviewer is."""
        return self._desk.progress(self.queue, self.reviewer)

    def _ticket(self, question: Question) -> str:
        if self._in_hand is None or self._in_hand[1].item != question.item:
            raise CallerError("that is not being asked about; answer what next() gave last")
        return self._in_hand[0]
