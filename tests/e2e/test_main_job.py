"""The main job by the real command line: a log becomes a certified policy that is served, verified, rolled back, backed up and erased."""

import json
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from command import Ended, freehold
from simulated import CHEAP, FRONTIER, Model, a_task, records, write_log

pytestmark = pytest.mark.slow

METRICS = '\n[metrics.correct]\nkind = "binary"\ndeterministic = true\n'
PROMISED = """
task reference metric label_design max_loss confidence attempt certified method certificate policy policy_hash dataset_hash n_items n_groups
n_train n_calibrate n_test thresholds_tested loss_upper_bound saving share quality cost_usd_per_1k test controls labels_needed
""".split()  # noqa: SIM905 (a list as the contract has it)
"""What the JSON of a certificate has at least."""


def asked(text: str) -> list[dict[str, str]]:
    """A message as a client sends it."""
    return [{"role": "system", "content": "You sort messages to a bank."}, {"role": "user", "content": text}]


class Job(NamedTuple):
    """What every step of the main job gave."""

    home: Path
    imported: Any
    again: Any
    groups: Any
    named: Any
    certificate: Any
    asked_again: Ended
    verified: Any
    report: Any
    promoted: Any
    looser: Any
    rolled_back: Any
    policies: Any
    restored: Path
    verified_there: Any
    erased: Any
    after_erasure: Ended
    after_erasure_json: Any


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """The whole job, step by step, in one project."""
    folder = tmp_path_factory.mktemp("job")
    home = folder / "bank"
    freehold("init", home)
    with (home / "freehold.toml").open("a") as config:
        config.write(METRICS)
    pairs = a_task(900)
    for i in range(0, 900, 300):
        pairs.tags[i]["subject"] = "ann"
    log = write_log(folder / "log.jsonl", ({**r, "task": None, "input": asked(r["input"])} for r in records(pairs)))
    here = ("--project", home, "--json")
    imported = freehold("import", log, "--label-design", "census", *here).json
    again = freehold("import", log, "--label-design", "census", *here).json
    groups = freehold("calls", "groups", *here).json
    named = freehold("calls", "name", groups[0]["id"][:10], "triage", *here).json
    with (home / "freehold.toml").open("a") as config:
        config.write("max_loss = 0.1\n")  # into the [tasks.triage] table that naming wrote
    ask = ("certify", "triage", "--reference", "frontier", "--metric", "correct")
    certificate = freehold(*ask, "--max-loss", "0.05", *here).json
    asked_again = freehold(*ask, "--max-loss", "0.05", "--project", home)
    path = home / certificate["certificate"]
    verified = freehold("verify", path, "--json", cwd=folder).json  # the project is the one it lies in
    report = freehold("report", "triage", "--out", folder / "page", *here).json
    promoted = freehold("promote", "triage", *here).json
    looser = freehold(*ask, "--max-loss", "0.1", *here).json
    freehold("promote", "triage", "--policy", looser["policy_hash"][:12], *here)
    rolled_back = freehold("rollback", "triage", *here).json
    policies = freehold("policy", "list", "triage", *here).json
    restored = folder / "restored"
    freehold("backup", folder / "bank.backup", *here)
    freehold("restore", folder / "bank.backup", restored)
    verified_there = freehold("verify", restored / certificate["certificate"], "--json").json
    erased = freehold("erase", "ann", "--yes", *here).json
    after_erasure = freehold("verify", path, code=3)
    after_erasure_json = freehold("verify", path, "--json", code=3).json
    return Job(home, imported, again, groups, named, certificate, asked_again, verified, report, promoted, looser,
               rolled_back, policies, restored, verified_there, erased, after_erasure, after_erasure_json)  # fmt: skip


def test_a_log_is_imported_once_however_often_it_is_told(job: Job) -> None:
    assert (job.imported["added"], job.imported["present"]) == (1800, 0)
    assert (job.again["added"], job.again["present"]) == (0, 1800)


