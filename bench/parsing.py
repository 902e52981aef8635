"""How many of the answers that models really gave become values of the type their prompts ask for, and what does that cost?

    bench/parsing.py [--quick] [--check] [--out FILE]

ZeroEval's recorded answers of seven models; each prompt asks for JSON with `reasoning` and `answer`, both texts. `strict` is the control: the
words as they are, JSON or nothing. `parsed` is `freehold.pipelines.parse`. `of_those_that_hold_it` leaves out answers in which no key `answer`
is written at all, which nobody can parse. An answer that is parsed is compared with the recorded one that ZeroEval's own reader found, where
that was the whole answer; `other_answers` counts those that differ in more than spaces, and is no error by itself: that reader takes the
first match. The microseconds are CPU time of one thread, the best of several rounds.
"""

import re
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any, Literal

import pyarrow.parquet as pq
from pydantic import BaseModel, TypeAdapter, ValidationError

from data import need, run
from freehold.pipelines.parse import Malformed, parse
from harness import arguments, emit

HOLDS = re.compile(r"""["'“]answer["'”]\s*:\s*\S""")


class Solution(BaseModel):
    """What the prompts ask for."""

    reasoning: str
    """The model's steps."""
    answer: str
    """Where they lead."""


class Triage(BaseModel):
    """A small model, for what a parse costs."""

    queue: Literal["cards", "transfers", "fraud", "other"]
    """Where a message goes."""
    urgent: bool
    """Whether at once."""


SOLUTION, TRIAGE = TypeAdapter(Solution), TypeAdapter(Triage)
STRICT = '{"queue": "cards", "urgent": true}'
SLOPPY = {
    "fence": f"```json\n{STRICT}\n```",
    "prose": f"Here is what I think of it: {STRICT}. I hope this helps!",
    "sloppy": "{'queue': 'cards', 'urgent': True,}",
    "case": '{"queue": "Cards", "urgent": true}',
    "tail": '{"queue": "cards", "urgent": true, "because',
    "syntax": '{"queue": "cards" "urgent": true}',
    "malformed": "I cannot tell which queue this message belongs to, sorry.",
}


def is_strict(text: str) -> bool:
    """Whether the control takes these words."""
    try:
        SOLUTION.validate_json(text)
    except ValidationError:
        return False
    return True


def cpu_us(function: Callable[[str], object], texts: Sequence[str], rounds: int) -> float:
    """Microseconds of CPU time a text, the best of `rounds`."""
    best = float("inf")
    for _ in range(rounds):
        began = time.process_time_ns()
        for text in texts:
            function(text)
        best = min(best, time.process_time_ns() - began)
    return round(best / len(texts) / 1000, 2)


def attempt(text: str) -> object:
    """A parse that may fail."""
    try:
        return parse(text, TRIAGE)
    except Malformed:
        return None


def of_one_model(rows: list[dict[str, Any]], answers: dict[str, str]) -> dict[str, Any]:
    """The shares of one model's answers."""
    repairs: Counter[str] = Counter()
    strict = parsed = crashed = others = held = 0
    for row in rows:
        text = row["output"]
        strict += is_strict(text)
        held += bool(HOLDS.search(text))
        try:
            found = parse(text, SOLUTION)
        except Malformed:
            continue
        except Exception as error:  # noqa: BLE001 - a crash is what this counts
            print(f"parsing: {row['prompt_id']} of {row['model']}: {error!r}", file=sys.stderr)
            crashed += 1
            continue
        parsed += 1
        repairs.update(found.repairs)
        recorded = answers.get(row["prompt_id"], "")
        others += bool(recorded) and len(recorded) < 300 and recorded.split() != found.value.answer.split()
    return {
        "answers": len(rows),
        "strict": round(strict / len(rows), 4),
        "parsed": round(parsed / len(rows), 4),
        "of_those_that_hold_it": round(parsed / max(held, 1), 4),
        "other_answers": others,
        "crashed": crashed,
        "repairs": dict(repairs.most_common()),
    }


def main() -> None:
    args = arguments(__doc__)
    quick = args.quick
    folder = need("zeroeval")
    answers: dict[str, dict[str, str]] = defaultdict(dict)
    for row in pq.read_table(folder / "records.parquet", columns=["prompt_id", "model", "answer"]).to_pylist():
        answers[row["model"]][row["prompt_id"]] = row["answer"] or ""
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in pq.read_table(folder / "outputs_7models.parquet").to_pylist():
        rows[row["model"]].append(row)
    models = {name: of_one_model(given[:: 10 if quick else 1], answers[name]) for name, given in sorted(rows.items())}
    rounds = 20 if quick else 200
    total = sum(each["answers"] for each in models.values())
    shares = {kind: round(sum(each[kind] * each["answers"] for each in models.values()) / total, 4) for kind in ("strict", "parsed")}
    result = {
        "models": models,
        "answers": total,
        **shares,
        "crashed": sum(each["crashed"] for each in models.values()),
        "us_control": cpu_us(TRIAGE.validate_json, [STRICT] * 100, rounds),
        "us_strict": cpu_us(attempt, [STRICT] * 100, rounds),
        "us_repaired": {name: cpu_us(attempt, [text] * 20, rounds) for name, text in SLOPPY.items()},
    }
    emit("parsing", result, args.check)


if __name__ == "__main__":
    run("parsing", main)
