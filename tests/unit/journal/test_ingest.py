"""Import from end to end: what a record becomes, what is counted, what is refused, and that twice is once."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from memory_journal import Memory

from freehold.catalog import Catalog, Metric, Model, Rates, Variant
from freehold.chat import Usage
from freehold.errors import CallerError, DataError, OperatorError
from freehold.journal.call import Call
from freehold.journal.ingest import IngestOptions, IngestReport, Progress, ingest
from freehold.journal.rows import digest_of
from freehold.pricing.book import PriceBook
from freehold.store.open import Store

Import = Callable[..., IngestReport]
NOW = datetime(2026, 3, 1, tzinfo=UTC)
CATALOG = Catalog(
    metrics={"correct": Metric(id="correct", kind="binary"), "errors": Metric(id="errors", better="lower", range=(0, 10))},
    models={"frontier": Model(id="frontier", name="big-1")},
    variants={"frontier": Variant(id="frontier", model="frontier"), "head": Variant(id="head", kind="head")},
)
PRICES = PriceBook(
    {"big-1": Rates(input_per_mtok=1.0, output_per_mtok=10.0), "small-1": Rates(input_per_mtok=0.1, output_per_mtok=1.0)}, NOW
)


def record(item: str = "1", variant: str = "small-1", **columns: Any) -> dict[str, Any]:
    return {"item": item, "input": "My card was swallowed", "variant": variant} | columns


def lines(*records: dict[str, Any] | bytes) -> bytes:
    return b"".join((r if isinstance(r, bytes) else json.dumps(r).encode()) + b"\n" for r in records)


@pytest.fixture
def bring_in(memory: Memory, tmp_path: Path) -> Import:
    """Imports the given files' contents into the memory journal."""

    def run(*contents: bytes, progress: Callable[[Progress], None] | None = None, now: datetime = NOW, **options: Any) -> IngestReport:
        paths = [tmp_path / f"log{i}.jsonl" for i in range(len(contents))]
        for path, content in zip(paths, contents, strict=True):
            path.write_bytes(content)
        return ingest([str(path) for path in paths], memory, IngestOptions(**options), CATALOG, PRICES, progress, now=now)

    return run


def only_call(memory: Memory) -> Call:
    (call,) = memory.calls.values()
    return call


def test_a_record_becomes_a_call_with_all_it_says(bring_in: Import, memory: Memory) -> None:
    """Milliseconds become seconds, times UTC, tags text, answers get the digest that equal answers share."""
    full = record(
        task="triage",
        output={"queue": "cards"},
        reference_output={"queue": "cards"},
        usage={"input_tokens": 31, "output_tokens": 4},
        cost_usd=0.25,
        latency_ms=812.5,
        group="c7",
        tags={"tier": "gold", "turn": 2, "vip": True, "none": None},
        propensity=0.5,
        policy="a1b2",
        at="2026-01-31T10:00:00+01:00",
    )
    report = bring_in(lines(full))
    call = only_call(memory)
    assert (call.task, call.item, call.variant, call.group, call.policy, call.propensity) == ("triage", "1", "small-1", "c7", "a1b2", 0.5)
    assert (call.input, call.output, call.usage) == ("My card was swallowed", {"queue": "cards"}, Usage(input_tokens=31, output_tokens=4))
    assert call.output_digest == call.reference_digest == digest_of({"queue": "cards"})
    assert (call.latency_s, call.at, call.source, call.outcome) == (0.8125, datetime(2026, 1, 31, 9, tzinfo=UTC), "import", "answered")
    assert call.tags == {"tier": "gold", "turn": "2", "vip": "true"}
    assert (report.lines, report.added, report.counts) == (1, 1, {"triage": {"small-1": 1}})


