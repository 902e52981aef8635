"""LangChain's client for OpenAI, unchanged but for its address: whole and streamed, with tools and types, and its errors."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from tests.e2e.test_clients import CITIES, SAID, Weather, calls_tools, fails, results_heard, says
from tests.e2e.test_gateway import Served, running
from tests.upstream import answered

ASKED: Any = [SystemMessage("Be brief."), HumanMessage("What is the weather in Oslo and in Rome?")]
both_providers = pytest.mark.parametrize("model", ["frontier", "claude"])


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with running(tmp_path_factory.mktemp("served"), []) as found:
        yield found


@pytest.fixture
def served(gateway: Served) -> Served:
    gateway.provider.answer = answered
    return gateway


def chat(served: Served, model: str) -> ChatOpenAI:
    return ChatOpenAI(model=model, base_url=f"http://127.0.0.1:{served.port}/v1", api_key="mine", max_retries=0, timeout=30)


@tool
def weather(city: str) -> str:
    """Says what the weather is like."""
    return f"4 °C in {city}"


@both_providers
def test_it_is_answered_whole_and_streamed(served: Served, model: str) -> None:
    answer = chat(served, model).invoke(ASKED)
    assert (answer.content, answer.usage_metadata["input_tokens"]) == (SAID, 100)
    assert "".join(str(chunk.content) for chunk in chat(served, model).stream(ASKED)) == SAID
    assert served.calls()[-1].usage is not None


def test_it_is_answered_without_blocking(served: Served) -> None:
    """In one loop, whose connections it keeps for all its clients."""

    async def run() -> None:
        for one in (chat(served, "frontier"), chat(served, "claude")):
            assert [answer.content for answer in await one.abatch([ASKED, ASKED])] == [SAID, SAID]
            assert "".join([str(chunk.content) async for chunk in one.astream(ASKED)]) == SAID

    asyncio.run(run())


@both_providers
@pytest.mark.parametrize("streamed", [False, True])
def test_its_tools_are_called_and_told_of(served: Served, model: str, streamed: bool) -> None:
    served.provider.answer = calls_tools
    one = chat(served, model).bind_tools([weather])
    if streamed:
        first, *others = one.stream(ASKED)
        said: Any = sum(others, first)
    else:
        said = one.invoke(ASKED)
    assert [(call["id"], call["args"]) for call in said.tool_calls] == [(id, {"city": city}) for id, city in CITIES]
    served.provider.answer = answered
    results = [ToolMessage(weather.invoke(call["args"]), tool_call_id=call["id"]) for call in said.tool_calls]
    assert one.invoke([*ASKED, said, *results]).content == SAID
    assert results_heard(served.provider.asked[-1]) == {id: f"4 °C in {city}" for id, city in CITIES}


@both_providers
def test_its_answers_have_types(served: Served, model: str) -> None:
    served.provider.answer = says(json.dumps({"city": "Oslo", "degrees": 4}))
    assert chat(served, model).with_structured_output(Weather, method="json_schema").invoke(ASKED) == Weather(city="Oslo", degrees=4)


@both_providers
def test_what_fails_is_the_sdks_exception(served: Served, model: str) -> None:
    served.provider.answer = fails(429)
    with pytest.raises(openai.RateLimitError, match="because of the weather"):
        chat(served, model).invoke(ASKED)
