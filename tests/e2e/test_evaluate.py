"""`freehold evaluate`: recorded answers count, what is missing is asked over real sockets, and what it shows is kept, compared and required."""

import atexit
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from shutil import copytree, rmtree
from tempfile import mkdtemp
from typing import Any

import pytest
from tests.e2e.test_asked_candidates import PAIRS, PRICE, TOML, a_home, cheap_says

import freehold as package
from command import RUN, freehold
from freehold.errors import CallerError
from freehold.evaluation.records import singles
from freehold.journal import read
from freehold.store.open import open_store
from simulated import records, write_log
from upstream import Said, whole

PROGRAM = '''
import freehold

KNOWN = {known!r}


def remembers(message: str) -> str | None:
    """Knows some answers by heart, and has none to the others."""
    return KNOWN.get(message)


@freehold.pipeline
def shouts(message: str) -> str:
    return message.upper()


@freehold.scorer(kind="binary")
def short(output):
    return len(output) < 10
'''


@cache
def _imported(count: int) -> Path:
    """A project that has imported so many items, once for all tests of this process."""
    folder = Path(mkdtemp(prefix="freehold-evaluate-"))
    atexit.register(rmtree, folder, ignore_errors=True)
    (folder / "freehold.toml").write_text(TOML.replace("{url}", "http://127.0.0.1:1/v1"))
    truths = dict(zip(PAIRS.items, (PAIRS.answers[code] for code in PAIRS.truth_N), strict=True))
    place = {item: n for n, item in enumerate(PAIRS.items)}
    rows = (
        {**record, "reference_output": truths[record["item"]], "tags": {"tier": "gold" if place[record["item"]] % 3 else "plain"}}
        for record in records(PAIRS)
        if place[record["item"]] < count
    )
    freehold("import", write_log(folder / "log.jsonl", rows), "--label-design", "census", "--project", folder)
    return folder


def a_log(folder: Path, count: int = 300, toml: str = TOML) -> Path:
    """A project whose journal has the answers of both models to some items, with scores and right answers, items tagged by turns."""
    copytree(_imported(count), folder, dirs_exist_ok=True)
    (folder / "freehold.toml").write_text(toml.replace("{url}", "http://127.0.0.1:1/v1"))
    return folder


def evaluated(folder: Path, *options: str | Path, code: int | None = 0) -> dict[str, Any]:
    found: dict[str, Any] = freehold("evaluate", "triage", "--project", folder, "--json", *options, code=code).json
    return found


