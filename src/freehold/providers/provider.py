"""Whom we call: a row of the configuration, its format, and the pool of connections to it."""

import os
from typing import NamedTuple

from freehold.chat import JSON
from freehold.config import ProviderTable
from freehold.errors import OperatorError
from freehold.gateway.formats import FORMATS, Format
from freehold.providers.transport import Pool, origin_of, request, request_head

_ADDRESSES = {"openai": "https://api.openai.com/v1", "anthropic": "https://api.anthropic.com/v1"}


class Deadlines(NamedTuple):
    """How long each step may take, in seconds."""

    connect_s: float = 5.0
    first_byte_s: float = 120.0
    """From the request's last byte to the answer's first."""
    between_s: float = 60.0
    """From one piece of a stream to the next."""
    total_s: float = 600.0


class Provider:
    """A provider that is ready to be called."""

    def __init__(self, name: str, table: ProviderTable) -> None:
        """Raises OperatorError where the row cannot be called: its kind, its address, or the key it names."""
        if table.kind not in FORMATS:
            raise OperatorError(f"providers.{name}: nothing calls providers of kind '{table.kind}' yet; expected {' or '.join(FORMATS)}")
        self.name = name
        self.format: Format = FORMATS[table.kind]
        self.deadlines = Deadlines()
        key = os.environ.get(table.key_env, "") if table.key_env else ""
        if table.key_env and not key:
            raise OperatorError(f"providers.{name}: the environment variable {table.key_env} is not set. It holds the key of '{name}'.")
        origin = origin_of(table.base_url or _ADDRESSES[table.kind])
        headers = [("content-type", "application/json"), ("accept-encoding", "identity"), ("user-agent", "freehold")]
        headers += self.format.credentials(key) if key or table.kind == "anthropic" else []
        self._head = request_head(origin, "POST", self.format.path, headers)
        self.pool = Pool(origin)

    def request(self, body: bytes) -> bytes:
        """The bytes that ask for a chat."""
        return request(self._head, body)


class Target(NamedTuple):
    """Who is asked."""

    variant: str
    """What the journal and policies call it."""
    provider: Provider
    model: str
    """The name its provider knows it by."""


def named(body: dict[str, JSON], model: str) -> dict[str, JSON]:
    """A body with another model's name in it."""
    return body if body.get("model") == model else {**body, "model": model}
