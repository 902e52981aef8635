"""What answers cost: the most that a call may, before anybody is asked, and what each did."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Protocol, TypeAlias

from freehold.catalog import Catalog, Variant
from freehold.chat import Usage
from freehold.config import Config
from freehold.gateway.budget import nano
from freehold.gateway.tariff import Sent, Tariff, said_bytes, size_of
from freehold.journal.build import Builder
from freehold.journal.formats.openai import tier_of
from freehold.pricing.book import PriceBook
from freehold.pricing.rates import batch_share
from freehold.serving.how import How

Priced: TypeAlias = tuple[float | None, str | None]
"""What an answer cost, and by which prices; None where either is unknown."""
SaidTo: TypeAlias = Callable[[Variant], Sent]
"""What a variant is sent, as of `Asked.said_to`."""
_MOST_OUTPUT = ("max_completion_tokens", "max_tokens")


class Known(Protocol):
    """What stands behind names."""

    catalog: Catalog
    """The models."""

    def variant(self, name: str) -> Variant:
        """The variant of that name; a model alone for a name that nobody declared."""

    def is_pool(self, name: str) -> bool:
        """Whether a model only stands for its fallbacks."""

    def answers_here(self, variant: Variant) -> bool:
        """Whether it has no price by name, for no provider answers it."""

    def how(self, task: str | None, model: str) -> How:
        """How a model is asked for a task."""


class Prices:
    """The prices of one worker."""

    def __init__(self, config: Config, book: PriceBook, tenant: str, tariff: Tariff, of: Known) -> None:
        self._unpriced = config.gateway.unpriced
        self._book = book
        self._tenant = tenant
        self._tariff = tariff
        self._of = of
        self.look_up()

    def look_up(self) -> None:
        """Looks prices up anew, for there are other models than before."""
        self._builder = Builder(None, self._tenant, "found", self._of.catalog, self._book, datetime.now(UTC))

    def estimate(self, task: str | None, asked: Iterable[tuple[str, int]], said_to: SaidTo, at: datetime) -> int:
        """The most that a call may cost for which these may all have to be asked, each or its dearest fallback, in billionths of a dollar.

        `asked`: as of `may_be_asked`. `said_to`: what a variant is sent. Raises Unpriced.
        """
        total = 0
        for model, earlier in asked:
            known = self._of.variant(model)
            if known.kind == "expert":
                total += nano(known.price_usd)
            if not self._of.is_pool(model) and self.name_of(model) is None:
                continue
            sent = said_to(self._of.variant(model))
            request, size = sent.body, size_of(*sent)
            most = next((request[name] for name in _MOST_OUTPUT if type(request.get(name)) is int and request[name] > 0), None)
            size = size._replace(text_bytes=size.text_bytes + earlier * said_bytes(most))
            answers = request.get("n") if type(request.get("n")) is int else 1
            how = self._of.how(task, model)
            dearest = 0
            for name in self._name_ofs(how, model):
                dearest = max(dearest, self._tariff.estimate(name, size, most, max(1, answers or 1), at))
            total += dearest * (2 if how.hedge_after_s is not None else 1)
        return total

    def check(self, task: str | None, model: str, at: datetime) -> None:
        """Raises Unpriced for a model that is not to be asked because nobody knows what it, or one of its fallbacks, costs."""
        if self._unpriced == "refuse":
            for name in self._name_ofs(self._of.how(task, model), model):
                self._tariff.check(name, at)

    def _name_ofs(self, how: How, model: str) -> Iterable[str]:
        """By which names a model, and its fallbacks, are priced."""
        for one in (model, *how.fallbacks) if how.fallbacks else (model,):
            if not self._of.is_pool(one) and (name := self.name_of(one)) is not None:
                yield name

    def name_of(self, variant: str) -> str | None:
        """The name by which a variant is priced; None for one that answers here."""
        known = self._of.variant(variant)
        if self._of.answers_here(known):
            return None
        model = self._of.catalog.models.get(known.model or variant)
        return variant if model is None else model.name or model.id

    def of(self, variant: str, usage: Usage | None, at: datetime, tier: str = "") -> Priced:
        """What an answer of a variant cost. `tier`: the class of service its provider names."""
        return self._builder.price(self._of.variant(variant).model or variant, usage, at, tier_of(tier))

    def of_a_batch(self, variant: str, usage: Usage | None, at: datetime, host: str) -> Priced:
        """What an answer of a variant cost that came by a batch of the provider at `host`: by a price of one's own for `NAME (batch)`, else by
        its share of the list price, and unknown where nobody knows that."""
        own = self._builder.price(self._of.variant(variant).model or variant, usage, at, "batch")
        share = batch_share(host)
        cost, price = self.of(variant, usage, at)
        if own[0] is not None or share is None or cost is None:
            return own
        return cost * share, f"{price} x {share:g} (batch)"
