"""The SDKs as their users use them, each with a provider of either format behind: sync and async, whole and streamed, with tools, types and
images; what fails has the SDK's own exception, and who leaves stops the provider."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import openai
import pytest
from pydantic import BaseModel
from tests.e2e.test_gateway import ASKED, Served, running
from tests.upstream import Said, answered, event, events, openai_events, whole

both_providers = pytest.mark.parametrize("model", ["frontier", "claude"])
QUESTION: Any = [{"role": "user", "content": "What is the weather in Oslo and in Rome?"}]
SAID = "Größe 😀"
CITIES = [("c1", "Oslo"), ("c2", "Rome")]


@pytest.fixture(scope="module", params=["our protocol", "plain ASGI"])
def gateway(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A gateway and its provider, once for our protocol and once for plain ASGI."""
    with running(tmp_path_factory.mktemp("served"), ["--plain-asgi"] if request.param == "plain ASGI" else []) as found:
        yield found


@pytest.fixture
def served(gateway: Served) -> Served:
    """The gateway; its provider answers as usual at the beginning of every test."""
    gateway.provider.answer = answered
    return gateway


class Weather(BaseModel):
    """What the weather is like."""

    city: str
    degrees: int


def async_openai(served: Served, **options: Any) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{served.port}/v1", api_key="mine", **{"max_retries": 0} | options)


def async_anthropic(served: Served, **options: Any) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(base_url=f"http://127.0.0.1:{served.port}", api_key="mine", **{"max_retries": 0} | options)


def eventually(is_so: Callable[[], bool], within_s: float = 10.0) -> None:
    until = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.02)


# Providers that say more than words, in the shapes of the real ones


def pieces(text: str, size: int = 4) -> list[str]:
    return [text[n : n + size] for n in range(0, len(text), size)]


def openai_stream(deltas: list[dict[str, Any]], finish: str) -> list[bytes]:
    about = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1_750_000_000,
        "model": "gpt-x-2026",
        "system_fingerprint": "fp",
    }
    told = [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": None} for delta in [*deltas]]
    told.append({"index": 0, "delta": {}, "logprobs": None, "finish_reason": finish})
    chunks = [{**about, "service_tier": "default", "choices": [one], "usage": None, "obfuscation": "Ab3"} for one in told]
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "completion_tokens_details": {"reasoning_tokens": 2}}
    return [event(one) for one in [*chunks, {**about, "choices": [], "usage": usage}]] + [b"data: [DONE]\n\n"]


def anthropic_stream(blocks: list[tuple[dict[str, Any], list[dict[str, Any]]]], stop: str) -> list[bytes]:
    usage = {
        "input_tokens": 10,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": 1,
        "service_tier": "standard",
    }
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-x-2026",
        "content": [],
        "stop_reason": None,
        "usage": usage,
    }
    told: list[dict[str, Any]] = [{"type": "message_start", "message": {**message, "stop_sequence": None}}, {"type": "ping"}]
    for n, (block, deltas) in enumerate(blocks):
        told.append({"type": "content_block_start", "index": n, "content_block": block})
        told += [{"type": "content_block_delta", "index": n, "delta": delta} for delta in deltas]
        told.append({"type": "content_block_stop", "index": n})
    told.append({"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": None}, "usage": {"output_tokens": 5}})
    return [event(one, one["type"]) for one in [*told, {"type": "message_stop"}]]


