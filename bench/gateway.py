"""What does the gateway cost beside a plain proxy and its peers? CPU, latency and memory, in front of an upstream that answers at once.

One worker has a core of its own, load and upstream share another; two workers, load and upstream share both, and so those latencies tell of
the crowd as well. Every server gets the same requests of 1 KB over the same number of kept connections, each asking again as soon as it is
answered: Freehold bare (no key, no policy, nothing that waits for the journal) and with everything on (key, budget, limit, a policy over task,
tags and length, a journal that survives the death of the process, or the loss of power too), the same by plain ASGI, and whom
scripts/setup-peers.sh installed. CPU is user and system time of all processes and threads of the server.

    python bench/gateway.py --check

What is added to a time is what it is more than asking the upstream alone, of as many connections. With 32 of them every server is busy all
the time, so that each request waits for those before it. A stream is 100 chunks of one word, each sent by itself; its cost per chunk is what
it costs more than a whole answer. How many of them the server reads at once depends on how busy it is. `load_busy` is the share of a core
that load and upstream took: near 1, they and not the server were the limit.
"""

import argparse
import multiprocessing
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from gateway_load import CHUNKS, Load, Question, Work, WrongAnswer, is_whole, load, serve_upstream, wrong
from gateway_servers import KINDS, OTHERS, LeftOut, Place, Server, freehold, version_of
from harness import add_arguments, emit

CONNECTIONS = 32
HALF = 100_000
"""Requests after which memory is looked at for the first time; the second time after as many again."""
_START_S = 120.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these servers alone, such as nginx process")
    args = parser.parse_args()
    names = args.only or (["nginx", "process"] if args.quick else [*OTHERS, *KINDS])
    result: dict[str, Any] = {"chunks": CHUNKS, "connections": CONNECTIONS}
    left_out: dict[str, str] = {}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        bench = stack.enter_context(Bench.running(folder, args.quick))
        result["upstream"] = bench.of_upstream()
        for name in names:
            print(f"gateway: {name}", file=sys.stderr)
            try:
                result[name] = bench.of(name)
            except (LeftOut, WrongAnswer, OSError) as error:
                left_out[name] = " ".join(str(error).split())[-400:]
                print(f"gateway: left out: {name}: {left_out[name]}", file=sys.stderr)
    emit("gateway", with_ratios(result, names) | ({"left_out": left_out} if left_out else {}), args.check)


