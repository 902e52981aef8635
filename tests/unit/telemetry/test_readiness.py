"""Whether requests may be sent, and whether anything lives."""

import json
from typing import Any

import pytest

from freehold.telemetry.readiness import Readiness

GOOD: dict[str, Any] = {"store": True, "without": False, "policies": True, "stopping": False, "spooled": False}


def readiness(**fields: Any) -> Readiness:
    known = GOOD | fields
    return Readiness(
        is_store_up=lambda: known["store"],
        may_do_without_store=known["without"],
        has_policies=lambda: known["policies"],
        is_stopping=lambda: known["stopping"],
        has_spooled=lambda: known["spooled"],
    )


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({}, 200),
        ({"store": False}, 503),
        ({"store": False, "without": True}, 200),
        ({"policies": False}, 503),
        ({"stopping": True}, 503),
    ],
)
def test_ready_is_whoever_can_serve_as_it_should(fields: dict[str, Any], status: int) -> None:
    found, body = readiness(**fields).ready()
    assert found == status
    assert json.loads(body)["status"] == ("ready" if status == 200 else "not ready")


def test_what_is_missing_is_told() -> None:
    assert json.loads(readiness(store=False).ready()[1]) == {"status": "not ready", "store": False, "policies": True, "stopping": False}


def test_calls_that_wait_are_told_and_are_no_illness() -> None:
    assert readiness(spooled=True, store=False).health() == (200, b'{"status":"ok","spooled":true}')
