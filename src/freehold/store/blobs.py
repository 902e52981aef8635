"""Large values as files named by their hash: written whole or not at all, read only if they are what their name says."""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

from freehold.catalog import Durability
from freehold.errors import DataError, OperatorError
from freehold.store.files import sync_folder

DIGEST_BYTES = 20
"""Length of a digest: 160 bits, so that nobody makes two contents of one name."""

MAX_BLOB_BYTES = 1 << 30
"""The largest blob there may be: what is read comes into memory whole."""

_UNFINISHED = "new-"
_NAME = re.compile(r"[0-9a-f]{38}")


def digest_bytes(data: bytes) -> bytes:
    """The 20 bytes by which content is known."""
    return blake2b(data, digest_size=DIGEST_BYTES).digest()


class Blobs:
    """A folder of blobs, `ab/cdef…`, each readable by its owner only."""

    def __init__(self, folder: Path, durability: Durability) -> None:
        self.folder = folder
        self._durability = durability

    def put(self, data: bytes) -> str:
        """Stores `data` and gives its name, 40 hex digits. Storing it again costs a look."""
        if len(data) > MAX_BLOB_BYTES:
            raise DataError(f"a value of {len(data):,} bytes is larger than a blob may be, {MAX_BLOB_BYTES:,} bytes")
        name = digest_bytes(data).hex()
        path = self.path(name)
        if path.exists():
            return name
        try:
            self._write(path, data)
        except OSError as error:
            said = error.strerror or str(error)
            raise OperatorError(f"Cannot write the blob '{path}': {said}. Make room, or make the folder writable.") from error
        return name

    def get(self, name: str) -> bytes:
        """The content of that name. Raises OperatorError where it is missing or is not what it was."""
        path = self.path(name)
        try:
            with path.open("rb") as file:
                data = file.read(MAX_BLOB_BYTES + 1)
        except FileNotFoundError:
            raise OperatorError(f"The blob '{path}' is missing; the database refers to it. Restore it from a backup.") from None
        except OSError as error:
            raise OperatorError(f"Cannot read the blob '{path}': {error.strerror or error}.") from error
        if digest_bytes(data).hex() != name:
            raise OperatorError(f"The blob '{path}' is damaged: its content no longer has its name's hash. Restore it from a backup.")
        return data

    def remove(self, name: str) -> bool:
        """Removes a blob; False where there was none."""
        path = self.path(name)
        try:
            path.unlink()
        except FileNotFoundError:
            return False
        if self._durability == "power":
            sync_folder(path.parent)
        return True

    def remove_unfinished(self, older_than_s: float, now_s: float) -> int:
        """Removes what writers left behind that died in the middle of a blob, and gives how many those were."""
        removed = 0
        for file in self.folder.glob(f"??/{_UNFINISHED}*"):
            with suppress(FileNotFoundError):
                if file.stat().st_mtime < now_s - older_than_s:
                    file.unlink()
                    removed += 1
        return removed

    def names(self) -> Iterator[str]:
        """The names of all blobs, in no order."""
        if not self.folder.is_dir():
            return
        for folder in self.folder.iterdir():
            if len(folder.name) == 2 and folder.is_dir():
                for file in folder.iterdir():
                    if _NAME.fullmatch(file.name):
                        yield folder.name + file.name

    def path(self, name: str) -> Path:
        """Where the blob of that name lies. Raises DataError where it is no blob's name."""
        if not _NAME.fullmatch(name[2:]) or not re.fullmatch("[0-9a-f]{2}", name[:2]):
            raise DataError(f"'{name}' is no blob's name; expected {2 * DIGEST_BYTES} hex digits")
        return self.folder / name[:2] / name[2:]

    def _write(self, path: Path, data: bytes) -> None:
        new_folder = not path.parent.is_dir()
        self.folder.mkdir(mode=0o700, exist_ok=True)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=_UNFINISHED)  # 0600
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                if self._durability == "power":
                    file.flush()
                    os.fsync(file.fileno())
            Path(temporary).replace(path)
        except BaseException:
            with suppress(OSError):
                Path(temporary).unlink()
            raise
        if self._durability == "power":
            sync_folder(path.parent)
            if new_folder:
                sync_folder(self.folder)