def test_importing_twice_adds_nothing(bring_in: Import, memory: Memory) -> None:
    """Not even the scores, though they are dated by the import where the record has no time."""
    content = lines(*(record(str(i), scores={"correct": 1}) for i in range(10)))
    assert bring_in(content).added == 10
    before = dict(memory.calls), dict(memory.feedback)
    again = bring_in(content, now=NOW + timedelta(days=1))
    assert (again.added, again.present, again.conflicts) == (0, 10, 0)
    assert (memory.calls, memory.feedback) == before


def test_calls_of_other_tasks_tenants_items_and_variants_are_other_calls(bring_in: Import, memory: Memory) -> None:
    """Their ids differ, and nothing else makes them differ."""
    bring_in(lines(record(), record("2"), record(variant="big-1"), record(task="triage")))
    bring_in(lines(record()), task="triage")
    bring_in(lines(record()), task="other")
    bring_in(lines(record()), tenant="other")
    assert len(memory.calls) == 6


def test_the_task_of_the_import_wins_over_the_records(bring_in: Import, memory: Memory) -> None:
    """Whoever imports knows what the file is."""
    bring_in(lines(record(task="theirs")), task="mine")
    assert only_call(memory).task == "mine"


def test_a_bad_line_is_reported_and_the_rest_goes_in(bring_in: Import) -> None:
    """With its file, number and reason."""
    report = bring_in(lines(record("1"), b"{broken", record("3")), lines(record("4"), record("5", scores={"correct": 2})))
    assert (report.lines, report.added, report.problem_count) == (5, 3, 2)
    first, second = report.problems
    assert (Path(first.file).name, first.line) == ("log0.jsonl", 2)
    assert (Path(second.file).name, second.line) == ("log1.jsonl", 2)
    assert "not JSON" in first.reason


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        ({"correct": 0.5}, "score 0.5 of metric 'correct' is neither 0 nor 1"),
        ({"tone": 1.5}, "score 1.5 of metric 'tone' is outside [0, 1]"),
        ({"tone": -0.1}, "outside [0, 1]"),
        ({"errors": 11}, "outside [0, 10]"),
    ],
)
def test_a_score_outside_its_metric_is_a_problem(bring_in: Import, memory: Memory, scores: dict[str, float], said: str) -> None:
    """The whole line stays out: half of it would pass for the truth."""
    report = bring_in(lines(record(scores=scores)))
    assert said in report.problems[0].reason
    assert (report.added, memory.calls, memory.feedback) == (0, {}, {})


def test_scores_are_kept_as_given_and_null_is_no_score(bring_in: Import, memory: Memory) -> None:
    """In the metric's own range, with their source and time."""
    report = bring_in(lines(record(scores={"errors": 3, "tone": None}, at="2026-01-01T00:00:00Z"), record("2", scores={"correct": 1})))
    said = {f.metric: f for f in memory.feedback.values()}
    assert {m: f.value for m, f in said.items()} == {"errors": 3.0, "correct": 1.0}
    assert (said["errors"].at, said["correct"].at) == (datetime(2026, 1, 1, tzinfo=UTC), NOW)
    assert {(f.source, f.kind, f.design, f.inclusion) for f in said.values()} == {("import", "score", "found", None)}
    assert report.scores == 2


def test_a_recorded_cost_wins_and_an_unknown_one_stays_unknown(bring_in: Import, memory: Memory) -> None:
    """The price is that of the model behind the variant, by its exact name; a head has none."""
    usage = {"input_tokens": 1_000_000, "output_tokens": 100_000}
    report = bring_in(
        lines(
            record("recorded", usage=usage, cost_usd=0),
            record("priced", usage=usage),
            record("by model", "frontier", usage=usage),
            record("unpriced", "small-2", usage=usage),
            record("no usage"),
            record("head", "head", usage=usage),
        )
    )
    costs = {call.item: (call.cost_usd, call.price_id) for call in memory.calls.values()}
    assert costs == {
        "recorded": (0.0, "recorded"),
        "priced": (pytest.approx(0.2), PRICES.id),
        "by model": (pytest.approx(2.0), PRICES.id),
        "unpriced": (None, None),
        "no usage": (None, None),
        "head": (None, None),
    }
    assert (report.unpriced, report.unknown_costs) == ({"small-2": 1}, 3)


