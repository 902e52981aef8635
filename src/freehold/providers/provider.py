"""Whom we call: a row of the configuration, its format, and the pool of connections to it."""

import os
from typing import NamedTuple

from freehold.chat import JSON
from freehold.errors import OperatorError
from freehold.gateway.formats import EMBEDDINGS, FORMATS, Format
from freehold.providers.transport import Pool, origin_of, proxy_for, request, request_head
from freehold.tables import ProviderTable
from freehold.telemetry.event import Peer

_ADDRESSES = {"openai": "https://api.openai.com/v1", "anthropic": "https://api.anthropic.com/v1"}


def why_no_key(name: str, table: ProviderTable) -> str:
    """Why a provider cannot be called for want of its key; empty where it has one, or needs none."""
    if table.key_env is None or os.environ.get(table.key_env):
        return ""
    return f"providers.{name}: the environment variable {table.key_env} is not set. It holds the key of '{name}'."


class Provider:
    """A provider that is ready to be called."""

    def __init__(self, name: str, table: ProviderTable) -> None:
        """Raises OperatorError where the row cannot be called: its kind, its address, or the key it names."""
        if table.kind not in FORMATS:
            raise OperatorError(f"providers.{name}: nothing calls providers of kind '{table.kind}' yet; expected {' or '.join(FORMATS)}")
        self.name = name
        self.format: Format = FORMATS[table.kind]
        if why := why_no_key(name, table):
            raise OperatorError(why)
        key = os.environ.get(table.key_env, "") if table.key_env else ""
        origin = origin_of(table.base_url or _ADDRESSES[table.kind])
        self.headers = [("accept-encoding", "identity"), ("user-agent", "freehold")]
        """What every request says of itself, the key with it."""
        self.headers += self.format.credentials(key) if key or table.kind == "anthropic" else []
        headers = [("content-type", "application/json"), *self.headers]
        proxy = self.proxy = proxy_for(origin)
        self._heads = {path: request_head(origin, "POST", path, headers, proxy) for path in (self.format.path, EMBEDDINGS.path)}
        self.pool = Pool(origin, proxy)
        self.peer = Peer(name, table.kind, origin.host, origin.port)

    def request(self, path: str, body: bytes, more: bytes = b"") -> bytes:
        """The bytes that ask for something at a path of its format. `more`: header lines of this request alone."""
        return request(self._heads[path], body, more)


class Target(NamedTuple):
    """Who is asked."""

    variant: str
    """What the journal and policies call it."""
    provider: Provider
    model: str
    """The name its provider knows it by."""
    health: str
    """Under which name its failures are counted: a configured model's own, else its provider's, for anybody can make up names."""


def named(body: dict[str, JSON], model: str) -> dict[str, JSON]:
    """A body with another model's name in it."""
    return body if body.get("model") == model else {**body, "model": model}
