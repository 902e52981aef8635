"""What is lost, doubled or told wrongly when everything around the gateway fails? Its providers, its processes, its journal's store.

Clients ask by either door, whole and streamed, by a model's name and by a task with a policy. Their providers answer 429, 500 and garbage,
stall and hang up before and after the first byte, split characters, send huge pieces and leave usage out. Meanwhile:

leaks    nothing else happens; in the end the workers have as many files open as before, and no more memory
kills    every few seconds a worker gets SIGKILL, every fourth time all processes do
stop     SIGTERM while answers are under way, whole and streamed, one of which never ends by itself
locked   another program holds the journal's database
full     the disk with the database is full
postgres   the database's server is away
unopened   nothing in the folder with the database can be opened or made any more; what is open goes on being written

Whatever a client was told from beginning to end is an acknowledged call. It has to be in the journal once, with its true outcome, its true
cost and every attempt the provider knows of. The last four also count requests that failed: the journal waits beside its store, so none may.
`spooled` says of the first three of those that their store did fail.

All of them come with a key that has a budget, and so the ledger has to be right as well: one settlement of each call, at its cost; balances that
are what its rows add up to; nothing held back but for calls that died with their worker, and that charged once its time is over.

    python bench/faults.py --check

PostgreSQL is FREEHOLD_TEST_POSTGRES; without it that part is left out. A full disk is a small one of memory, which only root can make.
"""

import argparse
import asyncio
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, closing, suppress
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

from crash import schema_on
from faults_clients import Clients
from faults_judge import WRONG, compared, doubled, lost, number_of
from faults_ledger import WRONG as WRONG_LEDGER
from faults_ledger import Deaths, held_back, ledger_of
from faults_upstream import ANSWERS, OUTCOMES, Does, Proxy, Upstream
from freehold.journal import read
from freehold.store.open import open_store
from gateway import free_port, memory_mb, tree
from harness import add_arguments, emit

CLIENTS = 24
WORKERS = 2
_SPOOL_S = 30.0
_FREEHOLD = (sys.executable, "-c", "from freehold.cli.app import main; main()")
_TOML = """
[store]
url = "{store}"
[providers.one]
kind = "openai"
base_url = "http://127.0.0.1:{upstream}/v1"
[providers.two]
kind = "anthropic"
base_url = "http://127.0.0.1:{upstream}/v1"
[models.gpt]
provider = "one"
price = {{ input_per_mtok = 10.0, output_per_mtok = 100.0 }}
serving = {{ retries = 0, first_byte_s = 0.5, between_s = 0.5 }}
[models.claude]
provider = "two"
price = {{ input_per_mtok = 10.0, output_per_mtok = 100.0 }}
serving = {{ retries = 1, first_byte_s = 0.5, between_s = 0.5 }}
[models.safe]
provider = "one"
price = {{ input_per_mtok = 10.0, output_per_mtok = 100.0 }}
serving = {{ retries = 0, first_byte_s = 0.5, between_s = 0.5, fallbacks = ["claude"] }}
[tasks.triage]
reference = "claude"
variants = ["claude", "gpt"]
allow_uncertified = true
"""
_DAY_USD = 1e6
"""More than is ever held back at one time."""
_POLICY = 'task triage\nwhen tag.tier == "gold" use gpt\nwhen chars > 4000 use gpt\notherwise use claude\n'


class Seconds(NamedTuple):
    """How long each part takes."""

    leaks: float
    kills: float
    outage: float
    between_kills: float


LONG = Seconds(60.0, 220.0, 60.0, 3.0)
QUICK = Seconds(4.0, 8.0, 2.5, 2.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=[*PARTS], help="these parts alone")
    options = parser.parse_args()
    result: dict[str, Any] = {"clients": CLIENTS, "workers": WORKERS, "seed": options.seed}
    left_out: dict[str, str] = {}
    for name in options.only or PARTS:
        print(f"faults: {name}", file=sys.stderr)
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            try:
                result[name] = asyncio.run(Bench(Path(folder), options.seed, options.quick).part(name))
            except LeftOut as reason:
                left_out[name] = str(reason)
                print(f"faults: left out: {name}: {reason}", file=sys.stderr)
    result["all"] = summed([part for part in result.values() if isinstance(part, dict)])
    emit("faults", result | ({"left_out": left_out} if left_out else {}), options.check)