def test_what_was_billed_as_a_batch_is_not_priced_from_the_list(bring_in: Import, memory: Memory) -> None:
    """It would be twice its cost."""
    request = {"model": "small-1", "messages": [{"role": "user", "content": "x"}]}
    response = {"model": "small-1", "choices": [{"message": {"content": "y"}}], "usage": {"prompt_tokens": 5, "completion_tokens": 1}}
    report = bring_in(lines({"custom_id": "7", "body": request, "response": {"status_code": 200, "body": response}}))
    assert only_call(memory).cost_usd is None
    assert report.unpriced == {"small-1 (batch)": 1}


def test_the_same_call_twice_in_a_file_is_one(bring_in: Import) -> None:
    """Logs are shipped at least once."""
    report = bring_in(lines(record(), record("2"), record()))
    assert (report.added, report.present, report.conflicts) == (2, 1, 0)


def test_one_item_twice_with_different_content_names_both_lines(bring_in: Import, memory: Memory) -> None:
    """The first stays, and what was said about the other answer stays out with it."""
    report = bring_in(lines(record(output="cards"), record("2"), record(output="fraud", scores={"correct": 1})))
    assert (report.added, report.conflicts, report.problem_count) == (2, 1, 0)
    (conflict,) = report.conflicting
    assert conflict.line == 3
    assert conflict.reason == "item '1' by 'small-1' differs from line 1, which stays: output"
    assert {call.output for call in memory.calls.values()} == {"cards", None}
    assert memory.feedback == {}


def test_a_conflict_names_both_lines_however_far_apart_they_are(bring_in: Import) -> None:
    """The first line has left memory long before the second is met; the file is read again for it."""
    far = [record(str(i), output="a") for i in range(4_100)]
    report = bring_in(lines(*far, record("7", output="b"), record("8", output="a", scores={"correct": 1})))
    assert (report.added, report.present, report.conflicts) == (4_100, 1, 1)
    assert [(c.line, c.reason) for c in report.conflicting] == [(4_101, "item '7' by 'small-1' differs from line 8, which stays: output")]


def test_a_conflict_with_an_earlier_import_says_so(bring_in: Import) -> None:
    """There is no line of this file to name."""
    bring_in(lines(record(output="a", scores={"correct": 1})))
    report = bring_in(lines(record("0"), record(output="b")))
    assert report.conflicting[0].line == 2
    assert report.conflicting[0].reason == "item '1' by 'small-1' differs from what the journal has of it already, which stays: output"
    report = bring_in(lines(record(output="a", scores={"correct": 0})))
    assert "score 'correct' is 1 (found) there and 0 (found) here" in report.conflicting[0].reason


def test_a_score_told_later_is_added_to_the_call(bring_in: Import, memory: Memory) -> None:
    """Logs come first, labels after."""
    bring_in(lines(record()))
    report = bring_in(lines(record(scores={"correct": 1})))
    assert (report.added, report.present, report.conflicts) == (0, 1, 0)
    assert [f.value for f in memory.feedback.values()] == [1.0]


def test_strict_refuses_a_file_with_a_problem_whole(bring_in: Import, memory: Memory) -> None:
    """And only that file."""
    report = bring_in(lines(record("1"), b"{broken", record("3")), lines(record("4")), strict=True)
    assert ([Path(f).name for f in report.refused], report.added) == (["log0.jsonl"], 1)
    assert (report.lines, report.problem_count, report.problems[0].line) == (4, 1, 2)
    assert [call.item for call in memory.calls.values()] == ["4"]


