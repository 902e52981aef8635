"""From a journal to a certificate on disk: what is frozen, what is counted, what is spent, and what an erasure leaves."""

import multiprocessing
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import msgspec
import numpy as np
import pytest

from freehold.config import FILE_NAME
from freehold.curate import erase_subject
from freehold.datasets.freeze import thaw
from freehold.datasets.pairs import Pairs
from freehold.datasets.split import Fractions
from freehold.errors import CallerError, DataError, OperatorError, StoreBusy
from freehold.evaluation.bounds import spend
from freehold.improve import Request, _alone, certify_task, find_program, read_program, report_task, verify_file
from freehold.journal.call import Call
from freehold.journal.ingest import IngestOptions
from freehold.journal.spool import Entry, Spool
from freehold.journal.write import append_each
from freehold.project import Project
from freehold.promotion.certificate import Certificate
from freehold.promotion.records import attempts, policy_rows
from freehold.promotion.verify import Verdict, remake
from freehold.routing.artefact import load
from simulated import CHEAP, FRONTIER, a_task, records, write_log

CONFIG = """
[metrics.correct]
kind = "binary"
deterministic = true
[tasks.triage]
reference = "frontier"
metric = "correct"
max_loss = 0.05
"""
ASK = Request("triage")
Home = Callable[..., Project]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """Makes a project whose journal holds these items: `home(pairs, design="found", config=…)`."""
    opened: list[Project] = []

    def make(pairs: Pairs, design: Any = "census", config: str = CONFIG, **everyone: Any) -> Project:
        (tmp_path / FILE_NAME).write_text(config)
        project = Project.at(tmp_path)
        opened.append(project)
        tell(project, pairs, design, **everyone)
        return project

    yield make
    for project in opened:
        project.__exit__(None, None, None)


def tell(project: Project, pairs: Pairs, design: Any = "census", **everyone: Any) -> None:
    """Imports more items."""
    log = write_log(project.folder / "log.jsonl", records(pairs, **everyone))
    report = project.ingest([str(log)], IngestOptions(design=design))
    assert (report.problem_count, report.conflicts) == (0, 0)


def certificate_of(project: Project, request: Request = ASK) -> Certificate:
    """What certification gives."""
    return certify_task(project, request).certificate


def numbers(project: Project) -> list[int]:
    """The attempts that were spent."""
    return [a.number for a in attempts(project.store, "default", "triage")]


SMALL = a_task(500)


# What is written


def test_a_certificate_its_data_its_arrays_and_its_policy_are_written_and_verify(home: Home) -> None:
    project = home(a_task())
    c = certificate_of(project)
    assert c.certified
    assert c.certificate is not None
    assert c.policy is not None
    assert c.dataset is not None
    assert (project.folder / c.policy).read_text() == c.policy_source
    assert msgspec.json.decode((project.folder / c.certificate).read_bytes(), type=Certificate) == c
    assert len(thaw(project.folder / c.dataset)) == c.n_items == 1200
    (row,) = policy_rows(project.store, "default", "triage")
    assert (row.hash, row.source, row.artefact, row.certificate, row.origin) == (
        c.policy_hash,
        c.policy_source,
        c.artefact,
        c.id,
        "certify",
    )
    assert verify_file(project, project.folder / c.certificate).verdict is Verdict.VALID


def test_what_is_written_is_its_owners_alone(home: Home) -> None:
    project = home(SMALL)
    certificate_of(project)
    for folder in (project.datasets, project.certificates, project.policies):
        assert folder.stat().st_mode & 0o077 == 0
        assert [path for path in folder.iterdir() if path.stat().st_mode & 0o077] == []


def test_it_can_be_made_again_from_its_frozen_data(home: Home) -> None:
    project = home(SMALL)
    c = certificate_of(project, ASK._replace(max_loss=0.1, by="tier"))
    assert c.artefact is not None and c.dataset is not None
    arrays = load(project.store.blobs.get(c.artefact))
    again = remake(c, thaw(project.folder / c.dataset), arrays, project.catalog.metric("correct")).certificate
    assert (again.policy_source, again.loss_upper_bound, again.controls, again.slices) == (
        c.policy_source,
        c.loss_upper_bound,
        c.controls,
        c.slices,
    )


