"""What is said about answers, as those meet it who say it: a web page's visitor without a key, a program, and people at a terminal."""

import http.client
import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import chromium
import openai
import pytest
from test_gateway import ASKED, TOML, Served, running

import freehold as fh
from command import freehold
from freehold.errors import CallerError
from freehold.journal import read
from freehold.store.open import open_store

BINARY = chromium.find()
PUBLIC = """
[feedback]
public = true
token_header = true
origins = ["{page}"]
"""
TASK = """
[metrics.correct]
kind = "binary"
[tasks.triage]
metric = "correct"
[tasks.triage.reward]
first = ["verifier", "person"]
"""


class _Page(BaseHTTPRequestHandler):
    """An empty page."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>A product</title>")

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def pages() -> Iterator[int]:
    """A product's web server, by its port."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module", params=["our protocol", "plain ASGI"])
def product(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, int, dict[str, str]]]:
    """A gateway with keys and public feedback, the port of the product's pages, and its keys by what they open."""
    project = tmp_path_factory.mktemp("product")
    with pages() as port:
        toml = TOML + PUBLIC.replace("{page}", f"http://127.0.0.1:{port}")
        (project / "freehold.toml").write_text(toml.replace("{url}", "http://127.0.0.1:1"))
        roles = {"call": ["call", "feedback"], "vouch": ["feedback", "vouch"]}
        secrets = {
            name: freehold("keys", "create", *(word for role in opened for word in ("--role", role)), "--json", cwd=project).json["secret"]
            for name, opened in roles.items()
        }
        with running(project, ["--plain-asgi"] if request.param == "plain ASGI" else [], toml) as served:
            yield served, port, secrets


def asked(served: Served, key: str) -> Any:
    """The headers of an answer."""
    client = served.clients.enter_context(openai.OpenAI(base_url=f"http://127.0.0.1:{served.port}/v1", api_key=key, max_retries=0))
    return client.chat.completions.with_raw_response.create(model="frontier", messages=ASKED).headers


def said_of(served: Served, call: str) -> list[Any]:
    with open_store("sqlite:///freehold.db", served.project) as store:
        return read.feedback_of(store, "default", call)


def posted(served: Served, path: str, body: dict[str, Any], **headers: str) -> tuple[int, Any, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=10)
    try:
        connection.request("POST", path, json.dumps(body), {"content-type": "application/json", **headers})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read()), answer.headers
    finally:
        connection.close()


@pytest.mark.skipif(BINARY is None, reason="no Chromium on PATH or in CHROMIUM (Debian: apt-get install chromium)")
def test_a_visitor_speaks_from_the_product_s_page_and_from_no_other(product: tuple[Served, int, dict[str, str]]) -> None:
    """A real browser asks beforehand whether the page may, and keeps the answer from pages that may not."""
    served, port, keys = product
    headers = asked(served, keys["call"])
    call, token = headers["x-freehold-call"], headers["x-freehold-feedback-token"]
    body = json.dumps({"token": token, "metric": "helpful", "value": 1, "comment": "thanks"})
    fetch = (
        f"fetch('http://127.0.0.1:{served.port}/v1/feedback/public', {{method: 'POST', "
        f"headers: {{'content-type': 'application/json'}}, body: {body!r}}})"
        ".then(async answer => [answer.status, await answer.json()]).catch(error => [0, String(error)])"
    )
    with chromium.page(str(BINARY)) as tab:
        found = {}
        for host in ("localhost", "127.0.0.1"):
            tab.call("Page.navigate", url=f"http://{host}:{port}/")
            tab.wait_for(f"document.readyState === 'complete' && location.host === '{host}:{port}'")
            found[host] = tab.eval(fetch)
            if host == "localhost":
                assert said_of(served, call) == []
    assert found["localhost"] == [0, "TypeError: Failed to fetch"]
    status, told = found["127.0.0.1"]
    assert (status, told["call"]) == (200, call)
    assert [(one.kind, one.source) for one in said_of(served, call)] == [("score", "user:public"), ("comment", "user:public")]


