"""LiteLLM as a client, in an environment of its own, by either door and with a provider of either format behind."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.test_clients import CITIES, SAID, calls_tools, fails
from tests.e2e.test_gateway import running
from tests.upstream import Said, answered

PEER = Path(__file__).parents[2] / ".peers" / "litellm"
OFFLINE = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}


def answers(said: Said) -> Iterator[bytes]:
    """By the words of the question."""
    content = said.body["messages"][-1]["content"]
    words = content if isinstance(content, str) else content[0]["text"]
    return {"tools": calls_tools, "fail": fails(429)}.get(words, answered)(said)


@pytest.mark.skipif(not (PEER / "installed").exists(), reason="LiteLLM is not installed: scripts/setup-peers.sh litellm")
def test_it_is_answered(tmp_path: Path) -> None:
    with running(tmp_path, []) as served:
        served.provider.answer = answers
        command = [str(PEER / "bin" / "python"), str(Path(__file__).with_name("litellm_client.py")), f"http://127.0.0.1:{served.port}"]
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | OFFLINE
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
        assert ended.returncode == 0, ended.stderr[-4_000:]
        told: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
        calls = [["weather", {"city": city}] for _, city in CITIES]
        expected = {"whole": SAID, "usage": 100, "streamed": SAID, "async": SAID, "calls": calls, "failed": "RateLimitError"}
        assert told == dict.fromkeys(("openai frontier", "openai claude", "anthropic frontier", "anthropic claude"), expected)
