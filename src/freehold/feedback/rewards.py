"""The rewards of calls that are in the journal, a batch at a time."""

from collections.abc import Iterable
from typing import NamedTuple

from freehold.catalog import Catalog, Reward
from freehold.feedback.reward import Rewarded, RewardFunction, reward
from freehold.journal.call import Call
from freehold.journal.read import said_about
from freehold.store.open import Store


class Asked(NamedTuple):
    """A call, as far as its reward goes."""

    call: str
    """Its id."""
    episode: str | None
    """The run it is part of, of which something may have been said."""
    output_digest: str | None
    """Hash of its answer."""


def asked(call: Call) -> Asked:
    """A call, as far as its reward goes."""
    return Asked(call.id, call.episode, call.output_digest)


def rewards(store: Store, tenant: str, found: Iterable[Asked], rule: Reward | RewardFunction, catalog: Catalog) -> dict[str, Rewarded]:
    """The rewards of those calls of which something was said, by call. Memory is the caller's: ask for a batch at a time."""
    by_call = {one.call: one for one in found}
    said = said_about(store, tenant, [(one.call, one.episode) for one in by_call.values()])
    return {call: reward(rule, told, catalog, by_call[call].output_digest) for call, told in said.items()}
