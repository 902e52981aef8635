"""Steps for a head's confidence: taken where they say better how often it is right, and left where a temperature does."""

from pathlib import Path

import numpy as np

from freehold.catalog import Task
from freehold.routing.sure import Steps
from freehold.training.confidence import steps_for
from freehold.training.continual.slda import STEPS
from freehold.training.heads import DISCRIMINANTS, fit, out_of_fold
from freehold.training.lesson import NO_ROWS, lesson_of, plain
from freehold.training.method import Job, method_of, options_of
from freehold.training.project import fit_hashed_embedder
from freehold.training.run import Run
from freehold.variants.card import Plan
from freehold.variants.heads import load
from taught import messages

RNG = np.random.default_rng(0)


def drawn(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities that say too much below 0.8 and too little above, and which were right."""
    p_N = RNG.uniform(0.3, 1.0, rows)
    return p_N, RNG.random(rows) < np.where(p_N < 0.8, 0.3, 0.99)


def test_steps_are_taken_where_no_temperature_fits() -> None:
    tried = steps_for(*drawn(600), seed=0)
    assert tried.steps is not None and tried.in_steps < tried.as_it_is - 0.1
    p_N, is_right_N = drawn(4_000)
    said_N = np.array([tried.steps.of(p) for p in p_N])
    for low, high in ((0.3, 0.75), (0.85, 1.0)):
        inside = (p_N > low) & (p_N < high)
        assert abs(said_N[inside].mean() - is_right_N[inside].mean()) < 0.05
    assert np.array_equal(np.sort(said_N), said_N[np.argsort(p_N, kind="stable")])  # it never falls


def test_probabilities_that_are_right_stay_as_they_are() -> None:
    p_N = RNG.uniform(0.3, 1.0, 300)
    assert steps_for(p_N, RNG.random(300) < p_N, seed=0).steps is None


def test_a_line_of_steps_goes_through_its_points_and_no_further() -> None:
    steps = Steps((0.2, 0.5, 0.6), (0.1, 0.1, 0.9))
    assert [round(steps.of(p), 6) for p in (0.0, 0.2, 0.4, 0.5, 0.55, 0.6, 1.0)] == [0.1, 0.1, 0.1, 0.1, 0.5, 0.9, 0.9]


def test_a_head_says_what_its_steps_say(tmp_path: Path) -> None:
    """One whose calibration rows are wrong at random where it is half sure: what it says of itself is kept, and read back."""
    rng = np.random.default_rng(1)
    rows = messages(900, 3, vague=0.3)
    texts, desks = [text for text, _ in rows], [desk for _, desk in rows]
    held = [desk if rng.random() < 0.75 else ("loans" if desk == "cards" else "cards") for desk in desks[500:]]
    lesson = lesson_of(plain(texts[:500], desks[:500]), plain(texts[500:], held), NO_ROWS)
    plan = Plan(task="t", method="head", dataset="d@0", options={"passes_on": 0}, code="0")
    method = method_of("head")
    made = method.train(Job(Task(id="t"), plan, lesson), options_of(method, plan.options), Run(tmp_path, plan.digest))
    losses = made.about["held-out log loss of confidence"]
    assert isinstance(losses, dict) and set(losses) == {"temperature", "isotonic regression"}
    is_in_steps = made.about["confidence by"] == "isotonic regression"
    assert is_in_steps == (losses["isotonic regression"] < losses["temperature"])  # type: ignore[operator]
    head = load(made.files)
    assert (head.steps is not None) == is_in_steps
    probability_NC = head.head.probabilities(texts[:50])
    expected = [max(p_C) if head.steps is None else head.steps.of(float(max(p_C))) for p_C in probability_NC]
    assert [one.confidence for one in head.answer(texts[:50]) if one is not None] == expected


def test_a_discriminant_is_a_linear_head_and_tells_topics_apart() -> None:
    rows = messages(400, 5)
    texts, y_N = [text for text, _ in rows], np.array([int(desk == "cards") for _, desk in rows])
    vector_ND = fit_hashed_embedder(texts, 16).embed(texts)
    for shape in DISCRIMINANTS:
        logits_NC = out_of_fold(texts, vector_ND, y_N, 3, np.arange(400) % 5, shape, 0)
        assert (logits_NC.argmax(axis=1) == y_N).mean() > 0.9  # the third class has no row, and never wins
    linear = fit(texts, vector_ND, y_N, 2, DISCRIMINANTS[0], 0)
    # Against the definition: Σ⁻¹ μ of each class, with Σ the shrunk covariance within classes.
    rounded_ND = np.rint(vector_ND.astype(float) * STEPS) / STEPS
    mean_CD = np.stack([rounded_ND[y_N == c].mean(axis=0) for c in range(2)])
    inside_ND = rounded_ND - mean_CD[y_N]
    within_DD = inside_ND.T @ inside_ND / (len(y_N) - 2)
    shrunk_DD = 0.97 * within_DD + 0.03 * np.trace(within_DD) / 16 * np.eye(16)
    assert linear.coef_DC is not None
    np.testing.assert_allclose(linear.coef_DC, np.linalg.solve(shrunk_DD, mean_CD.T), rtol=1e-4, atol=1e-4)