def calls_tools(said: Said) -> Iterator[bytes]:
    """Asks for the weather in two cities at once, after a word."""
    arguments = {id: json.dumps({"city": city}) for id, city in CITIES}
    if said.path.endswith("/messages"):
        text = {"type": "text", "text": "Let me look."}
        if not said.body.get("stream"):
            uses = [{"type": "tool_use", "id": id, "name": "weather", "input": {"city": city}} for id, city in CITIES]
            usage = {"input_tokens": 10, "output_tokens": 5}
            return whole(
                {
                    "id": "m",
                    "type": "message",
                    "role": "assistant",
                    "model": "c",
                    "content": [text, *uses],
                    "stop_reason": "tool_use",
                    "usage": usage,
                }
            )
        blocks: list[Any] = [({"type": "text", "text": ""}, [{"type": "text_delta", "text": piece} for piece in pieces("Let me look.")])]
        for id, _ in CITIES:
            deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in ["", *pieces(arguments[id])]]
            blocks.append(({"type": "tool_use", "id": id, "name": "weather", "input": {}}, deltas))
        return events(*anthropic_stream(blocks, "tool_use"))
    if not said.body.get("stream"):
        calls = [{"id": id, "type": "function", "function": {"name": "weather", "arguments": arguments[id]}} for id, _ in CITIES]
        message = {"role": "assistant", "content": "Let me look.", "tool_calls": calls, "refusal": None, "annotations": []}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "tool_calls"}
        return whole({"id": "c", "object": "chat.completion", "created": 1, "model": "g", "choices": [choice]})
    deltas = [{"role": "assistant", "content": "", "refusal": None}, *({"content": piece} for piece in pieces("Let me look."))]
    for n, (id, _) in enumerate(CITIES):
        begun = {"index": n, "id": id, "type": "function", "function": {"name": "weather", "arguments": ""}}
        deltas += [
            {"tool_calls": [begun]},
            *({"tool_calls": [{"index": n, "function": {"arguments": piece}}]} for piece in pieces(arguments[id])),
        ]
    return events(*openai_stream(deltas, "tool_calls"))


def says(text: str) -> Callable[[Said], Iterator[bytes]]:
    """A provider that says these words."""

    def answer(said: Said) -> Iterator[bytes]:
        stream = said.body.get("stream")
        if said.path.endswith("/messages"):
            block = {"type": "text", "text": text}
            if not stream:
                body = {"id": "m", "type": "message", "role": "assistant", "model": "c", "content": [block], "stop_reason": "end_turn"}
                return whole({**body, "usage": {"input_tokens": 10, "output_tokens": 5}})
            deltas = [{"type": "text_delta", "text": piece} for piece in pieces(text)]
            return events(*anthropic_stream([({"type": "text", "text": ""}, deltas)], "end_turn"))
        if not stream:
            choice = {"index": 0, "message": {"role": "assistant", "content": text, "refusal": None}, "finish_reason": "stop"}
            return whole({"id": "c", "object": "chat.completion", "created": 1, "model": "g", "choices": [choice]})
        return events(*openai_stream([{"role": "assistant", "content": ""}, *({"content": piece} for piece in pieces(text))], "stop"))

    return answer


# Whole and streamed, without blocking


@both_providers
def test_an_async_openai_client(served: Served, model: str) -> None:
    async def run() -> None:
        async with async_openai(served) as client:
            first, second = await asyncio.gather(*(client.chat.completions.create(model=model, messages=ASKED) for _ in range(2)))
            assert first.choices[0].message.content == second.choices[0].message.content == SAID
            stream = await client.chat.completions.create(model=model, messages=ASKED, stream=True)
            assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices]) == SAID

    asyncio.run(run())


@both_providers
def test_an_async_anthropic_client(served: Served, model: str) -> None:
    async def run() -> None:
        async with async_anthropic(served) as client:
            ask: Any = {"model": model, "max_tokens": 50, "messages": QUESTION}
            first, second = await asyncio.gather(*(client.messages.create(**ask) for _ in range(2)))
            assert first.content[0].text == second.content[0].text == SAID
            async with client.messages.stream(**ask) as stream:
                assert "".join([piece async for piece in stream.text_stream]) == SAID
                assert (await stream.get_final_message()).stop_reason == "end_turn"

    asyncio.run(run())


# Tools


