"""The log: one line an event, as JSON or as text, with the id of the call it is about. No line holds prompts, answers or keys.

Events are logged as `_log.error("policy.failed: task '%s' …", task, extra={"call": id})`. Of an error that is not ours a line has the type
and the place, and not what it says: that may quote what somebody asked.
"""

import logging
import re
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, TypeAlias

import msgspec

from freehold.errors import FreeholdError
from freehold.tables import TelemetryTable

_EVENT = re.compile(r"([a-z][a-z0-9_]*(?:\.[a-z0-9_]+)+)(?:: |$)")
_encode = msgspec.json.Encoder(enc_hook=str).encode

Line: TypeAlias = dict[str, Any]


def set_up_logs(table: TelemetryTable, stream: IO[str] | None = None) -> None:
    """Sends every line of the log to `stream` (standard error), in the form the table says. Of other libraries, warnings alone."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JSONLines() if table.logs == "json" else TextLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("freehold").setLevel(table.log_level.upper())


class JSONLines(logging.Formatter):
    """A JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """As of `Formatter`."""
        return _encode(line_of(record)).decode()


class TextLines(logging.Formatter):
    """Time, level, event and message, and then what else is known, for people."""

    def format(self, record: logging.LogRecord) -> str:
        """As of `Formatter`."""
        line = line_of(record)
        known = [f"{key}={' < '.join(value) if isinstance(value, list) else value}" for key, value in list(line.items())[4:]]
        text = " ".join(part for part in (line["time"], line["level"], line["event"], line["message"], *known) if part)
        return text.replace("\r", "\\r").replace("\n", "\\n")


def line_of(record: logging.LogRecord) -> Line:
    """What one line says: time, level, event and message first; the call and what else was given by `extra`; an error's type and place."""
    message = record.getMessage()
    event = _EVENT.match(message)
    line: Line = {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": record.levelname.lower(),
        "event": event[1] if event else record.name,
        "message": message[event.end() :] if event else message,
    }
    line |= {key: value for key, value in record.__dict__.items() if key not in _OWN and value is not None}
    if record.exc_info and record.exc_info[1] is not None:
        error = record.exc_info[1]
        line["error"] = f"{type(error).__name__}: {error}" if isinstance(error, FreeholdError) else type(error).__name__
        line["at"] = [
            f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in reversed(traceback.extract_tb(error.__traceback__))
        ]
    return line


_OWN = frozenset({*logging.makeLogRecord({}).__dict__, "message", "asctime", "color_message"})
"""What every record has; anything else was given by `extra`."""
