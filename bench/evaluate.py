"""Do the verdicts of `freehold evaluate` on samples agree with what all the data says? ZeroEval: 10 models, 3 tasks, from recordings.

    bench/evaluate.py [--quick] [--check] [--out FILE]

Through the command line, as a user would: `freehold import` of native records with a census of scores, then for each task and seed
`freehold evaluate TASK --all-pairs --limit 150`, whose 45 comparisons get verdicts together. A call is a verdict of better or worse; it agrees
where its sign is that of the difference over all items of the task, computed here from the records and by nobody else. Intervals of shares are
bootstraps over the runs, whose samples share their items. `covered` is how often the interval of a difference holds that of all items;
`false_equivalent` how often "equivalent" was said of a pair that differs by more than the margin. The scorecard is asked on all items of each
task, by the length of the question.
"""

import json
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from data import need, run
from harness import arguments, emit
from zeroeval import DECLARED, freehold

REFERENCE = "gpt-4o-2024-08-06"
MODELS = (
    REFERENCE,
    "gpt-4o-mini-2024-07-18",
    "gpt-3.5-turbo-0125",
    "claude-3-5-sonnet-20241022",
    "claude-3-haiku-20240307",
    "gemini-1.5-pro",
    "gemini-1.5-flash",
    "Meta-Llama-3.1-8B-Instruct",
    "Qwen2-72B-Instruct",
    "Mistral-Large-2",
)
TASKS = {"gsm": "gsm", "crux": "crux", "math-l5": "math"}
SAMPLE = 150
MARGIN = 0.03
SEEDS, QUICK_SEEDS = 16, 1
LONG = 300
"""Characters from which on a question is called long."""


def records() -> list[dict[str, Any]]:
    """Native records of the answers of ten models to every question."""
    folder = need("zeroeval")
    prompts = {row["prompt_id"]: row for row in pq.read_table(folder / "prompts.parquet").to_pylist()}
    return [
        {
            "task": TASKS[row["task"]],
            "item": row["prompt_id"],
            "input": prompts[row["prompt_id"]]["question"],
            "variant": row["model"],
            "output": row["answer"],
            "usage": {"input_tokens": prompts[row["prompt_id"]]["est_in_tokens"], "output_tokens": row["est_out_tokens"]},
            "scores": {"correct": row["correct"]},
            "tags": {"question": "long" if len(prompts[row["prompt_id"]]["question"]) >= LONG else "short"},
        }
        for row in pq.read_table(folder / "records.parquet").to_pylist()
        if row["model"] in MODELS and row["prompt_id"] in prompts
    ]


def differences(rows: list[dict[str, Any]]) -> dict[tuple[str, str, str], float]:
    """By task and two models, first less second over all items that both answered."""
    score: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    for row in rows:
        score[row["task"], row["variant"]][row["item"]] = row["scores"]["correct"]
    found = {}
    for task in TASKS.values():
        for first in MODELS:
            for second in MODELS:
                both = score[task, first].keys() & score[task, second].keys()
                found[task, first, second] = float(np.mean([score[task, first][item] - score[task, second][item] for item in both]))
    return found


def evaluated(project: Path, task: str, *options: str) -> tuple[dict[str, Any], float]:
    """What one evaluation says, and how long it took."""
    began = time.perf_counter()
    said = ("--scorers", "correct", "--variants", ",".join(MODELS), "--margin", f"{MARGIN:g}", "--project", str(project), "--json")
    _, out = freehold("evaluate", task, *said, *options)
    return json.loads(out), time.perf_counter() - began


