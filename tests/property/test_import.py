"""Whatever bytes come, import ends in records and reasons; twice is once; the order of lines does not matter."""

import csv
import gzip
import io
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from freehold.catalog import Catalog
from freehold.errors import FreeholdError
from freehold.journal.call import Call, Feedback
from freehold.journal.formats.columns import record_of
from freehold.journal.formats.detect import READERS, Format, reader_of
from freehold.journal.formats.openai import logged
from freehold.journal.formats.record import COLUMNS, Record
from freehold.journal.formats.source import Source
from freehold.journal.ingest import IngestOptions, IngestReport, ingest
from freehold.journal.shape import shape_of
from freehold.journal.write import Appended
from freehold.pricing.book import PriceBook

in_a_file = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
NOW = datetime(2026, 1, 1, tzinfo=UTC)
PRICES = PriceBook({}, NOW)

words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
names = words.filter(bool)
scalars = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False) | words
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3), max_leaves=8)
messages = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["system", "user", "assistant"]), "content": words}), min_size=1, max_size=3
)

records = st.fixed_dictionaries(
    {"item": names, "variant": names, "input": words | st.dictionaries(words, values, max_size=3) | messages},
    optional={
        "task": names,
        "output": values,
        "cost_usd": st.floats(0, 10),
        "latency_ms": st.integers(0, 10_000),
        "scores": st.dictionaries(names, st.floats(0, 1) | st.none(), max_size=2),
        "tags": st.dictionaries(names, scalars, max_size=2),
        "at": st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1)).map(lambda t: t.isoformat() + "Z"),
    },
)

_OPENAI_KEYS = (
    *(
        "request",
        "response",
        "body",
        "error",
        "status_code",
        "custom_id",
        "messages",
        "choices",
        "message",
        "content",
        "tool_calls",
        "function",
    ),
    *(
        "function_call",
        "name",
        "arguments",
        "usage",
        "prompt_tokens",
        "completion_tokens",
        "total_tokens",
        "prompt_tokens_details",
        "refusal",
    ),
    *(
        "cached_tokens",
        "completion_tokens_details",
        "reasoning_tokens",
        "audio_tokens",
        "model",
        "id",
        "created",
        "input",
        "output",
        "prompt",
    ),
    *(
        "role",
        "finish_reason",
        "metadata",
        "user",
        "service_tier",
        "timestamp",
        "latency_ms",
        "tags",
        "scores",
        "tools",
        "text",
        "audio",
        "at",
    ),
)
bodies = st.recursive(
    scalars | messages | st.just('{"model": "m", "messages": [{"role": "user", "content": "x"}]}'),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(_OPENAI_KEYS), inner, max_size=8),
    max_leaves=12,
)


_OPENAI_ENTRY = {
    "request": {
        "model": "m",
        "messages": [{"role": "user", "content": "x"}],
        "tools": [{"function": {"name": "f"}}],
        "metadata": {"a": "b"},
    },
    "response": {
        "status_code": 200,
        "body": {
            "id": "1",
            "model": "m",
            "created": 1,
            "service_tier": "default",
            "choices": [
                {
                    "message": {
                        "content": "y",
                        "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}],
                        "audio": {"transcript": "z"},
                    },
                    "finish_reason": "stop",
                }
            ],
            "usage": {
                "prompt_tokens": 9,
                "completion_tokens": 9,
                "total_tokens": 18,
                "prompt_tokens_details": {"cached_tokens": 1, "audio_tokens": 1},
                "completion_tokens_details": {"reasoning_tokens": 1},
            },
        },
    },
    "timestamp": "2026-01-01T00:00:00Z",
    "latency_ms": 5,
    "tags": {"a": "b"},
}