@pytest.mark.parametrize("second", [record(output="b"), record(output="a", scores={"correct": 0})])
def test_strict_refuses_a_file_that_contradicts_itself(bring_in: Import, memory: Memory, second: dict[str, Any]) -> None:
    """In a call or in a score; the same twice is no contradiction."""
    first = record(output="a", scores={"correct": 1})
    report = bring_in(lines(first, record("2"), first, second), strict=True)
    assert (report.added, report.problem_count, memory.calls) == (0, 1, {})
    assert (report.problems[0].line, report.problems[0].reason[:24]) == (4, "differs from line 1, whi")
    assert bring_in(lines(first, record("2"), first), strict=True).added == 2


@pytest.fixture
def while_it_changes(memory: Memory, tmp_path: Path) -> Callable[[Callable[[Path], None]], IngestReport]:
    """Imports a file strictly, and changes it when its first batch is written."""

    def run(change: Callable[[Path], None]) -> IngestReport:
        path = tmp_path / "growing.jsonl"
        path.write_bytes(lines(*(record(f"{i:04}", output="x" * 200) for i in range(8_000))))

        def sink(calls: Any, feedback: Any) -> Any:
            if not memory.calls:
                change(path)
            return memory(calls, feedback)

        return ingest([str(path)], sink, IngestOptions(strict=True), CATALOG, PRICES)

    return run


def test_strict_takes_no_line_that_came_after_the_look(while_it_changes: Callable[..., IngestReport]) -> None:
    """A log that is still written to was found good up to a line, and goes in up to it."""

    def append(path: Path) -> None:
        with path.open("ab") as file:
            file.write(lines(record("new"), b"{broken"))

    report = while_it_changes(append)
    assert (report.added, report.problem_count) == (8_000, 0)


def test_strict_stops_where_a_good_line_has_turned_bad(while_it_changes: Callable[..., IngestReport]) -> None:
    """What was found good is not there any more, and nobody knows what is."""

    def break_the_end(path: Path) -> None:
        with path.open("r+b") as file:  # in its place: the reader is somewhere in the middle
            file.seek(-10, os.SEEK_END)
            file.write(b"}" * 10)

    with pytest.raises(DataError, match="changed while it was imported: line 8000 was good and is not"):
        while_it_changes(break_the_end)


def test_a_census_in_which_some_items_were_not_judged_was_found(bring_in: Import, memory: Memory) -> None:
    """What was left out may be what is hard to judge: such scores certify nothing, and the report says so."""
    whole, part = record("1", scores={"tone": 1, "correct": 1}), record("2", scores={"tone": 0})
    report = bring_in(lines(whole, part), design="census")
    assert {(f.metric, f.design, f.inclusion) for f in memory.feedback.values()} == {("tone", "census", 1.0), ("correct", "found", None)}
    assert len(report.notes) == 1
    assert "1 of 2 items have a score 'correct'; a census is one only where every item was judged" in report.notes[0]


def test_each_file_of_a_census_is_counted_by_itself(memory: Memory, tmp_path: Path) -> None:
    """Right answers that are missing in two files are missing in both."""
    for name in ("one", "two"):
        (tmp_path / f"{name}.jsonl").write_bytes(lines(record(f"{name} 1", reference_output="x"), record(f"{name} 2")))
    files = [str(tmp_path / "one.jsonl"), str(tmp_path / "two.jsonl")]
    report = ingest(files, memory, IngestOptions(task="t", design="census"), CATALOG, PRICES)
    assert len(report.notes) == 2
    assert [f.design for f in memory.feedback.values() if f.metric == "reference_output"] == []


