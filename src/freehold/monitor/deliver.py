"""Tells of alerts: by a signed webhook, by mail, by a program. What is due is claimed first, so that of several monitors one sends it.

A message is sent again where nobody knows whether it arrived, after a kill in the middle of sending: it carries an id of its own, by which
whoever gets it knows it again. Addresses and secrets come from the environment, and are in no log, no error and no row.
"""

import hashlib
import hmac
import http.client
import logging
import os
import shutil
import smtplib
import ssl
import subprocess
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec
from sqlalchemy import select, update

from freehold.errors import FreeholdError, OperatorError
from freehold.monitor.alerts import Alert, find
from freehold.store.open import Store
from freehold.store.schema import deliveries
from freehold.store.times import microseconds
from freehold.tables import CommandTable, EmailTable, MonitorTable, WebhookTable

MOST_TRIES = 6
"""Then it is given up, and `freehold monitor status` says so."""
_FIRST_WAIT_S = 30
_SENDING_S = 120
"""After so long without a word of it, who was sending is taken to be dead."""
_TIMEOUT_S = 10.0
_COMMAND_S = 30.0
_MOST_REPLY = 65_536
_AT_ONCE = 100
_log = logging.getLogger("freehold.monitor")


class Unset(OperatorError):
    """An environment variable is not set that holds what a channel needs."""


class Message(NamedTuple):
    """What is told to one channel."""

    id: str
    """The same each time it is sent."""
    event: str
    """`opened` or `closed`."""
    alert: Alert
    """What of."""

    def body(self) -> bytes:
        """As JSON."""
        return msgspec.json.encode({"id": self.id, "event": self.event, "alert": self.alert})


Send = Callable[[Message], None]
"""Tells somebody. Raises where that fails."""


class Report(NamedTuple):
    """What became of what was due."""

    sent: int
    failed: int
    """Tries that failed; what is left of their tries is made later."""


def channels_of(table: MonitorTable) -> tuple[str, ...]:
    """The channels that are configured."""
    return tuple(name for name in ("webhook", "email", "command") if getattr(table, name) is not None)


def senders(table: MonitorTable, folder: Path, environment: Mapping[str, str] = os.environ) -> dict[str, Send]:
    """How each channel is told. Raises OperatorError for a variable that is not set, or an address that is none."""
    return {name: _sender(table, name, folder, environment) for name in channels_of(table)}


def hindrances(table: MonitorTable, folder: Path, environment: Mapping[str, str] = os.environ) -> dict[str, OperatorError | None]:
    """Why each channel could tell nobody, as far as that shows without telling anybody; None where nothing does."""
    found: dict[str, OperatorError | None] = dict.fromkeys(channels_of(table))
    for name in found:
        try:
            _sender(table, name, folder, environment)
        except OperatorError as error:
            found[name] = error
    if table.command is not None and not _is_here(table.command, folder):
        found["command"] = OperatorError(f"monitor.command.run names '{table.command.run[0]}', which is no program that can be run here.")
    return found


def _sender(table: MonitorTable, name: str, folder: Path, environment: Mapping[str, str]) -> Send:
    """How a channel that is configured is told. Raises OperatorError."""
    if name == "webhook" and table.webhook is not None:
        return _webhook(table.webhook, environment)
    if name == "email" and table.email is not None:
        return _email(table.email, environment)
    assert table.command is not None
    return _command(table.command, folder)


def deliver(store: Store, tenant: str, senders: Mapping[str, Send], clock: Callable[[], datetime]) -> Report:
    """Sends what is due, oldest first."""
    d = deliveries.c
    sent = failed = 0
    with store.reading() as connection:
        is_due = d.state.in_(("due", "sending")) & (d.due <= microseconds(clock()))
        wanted = select(d.seq, d.alert, d.event, d.channel).where(d.tenant == tenant, is_due).order_by(d.seq).limit(_AT_ONCE)
        rows = connection.execute(wanted).all()
    for seq, alert, event, channel in rows:
        tries = _claim(store, seq, clock())
        if tries is None:
            continue
        message = Message(f"{alert}-{event}-{channel}", event, find(store, tenant, alert))
        error = _sent(senders.get(channel), message)
        _note(store, seq, tries, error, clock())
        sent, failed = sent + (error is None), failed + (error is not None)
        if error is not None:
            _log.warning("alert.undelivered: alert %s, channel '%s', try %d: %s", alert, channel, tries, error)
    return Report(sent, failed)


def undelivered(store: Store, tenant: str) -> list[dict[str, Any]]:
    """What was not told yet, or was given up, with the kind of its last failure."""
    d = deliveries.c
    wanted = select(d.alert, d.event, d.channel, d.state, d.tries, d.error).where(d.tenant == tenant, d.state != "sent").order_by(d.seq)
    with store.reading() as connection:
        return [dict(row._mapping) for row in connection.execute(wanted)]


def _claim(store: Store, seq: int, now: datetime) -> int | None:
    """Takes one for oneself: which try it is; None where somebody else has it."""
    d = deliveries.c
    mine = (d.seq == seq) & d.state.in_(("due", "sending")) & (d.due <= microseconds(now))
    values = {"state": "sending", "tries": d.tries + 1, "due": microseconds(now) + _SENDING_S * 1_000_000}
    with store.writing() as connection:
        taken: Any = connection.execute(update(deliveries).where(mine).values(values))
        tries: int | None = connection.execute(select(d.tries).where(d.seq == seq)).scalar()
        return tries if taken.rowcount else None