def test_a_task_that_was_never_certified_has_nothing_to_report(home: Home, tmp_path: Path) -> None:
    project = home(SMALL)
    with pytest.raises(CallerError, match="no certificate to report on"):
        report_task(project, "triage", tmp_path / "out")
    with pytest.raises(CallerError, match=r"no task 'traige'.*Did you mean 'triage'"):
        report_task(project, "traige", tmp_path / "out")


# What is asked


def test_the_tasks_own_settings_are_taken_unless_the_request_says_otherwise(home: Home) -> None:
    project = home(SMALL, config=CONFIG + "confidence = 0.9\np95_s = 5.0\n")
    c = certificate_of(project)
    assert (c.max_loss, c.confidence, c.p95_s, c.reference, c.metric) == (0.05, 0.9, 5.0, "frontier", "correct")
    asked = certificate_of(project, Request("triage", max_loss=0.1, confidence=0.8, reference="cheap"))
    assert (asked.max_loss, asked.confidence, asked.reference) == (0.1, 0.8, "cheap")


UNKNOWN: dict[str, tuple[Request, str]] = {
    "task": (Request("traige"), "no task 'traige'.*Did you mean 'triage'"),
    "reference": (Request("triage", reference="fronteir"), "'fronteir'.*Did you mean 'frontier'"),
    "variant": (Request("triage", variants=("cheep",)), "'cheep'.*Did you mean 'cheap'"),
    "metric": (Request("triage", metric="corect"), "'corect'.*Did you mean 'correct'"),
    "tag": (Request("triage", by="teir"), "'teir'.*Did you mean 'tag.tier'"),
    "floor": (Request("triage", max_loss=1.5), "--max-loss is 1.5"),
    "confidence": (Request("triage", confidence=0.2), "--confidence is 0.2"),
    "fractions": (Request("triage", fractions=Fractions(0.9, 0.4)), "--train 0.9 and --calibrate 0.4"),
}


@pytest.mark.parametrize("what", UNKNOWN)
def test_what_is_unknown_or_impossible_is_the_callers_to_mend(home: Home, what: str) -> None:
    request, message = UNKNOWN[what]
    with pytest.raises(CallerError, match=message):
        certify_task(home(SMALL), request)


@pytest.mark.parametrize(("line", "message"), [('reference = "frontier"', "against what"), ('metric = "correct"', "By what measure")])
def test_what_nobody_said_is_asked_for(home: Home, line: str, message: str) -> None:
    with pytest.raises(CallerError, match=message):
        certify_task(home(SMALL, config=CONFIG.replace(line, "")), ASK)


def test_a_task_with_its_reference_alone_has_nothing_to_choose_from(home: Home) -> None:
    config = CONFIG.replace("deterministic = true", "")
    with pytest.raises((DataError, CallerError), match=r"no variant beside|head can only be judged"):
        certify_task(home(a_task(300, (FRONTIER,)), config=config), ASK)


def test_a_head_wants_a_metric_where_equal_answers_score_equally(home: Home) -> None:
    with pytest.raises(CallerError, match="deterministic = true"):
        certify_task(home(SMALL, config=CONFIG.replace("deterministic = true", "")), Request("triage", variants=("head",)))


def _certify_for_long(folder: Path, begun: Any) -> NoReturn:
    with _alone(folder, 0.0, lambda _: None):
        begun.set()
        while True:
            os.sched_yield()


def test_who_certifies_in_the_project_is_named_and_waited_for(home: Home) -> None:
    project, said = home(SMALL), list[str]()
    context = multiprocessing.get_context("spawn")
    begun = context.Event()
    other = context.Process(target=_certify_for_long, args=(project.folder, begun), daemon=True)
    other.start()
    try:
        assert begun.wait(60)
        with pytest.raises(StoreBusy, match=f"by process {other.pid}, for more than 0.1 s.*Let it end, or end it.*then certify again"):
            certify_task(project, ASK, say=said.append, wait_s=0.1)
        assert said[-1] == f"waiting for process {other.pid}, which certifies in this project"
    finally:
        other.kill()
        other.join()
    assert certify_task(project, ASK).certificate.attempt == 1


def test_a_log_of_one_model_is_certified_for_agreement_by_a_head(home: Home) -> None:
    project = home(replace(a_task(800, (FRONTIER,)), score_NV=np.full((800, 1), np.nan)))
    c = certificate_of(project, Request("triage", metric="agreement"))
    assert (c.certified, c.label_design, c.variants) == (True, "census", ("frontier", "head"))
    assert c.certificate is not None
    assert verify_file(project, project.folder / c.certificate).verdict is Verdict.VALID


