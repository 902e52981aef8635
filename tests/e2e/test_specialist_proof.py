"""A specialist on the road: trained by the command line, proved on items that it has not learnt from, promoted, and asked over HTTP."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from test_gateway import Served, running

from command import freehold
from freehold.config import FILE_NAME
from freehold.datasets.table import batches_of
from freehold.datasets.versions import ROWS, find
from freehold.journal.ingest import IngestOptions
from freehold.project import Project
from simulated import a_task, records, write_log

PAIRS = a_task(1400)
TOML = """
[project]
name = "desk"
[providers.recordings]
kind = "recorded"
[models.frontier]
provider = "recordings"
trains_others = "yes"
[models.cheap]
provider = "recordings"
[metrics.correct]
kind = "binary"
deterministic = true
[tasks.triage]
reference = "frontier"
variants = ["frontier", "cheap"]
metric = "correct"
max_loss = 0.1
"""


class Shop(NamedTuple):
    """A project with a specialist that was proved."""

    folder: Path
    certificate: dict[str, object]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    folder = tmp_path_factory.mktemp("shop")
    (folder / FILE_NAME).write_text(TOML)
    with Project.at(folder) as project:
        told = (record | {"tags": {"subject": f"person {n // 2 % 200}"}} for n, record in enumerate(records(PAIRS)))
        project.ingest([str(write_log(folder / "log.jsonl", told))], IngestOptions(design="census"))
    source = ("--from", "task=triage and variant=frontier", "--train", "0.4", "--calibrate", "0.1")
    freehold("dataset", "build", "triage", *source, "--project", folder)
    freehold("train", "triage", "--method", "head", "--name", "sorter", "--project", folder)
    certified = freehold("certify", "triage", "--variants", "sorter", "--json", "--project", folder)
    return Shop(folder, certified.json)


@pytest.fixture(scope="module")
def served(shop: Shop) -> Iterator[Served]:
    freehold("promote", "triage", "--project", shop.folder)
    with running(shop.folder, [], TOML) as served:
        yield served


def test_nothing_that_it_learnt_from_proves_anything(shop: Shop) -> None:
    """Not one item of the training or the calibration part of its data set is in the certificate's frozen data."""
    with Project.at(shop.folder) as project:
        version = find(project.datasets, "triage")
        rows = [row for table in batches_of(version.folder / ROWS, ["item", "split"]) for row in table.to_pylist()]
        frozen = {
            item for table in batches_of(project.folder / str(shop.certificate["dataset"]), ["item"]) for item in table["item"].to_pylist()
        }
    learnt = {row["item"] for row in rows if row["split"] != "test"}
    assert len(learnt) > 500 and len(frozen) > 500
    assert not learnt & frozen


def test_the_certificate_names_it_and_can_be_made_again(shop: Shop) -> None:
    card = freehold("specialists", "show", "sorter", "--json", "--project", shop.folder).json
    certificate = shop.certificate
    assert certificate["certified"] and certificate["trained_head"] == "sorter"
    assert {"sorter": card["label"].removeprefix("sorter@")} == {
        name: str(hash)[:12]
        for name, hash in dict(certificate["specialists"]).items()  # type: ignore[call-overload]
    }
    assert freehold("verify", shop.folder / str(certificate["certificate"])).out == "valid\n"


def test_it_answers_over_http_what_it_answers_here(shop: Shop, served: Served) -> None:
    """The policy that was promoted has it answer; the journal says so, at no cost."""
    seen = 0
    for text in PAIRS.texts[:40]:
        raw = served.openai().chat.completions.with_raw_response.create(
            model="freehold/triage", messages=[{"role": "user", "content": text}]
        )
        if raw.headers["x-freehold-variant"] == "sorter":
            seen += 1
            assert raw.parse().choices[0].message.content in PAIRS.answers
            assert served.call(raw.headers["x-freehold-call"]).cost_usd == 0.0
    assert seen > 5


def test_a_policy_of_ones_own_may_ask_it_first(shop: Shop, served: Served) -> None:
    """`try` takes its answer where it is sure, and asks the reference elsewhere."""
    policy = shop.folder / "own.policy"
    policy.write_text("task triage\notherwise try sorter accept confidence >= 0.9 then frontier\n")
    project = ("--project", shop.folder)
    added = freehold("policy", "add", policy, *project, "--json").json
    refused = freehold("promote", "triage", "--policy", added["hash"][:12], *project, code=3)
    assert "certificate" in refused.err


def test_it_is_not_removed_while_it_answers(shop: Shop, served: Served) -> None:
    refused = freehold("specialists", "remove", "sorter", "--project", shop.folder, code=2)
    assert "names it" in refused.err and "rollback" in refused.err


def test_whoever_is_erased_is_named_beside_what_learnt_from_them(shop: Shop) -> None:
    """Last, for it changes the data set: `dataset show` names the specialist before, erasure names it after."""
    project = ("--project", shop.folder)
    label = freehold("specialists", "show", "sorter", "--json", *project).json["label"]
    assert freehold("dataset", "show", "triage", "--json", *project).json["specialists"] == [label]
    erased = freehold("erase", "person 4", "--yes", "--json", *project).json
    assert erased["specialists"] == [label]
    again = freehold("certify", "triage", "--variants", "sorter", "--json", *project, code=None)
    assert again.code in (0, 3), again.err
