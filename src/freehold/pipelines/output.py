"""What came of each row, kept as it comes and laid down in the order of the rows when all is there.

Rows end in any order, and the first may take longest. So each is appended at once to `OUT.part`, a file of lines that only grows, and a file
of places beside it, eight bytes a row, says where each stands; memory holds neither. When all is there, the rows are read in their order and
written as OUT, which so is whole or not there, in every format. What a kill leaves in `OUT.part` is cut back to its last whole line.
"""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from struct import iter_unpack, pack, unpack
from typing import BinaryIO

import msgspec

from freehold.chat import JSON
from freehold.errors import CallerError, DataError, OperatorError
from freehold.pipelines.rows import Format
from freehold.pipelines.writers import Fields, check, writer_to

_CHUNK = 2**20
_PLACE = 8


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """An output that is whole."""

    rows: int
    """How many rows have an answer."""
    failed: int
    """How many have none and stand in the side file."""
    size: int
    """Bytes of OUT."""
    digest: str
    """BLAKE2b of OUT in 32 hex digits, by which it is known again."""


class FailedRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row without an answer, as a line of `OUT.failed.jsonl`."""

    n: int
    """Its place among the rows, from 0."""
    key: str
    """Its key; empty for a row that could not be read."""
    input: JSON
    """What was asked, or how a row begins that could not be read."""
    error: str
    """Why there is no answer."""
    attempts: int
    """How often it was tried."""


class _Head(msgspec.Struct, frozen=True, tag="head"):
    job: str
    written: Written | None = None
    """In the last line: what OUT is going to be."""
    overwrites: bool = False
    """Whether it was said that OUT may be written over, which holds for runs that go on with it."""


class _Put(msgspec.Struct, frozen=True, tag="row"):
    n: int
    value: JSON


class _Fail(msgspec.Struct, frozen=True, tag="failed"):
    row: FailedRow


_decode = msgspec.json.Decoder(_Head | _Put | _Fail).decode
_encode = msgspec.json.Encoder().encode


class RowWriter:
    """The output of one job, which goes on where an earlier run of the same job was cut off."""

    def __init__(
        self,
        path: Path,
        format: Format,
        fields: Fields,
        job: str,
        *,
        finished: Written | None = None,
        overwrite: bool = False,
        defuse: bool = True,
    ) -> None:
        """`job`: what tells this job from others. `fields`: the columns of a table. `finished`: what an earlier run of this job wrote there,
        which may be replaced; any other file only with `overwrite`. `defuse`: whether a CSV's formulas are made text.

        Raises CallerError where OUT is there or its part is of another job, or another process writes it; OperatorError where the disk says no.
        """
        if format != "jsonl" and not fields:
            raise CallerError(f"{path.name} is a table, and no columns are named. Name the fields, or write JSON lines")
        self.path, self.part = path, path.with_name(f"{path.name}.part")
        self.failed_path = path.with_name(f"{path.name}.failed.jsonl")
        self._format, self._fields, self._defuse, self._job = format, fields, defuse, job
        self._places = tempfile.TemporaryFile(dir=_folder(path))  # noqa: SIM115 it goes with this writer
        try:
            self._file: BinaryIO = os.fdopen(os.open(self.part, os.O_RDWR | os.O_CREAT, 0o600), "r+b")
        except OSError as error:
            raise _unwritable(self.part, error) from error
        self._end = self.done = 0
        self._overwrites = False
        try:
            promised = self._begin(overwrite)
            known = [each for each in (promised, finished) if each is not None]
            if path.exists() and not (overwrite or self._overwrites) and not any(is_written(path, each) for each in known):
                raise CallerError(
                    f"{path} is there already, and is not what this job wrote. Choose another name, move it away, or overwrite it"
                )
        except BaseException:
            is_empty = not self._end
            self.close()
            if is_empty:
                self.part.unlink(missing_ok=True)
            raise
        if not self._end or (overwrite and not self._overwrites):
            self._append(_Head(job, overwrites=overwrite))
            self._file.flush()

    def _begin(self, overwrite: bool) -> Written | None:
        """Reads what an earlier run left, cuts off a torn end, and gives what it was about to make of it."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(self._file.fileno()).st_ino != self.part.stat().st_ino:  # it was finished between the opening and the lock
                raise BlockingIOError
        except OSError:
            self._end = -1
            raise CallerError(f"{self.part} is being written by another process. Wait for it, or choose another name") from None
        promised = None
        self._file.seek(0)
        for line in self._file:
            entry = _entry(line)
            if entry is None or (not self._end and not isinstance(entry, _Head)):
                break
            if isinstance(entry, _Head):
                if entry.job != self._job:
                    if overwrite:
                        break
                    self._end = -1
                    raise CallerError(f"{self.part} was left by another job. Finish that one, move the file away, or overwrite it")
                promised = entry.written or promised
                self._overwrites = self._overwrites or entry.overwrites
            else:
                self._place(entry.n if isinstance(entry, _Put) else entry.row.n, isinstance(entry, _Put))
            self._end += len(line)
        self._file.truncate(self._end)
        self._file.seek(self._end)
        return promised

    def has(self, n: int) -> bool:
        """Whether the row has an answer here. One that failed has none, and may get one yet."""
        return bool(self._at(n) & 1)

    def put(self, n: int, value: JSON) -> None:
        """Takes the answer of a row, which may come in any order. Raises DataError where the format has no place for it."""
        if self._format != "jsonl":
            check(n, value, self._fields)
        self._append(_Put(n, value), n)

    def fail(self, row: FailedRow) -> None:
        """Takes that a row has no answer. An answer it has already stands."""
        if not self.has(row.n):
            self._append(_Fail(row), row.n)

    def checkpoint(self) -> None:
        """What was taken so far survives a power failure."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise _unwritable(self.part, error) from error

    def finish(self) -> Written:
        """Writes OUT, and the side file where rows failed, in the order of the rows; then `OUT.part` is gone. The same rows give the same bytes."""
        self.checkpoint()
        draft, failed_draft = (self.path.with_name(f"{self.path.name}.part.{what}") for what in ("whole", "failed"))
        try:
            rows = failed = 0
            with _private(draft) as out, _private(failed_draft) as failed_out:
                writer = writer_to(out, self.path, self._format, self._fields, self._defuse)
                for entry in self._in_order():
                    if isinstance(entry, _Put):
                        writer.add(entry.n, entry.value)
                        rows += 1
                    else:
                        failed_out.write(_encode(entry.row) + b"\n")
                        failed += 1
                writer.close()
                for file in (out, failed_out):
                    file.flush()
                    os.fsync(file.fileno())
            written = Written(rows=rows, failed=failed, size=draft.stat().st_size, digest=_digest(draft))
            self._append(_Head(self._job, written))  # so that a kill after the next line leaves no file that nobody knows
            self.checkpoint()
            draft.replace(self.path)
            if failed:
                failed_draft.replace(self.failed_path)
            else:
                failed_draft.unlink()
                self.failed_path.unlink(missing_ok=True)
            _sync(self.path.parent)
            self.part.unlink()
        except OSError as error:
            raise _unwritable(self.path, error) from error
        self.close()
        return written

    def close(self) -> None:
        """Lets go of the files. What was taken stays in `OUT.part` for the next run."""
        self._places.close()
        self._file.close()

    def _append(self, entry: _Head | _Put | _Fail, n: int | None = None) -> None:
        try:
            line = _encode(entry) + b"\n"
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise DataError(f"row {n} cannot be written as JSON: {error}") from error
        try:
            self._file.write(line)
        except OSError as error:
            raise _unwritable(self.part, error) from error
        if n is not None:
            self._place(n, isinstance(entry, _Put))
        self._end += len(line)

    def _place(self, n: int, is_answer: bool) -> None:
        """Keeps where the next line stands: its offset and one bit of what it is. The last line of a row counts, but for a failure after an answer."""
        before = self._at(n)
        if before & 1 and not is_answer:
            return
        self.done += not before
        os.pwrite(self._places.fileno(), pack("<Q", (self._end + 1) << 1 | is_answer), n * _PLACE)

    def _at(self, n: int) -> int:
        data = os.pread(self._places.fileno(), _PLACE, n * _PLACE)
        return int(unpack("<Q", data)[0]) if len(data) == _PLACE else 0

    def _in_order(self) -> Iterator[_Put | _Fail]:
        offset = 0
        with self.part.open("rb") as lines:
            while chunk := os.pread(self._places.fileno(), _CHUNK, offset):
                offset += len(chunk)
                for (place,) in iter_unpack("<Q", chunk):
                    if place:
                        lines.seek((place >> 1) - 1)
                        entry = _entry(lines.readline())
                        if not isinstance(entry, _Put | _Fail):
                            raise OperatorError(f"{self.part} was changed while it was written. Start the job again")
                        yield entry


def is_written(path: Path, written: Written) -> bool:
    """Whether a file is still what was written there."""
    try:
        return path.stat().st_size == written.size and _digest(path) == written.digest
    except FileNotFoundError:
        return False
    except OSError as error:
        raise OperatorError(f"{path} cannot be read: {error.strerror or error}. Check its permissions and the disk.") from error


def _entry(line: bytes) -> _Head | _Put | _Fail | None:
    """A line; None where it is torn."""
    if not line.endswith(b"\n"):
        return None
    try:
        entry: _Head | _Put | _Fail = _decode(line)
    except (ValueError, RecursionError):
        return None
    return entry


def _digest(path: Path) -> str:
    found = blake2b(digest_size=16)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            found.update(chunk)
    return found.hexdigest()


def _private(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")


def _folder(path: Path) -> Path:
    if not path.parent.is_dir():
        raise CallerError(f"There is no folder {path.parent} to write {path.name} in. Make it, or choose another name")
    return path.parent


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unwritable(path: Path, error: OSError) -> OperatorError:
    return OperatorError(f"Cannot write '{path}': {error.strerror or error}. Make room, or make '{path.parent}' writable for this user.")
