"""A record becomes a call and what was said about it, the same for every format."""

import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from freehold.catalog import Catalog, Metric
from freehold.chat import Usage
from freehold.errors import CallerError, DataError
from freehold.journal.call import TRUTH, Call, Feedback, LabelDesign
from freehold.journal.formats.record import Logged, Record, Tag
from freehold.journal.rows import digest_of
from freehold.journal.shape import shape_of
from freehold.pricing.book import PriceBook

RECORDED = "recorded"
"""The `price_id` of a cost that came with the record."""
SOURCE = "import"
"""Who said an imported score."""
_MOST_NAMES = 10_000
"""Names remembered: a log that makes up one for every line shall not grow us."""

_encode = msgspec.json.Encoder().encode


class Entry(NamedTuple):
    """What one record adds to the journal."""

    call: Call
    """The call."""
    feedback: list[Feedback]
    """Its scores."""
    unpriced: str | None
    """The model name whose price nobody knows, where that is why the cost is unknown."""
    unnamed_id: str | None
    """The id the call has if it came in before its group got the task's name; None where the task is the record's own."""


def new_call_id() -> str:
    """The id of a call that is made now: milliseconds since 1970 and 80 random bits, as a version 7 UUID has them (RFC 9562), in hex.

    In order of time, so that a journal's indexes grow at their ends: measured, a group of 30 calls commits in two thirds of the time.
    """
    return f"{time.time_ns() // 1_000_000:012x}{os.urandom(10).hex()}"


def call_id(tenant: str, task: str | None, item: str, variant: str, key: str = "") -> str:
    """The id of an imported call. `key` tells the calls of one item and variant apart where a log has several."""
    parts = [tenant, task, item, variant, key] if key else [tenant, task, item, variant]
    return blake2b(_encode(parts), digest_size=16).hexdigest()


def feedback_id(call: str, metric: str, source: str, key: str = "") -> str:
    """The id of a piece of feedback: the same source says one thing about a call, metric and key."""
    return blake2b(_encode([call, metric, source, key]), digest_size=16).hexdigest()


def said_id(call: str, metric: str, design: LabelDesign) -> str:
    """The id of an imported score: one for each design, so that scores that were found may come in again as a census or an audit."""
    return feedback_id(call, metric, SOURCE, "" if design == "found" else design)


