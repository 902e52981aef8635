"""Do personal habits help those who have one, and harm nobody? Fifty people on BANKING77, most of whom call things by names of their own.

    bench/personal.py [--quick] [--check] [--out FILE]

Each person asks about eight of the 77 intents, and 35 of them call three of those by names of their own; 15 answer as everybody does. No row is
two people's. Of each one's rows two fifths train the head that all share, three tenths show the habit, a fifth tests it (it answers only where it
wins there), and a tenth judges what is served then, which nothing was chosen by. Nothing was tuned on these rows. Intervals are bootstrapped over
people.
"""

import gzip
import json
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from data import need, run
from freehold.chat import JSON
from freehold.personal import habit_of
from freehold.training.heads import fit_head
from freehold.training.lesson import Part, plain
from freehold.variants.habit import Habit, HabitAnswerer
from freehold.variants.heads import HeadAnswerer
from freehold.variants.specialist import Answerer
from harness import arguments, emit

PEOPLE, WITH_HABIT, INTENTS, RENAMED = 50, 35, 8, 3
SHARES = (0.4, 0.3, 0.2, 0.1)
"""Of a person's rows: to train what all share, to learn the habit, to test it, to judge."""


class Person(NamedTuple):
    """One person's rows, by what they are for."""

    parts: tuple[Part, ...]
    private: frozenset[str]
    """Names that nobody else uses."""


def part_of(rows: list[tuple[str, str]], who: str) -> Part:
    """Rows as columns."""
    found = plain([text for text, _ in rows], [answer for _, answer in rows])
    return replace(found, subjects=(who,) * len(rows), consents=("terms",) * len(rows))


def people(texts: dict[str, list[str]], rng: np.random.Generator) -> list[Person]:
    """Everybody with their rows: the rows of an intent are dealt out among those who ask about it."""
    names = sorted(texts)
    wants = [rng.choice(len(names), INTENTS, replace=False) for _ in range(PEOPLE)]
    found = []
    askers = [sum(k in mine for mine in wants) for k in range(len(names))]
    dealt = {k: iter(np.array_split(rng.permutation(len(texts[name])), askers[k])) for k, name in enumerate(names) if askers[k]}
    for person, mine in enumerate(wants):
        own = {names[k]: f"{names[k]} ({person})" for k in mine[:RENAMED]} if person < WITH_HABIT else {}
        rows = [(texts[names[k]][i], own.get(names[k], names[k])) for k in mine for i in next(dealt[k])]
        order = rng.permutation(len(rows))
        ends = np.cumsum(SHARES[:-1]) * len(rows)
        parts = [part_of([rows[i] for i in some], f"person {person}") for some in np.split(order, ends.astype(int))]
        found.append(Person(tuple(parts), frozenset(own.values())))
    return found


def accuracy(answerer: Answerer, part: Part) -> float:
    """Share of rows that are answered right."""
    said = answerer.answer(part.texts)
    return float(np.mean([one is not None and one.output == right for one, right in zip(said, part.answers, strict=True)]))


def interval(values: list[float], seed: int) -> list[float]:
    """The mean, and the ends of its 95 % interval, bootstrapped."""
    at = np.asarray(values)
    means = at[np.random.default_rng(seed).integers(0, len(at), (2000, len(at)))].mean(axis=1)
    return [round(float(x), 4) for x in (at.mean(), *np.quantile(means, (0.025, 0.975)))]


def one_seed(texts: dict[str, list[str]], seed: int) -> dict[str, Any]:
    """What came of one draw of people."""
    everybody = people(texts, np.random.default_rng(seed))
    train = [row for person in everybody for row in zip(person.parts[0].texts, person.parts[0].answers, strict=True)]
    labels: list[JSON] = [answer for _, answer in train]
    fold_N: NDArray[np.int64] = np.arange(len(train)) % 5
    shared = HeadAnswerer(fit_head([text for text, _ in train], labels, fold_N, seed)[0], 0)
    before, after, gained, leaks = [], [], [], 0
    won = {"with": 0, "without": 0}
    for n, person in enumerate(everybody):
        found = habit_of(shared, person.parts[1], person.parts[2])
        habit: Habit | None = None if isinstance(found, str) else found[0]
        served: Answerer = shared if habit is None else HabitAnswerer(shared, habit)
        before.append(accuracy(shared, person.parts[3]))
        after.append(accuracy(served, person.parts[3]))
        if habit is not None:
            won["with" if n < WITH_HABIT else "without"] += 1
            gained.append(after[-1] - before[-1])
            others = frozenset().union(*(other.private for k, other in enumerate(everybody) if k != n))
            leaks += sum(one.answer in others and one.answer != one.shared for one in habit.own)
    return {
        "shared": interval(before[:WITH_HABIT], seed),
        "served": interval(after[:WITH_HABIT], seed),
        "won_of_35": won["with"],
        "won_of_15_without": won["without"],
        "gain_where_won": interval(gained, seed),
        "worse": sum(a < b for a, b in zip(after, before, strict=True)),
        "others_names_learnt": leaks,
        "judged": sum(len(person.parts[3]) for person in everybody),
    }


def main() -> None:
    args = arguments(__doc__)
    texts: dict[str, list[str]] = {}
    with gzip.open(need("banking77") / "data.jsonl.gz", "rt", encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            texts.setdefault(row["label"], []).append(row["text"])
    seeds = {str(seed): one_seed(texts, seed) for seed in range(1 if args.quick else 3)}
    result = {
        "people": PEOPLE,
        "seeds": seeds,
        "least_gain_low": min(one["gain_where_won"][1] for one in seeds.values()),
        "least_won_of_35": min(one["won_of_35"] for one in seeds.values()),
        "most_worse": max(one["worse"] for one in seeds.values()),
        "others_names_learnt": sum(one["others_names_learnt"] for one in seeds.values()),
    }
    emit("personal", result, args.check)


if __name__ == "__main__":
    run("personal", main)