def summed(parts: list[dict[str, Any]]) -> dict[str, int]:
    """What must be nothing, over all parts that ran."""
    counted = {
        name: sum(part.get(name, 0) for part in parts)
        for name in (*WRONG, *WRONG_LEDGER, "doubled", "failed", "unanswered", "connections_left")
    }
    return counted | {
        "hung": sum(part["ends"]["hung"] for part in parts),
        "bad_ends": sum(part.get("exit_status", 0) != 0 for part in parts),
    }


class LeftOut(Exception):
    """A part cannot be run here, and why."""


class Bench:
    """One part: its providers, its clients, its gateway."""

    def __init__(self, folder: Path, seed: int, quick: bool) -> None:
        self.folder = folder
        self.quick = quick
        self.seconds = QUICK if quick else LONG
        self.rng = random.Random(seed)
        self.faulty = True
        self.upstream = Upstream(self._draw)
        self.store_url = "sqlite:///freehold.db"
        self.direct_url: str | None = None
        """Where the journal is found without what stands before it."""
        self.run: tuple[str, ...] = ()
        """What the gateway is run by, if anything."""
        self.secret = ""
        """Of the clients' key."""

    async def part(self, name: str) -> dict[str, Any]:
        """Runs it."""
        async with AsyncExitStack() as stack:
            port = await stack.enter_async_context(self.upstream.running())
            with ExitStack() as resources:
                return await PARTS[name](self, port, resources)

    def _draw(self, number: int, before: int) -> Does:
        rng = random.Random(f"{number} {before}")
        if not self.faulty or rng.random() < 0.85:  # more of them, and breakers keep most requests from their models
            return rng.choices(ANSWERS, (12, 3, 1, 1, 1))[0]
        return rng.choice([does for does in OUTCOMES if does not in ANSWERS and does is not Does.ENDLESS])

    def write(self, upstream: int) -> None:
        """The project, with a policy that serves and a key with a budget."""
        (self.folder / "freehold.toml").write_text(_TOML.format(store=self.store_url, upstream=upstream))
        (self.folder / "triage.policy").write_text(_POLICY)
        self._command("policy", "add", str(self.folder / "triage.policy"))
        self._command("promote", "triage")
        self.secret = json.loads(self._command("keys", "create", "--day-usd", str(_DAY_USD), "--json"))["secret"]

    def _command(self, *command: str) -> bytes:
        return subprocess.run([*_FREEHOLD, *command, "--project", str(self.folder)], check=True, stdout=subprocess.PIPE).stdout

    @asynccontextmanager
    async def serving(self, port: int) -> AsyncIterator["subprocess.Popen[bytes]"]:
        """The gateway, ended in the end as it is meant to be."""
        process = await self.started(port)
        try:
            yield process
        finally:
            await ended(process)

    async def started(self, port: int) -> "subprocess.Popen[bytes]":
        """The gateway, once it answers."""
        command = [*self.run, *_FREEHOLD, "serve", "--project", str(self.folder), "--port", str(port), "--workers", str(WORKERS)]
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        until = time.monotonic() + 30
        while not await answers(port):
            if process.poll() is not None or time.monotonic() > until:
                raise SystemExit(f"the gateway does not answer; its log ends: {self.log()[-1500:]}")
            await asyncio.sleep(0.02)
        return process

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def clients(self, port: int, numbers: "count[int]", leave: bool = True) -> Clients:
        return Clients(port, self.rng, numbers, self.secret, leave)

    async def judged(self, clients: Clients, has_killed: bool = False) -> dict[str, Any]:
        """What clients were told beside what journal and ledger have, as soon as what waited beside them is in there.

        `has_killed`: whether calls may have died, so that what was held back for them still is.
        """
        return await asyncio.to_thread(self._judged, clients, has_killed)

    def _judged(self, clients: Clients, has_killed: bool) -> dict[str, Any]:
        asked = self.upstream.asked
        with open_store(self.direct_url or self.store_url, self.folder) as store:
            until = time.monotonic() + _SPOOL_S
            while True:
                found = {call.id: call for call in read.calls(store, "default")}
                is_in = not lost(clients.heard, asked, found) and (has_killed or not held_back(store))
                if is_in or time.monotonic() > until:
                    break
                time.sleep(0.2)
            kept = {number_of(call) for call in found.values()}
            deaths = Deaths(len({*asked} - kept), len(clients.unheard - kept) if has_killed else 0)
            wrong = {**compared(clients.heard, asked, found), "doubled": doubled(store, found), **ledger_of(store, found, deaths)}
            return {"acknowledged": len(clients.heard), "ends": clients.ends, **wrong}