def test_scores_that_were_found_may_come_in_again_as_a_census(bring_in: Import, memory: Memory) -> None:
    """What was said first stays, and what is said now stands beside it: nothing is edited, and nothing is in conflict."""
    scored = lines(record("1", task="t", scores={"correct": 1}, reference_output="x"))
    bring_in(scored)
    report = bring_in(scored, design="census")
    assert (report.conflicts, report.present) == (0, 1)
    assert sorted(f"{f.metric} {f.design}" for f in memory.feedback.values()) == [
        "correct census", "correct found", "reference_output census"
    ]  # fmt: skip
    contradicting = bring_in(lines(record("1", task="t", scores={"correct": 0}, reference_output="x")), design="census")
    assert contradicting.conflicts == 1


def test_an_audits_inclusion_is_the_share_of_items_with_a_score(bring_in: Import, memory: Memory) -> None:
    """By task and metric, counting items and not records: an item is drawn with all its answers."""
    drawn = [record(str(i), v, task="t", scores={"correct": 1} if i < 2 else {}) for i in range(10) for v in ("small-1", "frontier")]
    report = bring_in(lines(*drawn, record("x", scores={"tone": 1})), design="audit")
    said = {(f.metric, f.design, f.inclusion) for f in memory.feedback.values()}
    assert said == {("correct", "audit", 0.2), ("tone", "audit", 1.0)}
    assert "2 of 10 items of task 't' have a score 'correct'; taken as drawn at random, each with probability 0.2" in report.notes[0]


def test_an_audit_may_state_each_items_probability(bring_in: Import, memory: Memory) -> None:
    """A draw by strata has no one share."""
    report = bring_in(
        lines(
            record("1", scores={"correct": 1}, tags={"inclusion": 0.25}),
            record("2", scores={"correct": 1}, tags={"inclusion": "0.5"}),
            record("3", scores={"correct": 1}, tags={"inclusion": "often"}),
            record("4", scores={"correct": 1}, tags={"inclusion": 0}),
        ),
        design="audit",
    )
    assert sorted(f.inclusion or 0 for f in memory.feedback.values()) == [0.25, 0.5]
    assert [p.reason[:24] for p in report.problems] == ["tags.inclusion is 'often", "tags.inclusion is 0; exp"]


def test_progress_is_told_after_each_batch(bring_in: Import, memory: Memory) -> None:
    """With the file, its lines so far, and what was added over all files."""
    told: list[Progress] = []
    bring_in(lines(*(record(str(i)) for i in range(4_500))), lines(record("x")), progress=told.append)
    assert memory.batches == [2_000, 2_000, 500, 1]
    assert [(Path(p.file).name, p.lines, p.added) for p in told] == [
        ("log0.jsonl", 2_000, 2_000),
        ("log0.jsonl", 4_000, 4_000),
        ("log0.jsonl", 4_500, 4_500),
        ("log1.jsonl", 1, 4_501),
    ]


def test_large_records_make_small_batches(bring_in: Import, memory: Memory) -> None:
    """A batch is bounded in bytes as well as in rows."""
    bring_in(lines(*(record(str(i), output="x" * 3_000_000) for i in range(12))))
    assert memory.batches == [6, 6]


def test_nothing_is_written_where_one_of_the_files_cannot_be_imported(memory: Memory, tmp_path: Path) -> None:
    """A slip in the second name does not leave half an import."""
    good, odd = tmp_path / "good.jsonl", tmp_path / "odd.txt"
    good.write_bytes(lines(record()))
    odd.write_text("Dear diary")
    with pytest.raises(DataError, match="in no format that can be imported"):
        ingest([str(good), str(odd)], memory, IngestOptions(), CATALOG, PRICES)
    with pytest.raises(CallerError, match="There is no file"):
        ingest([str(good), str(tmp_path / "nowhere")], memory, IngestOptions(), CATALOG, PRICES)
    assert memory.calls == {}


def test_the_standard_input_is_imported_strictly_too(memory: Memory) -> None:
    """It is kept aside while it is looked through."""
    report = ingest(["-"], memory, IngestOptions(strict=True), CATALOG, PRICES, stdin=io.BytesIO(lines(record())))
    assert (report.files, report.added) == (("standard input",), 1)


