"""Kills a writer in the middle, again and again: is anything lost that was acknowledged, is anything there twice, does the journal open?

Each round forks a child that appends calls one by one from concurrent clients (odd rounds) or imports a file (even rounds), and kills it
with SIGKILL at a random moment after the first acknowledgement. Then the journal is opened as after any crash and compared with what the
child had been told is durable. In half of the rounds the log is cut very often, so that kills fall into that, too.

    python bench/crash.py --rounds 50 --check

PostgreSQL is FREEHOLD_TEST_POSTGRES; without it only SQLite runs.
"""

import argparse
import asyncio
import json
import os
import random
import select
import signal
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from uuid import uuid4

from freehold.catalog import Catalog
from freehold.errors import FreeholdError
from freehold.journal import read
from freehold.journal.call import Call, Feedback
from freehold.journal.ingest import IngestOptions, ingest
from freehold.journal.write import Appended, Writer, append_many
from freehold.pricing import PriceBook
from freehold.store import checkpoint
from freehold.store.open import Store, open_store
from freehold.store.times import moment
from harness import add_arguments, emit

CLIENTS = 16
LINES = 8_000
_NOW = moment(1_772_625_600_000_000)
_FIRST_S = 60.0


class Tally:
    """What became of one database."""

    def __init__(self) -> None:
        self.counts = {"kills": 0, "lost": 0, "doubled": 0, "unopened": 0, "acknowledged": 0}
        self.imported = 0

    def add(self, name: str, count: int = 1) -> None:
        self.counts[name] += count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--rounds", type=int, help="kills on each database; 50, or 6 with --quick")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rounds = options.rounds or (6 if options.quick else 50)
    rng = random.Random(options.seed)
    result: dict[str, object] = {"rounds": rounds, "seed": options.seed}
    with tempfile.TemporaryDirectory() as folder:
        result["sqlite"] = crashed("sqlite:///freehold.db", Path(folder), rounds, rng)
    server = os.environ.get("FREEHOLD_TEST_POSTGRES")
    if server:
        with tempfile.TemporaryDirectory() as folder, schema_on(server) as url:
            result["postgres"] = crashed(url, Path(folder), rounds, rng)
    else:
        result["left_out"] = "postgres: FREEHOLD_TEST_POSTGRES names no server"
    emit("crash", result, options.check)


