"""The method `stream`: data sets come one after another, some are erased from, and what was learnt stays."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from freehold.catalog import Task
from freehold.errors import CallerError, DataError, TrainingError
from freehold.training.lesson import Lesson, Part, lesson_of, plain
from freehold.training.method import Earlier, Job, Made, method_of, options_of
from freehold.training.run import Run
from freehold.variants.card import Card, Plan
from freehold.variants.streams import STREAM, load
from taught import earlier_of

TOPICS = (
    "card lost stolen block replacement wallet pocket street",
    "transfer pending arrived landlord account friday payment rent",
    "exchange rate abroad lisbon currency euros holiday cash",
    "passcode locked phone login forgot update screen code",
    "mortgage remortgage fixed valuation solicitor deposit lender overpay",
    "dispute refund merchant chargeback receipt faulty complaint ombudsman",
)


def rows(topics: Sequence[int], n: int, seed: int) -> Part:
    """Messages about these topics, half of whose words tell which."""
    rng = np.random.default_rng(seed)
    which = rng.choice(topics, n)
    texts = [
        " ".join(rng.permutation([*rng.choice(TOPICS[t].split(), 3), *rng.choice(["the", "my", "please", "to", "is"], 4)])) for t in which
    ]
    ids = tuple(f"{seed}-{k}" for k in range(n))
    return replace(plain(texts, [f"topic {t}" for t in which]), ids=ids, groups=ids)


def lesson(number: int, without: Callable[[str], bool] = lambda _: False, name: str | None = None) -> Lesson:
    """A data set about two topics. `without`: whose rows were erased."""
    topics = (2 * number, 2 * number + 1)
    train = rows(topics, 120, 10 * number)
    train = train.those(k for k, id in enumerate(train.ids) if not without(id))
    made = lesson_of(train, rows(topics, 60, 10 * number + 1), rows(topics, 60, 10 * number + 2))
    return replace(made, dataset=f"season@{name or f'hash{number}'}", stands_for=(f"hash{number}",) if name else ())


class Learner:
    """Learns lessons one after another, as `freehold train --continue-from` does."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.folder = folder
        self.method = method_of("stream")
        self.options = options_of(self.method, options)
        self.earlier: Earlier | None = None

    def learn(self, one: Lesson, *left: Lesson) -> Made:
        """`left`: what is there of earlier data sets."""
        plan = Plan(task="desk", method="stream", dataset=one.dataset, code="test")
        earlier = None if self.earlier is None else replace(self.earlier, lessons=left)
        job = Job(task=Task(id="desk"), plan=plan, lesson=one, earlier=earlier)
        self.method.estimate(job, self.options)
        made = self.method.train(job, self.options, Run(self.folder / one.dataset, plan.digest))
        self.earlier = earlier_of(job, made)
        return made


def accuracy(made: Made, part: Part) -> float:
    said = load(made.files).answer(part.texts)
    return float(np.mean([one is not None and one.output == right for one, right in zip(said, part.answers, strict=True)]))


@pytest.fixture
def learner(tmp_path: Path) -> Learner:
    return Learner(tmp_path, kind="lda", buckets=256)


@pytest.mark.parametrize(
    "options", [{"kind": "lda"}, {"kind": "nearest"}, {"kind": "net", "hidden": 32, "epochs": 15, "rate": 5e-3}], ids=str
)
def test_three_data_sets_one_after_another_are_all_known_in_the_end(options: dict[str, Any], tmp_path: Path) -> None:
    learner = Learner(tmp_path, buckets=256, **options)
    lessons = [lesson(n) for n in range(3)]
    for n, one in enumerate(lessons):
        made = learner.learn(one, *lessons[:n])
    assert min(accuracy(made, one.test) for one in lessons) > 0.9
    assert load(made.files).scores.answers.__len__() == 6


def test_replay_and_distillation_are_what_keeps_a_network_from_forgetting(tmp_path: Path) -> None:
    lessons = [lesson(n) for n in range(3)]
    found = []
    for parts in ({"memory": 20, "distil": 1.0}, {"memory": 0, "distil": 0.0}):
        learner = Learner(tmp_path / str(parts), kind="net", buckets=256, hidden=32, epochs=6, rate=2e-2, **parts)
        for n, one in enumerate(lessons):
            made = learner.learn(one, *lessons[:n])
        found.append(np.mean([accuracy(made, one.test) for one in lessons]))
    assert found[0] > 0.9 and found[1] < found[0] - 0.1


def test_sums_go_on_without_any_earlier_row_where_they_are_to_be_kept(tmp_path: Path) -> None:
    learner = Learner(tmp_path, kind="lda", buckets=256, keep_gone=True)
    learner.learn(lesson(0))
    made = learner.learn(lesson(1))
    assert accuracy(made, lesson(0).test) > 0.9
    assert made.about["gone"] == made.about["kept of those"] == ["hash0"]


