"""What a call may cost, what budgets are charged, what a customer pays."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from freehold.catalog import Plan, Rates
from freehold.chat import Usage
from freehold.config import Config
from freehold.errors import CallerError
from freehold.gateway.budget import BudgetExceeded, Refused, month_of, resets_at, usd
from freehold.gateway.ledger import Account
from freehold.gateway.tariff import MEDIA_TOKENS, OUTPUT_TOKENS, Size, Tariff, Unpriced, revenue, size_of
from freehold.pricing.book import PriceBook
from freehold.tables import GatewayTable

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
PRICES = PriceBook({"m": Rates(input_per_mtok=2, output_per_mtok=10, cached_write_per_mtok=2.5, per_call=0.001)}, NOON)
ASSUMED = GatewayTable(unpriced="assume", assumed_price=Rates(input_per_mtok=1, output_per_mtok=1))
PLANS = {"basic": Plan(per_call=0.01), "tokens": Plan(input_per_mtok=1, output_per_mtok=2), "share": Plan(markup=0.5)}


def tariff(gateway: GatewayTable = GatewayTable()) -> Tariff:  # noqa: B008 frozen
    return Tariff(Config(gateway=gateway, plans=PLANS), PRICES)


def test_an_estimate_takes_every_token_at_its_dearest() -> None:
    """A token for two bytes, all of them written to the cache; as many out as may be, times the answers."""
    assert tariff().estimate("m", Size(1_000, 0), 100, 3) == round((0.001 + 500 * 2.5e-6 + 300 * 1e-5) * 1e9)
    assert tariff().estimate("m", Size(0, 2)) == round((0.001 + 2 * MEDIA_TOKENS * 2.5e-6 + OUTPUT_TOKENS * 1e-5) * 1e9)


def test_an_estimate_is_above_what_prose_costs() -> None:
    text = "What of my card? It was swallowed by the machine at the station. " * 40
    usage = Usage(input_tokens=len(text) // 4, output_tokens=100)
    found = PRICES.cost("m", usage)
    assert found is not None and tariff().estimate("m", Size(len(text), 0), 100) > found * 1e9


def test_a_tier_above_which_everything_is_dearer_counts() -> None:
    small, large = (tariff().estimate("claude-sonnet-4-5", Size(n, 0), 0) for n in (300_000, 500_000))
    assert large > small * 500_000 / 300_000


def test_a_model_without_a_price_is_allowed_refused_or_assumed() -> None:
    assert tariff().estimate("nobody-prices-me", Size(1_000, 0)) == 0
    assert tariff(ASSUMED).estimate("nobody-prices-me", Size(1_000, 0), 100) == 600_000
    for gateway in (GatewayTable(), ASSUMED):
        tariff(gateway).check("nobody-prices-me")
    refusing = tariff(GatewayTable(unpriced="refuse"))
    refusing.check("m")
    with pytest.raises(Unpriced, match=r"Nobody knows what 'nobody-prices-me' costs.*set its price under \[models\]"):
        refusing.check("nobody-prices-me")


@pytest.mark.parametrize(
    ("gateway", "usage", "cost_usd", "estimate", "charged"),
    [
        (GatewayTable(), Usage(input_tokens=10), 0.5, 900, 500_000_000),
        (GatewayTable(), Usage(input_tokens=10), None, 900, 900),
        (GatewayTable(), None, None, None, 0),
        (ASSUMED, Usage(input_tokens=10, output_tokens=5), None, 900, 15_000),
        (ASSUMED, None, None, 900, 900),
        (ASSUMED, Usage(input_tokens=10), 0.0, 900, 0),
    ],
)
def test_budgets_are_charged_the_cost_or_what_is_taken_for_it(
    gateway: GatewayTable, usage: Usage | None, cost_usd: float | None, estimate: int | None, charged: int
) -> None:
    """What is unknown stays unknown beside it."""
    found = tariff(gateway).settlement("c", Account(), "m", NOON, usage, cost_usd, estimate)
    assert (found.charged_nano, found.is_reserved) == (charged, estimate is not None)
    assert found.cost_nano == (None if cost_usd is None else round(cost_usd * 1e9))


@pytest.mark.parametrize(
    ("plan", "usage", "cost", "pays"),
    [
        ("basic", None, None, 10_000_000),
        ("tokens", Usage(input_tokens=10, output_tokens=3), None, 16_000),
        ("tokens", None, 5, None),
        ("share", None, 100, 150),
        ("share", Usage(input_tokens=10), None, None),
    ],
)
def test_a_customer_pays_by_the_plan(plan: str, usage: Usage | None, cost: int | None, pays: int | None) -> None:
    assert revenue(PLANS[plan], usage, cost) == pays


def test_nobody_pays_without_a_plan_or_an_answer() -> None:
    assert tariff().settlement("c", Account(), "m", NOON, None, 1.0).revenue_nano == 0
    assert tariff().settlement("c", Account(plan="basic"), "m", NOON, None, 1.0, is_answered=False).revenue_nano == 0
    assert tariff().settlement("c", Account(plan="basic"), "m", NOON, None, 1.0).revenue_nano == 10_000_000


def test_a_plan_that_is_not_configured_names_the_nearest() -> None:
    with pytest.raises(CallerError, match="There is no plan 'basik'. Did you mean 'basic'?"):
        tariff().plan("basik")


PICTURE = "A" * 10_000
MESSAGES: list[Any] = [
    {"role": "system", "content": "You sort messages."},
    {"role": "user", "content": [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PICTURE}"}}]},
    {"role": "user", "content": [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PICTURE}}]},
    {"role": "user", "content": [{"type": "tool_result", "content": [{"type": "document", "source": {"type": "base64", "data": PICTURE}}]}]},
]  # fmt: skip


def test_media_are_counted_and_their_bytes_are_no_text() -> None:
    body = {"model": "m", "messages": MESSAGES}
    size = size_of(body, len(json.dumps(body)))
    assert size.media == 3 and 300 < size.text_bytes < 800


@pytest.mark.parametrize("body", [{}, {"messages": 7}, {"messages": [1, {"content": 2}, {"content": [3, {"type": "image", "source": 4}]}]}])
def test_a_body_that_is_wrong_has_a_size_too(body: dict[str, Any]) -> None:
    """What is wrong with it, its format says."""
    assert size_of(body, 100).text_bytes <= 100


def test_what_is_spent_is_said_to_the_last_digit() -> None:
    assert [usd(n) for n in (0, 1, 1_500_000_000, 1_234_567_891_000_000_000, -20_000_000)] == [
        "$0.00", "$0.000000001", "$1.50", "$1,234,567,891.00", "-$0.02",
    ]  # fmt: skip


def test_periods_end_at_midnight_utc() -> None:
    day = (datetime(2026, 12, 31) - datetime(1970, 1, 1)).days
    assert resets_at("day", day) == resets_at("month", day) == datetime(2027, 1, 1, tzinfo=UTC)
    assert resets_at("total", day) is None
    assert month_of(day) + 1 == month_of(day + 1) == 2027 * 12


def test_a_budget_that_does_not_begin_anew_says_so() -> None:
    said = str(BudgetExceeded(Refused("project", "total", 20_000, 10**9, 10**9, 0, 1)))
    assert said.startswith("The total budget of this project is $1.00: $1.00 are spent") and said.endswith(
        "ask whoever runs this for more."
    )
