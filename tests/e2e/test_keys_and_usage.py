"""The commands about keys and money, as people run them."""

import csv
import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from command import freehold
from freehold.gateway.keys import Keyring
from freehold.gateway.ledger import Account, Settlement, book
from freehold.project import Project

CONFIG = """
[teams.search]
budget = { day_usd = 5.0 }
[plans.basic]
per_call = 0.002
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a team and a plan, on a wide terminal."""
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "freehold.toml").write_text(CONFIG)
    return tmp_path


def test_a_key_is_made_listed_rotated_and_revoked(home: Path) -> None:
    made = freehold(
        "keys", "create", "--owner", "Ann", "--team", "search", "--model", "gpt-*", "--tag", "tier=gold", "--day-usd", "2.5",
        "--expires", "90d", "--plan", "basic", "--json", cwd=home,
    ).json  # fmt: skip
    key, secret = made["key"]["id"], made["secret"]
    assert made["key"]["grant"]["tags"] == {"tier": "gold"}
    with Project.at(home) as project:
        assert Keyring(project.store, "default").key_of(secret.encode(), datetime.now(UTC).timestamp()).id == key
    plain = freehold("keys", "create", cwd=home)
    assert plain.out.startswith("fh-") and len(plain.out.splitlines()) == 1 and "not shown again" in plain.err
    listed = freehold("keys", "list", cwd=home).out
    assert key in listed and "Ann" in listed and "2.5 USD/day" in listed and secret not in listed
    rotated = freehold("keys", "rotate", key, "--grace", "1h", "--json", cwd=home).json
    assert rotated["key"]["id"] == key and rotated["secret"] != secret
    assert "is revoked" in freehold("keys", "revoke", key, cwd=home).out
    states = {one["key"]["id"]: one["state"] for one in freehold("keys", "list", "--json", cwd=home).json}
    assert states[key] == "revoked" and sorted(states.values()) == ["revoked", "valid"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--team", "serch"], "'serch' is not under [teams] in freehold.toml. Did you mean 'search'?"),
        (["--plan", "gold"], "'gold' is not under [plans] in freehold.toml."),
        (["--tag", "gold"], "--tag 'gold' is no tag; expected NAME=VALUE"),
        (["--expires", "soon"], "--expires 'soon' is no duration; expected such as 90s, 15m, 2h or 7d"),
    ],
)
def test_a_slip_of_the_pen_makes_no_key(home: Path, options: list[str], said: str) -> None:
    assert said in freehold("keys", "create", *options, cwd=home, code=2).err


def test_usage_adds_up_in_every_format(home: Path) -> None:
    noon = datetime(2026, 3, 4, 12, tzinfo=UTC)
    with Project.at(home) as project, project.store.writing() as connection:
        book(
            project.store,
            connection,
            [
                Settlement(
                    call=f"call {n}", account=Account(customer="=acme" if n else None, plan="basic"), variant="m", at=noon + timedelta(days=n),
                    input_tokens=10, output_tokens=n, cost_nano=None if n == 2 else 310_000 + n, charged_nano=310_000 + n, revenue_nano=2_000_000,
                )
                for n in range(4)
            ],
        )  # fmt: skip
    found = freehold("usage", "--by", "customer", "--json", cwd=home).json
    assert [(row["name"], row["calls"], row["unknown_costs"]) for row in found["rows"]] == [("=acme", 3, 1), (None, 1, 0)]
    assert (found["total"]["cost_usd"], found["total"]["charged_usd"], found["total"]["margin_usd"]) == (
        0.000930004,
        0.001240006,
        0.007069996,
    )
    rows = list(csv.DictReader(io.StringIO(freehold("usage", "--by", "customer", "--format", "csv", cwd=home).out)))
    assert [(row["customer"], row["cost_usd"]) for row in rows] == [("'=acme", "0.000620004"), ("", "0.000310000")]
    assert "0.0071" in freehold("usage", "--by", "plan", cwd=home).out
    days = freehold("usage", "--by", "day", "--since", "2026-03-05", "--until", "2026-03-07", "--json", cwd=home).json
    assert [row["name"] for row in days["rows"]] == ["2026-03-05", "2026-03-06"]
    assert "No calls" in freehold("usage", "--since", "2026-04-01", cwd=home).out
    assert "expected such as" in freehold("usage", "--since", "yesterday", cwd=home, code=2).err


def test_doctor_recounts_the_ledger(home: Path) -> None:
    with Project.at(home) as project, project.store.writing() as connection:
        book(project.store, connection, [Settlement(call="c", account=Account(), at=datetime.now(UTC), cost_nano=5, charged_nano=5)])
    assert {one["finding"] for one in freehold("doctor", "--json", cwd=home).json if one["what"] == "ledger"} == {
        "balances and reservations are what its rows add up to"
    }
    with Project.at(home) as project, project.store.writing() as connection:
        connection.exec_driver_sql("UPDATE balances SET settled = 4")
    assert "settled of project is 4, and the rows add up to 5" in freehold("doctor", cwd=home, code=1).out.replace("\n", " ")
