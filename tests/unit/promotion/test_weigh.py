"""What a task's specialists cost and save, from a real journal: what is counted, what is unknown, and when each has paid for itself."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.data_sets import project_at

from freehold.chat import Usage
from freehold.errors import CallerError, DataError
from freehold.feedback.credits import settle
from freehold.feedback.worth import Verdict
from freehold.journal.build import feedback_id
from freehold.journal.call import Call, Feedback
from freehold.journal.write import append_many
from freehold.project import Project
from freehold.promotion.cases import Case, Economics
from freehold.promotion.certify import Certification
from freehold.promotion.economics import MONTH_DAYS, Scenario
from freehold.promotion.records import add_certificate
from freehold.promotion.weigh import Wanted, economics_of
from freehold.tables import CreditsTable
from freehold.variants import shelf
from freehold.variants.card import Card, Covered, Measure, Plan
from freehold.variants.card import Tested as Results

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
NOW = datetime(2026, 6, 1, tzinfo=UTC)
DAYS, A_DAY, EACH_USD = 30, 10, 0.02
ECONOMICS = """
[economics]
machine_usd_per_hour = 3.6
label_usd = 0.5
retrain_months = 0
"""
PRICED = """
[models.thinker]
provider = "ours"
price = { input_per_mtok = 1.0, output_per_mtok = 10.0 }
"""


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """Thirty days with ten questions each, all answered by `large` at two cents."""
    with project_at(tmp_path, more=ECONOMICS + PRICED) as opened:
        append_many(opened.store, [call(n) for n in range(DAYS * A_DAY)])
        yield opened


def call(n: int, **fields: Any) -> Call:
    at = BEGIN + timedelta(days=n // A_DAY, hours=2 * (n % A_DAY))
    plain = {"id": f"{n:032x}", "task": "triage", "variant": "large", "item": f"i{n}", "cost_usd": EACH_USD, "at": at, "source": "gateway"}
    return Call(**plain | fields)


def card(**fields: Any) -> Card:
    """A head that was tested on 200 rows and took an hour."""
    measure = Measure(name="exact", mean=0.9, low=0.85, high=0.94, n=200, groups=200)
    sure = [Covered(precision=p, confidence=0.9, coverage=c, precise=p, low=low) for p, c, low in ((0.95, 0.9, 0.9), (0.98, 0.4, 0.96))]
    plain: dict[str, Any] = {
        "name": "triage-head-1",
        "tenant": "default",
        "task": "triage",
        "format": "head",
        "plan": Plan(task="triage", method="head", dataset="triage@abc", code="0"),
        "dataset": "abc",
        "tested": Results(measures=(measure,), answered=1.0, covered=tuple(sure), us_per_row=1000.0),
        "training_s": 3600.0,
        "training_usd": 1.4,
        "created_at": BEGIN,
    }
    return Card(**plain | fields)


def of(project: Project, **fields: Any) -> Economics:
    return economics_of(project, Wanted("triage", **fields), NOW)


def case(project: Project, **fields: Any) -> Case:
    (only,) = of(project, **fields).cases
    return only


def part(case: Case, name: str) -> tuple[float, str]:
    return next((round(one.usd, 9), one.unknown) for one in case.parts if one.name == name)


def test_constant_traffic_is_even_after_its_cost_by_what_a_month_saves(project: Project) -> None:
    """3.60 USD of a machine's hour, 1.40 of calls, 40 % of questions that cost 2 cents, a millisecond of the machine for each."""
    shelf.add(project.store, card())
    found = of(project)
    questions = A_DAY * MONTH_DAYS
    assert found.questions == pytest.approx(questions)
    assert (found.span.days, found.unit, found.units) == (28.0, "day", 28)
    (only,) = found.cases
    saving = questions * (0.4 * EACH_USD - 1e-6)
    assert (only.share, only.share_known, only.share_n) == (0.4, "tested", 200)
    assert only.saving_usd is not None and only.saving_usd.value == pytest.approx(saving)
    assert only.fixed_usd == pytest.approx(5.0)
    assert only.worth_usd == pytest.approx(24 * saving)
    assert only.break_even_months is not None and only.break_even_months.value == pytest.approx(5.0 / saving)
    assert only.break_even_at is not None and only.break_even_at[0] == NOW + timedelta(days=5.0 / saving * MONTH_DAYS)
    assert only.unknown == ()
    low, high = only.break_even_months.interval or (None, None)
    assert low is not None and high is not None and low < 5.0 / saving < high


