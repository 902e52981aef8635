"""What does the gateway cost beside a plain proxy? CPU, latency and memory of one worker, in front of an upstream that answers at once.

The server under test has a core of its own; load and upstream share another. Every server gets the same requests of 1 KB over the same
number of kept connections: Freehold journalling every call (surviving the death of the process, or the loss of power too), the same handlers
behind plain ASGI, and nginx as the limit; without nginx installed --check falls short. CPU is user and system time of all the server's threads.

    python bench/gateway.py --check

A stream is 100 chunks of one word, each sent by itself; its cost per chunk is what it costs more than a whole answer. How many of them the
server reads at once depends on how busy it is.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import uvloop

from harness import add_arguments, emit

CHUNKS = 100
_ASKED = {"model": "frontier", "messages": [{"role": "user", "content": "x" * 900}]}
_USAGE = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
_CONFIG = """
[store]
durability = "{durability}"
[providers.one]
kind = "openai"
base_url = "http://127.0.0.1:{port}/v1"
[models.frontier]
provider = "one"
price = {{ input_per_mtok = 10.0, output_per_mtok = 100.0 }}
"""
_NGINX = """
worker_processes 1; daemon off; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 1000000000;
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c; uwsgi_temp_path {folder}/d;
  scgi_temp_path {folder}/e;
  upstream one {{ server 127.0.0.1:{upstream}; keepalive 64; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://one; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering {buffering}; }}
  }}
}}
"""


class Load(NamedTuple):
    """What a client saw."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    args = parser.parse_args()
    seconds = 1.0 if args.quick else 8.0
    cores = sorted(os.sched_getaffinity(0))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        port = free_port()
        upstream = multiprocessing.get_context("spawn").Process(target=serve_upstream, args=(port, cores[-1]), daemon=True)
        upstream.start()
        stack.callback(upstream.kill)
        wait_for(port)
        bare = Bench(seconds, cores, port)
        result: dict[str, Any] = {"upstream": {"p50_ms": round(bare.load(port, 1, stream=False).p50_ms, 3)}, "chunks": CHUNKS}
        if shutil.which("nginx"):
            result["nginx"] = bare.of_nginx(folder)
        else:
            result["left_out"] = "nginx: not installed (on Debian: apt-get install nginx-light), so that nothing is compared with it"
        kinds = {"process": [], "power": [], "plain_asgi": ["--plain-asgi"]}
        for name, options in kinds.items():
            if not args.quick or name == "process":
                result[name] = bare.of_freehold(folder / name, "power" if name == "power" else "process", options)
    emit("gateway", with_ratios(result), args.check)


def with_ratios(result: dict[str, Any]) -> dict[str, Any]:
    """What the gateway adds to asking the upstream itself, and how it stands to nginx."""
    ours = result["process"]
    ours["added_p50_ms"] = round(ours["c1"]["p50_ms"] - result["upstream"]["p50_ms"], 3)
    if "nginx" in result:
        ours["times_nginx"] = round(ours["c32"]["cpu_us"] / result["nginx"]["c32"]["cpu_us"], 2)
    return result


