"""People answer calls: real gateways that are killed and started anew, real sockets, both databases; each question once, each answer paid once."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import anthropic
import openai
import pytest

import freehold as fh
from at_work import at_work
from command import RUN, freehold
from e2e.test_gateway import Served, running
from freehold.feedback.credits import standings
from freehold.gateway.budget import nano
from freehold.gateway.ledger import balances_of
from freehold.gateway.recount import recount
from freehold.journal import read
from freehold.journal.call import Call
from freehold.project import Project

TOML = """
[store]
url = "{store}"
[providers.one]
kind = "openai"
base_url = "{url}"
[models.frontier]
provider = "one"
name = "gpt-x"
price = { input_per_mtok = 10.0, output_per_mtok = 100.0, cached_read_per_mtok = 1.0 }
serving = { retries = 0, open_after = 0 }
[variants.ask-ann]
kind = "expert"
expertise = "cards"
deadline_s = {deadline}
wait_s = {wait}
price_usd = 0.5
fallback = "frontier"
[tasks.triage]
reference = "ask-ann"
variants = ["ask-ann", "frontier"]
instruction = "Say which desk it is for."
"""
FRONTIER_USD = (40 * 10 + 60 * 1 + 20 * 100) / 1e6
WITHIN_S = 40.0


class Office:
    """A gateway that people answer for, over the time of several processes."""

    def __init__(self, folder: Path, store: str, deadline_s: float = 600, wait_s: float = 0) -> None:
        self.folder = folder
        self.toml = TOML.replace("{store}", store).replace("{deadline}", str(deadline_s)).replace("{wait}", str(wait_s))

    @contextmanager
    def open(self, *options: str) -> Iterator[Served]:
        with running(self.folder, list(options), self.toml) as served:
            yield served

    def call(self, id: str) -> Call:
        """What the journal has of a call, once it has it."""

        def found() -> Call | None:
            with Project.at(self.folder) as project:
                return read.find_call(project.store, "default", id)

        return until(found)

    def calls(self) -> list[Call]:
        with Project.at(self.folder) as project:
            return list(read.calls(project.store, "default"))

    def earned(self) -> dict[str, int]:
        with Project.at(self.folder) as project:
            return {one.reviewer: one.earned_nano for one in standings(project.store, "default")}


def until(look: Callable[[], Any]) -> Any:
    """What is there once it is."""
    end = time.monotonic() + WITHIN_S
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(0.05)
    raise AssertionError(f"it did not come within {WITHIN_S:.0f} s")


def http(served: Served, method: str, path: str, body: Any = None, key: str = "mine", **headers: str) -> tuple[int, dict[str, str], Any]:
    """Status, headers and body."""
    data = None if body is None else json.dumps(body).encode()
    asked = Request(f"http://127.0.0.1:{served.port}{path}", data, method=method)
    for name, value in {"content-type": "application/json", "authorization": f"Bearer {key}", **headers}.items():
        asked.add_header(name.replace("_", "-"), value)
    try:
        with urlopen(asked, timeout=60) as reply:
            return reply.status, {name.lower(): value for name, value in reply.headers.items()}, json.loads(reply.read())
    except HTTPError as error:
        return error.code, {name.lower(): value for name, value in error.headers.items()}, json.loads(error.read())


def ask(served: Served, text: str = "My card was swallowed", key: str = "mine", **headers: str) -> tuple[int, dict[str, str], Any]:
    body = {"model": "freehold/triage", "messages": [{"role": "user", "content": text}], "user": "subject-7"}
    return http(served, "POST", "/v1/chat/completions", body, key, **headers)


def waiting(served: Served, key: str = "mine") -> list[Any]:
    status, _, told = http(served, "GET", "/v1/expert/asks", key=key)
    assert status == 200
    return list(told["data"])


def one_waiting(served: Served, key: str = "mine") -> Any:
    return until(lambda: waiting(served, key))[0]


def words(shown: Any) -> str:
    """What is asked, in its last message."""
    return str(shown["input"][-1]["content"])


def say(served: Served, id: str, answer: Any = "cards", key: str = "mine", **more: Any) -> tuple[int, Any]:
    status, _, told = http(served, "POST", "/v1/expert/answers", {"id": id, "answer": answer, "expert": "ann", **more}, key)
    return status, told


@pytest.fixture(params=[(), ("--plain-asgi",)], ids=["our protocol", "plain ASGI"])
def options(request: pytest.FixtureRequest) -> tuple[str, ...]:
    found: tuple[str, ...] = request.param
    return found


def test_a_caller_who_waits_gets_what_a_person_says(tmp_path: Path, store_url: str) -> None:
    office = Office(tmp_path, store_url, wait_s=60)
    with office.open() as served, ThreadPoolExecutor(1) as pool:
        asking = pool.submit(ask, served)
        shown = one_waiting(served)
        assert (words(shown), shown["instruction"], shown["expertise"], shown["price_usd"]) == (
            "My card was swallowed",
            "Say which desk it is for.",
            "cards",
            0.5,
        )
        assert say(served, shown["id"], took_s=12.5)[0] == 200
        status, headers, told = asking.result(60)
        assert (status, told["choices"][0]["message"]["content"]) == (200, "cards")
        assert (headers["x-freehold-variant"], float(headers["x-freehold-cost-usd"])) == ("ask-ann", 0.5)
        call = office.call(headers["x-freehold-call"])
        assert (call.variant, call.output, call.cost_usd, call.delivered, call.outcome) == ("ask-ann", "cards", 0.5, True, "answered")
        assert [(each.variant, each.cause, each.outcome, each.cost_usd) for each in call.attempts] == [
            ("ask-ann", "first", "answered", 0.5)
        ]
        assert served.provider.asked == []
        assert office.earned() == {"ann": nano(0.5)}


def test_who_need_not_wait_fetches_it_and_a_question_is_answered_once(tmp_path: Path, store_url: str, options: tuple[str, ...]) -> None:
    office = Office(tmp_path, store_url)
    with office.open(*options) as served:
        status, headers, told = ask(served)
        place = headers["location"]
        assert (status, told["status"], place) == (202, "waiting", f"/v1/calls/{told['id']}")
        assert http(served, "GET", place)[0] == 202
        id = one_waiting(served)["id"]
        with ThreadPoolExecutor(4) as pool:
            given = list(pool.map(lambda n: say(served, id, f"desk {n}")[0], range(4)))
        assert sorted(given) == [200, 409, 409, 409]
        status, headers, answer = http(served, "GET", place, x_freehold_wait_s="30")
        assert (status, answer["choices"][0]["message"]["content"]) == (200, f"desk {given.index(200)}")
        assert headers["x-freehold-variant"] == "ask-ann"
        assert http(served, "GET", place)[2] == answer
        assert office.call(told["id"]).cost_usd == 0.5
        assert office.earned() == {"ann": nano(0.5)}
        assert waiting(served) == []
        assert http(served, "GET", "/v1/calls/0123")[0] == 404


def test_past_its_deadline_the_fallback_answers_and_nobody_is_paid(tmp_path: Path, store_url: str) -> None:
    office = Office(tmp_path, store_url, deadline_s=1.0, wait_s=60)
    with office.open() as served:
        status, headers, told = ask(served)
        assert (status, told["choices"][0]["message"]["content"]) == (200, "Größe 😀")
        call = office.call(headers["x-freehold-call"])
        assert [(each.variant, each.cause, each.outcome) for each in call.attempts] == [
            ("ask-ann", "first", "timed_out"),
            ("frontier", "fallback", "answered"),
        ]
        assert call.cost_usd == pytest.approx(FRONTIER_USD)
        assert waiting(served) == []
        assert office.earned() == {}


def test_a_call_outlives_a_gateway_that_is_killed(tmp_path: Path, store_url: str) -> None:
    """Killed while the question waits; answered in the terminal while no gateway runs; the next one journals the call and has its answer."""
    office = Office(tmp_path, store_url)
    with office.open() as served:
        place = ask(served)[1]["location"]
        one_waiting(served)
        served.process.send_signal(signal.SIGKILL)
        served.process.wait(30)
    done = freehold("expert", "answer", "triage", "--expert", "ann", "--project", tmp_path, stdin="cards\n")
    assert "My card was swallowed" in done.out
    assert "1 answered." in done.out
    assert office.calls() == []
    with office.open() as served:
        told = until(lambda: found if (found := http(served, "GET", place))[0] == 200 else None)[2]
        assert told["choices"][0]["message"]["content"] == "cards"
    (call,) = office.calls()
    assert (call.id, call.cost_usd, call.source) == (place.rpartition("/")[2], 0.5, "gateway")
    assert office.earned() == {"ann": nano(0.5)}


def test_a_call_outlives_a_gateway_that_is_told_to_stop(tmp_path: Path, store_url: str) -> None:
    """Whoever waits then hears where the answer will be."""
    office = Office(tmp_path, store_url, wait_s=60)
    with ThreadPoolExecutor(1) as pool:
        with office.open() as served:
            asking = pool.submit(ask, served)
            id = one_waiting(served)["id"]
            served.process.send_signal(signal.SIGTERM)
            status, headers, _ = asking.result(60)
            assert status == 202
            served.process.wait(30)
        with office.open() as served:
            assert say(served, id)[0] == 200
            status, _, told = until(lambda: found if (found := http(served, "GET", headers["location"]))[0] == 200 else None)
            assert told["choices"][0]["message"]["content"] == "cards"
    assert [call.id for call in office.calls()] == [headers["x-freehold-call"]]


def test_what_a_caller_left_is_answered_and_was_not_delivered(tmp_path: Path, store_url: str) -> None:
    office = Office(tmp_path, store_url, wait_s=60)
    with office.open() as served:
        client = openai.OpenAI(base_url=f"http://127.0.0.1:{served.port}/v1", api_key="mine", max_retries=0, timeout=1.0)
        with client, pytest.raises(openai.APITimeoutError):
            client.chat.completions.create(model="freehold/triage", messages=[{"role": "user", "content": "hello"}])
        shown = one_waiting(served)
        assert say(served, shown["id"])[0] == 200
        (call,) = until(office.calls)
        assert (office.call(call.id).delivered, call.output, call.cost_usd) == (False, "cards", 0.5)


def test_a_stream_and_the_other_format_get_it_too(tmp_path: Path) -> None:
    office = Office(tmp_path, "sqlite:///freehold.db", wait_s=60)
    with office.open() as served, ThreadPoolExecutor(2) as pool:

        def stream() -> str:
            chunks = served.openai().chat.completions.create(
                model="freehold/triage", messages=[{"role": "user", "content": "as a stream"}], stream=True
            )
            return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)

        def message() -> Any:
            client = anthropic.Anthropic(base_url=f"http://127.0.0.1:{served.port}", api_key="mine", max_retries=0)
            with client:
                return client.messages.create(
                    model="freehold/triage", max_tokens=9, messages=[{"role": "user", "content": "as anthropic"}]
                ).content

        asking = pool.submit(stream), pool.submit(message)
        for shown in until(lambda: found if len(found := waiting(served)) == 2 else None):
            assert say(served, shown["id"], f"heard {words(shown)}")[0] == 200
        assert asking[0].result(60) == "heard as a stream"
        assert asking[1].result(60)[0].text == "heard as anthropic"


def test_keys_and_budgets_hold_while_people_think(tmp_path: Path, store_url: str) -> None:
    """What it may cost is held back until it is settled at the price; another key sees neither question nor answer."""
    office = Office(tmp_path, store_url)
    (tmp_path / "freehold.toml").write_text(office.toml.replace("{url}", "http://127.0.0.1:1"))

    def key(*more: str) -> tuple[str, str]:
        made = freehold("keys", "create", *more, "--json", "--project", tmp_path).json
        return made["key"]["id"], made["secret"]

    id, mine = key("--total-usd", "1")
    _, other = key("--total-usd", "0.1")
    _, ann = key("--role", "expert", "--owner", "ann")
    _, elsewhere = key("--role", "expert", "--owner", "eve", "--task", "other")

    def held() -> tuple[int, int]:
        with Project.at(tmp_path) as project:
            balance = balances_of(project.store, "default", [f"key:{id}"])[f"key:{id}"]
            return balance.settled, balance.reserved

    with office.open() as served:
        assert ask(served, key=other)[0] == 429
        place = ask(served, key=mine)[1]["location"]
        assert held()[0] == 0
        assert held()[1] >= nano(0.5)
        assert ask(served, key=mine, text="another")[0] == 429
        assert http(served, "GET", place, key=other)[0] == 404
        assert http(served, "GET", "/v1/expert/asks", key=mine)[0] == 403
        assert waiting(served, elsewhere) == []
        shown = one_waiting(served, ann)
        assert say(served, shown["id"], key=elsewhere)[0] == 400  # it is another's name
        assert say(served, shown["id"], key=elsewhere, expert="eve")[0] == 404
        status, told = say(served, shown["id"], key=ann)
        assert (status, told["earned_usd"]) == (200, 0.5)
        assert until(lambda: found if (found := http(served, "GET", place, key=mine))[0] == 200 else None)
        assert held() == (nano(0.5), 0)
        assert office.earned() == {"ann": nano(0.5)}
    with Project.at(tmp_path) as project:
        assert recount(project.store, "default") == []


def test_what_an_expert_earned_is_spent_at_the_gateway(tmp_path: Path) -> None:
    """A key of $0 is refused until its owner's credits are granted to it, and then spends them and no more."""
    office = Office(tmp_path, "sqlite:///freehold.db")
    (tmp_path / "freehold.toml").write_text(office.toml.replace("{url}", "http://127.0.0.1:1"))
    made = freehold("keys", "create", "--total-usd", "0", "--owner", "ann", "--json", "--project", tmp_path).json
    desk = freehold("keys", "create", "--role", "expert", "--role", "call", "--owner", "ann", "--json", "--project", tmp_path).json[
        "secret"
    ]
    asked = {"model": "frontier", "max_tokens": 100, "messages": [{"role": "user", "content": "hello"}]}
    with office.open() as served:

        def status() -> int:
            return http(served, "POST", "/v1/chat/completions", asked, made["secret"])[0]

        assert status() == 429
        ask(served, key=desk)
        assert say(served, one_waiting(served, desk)["id"], key=desk)[0] == 200
        row = freehold("credits", "grant", "ann", f"key:{made['key']['id']}", "--usd", "0.05", "--json", "--project", tmp_path).json[0]
        assert row["amount_nano"] == -nano(0.05)
        until(lambda: status() == 200)
        spent = 1
        while status() == 200:
            spent += 1
        assert spent * FRONTIER_USD <= 0.05
    listed = freehold("credits", "list", "--json", "--project", tmp_path).json
    assert [(one["reviewer"], one["earned_nano"], one["granted_nano"], one["left_nano"]) for one in listed] == [
        ("ann", nano(0.5), nano(0.05), nano(0.45))
    ]
    assert freehold("credits", "export", "--project", tmp_path).out.splitlines() == ["reviewer,usd", "ann,0.450000000"]
    freehold("credits", "pay", "--key", "march", "--project", tmp_path)
    assert freehold("credits", "export", "--project", tmp_path).out.splitlines() == ["reviewer,usd"]
    assert freehold("credits", "export", "--payment", "march", "--project", tmp_path).out.splitlines()[1] == "ann,0.450000000"


