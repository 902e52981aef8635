"""What a collector gets: spans and metrics with OpenTelemetry's names, decoded from what came over a socket."""

import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from collector import Collector, collector, values
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsPartialSuccess, ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTracePartialSuccess, ExportTraceServiceResponse
from watched import ONE, finished, tried

from freehold.errors import OperatorError
from freehold.tables import TelemetryTable
from freehold.telemetry import export
from freehold.telemetry.event import Finished
from freehold.telemetry.telemetry import Telemetry
from freehold.telemetry.trace import of_request

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SECRET = "sk-secret"


@pytest.fixture
def one() -> Iterator[Collector]:
    with collector() as running:
        yield running


def told(one: Collector, *events: Finished, **table: Any) -> None:
    """Tells of these calls, and ends."""
    telemetry = Telemetry(TelemetryTable(otlp_endpoint=one.url, **table))
    for event in events:
        telemetry.finished(event)
    telemetry.close()


def traced(headers: list[tuple[bytes, bytes]], **fields: Any) -> Finished:
    """A call that is part of a trace, with one request to a provider in it."""
    trace = of_request(headers, is_recording=True)
    assert trace is not None
    return finished(trace=trace, **{"attempts": (tried(span=trace.hop().span),), **fields})


def test_a_call_is_a_server_span_below_the_caller_s_and_its_request_a_client_span_below_that(one: Collector) -> None:
    event = traced([(b"traceparent", f"00-{TRACE}-{PARENT}-01".encode()), (b"tracestate", b"a=1")])
    told(one, event)
    client, server = one.spans
    assert (server.name, server.kind) == ("POST /v1/chat/completions", 2)
    assert (client.name, client.kind) == ("chat gpt-x", 3)
    assert {span.trace_id.hex() for span in one.spans} == {TRACE}
    assert server.parent_span_id.hex() == PARENT
    assert client.parent_span_id == server.span_id
    assert client.span_id.hex() == event.attempts[0].span
    assert server.trace_state == "a=1"
    assert server.end_time_unix_nano - server.start_time_unix_nano == 502_000_000


def test_spans_have_the_conventions_names(one: Collector) -> None:
    told(one, traced([]))
    client, server = (values(span.attributes) for span in one.spans)
    assert client == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-x",
        "gen_ai.response.id": "chatcmpl-1",
        "gen_ai.response.model": "gpt-x-2026",
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 20,
        "gen_ai.usage.cache_read.input_tokens": 60,
        "gen_ai.usage.cache_creation.input_tokens": 10,
        "gen_ai.usage.reasoning.output_tokens": 5,
        "server.address": "api.example.org",
        "server.port": 443,
        "freehold.provider.name": "one",
        "freehold.call.id": "0197c0ffee",
        "freehold.task.name": "triage",
        "freehold.variant.name": "frontier",
        "freehold.attempt.cause": "first",
        "freehold.outcome": "answered",
    }
    assert server == {
        "http.request.method": "POST",
        "http.route": "/v1/chat/completions",
        "http.response.status_code": 200,
        "freehold.call.id": "0197c0ffee",
        "freehold.door": "openai",
        "freehold.task.name": "triage",
        "freehold.variant.name": "frontier",
        "freehold.policy.version": "ab12",
        "freehold.outcome": "answered",
        "freehold.cost.usd": 0.003,
        "freehold.overhead.seconds": pytest.approx(0.002),
    }
    assert one.schemas == {"https://opentelemetry.io/schemas/1.41.0"}
    assert one.resources[0]["service.name"] == "freehold"


def test_a_request_that_failed_says_how_and_an_unknown_cost_is_not_there(one: Collector) -> None:
    trace = of_request([], is_recording=True)
    assert trace is not None
    failed = tried(outcome="failed", error="429", usage=None, response_model="", finish_reasons=(), span=trace.hop().span)
    head = tried(variant="head", model="", peer=None, cause="fallback", span=trace.hop().span)
    gone = tried(outcome="timed_out", span=trace.hop().span, peer=ONE._replace(kind="anthropic"))
    told(one, finished(trace=trace, attempts=(failed, head, gone), status=504, outcome="timed_out", cost_usd=None, stream=True))
    first, second, third, server = one.spans
    assert (first.status.code, values(first.attributes)["error.type"]) == (2, "429")
    assert (second.name, second.kind, values(second.attributes)["gen_ai.provider.name"]) == ("chat head", 1, "freehold")
    assert "server.address" not in values(second.attributes)
    assert values(third.attributes)["error.type"] == "timed_out"
    assert values(third.attributes)["gen_ai.request.stream"] is True
    assert (server.status.code, values(server.attributes)["error.type"]) == (2, "504")
    assert "freehold.cost.usd" not in values(server.attributes)


