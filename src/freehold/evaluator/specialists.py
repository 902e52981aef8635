"""Specialists among the variants of an evaluation: they answer here and now, and what they learnt from says nothing about them."""

import threading
from collections.abc import Sequence
from typing import NamedTuple

from freehold.catalog import Task
from freehold.chat import JSON, text_of
from freehold.errors import CallerError
from freehold.evaluator.questions import Questions, whole
from freehold.project import Project
from freehold.promotion.trained import learnt_by
from freehold.variants.shelf import on_shelf
from freehold.variants.specialist import FORMATS, Answerer, load


class Shelved:
    """A specialist as a candidate: a function of an input, which costs nothing. One text at a time."""

    def __init__(self, answerer: Answerer) -> None:
        self._answerer = answerer
        self._alone = threading.Lock()

    def __call__(self, asked: JSON) -> JSON:
        """Its answer; None where it has none."""
        with self._alone:
            (said,) = self._answerer.answer((text_of(asked),))
        return None if said is None else said.output


class Entered(NamedTuple):
    """The items that are left, and who answers them here."""

    questions: Questions
    shelved: dict[str, Shelved]
    left_out: dict[str, int]
    """Items that a specialist learnt from or had settings chosen by, and those of one group with them, by its name."""


def with_specialists(project: Project, task: Task, questions: Questions, names: Sequence[str]) -> Entered:
    """Has those of some variants that stand on the shelf answer here. Nobody is asked what one of them has learnt from.

    Raises CallerError where nothing is left, or where a data set that it learnt from is gone.
    """
    cards = {card.name: card for card in on_shelf(project.store, project.tenant, task.id) if card.format in FORMATS}
    shelved: dict[str, Shelved] = {}
    left_out: dict[str, int] = {}
    for name in names:
        if (card := cards.get(name)) is None:
            continue
        learnt = learnt_by(project, card)
        known = {
            one.question.item
            for some in whole(project, questions.rows, ())
            for one in some
            if one.question.item in learnt.items or text_of(one.asked.input) in learnt.texts
        }
        groups = {group for row, group in zip(questions.rows, questions.groups, strict=True) if row.item in known}
        kept = [(row, group) for row, group in zip(questions.rows, questions.groups, strict=True) if group not in groups]
        if not kept:
            raise CallerError(
                f"'{name}' learnt from all {len(questions.rows):,} items, or had settings chosen by them, so that none of them says anything about it. "
                "Name items that it has not seen by --dataset, or import calls that came since."
            )
        left_out[name] = len(questions.rows) - len(kept)
        questions = questions._replace(rows=[row for row, _ in kept], groups=tuple(group for _, group in kept))
        shelved[name] = Shelved(load(project.store, card))
    return Entered(questions, shelved, left_out)