def test_a_person_answers_in_the_form_that_is_asked_for(tmp_path: Path) -> None:
    office = Office(tmp_path, "sqlite:///freehold.db")
    schema = {"type": "object", "properties": {"desk": {"enum": ["cards", "loans"]}}, "required": ["desk"]}
    form = {"type": "json_schema", "json_schema": {"name": "desk", "schema": schema}}
    with office.open() as served:
        body = {"model": "freehold/triage", "messages": [{"role": "user", "content": "hello"}], "response_format": form}
        place = http(served, "POST", "/v1/chat/completions", body)[1]["location"]
        shown = one_waiting(served)
        assert shown["form"] == schema
        assert say(served, shown["id"], {"desk": "garden"})[0] == 400
        typed = freehold("expert", "answer", "triage", "--expert", "ann", "--project", tmp_path, stdin='cards\n{"desk": "cards"}\n')
        assert "no answer of the form that is asked for" in typed.err
        told = until(lambda: found if (found := http(served, "GET", place))[0] == 200 else None)[2]
        assert json.loads(told["choices"][0]["message"]["content"]) == {"desk": "cards"}


def test_nothing_of_a_question_stays_beside_the_journal(tmp_path: Path) -> None:
    """And of an erased person neither a question that waits nor an answer that lies there."""
    office = Office(tmp_path, "sqlite:///freehold.db")
    with office.open() as served:
        first = ask(served, "zebra crossing")[1]["location"]
        assert say(served, one_waiting(served)["id"], "okapi")[0] == 200
        until(lambda: http(served, "GET", first)[0] == 200)
        ask(served, "a lonely quagga")
        one_waiting(served)
    freehold("erase", "subject-7", "--yes", "--project", tmp_path)
    on_disk = b"".join(path.read_bytes() for path in tmp_path.glob("freehold.db*"))
    assert not any(word in on_disk for word in (b"zebra", b"okapi", b"quagga"))


