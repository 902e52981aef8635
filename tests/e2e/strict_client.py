"""What schemathesis does to each request before it is sent, loaded by SCHEMATHESIS_HOOKS: see test_openapi.py.

FREEHOLD_ASKED names the model that each door asks for instead of the one that was made up, FREEHOLD_CALL the call that feedback is about,
FREEHOLD_SECRET the file of the secret that tokens are signed with.
"""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import schemathesis

from freehold.feedback.tokens import new_ticket, signed

ASKED: dict[str, str] = json.loads(os.environ["FREEHOLD_ASKED"])


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Asks a model of the other format, or about a call that was made."""
    if isinstance(case.body, dict):
        if case.path in ASKED and is_name(case.body.get("model")):
            case.body["model"] = ASKED[case.path]
        if case.path == "/v1/feedback" and is_name(case.body.get("call")):
            case.body["call"] = os.environ["FREEHOLD_CALL"]
        if case.path == "/v1/feedback" and isinstance(at := case.body.get("at"), str) and at[:4] > "2020":
            case.body["at"] = f"2020{at[4:]}"  # it has to have passed
        if case.path == "/v1/feedback/tokens" and is_name(case.body.get("other")) and case.body["other"] == case.body.get("call"):
            case.body["other"] += "x"  # no call is compared with itself
        if case.path == "/v1/feedback/public" and isinstance(case.body.get("token"), str):
            secret, until = Path(os.environ["FREEHOLD_SECRET"]).read_bytes(), datetime.now(UTC) + timedelta(days=1)
            case.body["token"] = signed(secret, new_ticket("default", os.environ["FREEHOLD_CALL"], until))


def is_name(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 200 and not any(character < " " or character == "\x7f" for character in value)
