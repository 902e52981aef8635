"""Is a budget ever overspent, and is a call ever refused that should not be? Many clients, workers that are killed, and a recount from rows.

    python bench/ledger.py --check

Four processes of 64 clients each reserve, wait, and settle against nested budgets that are nearly always exhausted, through the writer that
the gateway has. Now and then one of the processes gets SIGKILL, and another takes its place; what it held back expires at its deadline; some
calls are settled only after that. Half a day passes in a second, so that days and a month begin anew. Afterwards the ledger's rows are played
again in their order: each reservation has to have been within every limit at its moment, each refusal beyond the one that it names, with the
sums that it was told. `cost` is what the ledger adds to a call in groups of 30: microseconds of the fastest quarter of the groups.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from crash import schema_on
from freehold.errors import FreeholdError
from freehold.gateway.budget import DAY_US, PROJECT, BudgetExceeded, Scope, month_of, scope_names
from freehold.gateway.expire import expire
from freehold.gateway.ledger import Account, Reservation, Settlement
from freehold.gateway.recount import recount
from freehold.gateway.tariff import released
from freehold.journal.build import new_call_id
from freehold.journal.call import Call
from freehold.journal.spool import Entry
from freehold.journal.write import Writer, append_each
from freehold.store.open import Store, open_store
from harness import add_arguments, emit

PROCESSES, CLIENTS = 4, 64
BEGAN = datetime(2026, 2, 28, 0, tzinfo=UTC)
SECOND = timedelta(hours=12)
"""How much time passes in a second."""
ESTIMATE = (1, 100)
"""What calls may cost, in billionths of a dollar, from and to."""
DEADLINE_S, LATE_S = 1.0, 1.6
LIMITS = {
    "key:0": Scope("key:0", 2_000, None, None),
    "key:1": Scope("key:1", None, None, 30_000),
    "key:2": Scope("key:2", 4_000, 30_000, None),
    "team:a": Scope("team:a", 6_000, None, None),
    "team:b": Scope("team:b", None, 80_000, None),
    PROJECT: Scope(PROJECT, 20_000, 300_000, None),
}
"""By scope; the other keys have none of their own."""
TEAMS = {"0": "a", "1": "a", "2": "b", "3": "b", "4": None, "5": None}


class Told(NamedTuple):
    """What clients noted down before their process was killed."""

    settled: dict[str, int]
    """What each call that was acknowledged was charged."""
    reserved: set[str]
    """Calls that were let through."""
    refused: list[dict[str, Any]]
    """What each refusal said."""
    failed: list[str]
    """What went wrong otherwise."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--seconds", type=float, help="on each database; 60, or 5 with --quick")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    seconds = options.seconds or (5.0 if options.quick else 60.0)
    rng = random.Random(options.seed)
    result: dict[str, object] = {"processes": PROCESSES, "clients": CLIENTS, "seconds": seconds, "seed": options.seed}
    with tempfile.TemporaryDirectory() as folder:
        result["sqlite"] = stormed("sqlite:///freehold.db", Path(folder), seconds, rng)
        result["sqlite_cost"] = cost("sqlite:///cost.db", Path(folder), 40 if options.quick else 400)
    server = os.environ.get("FREEHOLD_TEST_POSTGRES")
    if server:
        with tempfile.TemporaryDirectory() as folder, schema_on(server) as url:
            result["postgres"] = stormed(url, Path(folder), seconds, rng)
        with tempfile.TemporaryDirectory() as folder, schema_on(server) as url:
            result["postgres_cost"] = cost(url, Path(folder), 40 if options.quick else 400)
    else:
        result["left_out"] = "postgres: FREEHOLD_TEST_POSTGRES names no server"
    emit("ledger", result, options.check)


def stormed(url: str, folder: Path, seconds: float, rng: random.Random) -> dict[str, float]:
    """Lets the processes run, kills them one by one, and counts again."""
    open_store(url, folder).close()
    began, kills = time.monotonic(), 0
    workers = [_forked(url, folder, began, rng) for _ in range(PROCESSES)]
    while time.monotonic() - began < seconds:
        time.sleep(rng.uniform(0.3, 1.5))
        place = rng.randrange(PROCESSES)
        _kill(workers[place])
        kills += 1
        workers[place] = _forked(url, folder, began, rng)
    for worker in workers:
        _kill(worker)
    took = time.monotonic() - began
    told = _told(folder)
    with open_store(url, folder) as store:
        while expire(store, "default", BEGAN + timedelta(days=10_000)):
            pass
        found = _audit(store, told)
    calls = len(told.settled)
    return {"kills": kills + PROCESSES, "calls": calls, "calls_per_s": round(calls / took), "failed": len(told.failed)} | found