class Builder:
    """Builds entries for one import: the task, tenant and label design it was told, and the names and prices of the project."""

    def __init__(
        self,
        task: str | None,
        tenant: str,
        design: LabelDesign,
        catalog: Catalog,
        prices: PriceBook,
        now: datetime,
    ) -> None:
        self.drawn: Mapping[tuple[str | None, str], tuple[int, int]] = {}
        """By task and metric, how many of the file's items carry a score, and how many there are; empty before anybody has looked."""
        self._task = task
        self._tenant = tenant
        self._design = design
        self._catalog = catalog
        self._prices = prices
        self._now = now
        self._priced_names: dict[str, str | None] = {}
        self._metrics: dict[str, Metric] = {}

    def entry(self, record: Record) -> Entry:
        """The call and feedback of a record. Raises DataError with the reason where it cannot be one."""
        at = _utc(record.at)
        cost, price_id, unpriced = self._cost(record, at)
        logged = record if isinstance(record, Logged) else None
        key = logged.key if logged else ""
        task = self._task if self._task is not None else record.task
        tags = texts_of(record.tags) if record.tags else {}
        subject = tags.pop("subject", None)
        call = Call(
            id=call_id(self._tenant, task, record.item, record.variant, key),
            tenant=self._tenant,
            task=task,
            variant=record.variant,
            item=record.item,
            input=record.input,
            output=record.output,
            output_digest=None if record.output is None else digest_of(record.output),
            outcome=logged.outcome if logged else "answered",
            usage=record.usage,
            cost_usd=cost,
            price_id=price_id,
            latency_s=None if record.latency_ms is None else record.latency_ms / 1e3,
            at=at,
            group=record.group,
            subject=subject or (logged.subject if logged else None),
            customer=tags.get("customer"),
            tags=tags,
            policy=record.policy,
            propensity=record.propensity,
            reference_output=record.reference_output,
            reference_digest=None if record.reference_output is None else digest_of(record.reference_output),
            source=SOURCE,
            shape=shape_of(record.input),
            probabilities=record.probabilities or {},
        )
        return Entry(
            call,
            self._feedback(record, call, task, at) if record.scores or record.reference_output is not None else [],
            unpriced,
            call_id(self._tenant, None, record.item, record.variant, key) if record.task is None and task is not None else None,
        )

    def price(self, variant: str, usage: Usage | None, at: datetime, tier: str = "") -> tuple[float | None, str | None]:
        """What an answer of a variant cost, and by which prices; None where either is unknown. `tier`: other than the list price."""
        name = self._priced_name(variant)
        if tier and name is not None:
            name = _at_tier(name, tier)
        cost = None if name is None else self._prices.cost(name, usage, at)
        return (None, None) if cost is None else (cost, self._prices.id)

    def _cost(self, record: Record, at: datetime | None) -> tuple[float | None, str | None, str | None]:
        """Cost, where it is from, and the name that has no price. What was recorded wins; what nobody knows stays unknown."""
        if record.cost_usd is not None:
            return record.cost_usd, RECORDED, None
        if record.usage is None:
            return None, None, None
        name = self._priced_name(record.variant)
        if name is None:
            return None, None, None
        if isinstance(record, Logged) and record.price_tier:
            name = _at_tier(name, record.price_tier)
        cost = self._prices.cost(name, record.usage, at)
        return (None, None, name) if cost is None else (cost, self._prices.id, None)

    def _priced_name(self, variant: str) -> str | None:
        """The exact name of the model behind a variant; None for a variant that is no model's."""
        if variant not in self._priced_names:
            if len(self._priced_names) > _MOST_NAMES:
                self._priced_names.clear()
            known = self._catalog.variants.get(variant)
            if known is None:
                self._priced_names[variant] = variant
            elif known.model is None:
                self._priced_names[variant] = variant if known.kind == "llm" else None
            else:
                model = self._catalog.models.get(known.model)
                self._priced_names[variant] = (model.name or model.id) if model else known.model if known.kind == "llm" else None
        return self._priced_names[variant]

    def _feedback(self, record: Record, call: Call, task: str | None, at: datetime | None) -> list[Feedback]:
        found: list[Feedback] = []
        for metric, score in (record.scores or {}).items():
            if score is None:
                continue
            self._refuse_out_of_range(metric, score)
            design = self._design_of(task, metric)
            found.append(
                Feedback(
                    id=said_id(call.id, metric, design),
                    tenant=self._tenant,
                    call=call.id,
                    metric=metric,
                    kind="score",
                    value=score,
                    source=SOURCE,
                    design=design,
                    inclusion=self._inclusion_of(record, task, metric),
                    at=at or self._now,
                )
            )
        if record.reference_output is not None and self._design_of(task, TRUTH) != "found":
            found.append(
                Feedback(
                    id=said_id(call.id, TRUTH, self._design),
                    tenant=self._tenant,
                    call=call.id,
                    metric=TRUTH,
                    kind="label",
                    value=1.0,
                    source=SOURCE,
                    design=self._design,
                    inclusion=self._inclusion_of(record, task, TRUTH),
                    at=at or self._now,
                )
            )
        return found

    def _refuse_out_of_range(self, metric: str, score: float) -> None:
        known = self._metrics.get(metric)
        if known is None:
            if len(self._metrics) > _MOST_NAMES:
                self._metrics.clear()
            known = self._metrics[metric] = self._catalog.metric(metric)
        try:
            known.unit(score)
        except CallerError as error:
            raise DataError(str(error)) from None

    def _design_of(self, task: str | None, metric: str) -> LabelDesign:
        """As the import was told; but a census in which some items were not judged is none, and what it has was found."""
        judged, items = self.drawn.get((task, metric), (1, 1))
        return "found" if self._design == "census" and judged < items else self._design

    def _inclusion_of(self, record: Record, task: str | None, metric: str) -> float | None:
        if self._design_of(task, metric) == "found":
            return None
        if self._design == "census":
            return 1.0
        stated = record.tags.get("inclusion") if record.tags else None
        if stated is not None:
            return _probability(stated)
        scored, items = self.drawn.get((task, metric), (1, 1))
        return scored / items


def _at_tier(name: str, tier: str) -> str:
    """The name of a model billed otherwise than by its list price: priced by a price of one's own for that name alone."""
    return f"{name} ({tier})"


def _probability(stated: Tag) -> float:
    try:
        value = float(stated or 0)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1:
        raise DataError(f"tags.inclusion is {stated!r}; expected the probability with which the item was drawn, above 0 and at most 1")
    return value


def _utc(at: datetime | None) -> datetime | None:
    if at is None or at.tzinfo is UTC:
        return at
    try:
        return at.astimezone(UTC)
    except OverflowError:
        raise DataError(f"at is {at}, which is outside the years 1 to 9999 in UTC; expected when the call was made") from None


def texts_of(tags: dict[str, Tag]) -> dict[str, str]:
    """Tags as text; true and false as JSON writes them, null left out."""
    return {key: value if isinstance(value, str) else _text(value) for key, value in tags.items() if value is not None}


def _text(value: float | bool) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)