class Bench:
    """The same questions to each server."""

    def __init__(self, seconds: float, cores: list[int], upstream: int) -> None:
        self._seconds = seconds
        self._core, self._other = cores[0], cores[-1]
        self._upstream = upstream

    def of_freehold(self, folder: Path, durability: str, options: list[str]) -> dict[str, Any]:
        """Of a worker with a project of its own."""
        folder.mkdir()
        (folder / "freehold.toml").write_text(_CONFIG.format(durability=durability, port=self._upstream))
        port = free_port()
        run = [sys.executable, "-c", "from freehold.cli.app import main; main()", "serve", "--project", str(folder), "--port", str(port)]
        began = time.perf_counter()
        with self._running([*run, *options]) as process:
            wait_for(port)
            started = time.perf_counter() - began
            return {"start_s": round(started, 2), **self._measured(process.pid, port)}

    def of_nginx(self, folder: Path) -> dict[str, Any]:
        """Of nginx as a proxy, which neither reads nor keeps anything."""
        port = free_port()
        file = folder / "nginx.conf"
        file.write_text(_NGINX.format(folder=folder, upstream=self._upstream, port=port, buffering="off"))
        with self._running(["nginx", "-c", str(file)]) as process:
            wait_for(port)
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
            return self._measured(int(children[0]), port)

    def _measured(self, pid: int, port: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        self.load(port, 32, stream=False)  # until everything is warm
        resting = memory_mb(pid)
        for connections in (1, 32):
            before = cpu_s(pid)
            found = self.load(port, connections, stream=False)
            result[f"c{connections}"] = {
                "cpu_us": round((cpu_s(pid) - before) / found.requests * 1e6, 1),
                "requests_per_s": round(found.requests / found.seconds),
                "p50_ms": round(found.p50_ms, 3),
                "p99_ms": round(found.p99_ms, 3),
            }
        before = cpu_s(pid)
        found = self.load(port, 32, stream=True)
        each = (cpu_s(pid) - before) / found.requests * 1e6
        result["chunk_us"] = round((each - result["c32"]["cpu_us"]) / CHUNKS, 2)
        result["memory_mb"], result["memory_growth_mb"] = round(memory_mb(pid), 1), round(memory_mb(pid) - resting, 1)
        return result

    def load(self, port: int, connections: int, stream: bool) -> Load:
        """What a client sees that asks again as soon as it is answered."""
        context = multiprocessing.get_context("spawn")
        results: multiprocessing.Queue[Load] = context.Queue()
        process = context.Process(target=ask, args=(port, connections, self._seconds, stream, self._other, results), daemon=True)
        process.start()
        found = results.get(timeout=self._seconds + 60)
        process.join()
        return found

    @contextmanager
    def _running(self, command: list[str]) -> Iterator["subprocess.Popen[bytes]"]:
        with subprocess.Popen(["taskset", "-c", str(self._core), *command], stderr=subprocess.DEVNULL) as process:
            try:
                yield process
            finally:
                process.terminate()


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


def wait_for(port: int) -> None:
    until = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > until:
                raise SystemExit(f"nobody listens on port {port} after 30 s") from None
            time.sleep(0.005)


# The upstream: answers without looking, whole or as a stream.


def serve_upstream(port: int, core: int) -> None:
    os.sched_setaffinity(0, {core})
    about = {"id": "c", "object": "chat.completion", "created": 1_750_000_000, "model": "frontier"}
    message = {"role": "assistant", "content": "y" * 500}
    whole = json.dumps({**about, "choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": _USAGE}).encode()
    whole = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(whole), whole)
    piece = {**about, "object": "chat.completion.chunk"}
    events = [{**piece, "choices": [{"index": 0, "delta": {"content": "word "}, "finish_reason": None}]} for _ in range(CHUNKS)]
    events += [{**piece, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}, {**piece, "choices": [], "usage": _USAGE}]
    lines = [b"data: %b\n\n" % json.dumps(event).encode() for event in events] + [b"data: [DONE]\n\n"]
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    chunks = [b"%x\r\n%b\r\n" % (len(line), line) for line in lines]

    class Upstream(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport: Any = transport
            self.buffer = b""

        def data_received(self, data: bytes) -> None:
            self.buffer += data
            while (length := _whole_length(self.buffer)) is not None:
                request, self.buffer = self.buffer[:length], self.buffer[length:]
                if b'"stream":true' in request:
                    self.say(iter([head, *chunks, b"0\r\n\r\n"]))
                else:
                    self.transport.write(whole)

        def say(self, pieces: Iterator[bytes]) -> None:
            """Each in a round of the loop of its own, so that each is sent by itself."""
            if (piece := next(pieces, None)) is not None and not self.transport.is_closing():
                self.transport.write(piece)
                asyncio.get_running_loop().call_soon(self.say, pieces)

    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", port, backlog=1024)
        await server.serve_forever()

    uvloop.run(serve())


def _whole_length(buffer: bytes) -> int | None:
    """How long the message at the beginning is; None where it is not whole yet."""
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        return None
    found = buffer[:end].lower().partition(b"content-length: ")[2]
    length = end + 4 + int(found.partition(b"\r\n")[0] or 0)
    return length if len(buffer) >= length else None


# The client.


def ask(port: int, connections: int, seconds: float, stream: bool, core: int, results: "multiprocessing.Queue[Load]") -> None:
    os.sched_setaffinity(0, {core})
    body = json.dumps({**_ASKED, "stream": True} if stream else _ASKED, separators=(",", ":")).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncontent-type: application/json\r\n"
    request = head.encode() + b"content-length: %d\r\n\r\n%b" % (len(body), body)
    took: list[float] = []

    async def run() -> float:
        loop = asyncio.get_running_loop()
        began = loop.time()
        all_over = loop.create_future()
        open_connections = connections

        class Client(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                self.transport: Any = transport
                self.send()

            def send(self) -> None:
                self.buffer = b""
                self.at = time.perf_counter()
                self.transport.write(request)

            def data_received(self, data: bytes) -> None:
                nonlocal open_connections
                self.buffer += data
                if not (self.buffer.endswith(b"0\r\n\r\n") if stream else _whole_length(self.buffer) is not None):
                    return
                if not self.buffer.startswith(b"HTTP/1.1 200"):
                    all_over.set_exception(RuntimeError(repr(self.buffer[:300])))
                    return
                took.append(time.perf_counter() - self.at)
                if loop.time() - began < seconds:
                    self.send()
                    return
                self.transport.close()
                open_connections -= 1
                if not open_connections:
                    all_over.set_result(None)

        for _ in range(connections):
            await loop.create_connection(Client, "127.0.0.1", port)
        await all_over
        return loop.time() - began

    elapsed = uvloop.run(run())
    took.sort()
    results.put(Load(len(took), elapsed, took[len(took) // 2] * 1e3, took[int(len(took) * 0.99)] * 1e3))


if __name__ == "__main__":
    main()
