"""`freehold monitor` as people run it: told by a signed webhook, once; killed at any moment, and nothing is counted twice."""

import hashlib
import hmac
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Thread

import pytest
from sqlalchemy import select

from command import RUN, Ended, freehold
from freehold.evaluation.sequence import Mean
from freehold.journal.call import Call
from freehold.journal.write import append_many
from freehold.monitor import records
from freehold.monitor.records import Quality
from freehold.project import Project
from freehold.store import schema

MakeCall = Callable[..., Call]
CONFIG = """
[tasks.triage]
reference = "frontier"
[monitor]
share = 1.0
most = 100000
every_s = 1.0
[monitor.tasks.triage]
scorers = ["exact"]
[monitor.webhook]
url_env = "ALERTS_URL"
secret_env = "ALERTS_SECRET"
"""
SECRET = "hush-hush"
NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)


class Hook(ThreadingHTTPServer):
    """Somebody's address for alerts."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.status = 200

        class Handler(BaseHTTPRequestHandler):
            server: "Hook"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                self.server.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(self.server.status)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Says nothing."""

        super().__init__(("127.0.0.1", 0), Handler)


class Mailbox(ThreadingTCPServer):
    """A mail server that speaks as much SMTP (RFC 5321) as a letter takes."""

    daemon_threads = True

    def __init__(self) -> None:
        self.got: list[tuple[list[str], EmailMessage]] = []

        class Handler(StreamRequestHandler):
            server: "Mailbox"

            def handle(self) -> None:
                self._say("220 here")
                to: list[str] = []
                for line in self.rfile:
                    word = line[:4].upper()
                    if word == b"DATA":
                        self._say("354 go on")
                        self.server.got.append((to, self._letter()))
                    elif word == b"RCPT":
                        to.append(line.decode().strip())
                    self._say("221 bye" if word == b"QUIT" else "250 well")
                    if word == b"QUIT":
                        return

            def _letter(self) -> EmailMessage:
                lines = iter(self.rfile.readline, b".\r\n")
                return message_from_bytes(b"".join(lines), _class=EmailMessage, policy=default)

            def _say(self, words: str) -> None:
                self.wfile.write(f"{words}\r\n".encode())

        super().__init__(("127.0.0.1", 0), Handler)


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hook]:
    """A server on a real socket, whose address and secret stand in the environment."""
    with Hook() as server:
        Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("ALERTS_URL", f"http://127.0.0.1:{server.server_port}/hooks/token-123?x=1")
        monkeypatch.setenv("ALERTS_SECRET", SECRET)
        yield server
        server.shutdown()


def journalled(folder: Path, a_call: MakeCall, begin: int, right: list[bool], more: str = "") -> None:
    (folder / "freehold.toml").write_text(CONFIG + more)
    calls = [a_call(begin + n, output="yes" if good else "no", reference_output="yes", source="gateway") for n, good in enumerate(right)]
    with Project.at(folder) as project:
        append_many(project.store, calls, [])


