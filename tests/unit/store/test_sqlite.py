"""SQLite as a store: private files, writers that queue in the kernel, a short log, and refusals that say what to do."""

import multiprocessing
import os
import resource
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import select

from freehold.catalog import Durability
from freehold.errors import OperatorError, StoreBusy
from freehold.journal import read
from freehold.journal.call import Call
from freehold.journal.rows import INLINE_BYTES
from freehold.journal.write import append_many
from freehold.store import checkpoint
from freehold.store.lock import KernelLock
from freehold.store.open import Store, open_store
from freehold.store.schema import calls

MakeCall = Callable[..., Call]
URL = "sqlite:///freehold.db"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(URL, tmp_path, busy_s=0.2) as opened:
        yield opened


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_every_file_is_its_owners_alone(tmp_path: Path, a_call: MakeCall, umask: int) -> None:
    """Database, log, index and lock, and blobs, whatever the umask."""
    before = os.umask(umask)
    try:
        with open_store(URL, tmp_path) as store:
            os.umask(umask & 0o077)  # folders of blobs have to be entered
            append_many(store, [a_call(1, input="x" * (INLINE_BYTES + 1))])
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*") if path.is_file()}
    finally:
        os.umask(before)
    assert {"freehold.db", "freehold.db-wal", "freehold.db-shm", "freehold.db.lock"} <= set(modes)
    assert len(modes) == 5
    assert set(modes.values()) == {0o600}


def test_a_file_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    open_store(URL, tmp_path).close()
    (tmp_path / "freehold.db").chmod(0o644)
    open_store(URL, tmp_path).close()
    assert stat.S_IMODE((tmp_path / "freehold.db").stat().st_mode) == 0o600


@pytest.mark.parametrize(("durability", "synchronous"), [("process", 1), ("power", 2)])
def test_power_waits_for_the_disk(tmp_path: Path, durability: str, synchronous: int) -> None:
    """synchronous = FULL writes the log through at each commit; NORMAL leaves that to the system, which outlives us."""
    with open_store(URL, tmp_path, durability=durability) as store, store.writing() as connection:  # type: ignore[arg-type]
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == synchronous
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"


def test_a_writer_that_waits_too_long_hears_who_holds_the_lock(store: Store, tmp_path: Path, a_call: MakeCall) -> None:
    with KernelLock(tmp_path / "freehold.db.lock").held(1.0), pytest.raises(StoreBusy, match=r"freehold\.db\.lock' for more than 0\.2 s"):
        append_many(store, [a_call(1)])
    assert append_many(store, [a_call(1)]).added == 1


