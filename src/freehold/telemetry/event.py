"""What is told of a call that has ended, and of whoever was asked for it."""

from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

import msgspec

from freehold.chat import JSON, Usage
from freehold.telemetry.trace import Trace

Door: TypeAlias = Literal["openai", "anthropic"]
Operation: TypeAlias = Literal["chat", "embeddings"]


class Peer(NamedTuple):
    """Somebody else's service, made once for each provider."""

    name: str
    """What the configuration calls it."""
    kind: str
    """Which format it speaks, which is what OpenTelemetry names a provider by."""
    address: str
    """The host it listens at."""
    port: int
    """The port it listens at."""


class Tried(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One request to one variant."""

    variant: str
    """Who was asked."""
    model: str
    """The model that was asked for, by the provider's name of it."""
    peer: Peer | None
    """Whose service it is; None for what answers on this machine."""
    cause: str
    """Why it was asked: `first`, `retry`, `fallback`, `hedge`, `escalation`."""
    outcome: str
    """How it ended, in the journal's words."""
    started: float
    """When it was asked, in seconds since 1970 UTC."""
    seconds: float
    """How long it took."""
    first_chunk_s: float | None = None
    """Until the first piece of a stream; None where none came."""
    per_chunk: Sequence[float] = ()
    """How long each further piece took, as a series of `PER_CHUNK` holds it; empty where none came."""
    usage: Usage | None = None
    """What it used; None where nobody said."""
    response_id: str = ""
    """The provider's id of the answer."""
    response_model: str = ""
    """The model that answered, by the provider's name."""
    finish_reasons: tuple[str, ...] = ()
    """Why each of its answers ended."""
    error: str = ""
    """What kind of thing went wrong, of a few there are, such as `timeout` or `429`; empty where nothing did."""
    span: str = ""
    """The id of its span, as `Trace.hop` gave it."""


class Finished(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A call that has ended, however it did."""

    call: str
    """Its id in the journal."""
    door: Door
    """The format its caller speaks."""
    operation: Operation
    """What was asked for."""
    route: str
    """The path that was asked, such as `/v1/messages`."""
    requested_model: str
    """The model its caller asked for."""
    variant: str
    """Who answered, or was asked last."""
    outcome: str
    """How it ended, in the journal's words."""
    status: int
    """The HTTP status its caller was told."""
    stream: bool
    """Whether its caller asked for a stream."""
    started: float
    """When its request was whole, in seconds since 1970 UTC."""
    seconds: float
    """From then to its answer's last byte."""
    upstream_s: float
    """How much of that was waiting for whoever was asked; the rest is our own overhead."""
    attempts: tuple[Tried, ...]
    """Every request made for it, in order."""
    first_byte_s: float | None = None
    """Until its answer's first byte; None where there was none."""
    task: str | None = None
    """The task it belongs to."""
    policy: str | None = None
    """The hash of the policy that chose."""
    cost_usd: float | None = None
    """What it cost; None is unknown, never 0."""
    trace: Trace | None = None
    """The trace it is part of."""
    asked: JSON = None
    """Its input as the journal keeps it, for `[telemetry] content = true` alone."""
    answered: JSON = None
    """Its output as the journal keeps it, likewise."""
