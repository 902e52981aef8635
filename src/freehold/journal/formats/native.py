"""Freehold's own format: JSON lines, one record each, plain or gzip."""

from collections.abc import Iterator

import msgspec

from freehold.journal.formats.lines import read_lines
from freehold.journal.formats.reasons import undecodable
from freehold.journal.formats.record import Line, Record
from freehold.journal.formats.source import Source


def read(source: Source) -> Iterator[Line]:
    """Every line of the file as a record or a reason. A key that no record has is a problem: it would be lost in silence otherwise."""
    decode = msgspec.json.Decoder(Record).decode
    for number, raw, problem in read_lines(source):
        if problem:
            yield Line(number, None, problem)
            continue
        try:
            yield Line(number, decode(raw), "", len(raw))
        except (ValueError, RecursionError) as error:
            yield Line(number, None, undecodable(raw, error))
