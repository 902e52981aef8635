"""The gateway as its clients meet it: their own SDKs, over real sockets, against a scripted provider; and what the journal has of it."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Timer
from typing import Any, NamedTuple

import anthropic
import openai
import pytest

from command import RUN, freehold
from freehold.chat import Usage
from freehold.journal import read
from freehold.journal.call import Call
from freehold.store.open import open_store
from upstream import Said, Upstream, answered, event, events, openai_answer, openai_events, upstream, whole

TOML = """
[project]
name = "gateway"
[providers.one]
kind = "openai"
base_url = "{url}"
key_env = "ONE_KEY"
[providers.two]
kind = "anthropic"
base_url = "{url}"
key_env = "TWO_KEY"
[models.frontier]
provider = "one"
name = "gpt-x"
price = { input_per_mtok = 10.0, output_per_mtok = 100.0, cached_read_per_mtok = 1.0 }
serving = { retries = 0, open_after = 0 }
[models.claude]
provider = "two"
name = "claude-x"
serving = { retries = 0, open_after = 0 }
"""
COST = (40 * 10 + 60 * 1 + 20 * 100) / 1e6
CAME = "Größe "
"""The words in the first three pieces of the provider's stream."""
ASKED: Any = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is this?"}]


class Served(NamedTuple):
    """A gateway that runs."""

    port: int
    project: Path
    provider: Upstream
    process: "subprocess.Popen[bytes]"
    clients: ExitStack
    """Closes them in the end."""

    def openai(self) -> openai.OpenAI:
        return self.clients.enter_context(openai.OpenAI(base_url=f"http://127.0.0.1:{self.port}/v1", api_key="mine", max_retries=0))

    def anthropic(self) -> anthropic.Anthropic:
        return self.clients.enter_context(anthropic.Anthropic(base_url=f"http://127.0.0.1:{self.port}", api_key="mine", max_retries=0))

    def call(self, id: str, within_s: float = 10.0) -> Call:
        """What the journal has of a call."""
        until = time.monotonic() + within_s
        while time.monotonic() < until:
            with open_store("sqlite:///freehold.db", self.project) as store:
                if (found := read.find_call(store, "default", id)) is not None:
                    return found
            time.sleep(0.02)
        raise AssertionError(f"call {id} is not in the journal")

    def calls(self) -> list[Call]:
        with open_store("sqlite:///freehold.db", self.project) as store:
            return list(read.calls(store, "default"))


