"""Spans and metrics by OTLP over HTTP, with OpenTelemetry's own SDK and exporters. Imported by the exporting thread alone.

A call is a SERVER span; each request made for it is a CLIENT span below it, INTERNAL where it was answered on this machine. Their ids were
given when the requests were sent, so that whoever was asked could carry them on.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    MetricExportResult,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.metrics.export import Metric as MetricData
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState, set_span_in_context

from freehold import __version__
from freehold.telemetry import content
from freehold.telemetry import names as n
from freehold.telemetry.counts import HERE, Cell
from freehold.telemetry.event import Finished, Tried
from freehold.telemetry.exposition import has_values
from freehold.telemetry.trace import Trace
from freehold.telemetry.workers import Snapshot

_FINE = ("answered", "refused")
"""Outcomes that are no failure: a model may refuse."""


class Sender:
    """Makes spans of calls and points of counts, and sends them."""

    def __init__(self, endpoint: str, headers: Mapping[str, str], instance: str) -> None:
        # They say every failure and every retry; ours says it once a minute.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        self._resource = Resource(
            {"service.name": "freehold", "service.version": __version__, "service.instance.id": instance}, schema_url=n.SCHEMA_URL
        )
        self._ids = _GivenIds()
        self._ended = _Ended()
        provider = TracerProvider(
            sampler=ALWAYS_ON, resource=self._resource, id_generator=self._ids, shutdown_on_exit=False
        )  # whether a trace is recorded was decided when it began
        provider.add_span_processor(self._ended)
        self._tracer = provider.get_tracer("freehold", __version__, schema_url=n.SCHEMA_URL)
        self._spans = OTLPSpanExporter(f"{endpoint}/v1/traces", headers=dict(headers))
        self._metrics = OTLPMetricExporter(f"{endpoint}/v1/metrics", headers=dict(headers))

    def send_calls(self, events: Sequence[Finished]) -> bool:
        """Whether the collector took the spans of these calls, but for those whose trace is not recorded."""
        for event in events:
            if event.trace is not None and event.trace.is_recorded:
                self._make_spans(event, event.trace)
        spans = self._ended.take()
        return not spans or self._spans.export(spans) is SpanExportResult.SUCCESS

    def send_metrics(self, snapshot: Snapshot) -> bool:
        """Whether the collector took these counts."""
        scope = ScopeMetrics(InstrumentationScope("freehold", __version__), list(_metrics(snapshot)), n.SCHEMA_URL)
        data = MetricsData([ResourceMetrics(self._resource, [scope], n.SCHEMA_URL)])
        return self._metrics.export(data) is MetricExportResult.SUCCESS

    def close(self) -> None:
        """Ends the connections, and a wait to try again. May be called from another thread, and twice."""
        self._spans.shutdown()
        self._metrics.shutdown()

    def _make_spans(self, event: Finished, trace: Trace) -> None:
        last = len(event.attempts) - 1
        for place, tried in enumerate(event.attempts):
            if tried.span:
                kind = SpanKind.INTERNAL if tried.peer is None else SpanKind.CLIENT
                told = attempt_attributes(event, tried) | (content.attributes(event) if place == last else {})
                name = f"{event.operation} {tried.model or tried.variant}"
                span = _Span(name, kind, trace.span, tried.span, told, tried.started, tried.seconds, tried.outcome not in _FINE)
                self._make_span(trace, span)
        route, failed = f"POST {event.route}", event.status >= 500
        told = call_attributes(event)
        self._make_span(trace, _Span(route, SpanKind.SERVER, trace.parent, trace.span, told, event.started, event.seconds, failed))

    def _make_span(self, trace: Trace, made: "_Span") -> None:
        self._ids.trace, self._ids.span = int(trace.id, 16), int(made.id, 16)
        context = None
        if made.parent:
            is_remote = made.kind is SpanKind.SERVER
            above = SpanContext(self._ids.trace, int(made.parent, 16), is_remote, TraceFlags(1), _state(trace))
            context = set_span_in_context(NonRecordingSpan(above))
        start = int(made.started * 1e9)
        span = self._tracer.start_span(made.name, context=context, kind=made.kind, attributes=made.attributes, start_time=start)
        if made.failed:
            span.set_status(Status(StatusCode.ERROR))
        span.end(start + int(made.seconds * 1e9))


class _Span(NamedTuple):
    """A span that has ended."""

    name: str
    kind: SpanKind
    parent: str
    """The id of the span above it; empty for none."""
    id: str
    attributes: dict[str, Any]
    started: float
    seconds: float
    failed: bool


def _state(trace: Trace) -> TraceState | None:
    return TraceState.from_header([trace.state.decode("ascii")]) if trace.state else None


def call_attributes(event: Finished) -> dict[str, Any]:
    """What the span of a call says."""
    told = {
        n.HTTP_METHOD: "POST",
        n.HTTP_ROUTE: event.route,
        n.HTTP_STATUS: event.status,
        n.ERROR_TYPE: str(event.status) if event.status >= 500 else None,
        n.CALL: event.call,
        n.DOOR: event.door,
        n.TASK: event.task,
        n.VARIANT: event.variant,
        n.POLICY: event.policy,
        n.OUTCOME: event.outcome,
        n.COST: event.cost_usd,
        n.OVERHEAD: event.seconds - event.upstream_s,
    }
    return {name: value for name, value in told.items() if value is not None}


def attempt_attributes(event: Finished, tried: Tried) -> dict[str, Any]:
    """What the span of a request to a variant says."""
    peer, usage = tried.peer, tried.usage
    told: dict[str, Any] = {
        n.OPERATION: event.operation,
        n.PROVIDER: HERE if peer is None else peer.kind,
        n.REQUEST_MODEL: tried.model or None,
        n.REQUEST_STREAM: True if event.stream else None,
        n.RESPONSE_ID: tried.response_id or None,
        n.RESPONSE_MODEL: tried.response_model or None,
        n.FINISH_REASONS: tried.finish_reasons or None,
        n.TIME_TO_FIRST_CHUNK: tried.first_chunk_s,
        n.ERROR_TYPE: None if tried.outcome in _FINE else tried.error or tried.outcome,
        n.CALL: event.call,
        n.TASK: event.task,
        n.VARIANT: tried.variant,
        n.CAUSE: tried.cause,
        n.OUTCOME: tried.outcome,
    }
    if peer is not None:
        told |= {n.SERVER_ADDRESS: peer.address, n.SERVER_PORT: peer.port, n.CONFIGURED_PROVIDER: peer.name}
    if usage is not None:
        told |= {
            n.INPUT_TOKENS: usage.input_tokens,
            n.OUTPUT_TOKENS: usage.output_tokens,
            n.CACHE_READ_TOKENS: usage.cached_read or None,
            n.CACHE_CREATION_TOKENS: usage.cached_write or None,
            n.REASONING_TOKENS: usage.reasoning_tokens or None,
        }
    return {name: value for name, value in told.items() if value is not None}


def _metrics(snapshot: Snapshot) -> Iterator[MetricData]:
    """Each metric with its series, as sums since counting began."""
    since, at = int(snapshot.since * 1e9), int(snapshot.at * 1e9)
    for metric in n.METRICS:
        if metric.kind == "gauge":
            value = snapshot.gauges.get(metric.name)
            if value is not None:
                yield MetricData(metric.name, metric.help, metric.unit, Gauge([NumberDataPoint({}, since, at, value)]))
            continue
        told = {labels: cell for labels, cell in snapshot.samples.get(metric.name, {}).items() if has_values(metric, cell)}
        if not told:
            continue
        data: Histogram | Sum
        if metric.kind == "histogram":
            points = [_spread(metric, labels, cell, since, at) for labels, cell in told.items()]
            data = Histogram(points, AggregationTemporality.CUMULATIVE)
        else:
            sums = [NumberDataPoint(_attributes(metric, labels), since, at, cell[0]) for labels, cell in told.items()]
            data = Sum(sums, AggregationTemporality.CUMULATIVE, is_monotonic=True)
        yield MetricData(metric.name, metric.help, metric.unit, data)


def _spread(metric: n.Metric, labels: tuple[str, ...], cell: Cell, since: int, at: int) -> HistogramDataPoint:
    buckets = [int(count) for count in cell[:-1]]
    # The least and the greatest value are not kept; the format has them optional.
    return HistogramDataPoint(_attributes(metric, labels), since, at, sum(buckets), cell[-1], buckets, metric.bounds, None, None)


def _attributes(metric: n.Metric, labels: tuple[str, ...]) -> dict[str, str | int]:
    """The series' attributes. Which worker it is stands in the resource."""
    return {
        name: int(value) if name in n.WHOLE_NUMBERS else value
        for name, value in zip(metric.labels, labels, strict=True)
        if value and name != n.WORKER
    }


class _GivenIds(IdGenerator):  # type: ignore[misc]
    """Gives the ids that were told to whoever was asked."""

    trace = span = 0

    def generate_trace_id(self) -> int:
        """As of `IdGenerator`."""
        return self.trace

    def generate_span_id(self) -> int:
        """As of `IdGenerator`."""
        return self.span


class _Ended(SpanProcessor):  # type: ignore[misc]
    """Keeps spans that have ended until they are sent, all on one thread."""

    def __init__(self) -> None:
        self._spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        """As of `SpanProcessor`."""
        self._spans.append(span)

    def take(self) -> list[ReadableSpan]:
        """All of them, which are kept no longer."""
        spans, self._spans = self._spans, []
        return spans
