"""A person behind a policy, within a vote and within a check: through real gateways and sockets, on both databases."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from e2e.test_experts import Office, ask, http, one_waiting, say, until, waiting
from e2e.test_gateway import Served
from freehold.catalog import Task
from freehold.gateway.budget import nano
from freehold.project import Project
from freehold.promotion.gate import promote
from freehold.promotion.records import add_policy
from freehold.routing.program import digest, parse, show
from upstream import Said, says

MORE = """
[models.cheap]
provider = "one"
name = "gpt-mini"
price = { input_per_mtok = 1.0, output_per_mtok = 10.0, cached_read_per_mtok = 0.1 }
serving = { retries = 0, open_after = 0 }
[variants.panel]
kind = "vote"
of = ["cheap", "frontier", "ask-ann"]
[variants.checked]
kind = "verify"
of = "cheap"
by = "ask-ann"
n = 1
"""
CHEAP_USD = (40 * 1 + 60 * 0.1 + 20 * 10) / 1e6
FRONTIER_USD = CHEAP_USD * 10


class Desk(Office):
    """An office whose task goes by a policy."""

    def __init__(self, folder: Path, store: str, policy: str, **times: float) -> None:
        super().__init__(folder, store, **times)
        self.toml += MORE
        (folder / "freehold.toml").write_text(self.toml.replace("{url}", "http://127.0.0.1:1"))
        program = parse(f"task triage\n{policy}")
        self.policy = digest(program)
        now = datetime.now(UTC)
        with Project.at(folder) as project:
            add_policy(project.store, "default", "triage", self.policy, show(program), None, None, "person", now)
            promote(project.store, "default", Task(id="triage", allow_uncertified=True), self.policy, "ann", now)

    @contextmanager
    def answering(self, cheap: Any, frontier: Any = "frontier's") -> Iterator[Served]:
        """Open, with models that say this."""
        with self.open() as served:
            told = {"gpt-mini": cheap, "gpt-x": frontier}

            def spoken(said: Said) -> str:
                words = told[said.body["model"]]
                return str(words(said) if callable(words) else words)

            served.provider.answer = says(spoken)
            yield served


def asked(served: Served) -> list[str]:
    return [said.body["model"] for said in served.provider.asked]


def test_a_policy_goes_on_to_a_person_where_a_models_answer_will_not_do(tmp_path: Path, store_url: str) -> None:
    """What the model cost and what the person gets are one call's; whom the policy does not send there is answered meanwhile."""
    desk = Desk(tmp_path, store_url, "when chars > 30 try cheap accept answer_chars > 20 then ask-ann\notherwise use cheap", wait_s=60)
    with desk.answering("a short one") as served, ThreadPoolExecutor(1) as pool:
        hard = pool.submit(ask, served, "My card was swallowed by the machine, and I am abroad")
        shown = one_waiting(served)
        status, headers, told = ask(served, "Opening hours?")
        assert (status, told["choices"][0]["message"]["content"], headers["x-freehold-variant"]) == (200, "a short one", "cheap")
        assert len(waiting(served)) == 1
        say(served, shown["id"], "cards abroad")
        status, headers, told = hard.result(60)
        assert (status, told["choices"][0]["message"]["content"]) == (200, "cards abroad")
        assert (headers["x-freehold-variant"], headers["x-freehold-policy"]) == ("ask-ann", desk.policy)
        call = desk.call(headers["x-freehold-call"])
        assert [(each.variant, each.outcome) for each in call.attempts] == [("cheap", "answered"), ("ask-ann", "answered")]
        assert call.cost_usd == pytest.approx(CHEAP_USD + 0.5) and call.policy == desk.policy
        assert desk.earned() == {"ann": nano(0.5)}