def test_the_interval_is_the_same_each_time_and_seeded(project: Project) -> None:
    shelf.add(project.store, card())
    first, again, other = (case(project, seed=seed).break_even_months for seed in (0, 0, 1))
    assert first == again != other


def test_the_same_questions_answered_by_several_in_recordings_are_asked_once(project: Project) -> None:
    both = [call(n, id=f"{n}{variant}", variant=variant, source="import") for n in range(1_000, 1_200) for variant in ("large", "small")]
    append_many(project.store, both)
    found = of(project, since=BEGIN + timedelta(days=99))
    assert found.questions == pytest.approx(A_DAY * MONTH_DAYS)
    assert [one.calls for one in found.variants] == [pytest.approx(A_DAY * MONTH_DAYS)] * 2


def test_what_was_asked_to_learn_something_is_no_traffic_and_is_paid_for(project: Project) -> None:
    shelf.add(project.store, card())
    plain = case(project)
    trials = [call(5000 + n, variant="small", item=f"i{n}", cost_usd=0.1 if n else None, source="ask") for n in range(4)]
    append_many(project.store, trials)
    found = of(project)
    assert found.questions == pytest.approx(A_DAY * MONTH_DAYS)
    assert [one.variant for one in found.variants] == ["large"]
    usd, unknown = part(found.cases[0], "asking")
    assert (usd, unknown.startswith("1 of 4 answers")) == (0.3, True)
    assert found.cases[0].fixed_usd == pytest.approx(plain.fixed_usd + 0.3)
    assert found.cases[0].unknown != ()


def test_judges_are_paid_before_it_answers_and_by_the_question_once_they_watch_it(project: Project) -> None:
    shelf.add(project.store, card())
    judged = [call(9000 + n, task="judge:quality", source="judge", cost_usd=0.01, tags={"judged": f"{n:032x}"}) for n in range(20)]
    append_many(project.store, judged)
    assert part(case(project), "judging") == (0.2, "")
    own = [
        call(20_000 + n, item=f"own{n}", variant="triage-head-1", cost_usd=0.0, at=BEGIN + timedelta(days=20, hours=n)) for n in range(90)
    ]
    watching = [call(9100 + n, task="judge:quality", cost_usd=0.001, tags={"judged": one.id}) for n, one in enumerate(own)]
    append_many(project.store, own + watching)
    watched = case(project)
    assert part(watched, "judging") == (0.2, "")
    assert watched.share is not None
    assert watched.per_question_usd == pytest.approx(1e-6 + 90 * 0.001 / 66 * watched.share, rel=1e-6)


def test_once_it_answers_its_share_is_what_it_answers_and_the_day_counts_from_then(project: Project) -> None:
    shelf.add(project.store, card())
    at = [BEGIN + timedelta(days=day, hours=hour) for day in range(20, 30) for hour in (1, 3, 5, 7, 9)]
    append_many(
        project.store, [call(20_000 + n, item=f"own{n}", variant="triage-head-1", cost_usd=0.0, at=one) for n, one in enumerate(at)]
    )
    found = case(project)
    assert (found.share_known, found.is_serving, found.starts_at) == ("served", True, at[0])
    assert found.share == pytest.approx(5 / 15)


def test_a_certificate_that_names_it_says_its_share(project: Project, plain: Certification) -> None:
    own = card()
    shelf.add(project.store, own)
    share = {"large": 0.3, own.name: 0.7}
    certified = msgspec.structs.replace(plain.certificate, share=share, specialists={own.name: own.hash}, created_at=NOW)
    add_certificate(project.store, certified, "spec")
    found = case(project)
    assert (found.share, found.share_known, found.share_n) == (0.7, "certified", certified.n_calibrate)
    assert case(project, share=0.2).share_known == "said"