def test_found_labels_give_an_estimate_that_does_not_verify(home: Home) -> None:
    project = home(a_task(), design="found")
    c = certificate_of(project)
    assert (c.certified, c.estimate) == (False, True)
    assert c.certificate is not None
    assert verify_file(project, project.folder / c.certificate).verdict is Verdict.NOTHING


# What could not be used


def test_items_the_reference_did_not_answer_are_counted_and_their_features_compared(home: Home) -> None:
    pairs = a_task(700)
    answer_NV = pairs.answer_NV.copy()
    answer_NV[:100, 0] = -1
    texts = tuple(text * 4 if i < 100 else text for i, text in enumerate(pairs.texts))
    c = certificate_of(home(replace(pairs, answer_NV=answer_NV, texts=texts)))
    assert c.n_items == 600
    assert (c.unpaired.n, c.unpaired.by_reason) == (100, {"the reference did not answer": 100})
    assert c.unpaired.differences["chars"] > 2
    assert abs(c.unpaired.differences["mean_word_length"]) < 0.4


def test_items_that_are_left_out_at_random_look_like_the_others(home: Home) -> None:
    pairs = a_task(700)
    answer_NV = pairs.answer_NV.copy()
    answer_NV[::7, 0] = -1
    c = certificate_of(home(replace(pairs, answer_NV=answer_NV)))
    assert c.unpaired.n == 100
    assert max(map(abs, c.unpaired.differences.values())) < 0.4


def test_a_variant_without_a_price_is_named(home: Home) -> None:
    nameless = CHEAP._replace(name="nameless", usd=float("nan"))
    c = certificate_of(home(a_task(500, (FRONTIER, CHEAP, nameless))))
    assert c.unpriced == ("nameless",)
    assert "cost is unknown" in c.left_out["nameless"]


# What is spent


def test_asking_the_same_again_spends_nothing_and_gives_the_same_certificate(home: Home) -> None:
    project = home(SMALL)
    first = certificate_of(project)
    written = {path: path.read_bytes() for path in project.folder.rglob("*.policy")}
    again = certificate_of(project)
    assert again == first
    assert numbers(project) == [1]
    assert len(policy_rows(project.store, "default", "triage")) == 1
    assert {path: path.read_bytes() for path in project.folder.rglob("*.policy")} == written


def test_items_without_labels_that_came_in_since_make_no_other_attempt(home: Home) -> None:
    project = home(SMALL)
    first = certificate_of(project)
    new = a_task(40, seed=3)
    unlabelled = replace(new, items=tuple(f"new {i}" for i in new.items), groups=new.items, score_NV=np.full((40, 2), np.nan))
    tell(project, unlabelled)
    assert certificate_of(project) == first
    assert numbers(project) == [1]


def test_another_question_about_the_same_data_is_another_attempt(home: Home) -> None:
    project = home(SMALL)
    asked = [ASK, ASK._replace(max_loss=0.1), ASK._replace(seed=1), ASK._replace(variants=("cheap", "head")), ASK._replace(max_loss=0.1)]
    made = [certificate_of(project, request) for request in asked]
    assert [c.attempt for c in made] == [1, 2, 3, 4, 2]
    assert [c.delta for c in made[:4]] == pytest.approx([spend(0.05, k) for k in (1, 2, 3, 4)])


def test_more_data_with_the_same_groups_among_it_is_another_attempt(home: Home) -> None:
    project = home(SMALL)
    certificate_of(project)
    more = a_task(600, seed=1)
    tell(project, replace(more, items=tuple(f"more {i}" for i in more.items), groups=tuple(f"item:more {i}" for i in more.items)))
    c = certificate_of(project)
    assert (c.attempt, c.n_items) == (2, 1100)


def test_data_that_shares_no_group_with_earlier_attempts_begins_anew(home: Home) -> None:
    """Another metric, with labels on other items only."""
    pairs = a_task(1000)
    first_N = np.arange(1000) < 500
    project = home(pairs.rows(first_N))
    tell(project, replace(pairs.rows(~first_N), metric="other"))
    assert certificate_of(project).attempt == 1
    assert certificate_of(project, ASK._replace(metric="other")).attempt == 1
    assert certificate_of(project, ASK._replace(max_loss=0.1)).attempt == 2


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"no parquet")])
def test_an_attempt_whose_data_is_gone_still_counts(home: Home, damage: Callable[[Path], Any]) -> None:
    project = home(SMALL)
    c = certificate_of(project)
    assert c.dataset is not None
    damage(project.folder / c.dataset)
    tell(project, replace(a_task(1), items=("new",), groups=("item:new",)))
    assert certificate_of(project).attempt == 2