def judged(found: dict[str, Any], task: str, full: dict[tuple[str, str, str], float]) -> dict[str, int]:
    """How the comparisons of one run compare with all the data."""
    made = dict.fromkeys(("pairs", "calls", "agree", "covered", "equivalent", "false_equivalent"), 0)
    for one in found["differences"]:
        truth = full[task, one["first"], one["second"]]
        made["pairs"] += 1
        made["covered"] += one["low"] <= truth <= one["high"]
        if one["verdict"] in ("better", "worse"):
            made["calls"] += 1
            made["agree"] += (truth > 0) == (one["verdict"] == "better") and truth != 0
        elif one["verdict"] == "equivalent":
            made["equivalent"] += 1
            made["false_equivalent"] += abs(truth) > MARGIN
    return made


def share(runs: list[dict[str, int]], part: str, of: str) -> dict[str, Any]:
    """A share over all runs, with a bootstrap interval over runs."""
    part_R, of_R = (np.array([one[key] for one in runs], dtype=float) for key in (part, of))
    if of_R.sum() == 0:
        return {"share": None, "n": 0}
    picks: NDArray[np.int64] = np.random.default_rng(0).integers(0, len(runs), (10_000, len(runs)))
    drawn = of_R[picks].sum(axis=1)
    shares = part_R[picks].sum(axis=1)[drawn > 0] / drawn[drawn > 0]
    ends = np.quantile(shares, [0.025, 0.975])
    return {"share": round(float(part_R.sum() / of_R.sum()), 4), "interval": np.round(ends, 4).tolist(), "n": int(of_R.sum())}


def scorecard(found: dict[str, Any]) -> list[dict[str, Any]]:
    """The confirmed lines, as few words as will do."""
    return [
        {
            "where": line["target"]["value"] or "everywhere",
            "variant": line["target"]["variant"],
            "claim": line["target"]["claim"],
            "difference": round(line["difference"], 4),
            "interval": [round(line["low"], 4), round(line["high"], 4)],
            "n": line["n"],
            "of_its_cost": None if line["cost_share"] is None else round(line["cost_share"], 4),
        }
        for line in found["scorecard"]["lines"]
        if line["is_confirmed"]
    ]


def main() -> None:
    args = arguments(__doc__)
    rows = records()
    full = differences(rows)
    seeds = QUICK_SEEDS if args.quick else SEEDS
    with tempfile.TemporaryDirectory() as folder:
        project, log = Path(folder) / "project", Path(folder) / "log.jsonl"
        log.write_text("".join(json.dumps(row) + "\n" for row in rows))
        freehold("init", str(project))
        with (project / "freehold.toml").open("a") as file:
            file.write(DECLARED)
        freehold("import", str(log), "--label-design", "census", "--project", str(project), "--json")
        runs: dict[str, list[dict[str, int]]] = {task: [] for task in TASKS.values()}
        for seed in range(seeds):
            for task in runs:
                found, _ = evaluated(project, task, "--all-pairs", "--limit", str(SAMPLE), "--seed", str(seed))
                runs[task].append(judged(found, task, full))
            print(
                f"seed {seed}: {[(task, made[-1]['agree'], made[-1]['calls']) for task, made in runs.items()]}", file=sys.stderr, flush=True
            )
        cards, took = {}, []
        for task in runs:
            found, seconds = evaluated(project, task, "--reference", REFERENCE, "--by", "question")
            cards[task] = scorecard(found)
            took.append(seconds)
    every = [one for made in runs.values() for one in made]
    result = {
        "models": len(MODELS),
        "items": {task: len({row["item"] for row in rows if row["task"] == task}) for task in runs},
        "sample": SAMPLE,
        "seeds": seeds,
        "runs": len(every),
        "comparisons": sum(one["pairs"] for one in every),
        "agree": share(every, "agree", "calls"),
        "agree_by_task": {task: share(made, "agree", "calls") for task, made in runs.items()},
        "called": share(every, "calls", "pairs"),
        "covered": share(every, "covered", "pairs"),
        "false_equivalent": share(every, "false_equivalent", "equivalent"),
        "margin": MARGIN,
        "scorecard": cards,
        "whole_task_s": round(float(np.mean(took)), 2),
    }
    emit("evaluate", result, args.check)


if __name__ == "__main__":
    run("evaluate", main)