def test_a_certificate_of_another_that_had_its_name_says_nothing(project: Project, plain: Certification) -> None:
    own = card()
    shelf.add(project.store, own)
    old = msgspec.structs.replace(plain.certificate, share={own.name: 0.7}, specialists={own.name: "another"})
    add_certificate(project.store, old, "spec")
    assert case(project).share_known == "tested"


def test_labels_cost_what_tariffs_pay_and_what_others_are_said_to_cost(project: Project) -> None:
    shelf.add(project.store, card())
    people = [("ann", 0), ("ann", 1), ("bob", 2), ("bob", 3)]
    feedback = [
        Feedback(
            id=feedback_id(f"{n:032x}", "correct", name, ""), call=f"{n:032x}", metric="correct", value=1.0, source=f"person:{name}", at=NOW
        )
        for name, n in people
    ]
    append_many(project.store, [], feedback)
    verdicts = [Verdict(id="q t1 ann", reviewer="ann", task="triage"), Verdict(id="q t2 bob", reviewer="bob", task="other")]
    settle(project.store, "default", verdicts, CreditsTable(per_verdict_usd=0.25), NOW)
    assert part(case(project), "labels") == (0.25 + 3 * 0.5, "")


def test_what_nobody_knows_is_named_and_never_taken_for_nothing(tmp_path: Path) -> None:
    with project_at(tmp_path) as project:
        append_many(project.store, [call(n) for n in range(DAYS * A_DAY)])
        said = Feedback(id="f", call=f"{1:032x}", metric="correct", value=1.0, source="person:ann", at=NOW)
        append_many(project.store, [], [said])
        shelf.add(project.store, card(training_usd=None))
        found = case(project)
    assert found.saving_usd is not None and found.worth_usd is not None and found.break_even_months is None
    assert [why.split(":")[0] for why in found.unknown] == ["labels", "training", "serving"]
    assert "label_usd" in found.unknown[0] and "machine_usd_per_hour" in found.unknown[1] and "calls to models" in found.unknown[1]
    assert [way.is_more for way in of_ways(project, found)] == [True]


def of_ways(project: Project, found: Case) -> list[Any]:
    with Project.at(project.folder) as again:
        return [way for way in of(again).ways if way.is_owned and way.name.startswith(found.name)]


def test_unknown_costs_of_answers_are_counted_and_in_no_sum(project: Project) -> None:
    unpriced = [
        call(30_000 + n, item=f"u{n}", variant="small", cost_usd=None, at=BEGIN + timedelta(days=5, hours=n % 24)) for n in range(28)
    ]
    half = call(40_000, item="half", variant="small", cost_usd=0.5, at=BEGIN + timedelta(days=6))
    append_many(project.store, unpriced)
    month = next(one for one in of(project).variants if one.variant == "small")
    assert (month.usd, month.per_call_usd) == (None, None)
    append_many(project.store, [half])
    month = next(one for one in of(project).variants if one.variant == "small")
    assert month.unknown == pytest.approx(28 / 28 * MONTH_DAYS)
    assert (month.usd, month.per_call_usd) == (pytest.approx(0.5 / 28 * MONTH_DAYS), 0.5)


def test_without_a_price_of_the_reference_nothing_is_saved_that_anybody_knows(tmp_path: Path) -> None:
    with project_at(tmp_path, more=ECONOMICS) as project:
        append_many(project.store, [call(n, cost_usd=None) for n in range(DAYS * A_DAY)])
        shelf.add(project.store, card())
        found = of(project)
        assert (found.cases[0].saving_usd, found.cases[0].break_even_months) == (None, None)
        assert found.variants[0].usd is None
        assert [way.scenario_usd for way in found.ways] == [None, None]
        priced = [call(50_000 + n, item=f"t{n}", source="ask") for n in range(3)]
        append_many(project.store, priced)
        assert case(project).saving_usd is not None


