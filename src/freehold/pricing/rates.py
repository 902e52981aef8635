"""What a model's tokens cost, as numbers: rates by part and size of a usage, and when they hold."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time

import msgspec

from freehold.catalog import Rates
from freehold.chat import Modality, Usage


class TokenRates(msgspec.Struct, frozen=True, array_like=True):
    """USD per token of each part of a usage. None: the source gives no price for that part."""

    start: int
    """How many input tokens a call has to exceed for these rates; those with the greatest such hold."""
    fresh: float | None
    """Input tokens that come from no cache and go into none."""
    cached_read: float | None
    """Input tokens read from the provider's cache."""
    cached_write: float | None
    """Input tokens written to the provider's cache."""
    output: float | None
    """Output tokens without the reasoning among them."""
    reasoning: float | None
    """Output tokens of reasoning."""
    per_call: float
    """USD for each call, whatever its size."""
    input_modality: Mapping[Modality, float]
    """Input tokens of a modality that has a price of its own."""
    output_modality: Mapping[Modality, float]
    """Output tokens of a modality that has a price of its own."""


class DatedRates(msgspec.Struct, frozen=True, array_like=True):
    """Rates that hold from a day on, or for some hours of every day. All times are UTC."""

    since: date | None
    """The first day; None: always."""
    hours: tuple[time, time] | None
    """From when until before when in a day, past midnight where the second is the earlier; None: all day."""
    tiers: tuple[TokenRates, ...] | None
    """By the size of a call, rising; None where tokens have no price."""

    def hold(self, at: datetime) -> bool:
        """Whether they do at this moment of UTC."""
        if self.since is not None and at.date() < self.since:
            return False
        if self.hours is None:
            return True
        begin, end = self.hours
        now = at.time()
        return begin <= now < end if begin <= end else now >= begin or now < end


class Listing(msgspec.Struct, frozen=True, array_like=True):
    """What a provider asks for a model, now and before."""

    provider: str
    """Whose price it is, by the source's id."""
    prices: tuple[DatedRates, ...]
    """The last that holds is the price; where none does, the first."""

    def tiers(self, at: datetime) -> tuple[TokenRates, ...] | None:
        """The rates at that moment, UTC where it has no zone; None where tokens had no price."""
        if len(self.prices) > 1:
            utc = at if at.tzinfo is None else at.astimezone(UTC)
            for price in reversed(self.prices):
                if price.hold(utc):
                    return price.tiers
        return self.prices[0].tiers


class Snapshot(msgspec.Struct, frozen=True, array_like=True):
    """A source's prices, each decoded when its name is asked for."""

    names: dict[str, int]
    """Every name whose price is clear, in small letters, and which of the listings is its price."""
    listings: list[msgspec.Raw]
    """Each a `Listing` in MessagePack."""

    def find(self, name: str) -> Listing | None:
        """What is asked for the model of exactly this name, in small letters."""
        at = self.names.get(name)
        return None if at is None else msgspec.msgpack.decode(self.listings[at], type=Listing)


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


BATCH_SHARE = 0.5
"""What OpenAI and Anthropic ask of their list price for what is asked as a batch (their price pages of November 2026)."""
_HALF_PRICED = ("api.openai.com", "api.anthropic.com")


def batch_share(host: str) -> float | None:
    """The share of the list price that whoever listens at a host asks for a batch's answers; None where nobody knows."""
    return BATCH_SHARE if any(host == known or host.endswith(f".{known}") for known in _HALF_PRICED) else None
