"""How fast calls come into the journal, how long a request waits for its commit, and what that takes of memory and disk.

    python bench/journal.py --check              # 100,000 calls of 1 KB, on SQLite and, with FREEHOLD_TEST_POSTGRES, on PostgreSQL

Per database: `append` stores ready-made calls in batches, `import` reads them from a file of recorded calls (JSON, checks, prices, hashes),
`import_scored` the same with a score each, `writer` is 64 concurrent clients of the group commit at each durability. Each part runs in a
process of its own; memory is its peak after a tenth of the work against its peak at the end. Making the records is not counted.
"""

import argparse
import asyncio
import json
import os
import random
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec

from freehold.catalog import Catalog, Durability
from freehold.chat import Usage
from freehold.journal import read
from freehold.journal.build import new_call_id
from freehold.journal.call import Call, Feedback
from freehold.journal.ingest import IngestOptions, ingest
from freehold.journal.redact import redact_text
from freehold.journal.write import Appended, Writer, append_many
from freehold.pricing.book import PriceBook
from freehold.store.open import open_store
from harness import add_arguments, emit

BATCH = 2_000
CLIENTS = 64
BEGAN = datetime(2026, 3, 4, 12, tzinfo=UTC)
WORDS = [f"{word}{n}" for n in range(400) for word in ("card", "transfer", "when", "my", "limit", "why", "account", "abroad")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--rows", type=int, help="calls; 100,000, or 20,000 with --quick")
    options = parser.parse_args()
    rows = options.rows or (20_000 if options.quick else 100_000)
    result: dict[str, object] = {"rows": rows, "batch": BATCH, "clients": CLIENTS, "redact": apart(redaction)}
    result["sqlite"] = measured(lambda: alone("sqlite:///freehold.db"), rows, options.quick)
    server = os.environ.get("FREEHOLD_TEST_POSTGRES")
    if server:
        result["postgres"] = measured(lambda: schema_on(server), rows, options.quick)
    else:
        result["left_out"] = "postgres: FREEHOLD_TEST_POSTGRES names no server"
    emit("journal", result, options.check)


def measured(place: Callable[[], Any], rows: int, quick: bool) -> dict[str, float]:
    """Every part on one database, each in an empty place of its own."""
    found: dict[str, float] = {}
    with place() as (url, folder):
        found |= apart(appending, url, folder, rows)
        found |= apart(reading, url, folder)
    with tempfile.TemporaryDirectory() as logs:
        for name, scored in (("import", False), ("import_scored", True)):
            log = Path(logs) / f"{name}.jsonl"
            write_log(log, rows, scored)
            with place() as (url, folder):
                part = apart(importing, url, folder, log, rows)
            found |= {f"{name}_calls_per_s": part["calls_per_s"], f"{name}_cpu_us": part["cpu_us"]}
            found |= {} if scored else {"memory_growth_mb": part["growth_mb"]}
    durabilities: tuple[Durability, ...] = ("process", "power")
    for durability in durabilities:
        with place() as (url, folder):
            part = apart(writing, url, folder, durability, 2.0 if quick else 10.0)
        found |= {f"writer_{durability}_{key}": value for key, value in part.items()}
    return found


def apart(part: Callable[..., dict[str, float]], *arguments: object) -> dict[str, float]:
    """Runs a part in a fresh process."""
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        return process.submit(part, *arguments).result()


def appending(url: str, folder: Path, rows: int) -> dict[str, float]:
    """Ready-made calls, in batches."""
    wal, largest, seconds, cpu_s, early_mb = folder / "freehold.db-wal", 0, 0.0, 0.0, 0.0
    with open_store(url, folder) as store:
        for first in range(0, rows, BATCH):
            calls = [a_call(n) for n in range(first, min(first + BATCH, rows))]
            began, cpu = time.perf_counter(), time.process_time()
            assert append_many(store, calls).added == len(calls)
            seconds += time.perf_counter() - began
            cpu_s += time.process_time() - cpu
            largest = max(largest, wal.stat().st_size if wal.exists() else 0)
            if first <= rows // 10:
                early_mb = peak_mb()
    found = {"append_calls_per_s": rows / seconds, "append_us": seconds / rows * 1e6, "append_cpu_us": cpu_s / rows * 1e6}
    found["append_memory_growth_mb"] = peak_mb() - early_mb
    return rounded(found | ({"wal_max_mb": largest / 2**20} if largest else {}))


def reading(url: str, folder: Path) -> dict[str, float]:
    """What certifying reads, and whole calls."""
    with open_store(url, folder) as store:
        began = time.perf_counter()
        columns = sum(len(batch) for batch in read.answers(store, "default", "triage"))
        between = time.perf_counter()
        whole = sum(1 for _ in read.calls(store, "default", "triage"))
        ended = time.perf_counter()
    return rounded({"answers_per_s": columns / (between - began), "read_calls_per_s": whole / (ended - between)})


def importing(url: str, folder: Path, log: Path, rows: int) -> dict[str, float]:
    """A file of recorded calls, as `freehold import` reads it."""
    early_mb = 0.0

    def progress(found: Any) -> None:
        nonlocal early_mb
        if found.lines <= rows // 10:
            early_mb = peak_mb()

    with open_store(url, folder) as store:

        def sink(calls: Sequence[Call], feedback: Sequence[Feedback], /) -> Appended:
            return append_many(store, calls, feedback)

        began, cpu = time.perf_counter(), time.process_time()
        report = ingest([str(log)], sink, IngestOptions(), Catalog(), PriceBook(), progress)
        seconds, cpu_s = time.perf_counter() - began, time.process_time() - cpu
    assert report.added == rows, report
    return rounded({"calls_per_s": rows / seconds, "cpu_us": cpu_s / rows * 1e6, "growth_mb": peak_mb() - early_mb})


def writing(url: str, folder: Path, durability: Durability, lasting_s: float) -> dict[str, float]:
    """Concurrent clients, each of which appends its next call when the last one is durable."""
    waits: list[float] = []

    async def serve() -> float:
        with open_store(url, folder, durability) as store:
            writer = Writer(store)
            await writer.append(a_call(10**9))
            began = time.perf_counter()

            async def client(name: int) -> None:
                n = name * 10**7
                while time.perf_counter() - began < lasting_s:
                    call = msgspec.structs.replace(a_call(n), id=new_call_id())  # as the gateway makes them
                    asked = time.perf_counter()
                    await writer.append(call)
                    waits.append(time.perf_counter() - asked)
                    n += 1

            await asyncio.gather(*(client(name) for name in range(CLIENTS)))
            seconds = time.perf_counter() - began
            await writer.close()
            return seconds

    seconds = asyncio.run(serve())
    waits.sort()
    at = {name: waits[int(share * len(waits))] * 1e3 for name, share in (("p50_ms", 0.5), ("p99_ms", 0.99))}
    return rounded({"calls_per_s": len(waits) / seconds} | at)


def redaction() -> dict[str, float]:
    """Microseconds for each KB of prose without anything to take out, and with a person's details in every KB."""
    rng = random.Random(0)
    plain = " ".join(rng.choices([word.rstrip("0123456789") for word in WORDS], k=200))[:1024]
    personal = plain[:900] + " ann@example.com, +49 171 1234567, DE89 3704 0044 0532 0130 00, 192.168.1.254"
    found = {}
    for name, text in (("plain", plain), ("personal", personal)):
        best = min(timed(lambda text=text: redact_text(text), 200) for _ in range(5))  # type: ignore[misc]
        found[f"{name}_us_per_kb"] = best / len(text) * 1024 * 1e6
    return rounded(found)


def timed(work: Callable[[], object], times: int) -> float:
    """Seconds of processor that `work` takes once, over `times`."""
    began = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - began) / times