def test_keys_are_needed_for_everything_but_a_token(product: tuple[Served, int, dict[str, str]]) -> None:
    served, _, keys = product
    call = asked(served, keys["call"])["x-freehold-call"]
    said = {"call": call, "metric": "helpful", "value": 1}
    assert posted(served, "/v1/feedback", said)[0] == 401
    assert posted(served, "/v1/feedback/tokens", {"call": call})[0] == 401
    assert posted(served, "/v1/feedback/tokens", {"call": call}, authorization=f"Bearer {keys['call']}")[0] == 403
    assert posted(served, "/v1/feedback", {**said, "source": "verifier:x"}, authorization=f"Bearer {keys['call']}")[0] == 403
    status, made, _ = posted(served, "/v1/feedback/tokens", {"call": call, "author": "u1"}, authorization=f"Bearer {keys['vouch']}")
    assert status == 200
    public = {"token": made["token"], "metric": "helpful", "value": 1}
    assert [posted(served, "/v1/feedback/public", public)[0] for _ in range(2)] == [200, 200]
    assert posted(served, "/v1/feedback/public", {**public, "value": 0})[0] == 409
    assert [(one.source, one.author) for one in said_of(served, call)] == [("user:public", "u1")]


def test_only_the_public_route_is_open_to_the_product_s_pages(product: tuple[Served, int, dict[str, str]]) -> None:
    """And to nobody else's, whatever the page shows."""
    served, port, keys = product
    page = f"http://127.0.0.1:{port}"
    for path in ("/v1/feedback", "/v1/feedback/tokens", "/v1/chat/completions", "/v1/feedback/public/x"):
        status, told, _ = posted(served, path, {}, origin=page, authorization=f"Bearer {keys['vouch']}")
        assert (status, told["error"]["message"]) == (403, "web pages of other origins are not served"), path
    for origin in ("null", "https://127.0.0.1", f"http://127.0.0.1.evil.example:{port}", f"http://127.0.0.1:{port}x", f"{page}/"):
        assert posted(served, "/v1/feedback/public", {}, origin=origin)[0] == 403, origin


def test_many_tokens_from_one_address_are_not_taken(product: tuple[Served, int, dict[str, str]]) -> None:
    """Thirty in an hour, whoever the tokens name; so few of what this file does before that the thirty are not reached."""
    served, _, keys = product
    call = asked(served, keys["call"])["x-freehold-call"]
    answers = []
    for n in range(40):
        made = posted(served, "/v1/feedback/tokens", {"call": call, "author": f"fake{n}"}, authorization=f"Bearer {keys['vouch']}")[1]
        answers.append(posted(served, "/v1/feedback/public", {"token": made["token"], "metric": "helpful", "value": 0}))
    statuses = [status for status, _, _ in answers]
    assert statuses == sorted(statuses) and set(statuses) == {200, 429} and statuses.count(200) <= 30
    assert 1 <= int(answers[-1][2]["retry-after"]) <= 3600


PROGRAM = '''
from collections.abc import Sequence

import freehold
from freehold.journal.call import Feedback


def stars(said: Sequence[Feedback]) -> float | None:
    """The best of all stars that were given."""
    return max((one.value / 5 for one in said if one.metric == "stars" and one.value is not None), default=None)


@freehold.task
def greeting(name: str) -> str:
    """Greet somebody."""
    return f"Hello {name}!"


@freehold.task(metric="stars", reward=stars)
def farewell(name: str) -> str:
    """Say goodbye."""
    return f"Goodbye {name}!"


@freehold.task(reward=freehold.Reward(metrics={"correct": 1.0}, at_most={}, voices={}))
def praise(name: str) -> str:
    """Praise somebody."""
    return f"Well done, {name}!"
'''
PROJECT = """
[project]
python = ["desk.py"]
[metrics.stars]
range = [0, 5]
"""


