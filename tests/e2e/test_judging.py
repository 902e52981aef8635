"""Models as judges, over real sockets: what they are asked, what becomes of their verdicts, and how far they are people's."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from at_work import CHEAP_USD, TOML, Desk, at_work, said_of, system_of
from command import freehold as command
from freehold.evaluation.calibrated import calibrate_judge, calibrations
from freehold.journal.build import feedback_id
from freehold.journal.call import Call, Feedback
from freehold.journal.erase import erase
from freehold.journal.read import feedback_of
from freehold.journal.write import append_many
from freehold.pipelines.judged import Judged, Wanted, judge_task
from freehold.pipelines.judging import scorers_of
from freehold.store.open import open_store
from upstream import Said, refuses, says

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
JUDGES = """
[metrics.correct]
kind = "binary"
[judges.quality]
model = "cheap"
rubric = "Is the answer right, whole and polite?"
[judges.better]
model = "cheap"
kind = "pairwise"
[judges.like]
model = "cheap"
kind = "reference"
range = [0, 10]
[tasks.capitals]
reference = "frontier"
variants = ["frontier", "claude"]
metric = "correct"
"""


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with at_work(tmp_path, TOML + JUDGES) as found:
        yield found


def remember(desk: Desk, count: int, labelled: int | None = None, **fields: Any) -> list[Call]:
    """So many items that `frontier` and `claude` answered; people said that every third answer of `claude` is wrong, of all items or of the first
    `labelled`, which were drawn."""
    made, said = [], []
    for n in range(count):
        for variant in ("frontier", "claude"):
            wrong = variant == "claude" and n % 3 == 0
            plain = {
                "input": f"What is the capital of land {n}?",
                "output": f"{'Wrong' if wrong else 'Right'} town {n}",
                "at": NOON + timedelta(seconds=n),
            }
            call = Call(id=f"{variant}-{n}", task="capitals", variant=variant, item=f"i{n}", **{**plain, **fields})
            made.append(call)
            if labelled is not None and n >= labelled:
                continue
            said.append(
                Feedback(
                    id=feedback_id(call.id, "correct", "person:ann"), call=call.id, metric="correct", kind="label", value=float(not wrong),
                    source="person:ann", at=NOON, **({} if labelled is None else {"design": "audit", "inclusion": labelled / count}),
                )
            )  # fmt: skip
    append_many(desk.at.project.store, made, said)
    return made


def run(desk: Desk, judge: str, **wanted: Any) -> Judged:
    (scorer,) = scorers_of(desk.at.project, [f"judge:{judge}"], desk.at)
    return judge_task(desk.at.project, scorer, Wanted("capitals", **wanted))


def by_words(said: Said) -> str:
    """A judge that likes right towns, and is a little too kind to wrong ones."""
    return json.dumps({"reason": "I know these towns.", "score": 5 if "Right town" in said_of(said) else 2})


def test_a_judge_is_asked_by_its_rubric_and_its_verdict_is_feedback_of_the_call(desk: Desk) -> None:
    """It counts as found, and says which rubric it went by; asking it again asks nobody."""
    remember(desk, 2)
    desk.up.answer = says(by_words)
    first = run(desk, "quality")
    assert (first.scored, first.before, first.unscored, first.mean) == (4, 0, {}, (5 * 3 + 2) / 4)
    assert first.cost_usd == pytest.approx(4 * CHEAP_USD)
    asked = desk.up.asked[0]
    assert "Is the answer right, whole and polite?" in said_of(asked) and "from 1 to 5" in system_of(asked)
    with open_store("sqlite:///freehold.db", desk.folder) as store:
        (said,) = [one for one in feedback_of(store, "default", "claude-0") if one.metric == "judge:quality"]
    assert (said.value, said.source, said.design, said.kind) == (2.0, "judge:quality", "found", "score")
    assert said.content["why"] == "I know these towns." and len(said.content["rubric"]) == 16
    again = run(desk, "quality")
    assert (again.scored, again.before, len(desk.up.asked)) == (0, 4, 4)


def test_what_a_judge_is_asked_is_journalled_apart_from_the_task(desk: Desk) -> None:
    """Its calls are the judge's own, with their cost, and about the person whom the judged call is about: erasing them finds both."""
    remember(desk, 1, subject="ann@example.com", customer="acme")
    desk.up.answer = says(by_words)
    run(desk, "quality")
    assert len(desk.calls("capitals")) == 2
    asked = desk.calls("judge:quality")
    assert [(call.source, call.variant, call.subject, call.customer) for call in asked] == [
        ("judge", "cheap", "ann@example.com", "acme")
    ] * 2
    assert {call.tags["judged"] for call in asked} == {"frontier-0", "claude-0"} and all(call.cost_usd == CHEAP_USD for call in asked)
    store = desk.at.project.store
    erase(store, "default", "ann@example.com", NOON)
    assert desk.calls() == []


