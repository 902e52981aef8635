"""An encoder begins with the weights of the one before, and holds on to what that knew."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from freehold.catalog import Task
from freehold.chat import JSON
from freehold.errors import CallerError, TrainingError
from freehold.routing.arrays import unpack
from freehold.training.continual.encoders import KEPT
from freehold.training.lesson import NO_ROWS, Lesson, Part, lesson_of, plain
from freehold.training.method import Earlier, Job, Made, method_of, options_of
from freehold.training.run import Run
from freehold.variants.card import Plan
from freehold.variants.encoder import load
from taught import FRAMES, bookings, earlier_of, tiny_base

FIRST, LATER = ("book 0", "book 2", "cancel 0"), ("cancel 1", "cancel 2", "ask 1")
KEEPS: dict[str, JSON] = {"keep_weights": True, "precision": "fp32", "rate": 0.002}


def kind(text: str, intent: str) -> str:
    """The frame a booking was said in."""
    starts = [frame.partition("{")[0] for frame in FRAMES[intent]]
    return f"{intent} {max((n for n, start in enumerate(starts) if text.startswith(start)), key=lambda n: len(starts[n]), default=1)}"


def lesson(kinds: tuple[str, ...], name: str) -> Lesson:
    """Bookings of these kinds."""
    parts: list[Part] = []
    for n, (seed, count) in enumerate(((1, 500), (2, 80), (3, 120))):
        some = [(text, said) for text, intent, _ in bookings(count, seed) if (said := kind(text, intent)) in kinds]
        ids = tuple(f"{name} {n} {row}" for row in range(len(some)))
        parts.append(replace(plain([text for text, _ in some], [said for _, said in some]), ids=ids, groups=ids, items=ids))
    return replace(lesson_of(parts[0], parts[1], parts[2]), dataset=f"{name}@{name}")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tiny_base(tmp_path_factory.mktemp("base") / "base")
    return folder


def learnt(base: Path, one: Lesson, earlier: Earlier | None, folder: Path, **said: JSON) -> tuple[Made, Earlier]:
    """What comes of a lesson, and what whoever comes after goes on from."""
    method = method_of("encoder")
    plan = Plan(task="t", method="encoder", dataset=one.dataset, seed=3, base=str(base), options=KEEPS | said, code="0")
    job = Job(Task(id="t"), plan, one, base=base, earlier=earlier)
    made = method.train(job, options_of(method, plan.options), Run(folder / plan.digest[:12], plan.digest))
    return made, earlier_of(job, made)


@pytest.fixture(scope="module")
def first(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Earlier:
    return learnt(base, lesson(FIRST, "first"), None, tmp_path_factory.mktemp("first"), epochs=8, ewc=1.0)[1]


def answers(files: Any, one: Lesson) -> list[JSON]:
    return [None if said is None else said.output for said in load(files).answer(one.test.texts)]


def share(files: Any, one: Lesson) -> float:
    return float(np.mean([said == right for said, right in zip(answers(files, one), one.test.answers, strict=True)]))


def weights(files: Any) -> dict[str, Any]:
    return {name: each.astype(float) for name, each in unpack(files[KEPT], "weights").arrays.items() if name.startswith("weights.")}


def moved(files: Any, before: Earlier) -> float:
    """How far the layers below the scores went."""
    then, now = weights(before.files), weights(files)
    return float(sum(((now[name] - then[name]) ** 2).sum() for name in then if ".body." in name) ** 0.5)


def test_it_begins_with_the_weights_of_the_one_before(base: Path, first: Earlier, tmp_path: Path) -> None:
    assert share(first.files, first.lessons[0]) > 0.9
    still, _ = learnt(base, lesson(LATER, "later"), first, tmp_path, epochs=1, replay=0, rate=1e-9)
    assert still.about["began with"] == first.card.label
    assert load(still.files).answers == tuple(sorted(FIRST + LATER))
    then, now = answers(first.files, first.lessons[0]), answers(still.files, first.lessons[0])
    both = [(a, b) for a, b in zip(then, now, strict=True) if b in FIRST]
    assert len(both) > 0.6 * len(then) and all(a == b for a, b in both)
    assert moved(still.files, first) < 1e-2
    anew, _ = learnt(base, lesson(LATER, "later"), replace(first, files={}), tmp_path / "anew", epochs=1, replay=0, rate=1e-9)
    assert anew.about["began with"] == "the base" and moved(anew.files, first) > 1


def test_each_part_keeps_more_than_none(base: Path, first: Earlier, tmp_path: Path) -> None:
    old, new = (
        replace(one, calibrate=NO_ROWS) for one in (first.lessons[0], lesson(LATER, "later"))
    )  # by which no epoch is chosen that kept more
    first = replace(first, lessons=(old,))
    on: dict[str, Any] = {"epochs": 6, "replay": 0}
    naive, _ = learnt(base, new, first, tmp_path, **on)
    assert share(naive.files, old) < 0.3 and share(naive.files, new) > 0.9
    held, _ = learnt(base, new, first, tmp_path, **on, ewc=1e5)
    assert moved(held.files, first) < 0.5 * moved(naive.files, first)
    assert any(name.startswith("fisher.") for name in unpack(held.files[KEPT], "weights").arrays)
    assert share(held.files, old) > share(naive.files, old) + 0.2
    for kept in ({"distil": 5.0, "masking": "current"}, {"replay": 4, "masking": "replay"}):
        made, _ = learnt(base, new, first, tmp_path, **(on | kept))
        assert share(made.files, old) > share(naive.files, old) + 0.2 and share(made.files, new) > 0.9, kept


def test_an_adapter_learns_a_data_set_and_is_merged(base: Path, first: Earlier, tmp_path: Path) -> None:
    made, on = learnt(base, lesson(LATER, "later"), first, tmp_path, epochs=6, rate=0.01, adapt="lora", replay=10)
    assert share(made.files, on.lessons[1]) > 0.8 and share(made.files, on.lessons[0]) > 0.8
    then, now = weights(first.files), weights(made.files)
    changed = {name for name in then if ".body." in name and not np.allclose(then[name], now[name], atol=1e-3)}
    assert changed and all(name.endswith("weight") and "embeddings" not in name and "LayerNorm" not in name for name in changed)


def test_what_cannot_be_gone_on_from_says_so(base: Path, first: Earlier, tmp_path: Path) -> None:
    later = lesson(LATER, "later")
    bare = replace(first, files={name: data for name, data in first.files.items() if name != KEPT})
    with pytest.raises(TrainingError, match="distil: of weights that were kept, and 'first@first' kept none"):
        learnt(base, later, bare, tmp_path, epochs=1, distil=1.0)
    unheld, _ = learnt(base, later, None, tmp_path, epochs=1)
    with pytest.raises(TrainingError, match="ewc: 'first@first' kept its weights, and not how much"):
        learnt(base, later, replace(first, files=unheld.files, lessons=(later,)), tmp_path, epochs=1, ewc=1.0)
    other = tiny_base(tmp_path / "other", initializer_range=0.05)
    with pytest.raises(TrainingError, match="was tuned from another base model"):
        learnt(other, later, first, tmp_path, epochs=1)
    for wrong in ({"ewc": 1.0, "adapt": "lora"}, {"ewc": 1.0, "keep_weights": False}, {"distil": -1.0}):
        with pytest.raises(CallerError, match="ewc"):
            options_of(method_of("encoder"), KEEPS | wrong)


def test_what_was_erased_is_not_gone_on_with(base: Path, first: Earlier, tmp_path: Path) -> None:
    left = replace(first.lessons[0], dataset="first@what-is-left", stands_for=("first",))
    later = lesson(LATER, "later")
    made, on = learnt(base, later, replace(first, lessons=(left,)), tmp_path, epochs=1, replay=3)
    assert made.about["began with"] == "the base"
    with pytest.raises(TrainingError, match="has learnt a data set from which something was erased since"):
        learnt(base, later, replace(first, lessons=(left,)), tmp_path, epochs=1, distil=1.0)
    again, _ = learnt(base, replace(lesson(LATER, "last"), dataset="last@last"), on, tmp_path, epochs=1, replay=3)
    assert again.about["began with"] == on.card.label  # its weights have learnt nothing but what is left
    assert unpack(again.files[KEPT], "weights").about["learnt"] == ["what-is-left", "later", "last"]
