"""Learning one data set after another by hand: what `freehold train TASK --method stream --continue-from NAME` does, from top to bottom. Needs no download.

    python examples/continual.py

Messages come in three seasons, each with desks of its own. A linear discriminant keeps sums of each season and no message, so that it forgets nothing, in
whichever order they come, and what is taken out is gone to the last bit. Sources: Hayes and Kanan, 2020; `src/freehold/training/methods/stream.py` does
the same from data sets, tries a small network with replay and distillation beside it, and takes what did best.
"""

import random

import numpy as np

from freehold.routing.wide import Fixed
from freehold.training.continual.slda import Sums, discriminant, sums_of

SEASONS = [
    {
        "cards": ["I lost my card", "please freeze the card {n}", "my card was stolen"],
        "loans": ["may I borrow {n} pounds ?", "the interest on my loan"],
    },
    {
        "travel": ["I fly to Rome in {n} days", "what do euros cost ?"],
        "pensions": ["my pension starts in {n} years", "may I retire early ?"],
    },
    {"fraud": ["somebody took {n} pounds", "I did not pay that {n}"], "app": ["the app is down", "I cannot log in since {n} o'clock"]},
]
DESKS = sorted(desk for season in SEASONS for desk in season)
FIXED = Fixed(None, buckets=512)
"""Texts to vectors that no training changes: hashed words and 3-grams."""

# 1. A season's messages, to learn from and to test.
rng = random.Random(0)  # noqa: S311 no secret


def messages(season: dict[str, list[str]], count: int) -> list[tuple[str, str]]:
    """Some of a season."""
    desks = [rng.choice(sorted(season)) for _ in range(count)]
    return [(rng.choice(season[desk]).format(n=rng.randint(2, 900)), desk) for desk in desks]


tests = [messages(season, 100) for season in SEASONS]


def sums_by_desk(rows: list[tuple[str, str]]) -> Sums:
    """All that is kept of messages: how many of each desk, the sum of their vectors, and of each vector times itself."""
    return sums_of(FIXED.of([text for text, _ in rows]), np.array([DESKS.index(desk) for _, desk in rows]), len(DESKS))


def right(known: Sums, rows: list[tuple[str, str]]) -> float:
    """The share that the discriminant of these sums has right."""
    best_N = discriminant(known, shrink=0.1).scores(FIXED.of([text for text, _ in rows])).argmax(axis=1)
    return float(np.mean([DESKS[best] == desk for best, (_, desk) in zip(best_N, rows, strict=True)]))


# 2. One season after another: sums are added, and each season is asked about again.
known, kept = None, []
for n, season in enumerate(SEASONS):
    kept.append(sums_by_desk(messages(season, 200)))
    known = kept[-1] if known is None else known + kept[-1]
    print(f"after season {n + 1}: " + ", ".join(f"season {k + 1} {right(known, tests[k]):.3f}" for k in range(n + 1)))

# 3. What was learnt of a season can be taken out again: nothing of it is left, and the others are as if it had never been.
assert known is not None
without = known - kept[1]
assert (without.gram_DD == (kept[0] + kept[2]).gram_DD).all()

whole = [row for test in tests for row in test]
print(f"{round(right(known, whole) * len(whole))} of {len(whole)} answers are right")
