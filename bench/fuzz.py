"""Can bytes from outside break the gateway? Fuzzing of the HTTP path and of each translator, led by the coverage of their code (atheris).

Each target of `fuzz_targets.py` takes bytes and holds what it says of them: nothing but errors of ours is raised, nothing takes a second of
CPU, what was cut anywhere reads as what came whole, and what was written reads as what it was written from. It begins with the bytes that the
tests send.

    python bench/fuzz.py --check

Input that breaks a target is kept in tests/crashes/TARGET, and tests/property/test_fuzz_targets.py puts it to the target from then on. Memory is
what the second half of a run added, when most of what can be reached has been. Where there is no atheris nothing is fuzzed, and that is said.
"""

import argparse
import logging
import random
import re
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from harness import add_arguments, emit

CRASHES = Path(__file__).parents[1] / "tests" / "crashes"
FULL_S = 600.0
QUICK_S = 10.0
_TARGETS = {"http": 0.4, "request": 0.2, "answer": 0.2, "stream": 0.2}
"""By their share of the time."""
_MOST_FINDINGS = 5
_PROGRESS = re.compile(r"^#(\d+)\s.*?cov: (\d+) ft: \d+ corp: (\d+)/\S+.*?rss: (\d+)Mb", re.MULTILINE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--seconds", type=float, help=f"for all targets together; {FULL_S:g}, or {QUICK_S:g} with --quick")
    parser.add_argument("--target", choices=_TARGETS, help="fuzz this one, in this process: what the others are started with")
    parser.add_argument("--corpus", type=Path, help="with --target: where its inputs are kept")
    args = parser.parse_args()
    if args.target is not None:
        fuzz(args.target, args.corpus, args.seconds)
        return
    if find_spec("atheris") is None:
        print("fuzz: left out: atheris is not installed, and there is one for Linux on x86-64 alone", file=sys.stderr)
        emit("fuzz", {"left_out": "atheris"}, check=False)
        return
    seconds = args.seconds or (QUICK_S if args.quick else FULL_S)
    result: dict[str, Any] = {target: run(target, share * seconds) for target, share in _TARGETS.items()}
    emit("fuzz", {"seconds": seconds, "findings": sum(one["findings"] for one in result.values()), **result}, args.check)


def run(target: str, seconds: float) -> dict[str, Any]:
    """Fuzzes one target in processes of its own: after a finding the next one goes on with what the last had learned."""
    until, kept, executions = time.monotonic() + seconds, CRASHES / target, 0
    before = set(kept.glob("*")) if kept.is_dir() else set()
    told: list[tuple[int, int, int, int]] = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(_MOST_FINDINGS):
            command = [sys.executable, __file__, "--target", target, "--corpus", folder, "--seconds", f"{until - time.monotonic():.0f}"]
            log = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
            told = [(int(n), int(edges), int(corpus), int(rss)) for n, edges, corpus, rss in _PROGRESS.findall(log.stderr)]
            executions += told[-1][0] if told else 0
            if log.returncode == 0:
                break
            print((log.stdout + log.stderr)[-6_000:], file=sys.stderr)
            if until - time.monotonic() < 1:
                break
    found = len(set(kept.glob("*")) - before) if kept.is_dir() else 0
    half = [rss for n, _, _, rss in told if n >= told[-1][0] / 2]
    return {
        "findings": found + (log.returncode != 0 and not found),
        "executions": executions,
        "edges": max((edges for _, edges, _, _ in told), default=0),
        "corpus": told[-1][2] if told else 0,
        "memory_mb": half[-1] if half else None,
        "memory_growth_mb": half[-1] - half[0] if half else None,
    }


def fuzz(name: str, corpus: Path, seconds: float) -> None:
    """Does not come back: libFuzzer ends the process, with another status than 0 where it has found something."""
    import atheris

    with atheris.instrument_imports(include=["freehold.gateway", "freehold.chat"]):
        import fuzz_targets

    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # in this process: by its Config it would hold for every test as well
    target = fuzz_targets.TARGETS[name]
    for n, seed in enumerate(target.seeds()):
        (corpus / f"seed-{n}").write_bytes(seed)
    (CRASHES / name).mkdir(parents=True, exist_ok=True)

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        rng = random.Random(seed)
        changed = target.mutate(data, rng) if target.mutate is not None and rng.random() < 0.7 else None
        return changed if changed is not None and len(changed) <= most else atheris.Mutate(data, most)

    limits = [f"-max_total_time={max(1, round(seconds))}", "-max_len=4096", "-len_control=0", "-timeout=30", "-rss_limit_mb=1024"]
    options = [sys.argv[0], *limits, f"-artifact_prefix={CRASHES / name}/", str(corpus)]
    atheris.Setup(options, lambda data: fuzz_targets.put(target, data), custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
