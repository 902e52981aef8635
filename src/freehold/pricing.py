"""Usage to cost, or unknown: a dated price snapshot compiled to per-model rates, overridden by prices of one's own.

A name is priced when the snapshot lists exactly that name and the owner of the name is clear; it is never matched by likeness, because a
guessed price is a wrong ledger. Source of the snapshot: the `genai-prices` package, read here and never in a gateway's hot path.
"""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from freehold.catalog import Rates
from freehold.chat import Modality, Usage

if TYPE_CHECKING:
    from genai_prices.types import MatchLogic, ModelInfo, ModelPrice, Provider

_MODALITIES: tuple[Modality, ...] = ("audio", "image", "video")


class TokenRates(NamedTuple):
    """USD per token of each part of a usage, above `start` input tokens. None: the source gives no price for that part."""

    start: int
    fresh: float | None
    cached_read: float | None
    cached_write: float | None
    output: float | None
    reasoning: float | None
    per_call: float
    input_modality: Mapping[Modality, float]
    output_modality: Mapping[Modality, float]


class PriceBook:
    """Rates by exact model name, compiled once each and kept; `id` names the snapshot and the overrides it was made from."""

    def __init__(self, overrides: Mapping[str, Rates] | None = None, now: datetime | None = None) -> None:
        """`now` prices calls that do not say when they were made; the present when not given."""
        self._overrides = {name: (from_override(rates),) for name, rates in (overrides or {}).items()}
        self._now = now or datetime.now(UTC)
        self._owners: dict[str, tuple[str, ModelInfo]] | None = None
        self._compiled: dict[int, tuple[TokenRates, ...] | None] = {}
        self.id = _snapshot_id(overrides or {})

    def cost(self, name: str, usage: Usage | None, at: datetime | None = None) -> float | None:
        """USD of `usage` on the model of exactly that name, at its price of that moment; None where price or usage is unknown.

        A time without a zone is UTC. Fees for a provider's tools, such as web searches, are no part of a token usage and not in here.
        """
        if usage is None:
            return None
        tiers = self._tiers(name, at or self._now)
        return None if tiers is None else cost(usage, tiers)

    def tiers(self, name: str, at: datetime | None = None) -> tuple[TokenRates, ...] | None:
        """The rates of exactly this name at that moment, by how much is asked; None for one without a price."""
        return self._tiers(name, at or self._now)

    def is_priced(self, name: str) -> bool:
        """Whether exactly this name has a price now."""
        return self._tiers(name, self._now) is not None

    def provider_of(self, name: str) -> str | None:
        """Whose price it is: the snapshot's provider, `freehold.toml` for an override, None for a name without a price."""
        if name in self._overrides:
            return "freehold.toml"
        found = self._find(name)
        return found[0] if found and self.is_priced(name) else None

    def _tiers(self, name: str, at: datetime) -> tuple[TokenRates, ...] | None:
        if name in self._overrides:
            return self._overrides[name]
        found = self._find(name)
        if found is None:
            return None
        price = found[1].get_prices(at)  # a price of the snapshot, which `_owners` keeps alive: its identity is a key
        if id(price) not in self._compiled:
            self._compiled[id(price)] = _from_snapshot(price)
        return self._compiled[id(price)]

    def _find(self, name: str) -> tuple[str, "ModelInfo"] | None:
        if self._owners is None:
            self._owners = _owners()
        return self._owners.get(name.lower())


def cost(usage: Usage, tiers: tuple[TokenRates, ...]) -> float | None:
    """USD of `usage`; None when it has tokens of a part that has no price.

    The tier is chosen by all input tokens, and its rates hold for every token of the call, as providers bill.
    """
    rates = tiers[0]
    for tier in tiers[1:]:
        if usage.input_tokens > tier.start:
            rates = tier
    total = rates.per_call
    fresh, plain_output = usage.fresh_tokens, usage.output_tokens - usage.reasoning_tokens
    for modality, rate in rates.input_modality.items():
        count = (usage.input_by_modality or {}).get(modality, 0)
        if count and (usage.cached_read or usage.cached_write):
            return None  # which of these tokens were cached is not recorded, and they cost differently
        total += count * rate
        fresh -= count
    for modality, rate in rates.output_modality.items():
        count = (usage.output_by_modality or {}).get(modality, 0)
        if count and usage.reasoning_tokens and rates.reasoning != rates.output:
            return None
        total += count * rate
        plain_output -= count
    parts = (
        (fresh, rates.fresh),
        (usage.cached_read, rates.cached_read),
        (usage.cached_write, rates.cached_write),
        (plain_output, rates.output),
        (usage.reasoning_tokens, rates.reasoning),
    )
    for count, known in parts:
        if count:
            if known is None:
                return None
            total += count * known
    return total