def test_metrics_have_the_conventions_names_units_and_bounds(one: Collector) -> None:
    per_chunk = [3.0, *([0.0] * 4), 1.0, *([0.0] * 9), 0.25]
    told(one, traced([]), traced([], attempts=(tried(first_chunk_s=0.1, per_chunk=per_chunk),)))
    duration, usage = one.metrics["gen_ai.client.operation.duration"], one.metrics["gen_ai.client.token.usage"]
    assert (duration.unit, usage.unit) == ("s", "{token}")
    [point] = duration.histogram.data_points
    assert (point.count, point.sum) == (2, 1.0)
    assert list(point.explicit_bounds)[:3] == [0.01, 0.02, 0.04]
    assert sum(point.bucket_counts) == 2
    assert not point.HasField("min")
    assert values(point.attributes) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-x",
        "gen_ai.response.model": "gpt-x-2026",
        "server.address": "api.example.org",
        "server.port": 443,
    }
    sums = {values(point.attributes)["gen_ai.token.type"]: point.sum for point in usage.histogram.data_points}
    assert sums == {"input": 200, "output": 40}
    assert one.metrics["gen_ai.client.operation.time_to_first_chunk"].histogram.data_points[0].count == 1
    [point] = one.metrics["gen_ai.client.operation.time_per_output_chunk"].histogram.data_points
    assert (point.count, point.sum, list(point.bucket_counts)[:6]) == (4, 0.25, [3, 0, 0, 0, 0, 1])
    cost = one.metrics["freehold.cost"].sum
    assert (cost.is_monotonic, cost.aggregation_temporality, cost.data_points[0].as_double) == (True, 2, 0.006)
    assert one.metrics["freehold.worker.memory"].gauge.data_points[0].as_double > 1e6
    assert not [name for name in one.metrics if name.startswith("gen_ai.usage.") or "prompt_tokens" in name]


def test_who_does_not_record_their_trace_gets_no_spans_and_is_counted(one: Collector) -> None:
    told(one, traced([(b"traceparent", f"00-{TRACE}-{PARENT}-00".encode())]))
    assert one.spans == []
    assert one.metrics["freehold.calls"].sum.data_points[0].as_double == 1


