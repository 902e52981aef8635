"""Where lines come from: files, and streams that are kept in a temporary file so that they can be read twice."""

import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

from freehold.errors import CallerError, OperatorError

STDIN = "-"


class Source(NamedTuple):
    """One input that can be read from its start as often as needed."""

    name: str
    """What messages call it."""
    path: Path
    """Where its bytes are."""


@contextmanager
def opened(files: Sequence[str | Path], stdin: BinaryIO | None = None) -> Iterator[list[Source]]:
    """The sources of `files`, all of them found readable before the first is used; `-` is the standard input.

    Pipes and the standard input are copied to a temporary file of the user's own (0600, removed afterwards), because detection, `--strict`
    and audits read twice. Raises CallerError for what is not there or not a file, OperatorError where the copy fails.
    """
    with ExitStack() as stack:
        yield [_source(str(file), stdin, stack) for file in files]


def _source(name: str, stdin: BinaryIO | None, stack: ExitStack) -> Source:
    if name == STDIN:
        return _spooled("standard input", stdin or sys.stdin.buffer, stack)
    path = Path(name)
    try:
        if path.is_dir():
            raise CallerError(f"{name} is a folder; name the files in it, such as {name.rstrip('/')}/*.jsonl")
        with path.open("rb") as stream:
            return Source(name, path) if path.is_file() else _spooled(name, stream, stack)
    except CallerError:
        raise
    except FileNotFoundError:
        raise CallerError(f"There is no file {name}. Check the path; relative paths begin at {Path.cwd()}.") from None
    except ValueError:
        raise CallerError(f"{name!r} is not a path") from None
    except OSError as error:
        raise OperatorError(f"{name} cannot be read: {error.strerror}. Check its permissions and the disk.") from None


def _spooled(name: str, stream: BinaryIO, stack: ExitStack) -> Source:
    try:
        file = stack.enter_context(tempfile.NamedTemporaryFile(prefix="freehold-import-"))  # noqa: SIM115 - the stack closes it
        shutil.copyfileobj(stream, file, 2**20)
        file.flush()
    except OSError as error:
        raise OperatorError(
            f"{name} could not be copied to {tempfile.gettempdir()}: {error.strerror}. Make room, set TMPDIR, or import a file."
        ) from None
    return Source(name, Path(file.name))
