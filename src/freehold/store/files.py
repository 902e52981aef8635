"""Files of a project: private to their owner, whole or not there."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from freehold.errors import OperatorError


@contextmanager
def private_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write that becomes `path` when the block ends without an error: synced, readable by its owner alone.

    Raises OperatorError where the folder or the disk does not take it.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        raise OperatorError(
            f"Cannot write '{path}': {error.strerror or error}. Make room, or make '{path.parent}' writable for this user."
        ) from error
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder durable, as syncing a file does what it holds."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