CONTENT = {
    "asked": {
        "messages": [
            {"role": "system", "content": "You sort messages."},
            {"role": "user", "content": [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": SECRET}}]},
            {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "function": {"name": "look", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "c1", "content": "A card"},
        ],
        "tools": [{"type": "function", "function": {"name": "look"}}],
    },
    "answered": {"content": "A card.", "tool_calls": [{"name": "look", "arguments": {"at": 1}}]},
}


def test_content_is_sent_where_that_is_switched_on_and_files_never(one: Collector) -> None:
    told(one, traced([], **CONTENT), content=True)
    found = values(one.spans[0].attributes)
    assert found["gen_ai.system_instructions"] == '[{"type":"text","content":"You sort messages."}]'
    assert found["gen_ai.input.messages"] == (
        '[{"role":"user","parts":[{"type":"text","content":"What is this?"},{"type":"image_url"}]},'
        '{"role":"assistant","parts":[{"type":"tool_call","id":"c1","name":"look","arguments":"{}"}]},'
        '{"role":"tool","parts":[{"type":"tool_call_response","id":"c1","response":"A card"}]}]'
    )
    assert found["gen_ai.output.messages"] == (
        '[{"role":"assistant","parts":[{"type":"text","content":"A card."},'
        '{"type":"tool_call","id":null,"name":"look","arguments":{"at":1}}],"finish_reason":"stop"}]'
    )
    assert found["gen_ai.tool.definitions"].startswith("[{")
    assert SECRET.encode() not in b"".join(one.told)


def test_content_stays_here_where_it_is_not_switched_on(one: Collector) -> None:
    """Even where somebody hands it over."""
    assert not Telemetry(TelemetryTable(content=True)).has_content  # nobody gets anything
    told(one, traced([], **CONTENT))
    assert b"You sort messages" not in b"".join(one.told)


def test_keys_go_in_headers_and_in_nothing_else(one: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTLP_HEADERS", f"authorization=Bearer%20{SECRET},x-team=support")
    told(one, traced([]), otlp_headers_env="OTLP_HEADERS")
    assert {headers["authorization"] for headers in one.headers} == {f"Bearer {SECRET}"}
    assert SECRET.encode() not in b"".join(one.told)


@pytest.mark.parametrize("value", ["", "what", "=x", "a=", "a=%0d%0ab: c"])
def test_headers_that_are_none_are_refused_and_not_repeated(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTLP_HEADERS", value)
    with pytest.raises(OperatorError, match="OTLP_HEADERS holds no headers") as refused:
        Telemetry(TelemetryTable(otlp_endpoint="http://127.0.0.1:1", otlp_headers_env="OTLP_HEADERS"))
    assert "what" not in str(refused.value)


def test_calls_are_sent_while_the_worker_goes_on(one: Collector) -> None:
    """Nothing has to end for spans to be seen: they are sent every second."""
    telemetry = Telemetry(TelemetryTable(otlp_endpoint=one.url))
    telemetry.finished(traced([]))
    assert one.heard.get(timeout=20) == "/v1/traces"
    telemetry.finished(traced([]))
    assert one.heard.get(timeout=20) == "/v1/traces"
    assert len(one.spans) == 4
    telemetry.close()


def test_a_collector_that_takes_nothing_is_said_once_and_costs_the_spans_alone(one: Collector, caplog: pytest.LogCaptureFixture) -> None:
    one.status = 400
    telemetry = Telemetry(TelemetryTable(otlp_endpoint=one.url))
    for _ in range(3):
        telemetry.finished(traced([]))
        assert one.heard.get(timeout=20) == "/v1/traces"
    telemetry.close()
    [said] = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert said.getMessage().startswith("telemetry.export_failed: the collector takes nothing")
    text = telemetry.exposition().decode()
    assert "freehold_telemetry_dropped_total 3\n" in text
    assert 'outcome="answered",http_response_status_code="200"} 3\n' in text


def test_what_a_collector_leaves_out_is_said_with_its_words(one: Collector, caplog: pytest.LogCaptureFixture) -> None:
    """Once a minute, also where it leaves nothing out and has something to say; an answer in other words is none."""
    one.answers["/v1/traces"] = ExportTraceServiceResponse(
        partial_success=ExportTracePartialSuccess(rejected_spans=2, error_message="too large")
    ).SerializeToString()
    one.answers["/v1/metrics"] = ExportMetricsServiceResponse(
        partial_success=ExportMetricsPartialSuccess(error_message="deprecated")
    ).SerializeToString()
    telemetry = Telemetry(TelemetryTable(otlp_endpoint=one.url))
    for _ in range(2):
        telemetry.finished(traced([]))
        assert one.heard.get(timeout=20) == "/v1/traces"
    one.answers["/v1/traces"] = b"\xff{}"
    telemetry.finished(traced([]))
    telemetry.close()
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == [
        "telemetry.partly_exported: the collector left out 2 spans: too large",
        "telemetry.partly_exported: the collector left out 0 data points: deprecated",
    ]
    assert "freehold_telemetry_dropped_total 0\n" in telemetry.exposition().decode()


def test_what_a_collector_cannot_take_now_waits_for_it(one: Collector) -> None:
    one.status = 503
    telemetry = Telemetry(TelemetryTable(otlp_endpoint=one.url))
    telemetry.finished(traced([]))
    assert one.heard.get(timeout=20) == "/v1/traces"
    assert one.heard.get(timeout=20) == "/v1/traces"
    one.status = 200
    telemetry.close()
    assert len(one.spans) == 2
    assert "freehold_telemetry_dropped_total 0\n" in telemetry.exposition().decode()


def test_a_collector_that_is_away_when_the_worker_ends_is_not_waited_for() -> None:
    telemetry = Telemetry(TelemetryTable(otlp_endpoint="http://127.0.0.1:1"))
    telemetry.finished(traced([]))
    telemetry.close()
    assert "freehold_telemetry_dropped_total 1\n" in telemetry.exposition().decode()


def test_a_collector_that_sends_elsewhere_is_not_followed(one: Collector) -> None:
    """The key in the headers is not for anybody else."""
    one.status, one.location = 307, f"{one.url}/v1/metrics"
    telemetry = Telemetry(TelemetryTable(otlp_endpoint=one.url))
    telemetry.finished(traced([]))
    assert one.heard.get(timeout=20) == "/v1/traces"
    one.status = 200
    telemetry.close()
    assert one.heard.get(timeout=20) == "/v1/metrics"  # the one at the end
    assert one.heard.empty()


def test_what_is_too_much_to_wait_is_dropped_and_counted(one: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "MOST_WAITING", 0)
    telemetry = Telemetry(TelemetryTable(otlp_endpoint=one.url))
    telemetry.finished(traced([]))
    telemetry.close()
    assert one.spans == []
    assert "freehold_telemetry_dropped_total 1\n" in telemetry.exposition().decode()


def test_a_worker_that_exports_nothing_imports_nothing_of_it() -> None:
    program = (
        "import sys, freehold.telemetry.telemetry as t, freehold.telemetry.logs, freehold.telemetry.readiness\n"
        "from freehold.config import TelemetryTable\n"
        "t.Telemetry(TelemetryTable()).exposition()\n"
        "print(*{name.split('.')[0] for name in sys.modules} & {'opentelemetry', 'prometheus_client', 'requests', 'google', 'sqlalchemy'})"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == []


def test_without_its_packages_it_says_what_to_install() -> None:
    program = (
        "import sys\n"
        "sys.modules['opentelemetry'] = None\n"
        "from freehold.config import TelemetryTable\n"
        "from freehold.telemetry.telemetry import Telemetry\n"
        "try: Telemetry(TelemetryTable(otlp_endpoint='http://127.0.0.1:1'))\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("OperatorError telemetry.otlp_endpoint is set and opentelemetry-proto is not installed. Run: pip install")
