"""Labelling draws are samples: every item with the same chance, estimates without bias, bounds that hold, however sessions are cut up.

Hash names stand for chance: each trial is a task of another name, and so another order of the same items.
"""

import math
import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from shutil import copyfile
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from freehold.catalog import Catalog, Metric
from freehold.evaluation.bounds import paired_binomial_upper
from freehold.feedback.draw import Draw, in_order, planned, size_of
from freehold.feedback.keep import open_session
from freehold.feedback.label import Session
from freehold.feedback.population import LabelRequest
from freehold.feedback.question import Judgement, Question
from freehold.journal.call import Call
from freehold.journal.write import append_many
from freehold.store.open import Store, open_store
from freehold.store.schema import draws, feedback

TRIALS = 4_000
N, D, BUDGET = 120, 40, 15
"""Items, disagreements and questions of the simulated task; the first `D` items disagree."""
HARMS, GAINS = 18, 8
"""Of the disagreements: where the reference alone is right, and where the candidate alone is; on the rest neither is."""
ITEMS = [f"i{n}" for n in range(N)]
PLACE = {item: n for n, item in enumerate(ITEMS)}
FREE = frozenset(ITEMS[D:])
LOSS_N = np.array([1.0] * HARMS + [-1.0] * GAINS + [0.0] * (N - HARMS - GAINS))


Floats = np.ndarray[Any, np.dtype[np.float64]]


@pytest.fixture(scope="module")
def trials() -> list[Draw]:
    """The draw of the task under each name."""
    size = planned(BUDGET, N, D)
    return [Draw(in_order("tenant", f"task {trial}", "correct", ITEMS), FREE, size) for trial in range(TRIALS)]


def prefixes(trials: list[Draw], answers: int) -> Iterator[list[int]]:
    """In each trial, the items drawn after so many answers, by number."""
    for draw in trials:
        yield [PLACE[item] for item in draw.order[: draw.completed(draw.questions[:answers])]]


def inclusions(trials: list[Draw], answers: int) -> Floats:
    """How often each item was drawn."""
    times_N = np.zeros(N)
    for drawn in prefixes(trials, answers):
        times_N[drawn] += 1
    return times_N


def test_a_finished_draw_has_every_item_with_the_same_probability(trials: list[Draw]) -> None:
    """4,000 trials: no item's count lies over 4.5 standard errors from P/N, and their spread is that of a simple random sample."""
    times_N, p = inclusions(trials, N), planned(BUDGET, N, D) / N
    z_N = (times_N - TRIALS * p) / math.sqrt(TRIALS * p * (1 - p))
    assert np.abs(z_N).max() < 4.5
    chi2 = (z_N**2).sum() * (N - 1) / N  # counts of a fixed-size draw are negatively correlated
    assert abs(chi2 - (N - 1)) < 4 * math.sqrt(2 * (N - 1))


def test_an_interrupted_draw_has_each_kind_of_item_with_the_probability_of_inverse_sampling(trials: list[Draw]) -> None:
    """4,000 trials, stopped after 6 of about 15 answers: disagreements k/D, agreements (k+1)/(D+1), the same within each kind."""
    times_N, k = inclusions(trials, 6), 6
    for kind, p in ((slice(0, D), k / D), (slice(D, N), (k + 1) / (D + 1))):
        z = (times_N[kind] - TRIALS * p) / math.sqrt(TRIALS * p * (1 - p))
        assert np.abs(z).max() < 4.5


@pytest.mark.parametrize("answers", [1, 2, 6, N])
def test_the_mean_loss_of_a_draw_is_unbiased_wherever_it_stopped(trials: list[Draw], answers: int) -> None:
    """4,000 trials, after 1, 2, 6 and all of about 15 answers: the mean estimate lies within 3.5 standard errors of the truth."""
    estimates = np.array([LOSS_N[drawn].mean() if drawn else 0.0 for drawn in prefixes(trials, answers)])
    error = estimates.std() / math.sqrt(TRIALS)
    assert abs(estimates.mean() - LOSS_N.mean()) < 3.5 * error


@pytest.mark.parametrize(("harm", "gain"), [(1.0, 0.0), (0.6, 0.0), (0.6, 0.3)])
@pytest.mark.parametrize("answers", [1, 6, 20])
def test_the_exact_bound_holds_on_a_draw_that_was_interrupted(answers: int, harm: float, gain: float) -> None:
    """4,000 trials at δ = 0.1 of a large task with 10 % disagreements, of which so many are harms and gains, stopped after 1, 6 and 20
    answers: the share of draws whose bound lies below the true mean loss is at most δ (within 3 standard errors)."""
    rng, delta, disagree = np.random.default_rng(0), 0.1, 0.1
    size_T = rng.geometric(disagree, (TRIALS, answers + 1)).sum(axis=1) - 1  # up to just before the next question
    judged_T3 = rng.multinomial(answers, [harm, gain, 1 - harm - gain], TRIALS)
    bounds = [float(paired_binomial_upper(h, g, int(n), delta)) for (h, g, _), n in zip(judged_T3, size_T, strict=True)]
    misses = np.mean(np.array(bounds) < disagree * (harm - gain))
    assert misses <= delta + 3 * math.sqrt(delta * (1 - delta) / TRIALS)


Names = st.lists(st.integers(0, 10_000), min_size=1, max_size=60, unique=True)


