"""Tuning at a provider: rows are uploaded on their terms, the job is followed to its end through failures and kills, and what it gives is asked
under its own name."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from test_gateway import running

from command import Ended, freehold
from freehold.config import FILE_NAME
from freehold.journal.ingest import IngestOptions
from freehold.project import Project
from simulated import a_task, write_log
from upstream_tuning import Tunings, tunings

PAIRS = a_task(120)
TOML = """
[project]
name = "desk"
[data]
licence = "CC-BY-4.0"
consent = "terms"
[providers.tuner]
kind = "openai"
base_url = "{url}"
[models.frontier]
trains_others = "yes"
[tasks.triage]
reference = "frontier"
variants = ["frontier"]
instruction = "Say what it is about."
"""


@pytest.fixture
def provider() -> Iterator[Tunings]:
    with tunings() as server:
        yield server


def project_at(folder: Path, provider: Tunings, toml: str = TOML) -> Path:
    (folder / FILE_NAME).write_text(toml.format(url=provider.url))
    rows = [
        {
            "task": "triage",
            "item": item,
            "input": text,
            "variant": "frontier",
            "output": PAIRS.answers[topic],
            "reference_output": PAIRS.answers[topic],
        }
        for item, text, topic in zip(PAIRS.items, PAIRS.texts, PAIRS.truth_N.tolist(), strict=True)
    ]
    rows[0]["tags"] = {"consent": "no"}
    with Project.at(folder) as project:
        project.ingest([str(write_log(folder / "log.jsonl", rows))], IngestOptions(design="census"))
    freehold("dataset", "build", "triage", "--from", "task=triage and kind=corrections", "--near", "0", "--project", folder)
    return folder


def trained(folder: Path, *more: str, code: int | None = 0) -> Ended:
    settings = ("provider=tuner", "model=base-1", "poll_s=0.01", "epochs=2", "usd_per_mtok=25")
    said = [part for one in settings for part in ("--set", one)]
    return freehold("train", "triage", "--method", "provider", "--name", "tuned", *said, *more, "--json", "--project", folder, code=code)


def test_rows_are_uploaded_and_what_comes_of_them_is_asked_by_its_name(tmp_path: Path, provider: Tunings) -> None:
    folder = project_at(tmp_path, provider)
    provider.fails_looks = 3
    card = trained(folder).json
    (job,) = provider.jobs
    rows = provider.files[job["wanted"]["training_file"]]
    assert len(rows) == card["rows"]["train"] - card["made"]["left_out"].get("no consent", 0)
    assert rows[0]["messages"][0] == {"role": "system", "content": "Say what it is about."}
    assert {row["messages"][-1]["content"] for row in rows} <= set(PAIRS.answers)
    assert job["wanted"]["method"] == {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 2}}}
    assert (card["made"]["model"], card["training_usd"]) == ("ft:base-1:ours::1", 12_000 * 25 / 1e6)
    assert card["base"] == {"name": "base-1", "licence": None, "openness": "closed", "sha256": None}
    (folder / "own.policy").write_text("task triage\notherwise use tuned\n")
    hash = freehold("policy", "add", folder / "own.policy", "--json", "--project", folder).json["hash"]
    (folder / FILE_NAME).write_text((folder / FILE_NAME).read_text() + "allow_uncertified = true\n")
    freehold("promote", "triage", "--policy", hash[:12], "--project", folder)
    with running(folder, [], (folder / FILE_NAME).read_text()) as served:
        raw = served.openai().chat.completions.with_raw_response.create(
            model="freehold/triage", messages=[{"role": "user", "content": "My card was swallowed"}]
        )
        assert (raw.headers["x-freehold-variant"], raw.parse().choices[0].message.content) == ("tuned", "swallowed")


def test_a_job_that_fails_gives_nothing(tmp_path: Path, provider: Tunings) -> None:
    folder = project_at(tmp_path, provider)
    provider.ends = {"status": "failed", "error": {"code": "invalid_training_file", "message": "line 3 is too long"}}
    assert "'tuner' did not tune 'base-1': line 3 is too long. Its job is ftjob-0." in trained(folder, code=1).err
    assert freehold("specialists", "list", "--json", "--project", folder).json == []


def test_a_run_that_broke_off_goes_on_with_the_job_that_it_began(tmp_path: Path, provider: Tunings) -> None:
    folder = project_at(tmp_path, provider)
    provider.fails_looks = 1_000  # ten in a row end the run
    assert "try again" in trained(folder, code=1).err
    provider.fails_looks = 0
    trained(folder)
    assert len(provider.jobs) == 1


def test_rows_without_terms_stay(tmp_path: Path, provider: Tunings) -> None:
    folder = project_at(tmp_path, provider, TOML.replace('licence = "CC-BY-4.0"\nconsent = "terms"\n', ""))
    refused = trained(folder, code=1)
    assert "0 rows may leave" in refused.err and "no licence" in refused.err and "[data]" in refused.err
    assert provider.files == {}
    trained(folder, "--set", "without_licence=true", "--set", "without_consent=true")
    assert len(provider.files) == 2
