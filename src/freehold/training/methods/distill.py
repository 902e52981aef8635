"""`distill`: what a dearer variant answered is taught to a smaller one, by any other method.

Source: Hinton, Vinyals and Dean, 2015 (arXiv:1503.02531). Rows that checks found wrong, and rows of which the teacher itself was unsure, are left out; what
people said instead of it stays. Where the teacher's probabilities are recorded, heads and encoders learn from those and not from the answer alone.
"""

from dataclasses import replace
from typing import Any

import msgspec

from freehold.chat import JSON
from freehold.errors import CallerError, TrainingError
from freehold.journal.probable import answer_key
from freehold.training.lesson import Part, lesson_of
from freehold.training.method import Estimate, Job, Made, Method, method_of, options_of
from freehold.training.run import Run


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of `distill`."""

    teacher: str = ""
    """The variant whose answers are learnt; the task's reference where nothing is said."""
    by: str = "head"
    """The method that learns them."""
    least_reward: float = 0.5
    """Answers that were found to be worth less than this are left out; those of which nobody said anything stay."""
    least_sure: float = 0.0
    """Answers that the teacher held for less probable than this are left out; those of which it said nothing stay."""
    soft: bool = True
    """Whether the teacher's probabilities are learnt, or its answers alone."""
    settings: dict[str, JSON] = {}
    """Settings of the method that learns."""

    def __post_init__(self) -> None:
        for name in ("least_reward", "least_sure"):
            if not 0 <= (value := getattr(self, name)) <= 1:
                raise ValueError(f"{name} is {value}; it is a number from 0 to 1")
        if self.by == "distill":
            raise ValueError("by is 'distill', which learns by another method: name that one")


class _Distill:
    name = "distill"
    about = "What a dearer variant answered, taught to a smaller one by any other method, without what checks found wrong (Hinton et al., 2015)."
    options = Options

    def estimate(self, job: Job, options: Options) -> Estimate:
        """As of `Method`."""
        method, settings, taught, _ = _taught(job, options)
        return method.estimate(taught, settings)

    def train(self, job: Job, options: Options, run: Run) -> Made:
        """As of `Method`."""
        method, settings, taught, about = _taught(job, options)
        made = method.train(taught, settings, run)
        return made._replace(about={**made.about, **about})


METHOD = _Distill()


def teacher_of(task_reference: str | None, said: str, task: str) -> str:
    """Who teaches. Raises CallerError where nobody is named."""
    if not said and task_reference is None:
        raise CallerError(f"Task '{task}' has no reference to learn from: name the variant that teaches by --set teacher=VARIANT.")
    return said or str(task_reference)


def _taught(job: Job, options: Options) -> tuple[Method[Any], Any, Job, dict[str, JSON]]:
    """The method that learns with its settings, the job with the rows that are learnt, and what the card says of those."""
    method = method_of(options.by)
    teacher = teacher_of(job.task.reference, options.teacher, job.task.id)
    counts = {"by the teacher": 0, "by people": 0, "by others": 0, "found wrong": 0, "unsure": 0}
    lesson = job.lesson
    train = _kept(lesson.train, teacher, options, counts)
    if not counts["by the teacher"]:
        taught = ", ".join(sorted({one for one in lesson.train.teachers if one is not None})) or "nobody but people"
        raise TrainingError(
            f"Of the {len(lesson.train):,} training rows none that may be learnt is an answer of '{teacher}': {counts['found wrong']:,} were found wrong, of "
            f"{counts['unsure']:,} it was unsure, and its rows are by {taught}. Build a data set of its answers: freehold dataset build NAME --from "
            f"'task={job.task.id} and variant={teacher}'."
        )
    calibrate = _kept(lesson.calibrate, teacher, options, dict.fromkeys(counts, 0))
    kept = lesson_of(train, calibrate, lesson.test, lesson.dataset.partition("@")[0] or "the data", job.task.id)
    kept = replace(kept, dataset=lesson.dataset, stands_for=lesson.stands_for)
    if job.earlier is not None:  # by the rows of all data sets
        kept = replace(kept, shape=lesson.shape)
    has_beliefs = sum(1 for belief in train.beliefs if belief)
    about: dict[str, JSON] = {"teacher": teacher, "by": method.name, "rows": {**counts}, "rows with probabilities": has_beliefs}
    return method, options_of(method, options.settings), replace(job, lesson=kept), about


def _kept(part: Part, teacher: str, options: Options, counts: dict[str, int]) -> Part:
    """The rows that are learnt."""
    rows: list[int] = []
    for n, (by, reward, belief, answer) in enumerate(zip(part.teachers, part.rewards, part.beliefs, part.answers, strict=True)):
        if by is None:
            why = "by people"
        elif by != teacher:
            why = "by others"
        elif reward is not None and reward < options.least_reward:
            why = "found wrong"
        elif belief.get(answer_key(answer), 1.0) < options.least_sure:
            why = "unsure"
        else:
            why = "by the teacher"
        counts[why] += 1
        if why in ("by people", "by the teacher"):
            rows.append(n)
    kept = part.those(rows)
    return kept if options.soft else replace(kept, beliefs=({},) * len(kept))