def places(value: Any) -> Iterator[tuple[Any, ...]]:
    """The ways to each entry of nested objects and lists."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in entries:
        yield (step,)
        yield from ((step, *way) for way in places(inner))


class Journal:
    """What was stored, with conflicts kept out."""

    def __init__(self) -> None:
        self.calls: dict[str, Call] = {}
        self.feedback: dict[str, Feedback] = {}

    def __call__(self, calls: Sequence[Call], feedback: Sequence[Feedback]) -> Appended:
        before = len(self.calls)
        for call in calls:
            assert self.calls.setdefault(call.id, call) == call
        for said in feedback:
            assert self.feedback.setdefault(said.id, said) == said
        return Appended(added=len(self.calls) - before, present=len(calls) - len(self.calls) + before)

    def take(self, path: Path, content: bytes, **options: Any) -> IngestReport:
        path.write_bytes(content)
        return ingest([str(path)], self, IngestOptions(format="freehold", **options), Catalog(), PRICES, now=NOW)


def as_lines(rows: Sequence[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def distinct(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return list({(row.get("task"), row["item"], row["variant"]): row for row in rows}.values())


def check_lines(path: Path, format: Format) -> None:
    last = 0
    for line in reader_of(Source(path.name, path), format)(Source(path.name, path)):
        assert (line.record is None) == bool(line.problem)
        assert line.number >= last
        last = line.number


@in_a_file
@given(content=st.binary(max_size=300) | st.text('{}[]",:;ab\n\r\t\0 1é').map(str.encode), packed=st.booleans())
def test_any_bytes_end_in_lines_or_an_error_of_ours(tmp_path: Path, content: bytes, packed: bool) -> None:
    """In each format, asked for or detected."""
    path = tmp_path / "any"
    path.write_bytes(gzip.compress(content)[: len(content) + 20] if packed else content)
    for format in READERS:
        check_lines(path, format)  # type: ignore[arg-type]
    try:
        check_lines(path, "auto")
    except FreeholdError as error:
        assert str(error)


@in_a_file
@given(rows=st.lists(records, min_size=1, max_size=4), at=st.integers(0), bytes_=st.binary(min_size=1, max_size=3))
def test_a_damaged_file_is_read_around_the_damage(tmp_path: Path, rows: list[dict[str, Any]], at: int, bytes_: bytes) -> None:
    """Bytes put anywhere spoil the lines they fall on, and no other."""
    whole = as_lines(rows)
    at %= len(whole)
    path = tmp_path / "damaged.jsonl"
    path.write_bytes(whole[:at] + bytes_ + whole[at:])
    check_lines(path, "freehold")
    good = sum(line.record is not None for line in READERS["freehold"](Source("x", path)))
    assert good >= len(rows) - 1


@settings(max_examples=200, deadline=None)
@given(data=st.data(), anything=bodies)
def test_any_json_anywhere_in_an_openai_log_is_a_record_or_a_reason(data: st.DataObject, anything: Any) -> None:
    """Bodies are what servers sent, and servers send anything."""
    entry = json.loads(json.dumps(_OPENAI_ENTRY))
    *way, last = data.draw(st.sampled_from(list(places(entry))))
    inner = entry
    for step in way:
        inner = inner[step]
    inner[last] = anything
    try:
        assert isinstance(logged(entry), Record)
    except FreeholdError as error:
        assert str(error)


@settings(max_examples=200, deadline=None)
@given(asked=values | bodies)
def test_any_value_has_a_shape(asked: Any) -> None:
    """Ten hex digits, the same each time."""
    assert shape_of(asked) == shape_of(asked)
    assert len(bytes.fromhex(shape_of(asked))) == 5


@in_a_file
@given(rows=st.lists(records, max_size=8).map(distinct))
def test_importing_twice_is_importing_once(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    """The second time everything is there."""
    journal = Journal()
    first = journal.take(tmp_path / "x.jsonl", as_lines(rows))
    calls, feedback = dict(journal.calls), dict(journal.feedback)
    again = journal.take(tmp_path / "x.jsonl", as_lines(rows))
    assert (first.added, first.problem_count) == (len(rows), 0)
    assert (again.added, again.present, again.conflicts) == (0, len(rows), 0)
    assert (journal.calls, journal.feedback) == (calls, feedback)


@in_a_file
@given(rows=st.lists(records, min_size=1, max_size=8).map(distinct), data=st.data())
def test_neither_order_nor_files_matter_for_what_is_stored(tmp_path: Path, rows: list[dict[str, Any]], data: st.DataObject) -> None:
    """Lines in any order, in one file or in two, leave the same journal."""
    shuffled = data.draw(st.permutations(rows))
    cut = data.draw(st.integers(0, len(rows)))
    whole, parts = Journal(), Journal()
    whole.take(tmp_path / "x.jsonl", as_lines(rows))
    parts.take(tmp_path / "y.jsonl", as_lines(shuffled[:cut]))
    parts.take(tmp_path / "z.jsonl", as_lines(shuffled[cut:]))
    assert (whole.calls, whole.feedback) == (parts.calls, parts.feedback)


@in_a_file
@given(rows=st.lists(records, min_size=1, max_size=5).map(distinct), broken=st.booleans())
def test_strict_takes_all_or_nothing(tmp_path: Path, rows: list[dict[str, Any]], broken: bool) -> None:
    """One bad line decides."""
    journal = Journal()
    report = journal.take(tmp_path / "x.jsonl", as_lines(rows) + (b"{" if broken else b""), strict=True)
    assert report.added == len(journal.calls) == (0 if broken else len(rows))


@in_a_file
@given(rows=st.lists(records, min_size=1, max_size=5).map(distinct))
def test_an_audit_weighs_the_drawn_items_to_the_whole(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    """Over the labels of one task and metric, the inverse probabilities of its items sum to the number of items."""
    journal = Journal()
    journal.take(tmp_path / "x.jsonl", as_lines(rows), design="audit")
    weights: dict[tuple[str | None, str], dict[str, float]] = {}
    for said in journal.feedback.values():
        call = journal.calls[said.call or ""]
        weights.setdefault((call.task, said.metric), {})[call.item] = 1 / (said.inclusion or 0)
    for (task, _), by_item in weights.items():
        assert sum(by_item.values()) == pytest.approx(len({row["item"] for row in rows if row.get("task") == task}))


@in_a_file
@given(rows=st.lists(st.fixed_dictionaries({"item": names, "variant": names, "input": names, "group": words}), min_size=1, max_size=4))
def test_any_text_survives_a_csv(tmp_path: Path, rows: list[dict[str, str]]) -> None:
    """Quotes, commas and line ends included."""
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, ["item", "variant", "input", "group"], quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    (tmp_path / "x.csv").write_bytes(out.getvalue().encode())
    found = [line.record for line in READERS["csv"](Source("x.csv", tmp_path / "x.csv"))]
    for row, record in zip(rows, found, strict=True):
        assert record is not None
        assert (record.item, record.variant, record.group or "") == (row["item"], row["variant"], row["group"])
        assert record.input == row["input"] or row["input"][0] in "{["


@settings(max_examples=200, deadline=None)
@given(cells=st.dictionaries(st.sampled_from(COLUMNS), scalars | st.binary(max_size=4) | values, max_size=6))
def test_any_cells_are_a_record_or_a_reason(cells: dict[str, Any]) -> None:
    """A table's types are its writer's choice."""
    from freehold.journal.formats.columns import columns_of

    header = list({"item": 0, "input": 0, "variant": 0, **cells})
    try:
        assert isinstance(record_of(header, columns_of(header), [cells.get(name, "x") for name in header]), Record)
    except FreeholdError as error:
        assert str(error)
