"""What is counted of a call: how it ended, what it used and cost, and how long we and others took."""

from watched import FINISHED, USAGE, finished, tried

from freehold.telemetry import names as n
from freehold.telemetry.counts import MOST_NAMES, OTHER, Counts
from freehold.telemetry.names import Metric

CLIENT = ("chat", "openai", "gpt-x", "gpt-x-2026", "api.example.org", "443")


def only(counts: Counts, metric: Metric) -> tuple[tuple[str, ...], list[float]]:
    """The labels and numbers of a metric that has one series."""
    [(labels, cell)] = counts.samples[metric.name].items()
    return labels, cell


def test_a_call_is_counted_once_whatever_it_was() -> None:
    counts = Counts()
    counts.finished(FINISHED)
    counts.finished(FINISHED)
    assert only(counts, n.CALLS) == (("openai", "chat", "triage", "ab12", "frontier", "answered", "200"), [2])
    assert only(counts, n.SPENT) == (("triage", "frontier"), [0.006])
    assert only(counts, n.UNKNOWN_COST)[1] == [0]


def test_a_cost_nobody_knows_is_counted_and_is_not_0() -> None:
    counts = Counts()
    counts.finished(finished(cost_usd=None))
    assert only(counts, n.UNKNOWN_COST)[1] == [1]
    assert only(counts, n.SPENT)[1] == [0]


def test_our_own_overhead_is_what_was_not_spent_upstream() -> None:
    counts = Counts()
    counts.finished(finished(seconds=0.502, upstream_s=0.5))
    cell = only(counts, n.OUR_OVERHEAD)[1]
    assert cell[n.FINE_SECONDS.index(0.0025)] == 1
    assert abs(cell[-1] - 0.002) < 1e-9


def test_a_value_on_a_bound_is_within_it() -> None:
    counts = Counts()
    counts.finished(finished(seconds=0.08))
    assert only(counts, n.CALL_DURATION)[1][n.SECONDS.index(0.08)] == 1


def test_every_attempt_is_counted_with_its_cause_and_error() -> None:
    counts = Counts()
    failed = tried(outcome="failed", error="429", usage=None, response_model="", seconds=0.1)
    counts.finished(finished(attempts=(failed, tried(cause="retry"))))
    assert counts.samples[n.ATTEMPTS.name] == {("frontier", "first", "failed", "429"): [1], ("frontier", "retry", "answered", ""): [1]}
    durations = counts.samples[n.OPERATION_DURATION.name]
    assert {labels[-1] for labels in durations} == {"429", ""}
    assert sum(durations[*CLIENT, ""][:-1]) == 1


def test_tokens_are_counted_by_kind_and_cached_ones_are_among_input() -> None:
    counts = Counts()
    counts.finished(FINISHED)
    usage = counts.samples[n.TOKEN_USAGE.name]
    assert usage[*CLIENT, "input"][n.TOKENS.index(256)] == 1
    assert usage[*CLIENT, "output"][-1] == USAGE.output_tokens
    kinds = {labels[-1]: cell[0] for labels, cell in counts.samples[n.TOKENS_USED.name].items()}
    assert kinds == {"input": 100, "output": 20, "cached_read": 60, "cached_write": 10, "reasoning": 5}


def test_usage_nobody_told_adds_nothing() -> None:
    counts = Counts()
    counts.finished(finished(attempts=(tried(usage=None),)))
    assert not any(any(cell) for cell in counts.samples[n.TOKEN_USAGE.name].values())


def test_the_first_piece_is_measured_of_streams_alone() -> None:
    counts = Counts()
    counts.finished(finished(stream=True, attempts=(tried(first_chunk_s=0.03),)))
    counts.finished(FINISHED)
    assert sum(only(counts, n.FIRST_CHUNK)[1][:-1]) == 1


def test_what_answers_on_this_machine_has_no_address() -> None:
    counts = Counts()
    counts.finished(finished(attempts=(tried(variant="head", model="", peer=None, response_model=""),)))
    assert only(counts, n.OPERATION_DURATION)[0] == ("chat", "freehold", "", "", "", "", "")


def test_names_that_callers_make_up_do_not_fill_the_memory() -> None:
    """Past a number of names all others are counted as one, and nothing is remembered of them."""
    counts = Counts()
    for number in range(MOST_NAMES + 500):
        made_up = f"model-{number}"
        counts.finished(finished(task=None, variant=made_up, attempts=(tried(variant=made_up, model=made_up, response_model=made_up),)))
    series = counts.samples[n.CALLS.name]
    assert len(series) == MOST_NAMES + 1
    assert sum(cell[0] for labels, cell in series.items() if OTHER in labels) == 500
    assert len(counts._of_calls) == len(counts._of_attempts) == MOST_NAMES


def test_a_name_that_is_too_long_is_not_kept() -> None:
    counts = Counts()
    counts.finished(finished(variant="x" * 10_000))
    assert only(counts, n.CALLS)[0][4] == OTHER


def test_counting_goes_on_from_what_was_counted_before() -> None:
    before = Counts()
    before.finished(FINISHED)
    counts = Counts(before.samples)
    counts.finished(FINISHED)
    assert only(counts, n.CALLS)[1] == [2]
