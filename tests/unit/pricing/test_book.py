"""Costs computed by hand from payloads as providers send them, and what stays unknown."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from freehold.catalog import Rates
from freehold.chat import Usage
from freehold.gateway.openai_usage import usage_of
from freehold.pricing.book import PriceBook

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
M = 1_000_000


def book(**overrides: Rates) -> PriceBook:
    return PriceBook({name.replace("_", "-"): rates for name, rates in overrides.items()}, NOW)


@pytest.mark.parametrize(
    ("name", "payload", "usd"),
    [
        # 86 fresh at 2.50, 1,920 cached at 1.25, 300 out at 10.00
        (
            "gpt-4o-2024-08-06",
            {"prompt_tokens": 2006, "completion_tokens": 300, "total_tokens": 2306, "prompt_tokens_details": {"cached_tokens": 1920}},
            (86 * 2.5 + 1920 * 1.25 + 300 * 10) / M,
        ),
        # reasoning is within completion_tokens and billed as output: 75 at 1.25, 1,186 at 10.00
        (
            "gpt-5",
            {"prompt_tokens": 75, "completion_tokens": 1186, "total_tokens": 1261, "completion_tokens_details": {"reasoning_tokens": 1024}},
            (75 * 1.25 + 1186 * 10) / M,
        ),
        # DeepSeek tells hits beside the details; at noon UTC its day price holds: 100 at 0.27, 900 at 0.07, 50 at 1.10
        (
            "deepseek-chat",
            {
                "prompt_tokens": 1000,
                "completion_tokens": 50,
                "total_tokens": 1050,
                "prompt_cache_hit_tokens": 900,
                "prompt_cache_miss_tokens": 100,
            },
            (100 * 0.27 + 900 * 0.07 + 50 * 1.1) / M,
        ),
        # xAI counts reasoning beside completion_tokens: 32 at 2.00, 9 + 400 at 10.00
        (
            "grok-2-1212",
            {"prompt_tokens": 32, "completion_tokens": 9, "total_tokens": 441, "completion_tokens_details": {"reasoning_tokens": 400}},
            (32 * 2 + 409 * 10) / M,
        ),
    ],
)
def test_an_openai_payload_costs_what_its_parts_cost(name: str, payload: dict[str, Any], usd: float) -> None:
    usage = msgspec.convert(usage_of(payload), Usage)
    assert book().cost(name, usage, NOW) == pytest.approx(usd, rel=1e-12)


def test_a_cached_write_costs_more_than_fresh_input() -> None:
    """Anthropic: input_tokens 21 (fresh alone), cache_creation_input_tokens 1,881, cache_read_input_tokens 4,000, output_tokens 393.

    Our total holds all three: 21 at 1.00, 1,881 at 1.25, 4,000 at 0.10, 393 at 5.00.
    """
    usage = Usage(input_tokens=21 + 1881 + 4000, cached_write=1881, cached_read=4000, output_tokens=393)
    assert book().cost("claude-haiku-4-5", usage) == pytest.approx((21 * 1 + 1881 * 1.25 + 4000 * 0.1 + 393 * 5) / M, rel=1e-12)


def test_a_long_context_is_billed_at_its_tier_for_every_token() -> None:
    """Gemini 2.5 Pro: prompt 250,000, of which cached 100,000; candidates 1,000, thoughts 500. Above 200,000 every token is dearer."""
    usage = Usage(input_tokens=250_000, cached_read=100_000, output_tokens=1500, reasoning_tokens=500)
    assert book().cost("gemini-2.5-pro", usage) == pytest.approx((150_000 * 2.5 + 100_000 * 0.25 + 1500 * 15) / M, rel=1e-12)


def test_a_context_of_exactly_the_threshold_is_not_long() -> None:
    assert book().cost("gemini-2.5-pro", Usage(input_tokens=200_000, output_tokens=1000)) == pytest.approx((200_000 * 1.25 + 1000 * 10) / M)
    assert book().cost("gemini-2.5-pro", Usage(input_tokens=200_001, output_tokens=1000)) == pytest.approx((200_001 * 2.5 + 1000 * 15) / M)


def test_reasoning_with_a_price_of_its_own_is_billed_at_it() -> None:
    """Perplexity's deep research: 500 in at 2.00, 1,000 of 1,400 output tokens are reasoning at 3.00, the rest at 8.00."""
    usage = Usage(input_tokens=500, output_tokens=1400, reasoning_tokens=1000)
    assert book().cost("sonar-deep-research", usage) == pytest.approx((500 * 2 + 1000 * 3 + 400 * 8) / M, rel=1e-12)


def test_a_price_for_each_call_comes_on_top() -> None:
    """Perplexity's sonar-pro asks 14.00 for a thousand calls."""
    assert book().cost("sonar-pro", Usage(input_tokens=1000, output_tokens=100)) == pytest.approx(0.014 + (1000 * 3 + 100 * 15) / M)


