"""The project itself: its name, its store, its journal, on what terms calls may be data, and what is told of it to whoever watches."""

from typing import Literal
from urllib.parse import urlsplit

import msgspec

from freehold.catalog import Content, Durability
from freehold.errors import OperatorError
from freehold.tables.variables import refuse_no_variables


class ProjectTable(msgspec.Struct, frozen=True, kw_only=True):
    """`[project]`."""

    name: str = "freehold"
    """What reports call the project."""
    python: tuple[str, ...] = ()
    """Its programs: files, relative to the project's folder, or dotted modules."""


class StoreTable(msgspec.Struct, frozen=True, kw_only=True):
    """`[store]`."""

    url: str = "sqlite:///freehold.db"
    """`sqlite:///FILE`, relative to the project's folder, or `postgresql://user@host/database`."""
    durability: Durability = "process"
    """What a commit survives: the death of the process, or the loss of power as well."""


class JournalTable(msgspec.Struct, frozen=True, kw_only=True):
    """`[journal]`."""

    content: Content = "full"
    """What of prompts and answers is kept; acts before anything is written."""
    keep_days: int = 90
    """How long calls are kept."""
    on_failure: Literal["required", "spool", "best_effort"] = "spool"
    """What serving does while the store cannot be written."""

    def __post_init__(self) -> None:
        if self.keep_days < 1:
            raise OperatorError(f"journal.keep_days is {self.keep_days}; it is a number of days from 1, such as 90")


class DataTable(msgspec.Struct, frozen=True, kw_only=True):
    """`[data]`: on what terms calls may be made into data sets. A task may say otherwise, and a call by its tags `licence` and `consent`."""

    licence: str | None = None
    """The licence of what is asked and answered, such as an SPDX identifier; None for none known."""
    consent: str | None = None
    """On what the people agreed to its use for data sets, such as `terms-2026`; `no` where they did not; None where nobody knows."""


class TelemetryTable(msgspec.Struct, frozen=True, kw_only=True):
    """`[telemetry]`."""

    otlp_endpoint: str | None = None
    """The collector that gets spans and metrics by OTLP over HTTP, such as `http://127.0.0.1:4318`; None sends nothing."""
    otlp_headers_env: str | None = None
    """The environment variable that holds headers for it, written `name=value,name=value`."""
    content: bool = False
    """Whether spans hold prompts and answers, as far as the journal keeps them."""
    logs: Literal["json", "text"] = "json"
    """The form of the log's lines."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """From which level on there are lines; at `debug`, one for every call."""

    def __post_init__(self) -> None:
        if self.otlp_endpoint is not None:
            parts = urlsplit(self.otlp_endpoint)
            if parts.username is not None or parts.password is not None:
                raise OperatorError(
                    "telemetry.otlp_endpoint holds a name or a password; they stand in an environment variable that otlp_headers_env names"
                )
            if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
                raise OperatorError(f"telemetry.otlp_endpoint is '{self.otlp_endpoint}'; expected an address such as http://127.0.0.1:4318")
        refuse_no_variables("telemetry", otlp_headers_env=self.otlp_headers_env)
