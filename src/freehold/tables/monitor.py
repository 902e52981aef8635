"""How live traffic is watched, and who is told."""

from typing import Literal

import msgspec

from freehold.errors import OperatorError
from freehold.tables.variables import refuse_no_variables


class WebhookTable(msgspec.Struct, frozen=True, kw_only=True):
    """`[monitor.webhook]`: an address that is told of alerts."""

    url_env: str
    """The environment variable that holds the address, which may be a secret itself."""
    secret_env: str | None = None
    """The one that holds the secret messages are signed with; None leaves them unsigned."""

    def __post_init__(self) -> None:
        refuse_no_variables("monitor.webhook", url_env=self.url_env, secret_env=self.secret_env)


class EmailTable(msgspec.Struct, frozen=True, kw_only=True):
    """`[monitor.email]`: people who are told of alerts by mail."""

    host: str
    """The SMTP server."""
    port: int = 587
    """Its port."""
    security: Literal["starttls", "tls", "none"] = "starttls"
    """How the connection is made safe; `none` is for a server on this machine."""
    sender: str
    """Who writes."""
    to: tuple[str, ...]
    """Who is written to."""
    user_env: str | None = None
    """The environment variable that holds the user's name; None signs in nowhere."""
    password_env: str | None = None
    """The one that holds the password."""

    def __post_init__(self) -> None:
        refuse_no_variables("monitor.email", user_env=self.user_env, password_env=self.password_env)
        if not self.to:
            raise OperatorError('monitor.email.to names nobody; expected such as ["ops@example.com"]')
        if any("@" not in address or not address.isprintable() for address in (self.sender, *self.to)):
            raise OperatorError("monitor.email.sender and monitor.email.to are addresses, such as ops@example.com")
        if (self.user_env is None) != (self.password_env is None):
            raise OperatorError("monitor.email.user_env and monitor.email.password_env belong together; say both or neither")


class CommandTable(msgspec.Struct, frozen=True, kw_only=True):
    """`[monitor.command]`: a program that is run for each alert."""

    run: tuple[str, ...]
    """The program and its arguments. It is given the alert as JSON on standard input, and no shell is between."""

    def __post_init__(self) -> None:
        if not self.run or not self.run[0]:
            raise OperatorError('monitor.command.run is empty; expected a program and its arguments, such as ["./page.sh", "oncall"]')


class WatchTable(msgspec.Struct, frozen=True, kw_only=True):
    """`[monitor.tasks.NAME]`: how a task's live calls are watched."""

    scorers: tuple[str, ...] = ()
    """What scores them, as `freehold scorers` names it; none leaves inputs and certificates to be watched."""
    share: float | None = None
    """As `monitor.share`, for this task."""
    most: int | None = None
    """As `monitor.most`, for this task."""
    level: float | None = None
    """The mean, 1 the best, that no scorer's scores are to fall below; None learns each variant's own from its first scores."""

    def __post_init__(self) -> None:
        if self.share is not None and not 0 < self.share <= 1:
            raise OperatorError(f"monitor.tasks: share is {self.share}; it is above 0 and at most 1, such as 0.1")
        if self.most is not None and self.most < 1:
            raise OperatorError(f"monitor.tasks: most is {self.most}; it is a number from 1 up")
        if self.level is not None and not 0 < self.level < 1:
            raise OperatorError(f"monitor.tasks: level is {self.level}; it lies between 0 and 1, such as 0.9")


class MonitorTable(msgspec.Struct, frozen=True, kw_only=True):
    """`[monitor]`: how live traffic is watched."""

    serve: bool = False
    """Whether `freehold serve` watches, too, in a process of its own."""
    every_s: float = 60.0
    """Seconds from one round to the next."""
    share: float = 0.1
    """The probability with which a live call is looked at."""
    most: int = 200
    """The most calls of a task that are expected to be looked at in a round; beyond, the probability is less."""
    budget_usd: float = 1.0
    """What scoring may cost on one day, UTC; beyond, scorers that ask models rest."""
    run_length: float = 10_000.0
    """Scores between two false alarms on average, at least, of each variant and scorer."""
    learn: int = 100
    """Scores from which a variant's level is learnt."""
    tasks: dict[str, WatchTable] = {}
    """What is particular to a task, by name."""
    webhook: WebhookTable | None = None
    """An address that is told of alerts."""
    email: EmailTable | None = None
    """People who are written to."""
    command: CommandTable | None = None
    """A program that is run."""

    def __post_init__(self) -> None:
        if not 1 <= self.every_s <= 86_400:
            raise OperatorError(f"monitor.every_s is {self.every_s}; it is a number of seconds from 1 to 86400")
        if not 0 < self.share <= 1:
            raise OperatorError(f"monitor.share is {self.share}; it is above 0 and at most 1, such as 0.1")
        for name in ("most", "learn"):
            if getattr(self, name) < 1:
                raise OperatorError(f"monitor.{name} is {getattr(self, name)}; it is a number from 1 up")
        if not 0 <= self.budget_usd < float("inf"):
            raise OperatorError(f"monitor.budget_usd is {self.budget_usd}; it is a number of USD from 0 up")
        if not 10 <= self.run_length < float("inf"):
            raise OperatorError(f"monitor.run_length is {self.run_length}; it is a number of scores from 10 up, such as 10000")
