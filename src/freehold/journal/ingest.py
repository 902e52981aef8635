"""Import's spine: files of recorded traffic in, calls and feedback out to a sink, and a report of what became of every line."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from time import perf_counter
from typing import BinaryIO, NamedTuple, Protocol

import msgspec

from freehold.catalog import Catalog
from freehold.errors import DataError
from freehold.journal.build import Builder, Entry
from freehold.journal.call import Call, Feedback, LabelDesign
from freehold.journal.formats.detect import Format, Reader, reader_of
from freehold.journal.formats.record import Line
from freehold.journal.formats.source import Source, opened
from freehold.journal.survey import survey
from freehold.journal.tally import MOST_PROBLEMS, IngestReport, Tally
from freehold.journal.write import Appended
from freehold.pricing import PriceBook

BATCH_ROWS = 2_000


class IngestOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What an import was told."""

    task: str | None = None
    """The task all calls belong to, whatever their records say; None leaves it to the records."""
    format: Format = "auto"
    """How the files are written; `auto` tells by their content."""
    design: LabelDesign = "found"
    """How the scores were come by."""
    strict: bool = False
    """Whether one bad line keeps its whole file out."""
    tenant: str = "default"
    """Whose data this is."""


class Sink(Protocol):
    """Where batches go, such as `append_many` after redaction. It stores what is new, and nothing that is said about a call in conflict."""

    def __call__(self, calls: Sequence[Call], feedback: Sequence[Feedback], /) -> Appended: ...


class Progress(NamedTuple):
    """How far an import has come."""

    file: str
    """The file being read."""
    lines: int
    """Its lines so far."""
    added: int
    """Calls added so far, over all files."""


def ingest(
    files: Sequence[str],
    sink: Sink,
    options: IngestOptions,
    catalog: Catalog,
    prices: PriceBook,
    progress: Callable[[Progress], None] | None = None,
    *,
    stdin: BinaryIO | None = None,
    now: datetime | None = None,
    clock: Callable[[], float] = perf_counter,
) -> IngestReport:
    """Imports `files` one after the other; importing them again adds nothing. A bad line is reported and the rest goes in.

    Nothing is written before all files are there and in a known format. With `options.strict` or an audit a file is read twice, and a
    strict file with a problem is refused whole. `now` dates scores of records without a time. Raises CallerError and DataError for files
    that cannot be imported at all, OperatorError from reading and from the sink; what the sink took before that stays.
    """
    began, tally = clock(), Tally(options.design)
    with opened(files, stdin) as sources:
        for source, read in [(source, reader_of(source, options.format)) for source in sources]:
            tally.files.append(source.name)
            _ingest_file(source, read, sink, options, catalog, prices, now or datetime.now(UTC), tally, progress)
    return tally.report(clock() - began)


def _ingest_file(
    source: Source,
    read: Reader,
    sink: Sink,
    options: IngestOptions,
    catalog: Catalog,
    prices: PriceBook,
    now: datetime,
    tally: Tally,
    progress: Callable[[Progress], None] | None,
) -> None:
    drawn: dict[tuple[str | None, str], tuple[int, int]] = {}
    build = Builder(options.task, options.tenant, options.design, catalog, prices, now, drawn)
    lines = read(source)
    if options.strict or options.design == "audit":
        found = survey(lines, build, MOST_PROBLEMS)
        if options.strict and found.problem_count:
            tally.refuse(source.name, found)
            return
        drawn.update(found.drawn)
        tally.note_audit(source.name, found)
        lines = _unchanged(read(source), source, found.lines) if options.strict else read(source)
    conflicts: dict[str, int] = {}
    for batch in _batches(lines, build, source, tally):
        stored = sink([call for _, call in batch.calls.values()], [said for _, said in batch.feedback.values()])
        tally.stored(stored.added, stored.present, len(stored.conflicts))
        for conflict in stored.conflicts[: MOST_PROBLEMS - len(conflicts)]:
            conflicts[conflict.id] = batch.line_of(conflict.id)
        if progress is not None:
            progress(Progress(source.name, batch.last, tally.added))
    if conflicts:
        _explain_conflicts(source, read(source), build, conflicts, tally)


def _unchanged(lines: Iterator[Line], source: Source, surveyed: int) -> Iterator[Line]:
    """The lines that were found to be without a problem. Raises DataError where one has become one since."""
    for line in lines:
        if line.number > surveyed:
            return
        if line.record is None:
            raise DataError(f"{source.name} changed while it was imported: line {line.number} was good and is not. Import it again")
        yield line


class _Batch:
    """Lines on their way to the sink, each call and score once."""

    def __init__(self) -> None:
        self.calls: dict[str, tuple[int, Call]] = {}
        self.feedback: dict[str, tuple[int, Feedback]] = {}
        self.last = 0

    def add(self, number: int, entry: Entry) -> int | None:
        """Takes in one line's entry. Gives the line it contradicts, in which case nothing of it is taken."""
        first, kept = self.calls.setdefault(entry.call.id, (number, entry.call))
        if kept is not entry.call and kept != entry.call:
            return first
        for said in entry.feedback:
            first, known = self.feedback.setdefault(said.id, (number, said))
            if known is not said and known.value != said.value:
                return first
        return None

    def line_of(self, id: str) -> int:
        """The line a call or score of this batch stood on."""
        return (self.calls.get(id) or self.feedback[id])[0]


def _batches(lines: Iterator[Line], build: Builder, source: Source, tally: Tally) -> Iterator[_Batch]:
    """Batches of built entries; what is no entry goes into the tally."""
    batch = _Batch()
    for number, record, problem in lines:
        tally.lines += 1
        batch.last = number
        if record is None:
            tally.problem(source.name, number, problem)
            continue
        try:
            entry = build.entry(record)
        except (DataError, RecursionError) as error:
            tally.problem(source.name, number, str(error))
            continue
        tally.entry(entry)
        before = len(batch.calls)
        contradicted = batch.add(number, entry)
        if contradicted is not None:
            tally.conflict(source.name, number, _differs_from(contradicted, entry.call))
        elif len(batch.calls) == before:
            tally.present += 1
        if len(batch.calls) >= BATCH_ROWS:
            yield batch
            batch = _Batch()
            batch.last = number
    if batch.calls or batch.last:
        yield batch


def _explain_conflicts(source: Source, lines: Iterator[Line], build: Builder, conflicts: dict[str, int], tally: Tally) -> None:
    """Reads the file once more for the lines that came first, so that both can be named without keeping every id while importing."""
    open_ids = dict(conflicts)
    for number, record, _ in lines:
        if not open_ids:
            return
        if record is None:
            continue
        try:
            entry = build.entry(record)
        except (DataError, RecursionError):
            continue
        for id in (entry.call.id, *(said.id for said in entry.feedback)):
            later = open_ids.pop(id, None)
            if later is None:
                continue
            if later == number:
                tally.explain(source.name, number, f"{_called(entry.call)} differs from what the journal holds of it, which stays")
            else:
                tally.explain(source.name, later, _differs_from(number, entry.call))


def _differs_from(line: int, call: Call) -> str:
    return f"{_called(call)} differs from line {line}, which has the same item and variant and stays; expected each once"


def _called(call: Call) -> str:
    task = f" of task '{call.task[:80]}'" if call.task else ""
    return f"item '{call.item[:80]}'{task} by '{call.variant[:80]}'"
