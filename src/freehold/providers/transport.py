"""Connections to whom we call: HTTP/1.1 over pooled sockets, one read and one write for each side of a call, no task but to connect.

Callbacks, not coroutines: on the way of every request a future costs more than what it waits for. `Receiver` hears what comes back.
"""

import asyncio
import ssl
from base64 import b64encode
from collections.abc import Sequence
from typing import NamedTuple, Protocol, cast
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import httptools

from freehold.errors import OperatorError, ProviderError

MOST_IDLE = 256
"""Connections to one origin that are kept for later."""
MOST_HEADER_BYTES = 64 * 1024

Headers = Sequence[tuple[bytes, bytes]]


class NotConnected(ProviderError):
    """No connection stood, so that nothing was sent and nothing is paid for."""

    def __init__(self, message: str, is_late: bool) -> None:
        super().__init__(message)
        self.is_late = is_late
        """Whether it is because it took too long."""


class Origin(NamedTuple):
    """Where a provider listens."""

    host: str
    port: int
    is_tls: bool
    prefix: str
    """The path before every route, such as `/v1`; no slash at its end."""

    @property
    def authority(self) -> str:
        """What the Host header says."""
        usual = self.port == (443 if self.is_tls else 80)
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if usual else f"{host}:{self.port}"


class Proxy(NamedTuple):
    """An HTTP proxy between us and an origin."""

    host: str
    port: int
    authorization: str
    """What `Proxy-Authorization` says; empty for nothing."""


def proxy_for(origin: Origin) -> Proxy | None:
    """The proxy that the environment names for an origin (`HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`); None for none. Raises OperatorError."""
    url = getproxies().get("https" if origin.is_tls else "http")
    if not url or proxy_bypass(origin.host):
        return None
    parts = urlsplit(url if "://" in url else f"http://{url}")
    try:
        port = parts.port or 80
    except ValueError:
        port = 0
    if parts.scheme != "http" or not parts.hostname or not port:
        raise OperatorError("the environment names a proxy that is no address of an HTTP proxy; expected such as http://proxy.example:3128")
    name, password = unquote(parts.username or ""), unquote(parts.password or "")
    known = f"Basic {b64encode(f'{name}:{password}'.encode()).decode()}" if name or password else ""
    return Proxy(parts.hostname, port, known)


def origin_of(url: str) -> Origin:
    """The origin a base URL names. Raises OperatorError."""
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = -1
    if parts.scheme not in ("http", "https") or not parts.hostname or port == -1 or parts.query or parts.fragment:
        raise OperatorError(f"base_url '{url}' is no address; expected such as https://api.openai.com/v1")
    if parts.username is not None or parts.password is not None:
        raise OperatorError("a base_url holds a name or a password; keys stand in environment variables, and key_env names them")
    is_tls = parts.scheme == "https"
    return Origin(parts.hostname, port or (443 if is_tls else 80), is_tls, parts.path.rstrip("/"))


class Receiver(Protocol):
    """Who hears what comes back. After `on_end` or `on_failure` nothing more is said."""

    def on_head(self, status: int, headers: Headers) -> None:
        """The status and the headers, names in lower case."""

    def on_data(self, data: bytes) -> None:
        """A piece of the body."""

    def on_end(self) -> None:
        """The body is whole."""

    def on_failure(self, error: ProviderError) -> None:
        """Nothing more comes."""


