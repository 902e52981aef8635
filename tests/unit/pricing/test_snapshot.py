"""The file of compiled prices: made once, used only where it is whole, of these versions and our own, and never a reason not to start."""

import logging
import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import freehold
from freehold.errors import OperatorError
from freehold.pricing import snapshot
from freehold.pricing.rates import Snapshot
from freehold.pricing.snapshot import read_snapshot, source_version

COSTS = "from freehold.pricing.book import PriceBook; from freehold.chat import Usage; print(PriceBook().cost('gpt-5', Usage(input_tokens=10**6)))"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the file goes; empty, and there is no other place for it but a folder for temporary files of the test's own."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    return tmp_path / "caches" / "freehold"


@pytest.fixture
def file(folder: Path) -> Path:
    """The file, made."""
    read()
    (file,) = folder.iterdir()
    return file


def read() -> Snapshot:
    return read_snapshot(source_version())


def knows_prices(found: Snapshot) -> bool:
    """Whether all is there that has to be."""
    listing = found.find("gpt-5")
    return len(found.names) > 2000 and listing is not None and listing.provider == "openai"


def test_it_is_made_once_and_read_from_then_on(file: Path) -> None:
    before = file.stat()
    assert knows_prices(read())
    assert list(file.parent.iterdir()) == [file]
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_only_its_owner_may_read_it(file: Path) -> None:
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_who_reads_prices_imports_none_of_what_compiles_them(folder: Path) -> None:
    """Neither when the file is made nor when it is read."""
    seen = "import sys; print(sorted({'genai_prices', 'httpx2', 'pydantic', 'freehold.pricing.compile'} & set(sys.modules)))"
    for _ in ("made", "read"):
        assert run(f"{COSTS}; {seen}").splitlines() == ["1.25", "[]"]


@pytest.mark.parametrize("harm", ["flipped", "cut", "empty", "text", "of another version", "a folder"])
def test_a_file_that_is_not_whole_or_not_ours_is_made_anew(file: Path, harm: str) -> None:
    whole = file.read_bytes()
    if harm == "a folder":
        file.unlink()
        file.mkdir()
    else:
        middle = len(whole) // 2
        flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
        other = snapshot._checksum("0.1.0-000000000000", whole[32:]) + whole[32:]
        file.write_bytes({"flipped": flipped, "cut": whole[:-1], "empty": b"", "text": b"{}", "of another version": other}[harm])
    assert knows_prices(read())
    if harm != "a folder":  # which cannot be replaced; then the prices lie where temporary files go
        assert file.read_bytes() == whole


def test_each_version_has_a_file_of_its_own(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the source's prices, and of Freehold: two that are installed side by side do not take turns."""
    read_snapshot("0.0.0")
    monkeypatch.setattr(freehold, "__version__", "0.0.0")
    read()
    assert len(list(file.parent.iterdir())) == 3
    assert file.name.startswith(f"prices-{source_version()}-")


def test_a_folder_that_cannot_be_written_is_passed_over(folder: Path, tmp_path: Path) -> None:
    folder.parent.write_text("a file where the folder of caches should be")
    assert knows_prices(read())
    (file,) = (tmp_path / "temporary").rglob("prices-*")
    assert file.parent.name == f"freehold-{os.geteuid()}"
    before = file.stat().st_mtime_ns
    assert knows_prices(read())
    assert file.stat().st_mtime_ns == before


@pytest.mark.skipif(os.geteuid() == 0, reason="writes everywhere as root")
def test_a_folder_that_may_not_be_written_is_passed_over(folder: Path, tmp_path: Path) -> None:
    folder.parent.mkdir(mode=0o500)
    assert knows_prices(read())
    assert list((tmp_path / "temporary").rglob("prices-*"))


def test_where_no_folder_takes_it_prices_are_known_all_the_same(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says what that costs and how it is mended."""
    folder.parent.write_text("")
    monkeypatch.setattr(tempfile, "tempdir", str(folder.parent))
    with caplog.at_level(logging.WARNING):
        assert knows_prices(read())
    assert "prices.not_kept" in caplog.text and "XDG_CACHE_HOME" in caplog.text


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give a folder to somebody else")
def test_prices_in_somebody_else_s_folder_are_not_believed(folder: Path, tmp_path: Path, file: Path) -> None:
    """Where temporary files go anybody may make a folder of our name first, and put prices of his own there."""
    theirs = tmp_path / "temporary" / f"freehold-{os.geteuid()}"
    theirs.mkdir()
    body = bytes(file.read_bytes()[32:]).replace(b"gpt-5", b"gpt-0")
    key = file.name.removeprefix("prices-")
    (theirs / file.name).write_bytes(snapshot._checksum(key, body) + body)
    file.unlink()
    folder.rmdir()
    folder.parent.rmdir()
    folder.parent.write_text("")
    assert read().find("gpt-5") is None, "it would be believed if it were ours"
    os.chown(theirs, 65_534, 65_534)
    assert knows_prices(read())


def test_many_that_start_at_once_leave_one_file(folder: Path) -> None:
    commands = [subprocess.Popen([sys.executable, "-W", "error", "-c", COSTS], stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert [command.communicate(timeout=120)[0].strip() for command in commands] == ["1.25"] * 4
    (file,) = folder.iterdir()
    assert file.name.startswith("prices-")


def test_it_is_made_in_a_folder_that_holds_files_named_like_modules(folder: Path, tmp_path: Path) -> None:
    """A project's folder is no place to import from."""
    for name in ("json.py", "genai_prices.py", "decimal.py"):
        (tmp_path / name).write_text("raise RuntimeError('imported from the project')")
    run_from = "import sys; sys.path.remove('') if '' in sys.path else None; "
    assert run(run_from + COSTS, cwd=tmp_path) == "1.25\n"


def test_what_cannot_be_compiled_is_the_operator_s_to_mend(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "genai_prices.py").write_text("raise ImportError('half installed')")
    monkeypatch.syspath_prepend(str(tmp_path / "broken"))
    with pytest.raises(OperatorError, match=r"genai-prices .* could not be compiled: ImportError: half installed\. Install"):
        read()
    assert not folder.exists()


def test_the_user_s_folder_for_caches_is_the_one_the_platform_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A relative XDG_CACHE_HOME is none, as its specification says."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("HOME", "/home/ann")
    caches = "Library/Caches" if sys.platform == "darwin" else ".cache"
    for told in (None, "", "somewhere"):
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        if told is not None:
            monkeypatch.setenv("XDG_CACHE_HOME", told)
        assert list(snapshot._folders()) == [Path("/home/ann", caches, "freehold"), tmp_path / f"freehold-{os.geteuid()}"]
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/caches")
    assert next(snapshot._folders()) == Path("/var/caches/freehold")


def run(code: str, cwd: Path | None = None) -> str:
    """What a process of its own prints."""
    return subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=cwd, capture_output=True, text=True, check=True).stdout