@settings(deadline=None)
@given(names=Names, budget=st.integers(1, 80), data=st.data())
def test_answers_only_ever_extend_a_draw_up_to_its_size(names: list[int], budget: int, data: st.DataObject) -> None:
    """Whatever is answered, the draw is a prefix that holds no open question, and the next item is one, or it is whole or not begun."""
    items = [str(name) for name in names]
    free = frozenset(data.draw(st.sets(st.sampled_from(items))))
    draw = Draw(in_order("t", "x", "m", items), free, planned(budget, len(items), len(items) - len(free)))
    answered = data.draw(st.sets(st.sampled_from(items)))
    more = answered | data.draw(st.sets(st.sampled_from(items)))
    done = draw.completed(answered)
    assert done <= draw.completed(more) <= draw.size
    assert all(item in free or item in answered for item in draw.order[:done])
    if 0 < done < draw.size:
        assert draw.order[done] not in free | answered


@settings(deadline=None)
@given(names=Names, budget=st.integers(1, 80), data=st.data())
def test_a_range_once_reached_is_never_given_up(names: list[int], budget: int, data: st.DataObject) -> None:
    """Whatever the budget, and whatever came in since, all that was drawn or labelled lies within what is to be drawn."""
    items = [str(name) for name in names]
    order = in_order("t", "x", "m", items)
    drawn = order[: data.draw(st.integers(0, len(order)))]
    labelled = data.draw(st.sets(st.sampled_from(items)))
    order = in_order("t", "x", "m", [*items, *(f"new{n}" for n in range(data.draw(st.integers(0, 20))))])
    free = frozenset(data.draw(st.sets(st.sampled_from(order))))
    size = size_of(order, free, planned(budget, len(order), len(order) - len(free)), set(drawn), labelled)
    assert {*drawn, *labelled} <= set(order[:size])
    assert size <= len(order)


# the same with a real store

CATALOG = Catalog(metrics={"correct": Metric(id="correct", kind="binary", deterministic=True)})
REQUEST = LabelRequest("triage", "correct", "frontier", budget=8)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a store with 40 items, 16 of which the variants answered differently."""
    folder = tmp_path_factory.mktemp("filled")
    with open_store("sqlite:///freehold.db", folder) as store:
        append_many(store, [call(f"i{n}", variant, n < 16) for n in range(40) for variant in ("frontier", "cheap")])
    return folder / "freehold.db"


def call(item: str, variant: str, differs: bool) -> Call:
    return Call(
        id=f"{item}/{variant}", task="triage", variant=variant, item=item, input=item, output=variant if differs else "same"
    )  # fmt: skip


def judged(question: Question) -> Judgement:
    """A judgement that depends on the question alone."""
    rng = random.Random(question.item)
    by_output = {output: float(rng.random() < 0.5) for output in sorted(str(answer.output) for answer in question.answers)}
    return Judgement({answer.letter: by_output[str(answer.output)] for answer in question.answers})


def session_of(store: Store) -> Session:
    return open_session(store, CATALOG, REQUEST, "anna", clock=lambda: datetime(2026, 3, 1, tzinfo=UTC)).session


def all_of(store: Store) -> tuple[Sequence[Any], Sequence[Any]]:
    """Everything that sessions left, but for the order in which it came."""
    with store.reading() as connection:
        said = connection.execute(select(feedback).order_by(feedback.c.id)).all()
        drawn = connection.execute(select(draws).order_by(draws.c.position)).all()
    return [row[1:] for row in said], [row[1:] for row in drawn]


def checked(store: Store, session: Session) -> None:
    """Draws are the completed prefix, all with one probability; labels have it where drawn, and none where not."""
    said, drawn = all_of(store)
    items = [row[4] for row in drawn]
    assert items == list(session.draw.order[: session.progress().drawn])
    assert {row[5] for row in drawn} <= {len(items) / 40}
    for row in said:
        about = row[2].split("/")[0]
        assert (row[8], row[9]) == (("audit", len(items) / 40) if about in items else ("found", None))


@pytest.mark.parametrize("seed", range(6))
def test_sessions_cut_up_in_any_way_leave_what_one_session_leaves(tmp_path: Path, filled: Path, seed: int) -> None:
    """Answers, skips, undos and new sessions at random, then the rest: the same rows as from one session straight through."""
    for name in ("straight", "cut"):
        (tmp_path / name).mkdir()
        copyfile(filled, tmp_path / name / "freehold.db")
    rng = random.Random(seed)
    with (
        open_store("sqlite:///freehold.db", tmp_path / "straight") as straight,
        open_store("sqlite:///freehold.db", tmp_path / "cut") as cut,
    ):
        session = session_of(straight)
        while (question := session.next()) is not None:
            session.answer(question, judged(question))

        session = session_of(cut)
        for _ in range(25):
            question = session.next()
            action = rng.choice(["answer", "answer", "answer", "skip", "undo", "new"])
            if action == "undo":
                session.undo()
            elif action == "new" or question is None:
                session = session_of(cut)
            elif action == "skip":
                session.skip(question)
            else:
                session.answer(question, judged(question))
            checked(cut, session)
        session = session_of(cut)
        while (question := session.next()) is not None:
            session.answer(question, judged(question))
        assert all_of(cut) == all_of(straight)