async def answers(port: int) -> bool:
    """Whether somebody is there."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(f"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\n\r\n".encode())
            async with asyncio.timeout(5):
                return (await reader.readline()).startswith(b"HTTP/1.1 200")
        finally:
            writer.transport.abort()
    except (OSError, TimeoutError):
        return False


async def ended(process: "subprocess.Popen[bytes]", within_s: float = 40.0) -> int:
    """Tells the gateway to stop; its exit status, which is that of a kill where it did not stop."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        return await asyncio.to_thread(process.wait, within_s)
    except subprocess.TimeoutExpired:
        killed(tree(process.pid))
        return -signal.SIGKILL


def killed(pids: list[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def workers_of(process: "subprocess.Popen[bytes]") -> list[int]:
    return [pid for pid in tree(process.pid) if pid != process.pid]


# The parts.


async def leaks(bench: Bench, upstream: int, _: ExitStack) -> dict[str, Any]:
    """Nothing but bad providers: what do workers still hold when everybody is gone?"""
    bench.write(upstream)
    port = free_port()
    async with bench.serving(port) as process:
        clients = bench.clients(port, count())
        await clients.ask(CLIENTS, bench.seconds.leaks / 4)
        before = await held(bench, process)
        await clients.ask(CLIENTS, bench.seconds.leaks)
        after = await held(bench, process)
    return {
        **await bench.judged(clients),
        "failed": clients.ends["broken off"],
        "connections_left": after.connections - before.connections,
        "files_left": after.files - before.files,
        "memory_growth_mb": round(after.memory_mb - before.memory_mb, 1),
    }


class Held(NamedTuple):
    """What workers have when nobody is there."""

    connections: int
    files: int
    """Open ones, connections among them. SQLite closes one of its own late, and the lock beside it is opened once more as soon as two
    threads want it at one time: there may be two more for each worker."""
    memory_mb: float
    """Of the largest worker."""


async def held(bench: Bench, process: "subprocess.Popen[bytes]") -> Held:
    """What all workers hold, as soon as that stays the same."""
    pids, before = workers_of(process), [""]
    for _ in range(50):
        bench.upstream.hang_up()
        await asyncio.sleep(0.2)
        files = [os.readlink(path) for pid in pids for path in Path(f"/proc/{pid}/fd").iterdir() if path.is_symlink()]  # noqa: PTH115
        if len(files) == len(before):
            break
        before = files
    return Held(sum(name.startswith("socket:") for name in files), len(files), max(map(memory_mb, pids)))


async def kills(bench: Bench, upstream: int, _: ExitStack) -> dict[str, Any]:
    """Workers die, and now and then all of them."""
    bench.write(upstream)
    port = free_port()
    process = await bench.started(port)
    clients = bench.clients(port, count())
    asking = asyncio.create_task(clients.ask(CLIENTS, bench.seconds.kills))
    deaths = 0
    while not asking.done():
        await asyncio.wait([asking], timeout=bench.seconds.between_kills * bench.rng.uniform(0.8, 1.2))
        if asking.done():
            break
        deaths += 1
        if deaths % 4:
            killed([bench.rng.choice(workers_of(process))])
        else:
            killed([process.pid, *workers_of(process)])
            process.wait()
            process = await bench.started(port)
    await asking
    code = await ended(process)
    return {"kills": deaths, **await bench.judged(clients, has_killed=True), "exit_status": code}


async def stop(bench: Bench, upstream: int, _: ExitStack) -> dict[str, Any]:
    """SIGTERM while answers are under way."""
    bench.write(upstream)
    bench.upstream.draw = lambda number, _: Does.ENDLESS if number == 0 and not bench.quick else Does.SLOW
    port = free_port()
    process = await bench.started(port)
    clients = bench.clients(port, count(), leave=False)
    asking = [asyncio.create_task(clients.ask_once(stream=number % 2 == 0)) for number in range(CLIENTS)]
    while len(bench.upstream.asked) < CLIENTS:
        await asyncio.sleep(0.01)
    began = time.monotonic()
    code = await ended(process)
    took = time.monotonic() - began
    await asyncio.gather(*asking)
    judged = await bench.judged(clients)
    return {**judged, "unanswered": CLIENTS - len(clients.heard), "ended_s": round(took, 2), "exit_status": code}


async def outage(bench: Bench, upstream: int, begin: Callable[[], None], end: Callable[[], None]) -> dict[str, Any]:
    """The store fails for a while and comes back, under requests that nothing else is wrong with."""
    bench.faulty = False
    port = free_port()
    async with bench.serving(port):
        clients = bench.clients(port, count(), leave=False)
        asking = asyncio.create_task(clients.ask(CLIENTS, bench.seconds.outage + 2.0))
        await asyncio.sleep(1.0)
        begin()
        await asyncio.sleep(bench.seconds.outage)
        end()
        await asking
        judged = await bench.judged(clients)
    ends = judged["ends"]
    return {**judged, "failed": ends["error"] + ends["broken off"] + ends["hung"], "spooled": int("journal.spooling" in bench.log())}


async def locked(bench: Bench, upstream: int, _: ExitStack) -> dict[str, Any]:
    """Another program holds the database."""
    bench.write(upstream)
    with closing(sqlite3.connect(bench.folder / "freehold.db", isolation_level=None, timeout=30)) as other:
        return await outage(bench, upstream, lambda: _run(other, "BEGIN IMMEDIATE"), lambda: _run(other, "ROLLBACK"))


def _run(connection: sqlite3.Connection, sql: str) -> None:
    connection.execute(sql)


async def full(bench: Bench, upstream: int, resources: ExitStack) -> dict[str, Any]:
    """The disk with the database is full; the project's folder, where calls wait, is on another one."""
    disk = bench.folder / "disk"
    disk.mkdir()
    # Room for a minute's calls and the log beside them, once the filler is gone: with 64 MB there was none, and all waited on, as it has to.
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512m", "tmpfs", str(disk)], capture_output=True, text=True, check=False)
    if made.returncode:
        raise LeftOut(f"no small disk can be made here: {made.stderr.strip()}")
    resources.callback(subprocess.run, ["umount", "-l", str(disk)], check=False)
    bench.store_url = f"sqlite:///{disk / 'freehold.db'}"
    bench.write(upstream)
    filler = disk / "filler"

    def fill() -> None:
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            with suppress(OSError):  # what is free in one piece, then the rest
                os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(disk).free)
                file.seek(0, os.SEEK_END)
            while True:
                file.write(b"\0" * 65_536)

    # Beside the providers, who answer from this process: on a slow machine filling it takes longer than they may stay silent.
    return await outage(bench, upstream, threading.Thread(target=fill).start, filler.unlink)


async def postgres(bench: Bench, upstream: int, resources: ExitStack) -> dict[str, Any]:
    """The database's server is away: the line to it is cut."""
    server = os.environ.get("FREEHOLD_TEST_POSTGRES")
    if not server:
        raise LeftOut("FREEHOLD_TEST_POSTGRES names no server")
    bench.direct_url = resources.enter_context(schema_on(server))
    parts = urlsplit(bench.direct_url)
    proxy = Proxy(parts.hostname or "127.0.0.1", parts.port or 5432)
    async with proxy.running() as port:
        user = f"{parts.username}@" if parts.username else ""
        bench.store_url = urlunsplit(parts._replace(netloc=f"{user}127.0.0.1:{port}"))
        await asyncio.to_thread(bench.write, upstream)
        return await outage(bench, upstream, proxy.cut, proxy.mend)


async def unopened(bench: Bench, upstream: int, _: ExitStack) -> dict[str, Any]:
    """Files of the database cannot be opened any more, which takes nothing from those that are open: the store goes on, and has to. Root may
    open everything, unless the gateway's processes are kept from it."""
    store = bench.folder / "store"
    store.mkdir()
    bench.store_url = f"sqlite:///{store / 'freehold.db'}"
    bench.write(upstream)
    if os.getuid() == 0:
        bench.run = ("setpriv", "--bounding-set", "-dac_override")

    def allow(file: int, folder: int) -> None:
        for path in store.iterdir():
            path.chmod(file)
        store.chmod(folder)

    return await outage(bench, upstream, lambda: allow(0o400, 0o500), lambda: allow(0o600, 0o700))


PARTS: dict[str, Callable[[Bench, int, ExitStack], Awaitable[dict[str, Any]]]] = {
    "leaks": leaks,
    "kills": kills,
    "stop": stop,
    "locked": locked,
    "full": full,
    "postgres": postgres,
    "unopened": unopened,
}


if __name__ == "__main__":
    main()