def with_ratios(result: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """What each server adds to asking the upstream itself, and how it stands to nginx and TensorZero."""
    upstream = result["upstream"]
    for name in names:
        if (ours := result.get(name)) is None:
            continue
        ours["added_p50_ms"] = round(ours["c1"]["p50_ms"] - upstream["c1"]["p50_ms"], 3)
        for workers, direct in ((ours, upstream), (ours.get("workers_2"), upstream.get("workers_2"))):
            if workers is not None and direct is not None:
                workers["added_p99_ms"] = round(workers["c32"]["p99_ms"] - direct["c32"]["p99_ms"], 3)
        for peer, called in (("nginx", "times_nginx"), ("tensorzero", "times_tensorzero")):
            if peer in result and peer != name:
                ours[called] = round(ours["c32"]["cpu_us"] / result[peer]["c32"]["cpu_us"], 2)
    return result


class Bench:
    """The same questions to each server."""

    def __init__(self, folder: Path, quick: bool, upstream: int, upstream_pid: int) -> None:
        self._folder = folder
        self._quick = quick
        self._seconds = 1.0 if quick else 6.0
        self._upstream, self._upstream_pid = upstream, upstream_pid
        cores = sorted(os.sched_getaffinity(0))
        self._all, self._core, self._other = set(cores), {cores[0]}, {cores[-1]}

    @classmethod
    @contextmanager
    def running(cls, folder: Path, quick: bool) -> Iterator["Bench"]:
        """One with its upstream."""
        port = free_port()
        cores = sorted(os.sched_getaffinity(0))
        process = multiprocessing.get_context("spawn").Process(target=serve_upstream, args=(port, {cores[-1]}), daemon=True)
        process.start()
        assert process.pid is not None
        try:
            first_answer(port, Question(), process.is_alive)
            yield cls(folder, quick, port, process.pid)
        finally:
            process.kill()
            process.join()

    def of_upstream(self) -> dict[str, Any]:
        """Of the upstream asked by itself, which is the limit of what can be measured here."""
        found = self._clients(self._upstream, Question(), self._other)
        if not self._quick:
            with self._spread():
                found["workers_2"] = self._clients(self._upstream, Question(), self._all)
        return found

    def of(self, name: str) -> dict[str, Any]:
        """Of one server, with one worker and with two. Raises LeftOut."""
        is_peer = name in OTHERS
        make: Callable[[Place], Server] = OTHERS[name] if is_peer else partial(freehold, KINDS[name])
        place = Place(self._folder / name, self._upstream, free_port(), 1)
        place.folder.mkdir()
        server = make(place)
        found: dict[str, Any] = {"version": version_of(name)} if is_peer else {"has_key": bool(server.question.headers)}
        starts = []
        for _ in range(1 if is_peer or self._quick else 3):
            with self._running(server, place, self._core) as running:
                starts.append(running.start_s)
        found["start_s"] = round(statistics.median(starts), 2)
        with self._running(server, place, self._core) as running:
            found |= self._one_worker(running, 30.0 if is_peer else 90.0)
        if not self._quick and server.has_workers:
            place = Place(self._folder / f"{name}-2", self._upstream, free_port(), 2)
            place.folder.mkdir()
            with self._running(make(place), place, self._all) as running, self._spread():
                self._clients(running.port, running.question, self._all, running)  # until everything is warm
                found["workers_2"] = self._clients(running.port, running.question, self._all, running)
        return found

    def _one_worker(self, running: "Running", longest_s: float) -> dict[str, Any]:
        port, question = running.port, running.question
        asked = load(port, question, Work(CONNECTIONS, self._seconds / 2), self._other).requests  # until everything is warm
        found = self._clients(port, question, self._other, running)
        try:
            before = running.cpu_s()
            streams = load(port, question, Work(CONNECTIONS, self._seconds, stream=True), self._other).requests
            found["chunk_us"] = round(((running.cpu_s() - before) / streams * 1e6 - found["c32"]["cpu_us"]) / CHUNKS, 2)
        except WrongAnswer as error:  # Portkey 1.15.2 does so on Node 20
            streams, found["streams_left_out"] = 0, str(error)
        if not self._quick:
            asked += found["c1"]["requests"] + found["c32"]["requests"] + streams
            memory = []
            for until in (HALF, 2 * HALF):
                if (more := until - asked) >= CONNECTIONS:
                    asked += load(port, question, Work(CONNECTIONS, longest_s, more), self._other).requests
                memory.append(running.memory_mb())
            found["memory_growth_mb"], found["requests"] = round(memory[1] - memory[0], 1), asked
        return found | {"memory_mb": round(running.memory_mb(), 1)}

    def _clients(self, port: int, question: Question, cores: set[int], running: "Running | None" = None) -> dict[str, Any]:
        """What one connection sees, and what many see; of a server also what it cost, and how its workers shared the work of the many."""
        found: dict[str, Any] = {}
        for connections in (1, CONNECTIONS):
            before = running.cpu_of() if running else {}
            idle = cpu_s(self._upstream_pid)
            seen = load(port, question, Work(connections, self._seconds), cores)
            busy = cpu_s(self._upstream_pid) - idle + seen.client_cpu_s
            found[f"c{connections}"] = _told(seen) | {"load_busy": round(busy / seen.seconds, 2)}
            if running is not None:
                spent = {pid: cpu - before.get(pid, 0.0) for pid, cpu in running.cpu_of().items()}
                found[f"c{connections}"]["cpu_us"] = round(sum(spent.values()) / seen.requests * 1e6, 1)
                shares = [spent[pid] for pid in running.worker_pids()]
        if running is not None and len(shares) > 1:
            found["least_share"] = round(min(shares) / statistics.fmean(shares), 2)
        return found

    @contextmanager
    def _spread(self) -> Iterator[None]:
        """Lets the upstream use both cores, as two workers do."""
        os.sched_setaffinity(self._upstream_pid, self._all)
        try:
            yield
        finally:
            os.sched_setaffinity(self._upstream_pid, self._other)

    @contextmanager
    def _running(self, server: Server, place: Place, cores: set[int]) -> Iterator["Running"]:
        """The server from its first answer on, and not longer than the block lasts."""
        log = place.folder / "log"
        command = ["taskset", "-c", ",".join(map(str, sorted(cores))), *server.command]
        began = time.perf_counter()
        with (
            log.open("wb") as written,
            subprocess.Popen(command, stdout=written, stderr=written, env={**os.environ, **server.environment}) as process,
        ):
            try:
                port = _port_in(log, process) if server.says_port else place.port
                first_answer(port, server.question, lambda: process.poll() is None)
                yield Running(process.pid, port, server.question, place.workers, time.perf_counter() - began)
            except ConnectionError as error:
                raise LeftOut(f"{error}; its log ends: {log.read_text(errors='replace').strip()[-300:]}") from None
            finally:
                stop(process)


class Running(NamedTuple):
    """A server that answers."""

    pid: int
    port: int
    question: Question
    workers: int
    start_s: float
    """From its start to its first answer."""

    def cpu_s(self) -> float:
        """What all its processes have taken."""
        return sum(self.cpu_of().values())

    def cpu_of(self) -> dict[int, float]:
        """What each of its processes has taken."""
        return {pid: cpu_s(pid) for pid in tree(self.pid)}

    def worker_pids(self) -> list[int]:
        """Those that answer: the largest, but for their parent."""
        children = sorted((pid for pid in tree(self.pid) if pid != self.pid), key=memory_mb)
        return children[-self.workers :] if len(children) >= self.workers else [self.pid]

    def memory_mb(self) -> float:
        """What the largest of its workers has in memory."""
        return max(map(memory_mb, self.worker_pids()))


def _told(seen: Load) -> dict[str, Any]:
    return {
        "requests": seen.requests,
        "requests_per_s": round(seen.requests / seen.seconds),
        "p50_ms": round(seen.p50_ms, 3),
        "p99_ms": round(seen.p99_ms, 3),
    }


def tree(pid: int) -> list[int]:
    """A process and those that came of it, without what ends meanwhile."""
    children: list[int] = []
    with suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(FileNotFoundError, ProcessLookupError):
                children += map(int, (task / "children").read_text().split())
    return [pid, *(one for child in children for one in tree(child))]


def cpu_s(pid: int) -> float:
    """User and system time of a process, all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> float:
    """What of a process lies in memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def first_answer(port: int, question: Question, is_alive: Callable[[], bool]) -> None:
    """Asks until somebody answers. Raises LeftOut where nobody does, and WrongAnswer where it is no answer."""
    until = time.monotonic() + _START_S
    while is_alive() and time.monotonic() < until:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=_START_S) as one:
                one.sendall(question.bytes(port, stream=False))
                said = bytearray()
                while not is_whole(said):
                    if not (piece := one.recv(65_536)):
                        raise ConnectionResetError("hung up")
                    said += piece
        except ConnectionError:
            time.sleep(0.002)
            continue
        if not said.startswith(b"HTTP/1.1 200"):
            raise wrong(said)
        return
    raise ConnectionRefusedError(f"nobody answers on port {port}" if is_alive() else "it ended at its start")


def _port_in(log: Path, process: "subprocess.Popen[bytes]") -> int:
    """The port that a server says it listens on."""
    until = time.monotonic() + _START_S
    while process.poll() is None and time.monotonic() < until:
        if told := re.search(r"at http://[^:/]+:(\d+)", log.read_text(errors="replace")):
            return int(told[1])
        time.sleep(0.002)
    raise ConnectionRefusedError("it named no port")


def stop(process: "subprocess.Popen[bytes]") -> None:
    """Ends a server and those that came of it."""
    pids = tree(process.pid) if process.poll() is None else []
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
