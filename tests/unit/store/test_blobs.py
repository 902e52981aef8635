"""Blobs: whole or not at all, once, and only what their name says."""

import os
import stat
from pathlib import Path

import pytest

from freehold.errors import DataError, OperatorError
from freehold.store.blobs import Blobs, digest_bytes


@pytest.fixture(params=["process", "power"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "blobs", request.param)


def test_a_blob_comes_back_by_its_hash(blobs: Blobs) -> None:
    name = blobs.put(b"content")
    assert name == digest_bytes(b"content").hex()
    assert blobs.get(name) == b"content"
    assert blobs.path(name) == blobs.folder / name[:2] / name[2:]
    assert list(blobs.names()) == [name]


def test_the_same_content_is_stored_once(blobs: Blobs) -> None:
    first = blobs.path(blobs.put(b"content")).stat()
    second = blobs.path(blobs.put(b"content")).stat()
    assert (first.st_ino, first.st_mtime_ns) == (second.st_ino, second.st_mtime_ns)


def test_only_its_owner_reads_it(blobs: Blobs) -> None:
    before = os.umask(0)
    try:
        path = blobs.path(blobs.put(b"content"))
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_damaged_blob_is_not_handed_out(blobs: Blobs) -> None:
    name = blobs.put(b"content")
    blobs.path(name).write_bytes(b"c0ntent")
    with pytest.raises(OperatorError, match=r"is damaged.*Restore it"):
        blobs.get(name)


def test_a_missing_blob_is_named(blobs: Blobs) -> None:
    with pytest.raises(OperatorError, match=r"is missing.*Restore it"):
        blobs.get(digest_bytes(b"never").hex())


@pytest.mark.parametrize("name", ["", "ab", "../../../etc/passwd", "AB" * 20, "ab" * 19, "ab" * 21, "ab/" + "cd" * 18 + "e"])
def test_a_name_that_is_no_hash_leads_nowhere(blobs: Blobs, name: str) -> None:
    with pytest.raises(DataError, match="no blob's name"):
        blobs.get(name)


def test_removing_twice_is_no_error(blobs: Blobs) -> None:
    name = blobs.put(b"content")
    assert (blobs.remove(name), blobs.remove(name)) == (True, False)
    assert list(blobs.names()) == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "blobs").write_text("a file")
    with pytest.raises(OperatorError, match=r"Cannot write the blob.*writable"):
        Blobs(tmp_path / "blobs", "process").put(b"content")


def test_what_a_killed_writer_left_is_removed_after_a_while(blobs: Blobs) -> None:
    path = blobs.path(blobs.put(b"content"))
    (path.parent / "new-abc").write_bytes(b"half")
    changed = (path.parent / "new-abc").stat().st_mtime
    assert blobs.remove_unfinished(3600, changed + 3599) == 0
    assert blobs.remove_unfinished(3600, changed + 3601) == 1
    assert blobs.get(path.parent.name + path.name) == b"content"
