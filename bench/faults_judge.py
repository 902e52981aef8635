"""What bench/faults.py compares: what clients were told, what their providers did, and what the journal has of it."""

import json
import sys
from collections.abc import Mapping, Sequence

from faults_clients import Heard
from faults_upstream import ANSWERS, OUTCOMES, Does, input_tokens
from freehold.journal.call import Call
from freehold.store.open import Store

WRONG = ("lost", "wrong_words", "wrong_outcome", "wrong_cost", "wrong_attempts")
"""Ways in which the journal may not be what a client was told."""


def lost(heard: Sequence[Heard], asked: Mapping[int, list[Does]], found: Mapping[str, Call]) -> int:
    """How many acknowledged calls are not in the journal. `asked`: what was done with each request, as the providers know it.

    A request that no provider was asked, as its model was left alone for a while, need not be there.
    """
    return sum(one.call not in found and bool(asked.get(one.number)) for one in heard)


def compared(heard: Sequence[Heard], asked: Mapping[int, list[Does]], found: Mapping[str, Call]) -> dict[str, int]:
    """How many acknowledged calls are wrong in which way."""
    wrong = dict.fromkeys(WRONG, 0) | {"lost": lost(heard, asked, found)}
    for one in heard:
        done, call = asked.get(one.number, []), found.get(one.call)
        if call is None:
            continue
        problems = {
            "wrong_words": one.is_answered and not (one.is_right and str(call.output).endswith(str(one.number))),
            "wrong_outcome": one.is_answered != (call.outcome == "answered") or call.outcome not in outcomes(done),
            "wrong_cost": not is_cost(call, one, done),
            "wrong_attempts": len(call.attempts) != len(done),
        }
        for name, is_so in problems.items():
            wrong[name] += is_so
            if is_so:
                told = f"{one}, {[does.name for does in done]}, {call.outcome}, {call.cost_usd}, {len(call.attempts)} attempts"
                print(f"faults: {name}: {told}", file=sys.stderr)
    return wrong


def outcomes(done: list[Does]) -> set[str]:
    """How a call may have ended whose attempts were treated so: as the last one, or as failed where no more were allowed."""
    last = OUTCOMES[done[-1]]
    return {last} if last == "answered" else {last, "failed"}


def is_cost(call: Call, heard: Heard, done: list[Does]) -> bool:
    """Whether a call's cost is what its attempts cost, and its caller was told the same. A refusal costs nothing."""
    costs: list[float | None] = []
    for does in done:
        if does in (Does.BUSY, Does.BROKEN):
            costs.append(0.0)
        elif does in ANSWERS and does is not Does.NO_USAGE:
            costs.append((input_tokens(heard.number) * 10 + 20 * 100) / 1e6)
        else:
            costs.append(None)
    true = None if None in costs else sum(cost for cost in costs if cost is not None)
    is_told = not heard.is_answered or _is_same(heard.cost_usd, call.cost_usd)
    return is_told and (_is_same(call.cost_usd, true) or (true is None and _is_partly_told(call, heard, done)))


def _is_partly_told(call: Call, heard: Heard, done: list[Does]) -> bool:
    """Anthropic's streams say what they took at their beginning, so that the cost of one that broke off is known as far as it went."""
    broke = any(does in (Does.STALL_AFTER, Does.CUT_AFTER) for does in done)
    return heard.stream and broke and any(attempt.variant == "claude" and attempt.usage is not None for attempt in call.attempts)


def _is_same(one: float | None, other: float | None) -> bool:
    return one is other or (one is not None and other is not None and abs(one - other) < 1e-9)


def doubled(store: Store, found: dict[str, Call]) -> int:
    """Rows of one id, counted without the index that is to keep them out, and requests that are two calls."""
    with store.reading() as connection:
        rows = int(connection.exec_driver_sql("SELECT count(*) - count(DISTINCT id || '') FROM calls").scalar_one())
    asked = [json.dumps(call.input, ensure_ascii=False) for call in found.values()]
    return rows + len(asked) - len(set(asked))


def number_of(call: Call) -> int:
    """Which request a call was."""
    return int(json.dumps(call.input).rpartition("request ")[2].partition('"')[0])