def _forked(url: str, folder: Path, began: float, rng: random.Random) -> int:
    seed = rng.getrandbits(32)
    child = os.fork()
    if child == 0:
        try:
            asyncio.run(_serve(url, folder, began, random.Random(seed)))
        finally:
            os._exit(1)
    return child


def _kill(worker: int) -> None:
    os.kill(worker, signal.SIGKILL)
    os.waitpid(worker, 0)


async def _serve(url: str, folder: Path, began: float, rng: random.Random) -> None:
    """One worker: clients for ever, and every now and then a look for what has expired."""
    log = os.open(folder / f"told-{os.getpid()}-{rng.getrandbits(64)}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    with open_store(url, folder, busy_s=20.0) as store:
        writer = Writer(store)

        def tell(**said: object) -> None:
            os.write(log, json.dumps(said).encode() + b"\n")

        def now() -> datetime:
            return BEGAN + (time.monotonic() - began) * SECOND

        async def sweep() -> None:
            while True:
                await asyncio.sleep(0.2)
                await asyncio.to_thread(expire, store, "default", now())

        await asyncio.gather(sweep(), *(_client(writer, now, random.Random(rng.getrandbits(32)), tell) for _ in range(CLIENTS)))


async def _client(writer: Writer, now: Callable[[], datetime], rng: random.Random, tell: Callable[..., None]) -> None:
    """Call after call. What is told was true before it is told: the rows have to say the same."""
    while True:
        key = rng.choice(list(TEAMS))
        account = Account(key=key, team=TEAMS[key], customer=f"c{key}")
        scopes = tuple(LIMITS[name] for name in scope_names(account.key, account.team) if name in LIMITS)
        call, at, estimate = new_call_id(), now(), rng.randint(*ESTIMATE)
        reservation = Reservation(call=call, account=account, at=at, deadline=at + DEADLINE_S * SECOND, amount_nano=estimate, scopes=scopes)
        error = await _ended(lambda done, one=reservation: writer.reserve(one, done))  # type: ignore[misc]
        if isinstance(error, BudgetExceeded):
            tell(refused=error.why._asdict())
            await asyncio.sleep(rng.uniform(0, 0.01))
            continue
        if error is not None:
            tell(failed=str(error))
            continue
        tell(reserved=call)
        await asyncio.sleep(LATE_S if rng.random() < 0.003 else rng.uniform(0, 0.01))
        if rng.random() < 0.05:
            nothing = released(call, account, at)
            await _ended(lambda done, one=nothing: writer.submit(None, (), done, one))  # type: ignore[misc]
            continue
        cost = None if rng.random() < 0.1 else rng.randint(0, estimate)
        charged = estimate if cost is None else cost
        settlement = Settlement(call=call, account=account, at=at, cost_nano=cost, charged_nano=charged, is_reserved=True)
        record = Call(id=call, variant="v", item=call, at=at)
        error = await _ended(lambda done, one=settlement, row=record: writer.submit(row, (), done, one))  # type: ignore[misc]
        tell(**({"settled": call, "charged": charged} if error is None else {"failed": str(error)}))


async def _ended(begin: Callable[[Callable[[FreeholdError | None], None]], None]) -> FreeholdError | None:
    future: asyncio.Future[FreeholdError | None] = asyncio.get_running_loop().create_future()
    begin(future.set_result)
    return await future


def _told(folder: Path) -> Told:
    told = Told({}, set(), [], [])
    for path in folder.glob("told-*"):
        for line in path.read_bytes().splitlines(keepends=True):
            with suppress(ValueError):  # one cut off by a kill
                said = json.loads(line)
                if "settled" in said:
                    told.settled[said["settled"]] = said["charged"]
                elif "reserved" in said:
                    told.reserved.add(said["reserved"])
                else:
                    (told.refused if "refused" in said else told.failed).append(said.get("refused") or said.get("failed"))
    return told


def _audit(store: Store, told: Told) -> dict[str, float]:
    """Plays the rows again, from nothing, and compares with what was told."""
    with store.reading() as connection:
        rows = connection.exec_driver_sql(
            "SELECT seq, call, kind, at, key, team, charged_nano, reserved_nano FROM ledger ORDER BY seq"
        ).all()
    sums: dict[tuple[str, str, int], list[int]] = defaultdict(lambda: [0, 0])
    refused = sorted(told.refused, key=lambda why: why["after"], reverse=True)
    kinds = Counter(kind for _, _, kind, *_ in rows)
    charged: dict[str, int] = defaultdict(int)
    held: dict[str, int] = defaultdict(int)
    overspent = wrongly = 0
    for seq, call, kind, at, key, team, settled, reserved in [*rows, (float("inf"), "", "", 0, None, None, 0, 0)]:
        while refused and refused[-1]["after"] < seq:
            wrongly += not _is_right(refused.pop(), sums)
        charged[call] += settled
        held[call] += reserved
        for scope in scope_names(key, team):
            for period, number, limit in _periods(scope, at // DAY_US):
                spent = sums[scope, period, number]
                spent[0] += settled
                spent[1] += reserved
                overspent += kind == "reserved" and limit is not None and sum(spent) > limit
    overspent += sum(
        sum(spent) > limit for (scope, period, _), spent in sums.items() if (limit := _limit(scope, period)) is not None
    )  # fmt: skip
    settled_calls = [call for _, call, kind, *_ in rows if kind == "settled"]
    reserved_calls = {call for _, call, kind, *_ in rows if kind == "reserved"}
    return {
        "reserved": kinds["reserved"],
        "refused": len(told.refused),
        "expired": kinds["expired"],
        "settled_late": kinds["reversed"],
        "overspent": overspent,
        "refused_wrongly": wrongly,
        "lost": sum(charged.get(call) != amount for call, amount in told.settled.items()) + len(told.reserved - reserved_calls),
        "doubled": len(settled_calls) - len(set(settled_calls)),
        "left_reserved": sum(amount != 0 for amount in held.values()),
        "differences": len(recount(store, "default")),
    }


def _is_right(why: dict[str, Any], sums: dict[tuple[str, str, int], list[int]]) -> bool:
    """Whether the rows up to a refusal add up to what it said, and that is beyond the limit."""
    number = {"day": why["day"], "month": month_of(why["day"]), "total": 0}[why["period"]]
    settled, reserved = sums[why["scope"], why["period"], number]
    is_so = (settled, reserved, _limit(why["scope"], why["period"])) == (why["settled_nano"], why["reserved_nano"], why["limit_nano"])
    return is_so and settled + reserved + int(why["asked_nano"]) > int(why["limit_nano"])


def _periods(scope: str, day: int) -> list[tuple[str, int, int | None]]:
    numbers = (("day", day), ("month", month_of(day)), ("total", 0))
    return [(period, number, _limit(scope, period)) for period, number in numbers]


def _limit(scope: str, period: str) -> int | None:
    limits = LIMITS.get(scope)
    return None if limits is None else {"day": limits.day_nano, "month": limits.month_nano, "total": limits.total_nano}[period]


def cost(url: str, folder: Path, rounds: int, group: int = 30) -> dict[str, float]:
    """Microseconds a call in groups: its row alone, with its settlement, and with a reservation before, in a group of such."""
    account = Account(key="0", team="a", customer="acme", plan="basic", task="triage")
    roomy = tuple(Scope(name, 10**15, 10**15, 10**15) for name in scope_names("0", "a"))
    times: dict[str, list[float]] = defaultdict(list)
    with open_store(url, folder, write_cache_kib=4_000) as store:
        for _ in range(rounds):
            for name in ("bare", "settled", "reserved"):
                now = datetime.now(UTC)
                calls = [
                    Call(id=new_call_id(), variant="v", item=f"{n}", input="What of my card? " * 40, output="cards", at=now)
                    for n in range(group)
                ]
                settlements = [
                    None
                    if name == "bare"
                    else Settlement(
                        call=call.id, account=account, variant="v", at=now, input_tokens=180, output_tokens=9, cost_nano=310_000,
                        charged_nano=310_000, revenue_nano=0, is_reserved=name == "reserved",
                    )
                    for call in calls
                ]  # fmt: skip
                reservations = [
                    Reservation(
                        call=call.id,
                        account=account,
                        variant="v",
                        at=now,
                        deadline=now + timedelta(minutes=10),
                        amount_nano=10**6,
                        scopes=roomy,
                    )
                    for call in calls
                ]
                seconds = 0.0
                if name == "reserved":
                    seconds += _timed(lambda asked=reservations: append_each(store, asked))  # type: ignore[misc]
                entries = [Entry(call, (), settlement) for call, settlement in zip(calls, settlements, strict=True)]
                seconds += _timed(lambda told=entries: append_each(store, told))  # type: ignore[misc]
                times[name].append(seconds / group * 1e6)
    return {f"{name}_us": float(f"{sorted(found)[len(found) // 4]:.4g}") for name, found in times.items()}


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
