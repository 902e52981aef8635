"""`doctor` finds what is wrong and says what to do, without a call to anybody."""

from pathlib import Path

import pytest
from sqlalchemy import update

from freehold.doctor import Finding, examine
from freehold.journal.ingest import IngestOptions
from freehold.monitor.alerts import What, raise_alert
from freehold.project import Project
from freehold.promotion.records import add_event, add_policy
from freehold.store.schema import deliveries
from simulated import NOW, a_task, records, write_log

CONFIG = """
[providers.openai]
kind = "openai"
key_env = "A_KEY_THAT_NOBODY_SET"
[models.frontier]
provider = "openai"
name = "a-model-nobody-prices"
[models.cheap]
price = { input_per_mtok = 0.1, output_per_mtok = 0.4 }
[metrics.correct]
kind = "binary"
[tasks.triage]
reference = "frontier"
metric = "correct"
[tasks.sort]
[tasks.rank]
reference = "frontier"
metric = "undeclared"
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A project's folder."""
    (tmp_path / "freehold.toml").write_text(CONFIG)
    return tmp_path


def found(home: Path, what: str) -> Finding:
    """What was found about it."""
    (finding,) = [f for f in examine(home) if f.what == what]
    return finding


def test_a_sound_project_has_nothing_wrong(home: Path) -> None:
    assert [f for f in examine(home) if f.state == "wrong"] == []
    assert found(home, "configuration").finding.endswith("3 tasks, 2 models")


def test_a_policy_whose_arrays_are_missing_is_wrong(home: Path) -> None:
    """Also of a task that no call names."""
    with Project.at(home) as project:
        arrays = project.store.blobs.put(b"arrays")
        source = "task sort otherwise use frontier"
        add_policy(project.store, "default", "sort", "ab" * 32, source, arrays, None, "person", NOW)
        add_event(project.store, "default", "sort", "ab" * 32, "promote", "ann", NOW)
        assert found(home, "policy of sort").state == "ok"
        project.store.blobs.path(arrays).unlink()
    assert found(home, "policy of sort").state == "wrong"


def test_calls_that_wait_outside_the_journal_are_told_of(home: Path) -> None:
    spool = home / "spool"
    spool.mkdir()
    (spool / "one.jsonl").write_text("")
    assert found(home, "spool").finding == f"calls wait in {spool} (1 file)"
    (spool / "one.jsonl").rename(spool / "one.refused")
    assert found(home, "spool").state == "wrong"


@pytest.mark.parametrize(
    ("what", "state", "remedy"),
    [
        ("task triage", "ok", ""),
        ("task sort", "note", "[tasks.sort]"),
        ("task rank", "note", "[metrics.undeclared]"),
        ("model frontier", "note", "[models.frontier]"),
        ("model cheap", "ok", ""),
        ("provider openai", "note", "freehold serve"),
    ],
)
def test_what_is_missing_is_a_note_with_a_remedy(home: Path, what: str, state: str, remedy: str) -> None:
    finding = found(home, what)
    assert finding.state == state
    assert remedy in finding.remedy


def test_calls_without_a_task_are_told(home: Path) -> None:
    log = write_log(home / "log.jsonl", records(a_task(3), task=None))
    with Project.at(home) as project:
        project.ingest([str(log)], IngestOptions())
    assert "6 calls" in found(home, "store").finding
    assert found(home, "calls without a task").remedy == "freehold calls groups"


def test_a_configuration_that_cannot_be_read_is_wrong_and_ends_the_examination(home: Path) -> None:
    (home / "freehold.toml").write_text("[tasks.triage]\nrefrence = 'frontier'\n")
    finding = examine(home)[-1]
    assert (finding.state, finding.what) == ("wrong", "configuration")
    assert "reference" in finding.finding


def test_a_store_that_cannot_be_opened_is_wrong(home: Path) -> None:
    (home / "freehold.db").write_bytes(b"this is no database" * 100)
    assert found(home, "store").state == "wrong"


def test_a_journal_that_others_could_read_is_its_owners_alone_afterwards(home: Path) -> None:
    with Project.at(home) as project:
        assert project.store
    (home / "freehold.db").chmod(0o644)
    assert [f for f in examine(home) if f.state == "wrong"] == []
    assert (home / "freehold.db").stat().st_mode & 0o077 == 0


def test_channels_that_can_tell_nobody_are_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that is not set here may be set where `freehold monitor` runs; an address that is none is wrong everywhere."""
    channels = '[monitor.webhook]\nurl_env = "ALERTS_URL"\n[monitor.command]\nrun = ["./page.sh"]\n'
    (home / "freehold.toml").write_text(CONFIG + channels)
    monkeypatch.delenv("ALERTS_URL", raising=False)
    assert (found(home, "alerts by webhook").state, found(home, "alerts by command").state) == ("note", "wrong")
    assert "ALERTS_URL" in found(home, "alerts by webhook").finding and "./page.sh" in found(home, "alerts by command").finding
    monkeypatch.setenv("ALERTS_URL", "hooks.example.com")
    assert found(home, "alerts by webhook").state == "wrong"
    monkeypatch.setenv("ALERTS_URL", "https://hooks.example.com/a")
    (home / "page.sh").write_text("#!/bin/sh\n")
    (home / "page.sh").chmod(0o700)
    assert (found(home, "alerts by webhook").state, found(home, "alerts by command").state) == ("ok", "ok")


def test_who_watches_and_tells_nobody_hears_of_it(home: Path) -> None:
    (home / "freehold.toml").write_text(CONFIG + "[monitor]\nserve = true\n")
    assert found(home, "alerts").remedy == "set [monitor.webhook], [monitor.email] or [monitor.command]"


def test_alerts_that_are_open_and_messages_that_never_arrived_are_told(home: Path) -> None:
    with Project.at(home) as project:
        with project.store.writing() as connection:
            raise_alert(connection, "default", "sort", "inputs", What(kind="inputs", text="They have changed."), ["webhook"], NOW)
        assert found(home, "alerts").finding == "1 is open"
        with project.store.writing() as connection:
            connection.execute(update(deliveries).values(state="failed"))
    assert {(one.state, one.finding) for one in examine(home) if one.what == "alerts"} == {
        ("note", "1 is open"),
        ("wrong", "1 message never arrived by webhook"),
    }