def test_what_is_gone_is_forgotten_and_the_card_says_so(learner: Learner) -> None:
    learner.learn(lesson(0))
    made = learner.learn(lesson(1))
    assert accuracy(made, lesson(0).test) == 0.0
    assert (made.about["gone"], made.about["kept of those"]) == (["hash0"], [])


@pytest.mark.parametrize("options", [{"kind": "lda"}, {"kind": "net", "hidden": 16, "epochs": 2}], ids=str)
def test_going_on_after_an_erasure_gives_the_bytes_of_one_who_never_had_the_rows(options: dict[str, Any], tmp_path: Path) -> None:
    def theirs(id: str) -> bool:
        return id.endswith("7")

    left = lesson(0, theirs, "after")
    erased, never = Learner(tmp_path / "erased", buckets=256, **options), Learner(tmp_path / "never", buckets=256, **options)
    erased.learn(lesson(0))
    never.learn(left)
    assert erased.learn(lesson(1), left).files == never.learn(lesson(1), left).files


def test_the_same_plan_gives_the_same_bytes(tmp_path: Path) -> None:
    made = []
    for name in ("one", "two"):
        learner = Learner(tmp_path / name, buckets=256, epochs=2)
        learner.learn(lesson(0))
        made.append(learner.learn(lesson(1), lesson(0)))
    assert made[0].files == made[1].files
    assert made[0].about == made[1].about


def test_the_default_is_what_did_best_on_the_calibration_parts_of_all_data_sets(tmp_path: Path) -> None:
    learner = Learner(tmp_path, buckets=256, epochs=3)
    learner.learn(lesson(0))
    made = learner.learn(lesson(1), lesson(0))
    candidates: Any = made.about["candidates"]
    assert set(candidates) == {"lda", "net"}
    means = {name: np.mean(each) for name, each in candidates.items()}
    assert made.about["chosen"] == max(means, key=lambda name: means[name])
    both = [lesson(n).calibrate for n in range(2)]
    assert candidates[made.about["chosen"]] == pytest.approx([accuracy(made, part) for part in both], abs=1e-6)


def test_an_answer_that_another_data_set_teaches_too_has_a_component_for_each(learner: Learner) -> None:
    learner.learn(lesson(0))
    again = replace(lesson(0), train=rows((0, 1), 80, 99), dataset="season@again")
    made = learner.learn(again, lesson(0))
    assert (made.about["components"], len(load(made.files).scores.answers)) == (4, 2)


def test_it_goes_on_from_a_specialist_of_another_method_by_what_that_learnt_from(learner: Learner) -> None:
    card = msgspec.structs.replace(_card("head-1"), dataset="hash0")
    learner.earlier = Earlier(card, {"head.safetensors": b"of another kind"}, ())
    made = learner.learn(lesson(1), lesson(0))
    assert min(accuracy(made, lesson(n).test) for n in range(2)) > 0.9


def _card(name: str) -> Card:
    plan = Plan(task="desk", method="head", dataset="season@hash0", code="test")
    return Card(
        name=name,
        tenant="",
        task="desk",
        format="head",
        plan=plan,
        dataset=None,
        training_s=0.0,
        training_usd=0.0,
        created_at=datetime.now(UTC),
    )


def test_confidence_is_how_often_it_is_right(learner: Learner) -> None:
    learner.learn(lesson(0))
    made = learner.learn(lesson(1), lesson(0))
    parts = [lesson(n).test for n in range(2)]
    said = [(one, right) for part in parts for one, right in zip(load(made.files).answer(part.texts), part.answers, strict=True)]
    assert np.mean([one.confidence for one, _ in said if one]) == pytest.approx(
        np.mean([one.output == right for one, right in said if one]), abs=0.1
    )


def test_data_sets_that_teach_nothing_new_or_no_choice_are_refused(learner: Learner) -> None:
    learner.learn(lesson(0))
    with pytest.raises(TrainingError, match="not learnt before"):
        learner.learn(replace(lesson(0), dataset="season@the same rows"), lesson(0))
    with pytest.raises(TrainingError, match="one of few answers"):
        learner.learn(replace(lesson(1), shape="labels"))


def test_settings_that_cannot_be_are_refused() -> None:
    method = method_of("stream")
    for wrong, said in (
        ({"buckets": 1000}, "power of two"),
        ({"width": -1}, "width is -1"),
        ({"rank": 4, "ewc": 1.0}, "ewc"),
        ({"hard": 2}, "hard"),
    ):
        with pytest.raises(CallerError, match=said):
            options_of(method, wrong)


def test_a_file_that_is_no_stream_is_refused(learner: Learner) -> None:
    made = learner.learn(lesson(0))
    with pytest.raises(DataError, match="not a stream"):
        load({STREAM: made.files[STREAM][:100]})
    with pytest.raises(DataError, match="not a stream"):
        load({})


def test_the_rate_that_breaks_a_network_is_an_error_and_no_specialist(tmp_path: Path) -> None:
    learner = Learner(tmp_path, kind="net", buckets=256, rate=1e30)
    with pytest.raises(TrainingError, match="smaller rate"):
        learner.learn(lesson(0))
