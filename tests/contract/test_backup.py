"""Backup while in use, restore into an empty place, on each database."""

import io
import stat
import tarfile
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from freehold.errors import DataError, OperatorError, StoreTooNew
from freehold.gateway.budget import Scope
from freehold.gateway.expire import expire
from freehold.gateway.keys import Grant, Keyring, create
from freehold.gateway.ledger import Account, Reservation, Settlement, book
from freehold.gateway.recount import recount
from freehold.journal import read
from freehold.journal.call import Call, Feedback
from freehold.journal.rows import INLINE_BYTES
from freehold.journal.write import append_many
from freehold.store.backup import Manifest, backup, restore
from freehold.store.open import Store, open_store

MakeCall = Callable[..., Call]
MakeScore = Callable[..., Feedback]
NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


@pytest.fixture
def project(store: Store, store_url: str, a_call: MakeCall, a_score: MakeScore, tmp_path: Path) -> Path:
    """A project's folder with everything a backup has to hold."""
    calls = [a_call(n) for n in range(300)] + [a_call(300, input="large " * INLINE_BYTES, tags={"tab\t": "line\nend \\ \\N"})]
    append_many(store, calls, [a_score(call) for call in calls])
    (tmp_path / "freehold.toml").write_text(f'[project]\nname = "x"\n[store]\nurl = "{store_url}"\n')
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "abc.parquet").write_bytes(b"frozen")
    (tmp_path / "datasets" / ".abc.1").write_bytes(b"unfinished")
    (tmp_path / "certificates" / "triage").mkdir(parents=True)
    (tmp_path / "certificates" / "triage" / "1.json").write_text("{}")
    return tmp_path


def test_what_is_restored_is_what_was_backed_up(
    store: Store, project: Path, new_store_url: Callable[[], str], a_call: MakeCall, a_score: MakeScore
) -> None:
    """Every call, score, blob and file; and the restored journal goes on."""
    archive, target, url = project / "backup.tar", project / "restored", new_store_url()
    manifest = backup(store, project, archive, NOON)
    assert (manifest.kind, manifest.made_at) == (store.kind, NOON)
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    assert sorted(path.name for path in project.glob(".freehold-*")) == []
    restored = restore(archive, target, url)
    assert (restored.config, restored.manifest) == ("restored", manifest)
    assert (target / "freehold.toml").read_bytes() == (project / "freehold.toml").read_bytes()
    assert (target / "datasets" / "abc.parquet").read_bytes() == b"frozen"
    assert not (target / "datasets" / ".abc.1").exists()
    assert (target / "certificates" / "triage" / "1.json").read_text() == "{}"
    with open_store(url, target) as copy:
        assert list(read.calls(copy, "default")) == list(read.calls(store, "default"))
        assert list(read.scores(copy, "default", "triage", "correct")) == list(read.scores(store, "default", "triage", "correct"))
        assert append_many(copy, [a_call(1), a_call(999)], [a_score(a_call(999))]).added == 1
    assert {stat.S_IMODE(path.stat().st_mode) for path in target.rglob("*") if path.is_file()} == {0o600}
    assert sorted(path.name for path in target.glob(".freehold-*")) == []


def test_keys_and_money_are_restored(store: Store, project: Path, new_store_url: Callable[[], str]) -> None:
    """A key is taken, the balances agree with the rows, and what was under way expires."""
    account = Account(key="k")
    reservation = Reservation(call="b", account=account, at=NOON, deadline=NOON, amount_nano=7, scopes=(Scope("project", None, None, 10),))
    with store.writing() as connection:
        book(store, connection, [Settlement(call="a", account=account, at=NOON, cost_nano=2, charged_nano=2)], [reservation])
    key, secret = create(store, "default", Grant(owner="Ann"), NOON)
    archive, url = project / "backup.tar", new_store_url()
    backup(store, project, archive, NOON)
    restore(archive, project / "restored", url)
    with open_store(url, project / "restored") as copy:
        assert Keyring(copy, "default").key_of(secret.encode(), NOON.timestamp()) == key
        assert recount(copy, "default") == []
        assert expire(copy, "default", NOON) == 1
        with copy.writing() as connection:
            assert book(copy, connection, [], [msgspec.structs.replace(reservation, call="c", amount_nano=2)])["c"].why.settled_nano == 9
        assert recount(copy, "default") == []


