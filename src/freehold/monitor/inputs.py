"""Whether a task's inputs have changed: each chunk of new ones is compared with a sample, drawn anew, of all that came before."""

import re
from collections.abc import Sequence
from datetime import datetime

import msgspec
import numpy as np

from freehold.chat import text_of
from freehold.evaluation.drift import Compared, carried, compare
from freehold.journal.read import calls_by_id
from freehold.monitor import records
from freehold.monitor.alerts import What, close_alert, raise_alert
from freehold.monitor.records import INPUTS, Inputs
from freehold.routing.embed import Embedder, unfitted
from freehold.store.open import Store

CHUNK = 100
"""Inputs that a look waits for."""
MOST_NEW = 200
"""Inputs that a look takes of those that are new."""
MOST_BEFORE = 400
"""Inputs that it takes of those that came before."""
RUN_LENGTH = 1_000.0
"""Looks between two false alarms on average, at least."""
CALM = 3
"""Looks in a row that resemble what was usual, after which an alert is over."""
_CALM_P = 0.1
_NUMBER = re.compile(r"\d+")
_DIMS = 128


def look(
    store: Store, tenant: str, task: str, channels: Sequence[str], now: datetime, seed: int = 0, embedder: Embedder | None = None
) -> bool:
    """Looks once, where enough has come in since the last time; whether it did. Alerts are raised and closed by what it has come to."""
    with store.reading() as connection:
        state = records.read(connection, tenant, task, INPUTS, Inputs) or Inputs()
    new = records.samples(store, tenant, task, state.upto)[:MOST_NEW]
    if len(new) < CHUNK:
        return False
    limit = state.upto if state.usual is None else state.usual
    before = records.samples(store, tenant, task, state.begin, limit)
    found = _compared(store, [call for _, call in before], [call for _, call in new], (seed, state.seen), embedder or unfitted(_DIMS))
    after = stepped(state, new[-1][0], found)
    with store.writing() as connection:
        held = records.read(connection, tenant, task, INPUTS, Inputs, is_held=True) or Inputs()
        if held != state:  # another monitor was first, or somebody accepted what there is
            return False
        if after.usual is not None and state.usual is None:
            raise_alert(connection, tenant, task, INPUTS, _what(after), channels, now)
        if after.usual is None and state.usual is not None:
            close_alert(connection, tenant, task, INPUTS, f"{CALM} looks in a row resembled what was usual before", channels, now)
        records.write(connection, tenant, task, INPUTS, after, now)
    return True


def stepped(state: Inputs, upto: int, found: Compared | None) -> Inputs:
    """The state after one more look. While an alert is open, looks compare with what was usual before it."""
    if found is None:
        return msgspec.structs.replace(state, upto=upto)
    told = msgspec.structs.replace(state, seen=state.seen + 1, upto=upto, p=found.p, distance=found.distance)
    if state.usual is not None:
        calm = state.calm + 1 if found.p > _CALM_P else 0
        is_over = calm >= CALM
        return msgspec.structs.replace(told, calm=calm, usual=None if is_over else state.usual, evidence=0.0 if is_over else state.evidence)
    evidence = carried(state.evidence, found.p)
    return msgspec.structs.replace(told, evidence=evidence, usual=state.upto if evidence >= RUN_LENGTH else None, calm=0)


def accepted(state: Inputs) -> Inputs:
    """The state where somebody has said that inputs are as they are now: what came before is no longer compared with."""
    return msgspec.structs.replace(state, begin=state.usual or state.upto, usual=None, evidence=0.0, calm=0)


def _compared(store: Store, before: Sequence[str], new: Sequence[str], seed: tuple[int, int], embedder: Embedder) -> Compared | None:
    """None where there is too little to compare with, as before the first look, or where texts are not kept."""
    if len(before) < CHUNK:
        return None
    rng = np.random.default_rng(seed)
    some = [before[i] for i in sorted(rng.permutation(len(before))[:MOST_BEFORE])]
    texts = [_texts(store, ids) for ids in (some, new)]
    if min(map(len, texts)) < CHUNK // 2:
        return None
    return compare(embedder.embed(texts[0]), embedder.embed(texts[1]), int(rng.integers(2**32)))


def _texts(store: Store, ids: Sequence[str]) -> list[str]:
    """The words of these calls, as far as they are kept. Every number is the same one: dates and ids always change, and mean nothing by it."""
    with store.reading() as connection:
        found = calls_by_id(store, connection, ids)
    return [_NUMBER.sub("0", text_of(found[id].input)) for id in ids if id in found and found[id].input is not None]


def _what(state: Inputs) -> What:
    return What(
        kind="inputs",
        text=(
            f"The inputs are no longer like those before: {state.seen} looks have come to evidence of {state.evidence:,.0f}, which takes "
            f"{RUN_LENGTH:,.0f} looks or more by chance. What was learnt and certified on the earlier ones may not hold for these."
        ),
        numbers={"p of the last look": state.p or 0.0, "distance (MMD²)": state.distance or 0.0, "looks": float(state.seen)},
    )
