"""The prices of `genai-prices`, compiled to rates: what `snapshot.py` has made by a process of its own, which writes it to its output.

Nothing else imports this file: with httpx2 and pydantic behind it, it costs 30 MB and half a second.
"""

import sys
from datetime import UTC, date, datetime, time
from decimal import Decimal

import msgspec
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import (
    ClauseEquals,
    ClauseOr,
    ConditionalPrice,
    MatchLogic,
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
    TieredPrices,
    TimeOfDateConstraint,
)

from freehold.chat import Modality
from freehold.pricing.rates import DatedRates, Listing, Snapshot, TokenRates

_MODALITIES: tuple[Modality, ...] = ("audio", "image", "video")


def compiled() -> bytes:
    """A `Snapshot` in MessagePack."""
    names: dict[str, int] = {}
    listings: dict[bytes, int] = {}
    for name, (provider, model) in sorted(owners().items(), key=lambda owner: owner[0]):
        listing = msgspec.msgpack.encode(listing_of(provider, model))
        names[name] = listings.setdefault(listing, len(listings))
    return msgspec.msgpack.encode(Snapshot(names=names, listings=[msgspec.Raw(listing) for listing in listings]))


def listing_of(provider: str, model: ModelInfo) -> Listing:
    """The model's prices in the order of the source, which is that of their precedence."""
    prices = model.prices if isinstance(model.prices, list) else [ConditionalPrice(prices=model.prices)]
    return Listing(provider=provider, prices=tuple(map(_dated, prices)))


def _dated(price: ConditionalPrice) -> DatedRates:
    tiers = rates_of(price.prices)
    match price.constraint:
        case None:
            return DatedRates(since=None, hours=None, tiers=tiers)
        case StartDateConstraint(start_date=day):
            return DatedRates(since=day, hours=None, tiers=tiers)
        case TimeOfDateConstraint(start_time=begin, end_time=end):
            return DatedRates(since=None, hours=(_utc(begin), _utc(end)), tiers=tiers)
        case _:  # of a later version of the source: whether this price holds is unknown, and so is the price
            return DatedRates(since=None, hours=None, tiers=None)


def _utc(of_day: time) -> time:
    return of_day if of_day.tzinfo is None else datetime.combine(date(1970, 1, 1), of_day).astimezone(UTC).time()


def rates_of(price: ModelPrice) -> tuple[TokenRates, ...] | None:
    """One row of rates per tier; None where tokens have no price at all: not listed, or billed by the hour, the page or a subscription.

    A part without a price of its own takes the one it is a part of, as the source defines it.
    """
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


def owners() -> dict[str, tuple[str, ModelInfo]]:
    """The one listing whose price each name means: its maker's, or any when all who list it ask the same. Other names are unclear."""
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


def _names_matched_whole(clause: MatchLogic) -> list[str]:
    if isinstance(clause, ClauseEquals):
        return [clause.equals]
    if isinstance(clause, ClauseOr):
        return [name for part in clause.or_ for name in _names_matched_whole(part)]
    return []


if __name__ == "__main__":
    sys.stdout.buffer.write(compiled())