def test_the_same_question_with_another_answer_is_another_look_and_counts(home: Home) -> None:
    """A head's price is no part of the question, and changes what is saved."""
    ask = ASK._replace(variants=("cheap", "head"))
    free = certificate_of(home(SMALL), ask)
    dear = certificate_of(
        home(SMALL, config=CONFIG + "[models.head]\nprice = {input_per_mtok = 0, output_per_mtok = 0, per_call = 5e-5}\n"), ask
    )
    assert (free.attempt, dear.attempt) == (1, 2)


def test_tenants_spend_for_themselves(home: Home) -> None:
    project = home(SMALL)
    certificate_of(project)
    assert attempts(project.store, "acme", "triage") == []


# Verifying files


def test_a_file_that_is_no_certificate_is_unreadable(home: Home, tmp_path: Path) -> None:
    project = home(a_task(1))
    (tmp_path / "x.json").write_text("{}")
    for name in ("x.json", "missing.json", FILE_NAME):
        assert verify_file(project, tmp_path / name).verdict is Verdict.UNREADABLE


def test_without_its_data_or_its_arrays_a_certificate_is_unreadable(home: Home) -> None:
    project = home(a_task())
    c = certificate_of(project)
    assert c.certificate is not None
    assert c.artefact is not None
    assert c.dataset is not None
    arrays = project.store.blobs.path(c.artefact)
    kept = arrays.read_bytes()
    for damaged in (kept[:-1] + bytes([kept[-1] ^ 1]), None):
        arrays.unlink()
        if damaged is not None:
            arrays.write_bytes(damaged)
        found = verify_file(project, project.folder / c.certificate)
        assert (found.verdict, found.certificate) == (Verdict.UNREADABLE, None)
    arrays.write_bytes(kept)
    (project.folder / c.dataset).rename(project.folder / "elsewhere")
    assert verify_file(project, project.folder / c.certificate).verdict is Verdict.UNREADABLE


def test_erasing_a_person_makes_certificates_on_their_items_unverifiable_and_keeps_others(home: Home) -> None:
    project = home(a_task())
    person = a_task(2, seed=9)
    tell(project, replace(person, items=("p1", "p2"), groups=("item:p1", "item:p2"), tags=({"subject": "ann"},) * 2))
    c = certificate_of(project)
    assert c.certificate is not None
    assert c.n_items == 1202
    erased = erase_subject(project, "ann")
    assert (erased.calls, erased.frozen) == (4, {c.dataset_hash: 2})
    assert erased.learnt == (f"triage {c.policy_hash[:12]}",)
    found = verify_file(project, project.folder / c.certificate)
    assert found.verdict is Verdict.ERASED
    assert found.certificate == c
    after = certificate_of(project)
    assert (after.n_items, after.attempt) == (1200, 2)
    assert after.certificate is not None
    assert verify_file(project, project.folder / after.certificate).verdict is Verdict.VALID
    assert erase_subject(project, "ann").calls == 0


def test_nobody_is_erased_while_calls_wait_outside_the_journal(home: Home, a_call: Callable[..., Call]) -> None:
    """They may be that person's, and would come in afterwards."""
    project = home(a_task(2))
    with closing(Spool(project.spool)) as spool:
        spool.append([Entry(a_call(1, subject="ann"))])
        with pytest.raises(OperatorError, match="are not in the journal, and may be this person's"):
            erase_subject(project, "ann")
        assert list(spool.bring_in(partial(append_each, project.store))) == [1]
    assert erase_subject(project, "ann").calls == 1


# Programs by hand


def test_a_program_is_found_by_file_or_by_hash(home: Home, tmp_path: Path) -> None:
    project = home(SMALL)
    c = certificate_of(project)
    file = tmp_path / "hand.policy"
    file.write_text("task triage\nwhen chars > 50 use frontier\notherwise use cheap\n")
    assert read_program(project, file) == find_program(project, None, str(file))
    assert find_program(project, "triage", c.policy_hash[:10]).task == "triage"
    with pytest.raises(CallerError, match="say --task"):
        find_program(project, None, c.policy_hash)
