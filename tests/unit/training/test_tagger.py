"""Taggers: spans of a text, learnt with and without a base, and put together as the task answers."""

from pathlib import Path

import pytest

from freehold.chat import JSON
from freehold.errors import CallerError, TrainingError
from freehold.evaluation import tested as measured
from freehold.evaluation.tested import Rows
from freehold.training.lesson import Lesson
from freehold.training.method import Job, method_of, options_of
from freehold.training.run import Run, Step
from freehold.variants import tagger
from freehold.variants.card import Measure
from taught import as_fields, as_spans, job, lesson, made, tiny_base

SPANS, FIELDS = lesson(as_spans), lesson(as_fields)


def first(found: object, told: Lesson) -> Measure:
    """The first measure of what was made, on the test part."""
    answerer = tagger.load(found.files)  # type: ignore[attr-defined]
    said = [Rows(answerer.answer(part.texts), part.answers, part.group_N) for part in (told.test, told.calibrate)]
    return measured.tested(said[0], said[1], told.shape, 1.0).measures[0]


@pytest.mark.parametrize(("told", "name"), [(SPANS, "span_f1"), (FIELDS, "set_f1")])
def test_without_a_base_it_finds_what_it_was_shown(tmp_path: Path, told: Lesson, name: str) -> None:
    measure = first(made(tmp_path, job("tagger", told)), told)
    assert (measure.name, measure.mean > 0.95) == (name, True)


def test_with_a_base_it_finds_what_it_was_shown(tmp_path: Path) -> None:
    found = made(tmp_path / "run", job("tagger", SPANS, tiny_base(tmp_path / "base"), epochs=12, rate=0.005))
    assert first(found, SPANS).mean > 0.9
    assert set(found.files) == {"model.onnx", "tokenizer.json", "tagger.safetensors"}
    assert set(found.about["right_on_calibration"]) == {"fp32", "int8"}
    assert not tagger.load(found.files).is_quick


def test_a_long_text_is_read_to_its_end(tmp_path: Path) -> None:
    """Window by window: the base reads 64 tokens at once."""
    found = made(tmp_path / "run", job("tagger", SPANS, tiny_base(tmp_path / "base"), epochs=12, rate=0.005, max_tokens=32))
    answerer = tagger.load(found.files)
    text = "where are you ? " * 40 + "cancel my table on may 3rd"
    (said,) = answerer.answer([text])
    assert said is not None and isinstance(said.output, list)
    assert [text[one["start"] : one["end"]] for one in said.output if isinstance(one, dict)][-1:] == ["may 3rd"]


def test_the_same_plan_gives_the_same_bytes_also_after_a_stop(tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    def stop(step: Step) -> None:
        if step.done == 1:
            raise Stop

    same = job("tagger", FIELDS, rounds=3)
    whole = made(tmp_path / "one", same).files
    with pytest.raises(Stop):
        made(tmp_path / "two", same, stop)
    assert made(tmp_path / "two", same).files == whole
    assert made(tmp_path / "three", same).files == whole


def test_its_confidence_is_higher_where_it_is_right(tmp_path: Path) -> None:
    """Of one that saw twelve rows, and so is often wrong."""
    few = lesson(as_spans, n=12)
    answerer = tagger.load(made(tmp_path, job("tagger", few)).files)
    rows = Rows(answerer.answer(few.test.texts), few.test.answers, few.test.group_N)
    right_N = rows.score_N > 0
    assert 0.1 < right_N.mean() < 0.9
    assert rows.confidence_N[right_N].mean() > rows.confidence_N[~right_N].mean() + 0.1
    assert answerer.answer([""])[0] is not None


def fails(told: Job, message: str) -> None:
    method = method_of("tagger")
    with pytest.raises((TrainingError, CallerError), match=message):
        method.estimate(told, options_of(method, told.plan.options))


def test_what_it_cannot_learn_from_is_refused_before_it_begins() -> None:
    fails(job("tagger", lesson(lambda row: row[1])), "stretches of the text.*are choice, such as")
    fails(job("tagger", lesson(lambda row: [{"text": "nowhere", "label": "x"}])), "do not stand in their text")

    def one_in_fifty(row: tuple[str, str, dict[str, tuple[int, int]]]) -> JSON:
        return [{"start": 0, "end": 99, "label": "day"}] if "open" in row[0] else []

    fails(job("tagger", lesson(one_in_fifty)), "No training row of 'bookings' has a span")


@pytest.mark.parametrize("options", [{"l2": 0}, {"rounds": 0}, {"epochs": 0}, {"batch": 9999}, {"adapt": "some"}, {"epoch": 3}])
def test_a_wrong_option_is_named(options: dict[str, JSON]) -> None:
    with pytest.raises(CallerError, match=next(iter(options))):
        options_of(method_of("tagger"), options)


def test_its_estimate_holds_within_a_factor_of_its_rounds(tmp_path: Path) -> None:
    method, told = method_of("tagger"), job("tagger", SPANS)
    run = Run(tmp_path, told.plan.digest)
    estimate = method.estimate(told, options_of(method, {}))
    method.train(told, options_of(method, {}), run)
    assert run.seconds < 5 * estimate.seconds
    assert 1e8 < estimate.bytes < 1e9
