"""Does the demo hold, and how long does it take? `freehold demo` as a newcomer runs it, on ten seeds of its simulated models.

    bench/demo.py [--quick] [--check] [--out FILE]

`held` is the share of seeds that end with a certificate at max_loss 0.05 which saves 30 % or more. Time is that of the whole command,
Python's start and the drawing of the page included; `seconds` is the median over seeds.
"""

import json
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from freehold.evaluation.bounds import binomial_interval
from harness import arguments, emit
from zeroeval import freehold

LEAST_SAVING = 0.3


def one_seed(seed: int) -> dict[str, Any]:
    """The demo at this seed."""
    with tempfile.TemporaryDirectory() as folder:
        began = perf_counter()
        _, said = freehold("demo", "--out", str(Path(folder) / "demo"), "--seed", str(seed), "--json", expect=(0, 3))
        seconds = perf_counter() - began
        page_bytes = Path(json.loads(said)["report"]).stat().st_size
    main, strict = json.loads(said)["certificates"]
    return {
        "seconds": round(seconds, 2),
        "certified": main["certified"],
        "saving": round(main["saving"], 4) if main["certified"] else 0.0,
        "upper": round(main["loss_upper_bound"], 4),
        "test_loss": main["test"]["loss"],
        "test_saving": main["test"]["saving"],
        "share": main["share"],
        "at_0.02": {"certified": strict["certified"], "saving": round(strict["saving"], 4) if strict["certified"] else 0.0},
        "page_bytes": page_bytes,
    }


def main() -> None:
    args = arguments(__doc__)
    seeds = [one_seed(seed) for seed in range(1 if args.quick else 10)]
    held = [each["certified"] and each["saving"] >= LEAST_SAVING for each in seeds]
    result = {
        "held": sum(held) / len(held),
        "held_interval": [round(x, 4) for x in binomial_interval(sum(held), len(held))],
        "seconds": float(np.median([each["seconds"] for each in seeds])),
        "seconds_most": max(each["seconds"] for each in seeds),
        "mean_saving": round(float(np.mean([each["saving"] for each in seeds])), 4),
        "least_saving": min(each["saving"] for each in seeds),
        "certified_at_0.02": sum(each["at_0.02"]["certified"] for each in seeds),
        "mean_test_loss": round(float(np.mean([each["test_loss"] for each in seeds])), 4),
        "seeds": seeds,
    }
    emit("demo", result, args.check)


if __name__ == "__main__":
    main()
