"""One request at leisure: uploads, looks at what is under way, downloads. In a thread, from disk and to disk, within its deadlines.

What is asked on the way of a call goes through `transport.py`. This is for bodies of hundreds of megabytes, which nobody holds in memory.
"""

import asyncio
import http.client
import socket
import ssl
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

from freehold.errors import ProviderError
from freehold.providers.asking import retry_after_of
from freehold.providers.provider import Provider

MOST_TOLD_BYTES = 32 * 2**20
_BLOCK_BYTES = 2**18
_CONNECT_S = 10.0
_BETWEEN_S = 120.0


class NothingSent(ProviderError):
    """No connection stood, so that nothing of the request arrived."""


class Told(NamedTuple):
    """What a provider answered."""

    status: int
    """The HTTP status."""
    body: bytes
    """The body; empty where it went to a file."""
    retry_after_s: float | None
    """When it says that it may be asked again."""


class Ask(NamedTuple):
    """What is asked."""

    method: str
    """Such as GET."""
    path: str
    """Below the base URL."""
    body: Sequence[bytes | Path] = ()
    """Pieces that are sent one after the other: bytes, and files whole."""
    type: str = "application/json"
    """What the body is."""
    into: BinaryIO | None = None
    """Where the body of a good answer goes; None to hold it in memory."""
    most_bytes: int = MOST_TOLD_BYTES
    """How large an answer may be."""
    total_s: float = 600.0
    """How long all of it may take."""


async def ask(provider: Provider, asked: Ask) -> Told:
    """Asks, once. Raises NothingSent and ProviderError. Where the caller is cancelled the connection is ended."""
    call = _Call(provider, asked)
    try:
        async with asyncio.timeout(asked.total_s + _CONNECT_S):
            return await asyncio.to_thread(call.through)
    except TimeoutError:
        raise ProviderError(f"'{provider.name}' took longer than {asked.total_s:g} s for {asked.method} {asked.path}") from None
    finally:
        call.end()


class _Call:
    def __init__(self, provider: Provider, asked: Ask) -> None:
        self._provider = provider
        self._asked = asked
        self._socket: socket.socket | None = None
        self._ends_at = time.monotonic() + asked.total_s

    def end(self) -> None:
        """Ends the connection, in whichever thread it is used; nothing more is sent."""
        self._ends_at = 0.0
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def through(self) -> Told:
        asked, name = self._asked, self._provider.name
        connection = self._connection()
        try:
            try:
                connection.connect()
            except (OSError, ssl.SSLError, http.client.HTTPException) as error:
                raise NothingSent(f"'{name}' takes no connection: {_words(error)}") from None
            self._socket = connection.sock
            try:
                with suppress(BrokenPipeError, ConnectionResetError):  # it may have answered before it had heard all, such as with a 413
                    self._send(connection)
                return self._hear(connection.getresponse())
            except TimeoutError:
                raise ProviderError(f"'{name}' was silent for too long at {asked.method} {asked.path}") from None
            except (OSError, ssl.SSLError, http.client.HTTPException) as error:
                raise ProviderError(f"'{name}' broke off {asked.method} {asked.path}: {_words(error)}") from None
        finally:
            connection.close()
            self._socket = None

    def _connection(self) -> http.client.HTTPConnection:
        origin, proxy = self._provider.pool.origin, self._provider.proxy
        host, port = (origin.host, origin.port) if proxy is None else (proxy.host, proxy.port)
        if not origin.is_tls:
            return http.client.HTTPConnection(host, port, timeout=_CONNECT_S)
        connection = http.client.HTTPSConnection(host, port, timeout=_CONNECT_S, context=self._provider.pool.context)
        if proxy is not None:
            known = {"proxy-authorization": proxy.authorization} if proxy.authorization else {}
            connection.set_tunnel(origin.host, origin.port, known)
        return connection

    def _send(self, connection: http.client.HTTPConnection) -> None:
        asked, origin, proxy = self._asked, self._provider.pool.origin, self._provider.proxy
        target = origin.prefix + asked.path
        headers = list(self._provider.headers)
        if proxy is not None and not origin.is_tls:
            target = f"http://{origin.authority}{target}"
            headers += [("proxy-authorization", proxy.authorization)] if proxy.authorization else []
        connection.putrequest(asked.method, target, skip_host=True, skip_accept_encoding=True)
        for field, value in (("host", origin.authority), *headers):
            connection.putheader(field, value)
        if asked.body or asked.method == "POST":
            length = sum(len(piece) if isinstance(piece, bytes) else piece.stat().st_size for piece in asked.body)
            connection.putheader("content-type", asked.type)
            connection.putheader("content-length", str(length))
        self._may_go_on(connection)
        connection.endheaders()
        for piece in asked.body:
            if isinstance(piece, bytes):
                self._may_go_on(connection)
                connection.send(piece)
                continue
            with piece.open("rb") as file:
                while block := file.read(_BLOCK_BYTES):
                    self._may_go_on(connection)
                    connection.send(block)
        self._may_go_on(connection)

    def _may_go_on(self, connection: http.client.HTTPConnection) -> None:
        left = self._ends_at - time.monotonic()
        if left <= 0:
            raise TimeoutError
        connection.sock.settimeout(min(left, _BETWEEN_S))

    def _hear(self, response: http.client.HTTPResponse) -> Told:
        asked = self._asked
        is_good = response.status == 200
        body = bytearray()
        size, most = 0, asked.most_bytes if is_good else MOST_TOLD_BYTES
        while block := self._read(response):
            size += len(block)
            if size > most:
                raise ProviderError(f"'{self._provider.name}' answered {asked.method} {asked.path} with more than {most // 2**20} MiB")
            if asked.into is not None and is_good:
                asked.into.write(block)
            else:
                body += block
        if response.length:
            raise http.client.IncompleteRead(b"", response.length)
        headers = [(name.lower().encode("latin-1"), value.encode("latin-1", "replace")) for name, value in response.getheaders()]
        return Told(response.status, bytes(body), retry_after_of(headers, time.time()))

    def _read(self, response: http.client.HTTPResponse) -> bytes:
        left = self._ends_at - time.monotonic()
        if left <= 0:
            raise TimeoutError
        if self._socket is not None:
            with suppress(OSError):  # it may have closed with the answer's end
                self._socket.settimeout(min(left, _BETWEEN_S))
        return response.read1(_BLOCK_BYTES)


def _words(error: Exception) -> str:
    """What went wrong, without what was sent."""
    if isinstance(error, http.client.IncompleteRead):
        return "the answer is not whole"
    if isinstance(error, OSError):
        return error.strerror or str(error) or type(error).__name__
    return type(error).__name__
