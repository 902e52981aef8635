"""Native records: what a line gives, and what is said about one that gives nothing."""

import gzip
import json
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from freehold.chat import Usage
from freehold.journal.formats import native
from freehold.journal.formats.lines import MAX_LINE_BYTES
from freehold.journal.formats.record import Line, Record
from freehold.journal.formats.source import Source

Lines = Callable[..., list[Line]]
Problem = Callable[..., str]


def line(**columns: Any) -> bytes:
    return json.dumps({"item": "1", "input": "My card was swallowed", "variant": "cheap"} | columns).encode()


def test_a_record_has_all_columns_typed(record_of: Callable[..., Record]) -> None:
    """Each column of the native record arrives as what it is."""
    record = record_of(
        line(
            task="triage",
            output={"queue": "cards"},
            usage={"input_tokens": 31, "cached_read": 8, "output_tokens": 4},
            cost_usd=0.0001,
            latency_ms=812.5,
            scores={"correct": 1, "tone": None},
            reference_output={"queue": "cards"},
            group="customer 7",
            tags={"tier": "gold", "turn": 2, "vip": True},
            propensity=0.5,
            policy="a1b2",
            at="2026-01-31T10:00:00+01:00",
        )
    )
    assert record.usage == Usage(input_tokens=31, cached_read=8, output_tokens=4)
    assert record.scores == {"correct": 1.0, "tone": None}
    assert record.tags == {"tier": "gold", "turn": 2, "vip": True}
    assert record.at == datetime(2026, 1, 31, 9, tzinfo=UTC)
    assert (record.cost_usd, record.latency_ms, record.propensity, record.policy) == (0.0001, 812.5, 0.5, "a1b2")


def test_item_input_and_variant_are_enough(record_of: Callable[..., Record]) -> None:
    """Everything else is unknown until somebody says it."""
    record = record_of(line())
    assert (record.task, record.usage, record.cost_usd, record.scores, record.at) == (None, None, None, None, None)


@pytest.mark.parametrize(
    "asked",
    [
        "text",
        {"message": "text", "locale": None},
        [{"role": "system", "content": "Sort."}, {"role": "user", "content": [{"type": "text", "text": "x"}]}],
    ],
)
def test_an_input_is_text_an_object_or_messages(record_of: Callable[..., Record], asked: object) -> None:
    """All three forms are kept as they came."""
    assert record_of(line(input=asked)).input == asked


def test_gzip_is_known_by_its_content_not_its_name(lines_of: Lines) -> None:
    """A packed file without `.gz` and an unpacked one with it are both read."""
    assert [x.record is not None for x in lines_of(gzip.compress(line()), "packed.jsonl")] == [True]
    (tmp,) = lines_of(line(), "log.jsonl")
    assert tmp.record is not None


def test_a_plain_file_named_gz_is_read_as_it_is(tmp_path: Path) -> None:
    """Browsers unpack downloads and keep the name."""
    (tmp_path / "log.jsonl.gz").write_bytes(line())
    assert [x.record is not None for x in native.read(Source("log.jsonl.gz", tmp_path / "log.jsonl.gz"))] == [True]


def test_windows_line_ends_a_byte_order_mark_and_empty_lines_at_the_end_are_fine(lines_of: Lines) -> None:
    """None of them is content."""
    found = lines_of(b"\xef\xbb\xbf" + line(item="1") + b"\r\n" + line(item="2") + b"\r\n\r\n\n")
    assert [(x.number, x.problem) for x in found] == [(1, ""), (2, "")]


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b'{"item": "1", "input": "x", "variant": "v"', "not JSON"),
        (b"{'item': '1'}", "column 2"),
        (b'{"item": "1", "input": "x", "variant": "v"} {}', "Extra data"),
        (line(cost_usd=float("nan")), "NaN, which JSON does not have"),
        (line(scores={"correct": float("inf")}), "Infinity, which JSON does not have"),
        (b'{"item": "1", "input": "x", "variant": "v", "cost_usd": 1e999}', "cost_usd is a number too large"),
        (line(cost_usd=-0.1), "cost_usd is -0.1; expected a number from 0 up"),
        (line(latency_ms=-1), "latency_ms is -1.0"),
        (line(propensity=0), "propensity is 0.0; expected a probability above 0"),
        (line(propensity=1.2), "propensity is 1.2"),
        (line(item=7), "item is a whole number; expected text"),
        (line(item=""), "item is empty; expected a name"),
        (line(variant="v" * 513), "variant is longer than 512 characters"),
        (line(item="a\0b"), "holds a NUL character"),
        (line(input=3), "input is a whole number; expected text or an object or a list"),
        (line(input=None), "input is null"),
        (line(input=["a", "b"]), "input is a list, but not of chat messages"),
        (line(scores={"correct": True}), "scores (an entry) is true or false; expected a number"),
        (line(scores={"correct": "1"}), "scores (an entry) is text"),
        (line(scores=[1]), "scores is a list; expected an object or null"),
        (line(tags={"tier": ["gold"]}), "tags (an entry) is a list"),
        (line(at="yesterday"), "at is not a time with its zone"),
        (line(at="2026-01-31T09:00:00"), "at is not a time with its zone"),
        (line(at=1769850000), "at is a whole number; expected a time as in RFC 3339"),
        (line(usage={"input_tokens": 5, "cached_read": 9}), "usage does not add up"),
        (line(usage={"input_tokens": -1}), "usage has a negative count"),
        (line(usage={"input_tokens": 1.5}), "usage.input_tokens is a number; expected a whole number"),
        (line(usage={"prompt_tokens": 5}), "a provider's own field; expected input_tokens"),
        (line(usage={"input_token": 5}), "usage has no 'input_token'. Did you mean 'input_tokens'?"),
        (line(usage={"input_tokens": 1, "input_by_modality": {"smell": 1}}), "has 'smell'; expected one of text, image"),
        (line(ouput="x"), "no column 'ouput' in a record. Did you mean 'output'?"),
        (b'{"item": "1", "input": "x"}', "the record has no 'variant'; every record needs item, input and variant"),
        (b"[1]", "the record is a list; expected an object"),
        (b"null", "the record is null; expected an object"),
        (b'{"item": "1", "input": "\xff", "variant": "v"}', "byte 25 of the line (0xff) is not UTF-8"),
        (b'{"item": "1", "input": "\\ud83d", "variant": "v"}', "half of a character"),
        (b'{"item": "1", "input": "a\x00b", "variant": "v"}', "not JSON"),
        (line(output={"a": [1]}, scores={"a\0": 1}), "a metric's name holds a NUL"),
        (b'{"item": "1", "variant": "v", "input": "x", "output": ' + b"[" * 300 + b"]" * 300 + b"}", "nested too deeply to be kept"),
        (b'{"item": "1", "variant": "v", "input": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
    ],
)
def test_a_bad_line_says_what_stood_there_and_what_was_expected(problem_of: Problem, raw: bytes, said: str) -> None:
    """One reason for each way a line can be wrong."""
    assert said in problem_of(raw, format="freehold")