def test_a_sink_that_fails_ends_the_import_and_what_it_took_stays(memory: Memory, tmp_path: Path) -> None:
    """The import can be run again: it adds what is missing."""
    path = tmp_path / "log.jsonl"
    path.write_bytes(lines(*(record(str(i)) for i in range(3_000))))

    def full(calls: Any, feedback: Any) -> Any:
        if memory.calls:
            raise OperatorError("the disk is full")
        return memory(calls, feedback)

    with pytest.raises(OperatorError, match="the disk is full"):
        ingest([str(path)], full, IngestOptions(), CATALOG, PRICES)
    report = ingest([str(path)], memory, IngestOptions(), CATALOG, PRICES)
    assert (report.added, report.present) == (1_000, 2_000)


def test_a_file_of_nothing_but_problems_is_reported_within_bounds(bring_in: Import) -> None:
    """The first hundred are listed, all are counted."""
    report = bring_in(lines(record()) + b"{broken\n" * 5_000)
    assert (len(report.problems), report.problem_count, report.lines) == (100, 5_000, 5_001)


def test_a_log_that_makes_up_names_does_not_grow_the_report(bring_in: Import) -> None:
    """Beyond a thousand the rest is counted together."""
    report = bring_in(lines(*(record(str(i), f"v{i}", usage={"input_tokens": 1}) for i in range(1_500))))
    assert len(report.unpriced) == 1_001
    assert sum(sum(variants.values()) for variants in report.counts.values()) == 1_500
    assert report.counts["…"] == {"…": 500}


def test_the_real_journal_takes_it_once(store: Store, tmp_path: Path) -> None:
    """What memory promises above holds for the database."""
    from freehold.journal.write import append_many

    path = tmp_path / "log.jsonl"
    path.write_bytes(lines(*(record(str(i), output={"n": i}, scores={"correct": 1}, tags={"a": "b"}) for i in range(50))))

    def sink(calls: Any, feedback: Any) -> Any:
        return append_many(store, calls, feedback)

    first, second = (ingest([str(path)], sink, IngestOptions(), CATALOG, PRICES) for _ in range(2))
    assert (first.added, first.present, first.conflicts) == (50, 0, 0)
    assert (second.added, second.present, second.conflicts) == (0, 50, 0)
    path.write_bytes(lines(record("7", output={"n": 8}, scores={"correct": 1}, tags={"a": "b"})))
    third = ingest([str(path)], sink, IngestOptions(), CATALOG, PRICES)
    assert (third.added, third.conflicts) == (0, 1)
    assert third.conflicting[0].reason.endswith("which stays: output")


_IMPORT_MANY = """
import json, resource, sys
from freehold.catalog import Catalog
from freehold.journal.ingest import IngestOptions, ingest
from freehold.journal.write import Appended
from freehold.pricing.book import PriceBook

peaks = []
def sink(calls, feedback):
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return Appended(added=len(calls))

report = ingest(sys.argv[1:], sink, IngestOptions(), Catalog(), PriceBook())
print(json.dumps({"rows": report.added, "early_kb": peaks[9], "late_kb": peaks[-1], "pyarrow": "pyarrow" in sys.modules}))
"""


@pytest.mark.slow
def test_memory_is_flat_over_300_000_rows(tmp_path: Path) -> None:
    """The process is no larger at the end than after the first tenth, and has not loaded pyarrow to read text."""
    path = tmp_path / "many.jsonl"
    with path.open("w") as file:
        for i in range(300_000):
            file.write(f'{{"item":"{i}","input":"message {i}","variant":"v{i % 3}","output":"x","scores":{{"correct":1}}}}\n')
    done = subprocess.run([sys.executable, "-c", _IMPORT_MANY, str(path)], capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    assert (told["rows"], told["pyarrow"]) == (300_000, False)
    assert told["late_kb"] - told["early_kb"] < 8_000
