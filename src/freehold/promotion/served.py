"""What is served: the active policy of every task, compiled and with its arrays, read from the store."""

from typing import TYPE_CHECKING

from freehold.errors import FreeholdError
from freehold.promotion.gate import active_hash
from freehold.promotion.records import PolicyRow, find_certificate, find_policy, newest_event, policy_rows, tasks_with_policies
from freehold.routing.online import OnlinePolicy
from freehold.routing.program import parse
from freehold.store.open import Store

if TYPE_CHECKING:
    from freehold.routing.scorer import Scorer


class Served:
    """The active policies as they were when they were last looked at."""

    def __init__(self, store: Store, tenant: str) -> None:
        self._store = store
        self._tenant = tenant
        self._seen = -1
        self.policies: dict[str, OnlinePolicy] = {}

    @property
    def is_read(self) -> bool:
        """Whether it was looked at all."""
        return self._seen >= 0

    def refresh(self) -> dict[str, FreeholdError]:
        """Looks whether anything was promoted or rolled back since, and gives the tasks whose policy cannot be served, and why.

        Such a task goes on with the policy it had, or with its reference. Raises OperatorError where the store cannot be read.
        """
        newest = newest_event(self._store, self._tenant)
        if newest == self._seen:
            return {}
        found: dict[str, OnlinePolicy] = {}
        failed: dict[str, FreeholdError] = {}
        for task in tasks_with_policies(self._store, self._tenant):
            hash = active_hash(self._store, self._tenant, task)
            if hash is None:
                continue
            had = self.policies.get(task)
            try:
                found[task] = had if had is not None and had.hash == hash else self._load(task, hash)
            except FreeholdError as error:
                failed[task] = error
                if had is not None:
                    found[task] = had
        self.policies, self._seen = found, newest
        return failed

    def _load(self, task: str, hash: str) -> OnlinePolicy:
        return load(self._store, self._tenant, find_policy(self._store, self._tenant, task, hash))


def mapped(store: Store, tenant: str, task: str) -> "Scorer | None":
    """The arrays that know a task's regions: those of the policy that is active, or else of the newest that has some. Raises DataError."""
    from freehold.routing import artefact  # with numpy, as below

    rows, active = policy_rows(store, tenant, task), active_hash(store, tenant, task)
    with_arrays = [row for row in rows if row.artefact is not None]
    chosen = next((row for row in reversed(with_arrays) if row.hash == active), with_arrays[-1] if with_arrays else None)
    return None if chosen is None or chosen.artefact is None else artefact.load(store.blobs.get(chosen.artefact))


def load(store: Store, tenant: str, row: PolicyRow) -> OnlinePolicy:
    """A policy as it is served. Raises DataError or PolicyError for one that cannot be."""
    scorer = None
    if row.artefact is not None:
        from freehold.routing import artefact  # with numpy, for policies that have arrays

        scorer = artefact.load(store.blobs.get(row.artefact))
    certificate = find_certificate(store, tenant, row.certificate) if row.certificate is not None else None
    max_loss = certificate.max_loss if certificate is not None and certificate.certified else None
    return OnlinePolicy(row.hash, parse(row.source), scorer, max_loss)
