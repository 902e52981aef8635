"""The log: one line an event, with the call it is about, and never what somebody asked."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from watched import FINISHED, finished

from freehold.errors import OperatorError
from freehold.tables import TelemetryTable
from freehold.telemetry.logs import set_up_logs
from freehold.telemetry.telemetry import Telemetry

SECRET = "sk-secret, my card was swallowed"


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """What is set up here is set up for the whole process."""
    root, ours = logging.getLogger(), logging.getLogger("freehold")
    before = root.handlers[:], root.level, ours.level
    yield
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    ours.setLevel(before[2])


def written(log: Any, **table: Any) -> str:
    """What `log` writes."""
    stream = io.StringIO()
    set_up_logs(TelemetryTable(**table), stream)
    log(logging.getLogger("freehold.serve"))
    return stream.getvalue()


def line(log: Any, **table: Any) -> dict[str, Any]:
    """The one JSON line that `log` writes."""
    text = written(log, **table)
    assert text.count("\n") == 1
    found: dict[str, Any] = json.loads(text)
    return found


def test_a_line_has_time_level_event_message_and_call() -> None:
    found = line(lambda log: log.error("policy.failed: the active policy of task '%s' cannot be served", "triage", extra={"call": "0197"}))
    time = found.pop("time")
    assert found == {
        "level": "error",
        "event": "policy.failed",
        "message": "the active policy of task 'triage' cannot be served",
        "call": "0197",
    }
    assert time.endswith("Z")
    assert len(time) == len("2026-10-01T12:00:00.123Z")


def test_a_line_without_an_event_is_called_by_its_logger() -> None:
    assert line(lambda _: logging.getLogger("uvicorn.error").warning("Some words: and more"))["event"] == "uvicorn.error"


def test_text_is_one_line_too() -> None:
    text = written(lambda log: log.warning("journal.spooling: calls wait.\nIn the spool.", extra={"call": "0197"}), logs="text")
    assert text.count("\n") == 1
    assert " warning journal.spooling calls wait.\\nIn the spool. call=0197\n" in text


@pytest.mark.parametrize("form", ["json", "text"])
def test_of_an_error_that_is_not_ours_a_line_says_where_and_not_what(form: str) -> None:
    """What Python or a library says of a value may quote it, and so does what caused it."""

    def log(logger: logging.Logger) -> None:
        try:
            try:
                int(SECRET)
            except ValueError as error:
                raise KeyError(SECRET) from error
        except KeyError:
            logger.exception("exchange.failed: call %s", "0197", extra={"call": "0197"})

    text = written(log, logs=form)
    assert "secret" not in text
    assert "KeyError" in text
    assert "test_logs.py" in text


def test_an_error_of_ours_says_what_is_to_be_done() -> None:
    def log(logger: logging.Logger) -> None:
        try:
            raise OperatorError("The disk is full. Make room.")
        except OperatorError:
            logger.exception("journal.failed")

    assert line(log)["error"] == "OperatorError: The disk is full. Make room."


def test_levels() -> None:
    assert written(lambda log: log.info("a.b: c"), log_level="warning") == ""
    assert written(lambda log: log.debug("a.b: c")) == ""
    assert written(lambda _: logging.getLogger("urllib3").info("x")) == ""


def test_a_call_that_failed_is_a_line_and_every_call_is_at_debug() -> None:
    def log(table: TelemetryTable) -> Any:
        return lambda _: Telemetry(table).finished(FINISHED)

    assert written(log(TelemetryTable())) == ""
    found = line(log(TelemetryTable(log_level="debug")), log_level="debug")
    assert (found["event"], found["call"], found["status"], found["cost_usd"]) == ("call.finished", "0197c0ffee", 200, 0.003)
    failed = line(lambda _: Telemetry(TelemetryTable()).finished(finished(outcome="failed", status=502, cost_usd=None)))
    assert (failed["level"], failed["call"], failed["outcome"]) == ("info", "0197c0ffee", "failed")
    assert "cost_usd" not in failed


def test_no_line_holds_what_was_asked() -> None:
    event = finished(outcome="failed", asked=SECRET, answered=SECRET)
    assert "secret" not in written(lambda _: Telemetry(TelemetryTable()).finished(event))


def test_what_cannot_be_counted_is_logged_with_its_call_and_harms_nobody() -> None:
    """What is watched must not break what is watched."""
    odd = finished(seconds=SECRET)
    found = line(lambda _: Telemetry(TelemetryTable()).finished(odd))
    assert (found["event"], found["call"]) == ("telemetry.failed", "0197c0ffee")
    assert "secret" not in json.dumps(found)
