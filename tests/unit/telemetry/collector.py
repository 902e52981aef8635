"""An OpenTelemetry collector: a real HTTP server on a real socket that decodes what it is sent, and remembers it."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from threading import Thread
from typing import Any

from google.protobuf.message import Message
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_KINDS: dict[str, type[Message]] = {"/v1/traces": ExportTraceServiceRequest, "/v1/metrics": ExportMetricsServiceRequest}


class Collector:
    """The server."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.status = 200
        """What it answers."""
        self.answers: dict[str, bytes] = {}
        """What stands in its answers, by path."""
        self.location = ""
        """Where it sends whoever asks."""
        self.headers: list[dict[str, str]] = []
        self.told: list[bytes] = []
        """Every body as it came."""
        self.spans: list[Any] = []
        self.metrics: dict[str, Any] = {}
        """The newest of each, by name."""
        self.resources: list[dict[str, Any]] = []
        self.schemas: set[str] = set()
        self.heard: Queue[str] = Queue()
        """A path for every request that was answered."""

    def hear(self, path: str, headers: dict[str, str], body: bytes) -> None:
        """Takes one request."""
        self.headers.append(headers)
        self.told.append(body)
        message: Any = _KINDS[path]()
        message.ParseFromString(body)
        for group in message.resource_spans if path == "/v1/traces" else message.resource_metrics:
            self.resources.append(values(group.resource.attributes))
            for scope in group.scope_spans if path == "/v1/traces" else group.scope_metrics:
                self.schemas.add(scope.schema_url)
                if path == "/v1/traces":
                    self.spans += scope.spans
                else:
                    self.metrics |= {metric.name: metric for metric in scope.metrics}


def values(attributes: Any) -> dict[str, Any]:
    """Attributes as Python has them."""
    return {one.key: value(one.value) for one in attributes}


def value(told: Any) -> Any:
    """One value."""
    kind = told.WhichOneof("value")
    return [value(one) for one in told.array_value.values] if kind == "array_value" else getattr(told, kind)


@contextmanager
def collector() -> Iterator[Collector]:
    """A running one."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if known.status == 200:
                known.hear(self.path, {name.lower(): text for name, text in self.headers.items()}, body)
            self.send_response(known.status)
            answer = known.answers.get(self.path, b"") if known.status == 200 else b""
            self.send_header("content-length", str(len(answer)))
            if known.location:
                self.send_header("location", known.location)
            self.end_headers()
            self.wfile.write(answer)
            known.heard.put(self.path)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    known = Collector(server.server_address[1])
    thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield known
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