@both_providers
@pytest.mark.parametrize("streamed", [False, True])
def test_openais_client_is_asked_for_two_tools_and_tells_what_they_gave(served: Served, model: str, streamed: bool) -> None:
    client = served.openai()
    tools: Any = [{"type": "function", "function": {"name": "weather", "parameters": Weather.model_json_schema(), "strict": True}}]
    served.provider.answer = calls_tools
    if streamed:
        with client.chat.completions.stream(model=model, messages=QUESTION, tools=tools) as stream:
            answer: Any = stream.get_final_completion()
    else:
        answer = client.chat.completions.create(model=model, messages=QUESTION, tools=tools)
    message = answer.choices[0].message
    assert (message.content, answer.choices[0].finish_reason) == ("Let me look.", "tool_calls")
    assert [(call.id, json.loads(call.function.arguments)) for call in message.tool_calls] == [(id, {"city": city}) for id, city in CITIES]
    served.provider.answer = answered
    results = [{"role": "tool", "tool_call_id": id, "content": f"4 °C in {city}"} for id, city in CITIES]
    calls = [
        {"id": call.id, "type": "function", "function": {"name": call.function.name, "arguments": call.function.arguments}}
        for call in message.tool_calls
    ]
    turns: Any = [*QUESTION, {"role": "assistant", "content": message.content, "tool_calls": calls}, *results]
    assert client.chat.completions.create(model=model, messages=turns, tools=tools).choices[0].message.content == SAID
    assert results_heard(served.provider.asked[-1]) == {id: f"4 °C in {city}" for id, city in CITIES}


@both_providers
@pytest.mark.parametrize("streamed", [False, True])
def test_anthropics_client_is_asked_for_two_tools_and_tells_what_they_gave(served: Served, model: str, streamed: bool) -> None:
    client = served.anthropic()
    ask: Any = {"model": model, "max_tokens": 50, "tools": [{"name": "weather", "input_schema": Weather.model_json_schema()}]}
    served.provider.answer = calls_tools
    if streamed:
        with client.messages.stream(messages=QUESTION, **ask) as stream:
            answer: Any = stream.get_final_message()
    else:
        answer = client.messages.create(messages=QUESTION, **ask)
    text, *uses = answer.content
    assert (text.text, answer.stop_reason) == ("Let me look.", "tool_use")
    assert [(use.id, use.name, use.input) for use in uses] == [(id, "weather", {"city": city}) for id, city in CITIES]
    served.provider.answer = answered
    results = [{"type": "tool_result", "tool_use_id": id, "content": f"4 °C in {city}"} for id, city in CITIES]
    said = [block.model_dump(exclude_none=True, include={"type", "text", "id", "name", "input"}) for block in answer.content]
    turns: Any = [*QUESTION, {"role": "assistant", "content": said}, {"role": "user", "content": results}]
    assert client.messages.create(messages=turns, **ask).content[0].text == SAID  # type: ignore[union-attr]
    assert results_heard(served.provider.asked[-1]) == {id: f"4 °C in {city}" for id, city in CITIES}


def results_heard(said: Said) -> dict[str, str]:
    """What a provider was told that its tools gave."""
    if said.path.endswith("/messages"):
        return {block["tool_use_id"]: block["content"] for block in said.body["messages"][-1]["content"]}
    return {one["tool_call_id"]: one["content"] for one in said.body["messages"] if one["role"] == "tool"}


def test_anthropics_tool_runner_runs_tools_until_there_is_an_answer(served: Served) -> None:
    asked: list[str] = []

    @anthropic.beta_tool
    def weather(city: str) -> str:
        """Says what the weather is like.

        Args:
            city: Where.
        """
        asked.append(city)
        return "4 °C"

    served.provider.answer = lambda said: (answered if "tool_result" in json.dumps(said.body) else calls_tools)(said)
    runner = served.anthropic().beta.messages.tool_runner(model="claude", max_tokens=50, tools=[weather], messages=list(QUESTION))
    answer: Any = runner.until_done()
    assert (answer.content[0].text, asked) == (SAID, ["Oslo", "Rome"])


# Types