def test_a_program_says_what_its_answers_were_worth_and_people_see_the_reward(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "freehold.toml").write_text(PROJECT)
    (tmp_path / "desk.py").write_text(PROGRAM)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    import desk  # type: ignore[import-not-found]

    try:
        with fh.use(tmp_path):
            hello, other, bye = desk.greeting.answer("Ann"), desk.greeting.answer("Ann"), desk.farewell.answer("Ann")
            well = desk.praise.answer("Ann")
            once = fh.give_feedback(hello, 1, metric="correct", source="verifier:spelling", key="run 1")
            assert fh.give_feedback(hello, 1, metric="correct", source="verifier:spelling", key="run 1") == once
            assert len(fh.give_feedback(hello, metric="correct", correction="Hello, Ann!", better_than=other, comment="ok")) == 4
            fh.give_feedback(bye, 4, author="u1")  # of the task's metric
            fh.give_feedback(well, True, metric="correct", author="u1")
            with pytest.raises(CallerError, match="say what is judged: metric="):
                fh.give_feedback(hello, 1)
            with pytest.raises(CallerError, match="outside"):
                fh.give_feedback(bye, 7)
            assert fh.feedback_token(hello, author="u1").startswith("ft.")
    finally:
        del sys.modules["desk"]
    said = freehold("feedback", "show", hello.call.id, "--json", cwd=tmp_path).json
    assert [(one["kind"], one["source"]) for one in said["feedback"]] == [
        ("verifier", "verifier:spelling"), ("correction", "user"), ("preference", "user"), ("comment", "user"),
    ]  # fmt: skip
    assert said["reward"] is None
    assert freehold("feedback", "show", other.call.id, "--json", cwd=tmp_path).json["feedback"][0]["content"] == {
        "worse_than": {"call": hello.call.id}
    }
    assert freehold("feedback", "show", bye.call.id, "--json", cwd=tmp_path).json["reward"]["value"] == 0.8
    shown = freehold("feedback", "show", well.call.id, cwd=tmp_path).out
    assert "Reward: 1.0000" in shown and "u1" in shown


def test_signals_come_in_before_their_calls_and_are_shown_with_the_reward_they_make(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a file of JSON lines and from a table; a file that comes in twice adds nothing; a row that cannot be read stops no other."""
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "freehold.toml").write_text(TASK)
    lines = [
        {"item": "m1", "variant": "a", "value": 1, "source": "person:ann"},
        {"item": "m1", "variant": "b", "correction": "cards", "source": "person:ann"},
        {"item": "m1", "variant": "a", "value": 7},
    ]
    (tmp_path / "said.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + "nonsense\n")
    (tmp_path / "said.csv").write_text("item,variant,value,source,author\nm1,a,0,user,u1\nm1,a,false,user,u2\nm1,a,0,user,u3\n")
    (tmp_path / "calls.jsonl").write_text('{"item": "m1", "input": "card", "variant": "a", "output": "cards"}\n')
    bring = ("--task", "triage", "--metric", "correct")
    first = freehold("feedback", "import", "said.jsonl", *bring, "--json", cwd=tmp_path).json
    assert (first["rows"], first["added"], first["waiting"], len(first["refused"])) == (4, 2, 2, 2)
    assert first["refused"][0].startswith("row 3: score 7.0 of metric 'correct' is outside [0, 1]")
    strict = freehold("feedback", "import", "said.jsonl", *bring, "--strict", cwd=tmp_path, code=1)
    assert "4 rows: 0 pieces of feedback added, 2 there already, 2 refused." in strict.out
    assert freehold("feedback", "import", "said.csv", *bring, "--json", cwd=tmp_path).json["added"] == 3
    freehold("import", "calls.jsonl", "--task", "triage", cwd=tmp_path)
    (call,) = freehold("calls", "--json", cwd=tmp_path).json
    id = call["id"]
    found = freehold("feedback", "show", id[:10], "--json", cwd=tmp_path).json
    assert found["reward"]["value"] == 1.0 and len(found["feedback"]) == 4
    assert {one["why"] for one in found["reward"]["unheard"]} == {"'person' spoke, and comes first"}
    shown = freehold("feedback", "show", id, cwd=tmp_path).out
    assert "Reward: 1.0000" in shown and "Not in it: 3, for 'person' spoke, and comes first." in shown
    listed = freehold("feedback", "list", "--source", "user", "--task", "triage", "--json", cwd=tmp_path).json
    assert [one["author"] for one in listed] == ["u1", "u2", "u3"]
    silent = freehold("feedback", "list", "--source", "person:zoe", cwd=tmp_path)
    assert silent.out == "Nothing was said that fits.\n" and "Who did: user (3), person:ann (2)." in silent.err
    assert "Did you mean 'person'?" in freehold("feedback", "list", "--source", "perosn:ann", cwd=tmp_path, code=2).err
    added = freehold("feedback", "add", id, "--value", "false", "--source", "person:ben", "--key", "k", cwd=tmp_path).out
    assert added == "1 added, 0 there already.\n"
    assert (
        "the first stays"
        in freehold("feedback", "add", id, "--value", "1", "--source", "person:ben", "--key", "k", cwd=tmp_path, code=2).err
    )