def test_reasoning_is_told_as_a_share_of_tokens_and_of_cost(project: Project) -> None:
    """A thousand tokens in at 1 USD a million, a hundred out at 10, of which eighty are reasoning."""
    usage = Usage(input_tokens=1_000, output_tokens=100, reasoning_tokens=80)
    thinking = [call(60_000 + n, item=f"t{n}", variant="thinker", cost_usd=0.002, usage=usage) for n in range(50)]
    append_many(project.store, thinking)
    month = next(one for one in of(project).variants if one.variant == "thinker")
    assert (month.reasoning_share, month.reasoning_usd_share) == (pytest.approx(0.8), pytest.approx(0.4))


def test_few_days_are_drawn_by_episode(tmp_path: Path) -> None:
    with project_at(tmp_path, more=ECONOMICS) as project:
        append_many(project.store, [call(n, episode=f"e{n // 4}") for n in range(5 * A_DAY)])
        found = of(project)
    assert (found.unit, found.units) == ("episode", 13)
    assert found.span.days == pytest.approx(4 + 18 / 24)


def test_trainings_that_it_goes_on_from_are_paid_for_too(project: Project) -> None:
    shelf.add(project.store, card())
    plan = Plan(task="triage", method="head", dataset="triage@abc", code="0", continues="triage-head-1")
    shelf.add(project.store, card(name="triage-head-2", plan=plan))
    first, second = of(project).cases
    assert (part(first, "training"), part(second, "training")) == ((5.0, ""), (10.0, ""))


def test_falling_prices_and_growth_move_the_day_and_are_told_around_what_was_asked(project: Project) -> None:
    shelf.add(project.store, card())
    plain, fallen, grown = (case(project, scenario=Scenario(*asked)) for asked in ((1.0, 1.0), (1.0, 3.0), (3.0, 1.0)))
    days = [one.break_even_months.value for one in (grown, plain, fallen) if one.break_even_months and one.break_even_months.value]
    assert days == sorted(days) and len(set(days)) == 3
    asked = {(cell.growth, cell.price_decline): cell.months for cell in fallen.sensitivity}
    assert asked[1.0, 3.0] == fallen.break_even_months.value if fallen.break_even_months else None
    assert asked[2.0, 2.0] == pytest.approx(asked[1.0, 1.0], rel=1e-4)  # but for the machine, whose price stays


def test_ways_are_compared_over_all_months_with_what_each_cost_before(project: Project) -> None:
    shelf.add(project.store, card())
    rented, owned = sorted(of(project, months=12).ways, key=lambda way: way.is_owned)
    questions = A_DAY * MONTH_DAYS
    assert (rented.name, rented.fixed_usd, rented.scenario_usd) == ("large", 0.0, pytest.approx(12 * questions * EACH_USD))
    assert owned.scenario_usd == pytest.approx(5.0 + 12 * questions * (0.6 * EACH_USD + 1e-6))
    assert owned.still_usd == owned.scenario_usd


def test_personal_specialists_are_counted_and_are_no_case(project: Project) -> None:
    shelf.add(project.store, card(subject="ann"))
    found = of(project)
    assert (found.cases, found.personal) == ((), 1)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"scenario": Scenario(growth=0.0)}, "--growth 0 is no factor"),
        ({"scenario": Scenario(price_decline=float("nan"))}, "--price-decline nan is no factor"),
        ({"months": 0}, "--months 0"),
        ({"share": 1.5}, "--share 1.5"),
        ({"specialist": "nobody"}, "no specialist 'nobody'"),
    ],
)
def test_what_makes_no_sense_is_refused(project: Project, asked: dict[str, Any], message: str) -> None:
    with pytest.raises(CallerError, match=message):
        of(project, **asked)


def test_calls_without_times_are_no_month(tmp_path: Path) -> None:
    with project_at(tmp_path) as project:
        append_many(project.store, [call(n, at=None) for n in range(20)])
        with pytest.raises(DataError, match="none of 20 questions says when it was asked"):
            of(project)
