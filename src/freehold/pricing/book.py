"""Usage to cost, or unknown: the rates of a dated price snapshot, overridden by prices of one's own.

A name is priced when the snapshot lists exactly that name and the owner of the name is clear; it is never matched by likeness, because a
guessed price is a wrong ledger.
"""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

from freehold.catalog import Rates
from freehold.chat import Usage
from freehold.pricing.rates import Listing, TokenRates, cost, from_override
from freehold.pricing.snapshot import SOURCE, read_snapshot, source_version


class PriceBook:
    """Rates by exact model name; `id` names the snapshot and the overrides they come from."""

    def __init__(self, overrides: Mapping[str, Rates] | None = None, now: datetime | None = None) -> None:
        """`now` prices calls that do not say when they were made; the present when not given. Raises OperatorError."""
        self._overrides = {name: (from_override(rates),) for name, rates in (overrides or {}).items()}
        self._now = now or datetime.now(UTC)
        version = source_version()
        self._snapshot = read_snapshot(version)
        self._listings: dict[str, Listing] = {}
        self.id = _id(version, overrides or {})

    def cost(self, name: str, usage: Usage | None, at: datetime | None = None) -> float | None:
        """USD of `usage` on the model of exactly that name, at its price of that moment; None where price or usage is unknown.

        A time without a zone is UTC. Fees for a provider's tools, such as web searches, are no part of a token usage and not in here.
        """
        if usage is None:
            return None
        tiers = self.tiers(name, at)
        return None if tiers is None else cost(usage, tiers)

    def tiers(self, name: str, at: datetime | None = None) -> tuple[TokenRates, ...] | None:
        """The rates of exactly this name at that moment, by how much is asked; None for one without a price."""
        if name in self._overrides:
            return self._overrides[name]
        listing = self._find(name)
        return None if listing is None else listing.tiers(at or self._now)

    def is_priced(self, name: str) -> bool:
        """Whether exactly this name has a price now."""
        return self.tiers(name) is not None

    def provider_of(self, name: str) -> str | None:
        """Whose price it is: the snapshot's provider, `freehold.toml` for an override, None for a name without a price."""
        if name in self._overrides:
            return "freehold.toml"
        listing = self._find(name)
        return listing.provider if listing is not None and self.is_priced(name) else None

    def _find(self, name: str) -> Listing | None:
        name = name.lower()
        if name not in self._listings:
            found = self._snapshot.find(name)
            if found is None:
                return None  # names that nobody lists come from callers, and are not remembered
            self._listings[name] = found
        return self._listings[name]


def _id(version: str, overrides: Mapping[str, Rates]) -> str:
    if not overrides:
        return f"{SOURCE} {version}"
    return f"{SOURCE} {version} + {hashlib.sha256(msgspec.json.encode(overrides, order='deterministic')).hexdigest()[:12]}"