def _sent(send: Send | None, message: Message) -> str | None:
    """Tells; the kind of failure, without anything of the address; None where it was told."""
    if send is None:
        return "the channel is not configured"
    try:
        send(message)
    except FreeholdError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 the boundary to whoever is told: whatever happens there, watching goes on
        return type(error).__name__
    return None


def _note(store: Store, seq: int, tries: int, error: str | None, now: datetime) -> None:
    values: dict[str, Any] = {"state": "sent", "error": None}
    if error is not None:
        wait_s = _FIRST_WAIT_S * 4 ** (tries - 1)
        values = {"state": "failed" if tries >= MOST_TRIES else "due", "error": error, "due": microseconds(now) + wait_s * 1_000_000}
    with store.writing() as connection:
        connection.execute(update(deliveries).where(deliveries.c.seq == seq).values(values))


def signature(secret: str, at: int, body: bytes) -> str:
    """`t=TIME,v1=HEX`: HMAC-SHA256 of the time in seconds, a dot and the body."""
    return f"t={at},v1={hmac.new(secret.encode(), f'{at}.'.encode() + body, hashlib.sha256).hexdigest()}"


def _variable(environment: Mapping[str, str], name: str | None, where: str) -> str | None:
    if name is None:
        return None
    value = environment.get(name)
    if not value:
        raise Unset(f"{where} names the environment variable '{name}', which is not set. Set it before 'freehold monitor' begins.")
    return value


def _webhook(table: WebhookTable, environment: Mapping[str, str]) -> Send:
    url = urlsplit(_variable(environment, table.url_env, "monitor.webhook.url_env") or "")
    secret = _variable(environment, table.secret_env, "monitor.webhook.secret_env")
    if url.scheme not in ("http", "https") or not url.hostname or url.username is not None:
        raise OperatorError(f"The environment variable '{table.url_env}' holds no address such as https://hooks.example.com/alerts.")
    host, port, path = url.hostname, url.port, f"{url.path or '/'}{f'?{url.query}' if url.query else ''}"

    def send(message: Message) -> None:
        body = message.body()
        headers = {"content-type": "application/json", "user-agent": "freehold", "x-freehold-delivery": message.id}
        if secret is not None:
            headers["x-freehold-signature"] = signature(secret, int(datetime.now(UTC).timestamp()), body)
        kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
        connection = kind(host, port, timeout=_TIMEOUT_S)
        try:
            connection.request("POST", path, body, headers)
            reply = connection.getresponse()
            reply.read(_MOST_REPLY)
        finally:
            connection.close()
        if not 200 <= reply.status < 300:  # a redirect, too: what is signed goes where it was meant to
            raise OperatorError(f"the address answered {reply.status}")

    return send


def _email(table: EmailTable, environment: Mapping[str, str]) -> Send:
    user = _variable(environment, table.user_env, "monitor.email.user_env")
    password = _variable(environment, table.password_env, "monitor.email.password_env")

    def send(message: Message) -> None:
        alert, mail = message.alert, EmailMessage()
        mail["From"], mail["To"] = table.sender, ", ".join(table.to)
        mail["Subject"] = " ".join(f"[Freehold] {alert.task}: {alert.what.kind} alert {message.event}".split())
        mail["Message-ID"] = f"<{message.id}@freehold>"
        if message.event == "closed":
            mail["In-Reply-To"] = f"<{message.id.replace('-closed-', '-opened-')}@freehold>"
        mail.set_content(words(message))
        with _server(table) as server:
            if user is not None and password is not None:
                server.login(user, password)
            server.send_message(mail)

    return send


def _server(table: EmailTable) -> smtplib.SMTP:
    """A connection that is as safe as the table says: certificates are checked, which smtplib by itself does not."""
    if table.security == "tls":
        return smtplib.SMTP_SSL(table.host, table.port, timeout=_TIMEOUT_S, context=ssl.create_default_context())
    server = smtplib.SMTP(table.host, table.port, timeout=_TIMEOUT_S)
    if table.security == "starttls":
        server.starttls(context=ssl.create_default_context())
    return server


def _command(table: CommandTable, folder: Path) -> Send:
    def send(message: Message) -> None:
        ended = subprocess.run(
            table.run,
            cwd=folder,
            input=message.body(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_COMMAND_S,
            check=False,
        )
        if ended.returncode:
            raise OperatorError(f"the program ended with {ended.returncode}")

    return send


def _is_here(table: CommandTable, folder: Path) -> bool:
    """Whether its program is found: a path from the project's folder, a name alone among the system's programs."""
    program = table.run[0]
    return shutil.which(folder / program if "/" in program else program) is not None


def words(message: Message) -> str:
    """A message for people."""
    alert = message.alert
    lines = [alert.what.text, ""]
    if message.event == "closed":
        lines = [f"It is over: {alert.over}", "", f"It was: {alert.what.text}", ""]
    lines += [f"{name}: {value}" for name, value in alert.what.numbers.items()]
    lines += ["", f"Raised {alert.opened:%Y-%m-%d %H:%M} UTC. 'freehold monitor alerts' lists what is open;"]
    lines += [f"'freehold monitor acknowledge {alert.id}' says that you have seen it."]
    return "\n".join(lines) + "\n"
