"""The price snapshot as a file of rates: made once for each version by a process of its own, and read by every other in a millisecond.

It lies in the user's folder for caches, where it may be deleted at any time. Whatever is found there is used only if it is whole and of
these versions, and only from a folder of our own; it costs a second to make it anew. Where no folder takes it that is done at each start.
"""

import hashlib
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

import freehold
from freehold.errors import OperatorError
from freehold.pricing.rates import Snapshot

SOURCE = "genai-prices"
_CHECKSUM_BYTES = 32
_LONGEST_S = 120

_log = logging.getLogger("freehold.pricing")


def source_version() -> str:
    """The version of the snapshot that is installed."""
    from importlib import metadata  # not at the top: commands that price nothing need not wait for it

    return metadata.version(SOURCE)


def read_snapshot(version: str) -> Snapshot:
    """The rates of that version, the installed one. Raises OperatorError where they cannot be made."""
    key = f"{version}-{_form()}"
    for folder in _folders():
        body = _read(folder / f"prices-{key}", key)
        if body is not None:
            return msgspec.msgpack.decode(body, type=Snapshot)
    made = _make(version)
    if not any(_keep(folder / f"prices-{key}", _checksum(key, made) + made) for folder in _folders()):
        _log.warning(
            "prices.not_kept: no folder takes the compiled prices, and each start takes a second longer. Set XDG_CACHE_HOME to one that can be written."
        )
    return msgspec.msgpack.decode(made, type=Snapshot)


def _form() -> str:
    """What decides the file's form and content beside the snapshot: the text of this folder, so that no change of it can be forgotten."""
    text = b"".join(file.read_bytes() for file in sorted(Path(__file__).parent.glob("*.py")))
    return hashlib.sha256(freehold.__version__.encode() + text).hexdigest()[:12]


def _folders() -> Iterator[Path]:
    """Where the file may lie, best first: the user's caches, by the platform's convention, and where temporary files go."""
    told = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if told.is_absolute():
        yield told / "freehold"
    else:
        with suppress(RuntimeError):  # a user without a home
            yield Path("~/Library/Caches" if sys.platform == "darwin" else "~/.cache").expanduser() / "freehold"
    with suppress(OSError):  # no folder for temporary files can be written
        yield Path(tempfile.gettempdir()) / f"freehold-{os.geteuid()}"


def _is_ours(folder: Path) -> bool:
    """Whether we made this folder, so that nobody else has put anything there: where temporary files go, anybody may be first."""
    return folder.lstat().st_uid == os.geteuid()


def _read(file: Path, key: str) -> bytes | None:
    """What the file holds; None where it is not there, not ours, or not whole."""
    try:
        data = file.read_bytes() if _is_ours(file.parent) else b""
    except OSError:
        return None
    body = data[_CHECKSUM_BYTES:]
    return body if data[:_CHECKSUM_BYTES] == _checksum(key, body) else None


def _keep(file: Path, data: bytes) -> bool:
    """Whether the file could be written: whole or not at all, whoever else is at it, and readable by us alone."""
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _is_ours(file.parent):
            return False
        descriptor, draft = tempfile.mkstemp(dir=file.parent)  # 0600
        try:
            with os.fdopen(descriptor, "wb") as opened:
                opened.write(data)
            Path(draft).replace(file)
        except BaseException:
            Path(draft).unlink(missing_ok=True)
            raise
    except OSError:
        return False
    return True


def _make(version: str) -> bytes:
    """The compiled prices, by a process that imports from where this one does. What it imports would stay in this one."""
    command = [sys.executable, "-P", "-W", "ignore", "-m", "freehold.pricing.compile"]
    paths = os.pathsep.join(filter(None, sys.path))
    try:
        done = subprocess.run(command, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, check=True, timeout=_LONGEST_S)
    except (OSError, subprocess.SubprocessError) as error:
        told = (getattr(error, "stderr", None) or b"").decode(errors="replace").strip().rpartition("\n")[2]
        raise OperatorError(
            f"The prices of {SOURCE} {version} could not be compiled: {told or error}. Install the version that constraints.txt names."
        ) from None
    _log.info("prices.compiled: %s %s", SOURCE, version)
    return done.stdout


def _checksum(key: str, body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_CHECKSUM_BYTES, key=hashlib.sha256(key.encode()).digest()).digest()
