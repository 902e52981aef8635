"""A version in the form that others read. What may not leave stays, counted and named; where everything went is written down, for erasure."""

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple, Protocol, TypeAlias, get_args

import msgspec

from freehold.chat import JSON
from freehold.datasets.card import Openness, write_card
from freehold.datasets.chats import anthropic_chat, openai_chat, preference, text_spans
from freehold.datasets.example import PERSON, Example
from freehold.datasets.table import batches_of, examples_in
from freehold.datasets.versions import EXPORTS, ROWS, File, Version, file_of
from freehold.errors import CallerError
from freehold.store.files import private_file

Format: TypeAlias = Literal["openai", "anthropic", "preferences", "huggingface", "csv", "spans"]
FORMATS: tuple[Format, ...] = get_args(Format)
PART_NAMES = {"train": "train", "calibrate": "validation", "test": "test"}
"""Parts as others call them."""
_LINES: dict[str, Callable[[Example, str], dict[str, JSON]]] = {
    "openai": openai_chat,
    "anthropic": anthropic_chat,
    "preferences": preference,
    "spans": text_spans,
}
_AT_ONCE = 5_000
_TRAINING = ("openai", "anthropic", "preferences")
_encode = msgspec.json.Encoder().encode
REDACTED = ("id", "kind", "task", "input", "output", "rejected", "reward", "language", "licence")
"""The columns that everybody may see."""
FULL = (
    *REDACTED, "item", "group", "at", "variant", "prompt", "policy", "calls", "feedback", "raters", "consent", "writer", "trains", "source",
    "tags", "scores", "suspect",
)  # fmt: skip
"""Those that whoever may see all sees. The person that a row is about is in neither."""


class Wanted(NamedTuple):
    """What is to be exported."""

    format: Format
    openness: Openness = "redacted"
    """How much of each row leaves; `statistics` is no row at all."""
    without_licence: bool = False
    """Whether rows without a licence leave, too."""
    without_consent: bool = False
    """Whether rows without consent do."""
    task: str | None = None
    """Rows of this task alone; of all where nothing is said."""
    for_training: bool = False
    """Whether answers stay whose writers do not let others be trained on them, as they do in the forms that are for nothing else."""
    pseudonyms: Mapping[str, str] = {}
    """What people who said something are called in it, by name; those who are not here keep theirs."""


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """What left, and where it went."""

    version: str
    """Hash of the version."""
    format: str
    openness: str
    folder: str
    """Where the files lie, absolute."""
    files: tuple[File, ...]
    rows: dict[str, int]
    """How many, by part."""
    left_out: dict[str, int]
    """How many stayed, by reason."""
    at: datetime
    """When, UTC."""


class _Row(NamedTuple):
    example: Example
    part: str
    language: str
    suspect: str | None


