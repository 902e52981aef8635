"""The method `distill`: which rows are learnt, and what a teacher's probabilities are worth beside its answers."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from freehold.catalog import Task
from freehold.chat import JSON
from freehold.errors import CallerError, TrainingError
from freehold.training.beliefs import targets
from freehold.training.lesson import NO_ROWS, Part, lesson_of, plain
from freehold.training.method import Job, Made, method_of, options_of
from freehold.training.run import Run
from freehold.variants.card import Plan
from freehold.variants.heads import load
from simulated import a_task

PAIRS = a_task(900)


def taught(first: int, last: int, teacher: str | None = "big") -> Part:
    part = plain(PAIRS.texts[first:last], [PAIRS.answers[code] for code in PAIRS.truth_N[first:last]])
    return replace(part, teachers=(teacher,) * len(part))


def made(train: Part, folder: Path, reference: str | None = "big", calibrate: Part = NO_ROWS, **said: Any) -> Made:
    method = method_of("distill")
    plan = Plan(task="triage", method="distill", dataset="d@0", options=said, code="0")
    job = Job(Task(id="triage", reference=reference), plan, lesson_of(train, calibrate, NO_ROWS))
    method.estimate(job, options_of(method, said))
    return method.train(job, options_of(method, said), Run(folder, plan.digest))


def test_what_checks_found_wrong_and_what_the_teacher_doubted_is_left_out(tmp_path: Path) -> None:
    part = taught(0, 300)
    names = [str(answer) for answer in part.answers]
    part = replace(
        part,
        rewards=(0.2,) * 40 + (0.9,) * 40 + (None,) * 220,
        beliefs=tuple({name: 0.3 if n >= 250 else 0.9} for n, name in enumerate(names)),
    )
    part += taught(300, 320, None) + taught(320, 330, "small")
    about = made(part, tmp_path, least_sure=0.5).about
    assert about["rows"] == {"by the teacher": 210, "by people": 20, "by others": 10, "found wrong": 40, "unsure": 50}
    assert about["rows with probabilities"] == 210
    assert (about["teacher"], about["by"], about["looks at"]) == ("big", "head", "words")


def test_a_teacher_that_answered_nothing_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"none that may be learnt is an answer of 'other'.*its rows are by big.*variant=other"):
        made(taught(0, 60), tmp_path, teacher="other")
    with pytest.raises(CallerError, match="--set teacher=VARIANT"):
        made(taught(0, 60), tmp_path, reference=None)
    with pytest.raises(CallerError, match="another method|by another"):
        options_of(method_of("distill"), {"by": "distill"})
    with pytest.raises(CallerError, match="no option 'fold'"):
        made(taught(0, 60), tmp_path, settings={"fold": 3})


def test_targets_are_what_was_believed_and_what_was_left_open_is_shared() -> None:
    part = replace(plain(["a", "b", "c", "d"], ["x", "y", "z", "x"]), beliefs=({"x": 0.7}, {"y": 0.5, "z": 0.5}, {}, {"y": 0.9, "q": 0.1}))
    found = targets(part, ["x", "y", "z"])
    assert found is not None
    expected = [[0.7, 0.15, 0.15], [0.0, 0.5, 0.5], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    np.testing.assert_allclose(found, expected)
    assert targets(plain(["a", "b"], ["x", "y"]), ["x", "y"]) is None


def _right(made: Made, texts: Sequence[str], truth: Sequence[JSON]) -> float:
    said = load(made.files).answer(texts)
    return float(np.mean([one is not None and one.output == answer for one, answer in zip(said, truth, strict=True)]))


def test_probabilities_teach_more_than_answers_of_a_teacher_that_is_often_wrong(tmp_path: Path) -> None:
    """A teacher that has half of its answers wrong and says so: nine parts to what is right where its answer is that, else about even."""
    rng = np.random.default_rng(5)
    part = taught(0, 500)
    names = [str(answer) for answer in PAIRS.answers]
    answers: list[JSON] = []
    beliefs: list[dict[str, float]] = []
    for right in part.answers:
        other = names[int(rng.integers(len(names)))]
        is_wrong = rng.random() < 0.5 and other != right
        answers.append(other if is_wrong else right)
        beliefs.append({other: 0.51, str(right): 0.49} if is_wrong else {str(right): 0.9})
    part = replace(part, answers=tuple(answers), beliefs=tuple(beliefs))
    texts, truth = PAIRS.texts[500:], [PAIRS.answers[code] for code in PAIRS.truth_N[500:]]
    soft = _right(made(part, tmp_path / "soft", settings={"passes_on": 0}), texts, truth)
    hard = _right(made(part, tmp_path / "hard", soft=False, settings={"passes_on": 0}), texts, truth)
    assert soft > hard + 0.05
