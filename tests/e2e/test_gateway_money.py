"""Keys, plans and budgets at the gateway's door: what is let in, what it is booked to, and what the ledger has in the end."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import anthropic
import openai
import pytest
from tests.e2e.test_gateway import ASKED, Served, running
from tests.upstream import answered

from command import freehold
from freehold.gateway.recount import recount
from freehold.store.open import open_store

TOML = """
[providers.one]
kind = "openai"
base_url = "{url}"
[models.frontier]
provider = "one"
name = "gpt-x"
price = { input_per_mtok = 10.0, output_per_mtok = 100.0 }
serving = { retries = 0, open_after = 0 }
[models.unknown]
provider = "one"
name = "nobody-knows-x"
[tasks.triage]
reference = "frontier"
variants = ["frontier"]
[teams.search]
budget = { day_usd = 100.0 }
[plans.basic]
per_call = 0.01
[plans.plus]
markup = 0.5
%s
"""
COST = (100 * 10 + 20 * 100) / 1e6


def key(folder: Path, *options: str) -> str:
    return str(freehold("keys", "create", "--json", "--project", folder, *options).json["secret"])


def ask(served: Served, secret: str, model: str = "frontier", **more: Any) -> Any:
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{served.port}/v1", api_key=secret, max_retries=0)
    with client:
        return client.chat.completions.with_raw_response.create(model=model, messages=ASKED, **more)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "freehold.toml").write_text((TOML % "").replace("{url}", "http://127.0.0.1:1"))
    return tmp_path


def test_a_key_opens_what_it_is_for(folder: Path) -> None:
    secret = key(folder, "--model", "front*", "--owner", "Ann", "--tag", "app=desk", "--customer", "acme", "--plan", "basic")
    reader = key(folder, "--role", "read")
    with running(folder, [], TOML % "") as served:
        raw = ask(served, secret)
        call = served.call(raw.headers["x-freehold-call"])
        assert (call.tags["app"], call.customer) == ("desk", "acme")
        with pytest.raises(openai.PermissionDeniedError, match="may not ask for 'unknown'"):
            ask(served, secret, "unknown")
        with pytest.raises(openai.AuthenticationError, match="No valid key"):
            ask(served, secret + "x")
        with pytest.raises(openai.PermissionDeniedError, match="takes 'call'"):
            ask(served, reader)
        client = anthropic.Anthropic(base_url=f"http://127.0.0.1:{served.port}", api_key=secret, max_retries=0)
        assert client.messages.create(model="frontier", max_tokens=9, messages=[{"role": "user", "content": "a"}]).content
        with pytest.raises(anthropic.AuthenticationError):
            client.copy(api_key="fh-no-key").messages.create(model="frontier", max_tokens=9, messages=[{"role": "user", "content": "a"}])
        client.close()
        assert secret.split("-", 2)[2] not in (folder / "log").read_text()


def test_a_revoked_key_opens_nothing(folder: Path) -> None:
    secret = key(folder)
    with running(folder, [], TOML % "") as served:
        ask(served, secret)
        freehold("keys", "revoke", secret.split("-")[1], "--project", folder)
        until = datetime.now(UTC).timestamp() + 10
        with pytest.raises(openai.AuthenticationError):
            while datetime.now(UTC).timestamp() < until:
                ask(served, secret)


def test_what_calls_cost_adds_up_to_the_ledger(folder: Path) -> None:
    secret, other = key(folder, "--team", "search", "--plan", "plus"), key(folder, "--customer", "acme", "--plan", "basic")
    with running(folder, [], TOML % "") as served:
        for _ in range(3):
            ask(served, secret)
        ask(served, other, "freehold/triage")
        ask(served, other, "unknown", extra_headers={"x-freehold-customer": "globex"})
        served.provider.answer = lambda said: iter([b"HTTP/1.1 500 X\r\ncontent-length: 0\r\n\r\n"])
        with pytest.raises(openai.InternalServerError):
            ask(served, other)
    by_customer = freehold("usage", "--by", "customer", "--json", "--project", folder).json
    rows = {row["name"]: row for row in by_customer["rows"]}
    assert rows["globex"]["unknown_costs"] == 1
    assert rows["acme"]["cost_usd"] == pytest.approx(COST)
    assert rows["acme"]["revenue_usd"] == pytest.approx(0.01)  # what failed is not charged
    assert rows[None]["revenue_usd"] == pytest.approx(3 * COST * 1.5)
    assert by_customer["total"]["calls"] == 6
    with open_store("sqlite:///freehold.db", folder) as store:
        assert recount(store, "default") == []


def test_a_budget_is_never_overspent_however_many_ask_at_once(folder: Path) -> None:
    budget = 0.9
    secret = key(folder, "--total-usd", str(budget))
    with running(folder, ["--workers", "2"], TOML % "") as served:

        def one(_: int) -> bool:
            try:
                ask(served, secret)
            except openai.RateLimitError as error:
                assert "budget" in str(error) and error.response.headers["x-should-retry"] == "false"
                return False
            return True

        with ThreadPoolExecutor(16) as pool:
            given = sum(pool.map(one, range(40)))
        assert 1 <= given <= budget / COST
        spent = sum(call.cost_usd or 0 for call in served.calls())
        assert spent <= budget
        with open_store("sqlite:///freehold.db", folder) as store:
            assert recount(store, "default") == []
        usage = freehold("usage", "--by", "key", "--json", "--project", folder).json
        assert usage["total"]["cost_usd"] == pytest.approx(spent)


def test_a_key_has_its_own_limits(folder: Path) -> None:
    secret, other = key(folder, "--requests-per-min", "2"), key(folder)
    with running(folder, [], TOML % "[gateway]\nwait_s = 0.0") as served:
        ask(served, secret)
        ask(served, secret)
        with pytest.raises(openai.RateLimitError, match="requests_per_min"):
            ask(served, secret)
        ask(served, other)


def test_a_model_without_a_price_may_be_refused(folder: Path) -> None:
    with running(folder, [], TOML % '[gateway]\nunpriced = "refuse"') as served:
        with pytest.raises(openai.BadRequestError, match="Nobody knows what 'nobody-knows-x' costs"):
            ask(served, "unused", "unknown")
        ask(served, "unused")


def test_a_plan_may_promise_the_reference(folder: Path) -> None:
    with running(folder, [], TOML % "[plans.excellent]\nreference_only = true") as served:
        raw = ask(served, "unused", "freehold/triage", extra_headers={"x-freehold-plan": "excellent"})
        assert raw.headers["x-freehold-variant"] == "frontier"
        with pytest.raises(openai.BadRequestError, match="no plan 'gold'"):
            ask(served, "unused", extra_headers={"x-freehold-plan": "gold"})


def test_what_nobody_was_asked_for_costs_nothing(folder: Path) -> None:
    secret = key(folder, "--total-usd", "5")
    with running(folder, [], TOML % "") as served:
        served.provider.answer = answered
        with pytest.raises(openai.NotFoundError):
            ask(served, secret, "freehold/nothing")
        ask(served, secret)
    with open_store("sqlite:///freehold.db", folder) as store:
        assert recount(store, "default") == []
    usage = freehold("usage", "--by", "key", "--json", "--project", folder).json
    assert (usage["total"]["calls"], usage["total"]["charged_usd"]) == (1, pytest.approx(COST))
    assert json.dumps(usage)


def test_calls_that_nobody_could_look_at_the_budget_of_are_counted(tmp_path: Path) -> None:
    toml = TOML % "[budget]\nmonth_usd = 9.0\n"
    with open_store("sqlite:///freehold.db", tmp_path) as store, running(tmp_path, [], toml) as served:
        with store.writing():
            assert ask(served, "none").headers["x-freehold-call"]
        with urlopen(f"http://127.0.0.1:{served.port}/metrics") as told:
            assert "freehold_budgets_unchecked_total 1\n" in told.read().decode()