def sides(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {side["variant"]: side for side in found["sides"]}


def test_recordings_are_scored_compared_and_kept(tmp_path: Path) -> None:
    """Without asking anybody: means with intervals by scorer, cost and latency, differences with a verdict, parts, a scorecard."""
    a_log(tmp_path)
    found = evaluated(tmp_path, "--scorers", "correct,exact", "--by", "tier")
    right = {name: PAIRS.score_NV[:300, v].mean() for v, name in enumerate(PAIRS.variants)}
    for name, side in sides(found).items():
        recorded, exact = side["means"]
        assert (recorded["scorer"], exact["scorer"]) == ("correct", "exact")
        assert recorded["mean"] == pytest.approx(right[name]) == exact["mean"]
        assert recorded["low"] < recorded["mean"] < recorded["high"]
        assert (recorded["n"], recorded["unscored"], recorded["method"]) == (300, 0, "exact")
        assert side["cost_usd_per_1k"] > 0 and side["p95_s"] > side["p50_s"] > 0
    assert {(d["first"], d["second"], d["scorer"], d["verdict"]) for d in found["differences"]} == {
        ("cheap", "frontier", "correct", "worse"), ("cheap", "frontier", "exact", "worse"),
    }  # fmt: skip
    assert {(part["by"], part["value"], part["items"]) for part in found["parts"]} == {("tier", "gold", 200), ("tier", "plain", 100)}
    assert found["scorecard"]["chosen_from"] + found["scorecard"]["confirmed_on"] == 300
    assert found["begun"] < found["scorecard"]["targets_at"] < found["ended"]
    assert found["sources"] == {"import": 600}
    listed = freehold("evaluate", "list", "--project", tmp_path, "--json").json
    assert [(row["id"], row["state"], row["targets_hash"]) for row in listed] == [(found["id"], "done", found["scorecard"]["targets_hash"])]
    assert freehold("evaluate", "show", found["id"], "--project", tmp_path, "--json").json == found
    with open_store("sqlite:///freehold.db", tmp_path) as store:
        said = [one for some in read.scores(store, "default", "triage", "exact") for one in some]
    assert {one.source for one in said} == {"scorer:exact"}
    assert len(said) == 600


def test_in_a_terminal_it_is_tables(tmp_path: Path) -> None:
    a_log(tmp_path)
    told = freehold(
        "evaluate", "triage", "--scorers", "correct", "--by", "tier", "--require", "correct>=0.99", "--project", tmp_path, code=3
    )
    for words in ("300 items of 'triage'", "tier = gold", "worse", "Where 'frontier' is not needed", "fixed 20", "Required"):
        assert words in told.out
    assert "Required of 'cheap': correct>=0.99. Measured: it is 0." in told.err


def test_a_requirement_that_does_not_hold_ends_with_3_and_one_that_cannot_be_read_with_2(tmp_path: Path) -> None:
    a_log(tmp_path)
    kept = evaluated(tmp_path, "--require", "correct.low>=0.5", "--require", "difference(cheap,frontier).low>=-0.5")
    assert [one["is_met"] for one in kept["required"]] == [True, True]
    missed = evaluated(tmp_path, "--require", "correct>=0.5", "--require", "correct>=0.99", code=3)
    assert [one["is_met"] for one in missed["required"]] == [True, False]
    refused = freehold("evaluate", "triage", "--require", "corect>=0.5", "--project", tmp_path, code=2)
    assert "Did you mean 'correct'?" in refused.err


def test_what_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    a_log(tmp_path, 5)
    for options, words in (
        (("--variants", "cheep"), "'cheep' has no recorded answer"),
        (("--scorers", "exacct"), "'exacct' is no scorer"),
        (("--by", "teir"), "no item has such a tag. Did you mean 'tier'?"),
        (("--dataset", "none.jsonl"), "There is no file none.jsonl"),
        (("--limit", "0"), "--limit 0"),
        (("--concurrency", "many"), "expected 'auto' or a number"),
    ):
        assert words in freehold("evaluate", "triage", *options, "--project", tmp_path, code=2).err
    assert "There is no task 'triagee'" in freehold("evaluate", "triagee", "--project", tmp_path, code=2).err
    assert "There is no evaluation" in freehold("evaluate", "show", "x", "--project", tmp_path, code=2).err


def test_a_limit_draws_the_same_items_for_the_same_seed(tmp_path: Path) -> None:
    a_log(tmp_path)
    one, again, other = (evaluated(tmp_path, "--limit", "50", "--seed", seed) for seed in ("1", "1", "2"))
    assert (one["items"], one["frame"]) == (50, 300)
    assert one["data"] == again["data"] != other["data"]
    assert one["id"] != again["id"]


def test_changes_between_two_evaluations_have_verdicts(tmp_path: Path) -> None:
    """The same items under another scorer's name are left out; the same scorer on fewer items is compared on those."""
    a_log(tmp_path)
    before, after = evaluated(tmp_path, "--limit", "200"), evaluated(tmp_path, "--scorers", "correct,exact")
    found = freehold("evaluate", "compare", before["id"], after["id"], "--project", tmp_path, "--json").json
    assert [(one["variant"], one["before"] == one["after"], one["against"]["verdict"]) for one in found["changes"]] == [
        ("frontier", True, "equivalent"), ("cheap", True, "equivalent"),
    ]  # fmt: skip
    assert (found["only_before"], found["only_after"]) == (0, 100)
    assert found["left_out"] == ["cheap by exact", "frontier by exact"]


def test_a_page_fetches_nothing_and_is_its_owners_alone(tmp_path: Path) -> None:
    a_log(tmp_path)
    evaluated(tmp_path, "--by", "tier", "--out", tmp_path / "page")
    page = (tmp_path / "page" / "evaluation.html").read_text()
    assert "tier = gold" in page and "is not needed" in page and "Content-Security-Policy" in page
    assert 'src="http' not in page and 'href="http' not in page
    assert (tmp_path / "page" / "evaluation-scores-0.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "page" / "evaluation.html").stat().st_mode & 0o077 == 0


def test_groups_of_people_are_told_apart_and_small_ones_are_not(tmp_path: Path) -> None:
    toml = TOML + '[evaluation]\npeople = ["tier"]\nleast_people = 150\n'
    a_log(tmp_path, toml=toml)
    found = evaluated(tmp_path)
    assert found["people"] == []
    assert found["suppressed"] == [{"by": "tier", "groups": 2}]
    (tmp_path / "freehold.toml").write_text(toml.replace("150", "50").replace("{url}", "http://127.0.0.1:1/v1"))
    shown = evaluated(tmp_path)
    assert [part["value"] for part in shown["people"]] == ["gold", "plain"]
    assert {gap["variant"] for gap in shown["gaps"]} == {"frontier", "cheap"}


# Live answers.


def test_missing_answers_are_asked_at_a_price_told_first_and_never_twice(tmp_path: Path) -> None:
    with a_home(tmp_path) as home:
        truths(home.folder)
        refused = freehold(
            "evaluate", "triage", "--variants", "frontier,cheap", "--limit", "40", "--scorers", "agreement", "--project", tmp_path, code=2
        )
        assert "Answers that are missing" in refused.out and "In all about $" in refused.out
        assert "Say --yes" in refused.err
        assert home.provider.asked == []
        options = ("--variants", "frontier,cheap", "--limit", "40", "--scorers", "agreement", "--yes")
        found = evaluated(tmp_path, *options)
        assert len(home.provider.asked) == 40
        assert found["asked_usd"] == pytest.approx(40 * PRICE)
        assert sides(found)["cheap"]["cost_usd"] == pytest.approx(40 * PRICE)
        assert sides(found)["cheap"]["answered"] == 40
        again = evaluated(tmp_path, *options)
        assert len(home.provider.asked) == 40
        assert (again["asked_usd"], again["sides"][1]["means"]) == (0.0, found["sides"][1]["means"])


def truths(folder: Path) -> Path:
    """A file of items with their right answers."""
    path = folder / "heldout.jsonl"
    known = zip(PAIRS.texts, PAIRS.truth_N, strict=True)
    path.write_text(
        "".join(json.dumps({"input": f"{text} ?", "reference_output": PAIRS.answers[code]}) + "\n" for text, code in list(known)[:60])
    )
    return path


def asks_without_the_mark(said: Said) -> Iterator[bytes]:
    content = said.body["messages"][-1]["content"]
    plain = {**said.body, "messages": [{"role": "user", "content": content.removesuffix(" ?")}]}
    return whole(cheap_says(said._replace(body=plain)))


def test_items_of_a_file_are_no_traffic_of_the_task(tmp_path: Path) -> None:
    """They are asked under the task's settings and journalled apart; the task has no item more than before."""
    with a_home(tmp_path, asks_without_the_mark) as home:
        found = evaluated(tmp_path, "--dataset", truths(tmp_path), "--variants", "cheap", "--scorers", "exact", "--yes")
        assert (found["items"], sides(found)["cheap"]["means"][0]["n"]) == (60, 60)
        assert sides(found)["cheap"]["means"][0]["mean"] == pytest.approx(PAIRS.score_NV[:60, 1].mean())
        assert home.provider.asked[0].body["messages"][0]["content"] == "Name the topic."
        with open_store("sqlite:///freehold.db", tmp_path) as store:
            assert read.counts(store, "default").tasks == {"triage": 1200, "triage@heldout": 60}
        evaluated(tmp_path, "--dataset", truths(tmp_path), "--variants", "cheap", "--scorers", "exact", "--yes")
        assert len(home.provider.asked) == 60


def test_a_file_that_asks_something_else_by_a_known_name_is_refused(tmp_path: Path) -> None:
    with a_home(tmp_path, lambda said: whole(cheap_says(said._replace(body={**said.body, "messages": [{"content": PAIRS.texts[0]}]})))):
        (tmp_path / "few.jsonl").write_text('{"item": "a", "input": "one"}\n')
        evaluated(tmp_path, "--dataset", tmp_path / "few.jsonl", "--variants", "cheap", "--scorers", "latency", "--yes")
        (tmp_path / "few.jsonl").write_text('{"item": "a", "input": "another"}\n')
        refused = freehold(
            "evaluate",
            "triage",
            "--dataset",
            tmp_path / "few.jsonl",
            "--variants",
            "cheap",
            "--scorers",
            "latency",
            "--yes",
            "--project",
            tmp_path,
            code=2,
        )
        assert "asks something else by 'a'" in refused.err


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"inputt": "x"}', "has 'inputt', which an item does not have. Did you mean 'input'?"),
        ('{"item": "a"}', "has no 'input'"),
        ("[1]", "expected an object"),
        ('{"input": "x", "group": [1]}', "has a 'group' that is"),
        ('{"input": "x"}\n{"input": "x"}', "there is an item"),
    ],
)
def test_rows_that_are_no_items_are_named(tmp_path: Path, line: str, words: str) -> None:
    a_log(tmp_path, 5)
    (tmp_path / "bad.jsonl").write_text(line + "\n")
    refused = freehold("evaluate", "triage", "--dataset", tmp_path / "bad.jsonl", "--scorers", "exact", "--project", tmp_path, code=2)
    assert words in refused.err and "row" in refused.err


