"""What a call may cost before it is made, what budgets are charged once it has ended, and what the customer pays for it."""

from collections.abc import Mapping
from datetime import datetime
from math import ceil
from typing import Any, NamedTuple

from freehold.catalog import Plan
from freehold.chat import Usage
from freehold.config import Config
from freehold.errors import CallerError, nearest
from freehold.gateway.budget import NANO, nano
from freehold.gateway.ledger import Account, Settlement
from freehold.pricing.book import PriceBook
from freehold.pricing.rates import TokenRates, cost, from_override

OUTPUT_TOKENS = 4_096
"""What an answer is taken to have at most where the request does not say."""
MEDIA_TOKENS = 4_000
"""What an image, a recording or a document is taken to have."""
BYTES_PER_TOKEN = 2
"""Prose has four and more in most tokenisers, code three: a token for every two bytes of the request's JSON is more than nearly all has."""
_REPLY_BYTES = 4_000
"""What is said to an answer, such as why it was refused."""
_MEDIA = {"image_url", "image", "input_image", "input_audio", "audio", "audio_url", "video_url", "file", "document"}


_MEDIA_DEPTH = 3
"""How deep in a part its bytes lie at most, in either format."""


class Unpriced(CallerError):
    """A model has no price, and the project refuses to call such."""


class Size(NamedTuple):
    """How much a request puts before a model."""

    text_bytes: int
    """Of its JSON, without what media hold."""
    media: int
    """How many images, recordings and documents."""
    media_tokens: int | None = None
    """What those come to, where it was worked out; None takes `MEDIA_TOKENS` for each."""


class Sent(NamedTuple):
    """What a model is sent."""

    body: Mapping[str, Any]
    """The request, in either format."""
    size_bytes: int
    """Of its JSON."""
    media_tokens: int | None = None
    """As of `Size`."""


class Tariff:
    """The project's prices, and what is taken for those that nobody knows."""

    def __init__(self, config: Config, prices: PriceBook) -> None:
        self._prices = prices
        self._plans = config.plans
        self._unpriced = config.gateway.unpriced
        self._assumed = None if config.gateway.assumed_price is None else (from_override(config.gateway.assumed_price),)

    def estimate(self, name: str, size: Size, max_output_tokens: int | None = None, answers: int = 1, at: datetime | None = None) -> int:
        """The most that asking the model of this priced name may cost, as far as one can tell, in billionths of a dollar.

        Of a model without a price that is the assumed price's, or 0: it is allowed, or will be refused when it is to be asked.
        """
        tiers = self._prices.tiers(name, at) or self._assumed
        if tiers is None:
            return 0
        media = size.media * MEDIA_TOKENS if size.media_tokens is None else size.media_tokens
        tokens = ceil(size.text_bytes / BYTES_PER_TOKEN) + media
        return _worst(tiers, tokens, (max_output_tokens or OUTPUT_TOKENS) * answers, size.media > 0)

    def check(self, name: str, at: datetime | None = None) -> None:
        """Raises Unpriced for a model without a price, where the project refuses to call such."""
        if self._unpriced == "refuse" and not self._prices.tiers(name, at):
            raise Unpriced(
                f"Nobody knows what '{name}' costs, and this project refuses to call such models ([gateway] unpriced). "
                "Whoever runs it can set its price under [models]."
            )

    def settlement(
        self,
        call: str,
        account: Account,
        variant: str,
        at: datetime,
        usage: Usage | None,
        cost_usd: float | None,
        estimate_nano: int | None = None,
        is_answered: bool = True,
    ) -> Settlement:
        """What the ledger books for a call that has ended. `estimate_nano`: what its reservation was for; None where there was none.

        Budgets are charged the cost; where that is unknown, the assumed price of the usage, else the estimate, else nothing. A plan's
        customer pays for answers alone.
        """
        cost_nano = None if cost_usd is None else nano(cost_usd)
        charged = cost_nano
        if charged is None and usage is not None and self._assumed is not None:
            assumed_usd = cost(usage, self._assumed)
            charged = None if assumed_usd is None else nano(assumed_usd)
        if charged is None:
            charged = estimate_nano or 0
        plan = self.plan(account.plan)
        return Settlement(
            call=call,
            account=account,
            variant=variant,
            at=at,
            input_tokens=None if usage is None else usage.input_tokens,
            output_tokens=None if usage is None else usage.output_tokens,
            cost_nano=cost_nano,
            charged_nano=charged,
            revenue_nano=0 if plan is None or not is_answered else revenue(plan, usage, cost_nano),
            is_reserved=estimate_nano is not None,
        )

    def plan(self, name: str | None) -> Plan | None:
        """The plan of that name; None for no name. Raises CallerError for one that is not configured."""
        if name is None:
            return None
        if name not in self._plans:
            raise CallerError(f"There is no plan '{name[:120]}'.{nearest(name, list(self._plans))} Plans stand under [plans].")
        return self._plans[name]


