"""Spans and metrics as OTLP's protobuf messages, sent by HTTP. Imported by the exporting thread alone.

A call is a SERVER span; each request made for it is a CLIENT span below it, INTERNAL where it was answered on this machine. Their ids were
given when the requests were sent, so that whoever was asked could carry them on. Made without OpenTelemetry's SDK, which takes several times
as long for each span (docs/decisions/0002-dependencies.md): what most spans of one kind share is made once, and copied.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from functools import lru_cache
from typing import Any
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest, ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_CUMULATIVE, Metric
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from freehold import __version__
from freehold.telemetry import content
from freehold.telemetry import names as n
from freehold.telemetry.counts import HERE
from freehold.telemetry.event import Finished, Peer, Tried
from freehold.telemetry.exposition import has_values
from freehold.telemetry.trace import Trace
from freehold.telemetry.workers import Snapshot

_TIMEOUT_S = 10.0
_MOST_ANSWER_BYTES = 65_536
_COMES_BACK = (429, 502, 503, 504)
"""Statuses after which the protocol says to try again."""
_FINE = ("answered", "refused")
"""Outcomes that are no failure: a model may refuse."""


class Sent(Enum):
    """What became of a message."""

    TAKEN = "taken"
    REFUSED = "refused"
    """Sending it again would not help."""
    NOT_NOW = "not now"
    """The collector is away or busy."""


class Sender:
    """Makes spans of calls and points of counts, and sends them."""

    def __init__(
        self, endpoint: str, headers: Mapping[str, str], instance: str, has_content: bool, on_partial: Callable[[str, int, str], None]
    ) -> None:
        """`on_partial` hears what a collector left out of a message that it took: of what, how many, and its words."""
        self._on_partial = on_partial
        self._endpoint = endpoint
        self._headers = {**headers, "content-type": "application/x-protobuf", "user-agent": f"freehold/{__version__}"}
        self._has_content = has_content
        self._opener = build_opener(_NoRedirects)
        about = {"service.name": "freehold", "service.version": __version__, "service.instance.id": instance}
        self._resource = Resource(attributes=_pairs(about))
        self._scope = InstrumentationScope(name="freehold", version=__version__)

    def send_calls(self, events: Sequence[Finished]) -> Sent:
        """Sends the spans of calls, but for those whose trace is not recorded."""
        message = ExportTraceServiceRequest()
        group = message.resource_spans.add(resource=self._resource, schema_url=n.SCHEMA_URL)
        spans = group.scope_spans.add(scope=self._scope, schema_url=n.SCHEMA_URL).spans
        for event in events:
            if event.trace is not None and event.trace.is_recorded:
                self._add_spans(spans, event, event.trace)
        if not spans:
            return Sent.TAKEN
        sent, told = self._post("/v1/traces", message.SerializeToString())
        if (part := _part_of(ExportTraceServiceResponse(), told)) is not None:
            self._on_partial("spans", part.rejected_spans, part.error_message)
        return sent

    def send_metrics(self, snapshot: Snapshot) -> Sent:
        """Sends the counts of a worker."""
        message = ExportMetricsServiceRequest()
        group = message.resource_metrics.add(resource=self._resource, schema_url=n.SCHEMA_URL)
        group.scope_metrics.add(scope=self._scope, schema_url=n.SCHEMA_URL, metrics=_metrics(snapshot))
        sent, told = self._post("/v1/metrics", message.SerializeToString())
        if (part := _part_of(ExportMetricsServiceResponse(), told)) is not None:
            self._on_partial("data points", part.rejected_data_points, part.error_message)
        return sent

    def _add_spans(self, spans: Any, event: Finished, trace: Trace) -> None:
        last = len(event.attempts) - 1
        for place, tried in enumerate(event.attempts):
            if tried.span:
                span = spans.add()
                span.MergeFrom(_shared_by_attempts(*_what_attempts_share(event, tried)))
                own = _own_of_attempt(event, tried)
                if self._has_content and place == last:  # whose answer it is
                    own |= content.attributes(event)
                _complete(span, trace, trace.span, tried.span, own, tried.started, tried.seconds)
        span = spans.add()
        span.MergeFrom(_shared_by_calls(event.route, event.door, event.task, event.variant, event.policy, event.outcome, event.status))
        own = {n.CALL: event.call, n.COST: event.cost_usd, n.OVERHEAD: event.seconds - event.upstream_s}
        _complete(span, trace, trace.parent, trace.span, own, event.started, event.seconds)

    def _post(self, path: str, body: bytes) -> tuple[Sent, bytes]:
        """What became of a message, and what the collector answered to one that it took."""
        # The configuration takes http and https alone. Proxies come from the environment.
        request = Request(self._endpoint + path, body, self._headers)  # noqa: S310
        try:
            with self._opener.open(request, timeout=_TIMEOUT_S) as answer:
                return Sent.TAKEN, answer.read(_MOST_ANSWER_BYTES)
        except HTTPError as error:
            error.close()
            return Sent.NOT_NOW if error.code in _COMES_BACK else Sent.REFUSED, b""
        except OSError:
            return Sent.NOT_NOW, b""


def _part_of(response: Any, told: bytes) -> Any:
    """What a collector says of a message that it took in part, or of which it has to say something; None where it has nothing to say."""
    try:
        response.ParseFromString(told)
    except DecodeError:  # it took the message, in words of its own
        return None
    return response.partial_success if response.HasField("partial_success") else None


class _NoRedirects(HTTPRedirectHandler):
    """Headers with a key go to whom they were meant for."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _complete(span: Any, trace: Trace, parent: str, id: str, own: Mapping[str, Any], started: float, seconds: float) -> None:
    """Adds what is a span's own to what it shares with others of its kind."""
    start = int(started * 1e9)
    span.trace_id, span.span_id = bytes.fromhex(trace.id), bytes.fromhex(id)
    span.parent_span_id = bytes.fromhex(parent)
    span.trace_state = trace.state.decode("ascii")
    span.start_time_unix_nano, span.end_time_unix_nano = start, start + int(seconds * 1e9)
    span.attributes.extend(_pairs(own))


