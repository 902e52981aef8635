"""Our compiled rates agree with the price snapshot's own calculation, for every model it prices and any usage; the rest is unknown."""

import math
from datetime import UTC, datetime, timedelta, timezone
from functools import cache

from genai_prices import Usage as TheirUsage
from genai_prices import calc_price
from genai_prices.data_snapshot import find_provider_by_id, get_snapshot
from genai_prices.types import ModelPrice, TieredPrices
from hypothesis import given, settings
from hypothesis import strategies as st

from freehold.chat import Modality, Usage
from freehold.pricing import PriceBook

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
MODALITIES: tuple[Modality, ...] = ("audio", "image", "video")


@cache
def book() -> PriceBook:
    return PriceBook(now=NOW)


@cache
def listed() -> tuple[str, ...]:
    """Every name the snapshot lists in full: each model's id, and each name its rule matches whole."""
    names = set()
    for provider in get_snapshot().providers:
        for model in provider.models:
            rules = [model.match]
            while rules:
                rule = rules.pop()
                rules += getattr(rule, "or_", [])
                names |= {rule.equals} if hasattr(rule, "equals") else set()
            names.add(model.id)
    return tuple(sorted(names))


@cache
def priced() -> tuple[str, ...]:
    return tuple(name for name in listed() if book().is_priced(name))


def price_of(name: str, at: datetime) -> ModelPrice:
    """The snapshot's price of the model it finds by that name at the provider we say it is."""
    provider = find_provider_by_id(get_snapshot().providers, str(book().provider_of(name)))
    assert provider is not None
    model = provider.find_model(name.lower(), all_providers=get_snapshot().providers)
    assert model is not None
    return model.get_prices(at)


def theirs(name: str, usage: Usage, at: datetime) -> float:
    """The snapshot's own calculation."""
    counts = {
        "input_tokens": usage.input_tokens,
        "cache_read_tokens": usage.cached_read,
        "cache_write_tokens": usage.cached_write,
        "output_tokens": usage.output_tokens,
        "output_reasoning_tokens": usage.reasoning_tokens,
    }
    for modality in MODALITIES:
        counts[f"input_{modality}_tokens"] = (usage.input_by_modality or {}).get(modality, 0)
        counts[f"output_{modality}_tokens"] = (usage.output_by_modality or {}).get(modality, 0)
    return float(calc_price(TheirUsage(**counts), name, provider_id=book().provider_of(name), genai_request_timestamp=at).total_price)


def is_covered(price: ModelPrice, usage: Usage) -> bool:
    """Whether the snapshot prices every part of the usage; it counts a part without a price as free, and we do not."""
    has_input, has_output = price.input_mtok is not None, price.output_mtok is not None
    return (has_input or has_output) and (has_input or not usage.input_tokens) and (has_output or not usage.output_tokens)


def assert_agrees(name: str, usage: Usage, at: datetime) -> None:
    ours = book().cost(name, usage, at)
    if is_covered(price_of(name, at), usage):
        assert ours is not None, (name, usage)
        assert math.isclose(ours, theirs(name, usage, at), rel_tol=1e-9, abs_tol=1e-15), (name, usage, at)
    else:
        assert ours is None, (name, usage)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    """Any usage without a split by modality, long contexts included."""
    total_in = draw(
        st.integers(0, 2_000) | st.integers(0, 2_000_000) | st.sampled_from([128_000, 128_001, 200_000, 200_001, 272_000, 272_001])
    )
    read = draw(st.integers(0, total_in))
    write = draw(st.integers(0, total_in - read))
    out = draw(st.integers(0, 100_000))
    return Usage(
        input_tokens=total_in,
        cached_read=read,
        cached_write=write,
        output_tokens=out,
        reasoning_tokens=draw(st.integers(0, out)),
    )


