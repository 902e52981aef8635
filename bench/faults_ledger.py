"""What bench/faults.py holds the ledger to: each call is paid for once, at its cost, and nothing is held back for one that has ended."""

import sys
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from freehold.gateway.budget import nano
from freehold.gateway.expire import expire
from freehold.gateway.recount import recount
from freehold.journal.call import Call
from freehold.store.open import Store

TENANT = "default"
WRONG = ("unsettled", "wrong_charge", "held_wrongly", "left_reserved", "differences")
"""Ways in which the ledger may not be what happened."""
_LATER = timedelta(days=1)
"""When every reservation has expired."""


class Deaths(NamedTuple):
    """Requests that no end is known of, as far as clients and providers can tell."""

    least: int
    """Those that a provider was asked for, and that are no call of the journal: something has to be held back for each."""
    most: int
    """Those that may have come as far as a reservation."""


class Row(NamedTuple):
    """A row of the ledger."""

    kind: str
    cost_nano: int | None
    charged_nano: int
    reserved_nano: int


def ledger_of(store: Store, found: Mapping[str, Call], deaths: Deaths) -> dict[str, int]:
    """How often the ledger is wrong in which way; what it still holds back is expired for that. Nobody may be asking meanwhile.

    unsettled      calls of the journal that do not have one settled row, and settled rows without such a call
    wrong_charge   rows whose cost is not the call's, or that charge something else: the cost, or where nobody knows it the estimate, which
                   is also what one that expired is charged
    held_back      calls for which something was held back still
    held_wrongly   how far that number is beyond what died
    left_reserved  calls for which something is held back once all of it has expired, and those that expired without having been held back
    differences    balances and reservations that are not what the rows add up to, before and after that
    """
    before, live = recount(store, TENANT), held_back(store)
    while expire(store, TENANT, datetime.now(UTC) + _LATER):
        pass
    rows = _rows(store)
    settled = {call: [row for row in some if row.kind == "settled"] for call, some in rows.items()}
    unsettled = {call for call in {*found, *rows} if len(settled.get(call, ())) != (call in found)}
    charges = {call for call, call_row in found.items() if settled.get(call) and not _is_charge(call_row, rows[call])}
    charges |= {call for call, some in rows.items() if not _expired_at_estimate(some)}
    left = {call for call, some in rows.items() if sum(row.reserved_nano for row in some)}
    left |= {call for call, some in rows.items() if (call in live) != any(row.kind == "expired" for row in some)}
    after = recount(store, TENANT)
    for name, calls in (("unsettled", unsettled), ("wrong_charge", charges), ("left_reserved", left)):
        for call in calls:
            print(f"faults: {name}: {call}, {found.get(call)}, {rows.get(call)}", file=sys.stderr)
    for difference in (*before, *after):
        print(f"faults: differences: {difference}", file=sys.stderr)
    return {
        "held_back": len(live),
        "held_wrongly": max(0, deaths.least - len(live), len(live) - deaths.most),
        "unsettled": len(unsettled),
        "wrong_charge": len(charges),
        "left_reserved": len(left | held_back(store)),
        "differences": len(before) + len(after),
    }


def held_back(store: Store) -> set[str]:
    """The calls for which something is held back."""
    with store.reading() as connection:
        return {row[0] for row in connection.exec_driver_sql("SELECT call FROM reservations")}


def _rows(store: Store) -> dict[str, list[Row]]:
    """The ledger's, by the call's id, in their order."""
    rows: dict[str, list[Row]] = defaultdict(list)
    with store.reading() as connection:
        for call, *row in connection.exec_driver_sql("SELECT call, kind, cost_nano, charged_nano, reserved_nano FROM ledger ORDER BY seq"):
            rows[call].append(Row(*row))
    return dict(rows)


def _expired_at_estimate(rows: list[Row]) -> bool:
    """Whether what expired of a call, if anything did, was charged what was held back, for a cost that nobody knows."""
    held = [row.reserved_nano for row in rows if row.kind == "reserved"]
    ends = [row for row in rows if row.kind == "expired"]
    return all(row.cost_nano is None and [row.charged_nano] == [-row.reserved_nano] == held for row in ends)


def _is_charge(call: Call, rows: list[Row]) -> bool:
    """Whether a call's settlement is right. One that was let through without a look at its budget has no estimate to compare with."""
    settled = next(row for row in rows if row.kind == "settled")
    estimate = next((row.reserved_nano for row in rows if row.kind == "reserved"), None)
    if settled.reserved_nano != -(estimate or 0):
        return False
    if call.cost_usd is None:
        return settled.cost_nano is None and settled.charged_nano > 0 and estimate in (None, settled.charged_nano)
    return settled.cost_nano == settled.charged_nano == nano(call.cost_usd)