def test_a_database_that_another_program_locks_is_named(store: Store, tmp_path: Path, a_call: MakeCall) -> None:
    """One that knows nothing of our lock."""
    with closing(sqlite3.connect(tmp_path / "freehold.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreBusy, match=r"freehold\.db' is locked: another program"):
            append_many(store, [a_call(1)])
    assert append_many(store, [a_call(1)]).added == 1


def test_whoever_may_not_wait_hears_at_once_that_somebody_else_writes(tmp_path: Path) -> None:
    """Another of us, or a program that knows nothing of our lock; who may wait does so afterwards as before."""
    with open_store(URL, tmp_path, busy_s=30.0) as store:
        with KernelLock(tmp_path / "freehold.db.lock").held(1.0), pytest.raises(StoreBusy), store.writing(at_once=True):
            pass
        with closing(sqlite3.connect(tmp_path / "freehold.db", isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            with pytest.raises(StoreBusy), store.writing(at_once=True):
                pass
        for at_once, waits_ms in ((True, 0), (False, 30_000)):
            with store.writing(at_once) as connection:
                assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one() == waits_ms


@pytest.mark.parametrize(("durability", "is_quick"), [("process", True), ("power", False)])
def test_who_waits_for_the_disk_is_no_event_loop(tmp_path: Path, durability: Durability, is_quick: bool) -> None:
    with open_store(URL, tmp_path, durability=durability) as store:
        assert store.commits_at_once is is_quick


def test_whoever_gave_up_leaves_the_lock_free(tmp_path: Path) -> None:
    """The thread that still waits for it gives it back."""
    lock = KernelLock(tmp_path / "lock")
    with lock.held(1.0):
        for _ in range(3):
            with pytest.raises(StoreBusy), lock.held(0.01):
                pass
    with lock.held(5.0):
        pass


def test_whoever_waits_gets_the_lock_when_it_is_free(tmp_path: Path) -> None:
    lock, order = KernelLock(tmp_path / "lock"), []

    def wait() -> None:
        with lock.held(5.0):
            order.append("waiter")

    with lock.held(1.0):
        thread = threading.Thread(target=wait)
        thread.start()
        order.append("holder")
    thread.join()
    assert order == ["holder", "waiter"]


def _append(folder: str, first: int) -> None:
    with open_store(URL, Path(folder)) as store:
        for n in range(first, first + 100):
            append_many(store, [Call(id=f"{n}", variant="v", item=f"{n}")])


def test_two_processes_write_at_once(tmp_path: Path) -> None:
    """Each row of each is there, once, and neither fails."""
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=_append, args=(str(tmp_path), first)) for first in (0, 100)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    with open_store(URL, tmp_path) as store:
        assert sorted(int(call.id) for call in read.calls(store, "default")) == list(range(200))


_OPENS_AND_CLOSES = """
import sys
from pathlib import Path
from freehold.journal import read
from freehold.store.open import open_store

for _ in range(30):
    with open_store("sqlite:///freehold.db", Path(sys.argv[1])) as store:
        read.counts(store, "default")
"""


@pytest.mark.slow
def test_another_process_that_comes_and_goes_takes_nothing_from_under_a_writer(tmp_path: Path, a_call: MakeCall) -> None:
    """SQLite's locks are the process's: a descriptor of ours that is closed on the journal or its index would give them up, and whoever
    opens the journal next would begin it anew."""
    with open_store(URL, tmp_path) as store, open_store(URL, tmp_path) as beside:
        append_many(store, [a_call(0)])
        locks = Path("/proc/locks")
        index = f":{(tmp_path / 'freehold.db-shm').stat().st_ino} "
        mine = (
            [line for line in locks.read_text().splitlines() if index in line and f" {os.getpid()} " in line] if locks.exists() else ["?"]
        )
        assert mine, "SQLite holds a lock on its index while it has connections"
        with open_store(URL, tmp_path):
            pass
        other = subprocess.Popen([sys.executable, "-c", _OPENS_AND_CLOSES, str(tmp_path)])
        n = 1
        while other.poll() is None:
            append_many(store if n % 2 else beside, [a_call(n)])
            n += 1
        assert other.returncode == 0
        assert n > 30
        assert read.counts(store, "default").calls == n
    with closing(sqlite3.connect(tmp_path / "freehold.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_the_log_stays_short(tmp_path: Path, a_call: MakeCall) -> None:
    """Under 64 MB while 90 MB are written as fast as it goes, and nothing of it is lost."""
    wal, largest = tmp_path / "freehold.db-wal", 0
    with open_store(URL, tmp_path) as store:
        for k in range(0, 3_000, 100):
            append_many(store, [a_call(n, input=f"{n} " * 5_000) for n in range(k, k + 100)])
            largest = max(largest, wal.stat().st_size)
        assert read.counts(store, "default").calls == 3_000
    assert checkpoint.SOFT_BYTES < largest < 64 << 20


def test_a_reader_in_the_middle_of_a_snapshot_holds_nobody_up(tmp_path: Path, a_call: MakeCall) -> None:
    """The log cannot be cut then; writers go on, and afterwards it is."""
    wal = tmp_path / "freehold.db-wal"
    with open_store(URL, tmp_path) as store:
        append_many(store, [a_call(0)])
        with store.reading() as reader:
            assert len(reader.execute(select(calls)).all()) == 1
            for k in range(1, 2_001, 100):
                append_many(store, [a_call(n, input=f"{n} " * 5_000) for n in range(k, k + 100)])
            assert len(reader.execute(select(calls.c.id)).all()) == 1
            grown = wal.stat().st_size
        deadline = time.monotonic() + 30
        n = 2_001
        while wal.stat().st_size >= grown and time.monotonic() < deadline:
            append_many(store, [a_call(n)])
            n += 1
        assert wal.stat().st_size < grown


def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "freehold.db").write_text("Dear diary, " * 1_000)
    with pytest.raises(OperatorError, match=r"freehold\.db' is not an SQLite database\. Move it away"):
        open_store(URL, tmp_path)
    assert (tmp_path / "freehold.db").read_text() == "Dear diary, " * 1_000


def test_a_database_of_something_else_is_left_alone(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "freehold.db")) as other:
        other.execute("CREATE TABLE recipes (name TEXT)")
    with pytest.raises(OperatorError, match="a database of something else: it has the tables recipes"):
        open_store(URL, tmp_path)
    with closing(sqlite3.connect(tmp_path / "freehold.db")) as other:
        assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("recipes",)]


def test_a_damaged_file_says_so(tmp_path: Path, a_call: MakeCall) -> None:
    with open_store(URL, tmp_path) as store:
        append_many(store, [a_call(n) for n in range(500)])
    with (tmp_path / "freehold.db").open("r+b") as file:
        file.seek(8192)
        file.write(b"\xff" * 200_000)
    with pytest.raises(OperatorError, match=r"is damaged.*freehold restore"), open_store(URL, tmp_path) as store:
        append_many(store, [a_call(n) for n in range(500)])


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match=r"Cannot open the journal.*nowhere.*has to exist and be writable"):
        open_store(URL, tmp_path / "nowhere")


_AS_NOBODY = """
import os, sys, tempfile
from pathlib import Path
from freehold.errors import OperatorError
from freehold.journal.call import Call
from freehold.journal.write import append_many
from freehold.store.open import open_store

def append(folder):
    with open_store("sqlite:///freehold.db", Path(folder)) as store:
        append_many(store, [Call(id="1", variant="v", item="1")])

with tempfile.TemporaryDirectory() as elsewhere:
    append(elsewhere)  # so that everything is imported while we may still read it
os.setgid(65534)
os.setuid(65534)
try:
    append(sys.argv[1])
except OperatorError as error:
    print(error)
"""


@pytest.mark.parametrize("made", [False, True], ids=["empty", "with a journal"])
def test_a_folder_nobody_may_write_is_named(made: bool) -> None:
    """As a user who may read it. Outside pytest's folder, which other users may not enter."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to become another user")
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        if made:
            open_store(URL, folder).close()
            for path in folder.iterdir():
                path.chmod(0o644)
        said = subprocess.run([sys.executable, "-c", _AS_NOBODY, name], capture_output=True, text=True, timeout=60, check=True).stdout
    assert "Permission denied" in said
    assert "writable for this user" in said


_UNTIL_FULL = """
import resource, sys
from pathlib import Path
from freehold.errors import OperatorError
from freehold.journal.call import Call
from freehold.journal.write import append_many
from freehold.store.open import open_store
kept = 0
with open_store("sqlite:///freehold.db", Path(sys.argv[1])) as store:
    if sys.argv[2] == "limited":
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
    try:
        for k in range(0, 100_000, 50):
            append_many(store, [Call(id=f"{n}", variant="v", item=f"{n}", input="x" * 1000) for n in range(k, k + 50)])
            kept = k + 50
    except OperatorError as error:
        print(error)
    if sys.argv[2] == "blob":
        try:
            append_many(store, [Call(id="large", variant="v", item="large", input="x" * 3_000_000)])
        except OperatorError as error:
            print(error)
print(kept)
"""


def _until_full(folder: Path, how: str) -> tuple[list[str], int]:
    run = subprocess.run([sys.executable, "-c", _UNTIL_FULL, str(folder), how], capture_output=True, text=True, timeout=60, check=True)
    *said, kept = run.stdout.splitlines()
    return said, int(kept)


def test_a_full_disk_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """A real one: a file system of 3 MB. What was stored before is there, nothing of the refused batch is, and it goes on after."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount a small file system")
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)], capture_output=True, check=False).returncode:
        pytest.skip("needs root that may mount a file system")
    try:
        said, kept = _until_full(disk, "blob")
        assert "The disk with" in said[0] and "is full. Nothing of this batch was stored. Make room" in said[0]
        assert "Cannot write the blob" in said[1] and "No space left" in said[1]
        assert kept > 0
        assert list((disk / "blobs").rglob("new-*")) == []
        subprocess.run(["mount", "-o", "remount,size=20m", str(disk)], check=True)
        with open_store(URL, disk) as store:
            assert read.counts(store, "default").calls == kept
            assert append_many(store, [Call(id="more", variant="v", item="more")]).added == 1
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_limit_on_the_size_of_files_is_told_like_a_full_disk(tmp_path: Path) -> None:
    """As by `ulimit -f`."""
    said, kept = _until_full(tmp_path, "limited")
    assert "Nothing of this batch was stored" in said[0]
    with open_store(URL, tmp_path) as store:
        assert read.counts(store, "default").calls == kept


def test_appending_keeps_memory_flat(store: Store, a_call: MakeCall) -> None:
    """Twenty thousand calls leave the process no more than 20 MB larger than two thousand do."""

    def peak_mb() -> float:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    def some(first: int) -> None:
        for k in range(first, first + 2_000, 500):
            append_many(store, [a_call(n, input=f"{n} " * 200) for n in range(k, k + 500)])

    some(0)
    before = peak_mb()
    for first in range(2_000, 20_000, 2_000):
        some(first)
    assert peak_mb() - before < 20