def test_audio_costs_more_than_text_where_the_split_is_known() -> None:
    """Gemini 2.5 Flash: 200 text at 0.30, 1,000 audio at 1.00, 60 out at 2.50."""
    usage = Usage(input_tokens=1200, output_tokens=60, input_by_modality={"text": 200, "audio": 1000})
    assert book().cost("gemini-2.5-flash", usage) == pytest.approx((200 * 0.3 + 1000 * 1 + 60 * 2.5) / M, rel=1e-12)


def test_cached_tokens_of_an_unknown_modality_have_no_cost() -> None:
    """Whether text or audio was read from the cache is not recorded, and they cost differently."""
    usage = Usage(input_tokens=1200, cached_read=500, input_by_modality={"text": 200, "audio": 1000})
    assert book().cost("gemini-2.5-flash", usage) is None


def test_a_price_that_changed_holds_from_its_day() -> None:
    """o3 fell from 10 and 40 to 2 and 8 on 2025-06-10."""
    usage = Usage(input_tokens=M, output_tokens=M)
    day = datetime(2025, 6, 10, tzinfo=UTC)
    assert book().cost("o3", usage, day - timedelta(seconds=1)) == pytest.approx(50)
    assert book().cost("o3", usage, day) == pytest.approx(10)


def test_a_price_that_changes_within_the_hour_is_the_one_of_the_minute() -> None:
    """DeepSeek's night begins at 16:30 UTC; the order in which calls are priced does not matter."""
    prices = book()
    usage = Usage(input_tokens=M)
    evening = datetime(2026, 6, 1, 16, tzinfo=UTC)
    minutes = (10, 50, 29, 31)
    assert [prices.cost("deepseek-chat", usage, evening.replace(minute=m)) for m in minutes] == pytest.approx([0.27, 0.135, 0.27, 0.135])


def test_a_time_without_a_zone_is_utc() -> None:
    naive = datetime(2026, 6, 1, 16, 29)
    assert book().cost("deepseek-chat", Usage(input_tokens=M), naive) == pytest.approx(0.27)


def test_a_name_is_priced_in_any_case_of_letters() -> None:
    assert book().cost("GPT-5", Usage(input_tokens=M)) == pytest.approx(1.25)


@pytest.mark.parametrize(
    "name",
    [
        "gpt-5-of-our-own",
        "gpt",
        "",
        "whisper-1",  # billed by the hour of audio
        "text-moderation",  # listed without a price
        "regional.anthropic.claude-opus-5",  # the source's shorthand, which its own rule does not match
    ],
)
def test_a_name_without_a_token_price_is_unknown_and_not_free(name: str) -> None:
    assert book().cost(name, Usage(input_tokens=10, output_tokens=10)) is None
    assert book().cost(name, Usage()) is None
    assert not book().is_priced(name)
    assert book().provider_of(name) is None


def test_a_part_without_a_price_is_unknown_and_not_free() -> None:
    """An embedding model has no price for output."""
    assert book().cost("text-embedding-3-small", Usage(input_tokens=M)) == pytest.approx(0.02)
    assert book().cost("text-embedding-3-small", Usage(input_tokens=M, output_tokens=1)) is None


def test_no_usage_has_no_cost() -> None:
    assert book().cost("gpt-5", None) is None


def test_an_override_wins_and_has_its_own_parts() -> None:
    rates = Rates(input_per_mtok=1, output_per_mtok=4, cached_read_per_mtok=0.1, cached_write_per_mtok=2, per_call=0.001)
    usage = Usage(input_tokens=1000, cached_read=300, cached_write=200, output_tokens=50, reasoning_tokens=10)
    assert book(gpt_5=rates).cost("gpt-5", usage) == pytest.approx((500 * 1 + 300 * 0.1 + 200 * 2 + 50 * 4) / M + 0.001)
    assert book(gpt_5=rates).provider_of("gpt-5") == "freehold.toml"


def test_an_override_without_cache_prices_bills_cached_tokens_as_fresh() -> None:
    usage = Usage(input_tokens=M, cached_read=M // 2, cached_write=M // 4)
    assert book(mine=Rates(input_per_mtok=3, output_per_mtok=4)).cost("mine", usage) == pytest.approx(3)


def test_a_price_of_zero_is_known() -> None:
    """A model of one's own may cost nothing a call; that is known, and not the same as unknown."""
    assert book(mine=Rates(input_per_mtok=0, output_per_mtok=0)).cost("mine", Usage(input_tokens=10)) == 0


def test_the_book_s_id_names_the_snapshot_and_the_overrides() -> None:
    """So that a recorded cost says what it was computed with."""
    plain, mine = book(), book(gpt_5=Rates(input_per_mtok=1, output_per_mtok=2))
    assert plain.id.startswith("genai-prices ")
    assert mine.id.startswith(f"{plain.id} + ")
    assert mine.id != book(gpt_5=Rates(input_per_mtok=1, output_per_mtok=3)).id
    assert mine.id == book(gpt_5=Rates(input_per_mtok=1, output_per_mtok=2)).id