def export(version: Version, wanted: Wanted, out: Path, instructions: Mapping[str, str], now: datetime) -> Exported:
    """Writes a version into the folder `out`, which must be empty or new, and notes in the version that it did.

    `instructions`: what tasks ask, in words, which stand before questions that are no conversation. Raises CallerError where `out` holds
    something, or nothing may leave.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise CallerError(f"'{out}' is there and not empty. An export replaces nothing; name a new folder.")
    if wanted.openness == "statistics" and wanted.format != "huggingface":
        raise CallerError("statistics are no rows, and stand on a card alone: 'freehold dataset card', or --format huggingface.")
    left_out: Counter[str] = Counter()
    rows: Counter[str] = Counter()
    files: list[Path] = []
    if wanted.openness != "statistics":
        files = _write(_leaving(version, wanted, left_out), wanted, out, instructions, left_out, rows)
        if not rows:
            why = ", ".join(f"{reason}: {n:,}" for reason, n in left_out.most_common())
            raise CallerError(f"Nothing of {version.label} may leave in this form: {why}.{_to_say(left_out)}")
    described = [file_of(path) for path in files]
    if wanted.format == "huggingface":
        files += write_card(version.manifest, wanted.openness, out, _described(wanted, files, out, described), dict(rows), dict(left_out))
    exported = Exported(
        version=version.manifest.hash,
        format=wanted.format,
        openness=wanted.openness,
        folder=str(out.absolute()),
        files=tuple(msgspec.structs.replace(file_of(path), name=str(path.relative_to(out))) for path in files),
        rows=dict(rows),
        left_out=dict(sorted(left_out.items())),
        at=now,
    )
    with (version.folder / EXPORTS).open("ab") as notes:
        notes.write(_encode(exported) + b"\n")
    return exported


def exports_of(version: Version) -> list[Exported]:
    """Every export of a version, oldest first."""
    path = version.folder / EXPORTS
    return [msgspec.json.decode(line, type=Exported) for line in path.read_bytes().splitlines()] if path.is_file() else []


def columns(openness: Openness) -> tuple[str, ...]:
    """The columns of tables at a level of openness."""
    return FULL if openness == "full" else REDACTED


def _leaving(version: Version, wanted: Wanted, left_out: Counter[str]) -> Iterator[_Row]:
    """The rows that may leave; the others are counted."""
    for table in batches_of(version.folder / ROWS):
        beside = zip(*(table.column(name).to_pylist() for name in ("split", "language", "suspect")), strict=True)
        for example, (part, language, suspect) in zip(examples_in(table), beside, strict=True):
            if why := _why_not(example, wanted):
                left_out[why] += 1
            else:
                yield _Row(_named(example, wanted.pseudonyms), PART_NAMES[part], language, suspect)


def kept_back(version: Version, wanted: Wanted) -> Iterator[Example]:
    """The rows that do not leave."""
    for table in batches_of(version.folder / ROWS):
        yield from (example for example in examples_in(table) if wanted.openness == "statistics" or _why_not(example, wanted))


def _why_not(example: Example, wanted: Wanted) -> str:
    """Why a row stays; empty for one that leaves."""
    if wanted.task is not None and example.task != wanted.task:
        return "of another task"
    if example.licence is None and not wanted.without_licence:
        return "no licence"
    if example.consent is None and not wanted.without_consent:
        return "no consent"
    if example.trains != "yes" and (wanted.for_training or wanted.format in _TRAINING):
        return f"may not train others: {example.writer}"
    return ""


def _to_say(left_out: Mapping[str, int]) -> str:
    """What to write in freehold.toml so that rows without terms may leave; empty where no row lacks them."""
    keys = [key for key in ("licence", "consent") if f"no {key}" in left_out]
    if not keys:
        return ""
    lines = " and ".join(f'{key} = "..."' for key in keys)
    flags = " and ".join(f"--without-{key}" for key in keys)
    return f" Say {lines} under [data] or [tasks.NAME] in freehold.toml and build again, or let them leave by {flags}. A call's own tag goes first."


def _named(example: Example, pseudonyms: Mapping[str, str]) -> Example:
    if not pseudonyms or not example.raters:
        return example
    return msgspec.structs.replace(example, raters=tuple(_pseudonym(rater, pseudonyms) for rater in example.raters))


def _pseudonym(rater: str, pseudonyms: Mapping[str, str]) -> str:
    """A person under the name that is told; the hash of an author, where there is one, stands behind it."""
    if not rater.startswith(PERSON):
        return rater
    whole = rater.removeprefix(PERSON)
    name, _, author = whole.rpartition(" ")
    if whole in pseudonyms:
        return PERSON + pseudonyms[whole]
    return f"{PERSON}{pseudonyms[name]} {author}" if name in pseudonyms else rater


def _write(
    found: Iterator[_Row], wanted: Wanted, out: Path, instructions: Mapping[str, str], left_out: Counter[str], rows: Counter[str]
) -> list[Path]:
    """A file for each part, written as rows come: memory does not grow with them."""
    paths: dict[str, Path] = {}
    with ExitStack() as open_files:
        sinks: dict[str, _Sink] = {}
        for row in found:
            try:
                line = _LINES[wanted.format](row.example, instructions.get(row.example.task or "", "")) if wanted.format in _LINES else {}
            except CallerError as error:
                left_out[f"cannot be said in this form: {error}"] += 1
                continue
            if row.part not in sinks:
                paths[row.part] = out / _FILES.get(wanted.format, "{}.jsonl").format(row.part)
                file = open_files.enter_context(private_file(paths[row.part]))
                sinks[row.part] = _SINKS.get(wanted.format, _LineSink)(file, columns(wanted.openness))
                open_files.callback(sinks[row.part].close)
            sinks[row.part].add(row, line)
            rows[row.part] += 1
    return [paths[part] for part in PART_NAMES.values() if part in paths]


class _Sink(Protocol):
    """Where the rows of a part go."""

    def __init__(self, file: BinaryIO, names: Sequence[str]) -> None: ...

    def add(self, row: _Row, line: dict[str, JSON]) -> None: ...

    def close(self) -> None: ...


class _LineSink:
    """A JSON line for each row."""

    def __init__(self, file: BinaryIO, names: Sequence[str]) -> None:
        self._file = file

    def add(self, row: _Row, line: dict[str, JSON]) -> None:
        self._file.write(_encode(line) + b"\n")

    def close(self) -> None:
        pass


class _CsvSink:
    """A line of cells for each row (RFC 4180); texts as they are, everything else as JSON."""

    def __init__(self, file: BinaryIO, names: Sequence[str]) -> None:
        self._text = io.TextIOWrapper(file, encoding="utf-8", errors="replace", newline="")
        self._writer = csv.writer(self._text)
        self._names = names
        self._writer.writerow(names)

    def add(self, row: _Row, line: dict[str, JSON]) -> None:
        values = _cells(row)
        self._writer.writerow(["" if values[name] is None else _cell(values[name]) for name in self._names])

    def close(self) -> None:
        self._text.flush()
        self._text.detach()


class _ParquetSink:
    """Columns, as Hugging Face's `datasets` reads them; JSON as text."""

    def __init__(self, file: BinaryIO, names: Sequence[str]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._names = names
        self._schema = pa.schema([(name, pa.float64() if name == "reward" else pa.string()) for name in names])
        self._writer: Any = pq.ParquetWriter(file, self._schema, compression="zstd")
        self._waiting: list[dict[str, Any]] = []

    def add(self, row: _Row, line: dict[str, JSON]) -> None:
        values = _cells(row)
        self._waiting.append({name: _or_text(name, values[name]) for name in self._names})
        if len(self._waiting) >= _AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        self._writer.write_table(pa.Table.from_pylist(self._waiting, schema=self._schema))
        self._waiting = []

    def close(self) -> None:
        if self._waiting:
            self._flush()
        self._writer.close()


_FILES = {"huggingface": "data/{}.parquet", "csv": "{}.csv"}
_SINKS: dict[str, type[_Sink]] = {"huggingface": _ParquetSink, "csv": _CsvSink}


def _cells(row: _Row) -> dict[str, Any]:
    example = row.example
    values: dict[str, Any] = {name: getattr(example, name) for name in example.__struct_fields__ if name not in ("subject", "at_us")}
    return {**values, "at": example.at_us, "language": row.language, "suspect": row.suspect}


def _cell(value: JSON) -> str:
    return value if isinstance(value, str) else _encode(value).decode()


def _or_text(name: str, value: Any) -> Any:
    return value if name == "reward" or value is None else _cell(value)


def _described(wanted: Wanted, files: list[Path], out: Path, described: list[File]) -> list[tuple[str, File, tuple[str, ...]]]:
    """The files of rows, as a card tells of them: where each lies and which columns it has."""
    return [(str(path.relative_to(out)), file, columns(wanted.openness)) for path, file in zip(files, described, strict=True)]
