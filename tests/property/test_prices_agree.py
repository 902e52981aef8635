"""Our compiled rates agree with the price snapshot's own calculation, for every model it prices and any usage; the rest is unknown."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta, timezone
from decimal import Decimal
from functools import cache

import msgspec
from genai_prices import Usage as TheirUsage
from genai_prices import calc_price
from genai_prices.data_snapshot import find_provider_by_id, get_snapshot
from genai_prices.types import (
    ClauseEquals,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    StartDateConstraint,
    Tier,
    TieredPrices,
    TimeOfDateConstraint,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from freehold.chat import Modality, Usage
from freehold.pricing.book import PriceBook
from freehold.pricing.compile import compiled, listing_of, owners, rates_of
from freehold.pricing.rates import Listing, Snapshot
from freehold.pricing.snapshot import read_snapshot, source_version

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


# The file that prices are read from says what the source says


INSTANT = timedelta(microseconds=1)


def around(model: ModelInfo) -> Iterator[datetime]:
    """Moments on both sides of whatever a model's prices change at, and some between: with zones and without."""
    for conditional in model.prices if isinstance(model.prices, list) else []:
        match conditional.constraint:
            case StartDateConstraint(start_date=day):
                midnight = datetime.combine(day, time(), UTC)
                yield from (midnight - INSTANT, midnight, midnight.replace(tzinfo=None))
                yield midnight.replace(tzinfo=timezone(timedelta(hours=9)))
            case TimeOfDateConstraint(start_time=begin, end_time=end):
                for at in (datetime.combine(NOW.date(), border, border.tzinfo or UTC) for border in (begin, end)):
                    yield from (at - INSTANT, at, at.astimezone(timezone(timedelta(hours=-7, minutes=-30))))
                    yield at.astimezone(UTC).replace(tzinfo=None)
    yield from (datetime(2020, 1, 1), NOW, datetime(2040, 1, 1, 3, tzinfo=UTC))


def test_the_file_has_every_name_of_clear_price_and_no_other() -> None:
    assert read_snapshot(source_version()).names.keys() == owners().keys()


def test_the_same_prices_make_the_same_file() -> None:
    """So that it does not matter which of two processes that make it is the last."""
    assert compiled() == compiled()


def test_the_file_has_the_source_s_price_of_every_name_at_every_moment() -> None:
    """At each change of each price and a millionth of a second before."""
    found, changing = read_snapshot(source_version()), 0
    for name, (provider, model) in owners().items():
        listing = found.find(name)
        assert listing is not None and listing.provider == provider
        moments = list(around(model))
        changing += len(moments) > 3
        for at in moments:
            assert listing.tiers(at) == rates_of(model.get_prices(at)), (name, at)
    assert changing > 200


def test_every_model_agrees_at_every_change_of_its_price() -> None:
    """By the snapshot's own calculation of a long call and a short one."""
    models = {name: model for name, (_, model) in owners().items()}
    for name in priced():
        model = models[name.lower()]
        if isinstance(model.prices, list):
            for at in around(model):
                for total in (1_000, 300_000):
                    assert_agrees(name, Usage(input_tokens=total, cached_read=total // 3, output_tokens=70, reasoning_tokens=30), at)


RATES = st.decimals(0, 200, places=4)
PRICES = st.builds(
    ModelPrice,
    input_mtok=RATES | st.builds(TieredPrices, RATES, st.lists(st.builds(Tier, st.integers(1, 10**6), RATES), max_size=3)),
    output_mtok=st.none() | RATES,
    cache_read_mtok=st.none() | RATES,
    requests_kcount=st.none() | RATES,
)
TIMES_OF_DAY = st.times() | st.times(timezones=ZONES)
CONSTRAINTS = (
    st.none()
    | st.builds(StartDateConstraint, st.dates(datetime(2024, 1, 1).date(), datetime(2027, 1, 1).date()))
    | st.builds(TimeOfDateConstraint, TIMES_OF_DAY, TIMES_OF_DAY)
)
CONDITIONAL = st.lists(st.builds(ConditionalPrice, CONSTRAINTS, prices=PRICES), min_size=1, max_size=4)


@settings(max_examples=400, deadline=None)
@given(CONDITIONAL | PRICES, TIMES)
def test_any_prices_are_read_from_the_file_as_the_source_means_them(prices: list[ConditionalPrice] | ModelPrice, at: datetime) -> None:
    """In any order, over midnight, in any zone, of any size; what the present snapshot has is no limit."""
    model = ModelInfo(id="m", match=ClauseEquals("m"), prices=prices)
    written = msgspec.msgpack.encode(Snapshot(names={"m": 0}, listings=[msgspec.Raw(msgspec.msgpack.encode(listing_of("p", model)))]))
    listing = msgspec.msgpack.decode(written, type=Snapshot).find("m")
    assert listing is not None
    for moment in (at, *around(model)):
        assert listing.tiers(moment) == rates_of(model.get_prices(moment))


def test_a_price_bound_to_a_condition_that_nobody_here_knows_is_unknown() -> None:
    """Of a later version of the source. What comes after it and holds is still the price."""
    june = ConditionalPrice(StartDateConstraint(NOW.date()), prices=ModelPrice(input_mtok=Decimal(2)))
    odd = ConditionalPrice("on Sundays", prices=ModelPrice(input_mtok=Decimal(1)))  # type: ignore[arg-type]
    before, since = NOW - timedelta(days=1), NOW

    def known(*prices: ConditionalPrice) -> list[bool]:
        listing: Listing = listing_of("p", ModelInfo(id="m", match=ClauseEquals("m"), prices=list(prices)))
        return [listing.tiers(at) is not None for at in (before, since)]

    assert known(odd, june) == [False, True]
    assert known(june, odd) == [False, False]
