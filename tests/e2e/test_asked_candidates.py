"""`freehold ask`: recorded questions are put to a model over real sockets, and what it answers is ready to certify."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from command import RUN, Ended, freehold
from freehold.journal import read
from freehold.journal.call import Call
from freehold.journal.samples import samples_of
from freehold.store.open import open_store
from simulated import a_task, records, write_log
from upstream import Said, Upstream, openai_answer, upstream, whole

TOML = """
[providers.one]
kind = "openai"
base_url = "{url}"
[providers.two]
kind = "anthropic"
base_url = "{url}"
[models.cheap]
provider = "one"
name = "cheap-x"
price = { input_per_mtok = 1.0, output_per_mtok = 2.0 }
serving = { retries = 0 }
[models.claude]
provider = "two"
name = "claude-x"
serving = { retries = 0 }
[metrics.correct]
kind = "binary"
deterministic = true
[tasks.triage]
reference = "frontier"
metric = "correct"
instruction = "Name the topic."
"""
PAIRS = a_task()
CHEAP_SAYS = {text: PAIRS.answers[code] for text, code in zip(PAIRS.texts, PAIRS.answer_NV[:, 1], strict=True)}
TEXTS = dict(zip(PAIRS.items, PAIRS.texts, strict=True))


class Home(NamedTuple):
    """A project whose journal has what the frontier answered, and the provider of the others."""

    folder: Path
    provider: Upstream

    def ask(self, *options: str, code: int | None = 0) -> Ended:
        return freehold("ask", "triage", "--variants", "cheap", "--project", self.folder, *options, code=code)

    def asked_for(self, *options: str, code: int | None = 0) -> dict[str, Any]:
        report: dict[str, Any] = self.ask("--yes", "--json", *options, code=code).json
        return report

    def calls(self) -> list[Call]:
        with open_store("sqlite:///freehold.db", self.folder) as store:
            return [call for call in read.calls(store, "default", "triage") if call.source == "ask"]

    def certify(self, *options: str, code: int | None = 0) -> dict[str, Any]:
        said = ("--variants", "cheap", "--metric", "agreement", "--project", self.folder, "--json", *options)
        found: dict[str, Any] = freehold("certify", "triage", *said, code=code).json
        return found


def cheap_says(said: Said) -> dict[str, Any]:
    """The recorded answer of the cheap model, in 100 + 20 tokens."""
    told = openai_answer(said.body["model"])
    told["choices"][0]["message"]["content"] = CHEAP_SAYS[said.body["messages"][-1]["content"]]
    return {**told, "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}}


@contextmanager
def a_home(
    folder: Path, answer: Callable[[Said], Iterator[bytes]] = lambda said: whole(cheap_says(said)), **everyone: Any
) -> Iterator[Home]:
    with upstream() as provider:
        provider.answer = answer
        (folder / "freehold.toml").write_text(TOML.replace("{url}", provider.url))
        log = (record for record in records(PAIRS) if record["variant"] == "frontier")
        freehold("import", write_log(folder / "log.jsonl", ({**record, "scores": None} | everyone for record in log)), "--project", folder)
        yield Home(folder, provider)


PRICE = (100 * 1 + 20 * 2) / 1e6


def test_what_was_asked_certifies(tmp_path: Path) -> None:
    """From a journal of one model: its price, its answers, pairs with the probability with which they were drawn, a certificate."""
    with a_home(tmp_path) as home:
        report = home.asked_for("--sample", "700")
        plan = report["plan"]
        assert (plan["frame"], plan["items"], plan["inclusion"]) == (1200, 700, pytest.approx(700 / 1200))
        assert report["variants"]["cheap"] == {
            "answered": 700, "failed": 0, "left": 0, "reached": 700, "inclusion": pytest.approx(700 / 1200)
        }  # fmt: skip
        assert report["spent_usd"] == pytest.approx(700 * PRICE)
        one = home.provider.asked[0].body
        assert one["model"] == "cheap-x"
        assert [message["role"] for message in one["messages"]] == ["system", "user"]
        assert one["messages"][0]["content"] == "Name the topic."
        stored = home.calls()
        assert {call.item: call.input for call in stored} == {call.item: TEXTS[call.item] for call in stored}
        assert all((c.task, c.variant, c.cost_usd, len(c.attempts)) == ("triage", "cheap", pytest.approx(PRICE), 1) for c in stored)
        certificate = home.certify("--max-loss", "0.1")
        assert certificate["certified"]
        assert certificate["label_design"] == "audit"
        assert certificate["n_items"] == 700
        assert certificate["unpaired"]["by_reason"] == {"it is not in the sample that was put to a candidate": 500}
        assert freehold("verify", tmp_path / certificate["certificate"], "--json").json["verdict"] == "valid"


def test_an_answer_goes_where_the_recorded_call_belongs(tmp_path: Path) -> None:
    with a_home(tmp_path, group="g1", tags={"tier": "gold", "subject": "ann", "customer": "acme"}) as home:
        home.asked_for("--sample", "3")
        call = home.calls()[0]
        assert (call.group, call.subject, call.customer) == ("g1", "ann", "acme")
        assert call.tags["tier"] == "gold"


def test_the_price_comes_first_and_nothing_is_asked_without_a_yes(tmp_path: Path) -> None:
    with a_home(tmp_path) as home:
        refused = home.ask("--sample", "50", code=2)
        assert "50 of the 1,200 items of 'triage'" in refused.out
        assert "In all about $" in refused.out
        assert "Say --yes" in refused.err
        unknown = freehold("ask", "triage", "--variants", "claude", "--project", tmp_path, code=2)
        assert "unknown" in unknown.out
        assert "the price of 'claude' is" in unknown.err
        budget = freehold("ask", "triage", "--variants", "claude", "--budget-usd", "1", "--yes", "--project", tmp_path, code=2)
        assert "No budget can be kept" in budget.err
        assert "[models.claude]" in budget.err
        assert home.provider.asked == []


def test_only_what_is_missing_is_asked_and_a_larger_sample_goes_on(tmp_path: Path) -> None:
    with a_home(tmp_path) as home:
        home.asked_for("--sample", "20")
        again = home.asked_for("--sample", "20")
        assert (again["plan"]["bills"][0]["calls"], again["plan"]["bills"][0]["there"]) == (0, 20)
        home.asked_for("--sample", "30")
        assert len(home.provider.asked) == 30
        assert max(Counter(call.item for call in home.calls()).values()) == 1


def test_the_same_seed_is_the_same_sample_for_another_model(tmp_path: Path) -> None:
    def either(said: Said) -> Iterator[bytes]:
        if said.path.endswith("/messages"):
            told = {"type": "text", "text": "topic 0"}
            return whole({"id": "m", "type": "message", "role": "assistant", "model": "x", "content": [told], "stop_reason": "end_turn",
                          "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1}})  # fmt: skip
        return whole(cheap_says(said))

    with a_home(tmp_path, either) as home:
        home.asked_for("--sample", "10")
        freehold("ask", "triage", "--variants", "claude,cheap", "--sample", "10", "--project", tmp_path, "--yes")
        with open_store("sqlite:///freehold.db", tmp_path) as store:
            drawn = samples_of(store, "default", "triage")
        assert drawn["cheap"].items == drawn["claude"].items
        assert len(home.provider.asked) == 20
        assert home.provider.asked[-1].body["system"]


def test_a_run_ends_before_the_first_item_that_does_not_fit(tmp_path: Path) -> None:
    with a_home(tmp_path) as home:
        report = home.asked_for("--sample", "400", "--budget-usd", str(PRICE * 100.5), code=1)
        assert report["ended"] == "budget"
        assert report["spent_usd"] <= PRICE * 100.5
        cheap = report["variants"]["cheap"]
        assert 90 <= cheap["answered"] == cheap["reached"] <= 100
        assert cheap["left"] == 400 - cheap["answered"]
        before = len(home.provider.asked)
        assert home.asked_for("--sample", "400", "--budget-usd", str(PRICE * 100.5), code=1)["spent_usd"] <= PRICE * 10.5
        assert len(home.provider.asked) <= before + 10  # the budget is the sample's, not the run's
        certificate = home.certify("--max-loss", "0.3", code=None)
        assert (certificate["label_design"], certificate["n_items"]) == ("audit", len(home.provider.asked))


def test_what_a_model_cannot_answer_counts_as_wrong_and_is_asked_again(tmp_path: Path) -> None:
    def moody(said: Said) -> Iterator[bytes]:
        if "mortgage" in said.body["messages"][-1]["content"].lower():
            return whole({"error": {"message": "too long"}}, 400)
        return whole(cheap_says(said))

    with a_home(tmp_path, moody) as home:
        report = home.asked_for("--sample", "300", "--concurrency", "1", code=1)
        cheap = report["variants"]["cheap"]
        assert cheap["failed"] > 5
        assert cheap["answered"] + cheap["failed"] == 300 == cheap["reached"]
        assert report["spent_usd"] == pytest.approx(cheap["answered"] * PRICE)
        certificate = home.certify("--max-loss", "0.3", code=None)
        assert certificate["charged"] == {"cheap": cheap["failed"]}
        assert certificate["n_items"] == 300
        home.provider.answer = lambda said: whole(cheap_says(said))
        assert home.asked_for("--sample", "300")["variants"]["cheap"]["answered"] == cheap["failed"]
        assert home.certify("--max-loss", "0.3", code=None)["charged"] == {}


def test_a_question_that_cannot_be_put_to_a_provider_is_one_that_it_did_not_answer(tmp_path: Path) -> None:
    question = {"messages": [{"role": "user", "content": "hi"}], "functions": [{"name": "f", "parameters": {}}]}
    with a_home(tmp_path, input=question) as home:
        said = freehold("ask", "triage", "--variants", "claude", "--sample", "5", "--yes", "--json", "--project", tmp_path, code=1)
        claude = said.json["variants"]["claude"]
        assert (claude["failed"], claude["reached"], claude["left"]) == (5, 5, 0)
        assert said.json["spent_usd"] == 0
        assert home.provider.asked == []


def test_nobody_is_asked_for_ever_who_fails(tmp_path: Path) -> None:
    with a_home(tmp_path, lambda _: whole({"error": {"message": "no such key"}}, 401)) as home:
        report = home.asked_for("--sample", "300", "--concurrency", "2", code=1)
        assert report["ended"] == "failing"
        assert "10 times in a row. The last time: no such key" in report["why"]
        assert len(home.provider.asked) <= 12


def test_after_ctrl_c_everything_answered_is_there_and_the_same_command_goes_on(tmp_path: Path) -> None:
    begun, go_on = threading.Semaphore(0), threading.Event()

    def slow(said: Said) -> Iterator[bytes]:
        if len(home.provider.asked) > 20:
            begun.release()
            go_on.wait(30)
        return whole(cheap_says(said))

    with a_home(tmp_path) as home:
        home.provider.answer = slow
        command = ["ask", "triage", "--variants", "cheap", "--sample", "60", "--project", str(tmp_path), "--yes", "--json"]
        run = [sys.executable, "-W", "error", "-c", RUN, *command]
        with subprocess.Popen(run, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ) as process:
            for _ in range(8):
                assert begun.acquire(timeout=30)
            process.send_signal(signal.SIGINT)
            assert process.stderr is not None
            assert "8 calls under way" in process.stderr.readline()
            go_on.set()
            out, err = process.communicate(timeout=60)
        assert process.returncode == 130, err
        report = json.loads(out)
        assert report["ended"] == "interrupted"
        assert len(home.calls()) == len(home.provider.asked) == report["variants"]["cheap"]["reached"] == 28
        assert home.asked_for("--sample", "60")["variants"]["cheap"]["reached"] == 60
        assert len(home.provider.asked) == 60


def test_labels_are_drawn_within_the_sample_and_certify(tmp_path: Path) -> None:
    with a_home(tmp_path) as home:
        home.asked_for("--sample", "600")
        status = freehold("label", "triage", "--variants", "cheap", "--status", "--json", "--project", tmp_path).json
        assert (status["items"], status["outside"], status["incomplete"]) == (600, 600, 0)
        questions = status["questions"]
        said = ("--variants", "cheap", "--budget", "1000", "--project", tmp_path)
        freehold("label", "triage", *said, stdin="0\n" * 600)  # neither is right, which is no harm
        certificate = freehold("certify", "triage", "--variants", "cheap", "--project", tmp_path, "--json", code=None).json
        assert (certificate["metric"], certificate["label_design"], certificate["n_items"]) == ("correct", "audit", 600)
        assert certificate["certified"] and questions > 0
