"""Streams: pieces of an answer survive any cut of the bytes, and one format's pieces are the other's."""

import json
from collections.abc import Iterable
from typing import TypeAlias

import pytest

from freehold.chat import CallPiece, Chunk, Collected, Refusal, Text, Thinking, ToolCall, Usage
from freehold.errors import ProviderError
from freehold.gateway import anthropic_stream, openai_stream
from freehold.gateway.sse import Event, EventReader, event

CHUNKS = [
    Chunk(id="a1", model="small-1", usage=Usage(input_tokens=10)),
    Chunk(thinking="Hm"),
    Chunk(thinking=", yes."),
    Chunk(signature="sig"),
    Chunk(text="Größe "),
    Chunk(text="😀"),
    Chunk(call=CallPiece(index=0, id="c1", name="weather")),
    Chunk(call=CallPiece(index=0, arguments='{"city":')),
    Chunk(call=CallPiece(index=0, arguments='"Oslo"}')),
    Chunk(call=CallPiece(index=1, id="c2", name="weather", arguments="{}")),
    Chunk(finish="tools", usage=Usage(input_tokens=10, output_tokens=7)),
]
WHOLE = (
    Thinking(text="Hm, yes.", signature="sig"),
    Text(text="Größe 😀"),
    ToolCall(id="c1", name="weather", arguments='{"city":"Oslo"}'),
    ToolCall(id="c2", name="weather", arguments="{}"),
)


def collected(chunks: Iterable[Chunk]) -> Collected:
    whole = Collected()
    for chunk in chunks:
        whole.add(chunk)
    return whole


def test_pieces_make_the_answer() -> None:
    answer = collected(CHUNKS).answer()
    assert (answer.id, answer.model, answer.choices[0].parts, answer.choices[0].finish) == ("a1", "small-1", WHOLE, "tools")
    assert answer.usage == Usage(input_tokens=10, output_tokens=7)


def test_a_piece_that_says_several_things_loses_none_of_them() -> None:
    both = Chunk(thinking="t", text="w", refusal="r")
    assert collected([both, both]).answer().choices[0].parts == (Thinking(text="t"), Text(text="w"), Refusal(text="r")) * 2


def test_an_answer_that_broke_off_is_not_whole() -> None:
    assert collected(CHUNKS[:6]).answer().choices[0].finish == "length"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 10_000])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_events_are_whole_wherever_the_bytes_were_cut(size: int, end: bytes) -> None:
    """Inside a character, between the two halves of a line's end, in the middle of a field."""
    sent = b"".join(
        [b": hello\n\n", event('{"a": "Größe 😀"}'.encode(), "told"), b"data: one\ndata: two\n\n", b"id: 3\nretry: 5\n\n", event(b"[DONE]")]
    )
    sent = sent.replace(b"\n", end)
    reader = EventReader()
    found = [told for start in range(0, len(sent), size) for told in reader.feed(sent[start : start + size])]
    assert found == [Event(b"told", '{"a": "Größe 😀"}'.encode()), Event(b"", b"one\ntwo"), Event(b"", b"[DONE]")]


def test_an_event_beyond_all_bounds_ends_the_stream() -> None:
    reader = EventReader()
    with pytest.raises(ProviderError, match="more than 16 MiB"):
        for _ in range(20):
            reader.feed(b"data: " + b"x" * 2**20 if _ == 0 else b"x" * 2**20)


Writer: TypeAlias = openai_stream.StreamWriter | anthropic_stream.StreamWriter
Reader: TypeAlias = openai_stream.StreamReader | anthropic_stream.StreamReader


def through(writer: Writer, reader: Reader) -> list[Chunk]:
    """The pieces as a client of the writer's format reads them."""
    sent = b"".join([*map(writer.write, CHUNKS), writer.end()])
    found = [chunk for told in EventReader().feed(sent) for chunk in reader.read(told)]
    assert reader.is_done
    return found


def test_openais_stream_says_it_all() -> None:
    answer = collected(through(openai_stream.StreamWriter(True), openai_stream.StreamReader())).answer()
    unsigned = (Thinking(text="Hm, yes."), *WHOLE[1:])
    assert (answer.id, answer.choices[0].parts, answer.choices[0].finish, answer.usage) == (
        "a1", unsigned, "tools", Usage(input_tokens=10, output_tokens=7)
    )  # fmt: skip


def test_openais_stream_has_ended_when_every_answer_has_even_without_its_last_event() -> None:
    def told(*choices: tuple[int, str | None]) -> Event:
        said = [{"index": n, "delta": {"content": "a"}, "finish_reason": finish} for n, finish in choices]
        return Event(b"", json.dumps({"choices": said}).encode())

    reader = openai_stream.StreamReader()
    dones = []
    for one in (
        told((0, None)),
        told((0, None), (1, None)),
        told((0, "stop")),
        told((1, "length")),
        Event(b"", b'{"choices": [], "usage": {}}'),
    ):
        reader.read(one)
        dones.append(reader.is_done)
    assert dones == [False, False, False, True, True]