ZONES = st.sampled_from([UTC, timezone(timedelta(hours=9)), timezone(timedelta(hours=-7, minutes=-30))])
TIMES = st.datetimes(datetime(2023, 1, 1), datetime(2027, 12, 31)) | st.datetimes(
    datetime(2023, 1, 1), datetime(2027, 12, 31), timezones=ZONES
)


@settings(max_examples=400, deadline=None)
@given(st.data(), usages(), TIMES)
def test_any_usage_of_any_model_costs_what_the_snapshot_says(data: st.DataObject, usage: Usage, at: datetime) -> None:
    """To one part in a thousand million, at any moment: tiers, cached reads and writes, reasoning, prices that changed or change by day."""
    assert_agrees(data.draw(st.sampled_from(priced())), usage, at)


def test_every_model_of_the_snapshot_agrees_on_every_tier() -> None:
    """Each priced name, on both sides of each of its thresholds, at four moments of a day."""
    names = priced()
    assert len(names) > 2000
    for name in names:
        for hour in (0, 3, 13, 22):
            at = NOW.replace(hour=hour, minute=45)
            tiers = [t.start for value in vars(price_of(name, at)).values() if isinstance(value, TieredPrices) for t in value.tiers]
            for total in {900, *tiers, *(start + 1 for start in tiers)}:
                read, write = total // 2, total // 5
                assert_agrees(
                    name, Usage(input_tokens=total, cached_read=read, cached_write=write, output_tokens=70, reasoning_tokens=30), at
                )


@settings(max_examples=300, deadline=None)
@given(st.data(), TIMES)
def test_a_split_by_modality_costs_what_the_snapshot_says_or_is_unknown(data: st.DataObject, at: datetime) -> None:
    """Cached and reasoning tokens have a modality that nobody records: with them the cost may be unknown, but it is never another."""
    name = data.draw(st.sampled_from(multimodal()))
    split_in = data.draw(st.dictionaries(st.sampled_from(["text", *MODALITIES]), st.integers(0, 5_000)))
    split_out = data.draw(st.dictionaries(st.sampled_from(["text", *MODALITIES]), st.integers(0, 5_000)))
    cached = data.draw(st.integers(0, sum(split_in.values())))
    reasoning = data.draw(st.integers(0, sum(split_out.values())))
    usage = Usage(
        input_tokens=sum(split_in.values()),
        output_tokens=sum(split_out.values()),
        input_by_modality=split_in,
        output_by_modality=split_out,
    )
    assert_agrees(name, usage, at)
    mixed = Usage(
        input_tokens=usage.input_tokens,
        cached_read=cached,
        output_tokens=usage.output_tokens,
        reasoning_tokens=reasoning,
        input_by_modality=split_in,
        output_by_modality=split_out,
    )
    ours = book().cost(name, mixed, at)
    if ours is not None and is_covered(price_of(name, at), mixed):
        assert math.isclose(ours, theirs(name, mixed, at), rel_tol=1e-9, abs_tol=1e-15), (name, mixed)


@cache
def multimodal() -> tuple[str, ...]:
    """The priced names whose price tells modalities apart."""
    keys = [f"{side}_{modality}_mtok" for side in ("input", "output") for modality in MODALITIES]
    return tuple(name for name in priced() if any(getattr(price_of(name, NOW), key) is not None for key in keys))


@given(st.text(max_size=30), usages())
def test_a_name_the_snapshot_does_not_list_has_no_cost(name: str, usage: Usage) -> None:
    if name.lower() not in {known.lower() for known in listed()}:
        assert book().cost(name, usage) is None
        assert book().provider_of(name) is None


@given(st.sampled_from(["gpt-5", "claude-haiku-4-5", "gemini-2.5-pro", "deepseek-chat"]), st.text(min_size=1, max_size=3))
def test_a_name_that_only_resembles_a_listed_one_has_no_cost(name: str, more: str) -> None:
    """A guessed price is a wrong ledger."""
    if f"{name}{more}".lower() not in {known.lower() for known in listed()}:
        assert book().cost(f"{name}{more}", Usage(input_tokens=10)) is None