def test_calls_without_a_task_are_one_group_that_becomes_a_task(job: Job) -> None:
    (group,) = job.groups
    assert group["calls"] == 1800
    assert (job.named["task"], job.named["calls"]) == ("triage", 1800)


def test_a_certificate_has_everything_that_is_promised(job: Job) -> None:
    c = job.certificate
    assert [key for key in PROMISED if key not in c] == []
    assert c["certified"] is True
    assert (c["task"], c["reference"], c["metric"], c["label_design"], c["method"]) == (
        "triage",
        "frontier",
        "correct",
        "census",
        "clopper-pearson",
    )
    assert c["n_train"] + c["n_calibrate"] + c["n_test"] == c["n_items"] == c["n_groups"] == 900
    assert 0 < c["loss_upper_bound"] <= c["max_loss"] == 0.05
    assert c["saving"] > 0.1
    assert sum(c["share"].values()) == pytest.approx(1)
    for name in ("quality", "cost_usd_per_1k"):
        assert set(c[name]) == {"policy", "reference"}
    assert set(c["test"]) >= {"n", "loss", "loss_ci", "saving"}
    assert set(c["controls"]) == {"all_cheapest", "all_reference", "shuffled", "oracle"}
    assert all(set(control) == {"loss", "quality", "saving"} for control in c["controls"].values())


def test_the_files_a_certificate_names_are_there(job: Job) -> None:
    c = job.certificate
    assert (job.home / c["policy"]).read_text().startswith("task triage\n")
    assert json.loads((job.home / c["certificate"]).read_text()) == c
    assert (job.home / c["dataset"]).name == c["dataset_hash"] + ".parquet"


def test_asking_again_in_another_process_gives_the_same_certificate_and_spends_nothing(job: Job) -> None:
    assert job.certificate["certificate"] in job.asked_again.out
    assert (job.certificate["attempt"], job.looser["attempt"]) == (1, 2)


def test_without_json_a_person_can_read_it(job: Job) -> None:
    assert "loses at most 0.05" in on_one_line(job.asked_again.out)
    assert "otherwise use frontier" in job.asked_again.out
    assert "reading paired items" in job.asked_again.err
    assert "reading paired items" not in job.asked_again.out


def test_it_verifies_from_anywhere_and_after_a_backup_was_restored(job: Job) -> None:
    for verified in (job.verified, job.verified_there):
        assert (verified["verdict"], verified["reasons"]) == ("valid", [])
    assert job.verified["certificate"]["id"] == job.certificate["id"]


def test_the_report_is_one_page_with_pictures(job: Job) -> None:
    page, *pictures = map(Path, job.report["files"])
    assert page.read_text().lstrip().lower().startswith("<!doctype html>")
    assert pictures
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in pictures)


def test_the_promoted_policy_is_served_again_after_a_rollback(job: Job) -> None:
    assert job.promoted["active"] == job.certificate["policy_hash"] == job.rolled_back["active"]
    assert [(p["hash"], p["active"]) for p in job.policies] == [
        (job.certificate["policy_hash"], True),
        (job.looser["policy_hash"], False),
    ]


def test_after_an_erasure_the_certificate_is_unverifiable_and_keeps_its_counts(job: Job) -> None:
    assert job.erased["calls"] == 6
    assert job.erased["frozen"] == {job.certificate["dataset_hash"]: 3}
    assert job.after_erasure.out.startswith("unverifiable: erased")
    assert job.after_erasure_json["verdict"] == "unverifiable: erased"
    assert job.after_erasure_json["certificate"]["n_calibrate"] == job.certificate["n_calibrate"]