def said_bytes(most_tokens: int | None) -> int:
    """About how many bytes of a request an earlier answer of at most so many tokens comes to, with what is said to it."""
    return (most_tokens or OUTPUT_TOKENS) * BYTES_PER_TOKEN + _REPLY_BYTES


def released(call: str, account: Account, at: datetime) -> Settlement:
    """What is booked where something was held back for a call and then nobody was asked."""
    return Settlement(call=call, account=account, at=at, is_reserved=True, kind="released")


def revenue(plan: Plan, usage: Usage | None, cost_nano: int | None) -> int | None:
    """What an answer costs a customer of this plan, in billionths of a dollar; None where what it depends on is unknown."""
    if plan.markup is not None:
        return None if cost_nano is None else round(cost_nano * (1 + plan.markup))
    if not (plan.input_per_mtok or plan.output_per_mtok):
        return nano(plan.per_call)
    if usage is None:
        return None
    return nano(plan.per_call + (usage.input_tokens * plan.input_per_mtok + usage.output_tokens * plan.output_per_mtok) / 1e6)


def size_of(body: Mapping[str, Any], body_bytes: int, media_tokens: int | None = None) -> Size:
    """The size of a request in either format, given its body and how many bytes of JSON that was. `media_tokens`: as of `Size`."""
    messages = body.get("messages")
    if isinstance(messages, list):
        for message in messages:
            if not isinstance(message, Mapping) or not isinstance(message.get("content"), str):
                break
        else:
            return Size(body_bytes, 0)  # plain words, as nearly always
    contents = [message.get("content") for message in messages if isinstance(message, Mapping)] if isinstance(messages, list) else []
    parts = [part for content in contents if isinstance(content, list) for part in content if isinstance(part, Mapping)]
    results = [part["content"] for part in parts if isinstance(part.get("content"), list)]
    parts += [part for result in results for part in result if isinstance(part, Mapping)]
    media = [part for part in parts if part.get("type") in _MEDIA]
    return Size(max(0, body_bytes - sum(_characters(part, _MEDIA_DEPTH) for part in media)), len(media), media_tokens)


def _characters(value: Any, depth: int) -> int:
    if isinstance(value, str):
        return len(value)
    return sum(_characters(inner, depth - 1) for inner in value.values()) if isinstance(value, Mapping) and depth else 0


def _worst(tiers: tuple[TokenRates, ...], input_tokens: int, output_tokens: int, has_media: bool) -> int:
    """By the dearest rates there are for such tokens: every input token may be written to the provider's cache, every output token reasoning."""
    rates = tiers[0]
    for tier in tiers[1:]:
        if input_tokens > tier.start:
            rates = tier
    per_input = max(rates.fresh or 0.0, rates.cached_write or 0.0)
    if has_media:
        per_input = max((per_input, *rates.input_modality.values()))
    per_output = max(rates.output or 0.0, rates.reasoning or 0.0)
    return ceil((rates.per_call + input_tokens * per_input + output_tokens * per_output) * NANO)
