"""Does a batch fill what its provider allows, end every row once when it is killed, and stay as small as it began?

Rows against a provider with a limit of requests a second, which it tells as OpenAI does, and 2 % faults (500, 503, connections cut). `filled` is
one run that nobody disturbs: rows a second as a share of the limit, and the share of requests refused for it. `killed` runs the same command with
--resume again and again and kills it with SIGKILL at random; every row has to have one answer in the end, in order, and the rows that were asked
twice are those that were under way at a kill. Memory is looked at a quarter of the way and at the end. `ray` asks for the same rows as `killed`
from two Ray nodes that are joined by address, kills one of them halfway, and compares the output; it is left out where Ray is not installed.
"""

import argparse
import hashlib
import json
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

import ray_nodes
from batch_upstream import Limits, started
from harness import add_arguments, emit
from ray_nodes import Nodes

_PROGRAM = '''
from typing import Literal

from pydantic import BaseModel

import freehold


class Triage(BaseModel):
    queue: Literal["cards", "transfers", "fraud", "other"]
    urgent: bool


@freehold.task(reference="frontier")
def triage(message: str) -> Triage:
    """Decide which queue should answer this customer and whether it is urgent."""
'''
_CONFIG = """
[providers.up]
kind = "openai"
base_url = "http://127.0.0.1:{port}/v1"
[models.frontier]
provider = "up"
price = {{ input_per_mtok = 1.25, output_per_mtok = 10.0 }}
[models.frontier.serving]
open_after = 0
"""
KILLS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--per-s", type=float, default=250.0, help="the provider's limit, in requests a second")
    args = parser.parse_args()
    rows = 2_000 if args.quick else 100_000
    result: dict[str, Any] = {"rows": rows, "limit_per_s": args.per_s, "faults": Limits(1).faults}
    for name, kills in (("filled", 0), ("killed", 2 if args.quick else KILLS)):
        print(f"batch: {name}", file=sys.stderr)
        with tempfile.TemporaryDirectory() as folder:
            result[name] = run(Path(folder), rows if name == "filled" or args.quick else rows // 2, args.per_s, kills)
    if ray_nodes.is_installed():
        print("batch: ray", file=sys.stderr)
        with tempfile.TemporaryDirectory() as folder, Nodes(Path(folder, "ray")) as nodes:
            result["ray"] = run(Path(folder), result["killed"]["rows"], args.per_s, 1, nodes)
        result["ray"]["differs"] = int(result["ray"]["digest"] != result["killed"]["digest"])
    else:
        print(f"batch: left out: ray: {ray_nodes.MISSING}", file=sys.stderr)
        result["left_out"] = {"ray": ray_nodes.MISSING}
    parts = [result[name] for name in ("filled", "killed", "ray") if name in result]
    result["all"] = {name: sum(part.get(name, 0) for part in parts) for name in ("missing", "out_of_order", "differs")}
    emit("batch", result, args.check)


def run(folder: Path, rows: int, per_s: float, kills: int, nodes: Nodes | None = None) -> dict[str, Any]:
    """One batch, killed so many times; or one on Ray, of which a node is killed."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    upstream = started(port, Limits(per_s))
    time.sleep(1)
    (folder / "program.py").write_text(_PROGRAM)
    (folder / "freehold.toml").write_text(_CONFIG.format(port=port))
    (folder / "in.jsonl").write_text("".join(json.dumps(f"row {n} of the customers' messages") + "\n" for n in range(rows)))
    command = [
        str(Path(sys.executable).with_name("freehold")),
        "batch",
        "program.py:triage",
        "in.jsonl",
        "--out",
        "out.jsonl",
        "--json",
        "--resume",
    ]
    environment = None
    if nodes is not None:
        command = [str(ray_nodes.PYTHON), "-c", "from freehold.cli.app import main; main()", *command[1:], "--ray"]
        environment, second = nodes.environment, nodes.join()
    rng = random.Random(7)
    began = time.perf_counter()
    report: dict[str, Any] = {}
    memory: list[int] = []
    times = sorted(rng.uniform(0.1, 0.9) for _ in range(kills))
    waits = [(each - before) * rows / per_s for before, each in zip([0.0, *times], times, strict=False)]
    try:
        for wait in [None] if nodes is not None else [*waits, None]:
            process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)
            if nodes is not None:
                while counted(port)["rows"] < rows / 2 and process.poll() is None:
                    time.sleep(0.1)
                nodes.kill(second)
            elif wait is not None:
                time.sleep(2 + wait)
                process.send_signal(signal.SIGKILL)
                process.wait()
                continue
            memory = watched(process, rows / per_s)
            report = json.loads(process.communicate()[0])
        seconds = time.perf_counter() - began
        counts = counted(port)
    finally:
        upstream.kill()
    out = (folder / "out.jsonl").read_bytes()
    lines = [json.loads(line) for line in out.splitlines()]
    found = {
        "rows": rows,
        "seconds": round(seconds, 1),
        "done": report["done"],
        "failed": report["failed"],
        "missing": rows - len(lines),
        "out_of_order": sum(line["row"] != n for n, line in enumerate(lines)),
        "asked_twice": counts["twice"],
        "asked_twice_a_kill": round(counts["twice"] / kills, 1) if kills else counts["twice"],
        "limited_share": round(counts["seen"].get("limited", 0) / counts["seen"]["asked"], 5),
        "faults_seen": counts["seen"].get("failed", 0),
        "kills": kills,
        "digest": hashlib.blake2b(out, digest_size=16).hexdigest(),
    }
    if not kills:
        let_in = counts["seen"]["asked"] - counts["seen"].get("limited", 0)
        found["let_in_per_s"] = round(let_in / report["seconds"], 1)
        found["share_of_limit"] = round(let_in / report["seconds"] / per_s, 4)
        found["rows_per_s"] = round(report["done"] / report["seconds"], 1)
        found["memory_mb"] = memory
        found["memory_grows_mb"] = memory[-1] - memory[0]
    return found


def counted(port: int) -> dict[str, Any]:
    """What the provider saw."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/counts") as answer:
        told: dict[str, Any] = json.load(answer)
        return told


def watched(process: "subprocess.Popen[str]", seconds: float) -> list[int]:
    """Resident memory in MB, a quarter of the way and every quarter from there on."""
    memory: list[int] = []
    next_at = time.perf_counter() + seconds / 4
    while process.poll() is None:
        time.sleep(0.2)
        if time.perf_counter() >= next_at:
            next_at += seconds / 4
            status = Path(f"/proc/{process.pid}/status")
            for line in status.read_text().splitlines() if status.exists() else ():
                if line.startswith("VmRSS"):
                    memory.append(int(line.split()[1]) // 1024)
    return memory or [0]


if __name__ == "__main__":
    main()