class Pool:
    """The connections to one origin. The one used last is used next, so that few stay warm and the others run out."""

    def __init__(self, origin: Origin, proxy: Proxy | None = None, context: ssl.SSLContext | None = None) -> None:
        self.origin = origin
        self._proxy = proxy
        self.context = context if context is not None else ssl.create_default_context() if origin.is_tls else None
        """How the other side has to prove who it is; None for plain addresses."""
        self._idle: list[Connection] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, data: bytes, receiver: Receiver, connect_s: float) -> "Ticket":
        """Sends a request and gives the way to stop listening. Nothing is ever sent twice: what was sent may have been paid for."""
        while self._idle:
            connection = self._idle.pop()
            if not connection.transport.is_closing():
                ticket = Ticket(receiver)
                connection.begin(data, ticket)
                return ticket
        ticket = Ticket(receiver)
        task = asyncio.get_running_loop().create_task(self._connect(data, ticket, connect_s))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return ticket

    async def _connect(self, data: bytes, ticket: "Ticket", connect_s: float) -> None:
        try:
            async with asyncio.timeout(connect_s):
                connection = await self._connected()
        except TimeoutError:
            ticket.fail(NotConnected(f"{self.origin.authority} took no connection within {connect_s:g} s", is_late=True))
        except (OSError, ssl.SSLError) as error:
            ticket.fail(NotConnected(f"{self.origin.authority} takes no connection: {error.strerror or error}", is_late=False))
        else:
            if ticket.is_over:
                connection.transport.close()
            else:
                connection.begin(data, ticket)

    async def _connected(self) -> "Connection":
        """A new connection, through the proxy where there is one."""
        loop, origin, proxy = asyncio.get_running_loop(), self.origin, self._proxy
        name = origin.host if origin.is_tls else None
        if proxy is None:
            _, connection = await loop.create_connection(
                lambda: Connection(self), origin.host, origin.port, ssl=self.context, server_hostname=name
            )
            return connection
        if self.context is None:  # a plain request names its whole address, and the proxy reads it
            _, connection = await loop.create_connection(lambda: Connection(self), proxy.host, proxy.port)
            return connection
        transport, tunnel = await loop.create_connection(lambda: Tunnel(origin, proxy), proxy.host, proxy.port)
        try:
            await tunnel.stands
            connection = Connection(self)
            secured = await loop.start_tls(transport, connection, self.context, server_hostname=name)
        except BaseException:
            transport.abort()
            raise
        assert secured is not None
        connection.connection_made(secured)
        return connection

    def keep(self, connection: "Connection") -> None:
        """Takes a connection back whose answer is whole."""
        if len(self._idle) < MOST_IDLE:
            self._idle.append(connection)
        else:
            connection.transport.close()

    def drop(self, connection: "Connection") -> None:
        """Forgets a connection that has ended."""
        if connection in self._idle:
            self._idle.remove(connection)

    def close(self) -> None:
        """Ends what is idle, and what is being connected."""
        for task in self._tasks:
            task.cancel()
        for connection in list(self._idle):
            connection.transport.close()


class Tunnel(asyncio.Protocol):
    """Asks a proxy for a way through to an origin. `stands` ends when there is one, with OSError where there is none."""

    def __init__(self, origin: Origin, proxy: Proxy) -> None:
        self.stands: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        host = f"[{origin.host}]" if ":" in origin.host else origin.host
        authorization = f"proxy-authorization: {proxy.authorization}\r\n" if proxy.authorization else ""
        self._request = f"CONNECT {host}:{origin.port} HTTP/1.1\r\nhost: {host}:{origin.port}\r\n{authorization}\r\n".encode()
        self._told = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).write(self._request)

    def data_received(self, data: bytes) -> None:
        self._told += data
        head, end, rest = self._told.partition(b"\r\n\r\n")
        if self.stands.done() or (not end and len(head) <= MOST_HEADER_BYTES):
            return
        status = head.split(b" ", 2)[1:2]
        if end and not rest and status == [b"200"]:
            self.stands.set_result(None)
        else:
            self.stands.set_exception(OSError(f"the proxy lets nobody through: {head[:60].decode('latin-1').splitlines()[0]}"))

    def connection_lost(self, error: Exception | None) -> None:
        if not self.stands.done():
            self.stands.set_exception(OSError("the proxy closed the connection"))


class Ticket:
    """A request on its way. Whoever sent it may stop listening, and wait with reading."""

    __slots__ = ("_connection", "_is_paused", "is_over", "receiver")

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver
        self.is_over = False
        self._connection: Connection | None = None
        self._is_paused = False

    def sent_on(self, connection: "Connection") -> None:
        """The request has gone out on this connection."""
        self._connection = connection
        if self._is_paused:
            connection.transport.pause_reading()

    def cancel(self) -> None:
        """Listens no more. The connection is ended, for what is on its way in would be taken for the next answer."""
        self.is_over = True
        if self._connection is not None:
            self._connection.transport.abort()

    def pause(self) -> None:
        """Reads nothing until `resume`: whoever gets it has no room."""
        self._is_paused = True
        if self._connection is not None:
            self._connection.transport.pause_reading()

    def resume(self) -> None:
        """Reads on."""
        self._is_paused = False
        if self._connection is not None and not self.is_over:
            self._connection.transport.resume_reading()

    def end(self) -> None:
        """The answer is whole."""
        if not self.is_over:
            self.is_over = True
            self.receiver.on_end()

    def fail(self, error: ProviderError) -> None:
        """Nothing more comes."""
        if not self.is_over:
            self.is_over = True
            self.receiver.on_failure(error)


