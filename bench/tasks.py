"""What does a typed task cost beside its provider? CPU and time of one call, and of a pipeline of twenty, beside what peers take for the same task.

The task: a message in, a queue and whether it is urgent out, as JSON of a schema, from an OpenAI-compatible upstream that answers at once.
Every subject runs in a process of its own, one call after the other and then sixteen at one time, and tells the CPU that its process took, the
HTTP client's included. `plain` is the floor: the same request by `http.client`, its answer decoded and nothing more.

    bench/tasks.py --quick          Freehold and the floor
    scripts/setup-peers.sh litellm_sdk dspy langchain pydantic_ai && bench/tasks.py
"""

import argparse
import json
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from gateway_load import serve_upstream
from harness import add_arguments, emit

HERE = Path(__file__).parent
PEERS = HERE.parent / ".peers"
OWN = ("freehold", "plain")
OTHERS = {"litellm": "litellm_sdk", "dspy": "dspy", "langchain": "langchain", "pydantic_ai": "pydantic_ai"}
"""By subject the environment that it runs in."""
ANSWER = json.dumps({"queue": "cards", "urgent": False})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these subjects alone")
    args = parser.parse_args()
    names = args.only or ([*OWN] if args.quick else [*OWN, *OTHERS])
    cores = sorted(os.sched_getaffinity(0))
    port = free_port()
    process = multiprocessing.get_context("spawn").Process(target=serve_upstream, args=(port, {cores[-1]}, ANSWER.encode()), daemon=True)
    process.start()
    result: dict[str, Any] = {}
    left_out: dict[str, str] = {}
    try:
        for name in names:
            print(f"tasks: {name}", file=sys.stderr)
            try:
                result[name] = run(name, port, cores[0], args.quick)
            except (subprocess.SubprocessError, OSError, ValueError) as error:
                left_out[name] = str(getattr(error, "stderr", "") or error)[-400:]
                print(f"tasks: left out: {name}: {left_out[name]}", file=sys.stderr)
    finally:
        process.kill()
    emit("tasks", with_ratios(result) | ({"left_out": left_out} if left_out else {}), args.check)


def run(name: str, port: int, core: int, quick: bool) -> dict[str, Any]:
    """What one subject tells of itself. Raises OSError where it is not installed."""
    python = sys.executable if name in OWN else str(PEERS / OTHERS[name] / "bin" / "python")
    calls = {"freehold": 3_000, "plain": 3_000}.get(name, 300) // (10 if quick else 1)
    done = subprocess.run(
        ["taskset", "-c", str(core), python, str(HERE / "tasks_subjects.py"), name, str(port), str(calls)],
        check=True, capture_output=True, text=True, timeout=600, env={**os.environ, "OPENAI_API_KEY": "none", "PYTHONWARNINGS": "ignore"},
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def with_ratios(result: dict[str, Any]) -> dict[str, Any]:
    """What each peer takes, in times of what Freehold takes, and what Freehold takes beside the floor."""
    ours = result.get("freehold")
    if ours is None:
        return result
    for name, other in result.items():
        if name in OTHERS:
            other["times_ours"] = round(other["one"]["cpu_us"] / ours["one"]["cpu_us"], 1)
            other["times_ours_16"] = round(other["sixteen"]["cpu_us"] / ours["sixteen"]["cpu_us"], 1)
    if "plain" in result:
        ours["beside_provider_us"] = round(ours["one"]["cpu_us"] - result["plain"]["one"]["cpu_us"], 1)
        ours["beside_provider_16_us"] = round(ours["sixteen"]["cpu_us"] - result["plain"]["one"]["cpu_us"], 1)
        ours["pipeline_of_20_adds_ms"] = round(ours["pipeline_ms"] - 20 * result["plain"]["one"]["wall_ms"], 2)
    return result


def free_port() -> int:
    """A port that nobody listens on."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
