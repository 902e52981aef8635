"""What do a teacher's probabilities teach that its answers do not?

    bench/distill.py [--quick] [--check] [--out FILE]

TREC and BANKING77, three draws of each: a head over MiniLM's vectors and words learns from 30 % of the rows and answers 50 % without their labels; a
head over words alone learns from those answers; the last 20 % are the test, and nothing is chosen by them. `answers`: the student of the teacher's answers;
`own_probability`: of those with the probability of each, as a gateway has it of a longer answer; `probabilities`: of all of them; `truth`: of the labels
themselves, which is what no teacher can give. Without MiniLM's package, and with `--quick`, the teacher is a head over words that saw 30 % of the rows.
"""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from data import need, run
from freehold.routing.features import features
from freehold.training.lesson import Part, plain
from freehold.training.methods.head import Fitted, fit_choice
from harness import arguments, emit
from specialists import Floats, Set, embedder, rows

_LEAST = 0.005
"""Probabilities below it are not recorded."""


def learnt(part: Part, vector_ND: Any, seed: int) -> Fitted:
    """A head on these rows."""
    return fit_choice(part, vector_ND, np.random.default_rng(seed).permutation(len(part)) % 5, seed)


def probabilities(fitted: Fitted, some: Set, has_vectors: bool) -> Floats:
    """Of each answer, N by C."""
    head = fitted.linear.head(fitted.answers, fitted.temperature, None)
    hashed = [features(text, len(head.idf_B)) for text in some.texts] if len(head.idf_B) else []
    found: Floats = head.probabilities_hashed(hashed or [features(text) for text in some.texts], some.vector_ND if has_vectors else None)
    return found


def right(fitted: Fitted, some: Set, has_vectors: bool) -> Floats:
    """Which rows it has right."""
    said = probabilities(fitted, some, has_vectors).argmax(axis=1)
    return np.array([float(fitted.answers[c] == answer) for c, answer in zip(said, some.answers, strict=True)])


def draw(all: Set, seed: int) -> dict[str, Floats]:
    """One draw: which test rows the teacher and each of its students have right."""
    order = np.random.default_rng(seed).permutation(len(all.texts))
    ends = int(0.3 * len(order)), int(0.8 * len(order))
    taught, unlabelled, test = all.those(order[: ends[0]]), all.those(order[ends[0] : ends[1]]), all.those(order[ends[1] :])
    has_vectors = all.vector_ND is not None
    teacher = learnt(taught.part, taught.vector_ND, seed)
    probability_NC = probabilities(teacher, unlabelled, has_vectors)
    best_N = probability_NC.argmax(axis=1)
    answers = plain(unlabelled.texts, [teacher.answers[c] for c in best_N])
    names = [str(answer) for answer in teacher.answers]
    own = tuple({names[c]: float(p_C[c])} for c, p_C in zip(best_N, probability_NC, strict=True))
    whole = tuple({name: float(p) for name, p in zip(names, p_C, strict=True) if p >= _LEAST} for p_C in probability_NC)
    students = {
        "answers": answers,
        "own_probability": replace(answers, beliefs=own),
        "probabilities": replace(answers, beliefs=whole),
        "truth": unlabelled.part,
    }
    found = {name: right(learnt(part, None, seed), test, False) for name, part in students.items()}
    return {"teacher": right(teacher, test, has_vectors), **found}


def told(draws: list[dict[str, Floats]]) -> dict[str, Any]:
    """Means over draws, and what probabilities give beyond answers: paired by row, a bootstrap over all rows of all draws."""
    means = {name: round(float(np.mean([one[name].mean() for one in draws])), 4) for name in draws[0]}
    gains: dict[str, Any] = {}
    for name in ("own_probability", "probabilities"):
        gain_N = np.concatenate([one[name] - one["answers"] for one in draws])
        rng = np.random.default_rng(0)
        drawn = [float(gain_N[rng.integers(len(gain_N), size=len(gain_N))].mean()) for _ in range(1_000)]
        low, high = np.quantile(drawn, (0.025, 0.975))
        gains[name] = {"gain": round(float(gain_N.mean()), 4), "interval": [round(float(low), 4), round(float(high), 4)]}
    return {"accuracy": means, "beyond_answers": gains, "rows": sum(len(one["answers"]) for one in draws)}


def main() -> None:
    args = arguments(__doc__)
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        embed = None if args.quick else embedder(Path(folder))
        for name in ("trec",) if args.quick else ("trec", "banking77"):
            many = rows(need(name) / "data.jsonl.gz")[:: 3 if args.quick else 1]
            texts = tuple(row["text"] for row in many)
            all = Set(texts, tuple(row["label"] for row in many), None if embed is None else embed.embed(texts))
            result[name] = told([draw(all, seed) for seed in range(1 if args.quick else 3)])
    result["least_gain"] = min(one["beyond_answers"]["probabilities"]["gain"] for one in result.values())
    emit("distill", result, args.check)


if __name__ == "__main__":
    run("distill", main)
