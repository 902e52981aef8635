"""What does certifying 44 recorded models save, through the command line? ZeroEval's GSM8K, in projects that differ only in item ids.

    bench/zeroeval.py [--quick] [--check] [--out FILE]

Each project is what a user would make: `freehold init`, `freehold import` of native records (estimated token counts, no cost, labels a
census), `freehold certify` against gpt-4o-2024-08-06 at max_loss 0.02 with every recorded model allowed, `freehold verify`. Ids carry
the project's number in front, so that the hash puts other items into training, calibration and test. `declared` is with the metric
declared binary in freehold.toml, which allows the exact test; `undeclared` leaves the file as `init` wrote it. A project without a
certificate counts as a saving of 0. Intervals are bootstraps over projects, which share their items: they speak of splits, not of data.
o1-mini's hidden reasoning was not recorded, so its cost is a lower bound; `without_o1_mini` asks for every priced model but that one.
"""

import json
import sys
import tempfile
import time
from pathlib import Path
from shutil import copytree
from subprocess import run as start
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from data import need, run
from harness import arguments, emit

REFERENCE = "gpt-4o-2024-08-06"
TASK = "gsm8k"
FLOOR = 0.02
DECLARED = '\n[metrics.correct]\nkind = "binary"\n'
"""What the user who knows that a score is right or wrong adds."""
UNDERCOUNTED = "o1-mini-2024-09-12"


class CommandFailed(RuntimeError):
    """A command ended with a status nobody expected."""


def freehold(*arguments: str, expect: tuple[int, ...] = (0,)) -> tuple[int, str]:
    """Runs the command line; its exit status and what it printed. Raises CommandFailed."""
    done = start(
        [sys.executable, "-c", "from freehold.cli.app import main; main()", *arguments], check=False, capture_output=True, text=True
    )
    if done.returncode not in expect:
        raise CommandFailed(f"freehold {' '.join(arguments)} ended with {done.returncode}: {done.stderr.strip()[-2000:]}")
    return done.returncode, done.stdout


def records() -> list[dict[str, Any]]:
    """Native records of every model's answer to every question of GSM8K, without a cost."""
    folder = need("zeroeval")
    prompts = {row["prompt_id"]: row for row in pq.read_table(folder / "prompts.parquet").to_pylist() if row["task"] == "gsm"}
    return [
        {
            "task": TASK,
            "item": row["prompt_id"],
            "input": prompts[row["prompt_id"]]["question"],
            "variant": row["model"],
            "output": row["answer"],
            "usage": {"input_tokens": prompts[row["prompt_id"]]["est_in_tokens"], "output_tokens": row["est_out_tokens"]},
            "scores": {"correct": row["correct"]},
        }
        for row in pq.read_table(folder / "records.parquet").to_pylist()
        if row["prompt_id"] in prompts
    ]


def one_project(folder: Path, rows: list[dict[str, Any]], number: int) -> dict[str, dict[str, Any]]:
    """From log to verified certificate, with the metric declared and without."""
    log = folder / "log.jsonl"
    log.write_text("".join(json.dumps(row | {"item": f"p{number:02d}-{row['item']}"}) + "\n" for row in rows))
    plain, declared, without = (folder / name for name in ("undeclared", "declared", "without_o1_mini"))
    freehold("init", str(plain))
    began = time.perf_counter()
    freehold("import", str(log), "--label-design", "census", "--project", str(plain), "--json")
    import_s = time.perf_counter() - began
    copytree(plain, declared)
    with (declared / "freehold.toml").open("a") as file:
        file.write(DECLARED)
    copytree(declared, without)
    made = {home.name: certified(home) | {"import_s": import_s} for home in (plain, declared)}
    others = [name for name in made["declared"]["candidates"] if name != UNDERCOUNTED]
    return made | {without.name: certified(without, "--variants", ",".join(others))}


def certified(project: Path, *options: str) -> dict[str, Any]:
    """What certifying this project says, and whether `freehold verify` agrees."""
    began = time.perf_counter()
    options += ("--reference", REFERENCE, "--metric", "correct", "--max-loss", f"{FLOOR:g}", "--json", "--project", str(project))
    status, said = freehold("certify", TASK, *options, expect=(0, 3))
    took = time.perf_counter() - began
    certificate = json.loads(said)
    verified, _ = freehold("verify", str(project / certificate["certificate"]), "--project", str(project), expect=(0, 1, 3))
    return {
        "status": status,
        "verified": verified == 0,
        "saving": certificate["saving"] if certificate["certified"] else 0.0,
        "test_loss": certificate["test"]["loss"],
        "test_saving": certificate["test"]["saving"] if certificate["certified"] else 0.0,
        "upper": certificate["loss_upper_bound"],
        "predictor": certificate["predictor"],
        "family": certificate["family"],
        "method": certificate["method"],
        "unpriced": certificate["unpriced"],
        "candidates": [name for name in certificate["variants"][1:] if name not in certificate["left_out"]],
        "left_out": certificate["left_out"],
        "certify_s": took,
    }


def summary(projects: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over projects."""
    saving, test_saving = (np.array([each[key] for each in projects]) for key in ("saving", "test_saving"))
    picks = np.random.default_rng(0).integers(0, len(saving), (10_000, len(saving)))
    interval = np.quantile(saving[picks].mean(axis=1), [0.025, 0.975])
    losses = [each["test_loss"] for each in projects]
    return {
        "projects": len(projects),
        "certified": sum(each["status"] == 0 for each in projects),
        "verified": sum(each["verified"] for each in projects),
        "mean_saving": round(float(saving.mean()), 4),
        "mean_saving_interval": np.round(interval, 4).tolist(),
        "mean_test_saving": round(float(test_saving.mean()), 4),
        "mean_test_loss": round(float(np.mean(losses)), 4),
        "projects_with_test_loss_above_floor": sum(loss > FLOOR for loss in losses),
        "method": sorted({each["method"] for each in projects}),
        "savings": np.round(saving, 4).tolist(),
        "predictors": [each["predictor"] for each in projects],
        "families": [each["family"] for each in projects],
        "certify_s": round(float(np.mean([each["certify_s"] for each in projects])), 2),
    }


def main() -> None:
    args = arguments(__doc__)
    rows = records()
    made = []
    for number in range(1 if args.quick else 20):
        with tempfile.TemporaryDirectory() as folder:
            made.append(one_project(Path(folder), rows, number))
        said = {name: (each["status"], each["verified"], round(each["saving"], 3)) for name, each in made[-1].items()}
        print(f"project {number}: {said}", file=sys.stderr, flush=True)
    declared = [each["declared"] for each in made]
    result = summary(declared) | {
        "max_loss": FLOOR,
        "reference": REFERENCE,
        "items": len({row["item"] for row in rows}),
        "models": len({row["variant"] for row in rows}),
        "priced_candidates": declared[0]["candidates"],
        "unpriced": declared[0]["unpriced"],
        "dearer_or_incomplete": sorted(set(declared[0]["left_out"]) - set(declared[0]["unpriced"])),
        "import_s": round(float(np.mean([each["import_s"] for each in declared])), 2),
        **{name: summary([each[name] for each in made]) for name in ("undeclared", "without_o1_mini")},
    }
    emit("zeroeval", result, args.check)


if __name__ == "__main__":
    run("zeroeval", main)