@both_providers
@pytest.mark.parametrize("streamed", [False, True])
def test_openais_client_parses_an_answer_by_its_type(served: Served, model: str, streamed: bool) -> None:
    client = served.openai()
    served.provider.answer = says('{"city": "Oslo", "degrees": 4}')
    if streamed:
        with client.chat.completions.stream(model=model, messages=QUESTION, response_format=Weather) as stream:
            parsed = stream.get_final_completion().choices[0].message.parsed
    else:
        parsed = client.chat.completions.parse(model=model, messages=QUESTION, response_format=Weather).choices[0].message.parsed
    assert parsed == Weather(city="Oslo", degrees=4)
    assert schema_heard(served.provider.asked[-1])["properties"].keys() == {"city", "degrees"}


@both_providers
def test_anthropics_client_parses_an_answer_by_its_type(served: Served, model: str) -> None:
    served.provider.answer = says('{"city": "Oslo", "degrees": 4}')
    answer = served.anthropic().messages.parse(model=model, max_tokens=50, messages=QUESTION, output_format=Weather)
    assert answer.parsed_output == Weather(city="Oslo", degrees=4)
    assert schema_heard(served.provider.asked[-1])["properties"].keys() == {"city", "degrees"}


def schema_heard(said: Said) -> Any:
    """The schema that a provider was told its answer has to fit."""
    if said.path.endswith("/messages"):
        return said.body["output_config"]["format"]["schema"]
    return said.body["response_format"]["json_schema"]["schema"]


# Images


DOT = "iVBORw0KGgo="
AT = "https://example.com/a.png"


@both_providers
def test_openais_client_shows_images(served: Served, model: str) -> None:
    parts = [{"type": "image_url", "image_url": {"url": url}} for url in (f"data:image/png;base64,{DOT}", AT)]
    asked: Any = [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, *parts]}]
    assert served.openai().chat.completions.create(model=model, messages=asked).choices[0].message.content == SAID
    assert images_heard(served.provider.asked[-1]) == [DOT, AT]


@both_providers
def test_anthropics_client_shows_images(served: Served, model: str) -> None:
    sources = [{"type": "base64", "media_type": "image/png", "data": DOT}, {"type": "url", "url": AT}]
    blocks = [{"type": "image", "source": source} for source in sources]
    asked: Any = [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, *blocks]}]
    assert served.anthropic().messages.create(model=model, max_tokens=50, messages=asked).content[0].text == SAID  # type: ignore[union-attr]
    assert images_heard(served.provider.asked[-1]) == [DOT, AT]


def images_heard(said: Said) -> list[str]:
    """The images that a provider was shown: their bytes or addresses."""
    content = said.body["messages"][-1]["content"]
    if said.path.endswith("/messages"):
        sources = [part["source"] for part in content if part["type"] == "image"]
        return [source.get("data") or source["url"] for source in sources]
    return [part["image_url"]["url"].removeprefix("data:image/png;base64,") for part in content if part["type"] == "image_url"]


# Errors


@both_providers
@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, openai.BadRequestError), (401, openai.AuthenticationError), (403, openai.PermissionDeniedError), (404, openai.NotFoundError),
        (409, openai.ConflictError), (422, openai.UnprocessableEntityError), (429, openai.RateLimitError), (500, openai.InternalServerError),
        (503, openai.InternalServerError),
    ],
)  # fmt: skip
@pytest.mark.parametrize("streamed", [False, True])
def test_what_fails_has_openais_own_exception(served: Served, model: str, status: int, error: Any, streamed: bool) -> None:
    served.provider.answer = fails(status)
    with pytest.raises(error, match="because of the weather") as told:
        served.openai().chat.completions.create(model=model, messages=ASKED, stream=streamed)
    assert (told.value.status_code, told.value.body["message"]) == (status, "because of the weather")
    assert served.call(told.value.response.headers["x-freehold-call"]).outcome == "failed"


