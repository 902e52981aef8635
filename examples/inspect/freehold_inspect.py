"""Freehold as a model provider of Inspect AI: `inspect eval arithmetic.py --model freehold/triage` asks the task of that name.

    pip install ./examples/inspect       # beside inspect-ai, into an environment of its own; Freehold need not be there
    freehold serve --project desk
    FREEHOLD_BASE_URL=http://127.0.0.1:4141/v1 inspect eval arithmetic.py --model freehold/triage

What Inspect asks goes through the gateway's OpenAI door, so that it is answered by the task's policy, journalled and paid like any other call.
`FREEHOLD_API_KEY` is a key of the gateway, where it has keys. A name that is no task is that of a model.
"""

import json
import os
from typing import Any
from urllib.request import Request, urlopen

from inspect_ai.model import GenerateConfig, ModelAPI, modelapi
from inspect_ai.model._providers.openai_compatible import OpenAICompatibleAPI

ADDRESS = "http://127.0.0.1:4141/v1"
_WAIT_S = 10


class FreeholdAPI(OpenAICompatibleAPI):
    """A gateway of Freehold's."""

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig | None = None,
        **more: Any,
    ) -> None:
        url = base_url or os.environ.get("FREEHOLD_BASE_URL", ADDRESS)
        key = api_key or os.environ.get("FREEHOLD_API_KEY", "unused")
        self._asked = _asked(url, key, model_name)
        super().__init__(model_name=model_name, base_url=url, api_key=key, config=config or GenerateConfig(), service="freehold", **more)

    def service_model_name(self) -> str:
        """The name that the gateway is asked for."""
        return self._asked


def _asked(url: str, key: str, name: str) -> str:
    """The task of that name where there is one, else the name as it is."""
    request = Request(f"{url}/models", headers={"authorization": f"Bearer {key}"})  # noqa: S310 the user's own address
    with urlopen(request, timeout=_WAIT_S) as answer:  # noqa: S310
        known = {model["id"] for model in json.load(answer)["data"]}
    return f"freehold/{name}" if f"freehold/{name}" in known else name


@modelapi(name="freehold")
def freehold() -> type[ModelAPI]:
    """The provider, by the name that models begin with."""
    return FreeholdAPI
