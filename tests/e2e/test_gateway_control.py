"""What is done where a provider fails, is slow or is full: over real sockets, with every attempt in the journal."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai
import pytest
from tests.e2e.test_gateway import ASKED, Served, running
from tests.upstream import Said, answered, event, events, openai_events

TOML = """
[providers.one]
kind = "openai"
base_url = "{url}"
[providers.two]
kind = "anthropic"
base_url = "{url}"
[models.frontier]
provider = "one"
name = "gpt-x"
price = { input_per_mtok = 10.0, output_per_mtok = 100.0 }
serving = { %s }
%s
[models.claude]
provider = "two"
name = "claude-x"
price = { input_per_mtok = 10.0, output_per_mtok = 100.0 }
"""
PRICE = (100 * 10 + 20 * 100) / 1e6
"""What an answer of the provider costs."""


@contextmanager
def serving(folder: Path, how: str, more: str = "", options: list[str] | None = None) -> Iterator[Served]:
    with running(folder, options or [], TOML % (how, more)) as served:
        yield served


def refuse(status: int, headers: str = "") -> Iterator[bytes]:
    yield f"HTTP/1.1 {status} X\r\ncontent-length: 0\r\n{headers}\r\n".encode()


def by_turns(*answers: Any) -> Any:
    """Answers one after the other; the last one for ever."""
    left = list(answers)
    lock = threading.Lock()

    def answer(said: Said) -> Iterator[bytes]:
        with lock:
            one = left.pop(0) if len(left) > 1 else left[0]
        return one(said)  # type: ignore[no-any-return]

    return answer


def ask(served: Served, model: str = "frontier", **more: Any) -> Any:
    return served.openai().chat.completions.with_raw_response.create(model=model, messages=ASKED, **more)


def attempts(served: Served, raw: Any) -> list[tuple[str, str, str]]:
    return [(one.cause, one.variant, one.outcome) for one in served.call(raw.headers["x-freehold-call"]).attempts]


def test_a_request_is_sent_again_where_that_may_help(tmp_path: Path) -> None:
    with serving(tmp_path, "retries = 2") as served:
        served.provider.answer = by_turns(
            lambda _: refuse(429, "retry-after: 0\r\n"), lambda _: refuse(503, "retry-after-ms: 1\r\n"), answered
        )
        raw = ask(served)
        assert attempts(served, raw) == [
            ("first", "frontier", "failed"),
            ("retry", "frontier", "failed"),
            ("retry", "frontier", "answered"),
        ]
        call = served.call(raw.headers["x-freehold-call"])
        assert (call.cost_usd, call.outcome) == (pytest.approx(float(raw.headers["x-freehold-cost-usd"])), "answered")
        served.provider.answer = lambda _: refuse(400)
        with pytest.raises(openai.BadRequestError) as caught:
            ask(served)
        assert attempts(served, caught.value.response) == [("first", "frontier", "failed")]


def test_what_a_provider_asks_for_is_honoured(tmp_path: Path) -> None:
    with serving(tmp_path, "retries = 1") as served:
        served.provider.answer = by_turns(lambda _: refuse(429, "retry-after: 1\r\n"), answered)
        began = time.monotonic()
        ask(served)
        assert time.monotonic() - began >= 1
        served.provider.answer = by_turns(lambda _: refuse(500, "x-should-retry: false\r\n"), answered)
        with pytest.raises(openai.InternalServerError):
            ask(served)


def test_fallbacks_are_asked_in_their_order_and_in_their_own_words(tmp_path: Path) -> None:
    with serving(tmp_path, 'retries = 0, fallbacks = ["claude"]') as served:
        served.provider.answer = lambda said: answered(said) if said.path.endswith("/messages") else refuse(500)
        raw = ask(served)
        assert raw.headers["x-freehold-variant"] == "claude"
        assert raw.parse().choices[0].message.content == "Größe 😀"
        assert attempts(served, raw) == [("first", "frontier", "failed"), ("fallback", "claude", "answered")]
        stream = served.openai().chat.completions.create(model="frontier", messages=ASKED, stream=True)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices) == "Größe 😀"


def test_a_long_wait_is_left_to_the_fallback(tmp_path: Path) -> None:
    with serving(tmp_path, 'retries = 2, fallbacks = ["claude"]') as served:
        served.provider.answer = lambda said: answered(said) if said.path.endswith("/messages") else refuse(429, "retry-after: 30\r\n")
        assert attempts(served, ask(served)) == [("first", "frontier", "failed"), ("fallback", "claude", "answered")]


def test_a_pool_spreads_sessions_and_keeps_each_with_one(tmp_path: Path) -> None:
    more = "[models.pool]\nserving = { fallbacks = { frontier = 1, claude = 1 } }"
    with serving(tmp_path, "retries = 0", more) as served:
        seen = {
            session: {ask(served, "pool", extra_headers={"x-freehold-session": session}).headers["x-freehold-variant"] for _ in range(3)}
            for session in map(str, range(12))
        }
        assert all(len(variants) == 1 for variants in seen.values())
        assert set.union(*seen.values()) == {"frontier", "claude"}
        assert "pool" in [model.id for model in served.openai().models.list()]


def test_the_faster_one_answers_and_the_other_is_stopped(tmp_path: Path) -> None:
    def slow(said: Said) -> Iterator[bytes]:
        time.sleep(1.0)
        yield from answered(said)

    with serving(tmp_path, 'hedge_after_s = 0.1, fallbacks = ["claude"]') as served:
        served.provider.answer = lambda said: answered(said) if said.path.endswith("/messages") else slow(said)
        raw = ask(served)
        assert raw.headers["x-freehold-variant"] == "claude"
        assert attempts(served, raw) == [("first", "frontier", "cancelled"), ("hedge", "claude", "answered")]
        assert "x-freehold-cost-usd" not in raw.headers  # nobody says what the other one used


@pytest.mark.parametrize("how", ["first_byte_s", "between_s", "total_s"])
def test_each_step_has_its_deadline(tmp_path: Path, how: str) -> None:
    def stalls(said: Said) -> Iterator[bytes]:
        if how == "between_s":
            yield from events(*openai_events("gpt-x", False)[:3], ends=False)
        time.sleep(2)
        yield b""

    with serving(tmp_path, f"{how} = 0.2, retries = 0") as served:
        served.provider.answer = stalls
        if how == "between_s":
            with served.openai().chat.completions.with_streaming_response.create(model="frontier", messages=ASKED, stream=True) as raw:
                id = raw.headers["x-freehold-call"]
                with pytest.raises(openai.APIError, match="within 0.2 s"):
                    list(raw.parse())
        else:
            with pytest.raises(openai.InternalServerError) as caught:
                ask(served)
            assert caught.value.status_code == 504
            id = caught.value.response.headers["x-freehold-call"]
        assert served.call(id).outcome == "timed_out"


def test_a_model_that_fails_is_left_alone_and_tried_again(tmp_path: Path) -> None:
    with serving(tmp_path, 'retries = 0, open_after = 3, fallbacks = ["claude"]') as served:
        served.provider.answer = lambda said: answered(said) if said.path.endswith("/messages") else refuse(500)
        for _ in range(3):
            assert len(attempts(served, ask(served))) == 2
        assert attempts(served, ask(served)) == [("fallback", "claude", "answered")]
        assert "breaker.opened" in (tmp_path / "log").read_text()


def test_a_stream_goes_on_elsewhere_where_the_task_says_so(tmp_path: Path) -> None:
    def breaks(said: Said) -> Iterator[bytes]:
        return (piece for piece in (*events(*openai_events("gpt-x", False)[:3], ends=False), b""))

    def goes_on(said: Said) -> Iterator[bytes]:
        told = [{"index": 0, "delta": {"content": piece}, "finish_reason": None} for piece in ("Grö", "ße ", "und ", "mehr")]
        told.append({"index": 0, "delta": {}, "finish_reason": "stop"})
        return events(*(event({"id": "x", "model": "m", "choices": [one]}) for one in told), b"data: [DONE]\n\n")

    more = '[models.other]\nprovider = "one"\n'
    with serving(tmp_path, 'restartable = true, retries = 0, fallbacks = ["other"]', more) as served:
        served.provider.answer = lambda said: breaks(said) if said.body["model"] == "gpt-x" else goes_on(said)
        with served.openai().chat.completions.with_streaming_response.create(model="frontier", messages=ASKED, stream=True) as raw:
            id = raw.headers["x-freehold-call"]
            said = "".join(chunk.choices[0].delta.content or "" for chunk in raw.parse() if chunk.choices)
        assert said == "Größe und mehr"
        assert served.provider.asked[-1].body["messages"][-1] == {"role": "assistant", "content": "Größe"}
        call = served.call(id)
        assert (call.output, call.outcome) == ("Größe und mehr", "answered")
        assert [one.outcome for one in call.attempts] == ["failed", "answered"]


def test_the_same_request_is_answered_from_memory(tmp_path: Path) -> None:
    with serving(tmp_path, "cache_s = 60") as served:
        first = ask(served)
        again = ask(served, user="somebody else")
        stream = served.openai().chat.completions.create(model="frontier", messages=ASKED, stream=True)
        said = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
        assert len(served.provider.asked) == 1
        assert again.headers["x-freehold-variant"] == "cache"
        assert float(again.headers["x-freehold-cost-usd"]) == 0
        assert said == again.parse().choices[0].message.content == first.parse().choices[0].message.content
        ask(served, temperature=0.5)
        assert len(served.provider.asked) == 2


def test_what_is_beyond_a_limit_waits_or_is_refused(tmp_path: Path) -> None:
    at_once: list[int] = []
    under_way = 0
    lock = threading.Lock()

    def counts(said: Said) -> Iterator[bytes]:
        nonlocal under_way
        with lock:
            under_way += 1
            at_once.append(under_way)
        time.sleep(0.05)
        with lock:
            under_way -= 1
        yield from answered(said)

    with serving(tmp_path, "retries = 0", "limits = { concurrent = 2 }\n[gateway]\nwait_s = 30.0", ["--workers", "2"]) as served:
        served.provider.answer = counts
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: ask(served), range(16)))
        assert max(at_once) <= 2


def test_a_limit_that_is_reached_says_when_to_come_again(tmp_path: Path) -> None:
    with serving(tmp_path, "retries = 0", "limits = { requests_per_min = 2 }\n[gateway]\nwait_s = 0.0") as served:
        ask(served)
        ask(served)
        with pytest.raises(openai.RateLimitError, match="2 requests_per_min") as caught:
            ask(served)
        assert 20 <= int(caught.value.response.headers["retry-after"]) <= 31


def test_workers_share_a_port_and_are_begun_anew(tmp_path: Path) -> None:
    with serving(tmp_path, "retries = 0", options=["--workers", "2"]) as served:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: ask(served), range(32)))
        assert len(served.calls()) == 32
        children = Path(f"/proc/{served.process.pid}/task/{served.process.pid}/children").read_text().split()
        assert len(children) == 2
        os.kill(int(children[0]), signal.SIGKILL)
        for _ in range(8):
            ask(served)
        assert len(served.calls()) == 40
