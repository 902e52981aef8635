"""Import's spine: files of recorded traffic in, calls and feedback out to a sink, and a report of what became of every line."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from time import perf_counter
from typing import BinaryIO, NamedTuple, Protocol

import msgspec

from freehold.catalog import Catalog
from freehold.errors import DataError
from freehold.journal.batch import Batch, Named
from freehold.journal.build import Builder
from freehold.journal.call import Call, Feedback, LabelDesign
from freehold.journal.formats.detect import Format, Reader, reader_of
from freehold.journal.formats.record import Line
from freehold.journal.formats.source import Source, opened
from freehold.journal.survey import survey
from freehold.journal.tally import MOST_PROBLEMS, IngestReport, Tally
from freehold.journal.write import Appended, Conflict
from freehold.pricing.book import PriceBook

BATCH_ROWS = 2_000
BATCH_BYTES = 16 * 2**20


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
    """Where batches go, such as `append_many` after redaction. It stores what is new, and nothing that is said about a call in conflict.

    It is called in a thread of its own, one batch after the other.
    """

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
    named: Named | None = None,
    stdin: BinaryIO | None = None,
    now: datetime | None = None,
    clock: Callable[[], float] = perf_counter,
) -> IngestReport:
    """Imports `files` one after the other; importing them again adds nothing. A bad line is reported and the rest goes in.

    Nothing is written before all files are there and in a known format. With `options.strict`, an audit or a census a file is read twice,
    and a strict file with a problem is refused whole. `named` (`naming.already_named`) lets a file that came in without a task come in again
    with one. `now` dates scores of records without a time. Raises CallerError and DataError for files that cannot be imported at all,
    OperatorError from reading and from the sink; what the sink took before that stays.
    """
    began, tally = clock(), Tally(options.design)
    build = Builder(options.task, options.tenant, options.design, catalog, prices, now or datetime.now(UTC))
    with opened(files, stdin) as sources:
        for source, read in [(source, reader_of(source, options.format)) for source in sources]:
            tally.files.append(source.name)
            _ingest_file(source, read, sink, options, build, tally, progress, named)
    return tally.report(clock() - began)


def _ingest_file(
    source: Source,
    read: Reader,
    sink: Sink,
    options: IngestOptions,
    build: Builder,
    tally: Tally,
    progress: Callable[[Progress], None] | None,
    named: Named | None,
) -> None:
    lines = read(source)
    if options.strict or options.design != "found":
        build.drawn = {}  # what was counted was another file's
        found = survey(lines, build, MOST_PROBLEMS)
        if options.strict and found.problem_count:
            tally.refuse(source.name, found)
            return
        build.drawn = found.drawn
        tally.note_design(source.name, found)
        lines = _unchanged(read(source), source, found.last) if options.strict else read(source)
    conflicts: dict[str, tuple[int, Conflict]] = {}
    for batch, stored in _stored(_batches(lines, build, source, tally), sink, named):
        tally.stored(stored)
        for conflict in stored.conflicts[: MOST_PROBLEMS - len(conflicts)]:
            built_id, line = batch.place_of(conflict.id)
            conflicts[built_id] = line, conflict
        if progress is not None:
            progress(Progress(source.name, batch.last, tally.added))
    if conflicts:
        _explain_conflicts(source, read(source), build, conflicts, tally)


def _stored(batches: Iterator[Batch], sink: Sink, named: Named | None) -> Iterator[tuple[Batch, Appended]]:
    """Every batch with what the sink did with it, each stored in a thread beside while the next one is being made."""
    with ThreadPoolExecutor(1, "freehold-import") as beside:
        before: tuple[Batch, Future[Appended]] | None = None
        for batch in batches:
            if named is not None:
                batch.take_ids(named)
            if before is not None:
                yield before[0], before[1].result()
            before = batch, beside.submit(sink, batch.calls, batch.feedback)
        if before is not None:
            yield before[0], before[1].result()


def _unchanged(lines: Iterator[Line], source: Source, surveyed: int) -> Iterator[Line]:
    """The lines that were found to be without a problem. Raises DataError where one has become one since."""
    for line in lines:
        if line.number > surveyed:
            return
        if line.record is None:
            raise DataError(f"{source.name} changed while it was imported: line {line.number} was good and is not. Import it again")
        yield line


def _batches(lines: Iterator[Line], build: Builder, source: Source, tally: Tally) -> Iterator[Batch]:
    """Batches of built entries; what is no entry goes into the tally."""
    batch = Batch()
    for number, record, problem, size in lines:
        tally.lines += 1
        batch.last = number
        batch.size += size
        if record is None:
            tally.problem(source.name, number, problem)
            continue
        try:
            entry = build.entry(record)
        except (DataError, RecursionError) as error:
            tally.problem(source.name, number, str(error))
            continue
        tally.entry(entry)
        before = len(batch)
        contradicted = batch.add(number, entry)
        if contradicted is not None:
            line, kept, told = contradicted
            tally.conflict(source.name, number, f"{_called(entry.call)} differs from line {line}, which stays: {_difference(kept, told)}")
        elif len(batch) == before:
            tally.present += 1
        if len(batch) >= BATCH_ROWS or batch.size >= BATCH_BYTES:
            yield batch
            batch = Batch()
    if len(batch):
        yield batch


def _explain_conflicts(
    source: Source, lines: Iterator[Line], build: Builder, conflicts: dict[str, tuple[int, Conflict]], tally: Tally
) -> None:
    """Reads the file once more for the lines that came first, so that both can be named without keeping every id while importing."""
    open_conflicts = dict(conflicts)
    for number, record, _, _ in lines:
        if not open_conflicts:
            return
        if record is None:
            continue
        try:
            entry = build.entry(record)
        except (DataError, RecursionError):
            continue
        for id in (entry.call.id, *(said.id for said in entry.feedback)):
            if id in open_conflicts:
                line, conflict = open_conflicts.pop(id)
                told = f"line {number}, which stays" if number < line else "what the journal has of it already, which stays"
                tally.explain(
                    source.name, line, f"{_called(entry.call)} differs from {told}: {_difference(conflict.kept, conflict.refused)}"
                )


def _difference(kept: Call | Feedback, told: Call | Feedback) -> str:
    """In what two records of one id differ, without their content."""
    if isinstance(kept, Feedback) and isinstance(told, Feedback):
        first, second = (f"{said.value:g} ({said.design})" if said.value is not None else said.design for said in (kept, told))
        return f"score '{told.metric}' is {first} there and {second} here"
    names = [name for name in _SAYS_WHAT if getattr(kept, name) != getattr(told, name)]
    return ", ".join(name.removesuffix("_digest") for name in names) or "content"


_SAYS_WHAT = (
    "input", "output_digest", "outcome", "usage", "latency_s", "at", "group", "subject", "tags", "policy", "propensity", "reference_digest",
    "probabilities",
)  # fmt: skip


def _called(call: Call) -> str:
    task = f" of task '{call.task[:80]}'" if call.task else ""
    return f"item '{call.item[:80]}'{task} by '{call.variant[:80]}'"