@pytest.mark.parametrize(
    ("verdict", "why"),
    [
        ('{"reason": "Great!", "score": 7}', "expected a number from 1 to 5"),
        ('{"reason": "Great!"}', "gave no score"),
        ("I would say it is rather good.", "gave no score"),
        ('{"score": true}', "expected a number"),
        ('{"score": NaN}', "gave no score"),
        ("[4]", "gave no score"),
    ],
)
def test_a_verdict_that_is_none_is_no_score_and_a_reason(desk: Desk, verdict: str, why: str) -> None:
    """It is not stored, what it cost is counted, and the answer is judged again next time."""
    remember(desk, 1)
    desk.up.answer = says(verdict)
    made = run(desk, "quality")
    assert made.scored == 0 and sum(made.unscored.values()) == 2 and all(why in each for each in made.unscored)
    assert made.cost_usd == pytest.approx(2 * CHEAP_USD)
    desk.up.answer = says('Well. ```json\n{"reason": "", "score": "4"}\n```')
    assert run(desk, "quality").mean == 4.0


def test_a_judge_that_cannot_be_asked_gives_no_score(desk: Desk) -> None:
    """A provider that is down says nothing of the answers."""
    remember(desk, 1)
    desk.up.answer = lambda said: refuses(500, "we are down")
    made = run(desk, "quality")
    assert made.scored == 0 and all("'cheap' gave no verdict (failed)" in why for why in made.unscored)


def test_two_answers_are_compared_in_both_orders(desk: Desk) -> None:
    """A judge that always likes the first one is half for each, and its calibration says how much order moves it."""
    remember(desk, 12)
    desk.up.answer = says('{"reason": "", "better": "1"}')
    made = run(desk, "better")
    assert (made.scored, made.mean, len(desk.up.asked)) == (12, 0.5, 24)
    table = desk.at.project.config.judges["better"]
    order = calibrate_judge(desk.at.project, "better", table, "capitals", None, 0, NOON).order
    assert order is not None and (order.pairs, order.first.value, order.changed.value) == (12, 0.5, 1.0)


def test_a_judge_that_knows_compares_alike_in_both_orders(desk: Desk) -> None:
    remember(desk, 12)

    def better(said: Said) -> str:
        text = said_of(said)
        first, second = "Wrong" in text.split("answer 1")[1].split("answer 2")[0], "Wrong" in text.split("<answer 2")[1]
        return json.dumps({"better": "tie" if first == second else 2 if first else 1})

    desk.up.answer = says(better)
    made = run(desk, "better")
    assert made.mean == pytest.approx((8 * 0.5 + 4 * 0) / 12)
    known = calibrate_judge(desk.at.project, "better", desk.at.project.config.judges["better"], "capitals", None, 0, NOON)
    assert known.order is not None and (known.order.first.value, known.order.changed.value, known.bias.value) == (0.0, 0.0, 0.0)


def test_a_judge_by_a_right_answer_needs_one(desk: Desk) -> None:
    remember(desk, 1)
    desk.up.answer = says('{"score": 9}')
    assert list(run(desk, "like").unscored) == ["nobody said what the right answer is"] and not desk.up.asked
    append_many(
        desk.at.project.store,
        [Call(id="with", task="capitals", variant="claude", item="j", input="?", output="Paris", reference_output="Paris, France")],
    )
    assert run(desk, "like").mean == 9.0 and "Paris, France" in said_of(desk.up.asked[0])