class Connection(asyncio.Protocol):
    """One socket to an origin, which carries one request at a time."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self.transport: asyncio.Transport = cast(asyncio.Transport, None)
        self._ticket: Ticket | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._headers: list[tuple[bytes, bytes]] = []
        self._header_bytes = 0
        self._has_head = False
        self._is_whole = False
        self._may_stay = False

    def begin(self, data: bytes, ticket: Ticket) -> None:
        """Sends a request; its ticket hears the answer."""
        self._ticket = ticket
        self._headers, self._header_bytes, self._has_head, self._is_whole = [], 0, False, False
        ticket.sent_on(self)
        self.transport.write(data)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._pool.drop(self)
        ticket, self._ticket = self._ticket, None
        if ticket is None:
            return
        if self._has_head and error is None and self._ends_with_the_connection():
            ticket.end()
        else:
            how = "in the middle of its answer" if self._has_head else "without an answer"
            ticket.fail(ProviderError(f"{self._pool.origin.authority} closed the connection {how}"))

    def _ends_with_the_connection(self) -> bool:
        """Whether the end of the body is the end of the connection: no length was said, and it does not come in chunks."""
        return not any(name in (b"content-length", b"transfer-encoding") for name, _ in self._headers)

    def data_received(self, data: bytes) -> None:
        if self._ticket is None:  # said without being asked
            self.transport.abort()
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self._is_whole:
                self._broken(f"{self._pool.origin.authority} answered with what is not HTTP: {error}")
                return
            self._may_stay = False  # what came after the answer is nobody's
        if self._is_whole:
            self._end()

    def _end(self) -> None:
        """The answer is whole, and all that came with it has been read: only now may another request go out on this connection."""
        ticket, self._ticket = self._ticket, None
        if self._may_stay and not self.transport.is_closing():
            self._pool.keep(self)
        else:
            self.transport.close()
        if ticket is not None:
            ticket.end()

    def _broken(self, message: str) -> None:
        ticket, self._ticket = self._ticket, None
        self.transport.abort()
        if ticket is not None:
            ticket.fail(ProviderError(message))

    # httptools calls these.

    def on_message_begin(self) -> None:
        if self._is_whole:
            raise ValueError("two answers to one request")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > MOST_HEADER_BYTES:
            raise ValueError("headers of more than 64 KiB")
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:  # 100 Continue and its like come before the answer
            self._headers = []
            return
        self._has_head = True
        self._may_stay = self._parser.should_keep_alive()
        if self._ticket is not None and not self._ticket.is_over:
            self._ticket.receiver.on_head(status, self._headers)

    def on_body(self, body: bytes) -> None:
        if self._ticket is not None and not self._ticket.is_over:
            self._ticket.receiver.on_data(body)

    def on_message_complete(self) -> None:
        self._is_whole = self._has_head


def request_head(origin: Origin, method: str, path: str, headers: Sequence[tuple[str, str]], proxy: Proxy | None = None) -> bytes:
    """The beginning of a request that is the same for all of them; a length and the body follow."""
    address = origin.prefix + path
    if proxy is not None and not origin.is_tls:
        address = f"http://{origin.authority}{address}"
        headers = [*headers, ("proxy-authorization", proxy.authorization)] if proxy.authorization else headers
    lines = [f"{method} {address} HTTP/1.1", f"host: {origin.authority}", *(f"{name}: {value}" for name, value in headers)]
    if any("\r" in line or "\n" in line or "\0" in line for line in lines):
        raise OperatorError("an address or a key holds a line end, and cannot be sent")
    return "".join(f"{line}\r\n" for line in lines).encode()


def request(head: bytes, body: bytes, more: bytes = b"") -> bytes:
    """The whole request. `more`: header lines of this one alone."""
    return b"%b%bcontent-length: %d\r\n\r\n%b" % (head, more, len(body), body)
