"""The OpenAPI document is true: whatever it allows is taken, whatever it does not is refused, and every answer is one that it describes."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from test_gateway import ASKED, TOML, Served, running

from freehold.gateway.openapi import document

SAME = {"/v1/chat/completions": "frontier", "/v1/messages": "claude"}
OTHER = {"/v1/chat/completions": "claude", "/v1/messages": "frontier"}
"""What each door asks for, so that every request is read and said in the other format."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    public = "[feedback]\npublic = true\naddress_per_hour = 100000\nauthor_per_day = 100000\nissuer_per_hour = 100000\n"
    with running(tmp_path_factory.mktemp("served"), [], TOML + public) as found:
        yield found


def tried(served: Served, asked: dict[str, str], *options: str) -> None:
    """Runs schemathesis on the document with the same cases each time; fails with what it says."""
    raw = served.openai().chat.completions.with_raw_response.create(model="frontier", messages=ASKED)
    path = served.project / "openapi.json"
    path.write_bytes(document())
    hooks = {
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]),
        "SCHEMATHESIS_HOOKS": "strict_client",
        "FREEHOLD_ASKED": json.dumps(asked),
        "FREEHOLD_CALL": raw.headers["x-freehold-call"],
        "FREEHOLD_SECRET": str(served.project / "feedback.secret"),
    }
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", str(path), "--url", f"http://127.0.0.1:{served.port}", "--no-color"),
        *("--generation-deterministic", "--max-examples", "15", "--continue-on-failure"),
        *options,
    ]
    ended = subprocess.run(
        command, env={**os.environ, **hooks}, cwd=served.project, capture_output=True, text=True, check=False, timeout=300
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_every_request_that_it_allows_is_taken(served: Served) -> None:
    """Of a model whose provider speaks the caller's format."""
    tried(served, SAME, "--mode", "positive", "--phases", "coverage,fuzzing")


def test_every_request_that_it_does_not_allow_is_refused(served: Served) -> None:
    """Of a model whose provider speaks the other format: what is asked in its own is for the provider to judge."""
    tried(served, OTHER, "--mode", "negative", "--phases", "coverage")


def test_every_answer_is_one_that_it_describes(served: Served) -> None:
    """Whatever is asked; not all that is allowed can be said in the other format."""
    tried(served, OTHER, "--mode", "all", "--phases", "fuzzing", "--exclude-checks", "positive_data_acceptance")


def test_it_describes_every_route(served: Served) -> None:
    """And each body of the SDKs' own, as other tests send them, fits."""
    described: dict[str, Any] = json.loads(document())
    assert described["openapi"].startswith("3.1.")
    routes = {"/v1/chat/completions", "/v1/messages", "/v1/embeddings", "/v1/feedback", "/v1/models", "/healthz", "/readyz", "/metrics"}
    routes |= {"/v1/feedback/tokens", "/v1/feedback/public"}
    routes |= {f"/v1/review/{name}" for name in ("join", "queues", "next", "verdict", "skip", "flag", "undo")}
    routes |= {"/v1/calls/{id}", "/v1/expert/asks", "/v1/expert/answers"}
    assert set(described["paths"]) == routes | {"/openapi.json"}
    with_definitions = {"$ref": "#/components/schemas/ChatCompletionRequest", "components": described["components"]}
    validator = jsonschema.Draft202012Validator(with_definitions)
    assert validator.is_valid({"model": "frontier", "messages": ASKED, "temperature": 0.5, "logprobs": None})
    assert not validator.is_valid({"model": "frontier", "messages": "Hi"})
    assert validator.is_valid({"model": "frontier", "prompt": "Hi"}) and validator.is_valid({"model": "frontier", "prompt": ["Hi"]})
    assert not any(validator.is_valid({"model": "frontier", **said}) for said in ({}, {"prompt": None}, {"prompt": ["a", "b"]}))