def from_override(price: Rates) -> TokenRates:
    """The rates of a price of one's own."""

    def per_token(rate: float | None) -> float:
        return (price.input_per_mtok if rate is None else rate) / 1e6

    output = price.output_per_mtok / 1e6
    return TokenRates(
        start=0,
        fresh=per_token(None),
        cached_read=per_token(price.cached_read_per_mtok),
        cached_write=per_token(price.cached_write_per_mtok),
        output=output,
        reasoning=output,
        per_call=price.per_call,
        input_modality={},
        output_modality={},
    )


def _from_snapshot(price: "ModelPrice") -> tuple[TokenRates, ...] | None:
    """One row of rates per tier; None where tokens have no price at all: not listed, or billed by the hour, the page or a subscription.

    A part without a price of its own takes the one it is a part of, as the source defines it.
    """
    from genai_prices.types import TieredPrices

    listed = {key: value for key, value in vars(price).items() if value is not None}
    if not any(key.endswith("_mtok") for key in listed):
        return None
    starts = sorted({0} | {tier.start for value in listed.values() if isinstance(value, TieredPrices) for tier in value.tiers})

    def at(key: str, start: int, per: float = 1e6) -> float | None:
        value = listed.get(key)
        if isinstance(value, TieredPrices):
            rate: Decimal = value.base
            for tier in value.tiers:
                if start and start >= tier.start:
                    rate = tier.price
            return float(rate) / per
        return None if value is None else float(value) / per

    def first(*rates: float | None) -> float | None:
        return next((rate for rate in rates if rate is not None), None)

    rows = []
    for start in starts:
        fresh, output = at("input_mtok", start), at("output_mtok", start)
        rows.append(
            TokenRates(
                start=start,
                fresh=fresh,
                cached_read=first(at("cache_read_mtok", start), fresh),
                cached_write=first(at("cache_write_mtok", start), fresh),
                output=output,
                reasoning=first(at("output_reasoning_mtok", start), output),
                per_call=at("requests_kcount", start, 1e3) or 0.0,
                input_modality={m: r for m in _MODALITIES if (r := at(f"input_{m}_mtok", start)) is not None},
                output_modality={m: r for m in _MODALITIES if (r := at(f"output_{m}_mtok", start)) is not None},
            )
        )
    return tuple(rows)


def _owners() -> dict[str, tuple[str, "ModelInfo"]]:
    """The one listing whose price each name means: its maker's, or any when all who list it ask the same. Other names are unclear."""
    from genai_prices.data_snapshot import get_snapshot

    listings: dict[str, list[tuple[Provider, ModelInfo]]] = {}
    for provider in get_snapshot().providers:
        for model in provider.models:
            # An id that its own rule does not match is the source's shorthand, and no name that anybody sends.
            for name in {name.lower() for name in (model.id, *_names_matched_whole(model.match)) if model.is_match(name)}:
                listings.setdefault(name, []).append((provider, model))
    owners = {}
    for name, found in listings.items():
        makers = [(p, m) for p, m in found if p.model_match is not None and p.model_match.is_match(name)]
        (provider, model), *others = makers or found
        if all(other.prices == model.prices for _, other in others):
            owners[name] = (provider.id, model)
    return owners


def _names_matched_whole(clause: "MatchLogic") -> list[str]:
    from genai_prices.types import ClauseEquals, ClauseOr

    if isinstance(clause, ClauseEquals):
        return [clause.equals]
    if isinstance(clause, ClauseOr):
        return [name for part in clause.or_ for name in _names_matched_whole(part)]
    return []


def _snapshot_id(overrides: Mapping[str, Rates]) -> str:
    from importlib.metadata import version

    source = f"genai-prices {version('genai-prices')}"
    if not overrides:
        return source
    return f"{source} + {hashlib.sha256(msgspec.json.encode(overrides, order='deterministic')).hexdigest()[:12]}"
