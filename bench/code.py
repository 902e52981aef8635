"""On what share of traffic does a program of rules answer, how often is it right there, and how fast?

    bench/code.py [--quick] [--check] [--out FILE]

TREC's six kinds of question, and the messages of `freehold demo` with their right intents, five draws of each: rules are found and checked on 60 %, chosen on
20 %, and the last 20 % are the test, which nothing is chosen by. At 98 %, and for the demo, whose prose no two people write alike, at 90 % as well: there
the learner finds next to nothing that is right 98 % of the time, and says so. `precision` is over all draws; `at_least` is the least of the draws' own
one-sided 95 % bounds (Clopper and Pearson), for draws share rows and nothing can be said of all together. `us`: microseconds a text in the worker, the median
of five; `sandbox_us`: of the same program in Monty.
"""

import time
from importlib.resources import files
from typing import Any

import msgspec
import numpy as np

from data import need, run
from freehold.evaluation.bounds import clopper_pearson_lower
from freehold.training.lesson import Part, plain
from freehold.training.programs.induce import induced, kept, votes
from freehold.variants.code import Program
from freehold.variants.decisions import DecisionList, written
from harness import arguments, emit
from specialists import rows

MOST_RULES = 50


def demo() -> Part:
    """The demo's messages."""
    lines = [msgspec.json.decode(line) for line in (files("freehold") / "demo.jsonl").read_bytes().splitlines()]
    return plain([line["text"] for line in lines], [line["intent"] for line in lines])


def trec() -> Part:
    """TREC's questions."""
    many = rows(need("trec") / "data.jsonl.gz")
    return plain([row["text"] for row in many], [row["label"] for row in many])


def measured(all: Part, precision: float, draws: int) -> dict[str, Any]:
    """What lists do on rows that they were not made by."""
    found: list[dict[str, Any]] = []
    answered = right = texts = 0
    speed: dict[str, float] = {}
    for seed in range(draws):
        order = np.random.default_rng(seed).permutation(len(all))
        train, calibrate, test = (all.those(some) for some in np.split(order, [int(0.6 * len(order)), int(0.8 * len(order))]))
        began = time.perf_counter()
        answers = len({str(answer) for answer in train.answers})
        rules = kept(induced(train, precision, MOST_RULES, seed), calibrate, precision)[: MOST_RULES - answers]
        voting = votes(train, calibrate, rules, precision)
        seconds = time.perf_counter() - began
        list_ = DecisionList(rules, 0, voting)
        said = list_.answer(test.texts)
        hits = [one.output == answer for one, answer in zip(said, test.answers, strict=True) if one is not None]
        texts, answered, right = texts + len(test), answered + len(hits), right + sum(hits)
        source = written(rules, "The rules.", voting)
        found.append(
            {"rules": len(rules), "lines": source.count("\n"), "answered": len(hits), "right": sum(hits), "learnt_s": round(seconds, 2)}
        )
        if hits and not speed:
            speed = speeds(list_, source, test.texts)
    bounds = [float(clopper_pearson_lower(one["right"], one["answered"], 0.05)) for one in found if one["answered"]]
    return {
        "coverage": round(answered / texts, 4),
        "precision": round(right / answered, 4) if answered else None,
        "at_least": round(min(bounds), 4) if bounds else None,
        "most_lines": max(one["lines"] for one in found),
        "draws": found,
        **speed,
    }


def speeds(list_: DecisionList, source: str, texts: tuple[str, ...]) -> dict[str, float]:
    """Microseconds a text."""
    took: list[float] = []
    for _ in range(5):
        began = time.perf_counter()
        for text in texts:
            list_.answer((text,))
        took.append((time.perf_counter() - began) / len(texts))
    program = Program(source)
    began = time.perf_counter()
    program.outputs(texts)
    sandbox = (time.perf_counter() - began) / len(texts)
    program.close()
    return {"us": round(float(np.median(took)) * 1e6, 1), "sandbox_us": round(sandbox * 1e6, 1)}


def main() -> None:
    args = arguments(__doc__)
    draws = 1 if args.quick else 5
    messages = demo()
    result = {"trec": {"at_98": measured(trec(), 0.98, draws)}}
    if not args.quick:
        result["demo"] = {"at_98": measured(messages, 0.98, draws), "at_90": measured(messages, 0.90, draws)}
    emit("code", result, args.check)


if __name__ == "__main__":
    run("code", main)
