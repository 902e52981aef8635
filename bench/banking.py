"""How long from a log of one model to a certificate and a report, and what does that save? BANKING77, through the command line.

    bench/banking.py [--quick] [--check] [--out FILE]

The log is the recorded label of each message as the answer of a model named `teacher`, and nothing else: no scores, no second model, no
prices, no groups. `freehold init`, `import`, `certify --metric agreement` at three floors, each in a project of its own so that each is a
first attempt, and `report`. The clock runs over the commands of the floor 0.02, Python's start included. What is claimed is agreement
with the recorded answers, not that those are right; a saving is a share of calls, because nothing has a price.
"""

import gzip
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from data import need, run
from harness import arguments, emit
from zeroeval import freehold

FLOORS = (0.02, 0.01, 0.05)
TASK = "intent"


def write_log(path: Path, most: int | None) -> int:
    """Native records of the teacher's answers; how many."""
    with gzip.open(need("banking77") / "data.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    step = 1 if most is None else max(1, len(rows) // most)  # rows are sorted by label
    records = [
        {"task": TASK, "item": f"message-{n:05d}", "input": row["text"], "variant": "teacher", "output": row["label"]}
        for n, row in enumerate(rows[::step])
    ]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return len(records)


def one_floor(folder: Path, log: Path, floor: float) -> dict[str, Any]:
    """From an empty folder to a report."""
    project, seconds = str(folder / "project"), {}
    began = last = time.perf_counter()

    def timed(name: str, *arguments: str, expect: tuple[int, ...] = (0,)) -> tuple[int, str]:
        nonlocal last
        done = freehold(*arguments, expect=expect)
        now = time.perf_counter()
        seconds[f"{name}_s"], last = round(now - last, 2), now
        return done

    timed("init", "init", project)
    timed("import", "import", str(log), "--project", project, "--json")
    options = ("--reference", "teacher", "--metric", "agreement", "--max-loss", f"{floor:g}", "--project", project, "--json")
    status, said = timed("certify", "certify", TASK, *options, expect=(0, 3))
    _, report = timed("report", "report", TASK, "--out", str(folder / "report"), "--project", project, "--json")
    total = time.perf_counter() - began
    certificate = json.loads(said)
    verified, _ = freehold("verify", str(folder / "project" / certificate["certificate"]), "--project", project, expect=(0, 1, 3))
    return {
        "import_to_report_s": round(total, 2),
        **seconds,
        "certified": status == 0,
        "verified": verified == 0,
        "upper": round(certificate["loss_upper_bound"], 5),
        "saving": round(certificate["saving"], 4) if certificate["certified"] else 0.0,
        "saving_unit": certificate["saving_unit"],
        "share": certificate["share"],
        "test_loss": certificate["test"]["loss"],
        "test_loss_ci": certificate["test"]["loss_ci"],
        "test_saving": certificate["test"]["saving"],
        "all_head": certificate["controls"]["all_cheapest"],
        "oracle": certificate["controls"]["oracle"],
        "n_train": certificate["n_train"],
        "n_calibrate": certificate["n_calibrate"],
        "method": certificate["method"],
        "report_bytes": Path(json.loads(report)["files"][0]).stat().st_size,
    }


def main() -> None:
    args = arguments(__doc__)
    quick = args.quick
    by_floor = {}
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log.jsonl"
        items = write_log(log, 2500 if quick else None)
        for floor in FLOORS[:1] if quick else FLOORS:
            home = Path(folder) / f"{floor:g}"
            home.mkdir()
            by_floor[f"{floor:g}"] = one_floor(home, log, floor)
            print(f"{floor:g}: {by_floor[f'{floor:g}']}", file=sys.stderr, flush=True)
    main_floor = by_floor[f"{FLOORS[0]:g}"]
    result = {"items": items, "import_to_report_s": main_floor["import_to_report_s"], "saving": main_floor["saving"], "floors": by_floor}
    emit("banking", result, args.check)


if __name__ == "__main__":
    run("banking", main)
