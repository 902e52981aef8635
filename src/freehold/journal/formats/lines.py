"""Raw lines of a text file, plain or gzip, in memory that no line can grow."""

import gzip
import zlib
from collections.abc import Iterator
from typing import BinaryIO, TypeAlias

from freehold.journal.formats.source import Source

MAX_LINE_BYTES = 16 * 2**20
_CHUNK_BYTES = 2**18
_GZIP_MAGIC = b"\x1f\x8b"
_BOM = b"\xef\xbb\xbf"

Stream: TypeAlias = BinaryIO | gzip.GzipFile


RawLine: TypeAlias = tuple[int, bytes, str]
"""Number, bytes without the line's end, and the reason why they cannot be had, if so: a plain tuple, made for every line of a log."""


def open_text(source: Source) -> Stream:
    """The bytes of a source, unpacked when they are gzip by content, whatever the name says."""
    stream = source.path.open("rb")
    packed = stream.read(2) == _GZIP_MAGIC
    stream.seek(0)
    return unpacked(stream) if packed else stream


def unpacked(stream: BinaryIO) -> gzip.GzipFile:
    """What a gzip stream holds. All that could be unpacked is handed out before it is said that the rest is broken."""
    return _Unpacked(stream)


class _Unpacked(gzip.GzipFile):
    """A gzip file that hands out what it has unpacked before it reports that the rest is broken, and closes what it reads."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__(fileobj=stream, mode="rb")
        self._stream = stream

    def read(self, size: int | None = -1) -> bytes:
        return self.read1(-1 if size is None else size)

    def close(self) -> None:
        super().close()
        self._stream.close()


def read_lines(source: Source) -> Iterator[RawLine]:
    """Every line with its number. Empty lines at the end are no lines; one between others is a problem, said once for a run of them.

    A line over 16 MiB is passed over without being held. A stream that breaks off ends with a problem; the lines before it stand.
    """
    with open_text(source) as stream:
        blank = 0
        for line in split_lines(stream):
            number, raw, problem = line
            if not problem and (not raw or raw.isspace()):
                blank = blank or number
                continue
            if blank:
                yield blank, b"", _blank_problem(blank, number - 1)
                blank = 0
            yield line


def _blank_problem(first: int, last: int) -> str:
    run = "is empty" if first == last else f"to line {last} are empty"
    return f"the line {run}; expected one record on each line. Remove it, or look for what cut the log there"


def split_lines(stream: Stream) -> Iterator[RawLine]:
    """Every line with its number, empty ones too. What is held is one chunk and the beginning of one line."""
    number, held, size, ahead = 0, [b""], 0, b""
    while True:
        try:
            chunk = ahead or stream.read(_CHUNK_BYTES)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            yield number + 1, b"", _broken_gzip(number, error)
            return
        except OSError as error:
            yield number + 1, b"", f"the file cannot be read on from here: {error.strerror}. Check the disk, then read it again"
            return
        if not chunk:
            break
        if not number and not size:
            chunk = chunk.removeprefix(_BOM)
        pieces, ahead = chunk.split(b"\n"), b""
        if len(pieces) > 1:
            pieces[0] = b"".join((*held, pieces[0]))
            held, size = [], 0
        for raw in pieces[:-1]:
            number += 1
            yield (number, raw, "") if len(raw) <= MAX_LINE_BYTES else (number, b"", _too_long(len(raw)))
        held.append(pieces[-1])
        size += len(pieces[-1])
        if size > MAX_LINE_BYTES:
            held = []
            skipped, ahead = _skip(stream)
            number += 1
            yield number, b"", _too_long(size + skipped)
            size = 0
    if size:
        yield number + 1, b"".join(held), ""


def _skip(stream: Stream) -> tuple[int, bytes]:
    """Reads to the end of the line: how many bytes that was, and what came after it."""
    size = 0
    while True:
        try:
            chunk = stream.read(_CHUNK_BYTES)
        except (EOFError, OSError, zlib.error):
            return size, b""  # the next read meets it again and reports it
        end = chunk.find(b"\n")
        if end >= 0:
            return size + end, chunk[end + 1 :]
        if not chunk:
            return size, b""
        size += len(chunk)


def _too_long(size: int) -> str:
    return (
        f"the line is {size / 2**20:.1f} MiB long and was passed over; a record has at most {MAX_LINE_BYTES // 2**20} MiB. "
        "Keep files and images out of the log, or name them by reference"
    )


def _broken_gzip(lines: int, error: Exception) -> str:
    how = "breaks off in the middle" if isinstance(error, EOFError) else f"is damaged ({error})"
    return (
        f"the gzip stream {how} after {lines} whole lines, which were read. Copy the file again and read that: "
        "what is there already is not added twice"
    )
