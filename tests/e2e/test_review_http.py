"""The HTTP API of reviewers, over real sockets: joining by invitation, judging, and what it never tells."""

import base64
import json
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from test_gateway import TOML, Served, running

from command import freehold
from freehold.gateway.openapi import document
from freehold.journal.call import Call
from freehold.journal.write import append_many
from freehold.store.open import open_store

PICTURE = {"media": "image", "media_type": "image/png", "data": base64.b64encode(b"\x89PNG and so on").decode()}
TASK = """
[metrics.correct]
kind = "binary"
deterministic = true
[tasks.look]
reference = "frontier"
metric = "correct"
"""
GUIDE = "Say what is on the picture.\n"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A gateway that asks for keys, over a project with a queue of six pictures."""
    project = tmp_path_factory.mktemp("served")
    (project / "guide.md").write_text(GUIDE)
    with running(project, [], TOML + TASK) as found:
        calls = [
            Call(id=f"p{n}/{variant}", task="look", variant=variant, item=f"p{n}", input={"picture": PICTURE, "n": n}, output=output)
            for n in range(6)
            for variant, output in (("frontier", "a long grey cat"), ("claude", "a long brown cat"))
        ]
        with open_store("sqlite:///freehold.db", project) as store:
            append_many(store, calls)
        freehold("keys", "create", "--project", project)
        freehold("review", "open", "look", "--size", "6", "--tags", "animals", "--guidelines", project / "guide.md", "--project", project)
        yield found


def asked(served: Served, method: str, path: str, token: str | None, body: Any = None) -> tuple[int, Any]:
    connection = HTTPConnection("127.0.0.1", served.port, timeout=30)
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    if body is not None:
        headers["content-type"] = "application/json"
    connection.request(method, f"/v1/review/{path}", None if body is None else json.dumps(body), headers)
    answer = connection.getresponse()
    told = json.loads(answer.read())
    connection.close()
    if answer.status == 200:
        described = json.loads(document())
        name = described["paths"][f"/v1/review/{path}"][method.lower()]["responses"]["200"]["content"]["application/json"]["schema"]
        jsonschema.Draft202012Validator({**name, "components": described["components"]}).validate(told)
    return answer.status, told


def joined(project: Path, served: Served, name: str, *options: str) -> str:
    link = freehold("review", "invite", name, *options, "--json", "--project", project).json
    status, told = asked(served, "POST", "join", None, {"invitation": link["link"].partition("#")[2]})
    assert status == 200 and told["reviewer"] == name
    token: str = told["token"]
    assert asked(served, "POST", "join", None, {"invitation": link["invitation"]})[0] == 401
    return token


def test_a_reviewer_joins_judges_flags_and_takes_back(served: Served) -> None:
    token = joined(served.project, served, "ann", "--tags", "animals,plants")
    status, told = asked(served, "GET", "queues", token)
    assert status == 200
    (queue,) = told["queues"]
    assert queue["guidelines"] == GUIDE and queue["progress"]["questions"] == 6
    about = {"queue": queue["queue"]}
    status, told = asked(served, "POST", "next", token, about)
    question = told["question"]
    assert question["asked"]["picture"] == PICTURE
    assert sorted(question["answers"].values()) == ["a long brown cat", "a long grey cat"]
    assert question["differences"]["A-B"].startswith("a long [-")
    assert "frontier" not in json.dumps(told) and "claude" not in json.dumps(told)
    assert asked(served, "POST", "next", token, about)[1]["question"] == question

    on_it = {**about, "ticket": question["ticket"]}
    for wrong in ({}, {"right": ["Z"]}, {"right": ["A"], "scores": {"A": 1}}, {"scores": {"A": 1}}, {"right": ["A"], "more": 1}):
        status, told = asked(served, "POST", "verdict", token, {**on_it, **wrong})
        assert status == 400, told
    status, told = asked(served, "POST", "verdict", token, {**on_it, "right": ["A"], "comment": "blurred"})
    assert status == 200 and told["progress"]["answered"] == 1
    assert asked(served, "POST", "undo", token, about)[1]["ticket"] == question["ticket"]
    assert asked(served, "POST", "next", token, about)[1]["question"] == question
    assert asked(served, "POST", "verdict", token, {**on_it, "correction": "a long grey cat"})[0] == 200
    assert asked(served, "POST", "verdict", token, {**on_it, "right": ["A"]})[0] == 400
    second = asked(served, "POST", "next", token, about)[1]["question"]["ticket"]
    assert asked(served, "POST", "skip", token, {**about, "ticket": second})[1]["progress"]["skipped"] == 1
    third = asked(served, "POST", "next", token, about)[1]["question"]["ticket"]
    assert third not in (second, question["ticket"])
    assert asked(served, "POST", "flag", token, {**about, "ticket": third, "reason": "no cat"})[0] == 200
    shown = freehold("review", "show", queue["queue"], "--json", "--project", served.project).json
    assert [flag["reason"] for flag in shown["flags"]] == ["no cat"]
    (status_of,) = freehold("review", "status", "look", "--json", "--project", served.project).json
    assert status_of["items"]["decided"] == 1


def test_who_shows_no_token_of_theirs_learns_nothing(served: Served) -> None:
    """Not a key of the gateway, nor what was made up, nor a token that was revoked; and a queue that asks for more is not there."""
    key = freehold("keys", "create", "--json", "--project", served.project).json["secret"]
    for token in (None, key, "fhr-nobody"):
        assert asked(served, "GET", "queues", token)[0] == 401
        assert asked(served, "POST", "next", token, {"queue": "x"})[0] == 401
    bea = joined(served.project, served, "bea")
    assert asked(served, "GET", "queues", bea)[1]["queues"] == []
    status, told = asked(served, "POST", "next", bea, {"queue": "x"})
    assert status == 400 and "is not open to you" in told["error"]["message"]
    freehold("review", "tags", "bea", "animals", "--project", served.project)
    assert len(asked(served, "GET", "queues", bea)[1]["queues"]) == 1
    assert freehold("review", "tags", "bea", "", "--project", served.project).out == "bea knows about nothing in particular.\n"
    assert asked(served, "GET", "queues", bea)[1]["queues"] == []
    freehold("review", "revoke", "bea", "--project", served.project)
    assert asked(served, "GET", "queues", bea)[0] == 401


def test_a_terminal_names_pictures_and_writes_them_to_files(served: Served, tmp_path: Path) -> None:
    freehold("review", "invite", "carl", "--tags", "animals", "--project", served.project)
    ended = freehold(
        "review", "look", "--as", "carl", "--files", tmp_path / "out", "--project", served.project, stdin="diff\nwrite\nguide\nq\n"
    )
    assert "image image/png, 14 bytes" in ended.out
    assert PICTURE["data"] not in ended.out
    assert "[-brown-] {+grey+}" in ended.out or "[-grey-] {+brown+}" in ended.out
    (file,) = (tmp_path / "out").iterdir()
    assert file.read_bytes() == b"\x89PNG and so on" and file.name == "asked-1.png"
    assert GUIDE.strip() in ended.out
