"""The tables of `freehold.toml` as frozen records: each checks itself at birth, and says which key is wrong and what it takes."""

import re
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit

import msgspec

from freehold.catalog import Budget, Content, Durability, Rates, Reward, Sampling, Scope
from freehold.chat import JSON
from freehold.errors import OperatorError

ProviderKind: TypeAlias = Literal["openai", "anthropic", "gemini", "recorded"]
_VARIABLE = re.compile("[A-Za-z_][A-Za-z0-9_]*")
_HASH = re.compile("[0-9a-f]{12,64}")
_ORIGIN = re.compile("https?://(?:[a-z0-9.-]+|\\[[0-9a-f:]+\\])(?::[0-9]{1,5})?")
_HEADER = re.compile("[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_CREDENTIALS = ("authorization", "proxy-authorization", "x-api-key", "api-key", "cookie")


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


class ProviderTable(msgspec.Struct, frozen=True, kw_only=True):
    """`[providers.NAME]`."""

    kind: ProviderKind
    """Which wire format it speaks."""
    base_url: str | None = None
    """Where it listens; None takes the kind's own address."""
    key_env: str | None = None
    """The environment variable that holds its key. Keys stand in no file."""
    trains_others: Literal["yes", "no", "ask"] = "ask"
    """Whether its terms allow its outputs to train other models."""

    def __post_init__(self) -> None:
        if self.key_env is not None and not _VARIABLE.fullmatch(self.key_env):
            raise OperatorError(
                "providers: a key_env is no name of an environment variable. If it is the key itself, take it out of the file: keys stand in "
                'the environment, and the file names the variable, such as key_env = "OPENAI_API_KEY".'
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


class ServingTable(msgspec.Struct, frozen=True, kw_only=True):
    """`[models.NAME.serving]` and `[tasks.NAME.serving]`: how serving asks. What a task says comes before what its model says."""

    connect_s: float | None = None
    """Seconds in which a connection has to stand; 5 where neither says."""
    first_byte_s: float | None = None
    """Seconds from the request's last byte to the answer's first; 120 where neither says."""
    between_s: float | None = None
    """Seconds from one piece of a stream to the next; 60 where neither says."""
    total_s: float | None = None
    """Seconds for everything, retries and fallbacks included; 600 where neither says."""
    retries: int | None = None
    """How often the same model is asked again where its provider says that this may help; 2 where neither says."""
    fallbacks: tuple[str, ...] | dict[str, float] = ()
    """The models that are asked where this one fails: in their order, or by weight, the same for one session."""
    hedge_after_s: float | None = None
    """After so many seconds without a first byte the next is asked too, and the faster one answers; never where neither says."""
    cache_s: float | None = None
    """For how many seconds the same request under the same key is answered from memory; never where neither says."""
    open_after: int | None = None
    """After how many failures among its last 20 answers a model is left alone for a while, and its fallbacks are asked; 0 for never; 5 where
    neither says."""
    restartable: bool = False
    """Whether a stream that broke off may be gone on with by a fallback, from where it was."""

    def __post_init__(self) -> None:
        for name in ("connect_s", "first_byte_s", "between_s", "total_s", "hedge_after_s", "cache_s"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise OperatorError(f"serving.{name} is {value}; it is a number of seconds above 0, or is left out")
        if self.retries is not None and not 0 <= self.retries <= 10:
            raise OperatorError(f"serving.retries is {self.retries}; it is a number from 0 to 10")
        if self.open_after is not None and not 0 <= self.open_after <= 20:
            raise OperatorError(f"serving.open_after is {self.open_after}; it is a number from 0 to 20")
        if isinstance(self.fallbacks, dict) and not all(0 < weight < float("inf") for weight in self.fallbacks.values()):
            raise OperatorError("serving.fallbacks has a weight that is no number above 0")


class ModelTable(msgspec.Struct, frozen=True, kw_only=True):
    """`[models.NAME]`."""

    provider: str | None = None
    """A name under `[providers]`; none for a model that is known from recordings, or that only stands for its fallbacks."""
    name: str | None = None
    """The name its provider knows it by, which is the name that is priced; NAME when left out."""
    rules: str | None = None
    """A table of rules in the project's folder that answers by itself, such as `rules.csv`; what no row fits goes to the reference."""
    price: Rates | None = None
    """A price of one's own, in USD per million tokens."""
    trains_others: Literal["yes", "no", "ask"] | None = None
    """Whether its answers may train other models; as its provider says when left out. For models known from recordings, too."""
    limits: LimitsTable = LimitsTable()
    """How much may be asked of it; what is beyond waits its turn, and is refused where that takes too long."""
    serving: ServingTable = ServingTable()
    """How serving asks it."""


EXPERT_WAIT_S = 30.0
"""How long a caller over HTTP waits for a person where nothing is said."""
MOST_DEADLINE_S = 30 * 86_400.0


class VariantTable(msgspec.Struct, frozen=True, kw_only=True):
    """`[variants.NAME]`: a model asked in a way of its own, a variant that asks others, or a person."""

    kind: Literal["llm", "vote", "verify", "expert"] = "llm"
    """`llm`: a model. `vote`: the same variant several times, or several once each, and the answer most give. `verify`: a variant, whose answer
    another looks at. `expert`: a person."""
    model: str | None = None
    """The model that is asked, for `llm`."""
    of: str | tuple[str, ...] | None = None
    """The variant that is asked, for the others; for a vote, also a list of at least two."""
    n: int = 1
    """How many answers of one variant to vote on; for `verify`, how often an answer is revised at most."""
    by: str | None = None
    """The variant that looks at an answer, for `verify`."""
    prompt: str = "production"
    """The label or hash of the prompt it is asked with: `freehold prompts list TASK`."""
    examples: int = 0
    """How many well-rated answers of the journal it is shown before, those to the most similar questions."""
    steps: bool = False
    """Whether it writes down its steps before its answer; for typed tasks."""
    sampling: Sampling = Sampling()
    """How the model writes."""
    expertise: str = ""
    """What a person has to know, in a word of yours, for `expert`; anybody may answer where it is empty."""
    deadline_s: float | None = None
    """How many seconds a person is waited for, for `expert`."""
    wait_s: float | None = None
    """How many of those a caller over HTTP waits before it is told where the answer will be, for `expert`; 30 where nothing is said."""
    price_usd: float | None = None
    """What a person gets for an answer, for `expert`: it is what the answer costs."""
    fallback: str | None = None
    """The variant that is asked where no person has answered in time, for `expert`; nobody where nothing is said."""

    def __post_init__(self) -> None:
        needed = {"llm": ("model",), "vote": ("of",), "verify": ("of", "by"), "expert": ("deadline_s", "price_usd")}[self.kind]
        for name in ("model", "of", "by", "deadline_s", "price_usd"):
            if (name in needed) != (getattr(self, name) is not None):
                raise OperatorError(f'a variant of kind "{self.kind}" takes {" and ".join(needed)}, and {name} is {getattr(self, name)!r}')
        self._check_expert()
        if isinstance(self.of, tuple):
            if self.kind != "vote" or not 2 <= len(self.of) <= 100 or self.n != 1:
                raise OperatorError(
                    f"a variant's of is a list of {len(self.of)}; a vote takes one of 2 to 100 variants, each of which is asked once, and no n"
                )
        elif not {"vote": 2, "verify": 0}.get(self.kind, 1) <= self.n <= 100:
            raise OperatorError(f"a variant's n is {self.n}; it is a number from 1 to 100, for a vote from 2, and for verify from 0")
        if not 0 <= self.examples <= 100:
            raise OperatorError(f"a variant's examples is {self.examples}; it is a number from 0 to 100")

    def _check_expert(self) -> None:
        if self.kind != "expert":
            for name in ("expertise", "wait_s", "fallback"):
                if getattr(self, name):
                    raise OperatorError(f'a variant of kind "{self.kind}" takes no {name}; one of kind "expert" does')
            return
        for name, most in (("deadline_s", MOST_DEADLINE_S), ("wait_s", MOST_DEADLINE_S), ("price_usd", 1e6)):
            value = getattr(self, name)
            if value is not None and not (0 <= value <= most and (value or name != "deadline_s")):
                raise OperatorError(
                    f"a variant's {name} is {value}; it is a number {'above' if name == 'deadline_s' else 'from'} 0 to {most:,.0f}"
                )

    def fields(self) -> dict[str, Any]:
        """As those of `Variant`."""
        said = {name: value for name, value in msgspec.structs.asdict(self).items() if value is not None}
        return said | ({"wait_s": EXPERT_WAIT_S} if self.kind == "expert" and self.wait_s is None else {})


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


class EconomicsTable(msgspec.Struct, frozen=True, kw_only=True):
    """`[economics]`: what specialists cost that no call tells."""

    machine_usd_per_hour: float | None = None
    """What an hour of the machine that trains and serves them costs; None is unknown."""
    standing_usd_per_month: float = 0.0
    """What is kept running for a specialist, idle or not."""
    label_usd: float | None = None
    """What a label costs that no tariff pays: somebody's time; None is unknown."""
    retrain_months: float = 12.0
    """After how many months a specialist is trained anew, again and again; 0 for never."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1e6:
                raise OperatorError(f"economics.{name} is {value}; it is a number from 0 to 1,000,000")
        if 0 < self.retrain_months < 0.1:
            raise OperatorError(f"economics.retrain_months is {self.retrain_months}; it is a number of months from 0.1 up, or 0 for never")


class MetricTable(msgspec.Struct, frozen=True, kw_only=True):
    """`[metrics.NAME]`."""

    kind: Literal["binary", "bounded"] = "bounded"
    """`binary` declares that every score is 0 or 1, which allows the exact binomial test."""
    better: Literal["higher", "lower"] = "higher"
    """Which end of the range is good."""
    range: tuple[float, float] = (0.0, 1.0)
    """The least and the greatest score there can be."""
    deterministic: bool = False
    """Whether equal answers always get equal scores."""


class ScorerTable(msgspec.Struct, frozen=True, kw_only=True):
    """`[scorers.NAME]`: a scorer with settings of its own."""

    kind: str
    """What it is, with what stands behind the colon, such as `numeric:0.01`."""
    field: str | None = None
    """The field of answer and right answer that it looks at, such as `queue` or `address.city`; all of them where nothing is said."""
    options: dict[str, JSON] = {}
    """What else its kind takes."""


class JudgeTable(msgspec.Struct, frozen=True, kw_only=True):
    """`[judges.NAME]`: a model that judges answers."""

    model: str
    """Who judges: a name under `[models]`."""
    kind: Literal["rubric", "reference", "pairwise"] = "rubric"
    """`rubric`: a score by the rubric. `reference`: by how far it says what the right answer says. `pairwise`: which of two answers is better,
    asked in both orders."""
    rubric: str = ""
    """What it goes by, in words. Needed for `rubric`; the others have words of their own."""
    range: tuple[float, float] = (1.0, 5.0)
    """The least and the greatest score it may give; a pairwise judge gives 0, 0.5 or 1."""
    better: Literal["higher", "lower"] = "higher"
    """Which end of the range is good."""
    sampling: Sampling = Sampling()
    """How the model writes."""

    def __post_init__(self) -> None:
        low, high = self.range
        if not -1e9 <= low < high <= 1e9:
            raise OperatorError(f"a judge's range is [{low}, {high}]; it takes two numbers, the lower one first")
        if self.kind == "rubric" and not self.rubric.strip():
            raise OperatorError('a judge of kind "rubric" has no rubric; say in words what it goes by')
        if self.kind == "pairwise" and (self.range != (1.0, 5.0) or self.better == "lower"):
            raise OperatorError("a pairwise judge says which of two answers is better: 0, 0.5 or 1. Take out range and better.")

    @property
    def scores(self) -> tuple[float, float]:
        """The least and the greatest score it gives."""
        return (0.0, 1.0) if self.kind == "pairwise" else self.range


class TaskTable(msgspec.Struct, frozen=True, kw_only=True):
    """`[tasks.NAME]`."""

    reference: str | None = None
    """The variant the others are compared with."""
    variants: tuple[str, ...] = ()
    """The variants that may answer."""
    metric: str | None = None
    """The metric the floor is about."""
    max_loss: float = 0.02
    """The floor: what a policy may lose against the reference on average, in [0, 1]."""
    confidence: float = 0.95
    """1 - δ of its certificate."""
    p95_s: float | None = None
    """A limit on the predicted 95th percentile of latency, in seconds."""
    allow_uncertified: bool = False
    """Whether a policy without a certificate may be promoted."""
    content: Content | None = None
    """What of this task's calls is kept; the journal's rule when left out."""
    instruction: str = ""
    """What the task asks, in words."""
    licence: str | None = None
    """The licence of its calls; that of `[data]` when left out."""
    consent: str | None = None
    """On what the people agreed to its calls' use for data sets; as in `[data]` when left out."""
    explore: float = 0.0
    """The share of its calls after which another of its variants, drawn at random, is asked the same, to learn from. It is never the answer."""
    serving: ServingTable = ServingTable()
    """How serving asks for its answers."""
    reward: Reward | None = None
    """How what is said about its calls becomes one number in [0, 1]."""
    scope: Scope | None = None
    """Who each has a habit of their own over the task's specialists: `subject`, the person a call is about, or `tenant`, the customer it is billed to.
    Nobody where nothing is said."""

    def __post_init__(self) -> None:
        if not 0 <= self.explore <= 1:
            raise OperatorError(f"a task's explore is {self.explore}; it is a share from 0 to 1, such as 0.05")

    def over(self, declared: "TaskTable") -> "TaskTable":
        """What is said here, and what a program declares where this says nothing, or what is usual anyway."""
        usual = TaskTable()
        said = {name: getattr(self, name) for name in self.__struct_fields__ if getattr(self, name) != getattr(usual, name)}
        return msgspec.structs.replace(declared, **said)


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
        _refuse_no_variables("feedback", secret_env=self.secret_env)
        for origin in self.origins:
            if not _ORIGIN.fullmatch(origin):
                raise OperatorError(f"feedback.origins has '{origin[:120]}'; expected a web page's origin, such as https://app.example.com")
        if (self.origins or self.token_header) and not self.public:
            raise OperatorError(
                "feedback.origins and feedback.token_header are for public feedback; set feedback.public = true, or leave them out"
            )


class EvaluationTable(msgspec.Struct, frozen=True, kw_only=True):
    """`[evaluation]`."""

    people: tuple[str, ...] = ()
    """Tags that name groups of people: evaluations tell results apart by them, and show no group that is small."""
    least_people: int = 20
    """The fewest independent items (groups of dependent ones count once) of a group of people that is shown."""

    def __post_init__(self) -> None:
        if self.least_people < 2:
            raise OperatorError(f"evaluation.least_people is {self.least_people}; it is a number from 2 up, such as 20")


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
        _refuse_no_variables("telemetry", otlp_headers_env=self.otlp_headers_env)


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


class TeamTable(msgspec.Struct, frozen=True, kw_only=True):
    """`[teams.NAME]`."""

    budget: Budget = Budget()
    """What the team's keys may spend together."""


class WebhookTable(msgspec.Struct, frozen=True, kw_only=True):
    """`[monitor.webhook]`: an address that is told of alerts."""

    url_env: str
    """The environment variable that holds the address, which may be a secret itself."""
    secret_env: str | None = None
    """The one that holds the secret messages are signed with; None leaves them unsigned."""

    def __post_init__(self) -> None:
        _refuse_no_variables("monitor.webhook", url_env=self.url_env, secret_env=self.secret_env)


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
        _refuse_no_variables("monitor.email", user_env=self.user_env, password_env=self.password_env)
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


def _refuse_no_variables(where: str, **names: str | None) -> None:
    """Raises OperatorError for what is no name of an environment variable, and does not repeat it: it may be the secret itself."""
    for key, name in names.items():
        if name is not None and not _VARIABLE.fullmatch(name):
            raise OperatorError(f"{where}.{key} is no name of an environment variable. What is secret stands there, not in the file.")
