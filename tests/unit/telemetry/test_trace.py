"""W3C trace context: whoever traces is followed, whoever writes nonsense is not, and nothing is made up where nobody traces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.telemetry.trace import of_request

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
HEADER = (b"traceparent", f"00-{TRACE}-{PARENT}-01".encode())


def state_of(*values: bytes) -> bytes:
    """What is passed on of these values of tracestate."""
    trace = of_request([HEADER, *((b"tracestate", value) for value in values)], is_recording=False)
    assert trace is not None
    return trace.state


def test_where_nobody_traces_nothing_is_made_up() -> None:
    assert of_request([(b"host", b"x"), (b"tracestate", b"a=1")], is_recording=False) is None


def test_a_trace_is_passed_on_as_it_came_where_spans_are_not_recorded_here() -> None:
    """A span of ours that nobody ever sees would leave the caller's tree in two."""
    trace = of_request([(b"host", b"x"), HEADER, (b"tracestate", b"a=1, b=2")], is_recording=False)
    assert trace is not None
    assert (trace.id, trace.parent, trace.span, trace.is_recorded) == (TRACE, PARENT, "", True)
    span, lines = trace.hop()
    assert span == ""
    assert lines == f"traceparent: 00-{TRACE}-{PARENT}-01\r\ntracestate: a=1,b=2\r\n".encode()


def test_each_request_to_a_provider_is_a_span_of_its_own_where_spans_are_recorded() -> None:
    trace = of_request([HEADER], is_recording=True)
    assert trace is not None
    assert trace.parent == PARENT
    first, second = trace.hop(), trace.hop()
    assert len({trace.span, first.span, second.span, PARENT}) == 4
    assert first.lines == f"traceparent: 00-{TRACE}-{first.span}-01\r\n".encode()


def test_a_trace_begins_here_where_spans_are_recorded_and_nobody_began_one() -> None:
    one, other = of_request([], is_recording=True), of_request([], is_recording=True)
    assert one is not None
    assert other is not None
    assert (one.parent, one.flags) == ("", "01")
    assert one.id != other.id
    assert len(one.id) == 32


def test_whoever_does_not_record_is_not_recorded() -> None:
    trace = of_request([(b"traceparent", f"00-{TRACE}-{PARENT}-00".encode())], is_recording=True)
    assert trace is not None
    assert not trace.is_recorded
    assert trace.hop().lines.endswith(b"-00\r\n")


@pytest.mark.parametrize(
    "value",
    [
        "",
        f"00-{TRACE}-{PARENT}",
        f"00-{TRACE}-{PARENT}-1",
        f"00-{TRACE}-{PARENT}-01-more",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{TRACE[:-1]}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-01\r\nx: y",
        f"01-{TRACE}-{PARENT}-01more",
        f"01-{TRACE}-{PARENT}-01-{'x' * 300}",
    ],
)
def test_a_malformed_parent_counts_as_none(value: str) -> None:
    assert of_request([(b"traceparent", value.encode()), (b"tracestate", b"a=1")], is_recording=False) is None


def test_two_parents_are_none() -> None:
    assert of_request([HEADER, HEADER], is_recording=False) is None


def test_a_later_version_is_read_as_far_as_it_is_known() -> None:
    trace = of_request([(b"traceparent", f"42-{TRACE}-{PARENT}-01-what comes then".encode())], is_recording=False)
    assert trace is not None
    assert trace.hop().lines == f"traceparent: 00-{TRACE}-{PARENT}-01\r\n".encode()


def test_state_in_several_headers_is_one() -> None:
    assert state_of(b"a=1,,b=2 ", b"vendor@x=a b") == b"a=1,b=2,vendor@x=a b"


@pytest.mark.parametrize(
    "value", [b"a", b"A=1", b"a=1=2", b"a=\x01", b"a=1,a=2", b"a=" + b"x" * 513, b",".join(b"k%d=v" % n for n in range(33)), b"a=\r\nb"]
)
def test_a_malformed_state_is_dropped_and_the_trace_is_not(value: bytes) -> None:
    assert state_of(value) == b""


@given(st.lists(st.tuples(st.sampled_from([b"traceparent", b"tracestate"]), st.binary(max_size=80)), max_size=4))
def test_whatever_is_sent_no_line_end_is_passed_on(headers: list[tuple[bytes, bytes]]) -> None:
    trace = of_request([*headers], is_recording=True)
    assert trace is not None
    lines = trace.hop().lines
    assert lines.count(b"\r\n") == lines.count(b"\n") == lines.count(b"\r") == 1 + bool(trace.state)
