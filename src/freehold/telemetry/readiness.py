"""Whether the gateway may be sent requests (`/readyz`), and whether it lives (`/healthz`)."""

from collections.abc import Callable
from typing import NamedTuple

import msgspec

_encode = msgspec.json.Encoder().encode


class Readiness(NamedTuple):
    """What is asked to know. None of it may wait: these routes are asked every few seconds."""

    is_store_up: Callable[[], bool]
    """Whether the store took what it was last given."""
    may_do_without_store: bool
    """Whether answers are given while the store is down, which `journal.on_failure` says."""
    has_policies: Callable[[], bool]
    """Whether the active policies were read since the start."""
    is_stopping: Callable[[], bool]
    """Whether a signal said to stop."""
    has_spooled: Callable[[], bool]
    """Whether calls wait outside the store."""

    def ready(self) -> tuple[int, bytes]:
        """Status and JSON for `/readyz`: 503 until requests can be served as they should be, and from when it is being stopped."""
        store, policies, stopping = self.is_store_up(), self.has_policies(), self.is_stopping()
        is_ready = (store or self.may_do_without_store) and policies and not stopping
        told = {"status": "ready" if is_ready else "not ready", "store": store, "policies": policies, "stopping": stopping}
        return 200 if is_ready else 503, _encode(told)

    def health(self) -> tuple[int, bytes]:
        """Status and JSON for `/healthz`: 200 as long as anything answers at all."""
        return 200, _encode({"status": "ok", "spooled": self.has_spooled()})
