"""What variants that are replayed said, read from the journal when a worker begins."""

from collections.abc import Collection

from freehold.catalog import Task
from freehold.journal.read import calls
from freehold.store.open import Store
from freehold.variants.recorded import Recordings


def recordings_of(store: Store, tenant: str, task: Task, replayed: Collection[str]) -> dict[tuple[str, str], Recordings]:
    """What those of a task's variants answered that are replayed, by task and variant: recorded calls, and none that were served."""
    found: dict[tuple[str, str], Recordings] = {}
    if not {*task.variants, task.reference}.intersection(replayed):
        return found
    for call in calls(store, tenant, task.id):
        is_recorded = call.source not in ("gateway", "explore") and call.outcome == "answered" and call.input is not None
        if call.variant in replayed and is_recorded:
            found.setdefault((task.id, call.variant), Recordings()).add(call.input, call.output, call.usage, call.cost_usd)
    return found
