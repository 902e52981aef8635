"""One subject of bench/tasks.py, run in its own environment: `tasks_subjects.py NAME PORT CALLS` prints one line of JSON about itself.

Imports nothing of the bench's own, for peers' environments have none of it. Each subject is used as its documentation shows typed output.
"""

import asyncio
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

MESSAGE = "My card was swallowed by the machine at the corner of the market square, and I travel tomorrow. What can I do?"
INSTRUCTION = "Decide which queue should answer this customer and whether it is urgent."
QUEUES = ("cards", "transfers", "fraud", "other")
Call = Callable[[], Any]
ACall = Callable[[], Awaitable[Any]]


def main() -> None:
    name, port, calls = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    began = time.perf_counter()
    call, acall, more = SUBJECTS[name](f"http://127.0.0.1:{port}/v1")
    found: dict[str, Any] = {"version": of(name), "ready_s": round(time.perf_counter() - began, 2)}
    for _ in range(min(calls, 100)):
        check(call())
    found["one"] = measured(calls, lambda: [call() for _ in range(calls)])
    found["sixteen"] = measured(calls, lambda: asyncio.run(at_once(acall, calls, 16)))
    found |= more()
    found["memory_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    print(json.dumps(found))
    sys.stdout.flush()
    os._exit(0)


def of(name: str) -> str:
    """The version that is measured."""
    package = {"langchain": "langchain-openai", "pydantic_ai": "pydantic-ai-slim"}.get(name, name)
    return "" if name == "plain" else version(package)


def measured(calls: int, work: Callable[[], Any]) -> dict[str, float]:
    """CPU of this process and time, for one call."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return {
        "cpu_us": round((time.process_time() - cpu) / calls * 1e6, 1),
        "wall_ms": round((time.perf_counter() - wall) / calls * 1e3, 3),
    }


async def at_once(acall: ACall, calls: int, n: int) -> None:
    """So many calls, n of them at one time."""
    left = iter(range(calls))

    async def some() -> None:
        for _ in left:
            check(await acall())

    await asyncio.gather(*(some() for _ in range(n)))


def check(answer: Any) -> None:
    """Raises where the answer is not the one that the upstream gave, typed."""
    queue, urgent = (answer["queue"], answer["urgent"]) if isinstance(answer, dict) else (answer.queue, answer.urgent)
    assert queue == "cards" and urgent is False, answer


def nothing() -> dict[str, Any]:
    return {}


def plain(url: str) -> tuple[Call, ACall, Callable[[], dict[str, Any]]]:
    """The floor."""
    from http.client import HTTPConnection

    host = url.removeprefix("http://").partition("/")[0]
    connection = HTTPConnection(host)
    schema = {"type": "object", "properties": {"queue": {"enum": QUEUES}, "urgent": {"type": "boolean"}}, "required": ["queue", "urgent"]}
    messages = [{"role": "system", "content": INSTRUCTION}, {"role": "user", "content": MESSAGE}]
    form = {"type": "json_schema", "json_schema": {"name": "triage", "schema": schema}}

    def call() -> Any:
        body = json.dumps({"model": "frontier", "messages": messages, "response_format": form})
        connection.request("POST", "/v1/chat/completions", body, {"content-type": "application/json"})
        told = json.loads(connection.getresponse().read())
        return json.loads(told["choices"][0]["message"]["content"])

    async def acall() -> Any:
        return call()

    return call, acall, nothing


def freehold(url: str) -> tuple[Call, ACall, Callable[[], dict[str, Any]]]:
    """Freehold, with everything on: a policy's reference, prices, a committed journal."""
    from pydantic import BaseModel

    import freehold as fh

    class Triage(BaseModel):
        queue: Literal["cards", "transfers", "fraud", "other"]
        urgent: bool

    def triage(message: str) -> Triage:
        raise NotImplementedError

    triage.__doc__ = INSTRUCTION
    project = Path(tempfile.mkdtemp())
    (project / "freehold.toml").write_text(
        f'[providers.up]\nkind = "openai"\nbase_url = "{url}"\n[models.frontier]\nprovider = "up"\n'
        "price = { input_per_mtok = 1.25, output_per_mtok = 10.0 }\n"
    )
    os.environ["FREEHOLD_PROJECT"] = str(project)
    declared = fh.task(reference="frontier")(triage)

    async def acall() -> Any:
        return await declared.acall(MESSAGE)

    @fh.pipeline
    async def twenty() -> None:
        for _ in range(20):
            await declared.acall(MESSAGE)

    def more() -> dict[str, Any]:
        async def several() -> float:
            for _ in range(5):
                await twenty()
            began = time.perf_counter()
            for _ in range(20):
                await twenty()
            return (time.perf_counter() - began) / 20 * 1e3

        return {"pipeline_ms": round(asyncio.run(several()), 2)}

    return lambda: declared(MESSAGE), acall, more


def litellm(url: str) -> tuple[Call, ACall, Callable[[], dict[str, Any]]]:
    """LiteLLM's SDK."""
    import litellm as peer
    from pydantic import BaseModel

    class Triage(BaseModel):
        queue: Literal["cards", "transfers", "fraud", "other"]
        urgent: bool

    asked = {
        "model": "openai/frontier",
        "api_base": url,
        "api_key": "none",
        "messages": [{"role": "system", "content": INSTRUCTION}, {"role": "user", "content": MESSAGE}],
        "response_format": Triage,
    }

    def call() -> Any:
        return Triage.model_validate_json(peer.completion(**asked).choices[0].message.content)

    async def acall() -> Any:
        return Triage.model_validate_json((await peer.acompletion(**asked)).choices[0].message.content)

    return call, acall, nothing


def dspy(url: str) -> tuple[Call, ACall, Callable[[], dict[str, Any]]]:
    """DSPy's Predict over a typed signature, its cache off."""
    import dspy as peer

    class Triage(peer.Signature):  # type: ignore[misc]
        """Decide which queue should answer this customer and whether it is urgent."""

        message: str = peer.InputField()
        queue: Literal["cards", "transfers", "fraud", "other"] = peer.OutputField()
        urgent: bool = peer.OutputField()

    model = peer.LM("openai/frontier", api_base=url, api_key="none", cache=False)
    peer.configure(lm=model, adapter=peer.JSONAdapter())
    predict = peer.Predict(Triage)
    return lambda: predict(message=MESSAGE), lambda: predict.acall(message=MESSAGE), nothing


def langchain(url: str) -> tuple[Call, ACall, Callable[[], dict[str, Any]]]:
    """LangChain's chat model with structured output, as a runnable behind a prompt."""
    from langchain_core.prompts import ChatPromptTemplate
    from langchain_openai import ChatOpenAI
    from pydantic import BaseModel

    class Triage(BaseModel):
        queue: Literal["cards", "transfers", "fraud", "other"]
        urgent: bool

    model = ChatOpenAI(model="frontier", base_url=url, max_retries=0)
    chain = ChatPromptTemplate.from_messages([("system", INSTRUCTION), ("user", "{message}")]) | model.with_structured_output(
        Triage, method="json_schema"
    )
    return lambda: chain.invoke({"message": MESSAGE}), lambda: chain.ainvoke({"message": MESSAGE}), nothing


def pydantic_ai(url: str) -> tuple[Call, ACall, Callable[[], dict[str, Any]]]:
    """pydantic-ai's agent with native structured output."""
    from pydantic import BaseModel
    from pydantic_ai import Agent, NativeOutput
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    class Triage(BaseModel):
        queue: Literal["cards", "transfers", "fraud", "other"]
        urgent: bool

    agent = Agent(
        OpenAIChatModel("frontier", provider=OpenAIProvider(base_url=url, api_key="none")),
        output_type=NativeOutput(Triage),
        system_prompt=INSTRUCTION,
    )

    async def acall() -> Any:
        return (await agent.run(MESSAGE)).output

    return lambda: agent.run_sync(MESSAGE).output, acall, nothing


SUBJECTS = {
    "plain": plain,
    "freehold": freehold,
    "litellm": litellm,
    "dspy": dspy,
    "langchain": langchain,
    "pydantic_ai": pydantic_ai,
}

if __name__ == "__main__":
    main()