@both_providers
@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, anthropic.BadRequestError), (401, anthropic.AuthenticationError), (403, anthropic.PermissionDeniedError), (404, anthropic.NotFoundError),
        (409, anthropic.ConflictError), (413, anthropic.RequestTooLargeError), (422, anthropic.UnprocessableEntityError), (429, anthropic.RateLimitError),
        (500, anthropic.InternalServerError), (529, anthropic.OverloadedError),
    ],
)  # fmt: skip
@pytest.mark.parametrize("streamed", [False, True])
def test_what_fails_has_anthropics_own_exception(served: Served, model: str, status: int, error: Any, streamed: bool) -> None:
    served.provider.answer = fails(status)
    with pytest.raises(error, match="because of the weather") as told:
        served.anthropic().messages.create(model=model, max_tokens=50, messages=QUESTION, stream=streamed)
    assert told.value.status_code == status
    assert served.call(told.value.body["request_id"]).outcome == "failed"


def fails(status: int) -> Callable[[Said], Iterator[bytes]]:
    def answer(said: Said) -> Iterator[bytes]:
        told = {"type": "some_error", "message": "because of the weather"}
        return whole({"type": "error", "error": told} if said.path.endswith("/messages") else {"error": told}, status)

    return answer


# Retries


def test_the_sdks_ask_again_and_each_time_is_a_call(served: Served) -> None:
    """Where the gateway itself does not, as this model is configured."""
    for model, ask in (
        ("frontier", lambda: served.openai().with_options(max_retries=2).chat.completions.create(model="frontier", messages=ASKED)),
        (
            "claude",
            lambda: served.anthropic().with_options(max_retries=2).messages.create(model="claude", max_tokens=50, messages=QUESTION),
        ),
    ):
        failing = iter([fails(429), fails(500), answered])
        served.provider.answer = lambda said, failing=failing: next(failing)(said)
        before = len(served.provider.asked)
        assert SAID in str(ask())
        assert len(served.provider.asked) == before + 3
        outcomes = [call.outcome for call in served.calls() if call.variant == model][-3:]
        assert sorted(outcomes) == ["answered", "failed", "failed"]


# Cancellation


def endless(said: Said) -> Iterator[bytes]:
    """A provider that begins and does not end."""
    told = openai_events("gpt-x", False)
    yield from events(*told[:2], ends=False)
    for _ in range(1_000):
        yield b"%x\r\n%b\r\n" % (len(told[1]), told[1])
        time.sleep(0.01)


def test_an_async_stream_that_is_left_stops_the_provider(served: Served) -> None:
    async def run() -> str:
        async with async_openai(served) as client:
            raw = await client.chat.completions.with_raw_response.create(model="frontier", messages=ASKED, stream=True)
            async for chunk in raw.parse():
                if chunk.choices[0].delta.content:
                    break
            await raw.parse().close()
            return raw.headers["x-freehold-call"]

    served.provider.answer = endless
    before = served.provider.broken_off
    call = served.call(asyncio.run(run()))
    assert (call.outcome, call.delivered) == ("cancelled", False)
    eventually(lambda: served.provider.broken_off == before + 1)


def test_a_task_that_is_cancelled_stops_the_provider(served: Served) -> None:
    """In the midst of an answer from which nothing was heard yet."""

    async def run() -> None:
        async with async_anthropic(served) as client:
            asking = asyncio.create_task(client.messages.create(model="frontier", max_tokens=50, messages=QUESTION))
            while len(served.provider.asked) == before:
                await asyncio.sleep(0.01)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking

    served.provider.answer = endless_whole
    before, broken_off = len(served.provider.asked), served.provider.broken_off
    calls = len(served.calls())
    asyncio.run(run())
    eventually(lambda: served.provider.broken_off == broken_off + 1)
    eventually(lambda: len(served.calls()) == calls + 1)
    assert [(call.outcome, call.delivered) for call in served.calls() if call.outcome == "cancelled"][-1] == ("cancelled", False)


def endless_whole(said: Said) -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000000\r\n\r\n"
    for _ in range(1_000):
        yield b" "
        time.sleep(0.01)


def test_who_waits_no_longer_stops_the_provider(served: Served) -> None:
    served.provider.answer = endless_whole
    broken_off = served.provider.broken_off
    with pytest.raises(openai.APITimeoutError):
        served.openai().with_options(timeout=0.3).chat.completions.create(model="frontier", messages=ASKED)
    eventually(lambda: served.provider.broken_off == broken_off + 1)
