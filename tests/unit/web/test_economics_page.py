"""The page of a task's economics: what it says in every case, its charts, and that what users wrote stays text."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pictures
import pytest
from test_report import Read

from freehold.errors import OperatorError
from freehold.promotion.cases import Case, Cell, Economics, Month, Paid, Part, Way
from freehold.promotion.costs import Span
from freehold.promotion.economics import Estimate
from freehold.tables import EconomicsTable
from freehold.web.economics import figures, render, write_page
from freehold.web.economics_words import headline, lines_of, parts_table, ways_table

NOW = datetime(2026, 6, 1, tzinfo=UTC)
NBSP = "\u00a0"


def case(**changes: Any) -> Case:
    plain: dict[str, Any] = {
        "name": "sorter",
        "label": "sorter@abc",
        "method": "head",
        "share": 0.4,
        "share_known": "certified",
        "share_n": 800,
        "parts": (Part(name="labels", usd=30.0, what="60 labels"), Part(name="training", usd=2.0, what="1 training")),
        "fixed_usd": 32.0,
        "per_question_usd": 1e-6,
        "standing_usd": 0.0,
        "unknown": (),
        "starts_at": NOW,
        "is_serving": False,
        "saving_usd": Estimate(value=8.0, interval=(7.0, 9.0)),
        "worth_usd": 90.0,
        "break_even_months": Estimate(value=4.0, interval=(3.5, 4.6)),
        "break_even_at": (datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 9, 16, tzinfo=UTC), datetime(2026, 10, 20, tzinfo=UTC)),
        "least_questions": 512.0,
        "sensitivity": tuple(
            Cell(growth=g, price_decline=d, training_growth=1.0, months=None if d > g * 4 else 4.0 * d / g)
            for g in (1.0, 2.0)
            for d in (1.0, 10.0)
        ),
        "trainings": (Cell(growth=1.0, price_decline=1.0, training_growth=4.0, months=5.0),),
        "paid": tuple(Paid(month=n, rented_usd=20.0 * n, owned_usd=32.0 + 12.0 * n) for n in range(13)),
    }
    return Case(**plain | changes)


def economics(*cases: Case, **changes: Any) -> Economics:
    month = {"calls": 1_000.0, "usd": 20.0, "unknown": 0.0, "per_call_usd": 0.02, "reasoning_share": 0.75, "reasoning_usd_share": 0.6}
    plain: dict[str, Any] = {
        "task": "triage",
        "reference": "frontier",
        "span": Span(since=NOW, until=NOW, days=28.0, is_whole_days=True),
        "questions": 1_000.0,
        "undated": 0,
        "unit": "day",
        "units": 28,
        "scenario": {"growth": 1.0, "price_decline": 2.0, "training_growth": 1.0},
        "months": 12,
        "seed": 0,
        "draws": 2_000,
        "confidence": 0.95,
        "variants": (
            Month(variant="frontier", is_owned=False, **month),
            Month(
                variant="odd",
                is_owned=False,
                **{**month, "usd": None, "per_call_usd": None, "unknown": 1_000.0, "reasoning_usd_share": None},
            ),
        ),
        "cases": cases,
        "ways": (
            Way(name="sorter, then frontier", is_owned=True, fixed_usd=32.0, month_usd=12.0, still_usd=176.0, scenario_usd=130.0),
            Way(name="odd", fixed_usd=0.0, month_usd=None, still_usd=None, scenario_usd=None),
        ),
        "personal": 0,
        "table": EconomicsTable(),
    }
    return Economics(**plain | changes)


def read(found: Economics) -> Read:
    return Read(render(found, "the desk", figures(found)))


def test_it_leads_with_the_day_and_says_what_that_rests_on() -> None:
    text = read(economics(case())).text
    assert "sorter has paid for itself on 2026-10-01" in text
    assert "It answers 40 % of the questions, as its certificate says; frontier answers the others." in text
    assert "It saves $8.00 ($7.00 to $9.00) a month now, and $90.00 in 12 months: so much it may have cost." in text
    assert "2026-10-01 (2026-09-16 to 2026-10-20), after 4.0 months, counted from 2026-06-01, as if it began to answer then." in text
    assert "To have paid for itself within 12 months it takes 512 questions a month; there are 1,000." in text
    assert "95%, from 2,000 draws of 28 days, seed 0" in text
    assert "by the year: questions × 1, rented prices ÷ 2, training × 1 a year" in text


def test_what_is_unknown_is_called_unknown_and_the_day_is_the_earliest() -> None:
    unknown = Part(name="labels", usd=0.0, what="60 labels", unknown="60 labels that no tariff pays")
    told = case(parts=(unknown,), unknown=("labels: 60 labels that no tariff pays",))
    text = read(economics(told)).text
    assert "sorter has paid for itself at the earliest on 2026-10-01" in text
    assert "not before 2026-10-01" in text
    assert "Nobody knows, and so it is in no sum: labels: 60 labels that no tariff pays." in text
    assert parts_table(told).rows[0][1] == "unknown"
    assert "odd 1,000 unknown 1,000 unknown 75 % unknown" in text


def test_where_nobody_knows_anything_of_what_it_cost_there_is_no_day() -> None:
    bare = {"break_even_months": None, "break_even_at": None, "least_questions": None, "sensitivity": (), "trainings": (), "paid": ()}
    text = read(economics(case(unknown=("labels: all of them",), **bare))).text
    assert "When it has paid for itself nobody can say: what it cost is unknown." in text
    assert "so much it may have cost" in text


def test_never_is_said_and_drawn_as_such() -> None:
    never = case(
        break_even_months=Estimate(value=None, interval=(80.0, None)),
        break_even_at=(None, datetime(2033, 2, 1, tzinfo=UTC), None),
        least_questions=None,
        paid=tuple(Paid(month=n, rented_usd=20.0 * n, owned_usd=500.0 + 12.0 * n) for n in range(13)),
    )
    text = read(economics(never)).text
    assert "No specialist of triage is known to pay for itself within ten years" in text
    assert "not within ten years (2033-02-01 to not within ten years)" in text
    assert "no number of questions is enough" in text
    assert "× 1 4.0 never" in text


def test_a_share_that_nobody_knows_is_asked_for() -> None:
    bare = case(
        share=None,
        share_known="unknown",
        saving_usd=None,
        break_even_months=None,
        break_even_at=None,
        sensitivity=(),
        trainings=(),
        paid=(),
    )
    text = read(economics(bare)).text
    assert "Nobody knows which share of the questions it may answer." in text
    assert [figure.name for figure in figures(economics(bare))] == ["months"]


def test_a_reference_without_a_price_saves_nothing_that_is_known() -> None:
    assert any("no answer of frontier has a price" in line for line in lines_of(case(saving_usd=None, break_even_months=None), economics()))


def test_as_little_as_there_can_be_is_still_a_page() -> None:
    found = economics(variants=(), ways=())
    assert headline(found) == "What triage costs"
    assert read(found).having("figure") == []


def test_a_part_that_is_unknown_makes_a_sum_at_least_that() -> None:
    way = Way(name="sorter", is_owned=True, is_more=True, fixed_usd=3.0, month_usd=1.0, still_usd=15.0, scenario_usd=12.0)
    rows = ways_table(economics(ways=(way, msgspec.structs.replace(way, is_more=False)))).rows
    assert [rows[0][n] for n in (1, 3, 4)] == ["at least $3.00", "at least $15.00", "at least $12.00"]
    assert [rows[1][n] for n in (1, 3, 4)] == ["$3.00", "$15.00", "$12.00"]


def test_the_page_and_a_png_of_each_chart_are_written(tmp_path: Path) -> None:
    written = write_page(economics(case(), case(name="other")), "the desk", tmp_path / "new")
    names = ["economics.html", *(f"economics-{name}.png" for name in ("months", "paid-1", "sensitivity-1", "paid-2", "sensitivity-2"))]
    assert [path.name for path in written] == names
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in written[1:])
    assert all(path.stat().st_mode & 0o077 == 0 for path in written)


def test_a_folder_that_cannot_be_made_is_the_operators_to_mend(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(OperatorError, match="Cannot write the page into"):
        write_page(economics(), "the desk", tmp_path / "taken")


def test_what_users_wrote_stays_text() -> None:
    """Names that try to be markup, template or script are shown as they are, and no block is added."""
    plain, hostile = (
        read(economics(case())),
        read(economics(case(name=pictures.HOSTILE), task=pictures.HOSTILE, reference=pictures.HOSTILE)),
    )
    assert {tag for tag, _ in hostile.tags} <= {tag for tag, _ in plain.tags}
    assert [tag for tag, _ in hostile.blocks] == [tag for tag, _ in plain.blocks] == ["style", "script", "script", "script"]
    addresses = [value for _, attrs in hostile.tags for name, value in attrs.items() if name in ("src", "href")]
    assert addresses and all(value and value.startswith("data:") for value in addresses)


def test_every_chart_has_words_a_still_and_its_numbers() -> None:
    page = read(economics(case()))
    lives = [div for div in page.having("div") if div.get("role") == "img"]
    assert [div["id"] for div in lives] == ["chart-months", "chart-paid-1", "chart-sensitivity-1"]
    assert [still["alt"] for still in page.having("img")] == [div["aria-label"] for div in lives]
    assert "They cross after 4.0 months." in str(lives[1]["aria-label"])
