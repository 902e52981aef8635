"""What is served is what was certified: the program, compiled, picks for every item the variant the proof was computed on.

Over simulated tasks of many kinds; the facts are those that serving sees, and the arrays have been through their file.
"""

from typing import Any

import numpy as np
import pytest

from freehold.promotion.certify import Certification
from freehold.routing.artefact import dump, load
from freehold.routing.decide import compile_program
from freehold.routing.program import parse
from simulated import CHEAP, FRONTIER, GRADE, Model, a_task, certified

NAN = float("nan")
SPECIALISTS = (Model("one", 0.02, 0.5, 2e-4, 0.5), Model("two", 0.05, 0.1, 5e-4, 0.7), Model("three", 0.5, 0.02, 1e-4, 0.3))
NEARLY_AS_DEAR = Model("near", 0.02, 0.03, 3.8e-4, 0.5, per_char=0.04)
"""Costs more than the reference on a long message, so that a rule has to name the reference too."""
MANY = tuple(Model(f"m{k}", 0.02 + 0.01 * k, 0.1 + 0.05 * k, 6e-4 * 0.8**k, 0.2 + 0.1 * k) for k in range(8))

TASKS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "two models": ({}, {}),
    "another seed": ({"seed": 3}, {"seed": 5}),
    "specialists": ({"models": (FRONTIER, *SPECIALISTS)}, {}),
    "many variants": ({"models": (FRONTIER, *MANY)}, {"max_loss": 0.1}),
    "groups": ({"n": 1200, "group_size": 2}, {}),
    "a bounded metric": ({}, {"metric": GRADE}),
    "a head": ({}, {"head": "head", "head_cost_usd": 1e-5}),
    "a head and specialists": ({"models": (FRONTIER, *SPECIALISTS)}, {"head": "head"}),
    "by tier": ({"n": 1200}, {"by": "tier"}),
    "by region": ({"n": 1200}, {"by": "region", "max_loss": 0.1}),
    "by length": ({"n": 1200}, {"by": "chars", "max_loss": 0.1}),
    "by word length": ({"n": 1200, "seed": 2}, {"by": "mean_word_length", "max_loss": 0.1}),
    "by tier with a head": ({"n": 1200}, {"by": "tag.tier", "head": "head"}),
    "no costs known": ({"models": tuple(m._replace(usd=NAN) for m in (FRONTIER, *SPECIALISTS))}, {}),
    "a limit on latency": ({"models": (FRONTIER, *SPECIALISTS, CHEAP._replace(name="slow", seconds=9.0))}, {"p95_s": 1.5}),
    "a limit the reference does not meet": ({"models": (FRONTIER._replace(seconds=9.0), *SPECIALISTS)}, {"p95_s": 1.5}),
    "a candidate nearly as dear": ({"models": (FRONTIER, NEARLY_AS_DEAR)}, {}),
    "nearly as dear, and a limit": ({"models": (FRONTIER, NEARLY_AS_DEAR)}, {"p95_s": 2.0}),
    "nearly as dear, and a limit the reference does not meet": (
        {"models": (FRONTIER._replace(seconds=9.0), NEARLY_AS_DEAR)},
        {"p95_s": 2.0},
    ),
    "nearly as dear, and a reference of unknown latency": ({"models": (FRONTIER._replace(seconds=NAN), NEARLY_AS_DEAR)}, {"p95_s": 2.0}),
    "nothing to certify": ({"models": (FRONTIER, Model("broken", 0.9, 0.9, 1e-5))}, {"max_loss": 0.02}),
}


def decided(made: Certification) -> list[str]:
    """What the certificate's text decides on each item, by the facts of the arrays as they are loaded."""
    decide = compile_program(parse(made.certificate.policy_source))
    if made.scorer is None:
        scorer, scored = made.developed.scorer, made.scored
    else:
        scorer = load(dump(made.scorer))
        scored = scorer.score(made.pairs.texts)
    return [decide(scorer.facts("triage", scored, i, made.pairs.tags[i])).variant for i in range(len(made.pairs))]


@pytest.mark.parametrize("name", TASKS)
def test_the_program_decides_as_certified(name: str) -> None:
    task, settings = TASKS[name]
    made = certified(a_task(**{"n": 800} | task), **settings)
    assert decided(made) == [made.pairs.variants[c] for c in made.choice_N]
    assert made.certificate.certified == (name != "nothing to certify")
    assert ("cheapest of frontier" in made.certificate.policy_source) == ("nearly as dear" in name)


@pytest.mark.parametrize("name", ["two models", "a head and specialists", "by tier"])
def test_one_message_at_a_time_is_decided_like_all_together(name: str) -> None:
    task, settings = TASKS[name]
    made = certified(a_task(**{"n": 800} | task), **settings)
    assert made.scorer is not None
    decide = compile_program(made.program)
    for i in range(0, len(made.pairs), 9):
        alone = made.scorer.score([made.pairs.texts[i]])
        assert decide(made.scorer.facts("triage", alone, 0, made.pairs.tags[i])).variant == made.pairs.variants[made.choice_N[i]]


def test_a_message_nobody_has_seen_is_decided_too() -> None:
    made = certified(a_task())
    assert made.scorer is not None
    decide = compile_program(made.program)
    for text in ("", " ", "x" * 100_000, "?" * 999, "\ud83d", "日本語のメッセージ", "\x00\x01", "a\n" * 5000):
        scored = made.scorer.score([text])
        assert np.isfinite(scored.loss_NV).all()
        assert decide(made.scorer.facts("triage", scored, 0, {})).variant in made.pairs.variants