def test_a_bad_line_keeps_nothing_else_out(lines_of: Lines) -> None:
    """The lines around it arrive, and its number is the file's."""
    found = lines_of(b"\n".join([line(item="1"), b"{broken", line(item="3")]))
    assert [(x.number, x.record is not None) for x in found] == [(1, True), (2, False), (3, True)]


def test_empty_lines_between_records_are_one_problem_for_each_run(lines_of: Lines) -> None:
    """They hint at a log that was cut there; a million of them are said once."""
    found = lines_of(b"\n".join([line(), b"", b"  ", line(), b"", line()]))
    assert [(x.number, x.problem[:40]) for x in found if x.problem] == [
        (2, "the line to line 3 are empty; expected on"[:40]),
        (5, "the line is empty; expected one record o"[:40]),
    ]


def test_a_line_over_16_mib_is_passed_over_with_its_size(lines_of: Lines) -> None:
    """Its neighbours arrive; the limit itself still fits."""
    fits = line(input="x" * (MAX_LINE_BYTES - len(line(input=""))))
    found = lines_of(b"\n".join([line(), fits, fits + b" ", line(), b"y" * (MAX_LINE_BYTES + 300_000)]), format="freehold")
    assert [(x.number, x.record is not None) for x in found] == [(1, True), (2, True), (3, False), (4, True), (5, False)]
    assert "16.0 MiB long and was passed over" in found[2].problem
    assert "16.3 MiB long" in found[4].problem


def test_a_line_of_200_mb_does_not_grow_memory(tmp_path: Path) -> None:
    """It is counted to its end without being held: memory stays within a few of the allowed lines."""
    path = tmp_path / "long.jsonl.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(line() + b"\n")
        for _ in range(200):
            file.write(b"x" * 1_000_000)
        file.write(b"\n" + line())
    tracemalloc.start()
    found = list(native.read(Source("long", path)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [(x.number, x.record is not None) for x in found] == [(1, True), (2, False), (3, True)]
    assert "the line is 190.7 MiB long" in found[1].problem
    assert peak < 3 * MAX_LINE_BYTES


def test_a_gzip_that_breaks_off_gives_the_lines_before(lines_of: Lines) -> None:
    """What was unpacked stands, and the place of the break is named."""
    packed = gzip.compress(b"\n".join(line(item=str(i), output=str(hash(str(i)))) for i in range(5_000)))
    found = lines_of(packed[: len(packed) // 2], "cut.jsonl.gz")
    assert len(found) > 1_000
    assert all(x.record is not None for x in found[:-1])
    assert found[-1].problem.startswith(f"the gzip stream breaks off in the middle after {len(found) - 1} whole lines")


def test_a_gzip_that_breaks_off_in_a_line_too_long_says_both(lines_of: Lines) -> None:
    """The line's size as far as it was seen, and the break."""
    packed = gzip.compress(line() + b"\n" + b"x" * (MAX_LINE_BYTES + 2_000_000), 1)
    found = lines_of(packed[:-1_000], "cut.jsonl.gz")
    assert [(x.number, x.record is not None) for x in found] == [(1, True), (2, False), (3, False)]
    assert "was passed over" in found[1].problem
    assert "breaks off in the middle after 2 whole lines" in found[2].problem


def test_a_gzip_that_is_damaged_says_so(lines_of: Lines) -> None:
    """A flipped byte is caught by the format's own checks."""
    packed = bytearray(gzip.compress(b"\n".join(line(item=str(i)) for i in range(2_000))))
    packed[-6] ^= 0xFF
    found = lines_of(bytes(packed), "bad.jsonl.gz")
    assert "the gzip stream is damaged" in found[-1].problem
    assert len(found) > 1_000


def test_an_empty_file_has_no_lines(lines_of: Lines) -> None:
    """Nothing is nothing, and no error."""
    assert lines_of(b"", "empty.jsonl") == []