def test_a_fall_is_told_once_by_a_signed_webhook(tmp_path: Path, a_call: MakeCall, hook: Hook) -> None:
    journalled(tmp_path, a_call, 0, [True] * 200 + [False] * 60)
    first = freehold("monitor", "--once", "--json", cwd=tmp_path)
    (told,) = first.json["tasks"]
    assert (told["seen"], told["scored"], len(told["raised"]), first.json["sent"]) == (260, 260, 1, 1)
    again = freehold("monitor", "--once", cwd=tmp_path)
    ((headers, body),) = hook.got
    at, given = (part.partition("=")[2] for part in headers["x-freehold-signature"].split(","))
    assert given == hmac.new(SECRET.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    message = json.loads(body)
    assert message["id"] == headers["x-freehold-delivery"] == f"{told['raised'][0]}-opened-webhook"
    assert (message["event"], message["alert"]["task"], message["alert"]["what"]["kind"]) == ("opened", "triage", "quality")
    for said in (first.out, first.err, again.out, again.err, _status(tmp_path).out):
        assert SECRET not in said and "token-123" not in said


def test_an_address_that_refuses_is_told_of_in_status_without_its_name(tmp_path: Path, a_call: MakeCall, hook: Hook) -> None:
    hook.status = 302
    journalled(tmp_path, a_call, 0, [True] * 200 + [False] * 60)
    ended = freehold("monitor", "--once", "--json", cwd=tmp_path)
    assert ended.json["unsent"] == 1 and len(hook.got) == 1
    status = _status(tmp_path)
    assert "by webhook: due, 1 tries, the address answered 302" in " ".join(status.out.split())
    assert "token-123" not in status.out + ended.err


def test_a_fall_and_its_end_are_told_by_mail_and_to_a_program(tmp_path: Path, a_call: MakeCall, hook: Hook) -> None:
    """A letter each to everybody named, the second as an answer to the first; the program gets both as JSON."""
    told = "import sys; open('told.jsonl', 'a').write(sys.stdin.read() + chr(10))"
    with Mailbox() as box:
        Thread(target=box.serve_forever, daemon=True).start()
        more = f"""
[monitor.email]
host = "127.0.0.1"
port = {box.server_address[1]}
security = "none"
sender = "freehold@example.com"
to = ["ops@example.com", "ann@example.com"]
[monitor.command]
run = [{json.dumps(sys.executable)}, "-c", {json.dumps(told)}]
"""
        journalled(tmp_path, a_call, 0, [True] * 200 + [False] * 60, more)
        assert freehold("monitor", "--once", "--json", cwd=tmp_path).json["sent"] == 3
        journalled(tmp_path, a_call, 260, [True] * 400, more)
        assert freehold("monitor", "--once", "--json", cwd=tmp_path).json["sent"] == 3
        box.shutdown()
    (to, first), (_, last) = box.got
    assert [each.split(":")[1].split()[0] for each in to] == ["<ops@example.com>", "<ann@example.com>"]
    assert (first["subject"], last["subject"]) == ("[Freehold] triage: quality alert opened", "[Freehold] triage: quality alert closed")
    assert last["in-reply-to"] == first["message-id"] and "It is over" in last.get_content()
    events = [json.loads(line)["event"] for line in (tmp_path / "told.jsonl").read_text().splitlines()]
    assert events == ["opened", "closed"]


def test_status_and_alerts_say_what_is_known(tmp_path: Path, a_call: MakeCall, hook: Hook) -> None:
    journalled(tmp_path, a_call, 0, [True] * 200 + [False] * 60)
    freehold("monitor", "--once", cwd=tmp_path)
    task = freehold("monitor", "status", "--json", cwd=tmp_path).json["tasks"][0]
    (quality,) = task["quality"]
    assert (quality["variant"], quality["scorer"], quality["n"], quality["phase"]) == ("frontier", "exact", 260, "raised")
    assert quality["low"] <= 200 / 260 <= quality["high"] and task["open"] == 1
    alert = freehold("monitor", "alerts", "--json", cwd=tmp_path).json[0]["id"]
    assert "acknowledged by ann" in freehold("monitor", "acknowledge", alert, "--by", "ann", cwd=tmp_path).out
    assert "accepted by ann" in freehold("monitor", "accept", alert[:6], "--by", "ann", cwd=tmp_path).out
    assert "No alert is open" in freehold("monitor", "alerts", cwd=tmp_path).out


def test_a_variable_that_is_not_set_is_said_at_once(tmp_path: Path, a_call: MakeCall, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ALERTS_URL", raising=False)
    journalled(tmp_path, a_call, 0, [True])
    assert "'ALERTS_URL', which is not set" in freehold("monitor", "--once", cwd=tmp_path, code=1).err


def test_killed_at_any_moment_it_counts_every_call_once(tmp_path: Path, a_call: MakeCall, hook: Hook) -> None:
    right = [n % 5 != 0 for n in range(1500)]
    journalled(tmp_path, a_call, 0, right[:300])
    command = [sys.executable, "-c", RUN, "monitor", "--every", "1s"]
    for kill in range(6):
        process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        journalled(tmp_path, a_call, 300 + 200 * kill, right[300 + 200 * kill : 500 + 200 * kill])
        time.sleep(1.0 + 0.35 * kill)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    with Project.at(tmp_path) as project, project.store.writing() as connection:  # the dead one's time is over
        held = records.read(connection, "default", "triage", records.CURSOR, records.Cursor)
        if held is not None:
            free = records.Cursor(after=held.after, seen=held.seen, drawn=held.drawn)
            records.write(connection, "default", "triage", records.CURSOR, free, NOW)
    freehold("monitor", "--once", cwd=tmp_path)
    with Project.at(tmp_path) as project, project.store.reading() as connection:
        k = schema.looks.c
        looks = connection.execute(select(k.call, k.value, k.inclusion).where(k.watch == "score exact").order_by(k.seq)).all()
        state = records.read(connection, "default", "triage", "quality frontier exact", Quality)
    assert len(looks) == len({look.call for look in looks}) == 1500
    assert state is not None
    assert state.mean == Mean(alpha=0.05).with_scores([look.value for look in looks], [1 / look.inclusion for look in looks])


@pytest.mark.skipif(sys.platform != "linux", reason="looks for the process in /proc")
def test_it_runs_beside_the_gateway_and_ends_with_it(tmp_path: Path, a_call: MakeCall, hook: Hook) -> None:
    journalled(tmp_path, a_call, 0, [True] * 200 + [False] * 60)
    (tmp_path / "freehold.toml").write_text(CONFIG.replace("[monitor]", "[monitor]\nserve = true"))
    command = [sys.executable, "-c", RUN, "serve", "--port", "0"]
    gateway = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while not hook.got and time.monotonic() < until:
        time.sleep(0.1)
    watching = [pid for pid in children(gateway.pid) if b"monitor" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    gateway.terminate()
    assert gateway.wait(60) == 0
    assert len(hook.got) == 1 and len(watching) == 1
    assert not Path(f"/proc/{watching[0]}").exists()


def children(pid: int) -> list[int]:
    """The processes that a process has begun."""
    return [int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()]


def _status(folder: Path) -> Ended:
    return freehold("monitor", "status", cwd=folder)