def test_a_program_waits_for_a_person(tmp_path: Path) -> None:
    """In process, with no gateway: the terminal answers."""

    @fh.task(variants=["frontier"], reference=fh.expert("cards", deadline_s=60, price_usd=0.25, fallback="frontier"))
    def desk(message: str) -> str:
        """Say which desk a message is for."""

    with at_work(tmp_path) as work:
        answering = threading.Thread(target=_answer_when_asked, args=(tmp_path,))
        answering.start()
        answer = desk.answer("My card was swallowed")
        answering.join()
        assert (answer.value, answer.call.variant, answer.call.cost_usd) == ("cards", "expert-cards", 0.25)
        assert work.up.asked == []
        (call,) = work.calls("desk")
        assert [each.variant for each in call.attempts] == ["expert-cards"]


def _answer_when_asked(folder: Path) -> None:
    until(lambda: freehold("expert", "list", "--json", "--project", folder).json)
    freehold("expert", "answer", "desk", "--expert", "ann", "--project", folder, stdin="cards\n")


PROGRAM = '''
import freehold


@freehold.task(reference=freehold.expert("cards", deadline_s=600, price_usd=0.25))
def desk(message: str) -> str:
    """Say which desk a message is for."""
'''


def test_a_batch_that_was_killed_asks_nobody_twice(tmp_path: Path) -> None:
    """Killed while three rows wait; one is answered while nothing runs; run again it waits for the other two, and all are paid once."""
    (tmp_path / "freehold.toml").write_text('[project]\npython = ["program.py"]\n')
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "in.jsonl").write_text("".join(f'{{"message": "row {n}"}}\n' for n in range(3)))
    command = [sys.executable, "-c", RUN, "batch", "desk", "in.jsonl", "--out", "out.jsonl", "--project", str(tmp_path)]
    with subprocess.Popen(command, cwd=tmp_path) as first:
        before = until(lambda: found if len(found := _open(tmp_path)) == 3 else None)
        first.kill()
    freehold("expert", "answer", "desk", "--expert", "ann", "--project", tmp_path, stdin="first\nq\n")
    with subprocess.Popen([*command, "--resume"], cwd=tmp_path) as second:
        after = until(lambda: found if len(found := _open(tmp_path)) == 2 else None)
        assert {one["id"] for one in after} < {one["id"] for one in before}
        freehold("expert", "answer", "desk", "--expert", "ann", "--project", tmp_path, stdin="second\nthird\n")
        assert second.wait(60) == 0
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 3
    with Project.at(tmp_path) as project:
        (ann,) = standings(project.store, "default")
        calls = list(read.calls(project.store, "default", "desk"))
    assert (ann.verdicts, ann.earned_nano) == (3, 3 * nano(0.25))
    assert sorted(str(call.output) for call in calls) == ["first", "second", "third"]


def _open(folder: Path) -> list[Any]:
    found: list[Any] = freehold("expert", "list", "--json", "--project", folder).json
    return found
