"""What is said about answers: from whom it is taken, and what reviewers earn."""

import re
from typing import Literal

import msgspec

from freehold.errors import OperatorError
from freehold.tables.variables import refuse_no_variables

_ORIGIN = re.compile("https?://(?:[a-z0-9.-]+|\\[[0-9a-f:]+\\])(?::[0-9]{1,5})?")


class FeedbackTable(msgspec.Struct, frozen=True, kw_only=True):
    """`[feedback]`."""

    early_days: int = 7
    """How long what is said about a call that is not in the journal yet waits for it."""
    most_early: int = 10_000
    """How many pieces of feedback wait so at most; of these one voice may have a tenth."""
    public: bool = False
    """Whether those without a key may speak, each with a token for one call."""
    origins: tuple[str, ...] = ()
    """The web pages from which they may, such as `https://app.example.com`; pages of the gateway's own hosts always."""
    secret_env: str | None = None
    """The environment variable with the secret that tokens are signed with; the file `feedback.secret` of the project where none is named."""
    token_days: float = 30.0
    """How long a token is taken."""
    token_header: bool = False
    """Whether every answer carries a token for its call, as `x-freehold-feedback-token`."""
    address_per_hour: int = 30
    """How many tokens may be used from one address in an hour."""
    author_per_day: int = 50
    """How many tokens one author may use in a day."""
    issuer_per_hour: int = 1_000
    """How many tokens that one key made may be used in an hour."""
    proxies: tuple[str, ...] = ()
    """Addresses of proxies of yours, whose word in `x-forwarded-for` on where a request comes from is believed."""

    def __post_init__(self) -> None:
        for name in ("early_days", "most_early", "address_per_hour", "author_per_day", "issuer_per_hour"):
            if getattr(self, name) < 1:
                raise OperatorError(f"feedback.{name} is {getattr(self, name)}; it is a number from 1 up")
        if not 0 < self.token_days <= 3650:
            raise OperatorError(f"feedback.token_days is {self.token_days}; it is a number of days above 0, such as 30")
        refuse_no_variables("feedback", secret_env=self.secret_env)
        for origin in self.origins:
            if not _ORIGIN.fullmatch(origin):
                raise OperatorError(f"feedback.origins has '{origin[:120]}'; expected a web page's origin, such as https://app.example.com")
        if (self.origins or self.token_header) and not self.public:
            raise OperatorError(
                "feedback.origins and feedback.token_header are for public feedback; set feedback.public = true, or leave them out"
            )


class CreditsTable(msgspec.Struct, frozen=True, kw_only=True):
    """`[credits]`: what reviewers earn."""

    per_verdict_usd: float = 0.0
    """For each verdict that is accepted."""
    tasks: dict[str, float] = {}
    """The same for tasks with a tariff of their own, by task."""
    by: Literal["tariff", "worth"] = "tariff"
    """`tariff`: each accepted verdict alike. `worth`: the tariff times how far the reviewer can be trusted, times how much the verdict narrowed
    the interval, where 1 is the average verdict."""

    def __post_init__(self) -> None:
        for name, value in (("per_verdict_usd", self.per_verdict_usd), *((f"tasks.{task}", usd) for task, usd in self.tasks.items())):
            if not 0 <= value <= 1e6:
                raise OperatorError(f"credits.{name} is {value}; it is a number of USD from 0 to 1,000,000")