def test_a_call_behind_a_policy_outlives_its_gateway_and_asks_no_model_again(tmp_path: Path, store_url: str) -> None:
    desk = Desk(tmp_path, store_url, "otherwise try cheap accept answer_chars > 20 then ask-ann")
    with desk.answering("a short one") as served:
        status, _, told = ask(served)
        assert status == 202
        shown = one_waiting(served)
        served.process.kill()
        served.process.wait(30)
    with desk.answering("another") as served:
        say(served, shown["id"], "cards")
        _, _, answer = until(lambda: found if (found := http(served, "GET", f"/v1/calls/{told['id']}"))[0] == 200 else None)
        assert answer["choices"][0]["message"]["content"] == "cards"
        assert asked(served) == []
        call = desk.call(told["id"])
        assert [each.variant for each in call.attempts] == ["cheap", "ask-ann"]
        assert call.cost_usd == pytest.approx(CHEAP_USD + 0.5)


def test_a_person_has_a_vote_beside_models(tmp_path: Path, store_url: str) -> None:
    """The models differ, and the person's word makes two of three; what all three cost is one call's."""
    desk = Desk(tmp_path, store_url, "otherwise use panel", wait_s=60)
    with desk.answering("cards", "transfers") as served, ThreadPoolExecutor(1) as pool:
        asking = pool.submit(ask, served)
        say(served, one_waiting(served)["id"], "transfers")
        status, headers, told = asking.result(60)
        assert (status, told["choices"][0]["message"]["content"], headers["x-freehold-variant"]) == (200, "transfers", "panel")
        call = desk.call(headers["x-freehold-call"])
        assert sorted(each.variant for each in call.attempts) == ["ask-ann", "cheap", "frontier"]
        assert call.cost_usd == pytest.approx(CHEAP_USD + FRONTIER_USD + 0.5)
        assert desk.earned() == {"ann": nano(0.5)}


def test_a_vote_whose_person_is_late_is_decided_without(tmp_path: Path) -> None:
    """Past the deadline the fallback answers in the person's place, and has the vote; nobody is paid."""
    desk = Desk(tmp_path, "sqlite:///freehold.db", "otherwise use panel", deadline_s=1.0, wait_s=60)
    with desk.answering("cards", "transfers") as served:
        status, headers, told = ask(served)
        assert (status, told["choices"][0]["message"]["content"]) == (200, "transfers")
        call = desk.call(headers["x-freehold-call"])
        assert ("ask-ann", "timed_out") in [(each.variant, each.outcome) for each in call.attempts]
        assert call.cost_usd == pytest.approx(CHEAP_USD + 2 * FRONTIER_USD)
        assert desk.earned() == {}


def test_a_person_checks_a_models_answer_and_has_it_revised(tmp_path: Path, store_url: str) -> None:
    """They see the question with the answer after it, say what is wrong, and look at the revision; both looks are paid."""

    def cheap(said: Said) -> str:
        return "transfers" if len(said.body["messages"]) == 1 else "cards"

    desk = Desk(tmp_path, store_url, "otherwise use checked", wait_s=60)
    with desk.answering(cheap) as served, ThreadPoolExecutor(1) as pool:
        asking = pool.submit(ask, served)
        first = one_waiting(served)
        assert first["more"][0] == {"role": "assistant", "content": "transfers"} and first["form"] is None
        assert say(served, first["id"], '{"right": false, "why": "a card is no transfer"}')[0] == 200
        second = until(lambda: next((one for one in waiting(served) if one["id"] != first["id"]), None))
        assert second["more"][-2] == {"role": "assistant", "content": "cards"}
        assert "a card is no transfer" in served.provider.asked[-1].body["messages"][-1]["content"]
        say(served, second["id"], '{"right": true}')
        status, headers, told = asking.result(60)
        assert (status, told["choices"][0]["message"]["content"], headers["x-freehold-variant"]) == (200, "cards", "checked")
        call = desk.call(headers["x-freehold-call"])
        assert [each.variant for each in call.attempts] == ["cheap", "ask-ann", "cheap", "ask-ann"]
        assert call.cost_usd == pytest.approx(2 * CHEAP_USD + 1.0)
        assert desk.earned() == {"ann": nano(1.0)}