def test_an_answer_that_was_not_given_has_the_worst_score_and_is_counted(tmp_path: Path) -> None:
    def moody(said: Said) -> Iterator[bytes]:
        if "mortgage" in said.body["messages"][-1]["content"].lower():
            return whole({"error": {"message": "too long"}}, 400)
        return whole(cheap_says(said))

    with a_home(tmp_path, moody):
        found = evaluated(tmp_path, "--variants", "frontier,cheap", "--limit", "100", "--scorers", "agreement", "--yes")
        mean = sides(found)["cheap"]["means"][0]
        assert mean["silent"] > 5
        assert (mean["n"], mean["unscored"]) == (100, 0)
        assert sides(found)["cheap"]["answered"] == 100 - mean["silent"]


def test_the_budget_leaves_items_without_an_answer_and_says_how_bad_those_could_be(tmp_path: Path) -> None:
    with a_home(tmp_path) as home:
        budget = str(20.5 * PRICE)
        options = ("--variants", "frontier,cheap", "--limit", "60", "--scorers", "agreement", "--yes", "--concurrency", "1")
        found = evaluated(tmp_path, *options, "--budget-usd", budget)
        mean = sides(found)["cheap"]["means"][0]
        assert len(home.provider.asked) <= 21
        assert mean["n"] == len(home.provider.asked) and mean["n"] + mean["unscored"] == 60
        assert mean["reasons"] == {"it was not asked": mean["unscored"]}
        assert mean["worst"] < mean["mean"] < mean["best"]
        assert sides(evaluated(tmp_path, *options))["cheap"]["means"][0]["unscored"] == 0
        assert len(home.provider.asked) == 60