@pytest.mark.parametrize(
    ("asked_for", "ended", "is_done"),
    [(2, [0], False), (2, [1], False), (2, [0, 1], True), (1, [1], False), (1, [1, 0], True), (1, [], False)],
)
def test_a_stream_that_ends_before_an_answer_that_was_asked_for_or_stands_before_another_is_not_whole(
    asked_for: int, ended: list[int], is_done: bool
) -> None:
    reader = openai_stream.StreamReader(asked_for)
    for n in ended:
        told = {"choices": [{"index": n, "delta": {"content": "a"}, "finish_reason": "stop"}]}
        reader.read(Event(b"", json.dumps(told).encode()))
    assert reader.is_done is is_done
    reader.read(Event(b"", b"[DONE]"))
    assert reader.is_done


def test_anthropics_stream_says_it_all() -> None:
    answer = collected(through(anthropic_stream.StreamWriter(), anthropic_stream.StreamReader())).answer()
    assert (answer.choices[0].parts, answer.choices[0].finish, answer.usage) == (WHOLE, "tools", Usage(input_tokens=10, output_tokens=7))


def test_usage_is_told_only_to_who_asked() -> None:
    sent = b"".join([*map((writer := openai_stream.StreamWriter(False)).write, CHUNKS), writer.end()])
    assert b'"usage"' not in sent


def test_a_stream_of_real_shape_is_read() -> None:
    """Roles and empty deltas first, several calls at once, the finish and the usage in events of their own."""
    events = [
        {"id": "x", "object": "chat.completion.chunk", "created": 5, "model": "m", "choices": [
            {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]},
        {"id": "x", "choices": [{"index": 0, "delta": {"tool_calls": [
            {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": ""}},
            {"index": 1, "id": "d", "type": "function", "function": {"name": "g", "arguments": "{}"}}]}}]},
        {"id": "x", "choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}}]},
        {"id": "x", "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]},
        {"id": "x", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}},
    ]  # fmt: skip
    reader = openai_stream.StreamReader()
    whole = collected(chunk for told in events for chunk in reader.read(Event(b"", json.dumps(told).encode())))
    assert whole.answer().choices[0].parts == (ToolCall(id="c", name="f", arguments="{}"), ToolCall(id="d", name="g", arguments="{}"))
    assert (whole.created, whole.usage) == (5, Usage(input_tokens=3, output_tokens=4))


@pytest.mark.parametrize(
    "data", [b"{", b"[]", b"5", b'{"choices": 5}', b'{"error": {"message": "overloaded"}}', b'{"choices": [{"delta": "x"}]}']
)
def test_a_stream_that_is_none_is_the_providers_failure(data: bytes) -> None:
    with pytest.raises(ProviderError):
        openai_stream.StreamReader().read(Event(b"", data))


@pytest.mark.parametrize(
    "data", [b"{", b"[]", b'{"type": "content_block_delta"}', b'{"type": "error", "error": {"message": "overloaded"}}']
)
def test_an_anthropic_stream_that_is_none_is_the_providers_failure(data: bytes) -> None:
    with pytest.raises(ProviderError):
        anthropic_stream.StreamReader().read(Event(b"", data))


def test_unknown_events_are_passed_over() -> None:
    """Anthropic says that new ones may come."""
    reader = anthropic_stream.StreamReader()
    for told in ({"type": "ping"}, {"type": "later"}, {"type": "content_block_start", "index": 0, "content_block": {"type": "later"}}):
        assert reader.read(Event(b"", json.dumps(told).encode())) == []


CALL = {"index": 0, "type": "function", "function": {"name": "f", "arguments": "{}"}}


def test_calls_that_share_an_index_are_told_apart_by_their_ids() -> None:
    """As some providers number them; the same id, or a piece without a name, goes on with the call that it began."""
    reader, said = openai_stream.StreamReader(), Collected()
    more = {"index": 0, "id": "other", "function": {"arguments": " "}}
    for call in ({**CALL, "id": "a"}, more, {**CALL, "id": "b"}, {"index": 0, "function": {"arguments": "  "}}):
        for chunk in reader.read(Event(b"", json.dumps({"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]}).encode())):
            said.add(chunk)
    assert said.answer().choices[0].parts == (ToolCall(id="a", name="f", arguments="{} "), ToolCall(id="b", name="f", arguments="{}  "))


def test_a_call_that_had_ended_is_not_gone_back_to() -> None:
    """Anthropic's callers know a call by its block, and a block begins once."""
    writer = anthropic_stream.StreamWriter()
    for index in (0, 1):
        writer.write(Chunk(call=CallPiece(index=index, id=str(index), name="f")))
    with pytest.raises(ProviderError, match="goes back to tool call 0"):
        writer.write(Chunk(call=CallPiece(index=0, arguments="{}")))
    with pytest.raises(ProviderError, match="without saying of which tool"):
        writer.write(Chunk(call=CallPiece(index=2, arguments="{}")))


@pytest.mark.parametrize("reader", [openai_stream.StreamReader(), anthropic_stream.StreamReader()])
def test_bytes_that_are_no_text_are_the_providers_failure(reader: Reader) -> None:
    with pytest.raises(ProviderError, match="not what it should be"):
        reader.read(Event(b"", b'{"id": "\xff"}'))
