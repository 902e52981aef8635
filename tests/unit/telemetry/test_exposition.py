"""What Prometheus reads, read by Prometheus's own parser."""

from prometheus_client.parser import text_string_to_metric_families
from watched import FINISHED, finished, read, tried

from freehold.tables import TelemetryTable
from freehold.telemetry.counts import Counts
from freehold.telemetry.exposition import text_of
from freehold.telemetry.names import IN_FLIGHT, METRICS, SPOOL_FILES
from freehold.telemetry.telemetry import Telemetry


def test_the_parser_reads_what_was_counted() -> None:
    counts = Counts()
    counts.finished(FINISHED)
    samples = read(text_of(counts.samples))
    labels = {"door": "openai", "gen_ai_operation_name": "chat", "task_name": "triage"}
    about = {"policy_version": "ab12", "variant_name": "frontier", "outcome": "answered", "http_response_status_code": "200"}
    assert samples["freehold_calls_total", frozenset((labels | about).items())] == 1
    assert samples["freehold_call_duration_seconds_count", frozenset(labels.items())] == 1
    assert samples["freehold_call_duration_seconds_sum", frozenset(labels.items())] == 0.502
    assert samples["freehold_call_duration_seconds_bucket", frozenset((labels | {"le": "0.32"}).items())] == 0
    assert samples["freehold_call_duration_seconds_bucket", frozenset((labels | {"le": "0.64"}).items())] == 1
    assert samples["freehold_call_duration_seconds_bucket", frozenset((labels | {"le": "+Inf"}).items())] == 1


def test_the_conventions_metrics_have_the_names_prometheus_gives_them() -> None:
    counts = Counts()
    counts.finished(finished(attempts=(tried(first_chunk_s=0.1),)))
    families = {family.name for family in text_string_to_metric_families(text_of(counts.samples).decode())}
    assert {
        "gen_ai_client_token_usage",
        "gen_ai_client_operation_duration_seconds",
        "gen_ai_client_operation_time_to_first_chunk_seconds",
    } <= families


def test_a_label_may_hold_anything() -> None:
    counts = Counts()
    odd = 'a"b\\c\nd ={}, é😀'
    counts.finished(finished(variant=odd))
    told = {dict(labels).get("variant_name") for _, labels in read(text_of(counts.samples))}
    assert odd in told


def test_a_histogram_without_a_value_is_left_out_and_a_sum_of_0_is_not() -> None:
    counts = Counts()
    counts.finished(FINISHED)
    text = text_of(counts.samples).decode()
    assert "time_to_first_chunk" not in text
    assert 'freehold_calls_cost_unknown_total{task_name="triage",variant_name="frontier"} 0\n' in text


def test_gauges_are_asked_when_somebody_looks() -> None:
    telemetry = Telemetry(TelemetryTable(), worker=3)
    waiting = [2.0]
    telemetry.watch(IN_FLIGHT, lambda: waiting[0])
    telemetry.watch(SPOOL_FILES, lambda: 1.0)
    samples = read(telemetry.exposition())
    assert samples["freehold_calls_in_flight", frozenset({("worker", "3")})] == 2
    assert samples["freehold_spool_files", frozenset()] == 1
    assert samples["freehold_worker_memory_bytes", frozenset({("worker", "3")})] > 1e6
    waiting[0] = 5
    assert read(telemetry.exposition())["freehold_calls_in_flight", frozenset({("worker", "3")})] == 5


def test_a_gauge_that_cannot_be_read_is_left_out_and_the_others_are_not() -> None:
    telemetry = Telemetry(TelemetryTable())
    telemetry.watch(SPOOL_FILES, lambda: float("nobody knows"))
    telemetry.watch(IN_FLIGHT, lambda: 1.0)
    text = telemetry.exposition()
    assert b"freehold_spool_files" not in text
    assert b"freehold_calls_in_flight" in text


def test_every_metric_has_a_help_of_one_line() -> None:
    for metric in METRICS:
        assert metric.help
        assert "\n" not in metric.help
        assert "\\" not in metric.help