# How commands end


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a task that was never certified."""
    home = tmp_path_factory.mktemp("desk")
    task = '[tasks.triage]\nreference = "frontier"\nmetric = "correct"\nmax_loss = 0.05\n'
    (home / "freehold.toml").write_text(METRICS + task)
    broken = Model("broken", 0.9, 0.9, 1e-5)
    log = write_log(home / "log.jsonl", records(a_task(120, (FRONTIER, CHEAP, broken))))
    freehold("import", log, "--label-design", "census", "--project", home)
    (home / "text.json").write_text("not a certificate")
    (home / "hand.policy").write_text("task triage\notherwise use cheap\n")
    return home


MISUSED: dict[str, str] = {
    "certify traige": "no task 'traige'.*Did you mean 'triage'",
    "certify triage --reference fronteir": "Did you mean 'frontier'",
    "certify triage --variants cheep": "Did you mean 'cheap'",
    "certify triage --metric corect": "Did you mean 'correct'",
    "certify triage --by teir": "Did you mean 'tag.tier'",
    "certify triage --max-loss 2": "--max-loss is 2",
    "certify triage --max-loss nan": "--max-loss is nan",
    "certify triage --confidence 0": "--confidence is 0",
    "certify triage --train nan": "--train nan",
    "certify triage --train 0.9": "sum to at most 1",
    "certify triage --max-loss little": "Invalid value for '--max-loss'",
    "certify": "Missing argument",
    "certify triage --seed -1": "--seed -1 is no seed",
    "erase ann": "Say --yes",
    "certifi triage": "No such command 'certifi'",
    "certify triage --flor 0.1": "No such option",
    "promote triage": "no policy",
    "promote traige": "Did you mean 'triage'",
    "rollback triage": "no earlier policy",
    "rollback traige": "Did you mean 'triage'",
    "policy list traige": "Did you mean 'triage'",
    "policy show traige": "Did you mean 'triage'",
    "policy show triage": "no policy",
    "policy check missing.policy": "cannot be read",
    "policy check text.json": "line 1, column 1",
    "report traige --out page": "Did you mean 'triage'",
    "report triage --out page": "no certificate to report on",
    "calls name 0123 triage": "no group '0123'",
}


@pytest.fixture(scope="module")
def ended(desk: Path) -> dict[str, Ended]:
    """How every misused or failing command ends, some at a time."""
    with ThreadPoolExecutor(4) as beside:
        return dict(beside.map(lambda line: (line, freehold(*line.split(), cwd=desk, code=None)), (*MISUSED, *FAILED)))


@pytest.mark.parametrize("line", MISUSED)
def test_a_misused_command_ends_with_2_and_says_what_would_do(ended: dict[str, Ended], line: str) -> None:
    code, out, err = ended[line]
    assert (code, out) == (2, "")
    assert "Traceback" not in err
    assert re.search(MISUSED[line], on_one_line(err)), err


def on_one_line(said: str) -> str:
    """The words of a message, however a terminal broke and framed it."""
    return " ".join(said.replace("│", " ").split())


FAILED: dict[str, str] = {
    "verify text.json": "text.json is not a certificate",
    "verify missing.json": "There is no certificate",
    "verify freehold.toml": "is not a certificate",
    "doctor --project nowhere": "",
    "calls groups --project nowhere": "There is no freehold.toml in nowhere",
    "restore text.json restored": "",
}


@pytest.mark.parametrize("line", FAILED)
def test_what_cannot_be_done_ends_with_1(ended: dict[str, Ended], line: str) -> None:
    code, out, err = ended[line]
    assert code == 1
    assert "Traceback" not in err
    assert FAILED[line] in on_one_line(out + err)


def test_outside_any_project_it_says_how_to_make_one(tmp_path: Path) -> None:
    assert "freehold init" in freehold("calls", "groups", cwd=tmp_path, code=1).err


def test_what_cannot_be_certified_ends_with_3_and_says_how_many_labels_are_missing(desk: Path) -> None:
    c = freehold("certify", "triage", "--json", cwd=desk, code=3).json
    assert (c["certified"], c["saving"], c["policy_source"]) == (False, 0, "task triage\notherwise use frontier\n")
    assert c["labels_needed"] is None or c["labels_needed"] > 0
    assert freehold("verify", desk / c["certificate"], code=3).out.startswith("nothing certified")
    assert "stays inactive" in freehold("promote", "triage", cwd=desk, code=3).err


def test_a_policy_by_hand_is_served_only_where_the_task_allows_it(desk: Path, tmp_path: Path) -> None:
    home = shutil.copytree(desk, tmp_path / "copy")
    added = freehold("policy", "add", "hand.policy", "--json", cwd=home).json
    assert "has no certificate" in freehold("promote", "triage", "--policy", added["hash"][:8], cwd=home, code=3).err
    with (home / "freehold.toml").open("a") as config:
        config.write("allow_uncertified = true\n")
    assert freehold("promote", "triage", "--policy", added["hash"][:8], "--json", cwd=home).json["active"] == added["hash"]


def test_found_labels_end_with_3_and_are_called_an_estimate(tmp_path: Path) -> None:
    (tmp_path / "freehold.toml").write_text(METRICS)
    log = write_log(tmp_path / "log.jsonl", records(a_task(600)))
    freehold("import", log, cwd=tmp_path)
    ask = ("certify", "triage", "--reference", "frontier", "--metric", "correct", "--max-loss", "0.05")
    c = freehold(*ask, "--json", cwd=tmp_path, code=3).json
    assert (c["certified"], c["estimate"], c["label_design"]) == (False, True, "found")
    assert c["claim"].startswith("An estimate, not a certificate")


def test_bad_lines_are_told_by_number_and_the_rest_goes_in(tmp_path: Path) -> None:
    (tmp_path / "freehold.toml").write_text(METRICS)
    good = list(records(a_task(2)))
    not_a_number, between = ({"scores": {"correct": score}} for score in (float("nan"), 0.5))
    lines = [json.dumps(good[0]), "{broken", *(json.dumps(good[1] | change) for change in (not_a_number, between, {"item": 7}))]
    (tmp_path / "log.jsonl").write_text("\n".join(lines))
    told = freehold("import", "log.jsonl", "--json", cwd=tmp_path, code=1).json
    assert told["added"] == 1
    assert [p["line"] for p in told["problems"]] == [2, 3, 4, 5]
    assert freehold("import", "log.jsonl", "--strict", "--json", cwd=tmp_path, code=1).json["refused"] == ["log.jsonl"]


def test_missing_reference_answers_are_counted_with_their_features(tmp_path: Path) -> None:
    (tmp_path / "freehold.toml").write_text(METRICS)
    log = [r for r in records(a_task(400)) if not (r["variant"] == "frontier" and r["item"] < "i000050")]
    freehold("import", write_log(tmp_path / "log.jsonl", log), "--label-design", "census", cwd=tmp_path)
    ask = ("certify", "triage", "--reference", "frontier", "--metric", "correct", "--json")
    c = freehold(*ask, cwd=tmp_path, code=None).json
    assert c["n_items"] == 350
    assert (c["unpaired"]["n"], c["unpaired"]["by_reason"]) == (50, {"the reference did not answer": 50})
    assert "chars" in c["unpaired"]["differences"]


def test_the_demo_works_twice_in_the_same_folder(tmp_path: Path) -> None:
    first = freehold("demo", "--out", tmp_path / "demo", "--json").json
    again = freehold("demo", "--out", tmp_path / "demo", "--json").json
    main, strict = first["certificates"]
    assert (main["certified"], main["max_loss"], strict["max_loss"]) == (True, 0.05, 0.02)
    assert main["saving"] >= 0.3
    assert (first["imported"], first["groups"]) == (4800, 1)
    assert [c["id"] for c in again["certificates"]] == [c["id"] for c in first["certificates"]]
    assert Path(first["report"]).read_text().startswith("<!doctype html>")
    freehold("verify", tmp_path / "demo" / main["certificate"])


def test_the_demo_keeps_out_of_another_projects_folder(desk: Path) -> None:
    assert "another project" in freehold("demo", "--out", desk, code=1).err
