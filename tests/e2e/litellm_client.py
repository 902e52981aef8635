"""Run by LiteLLM's own Python: asks a gateway as LiteLLM's users do and prints what came of it. `litellm_client.py URL`"""

import asyncio
import json
import sys
from typing import Any

import litellm

TOOLS = [
    {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}
]


def main(url: str) -> None:
    doors = {"openai": {"model": "openai/MODEL", "api_base": f"{url}/v1"}, "anthropic": {"model": "anthropic/MODEL", "api_base": url}}
    told: dict[str, Any] = {}
    for door, about in doors.items():
        for model in ("frontier", "claude"):
            ask = {**about, "model": about["model"].replace("MODEL", model), "api_key": "mine", "max_tokens": 50, "num_retries": 0}
            told[f"{door} {model}"] = of(ask)
    print(json.dumps(told))


def of(ask: dict[str, Any]) -> dict[str, Any]:
    """What comes of one door and model."""
    plain = {**ask, "messages": [{"role": "user", "content": "What is this?"}]}
    whole = litellm.completion(**plain)
    streamed = list(litellm.completion(**plain, stream=True))
    tools = litellm.completion(**{**ask, "messages": [{"role": "user", "content": "tools"}]}, tools=TOOLS)
    calls = tools.choices[0].message.tool_calls
    try:
        litellm.completion(**{**ask, "messages": [{"role": "user", "content": "fail"}]})
        failed = ""
    except Exception as error:  # noqa: BLE001 which one it is is what is asked
        failed = type(error).__name__
    return {
        "whole": whole.choices[0].message.content,
        "usage": whole.usage.prompt_tokens,
        "streamed": "".join(chunk.choices[0].delta.content or "" for chunk in streamed if chunk.choices),
        "async": asyncio.run(litellm.acompletion(**plain)).choices[0].message.content,
        "calls": [[call.function.name, json.loads(call.function.arguments)] for call in calls],
        "failed": failed,
    }


if __name__ == "__main__":
    main(sys.argv[1])