def test_a_backup_is_one_moment_of_a_journal_in_use(
    store: Store, project: Path, new_store_url: Callable[[], str], a_call: MakeCall
) -> None:
    """While calls are appended with a score each: every call in it has its score, and what was acknowledged before is there."""
    stop = threading.Event()
    written: list[int] = []

    def write() -> None:
        n = 1_000
        while not stop.is_set():
            call = a_call(n)
            score = Feedback(id=f"score {n}", call=call.id, metric="correct", value=1.0, source="import", at=NOON)
            append_many(store, [call], [score])
            written.append(n)
            n += 1

    thread = threading.Thread(target=write)
    thread.start()
    while len(written) < 5:
        stop.wait(0.01)
    before, archive, url = len(written), project / "backup.tar.gz", new_store_url()
    try:
        backup(store, project, archive, NOON)
        during = len(written)
    finally:
        stop.set()
        thread.join()
    assert during > before, "nothing was written while the backup was made"
    restore(archive, project / "restored", url)
    with open_store(url, project / "restored") as copy:
        counts = read.counts(copy, "default")
    assert counts.calls == counts.feedback
    assert 301 + before <= counts.calls <= 301 + len(written)


def test_a_journal_that_is_there_is_never_overwritten(store: Store, project: Path, store_url: str) -> None:
    archive = project / "backup.tar"
    backup(store, project, archive, NOON)
    with pytest.raises(OperatorError, match="a journal already, and a restore replaces none"):
        restore(archive, project, store_url)
    assert read.counts(store, "default").calls == 301


def test_an_archive_that_is_there_is_never_overwritten(store: Store, project: Path) -> None:
    (project / "backup.tar").write_text("precious")
    with pytest.raises(OperatorError, match="exists, and a backup replaces nothing"):
        backup(store, project, project / "backup.tar", NOON)
    assert (project / "backup.tar").read_text() == "precious"


def test_a_folder_that_cannot_take_it_is_named(store: Store, project: Path) -> None:
    with pytest.raises(OperatorError, match="Cannot write the backup"):
        backup(store, project, project / "nowhere" / "backup.tar", NOON)


def rewritten(archive: Path, change: Callable[[str, bytes], bytes | None]) -> Path:
    """The archive with its members changed; one that becomes None is left out."""
    changed = archive.with_name("changed.tar")
    with tarfile.open(archive) as old, tarfile.open(changed, "w") as new:
        for member in old:
            content = old.extractfile(member)
            assert content is not None
            data = change(member.name, content.read())
            if data is not None:
                member.size = len(data)
                new.addfile(member, io.BytesIO(data))
    return changed


@pytest.mark.parametrize("damaged", ["database", "blobs/", "freehold.toml"])
@pytest.mark.parametrize("how", ["flipped", "missing"])
def test_a_damaged_archive_restores_nothing(store: Store, project: Path, new_store_url: Callable[[], str], damaged: str, how: str) -> None:
    backup(store, project, project / "backup.tar", NOON)
    names = ("journal.db", "tables/calls") if damaged == "database" else (damaged,)

    def damage(name: str, data: bytes) -> bytes | None:
        if not name.startswith(names):
            return data
        return None if how == "missing" else bytes([data[0] ^ 1]) + data[1:]

    changed, url = rewritten(project / "backup.tar", damage), new_store_url()
    with pytest.raises(DataError, match=r"is damaged: .* Restore another backup"):
        restore(changed, project / "restored", url)
    assert list((project / "restored").iterdir()) == []
    with open_store(url, project / "restored") as empty:
        assert read.counts(empty, "default").calls == 0


def test_a_truncated_archive_is_told(store: Store, project: Path, new_store_url: Callable[[], str]) -> None:
    for name in ("backup.tar", "backup.tar.gz"):
        backup(store, project, project / name, NOON)
        (project / name).write_bytes((project / name).read_bytes()[:5_000])
        with pytest.raises(DataError):
            restore(project / name, project / "restored", new_store_url() if name == "backup.tar" else "sqlite:///third.db")


def test_what_is_no_backup_is_told(tmp_path: Path) -> None:
    (tmp_path / "letter.tar").write_text("Dear diary")
    with tarfile.open(tmp_path / "other.tar", "w") as other:
        other.addfile(tarfile.TarInfo("readme"), io.BytesIO(b""))
    for name in ("letter.tar", "other.tar"):
        with pytest.raises(DataError, match="no backup of a journal"):
            restore(tmp_path / name, tmp_path / "restored")
    with pytest.raises(OperatorError, match=r"Cannot read .*nowhere"):
        restore(tmp_path / "nowhere.tar", tmp_path / "restored")


