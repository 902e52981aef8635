"""A project at work in the process of a test, before a scripted provider that speaks both wire formats."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import freehold
from freehold.catalog import Task
from freehold.config import FILE_NAME
from freehold.journal import read
from freehold.journal.call import Call
from freehold.pipelines.runtime import Runtime
from freehold.promotion.gate import promote
from freehold.promotion.records import add_policy
from freehold.routing.program import digest as program_digest
from freehold.routing.program import parse, show
from freehold.store.open import open_store
from upstream import Said, Upstream, upstream

TOML = """
[project]
name = "desk"
[providers.one]
kind = "openai"
base_url = "{url}"
[providers.two]
kind = "anthropic"
base_url = "{url}"
[models.frontier]
provider = "one"
name = "gpt-x"
price = { input_per_mtok = 10.0, output_per_mtok = 100.0, cached_read_per_mtok = 1.0 }
serving = { retries = 0, open_after = 0 }
[models.cheap]
provider = "one"
name = "gpt-mini"
price = { input_per_mtok = 1.0, output_per_mtok = 10.0, cached_read_per_mtok = 0.1 }
serving = { retries = 0, open_after = 0 }
[models.claude]
provider = "two"
name = "claude-x"
price = { input_per_mtok = 10.0, output_per_mtok = 100.0, cached_read_per_mtok = 1.0, cached_write_per_mtok = 12.5 }
serving = { retries = 0, open_after = 0 }
[models.unknown]
provider = "one"
name = "of-unknown-price"
serving = { retries = 0, open_after = 0 }
"""
FRONTIER_USD = (40 * 10 + 60 * 1 + 20 * 100) / 1e6
"""What an answer of `frontier` or `claude` costs."""
CHEAP_USD = FRONTIER_USD / 10


class Desk(NamedTuple):
    """The project, and whoever it asks."""

    up: Upstream
    at: Runtime
    folder: Path

    @property
    def models(self) -> list[str]:
        """Who was asked, in order, by their providers' names."""
        return [said.body["model"] for said in self.up.asked]

    def calls(self, task: str | None = None) -> list[Call]:
        """What the journal has."""
        with open_store("sqlite:///freehold.db", self.folder) as store:
            found = [read.find_call(store, "default", call.id) for call in read.calls(store, "default", task)]
        return sorted((call for call in found if call is not None), key=lambda call: str(call.at))


@contextmanager
def at_work(folder: Path, toml: str = TOML, **policies: str) -> Iterator[Desk]:
    """The project in `folder`, while the block lasts. `policies`: the active one of each task."""
    with upstream() as up:
        (folder / FILE_NAME).write_text(toml.replace("{url}", up.url))
        with freehold.use(folder) as at:
            for task, text in policies.items():
                activate(at, task, text)
            yield Desk(up, at, folder)


def activate(at: Runtime, task: str, text: str) -> str:
    """Makes a policy the active one of a task, and has it served. Gives its hash."""
    store, program = at.project.store, parse(f"task {task}\n{text}")
    now = datetime.now(UTC)
    add_policy(store, "default", task, program_digest(program), show(program), None, None, "person", now)
    row = promote(store, "default", Task(id=task, allow_uncertified=True), program_digest(program), "ann", now)
    at.resources.look_for_policies()
    return row.hash


def said_of(said: Said) -> str:
    """The last words that were put before a model, in either format."""
    content = said.body["messages"][-1]["content"]
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def system_of(said: Said) -> str:
    """What the system said, in either format."""
    if "system" in said.body:
        content = said.body["system"]
        return content if isinstance(content, str) else "".join(part["text"] for part in content)
    return "".join(message["content"] for message in said.body["messages"] if message["role"] in ("system", "developer"))


def as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


class Heard(logging.Handler):
    """What the log said."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())
