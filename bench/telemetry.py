"""What does watching cost a worker, with and without export by OTLP, and what would Prometheus's own client cost?

    bench/telemetry.py [--quick] [--check]

CPU time of the thread that answers, per call of one attempt, the best of several rounds: `finished_us` is counting it, `record_us` making the
record that tells of it, `trace_us` looking for a trace among ten headers. `otlp.finished_us` is the same with export to a collector in a process
of its own; `otlp.background_us` what the exporting thread takes for each call besides. `scrape_ms` tells of four workers with 100 kinds of call
each, `publish_ms` writes one of them down. Imports are measured in processes of their own, above what a worker has anyway. A peer that is not
installed is left out by name.
"""

import gc
import multiprocessing
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from freehold.chat import Usage
from freehold.gateway.head import Head
from freehold.tables import TelemetryTable
from freehold.telemetry.event import Finished, Peer, Tried
from freehold.telemetry.export import MOST_WAITING
from freehold.telemetry.telemetry import Telemetry
from harness import arguments, emit

PEER = Peer("one", "openai", "127.0.0.1", 8080)
USAGE = Usage(input_tokens=100, cached_read=60, output_tokens=20)
HEADERS = Head.of((b"x-header-%d" % number, b"value") for number in range(10))
WORKERS = 4
KINDS = 100
_BASE = "import msgspec, asyncio, logging, pathlib, urllib.parse, freehold.config"
_IMPORT = """
import resource, sys, time
{base}
def memory():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() / 2**20
before, began = memory(), time.process_time()
{program}
print(time.process_time() - began, memory() - before)
"""
_PEER = """
import time
from prometheus_client import CollectorRegistry, Counter, Histogram
registry = CollectorRegistry()
labels = ("door", "operation", "task", "policy", "variant", "outcome", "status")
counter, histogram = Counter("calls", "x", labels, registry=registry), Histogram("seconds", "x", labels, registry=registry)
values = ("openai", "chat", "triage", "abc", "frontier", "answered", "200")
count, spread = counter.labels(*values), histogram.labels(*values)
def best(run):
    found = float("inf")
    for _ in range({rounds}):
        began = time.process_time_ns()
        for _ in range(10_000):
            run()
        found = min(found, time.process_time_ns() - began)
    return found / 1e7
print(best(count.inc), best(lambda: spread.observe(0.1)))
"""


def call(number: int = 0, trace: Any = None) -> Finished:
    """A call as the gateway tells of it."""
    tried = Tried(
        variant="frontier",
        model="gpt-x",
        peer=PEER,
        cause="first",
        outcome="answered",
        started=1.75e9,
        seconds=0.0019,
        usage=USAGE,
        response_id="chatcmpl-1",
        response_model="gpt-x-2026",
        finish_reasons=("stop",),
        span=trace.span if trace is not None else "",
    )
    return Finished(
        call="0197c0ffee",
        door="openai",
        operation="chat",
        route="/v1/chat/completions",
        requested_model="frontier",
        variant="frontier",
        outcome="answered",
        status=200,
        stream=False,
        started=1.75e9,
        seconds=0.0021,
        upstream_s=0.0019,
        first_byte_s=0.002,
        task=f"task-{number}",
        policy="ab12",
        cost_usd=0.0012,
        attempts=(tried,),
        trace=trace,
    )


def cpu_us(run: Callable[[], object], rounds: int, count: int = 10_000) -> float:
    """Microseconds of this thread's CPU time a run, the best of `rounds`."""
    best = float("inf")
    gc.disable()
    for _ in range(rounds):
        began = time.thread_time_ns()
        for _ in range(count):
            run()
        best = min(best, time.thread_time_ns() - began)
    gc.enable()
    return round(best / count / 1000, 2)


def of_counting(rounds: int) -> dict[str, Any]:
    """Without export."""
    telemetry, event = Telemetry(TelemetryTable()), call()
    return {
        "finished_us": cpu_us(lambda: telemetry.finished(event), rounds),
        "record_us": cpu_us(call, rounds),
        "trace_us": cpu_us(lambda: telemetry.trace(HEADERS), rounds),
    }