def test_a_backup_by_a_newer_freehold_is_refused(store: Store, project: Path, new_store_url: Callable[[], str]) -> None:
    backup(store, project, project / "backup.tar", NOON)

    def newer(name: str, data: bytes) -> bytes:
        if name != "manifest.json":
            return data
        return msgspec.json.encode(msgspec.structs.replace(msgspec.json.decode(data, type=Manifest), schema="0999", made_by="9.9"))

    with pytest.raises(StoreTooNew, match=r"was made by Freehold 9\.9 \(schema 0999\)"):
        restore(rewritten(project / "backup.tar", newer), project / "restored", new_store_url())


def test_names_in_an_archive_lead_nowhere_else(store: Store, project: Path, new_store_url: Callable[[], str]) -> None:
    """Files with names a backup never writes are not put anywhere."""
    backup(store, project, project / "backup.tar", NOON)
    evil = {"certificates/triage/1.json": "datasets/../../evil", "datasets/abc.parquet": "/tmp/evil"}

    def renamed(name: str, data: bytes) -> bytes:
        if name != "manifest.json":
            return data
        text = data.decode()
        for old, new in evil.items():
            text = text.replace(old, new)
        return text.encode()

    changed = rewritten(project / "backup.tar", renamed)
    with tarfile.open(changed) as old, tarfile.open(project / "evil.tar", "w") as new:
        for member in old:
            content = old.extractfile(member)
            member.name = evil.get(member.name, member.name)
            new.addfile(member, content)
    restore(project / "evil.tar", project / "restored", new_store_url())
    assert [path for path in project.rglob("evil*") if path.name != "evil.tar"] == []


def test_a_missing_blob_is_told_when_the_backup_is_made(store: Store, project: Path) -> None:
    for name in store.blobs.names():
        store.blobs.path(name).unlink()
    with pytest.raises(OperatorError, match=r"is missing.*the file is lost"):
        backup(store, project, project / "backup.tar", NOON)
    assert not (project / "backup.tar").exists()


def test_the_kinds_do_not_mix(store: Store, project: Path) -> None:
    backup(store, project, project / "backup.tar", NOON)
    other = "postgresql://nobody@127.0.0.1:1/none" if store.kind == "sqlite" else "sqlite:///freehold.db"
    with pytest.raises(OperatorError, match="Restore it into its own kind"):
        restore(project / "backup.tar", project / "restored", other)


def test_without_a_url_the_configuration_says_where(tmp_path: Path, a_call: MakeCall) -> None:
    """The archive's own, or the one that is in the folder already."""
    (tmp_path / "freehold.toml").write_text('[project]\nname = "x"\n[store]\nurl = "sqlite:///mine.db"\n')
    with open_store("sqlite:///mine.db", tmp_path) as store:
        append_many(store, [a_call(1)])
        backup(store, tmp_path, tmp_path / "backup.tar", NOON)
    restore(tmp_path / "backup.tar", tmp_path / "first")
    assert (tmp_path / "first" / "mine.db").exists()
    (tmp_path / "second").mkdir()
    (tmp_path / "second" / "freehold.toml").write_text('[project]\nname = "y"\n[store]\nurl = "sqlite:///yours.db"\n')
    assert restore(tmp_path / "backup.tar", tmp_path / "second").config == "kept"
    assert (tmp_path / "second" / "yours.db").exists()


def test_an_older_backup_is_migrated(store_url: str, new_store_url: Callable[[], str], tmp_path: Path, a_call: MakeCall) -> None:
    """One whose journal was never opened by this version."""
    from freehold.journal.rows import CALL_COLUMNS, call_row
    from freehold.store import backup as module
    from freehold.store.migrate import migrate
    from freehold.store.open import database_at, parsed_url

    database = database_at(parsed_url(store_url), tmp_path, "process", 5.0)
    with database.migrating() as connection:
        migrate(connection, "0001")
        columns = [column for column in CALL_COLUMNS if column != "body_digest"]
        database.insert_new(connection, "calls", columns, "id", [call_row(a_call(1, input=None)).values[:-1]])
    older = Store(database, tmp_path, "process")
    if older.kind == "postgresql":  # an older Freehold knew fewer tables and columns
        from unittest.mock import patch

        from sqlalchemy import MetaData

        then = MetaData()
        with older.reading() as connection:
            then.reflect(connection)
        then.remove(then.tables["freehold_version"])
        with patch.object(module, "metadata", then):
            backup(older, tmp_path, tmp_path / "backup.tar", NOON)
    else:
        backup(older, tmp_path, tmp_path / "backup.tar", NOON)
    older.close()
    url = new_store_url()
    restore(tmp_path / "backup.tar", tmp_path / "restored", url)
    with open_store(url, tmp_path / "restored") as store:
        assert read.find_call(store, "default", a_call(1).id) is not None
