"""Plans as files: TOML that a person can read and edit."""

import tomllib
from pathlib import Path

import msgspec

from freehold.errors import CallerError
from freehold.variants.card import Plan

_MOST_BYTES = 2**20


def read_plan(path: Path) -> Plan:
    """The plan of a TOML or JSON file, or of a specialist's card. Raises CallerError."""
    try:
        data = path.read_bytes()
        if len(data) > _MOST_BYTES:
            raise CallerError(f"{path} is larger than 1 MiB; a plan is a page.")
        raw = msgspec.json.decode(data) if data.lstrip()[:1] == b"{" else tomllib.loads(data.decode())
        return msgspec.convert(raw["plan"] if isinstance(raw, dict) and "plan" in raw else raw, Plan)
    except OSError as error:
        raise CallerError(f"The plan {path} cannot be read: {error.strerror}.") from None
    except (ValueError, msgspec.ValidationError, msgspec.DecodeError) as error:
        raise CallerError(
            f"The plan {path} is not one: {error}. 'freehold train TASK --method METHOD --dry-run --save-plan FILE' writes one."
        ) from None


def write_plan(plan: Plan, path: Path) -> None:
    """Writes a plan. Raises CallerError where the file cannot be written."""
    plain = msgspec.to_builtins(plan)
    options = plain.pop("options")
    lines = [f"{key} = {_value(value)}" for key, value in plain.items() if value is not None]
    lines += ["", "[options]", *(f"{key} = {_value(value)}" for key, value in options.items())]
    try:
        path.write_text("\n".join(lines) + "\n")
    except OSError as error:
        raise CallerError(f"The plan cannot be written to {path}: {error.strerror}.") from None


def _value(value: object) -> str:
    """A value of TOML: its strings, lists, numbers and truths are written as JSON's."""
    return msgspec.json.encode(value).decode()