@pytest.fixture(scope="module", params=["our protocol", "plain ASGI"])
def gateway(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A gateway and its provider, once for our protocol and once for plain ASGI."""
    with running(tmp_path_factory.mktemp("served"), ["--plain-asgi"] if request.param == "plain ASGI" else []) as found:
        yield found


@pytest.fixture
def served(gateway: Served) -> Served:
    """The gateway; its provider answers as usual at the beginning of every test."""
    gateway.provider.answer = answered
    return gateway


@contextmanager
def running(project: Path, options: list[str], toml: str = TOML) -> Iterator[Served]:
    """A gateway and its provider, while the block lasts."""
    with ExitStack() as stack:
        provider = stack.enter_context(upstream())
        (project / "freehold.toml").write_text(toml.replace("{url}", provider.url))
        environment = {**os.environ, "ONE_KEY": "secret-one", "TWO_KEY": "secret-two", "PYTHONWARNINGS": "error", "PYTHONFAULTHANDLER": "1"}
        command = [
            sys.executable,
            "-c",
            RUN,
            "serve",
            "--project",
            str(project),
            "--port",
            "0",
        ]
        log = stack.enter_context((project / "log").open("wb"))
        process = stack.enter_context(subprocess.Popen([*command, *options], env=environment, stdout=log, stderr=log))
        stack.callback(process.kill)
        until = time.monotonic() + 30
        while not (told := re.search(r"at http://127\.0\.0\.1:(\d+)/v1", (project / "log").read_text())) or not answers(int(told[1])):
            assert process.poll() is None and time.monotonic() < until, (project / "log").read_text()
            time.sleep(0.02)
        yield Served(int(told[1]), project, provider, process, stack)
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


# One format on both sides


def test_an_openai_client_is_answered_and_the_call_is_journalled(served: Served) -> None:
    raw = served.openai().chat.completions.with_raw_response.create(model="frontier", messages=ASKED, temperature=0.5)
    answer = raw.parse()
    assert answer.choices[0].message.content == "Größe 😀"
    assert served.provider.asked[-1].body == {"model": "gpt-x", "messages": ASKED, "temperature": 0.5}
    assert served.provider.asked[-1].headers["authorization"] == "Bearer secret-one"
    assert float(raw.headers["x-freehold-cost-usd"]) == pytest.approx(COST)
    assert raw.headers["x-freehold-variant"] == "frontier"
    call = served.call(raw.headers["x-freehold-call"])
    assert (call.variant, call.outcome, call.delivered, call.output) == ("frontier", "answered", True, "Größe 😀")
    assert call.usage == Usage(input_tokens=100, cached_read=60, output_tokens=20)
    assert call.cost_usd == pytest.approx(COST)
    assert (len(call.attempts), call.attempts[0].usage, call.source) == (1, call.usage, "gateway")
    assert call.input == ASKED


@pytest.mark.parametrize("asks_for_usage", [True, False])
def test_an_openai_stream_comes_in_pieces_and_its_cost_is_known(served: Served, asks_for_usage: bool) -> None:
    options: Any = {"stream_options": {"include_usage": True}} if asks_for_usage else {}
    with served.openai().chat.completions.with_streaming_response.create(model="frontier", messages=ASKED, stream=True, **options) as raw:
        id = raw.headers["x-freehold-call"]
        chunks = list(raw.parse())
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "Größe 😀"
    assert [chunk.usage.total_tokens for chunk in chunks if chunk.usage] == ([120] if asks_for_usage else [])
    call = served.call(id)
    assert (call.output, call.outcome, call.usage) == ("Größe 😀", "answered", Usage(input_tokens=100, cached_read=60, output_tokens=20))


def test_an_anthropic_client_is_answered(served: Served) -> None:
    answer = served.anthropic().messages.create(
        model="claude", max_tokens=99, system="Be brief.", messages=[{"role": "user", "content": "Hi"}]
    )
    assert answer.content[0].type == "text" and answer.content[0].text == "Größe 😀"
    said = served.provider.asked[-1]
    assert said.body == {"model": "claude-x", "max_tokens": 99, "system": "Be brief.", "messages": [{"role": "user", "content": "Hi"}]}
    assert (said.headers["x-api-key"], said.headers["anthropic-version"]) == ("secret-two", "2023-06-01")


def test_an_anthropic_stream_is_the_sdks_own(served: Served) -> None:
    with served.anthropic().messages.stream(model="claude", max_tokens=99, messages=[{"role": "user", "content": "Hi"}]) as stream:
        assert "".join(stream.text_stream) == "Größe 😀"
        final = stream.get_final_message()
    assert (final.stop_reason, final.usage.output_tokens, final.usage.cache_read_input_tokens) == ("end_turn", 20, 60)


# One format at the door, the other at the provider


def test_an_openai_client_talks_to_an_anthropic_provider(served: Served) -> None:
    answer = served.openai().chat.completions.create(model="claude", messages=ASKED, max_tokens=50)
    assert answer.choices[0].message.content == "Größe 😀"
    assert answer.usage is not None and answer.usage.prompt_tokens == 100
    said = served.provider.asked[-1].body
    assert said == {
        "model": "claude-x",
        "max_tokens": 50,
        "system": "Be brief.",
        "messages": [{"role": "user", "content": "What is this?"}],
    }
    chunks = list(served.openai().chat.completions.create(model="claude", messages=ASKED, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Größe 😀"
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_an_anthropic_client_talks_to_an_openai_provider(served: Served) -> None:
    client = served.anthropic()
    answer = client.messages.create(model="frontier", max_tokens=50, messages=[{"role": "user", "content": "Hi"}])
    assert answer.content[0].type == "text" and answer.content[0].text == "Größe 😀"
    assert (answer.usage.input_tokens, answer.usage.cache_read_input_tokens) == (40, 60)
    with client.messages.stream(model="frontier", max_tokens=50, messages=[{"role": "user", "content": "Hi"}]) as stream:
        assert "".join(stream.text_stream) == "Größe 😀"
        assert stream.get_final_message().stop_reason == "end_turn"


def test_tools_are_asked_for_across_formats(served: Served) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
    body = {
        "id": "x",
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": None, "tool_calls": [call]}, "finish_reason": "tool_calls"}],
    }
    served.provider.answer = lambda said: whole(body)
    answer = served.anthropic().messages.create(
        model="frontier",
        max_tokens=50,
        messages=[{"role": "user", "content": "Weather?"}],
        tools=[{"name": "weather", "input_schema": {"type": "object"}}],
    )
    assert answer.stop_reason == "tool_use"
    assert answer.content[0].type == "tool_use" and answer.content[0].input == {"city": "Oslo"}


# What goes wrong


def test_a_providers_error_reaches_each_client_as_its_own(served: Served) -> None:
    served.provider.answer = lambda said: whole({"error": {"message": "slow down", "type": "x"}}, 429)
    with pytest.raises(openai.RateLimitError, match="slow down") as told:
        served.openai().chat.completions.create(model="frontier", messages=ASKED)
    call = served.call(told.value.response.headers["x-freehold-call"])
    assert (call.outcome, call.cost_usd) == ("failed", 0.0)
    assert [(one.cause, one.error) for one in call.attempts] == [("first", "slow down")]
    with pytest.raises(anthropic.RateLimitError, match="slow down"):
        served.anthropic().messages.create(model="claude", max_tokens=9, messages=[{"role": "user", "content": "Hi"}])


def test_a_name_that_is_not_configured_goes_to_the_one_provider_it_can_mean(served: Served) -> None:
    served.openai().chat.completions.create(model="gpt-later", messages=ASKED)
    assert (served.provider.asked[-1].path, served.provider.asked[-1].body["model"]) == ("/v1/chat/completions", "gpt-later")
    served.openai().chat.completions.create(model="two/claude-later", messages=ASKED)
    assert (served.provider.asked[-1].path, served.provider.asked[-1].body["model"]) == ("/v1/messages", "claude-later")


def test_what_a_provider_cannot_be_told_is_an_error_that_names_it(served: Served) -> None:
    asked = len(served.provider.asked)
    with pytest.raises(openai.BadRequestError, match="seed cannot be said to Anthropic"):
        served.openai().chat.completions.create(model="claude", messages=ASKED, seed=1)
    assert len(served.provider.asked) == asked, "nobody was asked"


@pytest.mark.parametrize("body", [{"choices": "x"}, [], {"id": 1}])
def test_an_answer_that_is_none_is_malformed_and_not_passed_on(served: Served, body: Any) -> None:
    served.provider.answer = lambda said: whole(body)
    with pytest.raises(openai.InternalServerError, match="cannot be read") as told:
        served.openai().chat.completions.create(model="frontier", messages=ASKED)
    assert served.call(told.value.response.headers["x-freehold-call"]).outcome == "malformed"


def test_a_provider_that_hangs_up_is_a_bad_gateway(served: Served) -> None:
    served.provider.answer = lambda said: iter([b""])
    with pytest.raises(openai.InternalServerError, match="closed the connection without an answer"):
        served.openai().chat.completions.create(model="frontier", messages=ASKED)


@pytest.mark.parametrize("how", ["cut", "no end", "garbage", "error"])
def test_a_stream_that_breaks_says_so_and_what_came_is_journalled(served: Served, how: str) -> None:
    told = openai_events("gpt-x", True)
    last = {"cut": b"", "no end": b": no more\n\n", "garbage": b"data: {\n\n", "error": event({"error": {"message": "overloaded"}})}[how]
    served.provider.answer = lambda said: events(*told[:3], last) if last else (p for p in (*events(*told[:3], ends=False), b""))
    with served.openai().chat.completions.with_streaming_response.create(model="frontier", messages=ASKED, stream=True) as raw:
        id = raw.headers["x-freehold-call"]
        with pytest.raises(openai.APIError):
            list(raw.parse())
    call = served.call(id)
    assert (call.outcome, call.output) == ("failed", CAME)
    assert call.attempts[0].error


def test_a_stream_whose_answer_ended_is_whole_without_its_last_event(served: Served) -> None:
    """`transformers serve` leaves it out, and says what was used with the end of the answer."""
    served.provider.answer = lambda said: events(*openai_events("gpt-x", True)[:-1])
    with served.openai().chat.completions.with_streaming_response.create(model="frontier", messages=ASKED, stream=True) as raw:
        id, said = raw.headers["x-freehold-call"], b"".join(raw.iter_bytes())
    assert said.endswith(b"data: [DONE]\n\n")
    assert (served.call(id).outcome, served.call(id).usage is not None) == ("answered", True)


def test_a_stream_that_ends_before_the_second_answer_is_broken_off(served: Served) -> None:
    served.provider.answer = lambda said: events(*openai_events("gpt-x", True)[:-1])
    with served.openai().chat.completions.with_streaming_response.create(model="frontier", messages=ASKED, stream=True, n=2) as raw:
        id = raw.headers["x-freehold-call"]
        with pytest.raises(openai.APIError, match="in the middle of its answer"):
            list(raw.parse())
    assert served.call(id).outcome == "failed"


def test_how_long_each_piece_of_a_stream_took_is_measured(served: Served) -> None:
    def count() -> int:
        connection = http.client.HTTPConnection("127.0.0.1", served.port)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
        named = re.findall(r"^gen_ai_client_operation_time_per_output_chunk_seconds_count{.*} (\d+)", text, re.MULTILINE)
        return sum(map(int, named))

    before, told = count(), openai_events("gpt-x", True)
    served.provider.answer = lambda said: events(*told, wait_s=0.01)
    list(served.openai().chat.completions.create(model="frontier", messages=ASKED, stream=True))
    until = time.monotonic() + 5
    while count() == before and time.monotonic() < until:
        time.sleep(0.02)
    assert count() - before == len(told) - 2  # all but the first, and the last event is no piece


def test_a_caller_who_leaves_stops_the_provider_and_is_journalled(served: Served) -> None:
    def forever(said: Said) -> Iterator[bytes]:
        yield from events(*openai_events("gpt-x", False)[:3], ends=False)
        for _ in range(500):
            piece = openai_events("gpt-x", False)[1]
            yield b"%x\r\n%b\r\n" % (len(piece), piece)
            time.sleep(0.02)

    served.provider.answer = forever
    before = served.provider.broken_off
    with served.openai().chat.completions.with_streaming_response.create(model="frontier", messages=ASKED, stream=True) as raw:
        id = raw.headers["x-freehold-call"]
        seen = b""
        for piece in raw.iter_bytes():
            seen += piece
            if "Grö".encode() in seen:
                break
    call = served.call(id)
    assert (call.outcome, call.delivered) == ("cancelled", False)
    assert str(call.output).startswith("Grö")
    until = time.monotonic() + 5
    while served.provider.broken_off == before and time.monotonic() < until:
        time.sleep(0.02)
    assert served.provider.broken_off == before + 1


# HTTP


def raw(served: Served, *pieces: bytes, wait_s: float = 0.0) -> bytes:
    """What comes back for these bytes, until the other side closes or says no more for a while."""
    with socket.create_connection(("127.0.0.1", served.port), timeout=5) as one:
        for piece in pieces:
            one.sendall(piece)
            time.sleep(wait_s)
        one.settimeout(1.0)
        found = b""
        try:
            while piece := one.recv(65_536):
                found += piece
        except TimeoutError:
            pass
        return found


def post(served: Served, body: bytes, *headers: str, path: str = "/v1/chat/completions", host: str | None = None) -> bytes:
    lines = [f"POST {path} HTTP/1.1", f"host: {host or f'127.0.0.1:{served.port}'}", f"content-length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


JSON_BODY = "content-type: application/json"
CHAT = json.dumps({"model": "frontier", "messages": [{"role": "user", "content": "Hi"}]}).encode()


@pytest.mark.parametrize(
    ("body", "headers", "host", "status"),
    [
        (b"{", [JSON_BODY], None, 400), (b"[]", [JSON_BODY], None, 400), (CHAT, [], None, 400), (CHAT, ["content-type: text/plain"], None, 400),
        (CHAT, [JSON_BODY], "evil.example", 421), (CHAT, [JSON_BODY, "origin: https://evil.example"], None, 403),
        (CHAT, [JSON_BODY, "content-length: 5"], None, 400), (CHAT, [JSON_BODY, "transfer-encoding: chunked"], None, 400),
        (CHAT, [JSON_BODY, "host: b"], None, 400), (CHAT, [JSON_BODY, "x: " + "y" * 40_000], None, 431),
    ],
)  # fmt: skip
def test_what_is_not_for_us_is_refused(served: Served, body: bytes, headers: list[str], host: str | None, status: int) -> None:
    asked = len(served.provider.asked)
    said = raw(served, post(served, body, *headers, host=host))
    assert said.startswith(b"HTTP/1.1 %d " % status), said[:200]
    assert len(served.provider.asked) == asked


def test_pipelined_requests_are_answered_in_their_order(served: Served) -> None:
    """Hot and plain ones, in both orders, in one piece and cut anywhere."""
    plain = f"GET /nothing HTTP/1.1\r\nhost: 127.0.0.1:{served.port}\r\n\r\n".encode()
    hot = post(served, CHAT, JSON_BODY)
    for order, expected in (((hot, plain, hot), ["200", "404", "200"]), ((plain, hot, plain), ["404", "200", "404"])):
        sent = b"".join(order)
        assert re.findall(rb"HTTP/1\.1 (\d+) ", raw(served, sent)) == [status.encode() for status in expected]
        assert re.findall(rb"HTTP/1\.1 (\d+) ", raw(served, sent[:50], sent[50:], wait_s=0.02)) == [s.encode() for s in expected]


def test_the_models_are_listed(served: Served) -> None:
    assert {model.id for model in served.openai().models.list()} == {"frontier", "claude"}


def test_no_key_and_no_prompt_is_in_any_log(tmp_path: Path) -> None:
    """Of what is logged: calls that go to the spool, and one that cannot be kept with its words."""
    with open_store("sqlite:///freehold.db", tmp_path) as store, running(tmp_path, []) as served:
        asked: Any = [{"role": "user", "content": "a very private word"}]
        deep: Any = "a very private word"
        for _ in range(200):
            deep = {"a": deep}
        tools: Any = [{"type": "function", "function": {"name": "f", "parameters": deep}}]
        with store.writing():
            served.openai().chat.completions.create(model="frontier", messages=asked)
        served.openai().chat.completions.create(model="frontier", messages=asked, tools=tools)
        log = (tmp_path / "log").read_text()
        assert "journal.spooling" in log and "call.without_content" in log
        assert not re.search("secret-one|secret-two|a very private word|Bearer", log)


# The end


def test_answers_on_their_way_are_given_before_it_ends(tmp_path: Path) -> None:
    with running(tmp_path, []) as served:

        def slowly(said: Said) -> Iterator[bytes]:
            time.sleep(0.5)
            yield from events(*openai_events("gpt-x", True), wait_s=0.1)

        served.provider.answer = slowly
        with socket.create_connection(("127.0.0.1", served.port), timeout=10) as one:
            one.sendall(post(served, json.dumps({**json.loads(CHAT), "stream": True}).encode(), JSON_BODY))
            time.sleep(0.2)
            served.process.send_signal(signal.SIGTERM)
            said = b""
            while piece := one.recv(65_536):
                said += piece
        assert b"[DONE]" in said
        assert served.process.wait(20) == 0
        assert [call.outcome for call in served.calls()] == ["answered"]


def test_what_was_answered_survives_a_kill(tmp_path: Path) -> None:
    with running(tmp_path, []) as served:
        client, ids = served.openai(), []
        for _ in range(20):
            answer = client.chat.completions.with_raw_response.create(model="frontier", messages=ASKED)
            ids.append(answer.headers["x-freehold-call"])
        served.process.kill()
        served.process.wait()
        assert {call.id for call in served.calls()} == set(ids)


def test_a_public_address_is_refused_while_there_are_no_keys(tmp_path: Path) -> None:
    (tmp_path / "freehold.toml").write_text("")
    assert "no keys to keep strangers out" in freehold("serve", "--host", "0.0.0.0", "--project", tmp_path, code=1).err


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://me:secret@127.0.0.1:1/db", r"Cannot reach postgresql://me:\*\*\*@127\.0\.0\.1:1/db.*Check \[store\] url"),
        ("sqlite:///none/freehold.db", r"Cannot open the journal '.*none/freehold\.db'.*has to exist and be writable"),
    ],
)
def test_without_the_store_nobody_begins_and_it_says_what_is_away(tmp_path: Path, url: str, said: str, workers: str) -> None:
    """The spool is for who has begun: keys, budgets and active policies stand in the store alone."""
    (tmp_path / "freehold.toml").write_text(f'[store]\nurl = "{url}"\n[journal]\non_failure = "spool"\n')
    ended = freehold("serve", "--port", "0", "--workers", workers, "--project", tmp_path, code=1)
    assert re.search(said, ended.err, re.DOTALL)
    assert "secret" not in ended.err and "Traceback" not in ended.err


def test_a_worker_is_light(tmp_path: Path) -> None:
    """What it must not import costs memory and a second at every start."""
    code = "import freehold.worker, sys; print([m for m in ('sklearn', 'scipy', 'pandas', 'pyarrow', 'altair', 'httpx2', 'genai_prices') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


# Whatever goes wrong, somebody hears of it, and what was paid for is in the journal


def test_a_request_that_asks_nothing_is_refused_before_anybody_is_paid(served: Served) -> None:
    before = len(served.provider.asked)
    with pytest.raises(openai.BadRequestError, match="messages"):
        served.openai().post("/chat/completions", body={"model": "frontier"}, cast_to=dict[str, Any])
    assert len(served.provider.asked) == before


def test_a_request_without_a_message_is_refused_as_anthropic_does(served: Served) -> None:
    before = len(served.provider.asked)
    for model in ("claude", "frontier"):
        with pytest.raises(anthropic.BadRequestError, match="at least one message is required") as caught:
            served.anthropic().messages.create(model=model, max_tokens=50, messages=[])
        said: Any = caught.value.body
        assert said["error"]["type"] == "invalid_request_error"
    assert len(served.provider.asked) == before


@pytest.mark.parametrize("content", [5, [5], {"a": 1}])
def test_an_answer_that_is_none_is_malformed(served: Served, content: Any) -> None:
    message = {"role": "assistant", "content": content}
    served.provider.answer = lambda said: whole({"id": "x", "model": "m", "choices": [{"index": 0, "message": message}]})
    with pytest.raises(openai.InternalServerError, match="cannot be read") as caught:
        served.openai().chat.completions.create(model="frontier", messages=ASKED)
    call = served.call(caught.value.response.headers["x-freehold-call"])
    assert (call.outcome, [attempt.outcome for attempt in call.attempts]) == ("malformed", ["malformed"])


def test_an_answer_that_the_caller_s_format_cannot_say_is_journalled_with_its_cost(served: Served) -> None:
    """A tool's arguments that are no JSON, which Anthropic's format has no place for."""
    tool = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "not json"}}
    choice = {"index": 0, "message": {"role": "assistant", "content": None, "tool_calls": [tool]}, "finish_reason": "tool_calls"}
    usage = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
    served.provider.answer = lambda said: whole({"id": "x", "model": "m", "choices": [choice], "usage": usage})
    with pytest.raises(anthropic.InternalServerError, match="arguments of tool call 'c'") as caught:
        served.anthropic().messages.create(model="frontier", max_tokens=50, messages=[{"role": "user", "content": "Weather?"}])
    call = served.call(caught.value.response.headers["x-freehold-call"])
    assert (call.outcome, call.cost_usd, len(call.attempts)) == ("failed", pytest.approx((100 * 10 + 20 * 100) / 1e6), 1)


def test_a_call_whose_words_cannot_be_kept_is_journalled_without_them(served: Served) -> None:
    """Nested more deeply than a record may be: it was answered and paid for all the same."""
    deep: Any = "end"
    for _ in range(200):
        deep = {"a": deep}
    tools: Any = [{"type": "function", "function": {"name": "f", "parameters": deep}}]
    raw = served.openai().chat.completions.with_raw_response.create(model="frontier", messages=ASKED, tools=tools)
    assert raw.parse().choices[0].message.content == "Größe 😀"
    call = served.call(raw.headers["x-freehold-call"])
    assert (call.input, call.outcome, call.cost_usd) == (None, "answered", pytest.approx(COST))


# What is said about answers


def test_feedback_is_in_the_journal_once_for_each_key(served: Served) -> None:
    client = served.openai()
    id = client.chat.completions.with_raw_response.create(model="frontier", messages=ASKED).headers["x-freehold-call"]
    said = {"call": id, "metric": "helpful", "value": True, "correction": "cards", "comment": "nearly", "key": "click 7"}
    first = client.post("/feedback", body=said, cast_to=dict[str, Any])
    assert client.post("/feedback", body=said, cast_to=dict[str, Any]) == first
    client.post("/feedback", body={"call": id, "metric": "helpful", "value": 0.5}, cast_to=dict[str, Any])
    client.post("/feedback", body={"call": id, "metric": "intent", "value": "cards"}, cast_to=dict[str, Any])
    with open_store("sqlite:///freehold.db", served.project) as store:
        kept = read.feedback_of(store, "default", id)
    assert {one.source for one in kept} == {"user"} and {one.design for one in kept} == {"found"}
    assert [(one.metric, one.kind, one.value, one.content) for one in kept] == [
        ("helpful", "score", 1.0, None),
        ("helpful", "correction", None, "cards"),
        ("helpful", "comment", None, "nearly"),
        ("helpful", "score", 0.5, None),
        ("intent", "label", None, "cards"),
    ]
    with pytest.raises(openai.ConflictError, match="another key"):
        client.post("/feedback", body={**said, "value": False}, cast_to=dict[str, Any])


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"metric": "helpful", "value": 1}, 400, "call is missing"),
        ({"call": "CALL", "metric": "helpful"}, 400, "nothing is said"),
        ({"call": "CALL", "metric": "helpful", "value": 7}, 400, "outside \\[0, 1\\]"),
        ({"call": "CALL", "metric": "helpful", "value": 10**400}, 400, "beyond 1e\\+15"),
        ({"call": "CALL", "metric": "helpful", "value": 1, "key": "k" * 201}, 400, "key has 201 characters"),
        ({"call": "CALL", "metric": "helpful", "value": [1]}, 400, "expected a number"),
        ({"call": "CALL", "metric": "helpful", "value": 1, "rating": 5}, 400, "'rating' is no field of feedback"),
        ({"call": "CALL", "metric": "reference_output", "value": 1}, 400, "recorded right answers"),
        ({"call": "CALL", "metric": "m" * 201, "value": 1}, 400, "201 characters"),
        ({"call": "nobody", "metric": "helpful", "value": 1}, 404, "'nobody' is not in the journal"),
    ],
)
def test_feedback_that_cannot_be_kept_says_why(served: Served, body: dict[str, Any], status: int, message: str) -> None:
    client = served.openai()
    if body.get("call") == "CALL":
        body = {
            **body,
            "call": client.chat.completions.with_raw_response.create(model="frontier", messages=ASKED).headers["x-freehold-call"],
        }
    with pytest.raises(openai.APIStatusError, match=message) as caught:
        client.post("/feedback", body=body, cast_to=dict[str, Any])
    assert caught.value.status_code == status


def test_the_command_line_shows_calls_as_they_come_in(served: Served) -> None:
    """The last ones, one of them whole, and what comes in while it looks."""
    served.provider.answer = lambda said: whole({"error": {"message": "too \x1b[2Jmuch"}}, 429)
    with pytest.raises(openai.RateLimitError):
        served.openai().chat.completions.create(model="frontier", messages=ASKED)
    served.provider.answer = answered
    project = ("--project", served.project)
    (failed,) = freehold("calls", "--outcome", "failed", "--since", "1h", "--limit", "1", "--json", *project).json
    shown = freehold("calls", "show", failed["id"][:16], *project).out
    assert "failed" in shown and "What is this?" in shown and "too �[2Jmuch" in shown and "\x1b" not in shown
    assert failed["id"][:16] in freehold("calls", "--variant", "frontier", *project).out
    heard = f"import signal; signal.signal(signal.SIGINT, signal.default_int_handler); {RUN}"  # whoever runs the tests may ignore it
    command = [sys.executable, "-c", heard, "calls", "--follow", "--limit", "1", "--json", "--project", str(served.project)]
    with ExitStack() as stack:
        following = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        deadline = Timer(60, following.kill)
        deadline.start()
        stack.callback(deadline.cancel)
        assert following.stdout is not None
        assert following.stdout.readline()
        raw = served.openai().chat.completions.with_raw_response.create(model="frontier", messages=ASKED)
        assert json.loads(following.stdout.readline())["id"] == raw.headers["x-freehold-call"]
        following.send_signal(signal.SIGINT)
        assert following.wait(10) == 0


def test_a_call_nobody_made_is_an_error_that_says_so(served: Served) -> None:
    project = ("--project", served.project)
    assert "There is no call 'nobody'" in freehold("calls", "show", "nobody", *project, code=2).err
    for since in ("yesterday", "999999999d"):
        assert "expected such as 90s" in freehold("calls", "--since", since, *project, code=2).err


def test_a_person_named_in_the_metadata_can_be_erased(served: Served) -> None:
    raw = served.openai().chat.completions.with_raw_response.create(model="frontier", messages=ASKED, metadata={"subject": "ann"})
    assert served.call(raw.headers["x-freehold-call"]).subject == "ann"
    assert freehold("erase", "ann", "--yes", "--json", "--project", served.project).json["calls"] == 1


@pytest.mark.parametrize("on_failure", ["spool", "best_effort", "required"])
def test_what_it_does_while_the_journal_cannot_be_written(tmp_path: Path, on_failure: str) -> None:
    """As the configuration says: answers on and journals later, also across a kill; answers on; refuses."""
    toml = TOML + f'[journal]\non_failure = "{on_failure}"\n'
    with open_store("sqlite:///freehold.db", tmp_path) as store:
        with running(tmp_path, [], toml) as served, store.writing():
            client = served.openai()
            if on_failure == "required":
                with pytest.raises(openai.InternalServerError) as caught:
                    client.chat.completions.create(model="frontier", messages=ASKED)
                assert caught.value.status_code == 503
                with pytest.raises(openai.APIError, match="could not be journalled"):
                    list(client.chat.completions.create(model="frontier", messages=ASKED, stream=True))
            else:
                raw = client.chat.completions.with_raw_response.create(model="frontier", messages=ASKED)
                assert raw.parse().choices[0].message.content
                with client.chat.completions.create(model="frontier", messages=ASKED, stream=True) as stream:
                    said = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
                assert said == "Größe 😀"
            assert ('"journal.dropped","message":"2 calls' in (tmp_path / "log").read_text()) == (on_failure == "best_effort")
            served.process.kill()
            served.process.wait(30)
        assert read.counts(store, "default").calls == 0
        with running(tmp_path, [], toml) as served:
            if on_failure == "spool":
                assert served.call(raw.headers["x-freehold-call"]).output == raw.parse().choices[0].message.content
            served.openai().chat.completions.create(model="frontier", messages=ASKED)
            assert len(served.calls()) == (3 if on_failure == "spool" else 1)


# Embeddings


def test_embeddings_are_passed_on_and_journalled(served: Served) -> None:
    raw = served.openai().embeddings.with_raw_response.create(model="frontier", input=["a", "b"], encoding_format="float")
    assert [one.embedding for one in raw.parse().data] == [[0.25, -0.5], [0.25, -0.5]]
    assert served.provider.asked[-1].path == "/v1/embeddings"
    call = served.call(raw.headers["x-freehold-call"])
    assert (call.input, call.output, call.outcome, call.cost_usd) == (["a", "b"], None, "answered", pytest.approx(100 * 10 / 1e6))


def test_what_cannot_be_embedded_is_refused(served: Served) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": [-1]}, "input"),
        ({"input": [[1], []]}, "input"),
        ({"input": "a", "dimensions": 0}, "dimensions"),
        ({"input": "a", "encoding_format": 1}, "encoding_format"),
    ]
    for asked, field in wrong:
        with pytest.raises(openai.BadRequestError, match=f"{field}: expected"):
            served.openai().embeddings.create(model="frontier", **asked)
    with pytest.raises(openai.BadRequestError, match="'two' gives no embeddings"):
        served.openai().embeddings.create(model="claude", input="a")
    served.provider.answer = lambda said: whole(openai_answer("gpt-x"))
    with pytest.raises(openai.InternalServerError, match="holds no embeddings"):
        served.openai().embeddings.create(model="frontier", input="a")
