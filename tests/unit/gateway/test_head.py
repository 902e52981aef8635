"""Headers are found in the bytes they came in, whatever is asked for first."""

import pytest

from freehold.gateway.head import Head

RAW = b"\r\nHost: here\r\nX-Host: there\r\nCookie: \t a: host:b \r\nx-own-A: 1\r\nX-OWN-b:2\r\nEmpty:\r\nhost:again\r\n"


@pytest.mark.parametrize(
    ("name", "value"),
    [(b"host", b"here"), (b"x-host", b"there"), (b"cookie", b"a: host:b"), (b"empty", b""), (b"b", None), (b"a", None), (b"own", None)],
)
def test_a_header_is_found_by_its_whole_name(name: bytes, value: bytes | None) -> None:
    assert Head(RAW).get(name) == value


def test_they_are_names_in_lower_case_with_their_values() -> None:
    head = Head(RAW)
    assert list(head) == [
        (b"host", b"here"), (b"x-host", b"there"), (b"cookie", b"a: host:b"), (b"x-own-a", b"1"), (b"x-own-b", b"2"), (b"empty", b""), (b"host", b"again")
    ]  # fmt: skip
    assert (len(head), head[0], head.size()) == (7, (b"host", b"here"), len(RAW))
    assert list(Head.of(head)) == list(head)


def test_those_that_start_alike_are_known_by_the_rest_of_their_names() -> None:
    assert Head(RAW).starting(b"x-own-") == {b"a": b"1", b"b": b"2"}
    assert Head(RAW).starting(b"x-other-") == {}


def test_none_are_none() -> None:
    for head in (Head(b""), Head.of([])):
        assert (list(head), head.get(b"host")) == ([], None)
