"""Methods that begin anew learn the rows of earlier data sets again, as far as those are still there."""

from dataclasses import replace

import pytest

from freehold.catalog import Task
from freehold.training.continual.again import with_earlier
from freehold.training.lesson import Lesson, Part, lesson_of, plain
from freehold.training.method import Earlier, Job
from freehold.variants.card import Card, Plan


def part(prefix: str, answers: list[str]) -> Part:
    made = plain([f"{prefix} {n}" for n in range(len(answers))], answers)
    ids = tuple(f"{prefix}-{n}" for n in range(len(answers)))
    return replace(made, ids=ids, groups=ids)


def lesson(name: str, answers: list[str]) -> Lesson:
    made = lesson_of(part(f"{name} train", answers), part(f"{name} calibrate", answers[:2]), part(f"{name} test", answers))
    return replace(made, dataset=f"d@{name}")


OLD, NEW = lesson("old", ["a", "b"] * 5), lesson("new", ["c", "d"] * 4)


def job(*earlier: Lesson) -> Job:
    plan = Plan(task="t", method="head", dataset="d@new", code="0")
    card: Card | None = None
    known = Earlier(card, {}, tuple(earlier)) if earlier else None  # type: ignore[arg-type]
    return Job(Task(id="t"), plan, NEW, earlier=known)


def test_all_that_is_there_is_learnt_again_and_the_test_stays_the_new_ones() -> None:
    found = with_earlier(job(OLD), None).lesson
    assert found.train.answers == OLD.train.answers + NEW.train.answers
    assert found.calibrate.texts == OLD.calibrate.texts + NEW.calibrate.texts
    assert found.test == NEW.test
    assert found.choices == ("a", "b", "c", "d")


@pytest.mark.parametrize(("replay", "count"), [(0, 0), (2, 4), (99, 10)])
def test_of_each_answer_as_many_as_are_said(replay: int, count: int) -> None:
    found = with_earlier(job(OLD), replay).lesson.train
    assert len(found) == count + len(NEW.train)
    assert set(found.texts[:count]) <= set(OLD.train.texts)


def test_a_row_that_is_in_both_counts_once_and_without_earlier_ones_nothing_changes() -> None:
    both = replace(NEW, train=OLD.train.those([0]) + NEW.train)
    known = replace(job(OLD), lesson=both)
    assert len(with_earlier(known, None).lesson.train) == len(OLD.train) + len(NEW.train)
    assert with_earlier(job(), None).lesson is NEW
