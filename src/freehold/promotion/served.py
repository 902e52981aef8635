"""What is served: the active policy of every task, compiled and with its arrays, read from the store."""

from freehold.promotion.gate import active_hash
from freehold.promotion.records import find_policy, newest_event, tasks_with_policies
from freehold.routing import artefact
from freehold.routing.online import OnlinePolicy
from freehold.routing.program import parse
from freehold.store.open import Store


class Served:
    """The active policies as they were when they were last looked at."""

    def __init__(self, store: Store, tenant: str) -> None:
        self._store = store
        self._tenant = tenant
        self._seen = -1
        self.policies: dict[str, OnlinePolicy] = {}

    def refresh(self) -> bool:
        """Looks again, and gives whether anything was promoted or rolled back since. Raises OperatorError, DataError, PolicyError."""
        newest = newest_event(self._store, self._tenant)
        if newest == self._seen:
            return False
        known, found = {policy.hash: policy for policy in self.policies.values()}, {}
        for task in tasks_with_policies(self._store, self._tenant):
            if (hash := active_hash(self._store, self._tenant, task)) is not None:
                found[task] = known.get(hash) or self._load(task, hash)
        self.policies, self._seen = found, newest
        return True

    def _load(self, task: str, hash: str) -> OnlinePolicy:
        row = find_policy(self._store, self._tenant, task, hash)
        scorer = artefact.load(self._store.blobs.get(row.artefact)) if row.artefact is not None else None
        return OnlinePolicy(row.hash, parse(row.source), scorer)
