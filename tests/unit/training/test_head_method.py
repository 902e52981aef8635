"""The method `head`: choices and lists of labels, passing on what is unlike what it learnt, and what nothing can be learnt from."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from freehold.catalog import Task
from freehold.chat import JSON
from freehold.errors import CallerError, DataError, TrainingError
from freehold.routing.embed import Embedder
from freehold.training.lesson import NO_ROWS, Lesson, Part, lesson_of, plain, shape_of
from freehold.training.method import Job, method_of, options_of
from freehold.training.methods.head import mean_f1
from freehold.training.run import Run
from freehold.variants.card import Plan
from freehold.variants.heads import HEAD, load
from simulated import a_task

PAIRS = a_task(600)


def topics(first: int, last: int) -> Part:
    return plain(PAIRS.texts[first:last], [PAIRS.answers[code] for code in PAIRS.truth_N[first:last]])


def made(lesson: Lesson, folder: Path, seed: int = 0, embedder: Embedder | None = None, **said: JSON) -> Any:
    """What the method makes of a lesson."""
    method = method_of("head")
    plan = Plan(task="triage", method="head", dataset="d@0", seed=seed, options=said, code="0")
    job = Job(Task(id="triage"), plan, lesson, embedder)
    return method.train(job, options_of(method, said), Run(folder, plan.digest))


def test_one_plan_gives_the_same_bytes(tmp_path: Path) -> None:
    lesson = lesson_of(topics(0, 300), topics(300, 400), topics(400, 600))
    first, second = (made(lesson, tmp_path / name).files for name in ("one", "two"))
    assert first == second
    assert made(lesson, tmp_path / "other", seed=1).files != first


def test_it_answers_what_it_learnt_and_says_how_sure_it_is(tmp_path: Path) -> None:
    head = load(made(lesson_of(topics(0, 400), topics(400, 500), NO_ROWS), tmp_path, passes_on=0).files)
    said = head.answer(PAIRS.texts[500:])
    assert all(one is not None for one in said)
    right = np.array([one is not None and one.output == PAIRS.answers[code] for one, code in zip(said, PAIRS.truth_N[500:], strict=True)])
    sure = np.array([one.confidence if one else 0.0 for one in said])
    assert right.mean() > 0.8
    assert abs(sure.mean() - right.mean()) < 0.1


def test_it_passes_on_as_much_as_it_may_and_first_what_is_unlike_all_it_knows(tmp_path: Path) -> None:
    about = made(lesson_of(topics(0, 400), topics(400, 500), NO_ROWS), tmp_path, passes_on=0.1)
    head = load(about.files)
    ours = [one is None for one in head.answer(PAIRS.texts[400:500])]
    strange = [one is None for one in head.answer(["Zxqv wnrk plmb", "12 34 56 78", "%%%", "Jkqq vvww"] * 5)]
    assert 0.05 <= np.mean(ours) <= 0.15
    assert np.mean(strange) > 0.7
    assert about.about["least_in_scope"] > 0


def test_lists_of_labels_are_learnt_label_by_label(tmp_path: Path) -> None:
    """Two topics in one message are two labels; neither has been seen together with the other in training."""
    texts, labels = list(PAIRS.texts[:400]), [[PAIRS.answers[code]] for code in PAIRS.truth_N[:400]]
    for n in range(0, 390, 3):
        texts.append(f"{texts[n]} {texts[n + 1]}")
        labels.append(sorted({str(labels[n][0]), str(labels[n + 1][0])}))
    part = plain(texts, labels)
    found = made(lesson_of(part, NO_ROWS, NO_ROWS), tmp_path)
    head = load(found.files)
    said = [one.output for one in head.answer([f"{PAIRS.texts[n]} {PAIRS.texts[n + 1]}" for n in range(450, 550)]) if one]
    right = [{PAIRS.answers[PAIRS.truth_N[n]], PAIRS.answers[PAIRS.truth_N[n + 1]]} for n in range(450, 550)]
    hits = sum(len(set(one) & truth) for one, truth in zip(said, right, strict=True))  # type: ignore[arg-type]
    assert 2 * hits / (sum(map(len, said)) + sum(map(len, right))) > 0.75  # type: ignore[arg-type]
    assert 0.1 <= found.about["threshold"] <= 0.9


def test_f1_of_two_empty_lists_is_one() -> None:
    said, right = np.array([[False, False], [True, False]]), np.array([[False, False], [True, True]])
    assert mean_f1(said, right) == pytest.approx((1 + 2 / 3) / 2)


def test_rows_of_one_answer_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"All 3 training rows .* have the one answer 'a'"):
        made(lesson_of(plain(["x", "y", "z"], ["a", "a", "a"]), NO_ROWS, NO_ROWS), tmp_path)


def test_no_rows_are_refused() -> None:
    with pytest.raises(TrainingError, match="has no rows of task 'triage' in its training part"):
        lesson_of(NO_ROWS, NO_ROWS, NO_ROWS, "d@0", "triage")


def test_contradictions_are_counted() -> None:
    lesson = lesson_of(plain(["x", "x", "y", "z"], ["a", "b", "a", "b"]), NO_ROWS, NO_ROWS)
    assert lesson.contradictions == 2


def test_answers_that_are_no_choice_are_refused(tmp_path: Path) -> None:
    texts = [f"text {n}" for n in range(30)]
    with pytest.raises(TrainingError, match="are text"):
        made(lesson_of(plain(texts, [f"answer {n}" for n in range(30)]), NO_ROWS, NO_ROWS), tmp_path)


@pytest.mark.parametrize(
    ("answers", "shape"),
    [
        (["a", "b", "a", "b"], "choice"),
        ([["a"], ["a", "b"], []], "labels"),
        ([[{"start": 0, "end": 3, "label": "name"}], []], "spans"),
        (["one", "two", "three"], "text"),
        ([{"a": 1}, {"a": 2}, {"a": 1}, {"a": 2}], "choice"),
    ],
)
def test_the_shape_of_answers_is_what_all_have_in_common(answers: list[JSON], shape: str) -> None:
    assert shape_of(answers) == shape


def test_a_file_that_was_changed_is_no_head(tmp_path: Path) -> None:
    files = dict(made(lesson_of(topics(0, 200), NO_ROWS, NO_ROWS), tmp_path).files)
    with pytest.raises(DataError, match="not a head"):
        load({HEAD: files[HEAD][: len(files[HEAD]) // 2]})
    with pytest.raises(DataError, match="not a head"):
        load({HEAD: b"\x80\x04\x95 a pickle"})


def test_an_unknown_setting_names_the_nearest() -> None:
    with pytest.raises(CallerError, match="has no option 'fold'. Did you mean 'folds'?"):
        options_of(method_of("head"), {"fold": 3})
    with pytest.raises(CallerError, match="folds is 1"):
        options_of(method_of("head"), {"folds": 1})