def crashed(url: str, folder: Path, rounds: int, rng: random.Random) -> dict[str, int]:
    """Runs the rounds on one database."""
    tally = Tally()
    log = folder / "log.jsonl"
    open_store(url, folder).close()  # so that no round is about migrating
    for round in range(rounds):
        seed, cut_often = rng.getrandbits(32), bool(round // 2 % 2)
        if round % 2:
            told = killed(lambda tell, seed=seed: append(url, folder, seed, tell), cut_often, rng)  # type: ignore[misc]
            check(url, folder, tally, lambda store, told=told: check_appended(store, told, tally))  # type: ignore[misc]
        else:
            write_log(log, seed)
            told = killed(lambda tell: bring_in(url, folder, log, tell), cut_often, rng)
            check(url, folder, tally, lambda store, told=told: check_imported(store, told, log, tally))  # type: ignore[misc]
        tally.add("kills")
    return tally.counts


def killed(work: Callable[[Callable[[str], None]], None], cut_often: bool, rng: random.Random) -> list[str]:
    """What a child was told before it was killed, as it passed it on: whole lines only."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(reader)
            if cut_often:
                checkpoint.SOFT_BYTES, checkpoint.HARD_BYTES = 100_000, 400_000
            work(lambda line: _tell(writer, line))
            code = 0
        finally:
            os._exit(code)
    os.close(writer)
    told = b""
    deadline: float | None = None
    began = time.monotonic()
    while deadline is None or time.monotonic() < deadline:
        wait = _FIRST_S if deadline is None else max(0.0, deadline - time.monotonic())
        if select.select([reader], [], [], wait)[0]:
            data = os.read(reader, 1 << 16)
            if not data:  # it had done everything before its time
                break
            told += data
            if deadline is None:
                deadline = time.monotonic() + rng.uniform(0.0, 0.4)
        elif deadline is None:
            raise SystemExit(f"the child acknowledged nothing in {time.monotonic() - began:.0f} s")
    os.kill(child, signal.SIGKILL)
    while data := os.read(reader, 1 << 16):
        told += data
    os.close(reader)
    os.waitpid(child, 0)
    return told.decode().splitlines() if told.endswith(b"\n") else told.decode().splitlines()[:-1]


def _tell(writer: int, line: str) -> None:
    os.write(writer, line.encode() + b"\n")


def append(url: str, folder: Path, seed: int, tell: Callable[[str], None]) -> None:
    """Concurrent clients append calls with a score each, and tell each id once it is durable."""
    rng = random.Random(seed)

    async def serve() -> None:
        with open_store(url, folder) as store:
            writer = Writer(store)

            async def client(name: int) -> None:
                for n in range(10_000):
                    call = Call(id=f"{seed}-{name}-{n}", variant="v", item=f"{n}", input=f"{seed} {name} {n} " * rng.choice([1, 50, 8_000]))
                    await writer.append(call, [Feedback(id=f"f {call.id}", call=call.id, metric="m", value=1.0, source="s", at=_NOW)])
                    tell(call.id)

            await asyncio.gather(*(client(name) for name in range(CLIENTS)))

    asyncio.run(serve())


def bring_in(url: str, folder: Path, log: Path, tell: Callable[[str], None]) -> None:
    """Imports the log and tells how many calls each batch made durable."""
    with open_store(url, folder) as store:
        import_log(store, log, lambda added: tell(str(added)))


def import_log(store: Store, log: Path, tell: Callable[[int], None]) -> None:
    """Imports a log, telling after each batch how many calls are durable."""

    def sink(calls: Sequence[Call], feedback: Sequence[Feedback], /) -> Appended:
        return append_many(store, calls, feedback)

    ingest([str(log)], sink, IngestOptions(), Catalog(), PriceBook(), lambda progress: tell(progress.added))


def write_log(log: Path, seed: int) -> None:
    """Recorded calls of a task that no other round has."""
    with log.open("w") as file:
        for n in range(LINES):
            record = {
                "task": f"task{seed}",
                "item": f"{n}",
                "variant": "v",
                "input": f"{seed} {n} " * 20,
                "output": n % 7,
                "scores": {"m": n % 2},
            }
            file.write(json.dumps(record) + "\n")


def check(url: str, folder: Path, tally: Tally, look: Callable[[Store], None]) -> None:
    """Opens the journal as after any crash, and looks."""
    try:
        with open_store(url, folder) as store:
            look(store)
    except FreeholdError as error:
        print(f"crash: {error}", file=sys.stderr)
        tally.add("unopened")
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(folder / "freehold.db")) as connection:
            if connection.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
                tally.add("unopened")


def check_appended(store: Store, told: list[str], tally: Tally) -> None:
    """Every id that was told is there with its input and its score; nothing is there twice."""
    tally.add("acknowledged", len(told))
    with store.reading() as connection:
        found = read.calls_by_id(store, connection, told)
        said = read.feedback_by_id(connection, [f"f {call}" for call in told])
        tally.add("doubled", _doubled(store))
    intact = {call.id for call in found.values() if call.input and call.input.startswith(call.id.replace("-", " "))}
    tally.add("lost", len(set(told) - intact) + len(set(told) - {one.call for one in said.values()}))


def check_imported(store: Store, told: list[str], log: Path, tally: Tally) -> None:
    """As many are there as were told, or more; importing the file again makes it whole, each line once."""
    task = log.read_text().partition('"task": "')[2].partition('"')[0]
    durable = int(told[-1]) if told else 0
    tally.add("acknowledged", durable)
    there = read.counts(store, "default").tasks.get(task, 0)
    tally.add("lost", max(0, durable - there))
    import_log(store, log, lambda _: None)
    after = read.counts(store, "default").tasks.get(task, 0)
    scored = sum(len(batch) for batch in read.scores(store, "default", task, "m"))
    tally.add("lost", max(0, LINES - after) + max(0, LINES - scored))
    tally.add("doubled", max(0, after - LINES) + max(0, scored - LINES) + _doubled(store))


def _doubled(store: Store) -> int:
    """Rows of one id, counted without the index that is to keep them out."""
    with store.reading() as connection:
        return sum(
            int(connection.exec_driver_sql(f"SELECT count(*) - count(DISTINCT id || '') FROM {table}").scalar_one())
            for table in ("calls", "feedback")
        )


@contextmanager
def schema_on(server: str) -> Iterator[str]:
    """A schema of its own, dropped afterwards."""
    import psycopg

    schema = f"freehold_crash_{uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {schema}")
        try:
            yield f"{server}{'&' if '?' in server else '?'}options=-csearch_path%3D{schema}"
        finally:
            connection.execute("SET client_min_messages = warning")
            connection.execute(f"DROP SCHEMA {schema} CASCADE")


if __name__ == "__main__":
    main()