def a_call(n: int) -> Call:
    """A call of some 1 KB as JSON."""
    return Call(
        id=blake2b(n.to_bytes(8, "big"), digest_size=16).hexdigest(),
        task="triage",
        variant="frontier",
        item=f"item-{n}",
        input=text(n),
        output={"queue": "cards", "urgent": n % 2 == 0},
        output_digest=f"{n % 2:032}",
        usage=Usage(input_tokens=180, output_tokens=9),
        cost_usd=0.00031,
        price_id="recorded",
        latency_s=0.4,
        at=BEGAN + timedelta(seconds=n % 10**6),
        tags={"tier": "gold"},
        shape="0123456789",
    )


def write_log(log: Path, rows: int, scored: bool) -> None:
    """The same calls as a log of native records, 1 KB a line."""
    with log.open("w") as file:
        for n in range(rows):
            record = {
                "task": "triage", "item": f"item-{n}", "input": text(n), "variant": "frontier",
                "output": {"queue": "cards", "urgent": n % 2 == 0}, "usage": {"input_tokens": 180, "output_tokens": 9},
                "cost_usd": 0.00031, "latency_ms": 400, "tags": {"tier": "gold"}, "at": (BEGAN + timedelta(seconds=n)).isoformat(),
            }  # fmt: skip
            file.write(json.dumps(record | ({"scores": {"correct": n % 2}} if scored else {})) + "\n")


def text(n: int) -> str:
    """Some 750 characters that no other call has."""
    rng = random.Random(n)
    return " ".join(rng.choices(WORDS, k=90))[:750]


def peak_mb() -> float:
    """The most memory this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def rounded(found: dict[str, float]) -> dict[str, float]:
    return {name: float(f"{value:.4g}") for name, value in found.items()}


@contextmanager
def alone(url: str) -> Iterator[tuple[str, Path]]:
    with tempfile.TemporaryDirectory() as folder:
        yield url, Path(folder)


@contextmanager
def schema_on(server: str) -> Iterator[tuple[str, Path]]:
    """A schema of its own, dropped afterwards."""
    import psycopg

    schema = f"freehold_bench_{uuid4().hex}"
    with tempfile.TemporaryDirectory() as folder, psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {schema}")
        try:
            yield f"{server}{'&' if '?' in server else '?'}options=-csearch_path%3D{schema}", Path(folder)
        finally:
            connection.execute("SET client_min_messages = warning")
            connection.execute(f"DROP SCHEMA {schema} CASCADE")


if __name__ == "__main__":
    main()