def _what_attempts_share(event: Finished, tried: Tried) -> tuple[Any, ...]:
    return (
        *(event.operation, event.stream, event.task, tried.variant, tried.model, tried.peer, tried.cause, tried.outcome, tried.error),
        *(tried.response_model, tried.finish_reasons),
    )


@lru_cache(maxsize=1024)
def _shared_by_attempts(
    operation: str,
    stream: bool,
    task: str | None,
    variant: str,
    model: str,
    peer: Peer | None,
    cause: str,
    outcome: str,
    error: str,
    response_model: str,
    finish_reasons: tuple[str, ...],
) -> Any:
    failed = outcome not in _FINE
    told: dict[str, Any] = {
        n.OPERATION: operation,
        n.PROVIDER: HERE if peer is None else peer.kind,
        n.REQUEST_MODEL: model or None,
        n.REQUEST_STREAM: stream or None,
        n.RESPONSE_MODEL: response_model or None,
        n.FINISH_REASONS: finish_reasons or None,
        n.ERROR_TYPE: (error or outcome) if failed else None,
        n.TASK: task,
        n.VARIANT: variant,
        n.CAUSE: cause,
        n.OUTCOME: outcome,
    }
    if peer is not None:
        told |= {n.SERVER_ADDRESS: peer.address, n.SERVER_PORT: peer.port, n.CONFIGURED_PROVIDER: peer.name}
    kind = Span.SPAN_KIND_INTERNAL if peer is None else Span.SPAN_KIND_CLIENT
    return _span(f"{operation} {model or variant}", kind, told, failed)


def _own_of_attempt(event: Finished, tried: Tried) -> dict[str, Any]:
    own: dict[str, Any] = {n.CALL: event.call, n.RESPONSE_ID: tried.response_id or None, n.TIME_TO_FIRST_CHUNK: tried.first_chunk_s}
    if (usage := tried.usage) is not None:
        own |= {
            n.INPUT_TOKENS: usage.input_tokens,
            n.OUTPUT_TOKENS: usage.output_tokens,
            n.CACHE_READ_TOKENS: usage.cached_read or None,
            n.CACHE_CREATION_TOKENS: usage.cached_write or None,
            n.REASONING_TOKENS: usage.reasoning_tokens or None,
        }
    return own


@lru_cache(maxsize=1024)
def _shared_by_calls(route: str, door: str, task: str | None, variant: str, policy: str | None, outcome: str, status: int) -> Any:
    told = {
        n.HTTP_METHOD: "POST",
        n.HTTP_ROUTE: route,
        n.HTTP_STATUS: status,
        n.ERROR_TYPE: str(status) if status >= 500 else None,
        n.DOOR: door,
        n.TASK: task,
        n.VARIANT: variant,
        n.POLICY: policy,
        n.OUTCOME: outcome,
    }
    return _span(f"POST {route}", Span.SPAN_KIND_SERVER, told, status >= 500)


def _span(name: str, kind: Any, told: Mapping[str, Any], failed: bool) -> Any:
    return Span(name=name, kind=kind, attributes=_pairs(told), status=Status(code=Status.STATUS_CODE_ERROR) if failed else None)


def _metrics(snapshot: Snapshot) -> Iterator[Any]:
    """Each metric with its series, as sums since counting began. Which worker it is stands in the resource."""
    since, at = int(snapshot.since * 1e9), int(snapshot.at * 1e9)
    for metric in n.METRICS:
        told = {labels: cell for labels, cell in snapshot.samples.get(metric.name, {}).items() if has_values(metric, cell)}
        value = snapshot.gauges.get(metric.name)
        if not told and value is None:
            continue
        made = Metric(name=metric.name, description=metric.help, unit=metric.unit)
        if metric.kind == "gauge":
            made.gauge.data_points.add(time_unix_nano=at, as_double=value)
        elif metric.kind == "counter":
            made.sum.is_monotonic, made.sum.aggregation_temporality = True, AGGREGATION_TEMPORALITY_CUMULATIVE
            for labels, cell in told.items():
                made.sum.data_points.add(
                    attributes=_labels(metric, labels), start_time_unix_nano=since, time_unix_nano=at, as_double=cell[0]
                )
        else:
            made.histogram.aggregation_temporality = AGGREGATION_TEMPORALITY_CUMULATIVE
            for labels, cell in told.items():
                made.histogram.data_points.add(
                    attributes=_labels(metric, labels),
                    start_time_unix_nano=since,
                    time_unix_nano=at,
                    count=int(sum(cell[:-1])),
                    sum=cell[-1],
                    bucket_counts=[int(count) for count in cell[:-1]],
                    explicit_bounds=metric.bounds,
                )
        yield made


def _labels(metric: n.Metric, labels: tuple[str, ...]) -> list[Any]:
    return _pairs(
        {
            name: int(value) if name in n.WHOLE_NUMBERS else value
            for name, value in zip(metric.labels, labels, strict=True)
            if value and name != n.WORKER
        }
    )


def _pairs(attributes: Mapping[str, Any]) -> list[Any]:
    """Attributes, but for those that are None."""
    return [KeyValue(key=name, value=_value(value)) for name, value in attributes.items() if value is not None]


def _value(value: Any) -> Any:
    if isinstance(value, str):
        return AnyValue(string_value=value)
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    return AnyValue(array_value=ArrayValue(values=[_value(one) for one in value]))