def test_a_run_that_is_killed_goes_on_without_paying_twice(tmp_path: Path) -> None:
    """SIGKILL in the middle of asking: the same evaluation is gone on with, and every answer was asked once, but those under way."""
    begun = threading.Semaphore(0)

    def slow(said: Said) -> Iterator[bytes]:
        if len(home.provider.asked) > 20:
            begun.release()
            threading.Event().wait(0.2)
        return whole(cheap_says(said))

    with a_home(tmp_path) as home:
        home.provider.answer = slow
        options = ["--variants", "frontier,cheap", "--limit", "60", "--scorers", "agreement", "--yes", "--concurrency", "4"]
        command = ["evaluate", "triage", "--project", str(tmp_path), "--json", *options]
        with subprocess.Popen(
            [sys.executable, "-W", "error", "-c", RUN, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ
        ) as process:
            for _ in range(6):
                assert begun.acquire(timeout=30)
            process.send_signal(signal.SIGKILL)
            process.communicate(timeout=60)
        (row,) = freehold("evaluate", "list", "--project", tmp_path, "--json").json
        assert row["state"] == "running"
        asked, kept = len(home.provider.asked), len(home.calls())
        assert asked - 4 <= kept < 60
        home.provider.answer = lambda said: whole(cheap_says(said))
        found = evaluated(tmp_path, *options, "--resume")
        assert found["id"] == row["id"]
        assert len(home.provider.asked) == asked + 60 - kept
        assert sides(found)["cheap"]["answered"] == 60


# Data sets and judges.


def test_the_test_part_of_a_data_set_is_evaluated(tmp_path: Path) -> None:
    """Frozen rows of the frontier's answers as the right ones; recorded answers to the same questions count, and nobody is asked."""
    a_log(tmp_path, toml=TOML + '[models.frontier]\ntrains_others = "yes"\n')
    build = ("dataset", "build", "held", "--from", "task=triage and variant=frontier", "--json", "--project", tmp_path)
    parts = freehold(*build).json["parts"]
    assert min(parts.values()) > 0
    options = ("--variants", "frontier", "--scorers", "exact")
    found = evaluated(tmp_path, "--dataset", "held", *options)
    assert (found["items"], found["frame"]) == (parts["test"], parts["test"])
    assert sides(found)["frontier"]["means"][0]["mean"] == 1.0
    assert evaluated(tmp_path, "--dataset", "held/train", *options)["items"] == parts["train"]
    for said, words in (("hold", "Did you mean 'held'?"), ("held/tset", "Did you mean 'test'?")):
        refused = freehold("evaluate", "triage", "--dataset", said, *options, "--project", tmp_path, code=2)
        assert words in refused.err


def test_a_judge_scores_and_is_asked_of_an_answer_once(tmp_path: Path) -> None:
    """By rubric and against the reference's answer; the scores are feedback of the judge, found again by the next evaluation."""

    def judges(said: Said) -> Iterator[bytes]:
        words = json.dumps(said.body["messages"])
        told = {"reason": "As it is.", "winner": "tie"} if "winner" in words else {"reason": "As it is.", "score": 4}
        answer = cheap_says(said._replace(body={**said.body, "messages": [{"content": PAIRS.texts[0]}]}))
        answer["choices"][0]["message"]["content"] = json.dumps(told)
        return whole(answer)

    with a_home(tmp_path, judges) as home:
        with (tmp_path / "freehold.toml").open("a") as toml:
            toml.write('[judges.quality]\nmodel = "cheap"\nrubric = "Is it right?"\n')
        options = ("--variants", "frontier", "--limit", "12", "--scorers", "judge:quality")
        found = evaluated(tmp_path, *options)
        mean = sides(found)["frontier"]["means"][0]
        assert (mean["n"], mean["unscored"], mean["mean"]) == (12, 0, 4.0)
        assert found["scoring_usd"] == pytest.approx(12 * PRICE)
        assert len(home.provider.asked) == 12
        again = evaluated(tmp_path, *options)
        assert (again["scoring_usd"], sides(again)["frontier"]["means"]) == (0.0, sides(found)["frontier"]["means"])
        assert len(home.provider.asked) == 12
        with open_store("sqlite:///freehold.db", tmp_path) as store:
            said = [one for some in read.scores(store, "default", "triage", "judge:quality") for one in some]
        assert {one.source for one in said} == {"judge:quality"} and len(said) == 12


# Functions of a program.


def a_program(folder: Path) -> None:
    known = {text: PAIRS.answers[code] for text, code in list(zip(PAIRS.texts, PAIRS.truth_N, strict=True))[:200]}
    (folder / "desk.py").write_text(PROGRAM.format(known=known))
    toml = (folder / "freehold.toml").read_text()
    (folder / "freehold.toml").write_text(f'[project]\npython = ["desk.py"]\n{toml}')


def test_any_function_of_a_program_is_a_candidate_and_a_scorer(tmp_path: Path) -> None:
    """Some items it has no answer to: those are wrong. What it answers is journalled apart from the task's own calls."""
    a_program(a_log(tmp_path))
    found = evaluated(tmp_path, "--variants", f"frontier,mine={tmp_path}/desk.py:remembers,loud=shouts", "--scorers", "exact,short")
    known = sides(found)
    assert list(known) == ["frontier", "mine", "loud"]
    assert known["mine"]["means"][0]["mean"] == pytest.approx(200 / 300)
    assert known["mine"]["means"][0]["silent"] == 100
    assert known["loud"]["means"][0]["mean"] == 0
    assert known["loud"]["means"][1]["mean"] == 0
    assert known["frontier"]["means"][1]["mean"] == 1
    with open_store("sqlite:///freehold.db", tmp_path) as store:
        assert read.counts(store, "default").tasks == {"triage": 600, "triage@candidates": 600}


def test_a_name_that_is_no_function_is_refused(tmp_path: Path) -> None:
    a_program(a_log(tmp_path, 5))
    refused = freehold(
        "evaluate", "triage", "--variants", f"x={tmp_path}/desk.py:rememberz", "--scorers", "exact", "--project", tmp_path, code=2
    )
    assert "Did you mean 'remembers'?" in refused.err
    taken = freehold(
        "evaluate", "triage", "--variants", f"cheap={tmp_path}/desk.py:remembers", "--scorers", "exact", "--project", tmp_path, code=2
    )
    assert "Give the candidate a name of its own" in taken.err


def test_from_python(tmp_path: Path) -> None:
    """The same, called: any function, sync or async, beside recorded variants."""
    a_log(tmp_path)
    known = dict(zip(PAIRS.texts, (PAIRS.answers[code] for code in PAIRS.truth_N), strict=True))

    async def knows(message: str) -> str:
        return known[message]

    def fails(message: str) -> str:
        raise ValueError(message)

    with package.use(tmp_path):
        found = package.evaluate(
            "triage", ["frontier"], candidates={"knows": knows, "fails": fails}, scorers=["exact"], require=["knows:exact>=1"]
        )
    assert [(side.variant, side.means[0].mean) for side in found.sides][1:] == [("knows", 1.0), ("fails", 0.0)]
    assert found.sides[2].means[0].silent == 300
    assert found.required[0].is_met
    assert {one.first: one.verdict for one in found.differences}["fails"] == "worse"
    assert len(singles(tmp_path, found.id)) == 900


def test_from_python_nobody_is_paid_without_a_word(tmp_path: Path) -> None:
    with a_home(tmp_path) as home, package.use(tmp_path):
        with pytest.raises(CallerError, match=r"20 answers are missing, which cost about \$0\.\d+\. Say how much"):
            package.evaluate("triage", ["frontier", "cheap"], scorers=["agreement"], limit=20)
        assert home.provider.asked == []
        found = package.evaluate("triage", ["frontier", "cheap"], scorers=["agreement"], limit=20, budget_usd=1.0)
        assert found.sides[1].answered == len(home.provider.asked) == 20


# What becomes of it.


def test_of_an_erased_person_nothing_is_left_in_evaluations(tmp_path: Path) -> None:
    a_log(tmp_path, 20)
    log = [{**record, "item": "hers", "input": "hers", "tags": {"subject": "ann", "tier": "gold"}} for record in records(PAIRS)][:1]
    freehold("import", write_log(tmp_path / "hers.jsonl", log), "--project", tmp_path)
    found = evaluated(tmp_path, "--variants", "frontier", "--scorers", "exact")
    assert any(one.item == "hers" for one in singles(tmp_path, found["id"]))
    freehold("erase", "ann", "--yes", "--project", tmp_path)
    assert not any(one.item == "hers" for one in singles(tmp_path, found["id"]))
    assert freehold("evaluate", "show", found["id"], "--project", tmp_path, "--json").json["erased"] == 1


def test_a_backup_has_evaluations(tmp_path: Path) -> None:
    found = evaluated(a_log(tmp_path, 20))
    freehold("backup", tmp_path / "all.tar", "--project", tmp_path)
    freehold("restore", tmp_path / "all.tar", tmp_path / "other")
    assert freehold("evaluate", "show", found["id"], "--project", tmp_path / "other", "--json").json == found
    assert len(singles(tmp_path / "other", found["id"])) == 40


def test_judges_are_told_of_first_and_kept_within_the_budget(tmp_path: Path) -> None:
    """About what they cost is said before anybody is asked; when the budget is spent no further one is, and the same command goes on."""

    def judges(said: Said) -> Iterator[bytes]:
        answer = cheap_says(said._replace(body={**said.body, "messages": [{"content": PAIRS.texts[0]}]}))
        answer["choices"][0]["message"]["content"] = json.dumps({"reason": "As it is.", "score": 4})
        return whole(answer)

    with a_home(tmp_path, judges) as home:
        with (home.folder / "freehold.toml").open("a") as toml:
            toml.write('[judges.quality]\nmodel = "cheap"\nrubric = "Is it right?"\n')
        command = ("evaluate", "triage", "--variants", "frontier", "--limit", "60", "--scorers", "judge:quality", "--project", home.folder)
        told = freehold(*command, "--limit", "2")
        assert "Judgements that are missing" in told.out and "judge:quality" in told.out
        asked = len(home.provider.asked)
        assert asked == 2 and "4.00" in told.out
        short = freehold(*command, "--budget-usd", "0.000001", "--json")
        assert "left" in short.err and "judgements out" in short.err
        assert short.json["scoring_usd"] == pytest.approx((len(home.provider.asked) - asked) * PRICE)
        assert 0 < len(home.provider.asked) - asked < 58