def of_telling(folder: Path, rounds: int) -> dict[str, Any]:
    """Of what others read, with several workers and many kinds of call."""
    workers = [Telemetry(TelemetryTable(), folder, number) for number in range(WORKERS)]
    for worker in workers:
        for kind in range(KINDS):
            worker.finished(call(kind))
        worker.publish()
    return {
        "scrape_ms": round(cpu_us(workers[0].exposition, rounds, 1) / 1000, 2),
        "scrape_kb": len(workers[0].exposition()) // 1024,
        "publish_ms": round(cpu_us(workers[0].publish, rounds, 1) / 1000, 3),
    }


def of_export(rounds: int) -> dict[str, Any]:
    """With export to a collector that takes everything."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        collector = multiprocessing.get_context("fork").Process(target=collect, args=(listener,), daemon=True)
        collector.start()
        stack.callback(collector.kill)
        telemetry = Telemetry(TelemetryTable(otlp_endpoint=f"http://127.0.0.1:{listener.getsockname()[1]}"))
        trace = telemetry.trace(HEADERS)
        event, count = call(0, trace), MOST_WAITING // 2
        best, background, told = float("inf"), 0.0, 0
        telemetry.finished(event)
        time.sleep(2.0)  # its packages are imported
        for _ in range(rounds):
            began, everybody = time.thread_time_ns(), time.process_time_ns()
            for _ in range(count):
                telemetry.finished(event)
            here = time.thread_time_ns() - began
            time.sleep(1.5)  # until they are sent
            best = min(best, here)
            background += time.process_time_ns() - everybody - here
            told += count
        trace_us = cpu_us(lambda: telemetry.trace(HEADERS), rounds)
        telemetry.close()
        dropped = [line for line in telemetry.exposition().decode().splitlines() if line.startswith("freehold_telemetry_dropped_total ")]
        return {
            "finished_us": round(best / count / 1000, 2),
            "trace_us": trace_us,
            "background_us": round(background / told / 1000, 1),
            "dropped": int(dropped[0].split()[1]),
        }


def collect(listener: socket.socket) -> None:
    """A collector that takes everything, and reads none of it."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler, bind_and_activate=False)
    server.socket = listener
    server.serve_forever()


def of_import(program: str, times: int) -> dict[str, float]:
    """CPU time and memory of an import, the least of several."""
    script = _IMPORT.format(base=_BASE, program=program)
    found = [
        subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout.split() for _ in range(times)
    ]
    return {"ms": round(min(float(ms) for ms, _ in found) * 1000, 1), "mb": round(min(float(mb) for _, mb in found), 1)}


def of_prometheus_client(rounds: int) -> dict[str, Any]:
    """The peer: adding to one sum and one histogram that are at hand, in one process and in files that several share."""
    found: dict[str, Any] = {"import": of_import("import prometheus_client", rounds // 5)}
    with tempfile.TemporaryDirectory() as folder:
        for name, environment in (("one_process", {}), ("several", {"PROMETHEUS_MULTIPROC_DIR": folder})):
            script = f"import os\nos.environ |= {environment!r}\n{_PEER.format(rounds=rounds)}"
            inc, observe = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout.split()
            found[name] = {"inc_us": round(float(inc), 2), "observe_us": round(float(observe), 2)}
    return found


def main() -> None:
    args = arguments(__doc__)
    rounds = 5 if args.quick else 50
    result: dict[str, Any] = of_counting(rounds)
    with tempfile.TemporaryDirectory() as folder:
        result |= of_telling(Path(folder), rounds)
    result["import"] = of_import("import freehold.telemetry.telemetry, freehold.telemetry.logs, freehold.telemetry.readiness", rounds // 5)
    left_out = []
    if find_spec("opentelemetry") is not None and find_spec("opentelemetry.proto") is not None:
        result["otlp"] = of_export(rounds // 5) | {"import": of_import("import freehold.telemetry.otlp", rounds // 5)}
    else:
        left_out.append("otlp: not installed (pip install 'freehold[otel]')")
    if find_spec("prometheus_client") is not None:
        result["prometheus_client"] = of_prometheus_client(rounds)
    else:
        left_out.append("prometheus_client: not installed")
    if left_out:
        result["left_out"] = left_out
        print(*(f"telemetry: {name}; left out" for name in left_out), sep="\n", file=sys.stderr)
    emit("telemetry", result, args.check)


if __name__ == "__main__":
    main()