def test_a_calibration_says_how_far_a_judge_is_peoples(desk: Desk) -> None:
    """Bias with its interval, by variant too; agreement; and whether it is kinder to its own kin. It is kept, and is of one rubric."""
    remember(desk, 30)
    desk.up.answer = says(by_words)
    run(desk, "quality")
    table = desk.at.project.config.judges["quality"]
    made = calibrate_judge(desk.at.project, "quality", table, "capitals", None, 0, NOON)
    assert made.answers == 60 and made.bias.value == pytest.approx(10 * 0.25 / 60)  # 2 of 1 to 5 is a quarter, and people said 0
    assert made.bias.low <= made.bias.value <= made.bias.high
    assert made.by_variant["frontier"].value == 0 and made.by_variant["claude"].value == pytest.approx(10 * 0.25 / 30)
    assert made.self_preference is not None and made.self_preference.value == pytest.approx(-10 * 0.25 / 30)  # cheap and frontier are gpt
    assert made.correlation is not None and made.correlation.value == pytest.approx(1.0) and made.agreement.alpha.value is not None
    assert calibrations(desk.folder, "quality", table) == [made]
    import msgspec

    assert calibrations(desk.folder, "quality", msgspec.structs.replace(table, rubric="Something else.")) == []


def test_a_budget_ends_judging_before_it_is_overspent(desk: Desk) -> None:
    remember(desk, 20)
    desk.up.answer = says(by_words)
    made = run(desk, "quality", budget_usd=5 * CHEAP_USD, concurrency=1)
    assert made.scored == 5 and made.left == 35


def test_people_and_a_judge_together_say_more_than_people_alone(tmp_path: Path) -> None:
    """People labelled 30 of 90 items; the judge, which is too kind, scored them all. A third of the answers of `claude` are wrong."""
    with at_work(tmp_path, TOML + JUDGES) as desk:
        remember(desk, 90, labelled=30)
        desk.up.answer = says(by_words)
        command("judge", "run", "quality", "--task", "capitals", cwd=tmp_path)
        made = command("judge", "estimate", "quality", "--task", "capitals", "--json", cwd=tmp_path).json
        assert (made["reference"], made["is_drawn"], made["unknown"]) == ("frontier", True, {})
        found, apart = made["variants"]["claude"], made["differences"]["claude"]
        assert (found["labels"], found["items"]) == (30, 90)
        assert found["powered"]["value"] == pytest.approx(2 / 3, abs=0.01) and found["bias"]["value"] > 0.05
        assert apart["powered"]["low"] <= -1 / 3 <= apart["powered"]["high"]
        for each in (found, apart):
            width, alone = (each[name]["high"] - each[name]["low"] for name in ("powered", "labels_only"))
            assert width < 0.8 * alone
        shown = command("judge", "estimate", "quality", "--task", "capitals", cwd=tmp_path)
        assert "less" in shown.out and "nobody drew" not in shown.err
        few = command("judge", "estimate", "like", "--task", "capitals", cwd=tmp_path, code=2)
        assert "has scored no answer" in few.err


def test_no_more_is_kept_of_a_judges_words_than_of_the_strictest_tasks(tmp_path: Path) -> None:
    with at_work(tmp_path, TOML + JUDGES + 'content = "redacted"\n') as desk:
        remember(desk, 1, output="write to ann@example.com")
        desk.up.answer = says('{"reason": "it says ann@example.com", "score": 3}')
        run(desk, "quality")
        (first, second) = desk.calls("judge:quality")
        said = [one for one in feedback_of(desk.at.project.store, "default", "claude-0") if one.source == "judge:quality"]
        assert "ann@example.com" not in f"{first.input}{first.output}{second.input}{said}" and "[EMAIL]" in f"{first.input}"


def test_the_commands_show_judge_and_calibrate(tmp_path: Path) -> None:
    with at_work(tmp_path, TOML + JUDGES) as desk:
        remember(desk, 12)
        desk.up.answer = says(by_words)
        made = command("judge", "run", "quality", "--task", "capitals", "--sample", "20", "--json", cwd=tmp_path).json
        assert made["scored"] == 20
        calibrated = command("judge", "calibrate", "quality", "--task", "capitals", "--json", cwd=tmp_path).json
        assert calibrated["answers"] == 20 and calibrated["judge"] == "judge:quality"
        listed = command("judge", "list", "--json", cwd=tmp_path).json
        assert {one["judge"]: one["calibrated_on"] for one in listed} == {"quality": ["capitals"], "better": [], "like": []}
        assert "bias" in command("judge", "show", "quality", cwd=tmp_path).out
        assert {"exact", "judge:quality"} <= {one["name"] for one in command("scorers", "--json", cwd=tmp_path).json}
        wrong = command("judge", "show", "qualty", cwd=tmp_path, code=None)
        assert wrong.code == 2 and "Did you mean 'quality'?" in wrong.err
