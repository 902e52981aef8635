"""What these tests share: calls that have ended, as the gateway tells of them, and Prometheus's own parser."""

from typing import Any

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from freehold.chat import Usage
from freehold.telemetry.event import Finished, Peer, Tried

ONE = Peer("one", "openai", "api.example.org", 443)
USAGE = Usage(input_tokens=100, cached_read=60, cached_write=10, output_tokens=20, reasoning_tokens=5)
TRIED = Tried(
    variant="frontier",
    model="gpt-x",
    peer=ONE,
    cause="first",
    outcome="answered",
    started=1_750_000_000.0,
    seconds=0.5,
    usage=USAGE,
    response_id="chatcmpl-1",
    response_model="gpt-x-2026",
    finish_reasons=("stop",),
)
FINISHED = Finished(
    call="0197c0ffee",
    door="openai",
    operation="chat",
    route="/v1/chat/completions",
    requested_model="freehold/triage",
    variant="frontier",
    outcome="answered",
    status=200,
    stream=False,
    started=1_750_000_000.0,
    seconds=0.502,
    upstream_s=0.5,
    first_byte_s=0.501,
    task="triage",
    policy="ab12",
    cost_usd=0.003,
    attempts=(TRIED,),
)


def tried(**fields: Any) -> Tried:
    """A request to a variant, but for what is said."""
    return msgspec.structs.replace(TRIED, **fields)


def finished(**fields: Any) -> Finished:
    """A call, but for what is said."""
    return msgspec.structs.replace(FINISHED, **fields)


def read(text: bytes) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample by name and labels."""
    families = list(text_string_to_metric_families(text.decode()))
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}
