"""The gateway: how it is asked, how much may be asked of what, who pays, and which task an unchanged client means."""

import re
from typing import Literal

import msgspec

from freehold.catalog import Budget, Rates
from freehold.errors import OperatorError


class GatewayTable(msgspec.Struct, frozen=True, kw_only=True):
    """`[gateway]`."""

    hosts: tuple[str, ...] = ()
    """Further names under which it is asked, such as `llm.example.com` behind a proxy of yours."""
    wait_s: float = 10.0
    """The longest a request waits for a limit before it is refused."""
    most_waiting: int = 1_000
    """The most requests that wait at one time, in each worker."""

    unpriced: Literal["allow", "refuse", "assume"] = "allow"
    """What becomes of calls to a model whose price nobody knows: they are let through, refused, or charged to budgets at `assumed_price`."""
    assumed_price: Rates | None = None
    """What budgets are charged then. It is no cost: that stays unknown."""

    def __post_init__(self) -> None:
        if not 0 <= self.wait_s < float("inf") or self.most_waiting < 0:
            raise OperatorError("gateway.wait_s and gateway.most_waiting are numbers from 0 up")
        if (self.unpriced == "assume") != (self.assumed_price is not None):
            raise OperatorError(
                'gateway.unpriced = "assume" and gateway.assumed_price belong together: a price nobody knows, and what to take for it, such as '
                "{ input_per_mtok = 5.0, output_per_mtok = 25.0 }"
            )


class LimitsTable(msgspec.Struct, frozen=True, kw_only=True):
    """`limits`: how much of something there may be. What is left out has no limit."""

    requests_per_min: float | None = None
    """Requests in a minute: a bucket of so many, which fills evenly."""
    tokens_per_min: float | None = None
    """Tokens in a minute, of input and output, in the same way."""
    concurrent: int | None = None
    """Requests at one time."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise OperatorError(f"limits.{name} is {value}; a limit is a number above 0, or is left out")

    @property
    def is_any(self) -> bool:
        """Whether there is a limit at all."""
        return not (self.requests_per_min is self.tokens_per_min is self.concurrent is None)


class TeamTable(msgspec.Struct, frozen=True, kw_only=True):
    """`[teams.NAME]`."""

    budget: Budget = Budget()
    """What the team's keys may spend together."""


_HASH = re.compile("[0-9a-f]{12,64}")
_HEADER = re.compile("[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_CREDENTIALS = ("authorization", "proxy-authorization", "x-api-key", "api-key", "cookie")


class MatchRow(msgspec.Struct, frozen=True, kw_only=True):
    """`[[match]]`: what an unchanged client already sends, mapped to a task. Every condition that is said has to fit.

    Patterns are compared with the whole of a text; `*` stands for anything, and nothing else is special.
    """

    task: str
    """The task such calls belong to."""
    model: str | None = None
    """A pattern of the model name they ask for."""
    system_prompt: str | None = None
    """A pattern of their system prompt; empty for none."""
    system_hash: str | None = None
    """SHA-256 of their system prompt in hex, or its first 12 digits or more: what `freehold match test` shows."""
    tools: tuple[str, ...] = ()
    """Names of tools, all of which they offer."""
    header: dict[str, str] = {}
    """Patterns of headers they carry, by name."""
    key: str | None = None
    """A pattern of the id or the owner of the key they come with."""

    def __post_init__(self) -> None:
        if not self.conditions():
            known = ", ".join(field for field in self.__struct_fields__ if field != "task")
            raise OperatorError(f"match: the row of task '{self.task}' has no condition. Say at least one of {known}.")
        if self.system_hash is not None and not _HASH.fullmatch(self.system_hash):
            raise OperatorError(
                f"match: the row of task '{self.task}' has a system_hash of {self.system_hash[:80]!r}; expected 12 to 64 hex digits in lower case, "
                "as 'freehold match test' shows them."
            )
        for name in self.header:
            if not _HEADER.fullmatch(name):
                raise OperatorError(f"match: the row of task '{self.task}' names a header {name[:80]!r}, which is no name of a header.")
            if name.lower() in _CREDENTIALS:
                raise OperatorError(
                    f"match: the row of task '{self.task}' looks at the header '{name}', which holds a key. Say key = instead."
                )

    def conditions(self) -> dict[str, str | tuple[str, ...] | dict[str, str]]:
        """The conditions it says, by name."""
        return {name: value for name, value in msgspec.structs.asdict(self).items() if name != "task" and value not in (None, (), {})}
