"""`freehold.toml` to frozen records: parsed once, checked at birth, with an unknown key answered by the nearest one."""

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeAlias, Union, get_args, get_origin
from urllib.parse import urlsplit

import msgspec

from freehold.catalog import Budget, Catalog, Content, Durability, Metric, Model, Plan, Rates, Sampling, Task, Variant, VariantKind
from freehold.errors import OperatorError, nearest
from freehold.pricing.book import PriceBook

FILE_NAME = "freehold.toml"
ProviderKind: TypeAlias = Literal["openai", "anthropic", "gemini", "recorded"]
_MAX_FILE_BYTES = 4 * 2**20
_VARIABLE = re.compile("[A-Za-z_][A-Za-z0-9_]*")
_HASH = re.compile("[0-9a-f]{12,64}")
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
    limits: LimitsTable = LimitsTable()
    """How much may be asked of it; what is beyond waits its turn, and is refused where that takes too long."""
    serving: ServingTable = ServingTable()
    """How serving asks it."""


class VariantTable(msgspec.Struct, frozen=True, kw_only=True):
    """`[variants.NAME]`: a model asked in a way of its own, or a variant that asks others."""

    kind: Literal["llm", "vote", "verify"] = "llm"
    """`llm`: a model. `vote`: the same variant several times, or several once each, and the answer most give. `verify`: a variant, whose answer
    another looks at."""
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

    def __post_init__(self) -> None:
        needed = {"llm": ("model",), "vote": ("of",), "verify": ("of", "by")}[self.kind]
        for name in ("model", "of", "by"):
            if (name in needed) != (getattr(self, name) is not None):
                raise OperatorError(f'a variant of kind "{self.kind}" takes {" and ".join(needed)}, and {name} is {getattr(self, name)!r}')
        if isinstance(self.of, tuple):
            if self.kind != "vote" or not 2 <= len(self.of) <= 100 or self.n != 1:
                raise OperatorError(
                    f"a variant's of is a list of {len(self.of)}; a vote takes one of 2 to 100 variants, each of which is asked once, and no n"
                )
        elif not {"vote": 2, "verify": 0}.get(self.kind, 1) <= self.n <= 100:
            raise OperatorError(f"a variant's n is {self.n}; it is a number from 1 to 100, for a vote from 2, and for verify from 0")
        if not 0 <= self.examples <= 100:
            raise OperatorError(f"a variant's examples is {self.examples}; it is a number from 0 to 100")


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
    explore: float = 0.0
    """The share of its calls after which another of its variants, drawn at random, is asked the same, to learn from. It is never the answer."""
    serving: ServingTable = ServingTable()
    """How serving asks for its answers."""

    def __post_init__(self) -> None:
        if not 0 <= self.explore <= 1:
            raise OperatorError(f"a task's explore is {self.explore}; it is a share from 0 to 1, such as 0.05")

    def over(self, declared: "TaskTable") -> "TaskTable":
        """What is said here, and what a program declares where this says nothing, or what is usual anyway."""
        usual = TaskTable()
        said = {name: getattr(self, name) for name in self.__struct_fields__ if getattr(self, name) != getattr(usual, name)}
        return msgspec.structs.replace(declared, **said)


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
        if self.otlp_headers_env is not None and not _VARIABLE.fullmatch(self.otlp_headers_env):
            raise OperatorError(
                "telemetry.otlp_headers_env is no name of an environment variable. The headers stand there, not in the file."
            )


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


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """A project's whole configuration."""

    folder: Path = Path()
    """The project's folder, where relative paths begin."""
    project: ProjectTable = ProjectTable()
    """What it is called."""
    store: StoreTable = StoreTable()
    """Where calls are kept, and how safely."""
    journal: JournalTable = JournalTable()
    """What of them is kept, and how long."""
    gateway: GatewayTable = GatewayTable()
    """How it is asked."""
    providers: dict[str, ProviderTable] = {}
    """Whom it calls, by name."""
    models: dict[str, ModelTable] = {}
    """The models behind variants, by name."""
    variants: dict[str, VariantTable] = {}
    """Other ways to ask them, by name."""
    metrics: dict[str, MetricTable] = {}
    """What scores mean, by metric."""
    tasks: dict[str, TaskTable] = {}
    """The tasks, by name."""
    telemetry: TelemetryTable = TelemetryTable()
    """Who watches it, and how."""
    match: tuple[MatchRow, ...] = ()
    """What an unchanged client sends, mapped to a task; the first row that fits wins."""
    budget: Budget = Budget()
    """What all calls of the project may cost."""
    teams: dict[str, TeamTable] = {}
    """Who shares a budget, by name."""
    plans: dict[str, Plan] = {}
    """What customers are promised and pay, by name."""

    def catalog(self) -> Catalog:
        """The tasks, variants, models and metrics of this file. A variant named by a task and nowhere else is its model's namesake.

        `head` is a head and `cache` a cache unless a provider serves a model of that name; `[models.head]` may still say what a call to it
        costs.
        """
        served = {name for name, model in self.models.items() if model.provider is not None and not self.is_recorded(model)}
        kinds: dict[str, VariantKind] = {name: "rules" for name, model in self.models.items() if model.rules is not None}
        local: tuple[VariantKind, ...] = ("head", "cache")
        kinds |= {kind: kind for kind in local if kind not in served}
        named = {name for task in self.tasks.values() for name in (*task.variants, *([task.reference] if task.reference else []))}
        return Catalog(
            tasks={name: Task(id=name, **_without_serving(table)) for name, table in self.tasks.items()},
            variants={
                **{name: Variant(id=name, kind=kinds.get(name, "llm"), model=name) for name in sorted(named | set(self.models))},
                **{name: Variant(id=name, **msgspec.structs.asdict(table)) for name, table in self.variants.items()},
            },
            models={
                name: Model(id=name, provider=table.provider, name=table.name or name, price=table.price)
                for name, table in self.models.items()
            },
            metrics={name: Metric(id=name, **msgspec.structs.asdict(table)) for name, table in self.metrics.items()},
        )

    def is_recorded(self, model: ModelTable) -> bool:
        """Whether answers of this model are replayed from the journal."""
        return model.provider is not None and self.providers[model.provider].kind == "recorded"

    def price_book(self) -> PriceBook:
        """Prices by model name, the file's own above the snapshot's. Raises OperatorError."""
        own = {name: table.price for name, table in self.models.items() if table.price is not None}
        own |= {table.name: table.price for table in self.models.values() if table.price is not None and table.name}
        return PriceBook(own)


def with_declared(config: Config, tasks: Mapping[str, TaskTable]) -> Config:
    """The configuration with the tasks that a program declares. What the file says of one comes first, key by key."""
    said = {name: config.tasks[name].over(table) if name in config.tasks else table for name, table in tasks.items()}
    return msgspec.structs.replace(config, tasks={**config.tasks, **said})


def _without_serving(table: TaskTable) -> dict[str, Any]:
    return {name: value for name, value in msgspec.structs.asdict(table).items() if name not in ("serving", "explore")}


def find_project(start: Path) -> Path:
    """The nearest folder at or above `start` that holds a `freehold.toml`. Raises OperatorError."""
    for folder in (start.absolute(), *start.absolute().parents):
        if (folder / FILE_NAME).is_file():
            return folder
    raise OperatorError(f"There is no {FILE_NAME} in {start} or any folder above it. Run 'freehold init .' there, or say --project DIR.")


def load(folder: Path) -> Config:
    """The configuration of the project in `folder`. Raises OperatorError that names file, key and remedy."""
    path = folder / FILE_NAME
    try:
        if path.stat().st_size > _MAX_FILE_BYTES:
            raise OperatorError(f"{path} is larger than 4 MiB; a configuration is a page or two.")
        raw = tomllib.loads(path.read_bytes().decode())
    except FileNotFoundError:
        raise OperatorError(f"There is no {FILE_NAME} in {folder}. Run 'freehold init {folder}'.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise OperatorError(f"{path} is not TOML: {error}. Mend that place; the format is shown by 'freehold init'.") from None
    except OSError as error:
        raise OperatorError(f"{path} cannot be read: {error.strerror}. Check the path and its permissions.") from None
    return parse(raw, folder, str(path))


def parse(raw: Mapping[str, Any], folder: Path, where: str = FILE_NAME) -> Config:
    """Records from the parsed tables of one file. Raises OperatorError."""
    _refuse_unknown_keys(raw, Config, "", where)
    _refuse_wrong_values(raw, Config, "", where)
    try:
        config = msgspec.convert({**raw, "folder": str(folder)}, Config, dec_hook=_path)
    except (msgspec.ValidationError, OperatorError) as error:
        raise OperatorError(f"{where}: {error}") from None
    _refuse_unknown_names(config, where)
    try:
        config.catalog()
    except OperatorError as error:
        raise OperatorError(f"{where}: {error}") from None
    return config


def _path(kind: type, value: object) -> object:
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise NotImplementedError(kind)


def _refuse_unknown_keys(table: object, kind: Any, path: str, where: str) -> None:
    """Walks tables and records together, so that a slip of the pen names its nearest key."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        if not isinstance(table, Mapping):
            raise OperatorError(f"{where}: {path or 'the file'} is not a table")
        fields = {f.encode_name: f.type for f in msgspec.structs.fields(kind) if f.name != "folder"}
        for key, value in table.items():
            if key not in fields:
                raise OperatorError(f"{where}: {_place(path)} has no key '{key}'.{nearest(key, list(fields))}")
            _refuse_unknown_keys(value, fields[key], f"{path}.{key}".strip("."), where)
        return
    inner = [a for a in get_args(kind) if a is not type(None)]
    if isinstance(table, Mapping) and len(inner) == 2:
        for key, value in table.items():
            _refuse_unknown_keys(value, inner[1], f"{path}.{key}", where)
    elif isinstance(table, list) and inner:
        for entry in table:
            _refuse_unknown_keys(entry, inner[0], f"[{path}]", where)
    elif isinstance(table, Mapping) and len(inner) == 1:
        _refuse_unknown_keys(table, inner[0], path, where)


def _refuse_wrong_values(value: object, kind: Any, path: str, where: str) -> None:
    """Names the key whose value is none of those there are, or of another type than its own."""
    arms = [arm for arm in get_args(kind) if arm is not type(None)] if get_origin(kind) in (Union, UnionType) else []
    kind = arms[0] if len(arms) == 1 else kind
    if isinstance(value, Mapping) and isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        for field in msgspec.structs.fields(kind):
            if field.encode_name in value:
                _refuse_wrong_values(value[field.encode_name], field.type, f"{path}.{field.encode_name}".strip("."), where)
    elif isinstance(value, Mapping) and get_origin(kind) is dict:
        for key, inner in value.items():
            _refuse_wrong_values(inner, get_args(kind)[1], f"{path}.{key}", where)
    elif isinstance(value, list) and get_origin(kind) is tuple and isinstance(get_args(kind)[0], type):
        for n, inner in enumerate(value):
            _refuse_wrong_values(inner, get_args(kind)[0], f"{path}[{n}]", where)
    elif get_origin(kind) is Literal and value not in get_args(kind):
        raise OperatorError(f"{where}: {path} is {value!r}.{nearest(str(value), [str(choice) for choice in get_args(kind)])}")
    else:
        try:
            msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            raise OperatorError(f"{where}: {path} is {value!r}: {str(error)[:1].lower()}{str(error)[1:]}") from None


def _place(path: str) -> str:
    return f"[{path}]" if path else "the file"


def _refuse_unknown_names(config: Config, where: str) -> None:
    """References between tables: a model's provider, a match row's task, a task's reference among its variants, one price a name."""
    for name, model in config.models.items():
        if model.provider is not None and model.provider not in config.providers:
            hint = nearest(model.provider, list(config.providers))
            raise OperatorError(f"{where}: models.{name}.provider is '{model.provider}', which is not under [providers].{hint}")
    for row in config.match:
        if row.task not in config.tasks:
            hint = nearest(row.task, list(config.tasks))
            raise OperatorError(f"{where}: [[match]] maps to task '{row.task}', which is not under [tasks].{hint}")
    for name, task in config.tasks.items():
        if task.reference is not None and task.variants and task.reference not in task.variants:
            listed = ", ".join(task.variants)
            raise OperatorError(
                f"{where}: tasks.{name}.reference is '{task.reference}', which is not among its variants: {listed}. Add it."
            )
    for name, model in config.models.items():
        if model.rules is not None and model.provider is not None:
            raise OperatorError(f"{where}: models.{name} has a provider and rules. Keep one of them: rules answer by themselves.")
    for name, variant in config.variants.items():
        if name in config.models:
            raise OperatorError(f"{where}: '{name}' is a model and a variant. Give one of them another name.")
        known = list(config.models) if variant.kind == "llm" else [*config.models, *config.variants]
        for said in (variant.model, *_asked_by(variant)):
            if said is not None and said not in known:
                raise OperatorError(f"{where}: variants.{name} names '{said}', which is not there.{nearest(said, known)}")
        _refuse_circles(config, name, (), where)
    for kind, tables in (("models", config.models), ("tasks", config.tasks)):
        for name, table in tables.items():
            for fallback in table.serving.fallbacks:
                if fallback not in config.models:
                    hint = nearest(fallback, list(config.models))
                    raise OperatorError(f"{where}: {kind}.{name}.serving.fallbacks names '{fallback}', which is not under [models].{hint}")
    priced: dict[str, tuple[str, Rates]] = {}
    for name, model in config.models.items():
        if model.price is not None:
            first, price = priced.setdefault(model.name or name, (name, model.price))
            if price != model.price:
                raise OperatorError(f"{where}: models.{first} and models.{name} give '{model.name or name}' two prices. Keep one of them.")


def _refuse_circles(config: Config, name: str, above: tuple[str, ...], where: str) -> None:
    """A variant that in the end asks itself."""
    if name in above:
        raise OperatorError(f"{where}: variants ask each other in a circle: {' -> '.join((*above, name))}. One of them has to ask a model.")
    table = config.variants.get(name)
    for asked in _asked_by(table) if table is not None else ():
        _refuse_circles(config, asked, (*above, name), where)


def _asked_by(table: VariantTable) -> list[str]:
    """The variants that a variant asks."""
    of = table.of if isinstance(table.of, tuple) else (table.of,)
    return [name for name in (*of, table.by) if name is not None]


STARTER = """\
# A Freehold project. Keys of [store] and [journal] that are commented out show their defaults; the tables below them are examples.
[project]
name = "{name}"
# python = ["desk.py"]                # programs with tasks and pipelines, for 'freehold check': files, or dotted modules

[store]
# url = "sqlite:///freehold.db"       # or postgresql://user@host/database
# durability = "process"              # process: a commit survives a kill; power: it also survives losing power

[journal]
# content = "full"                    # full | redacted | none; acts before anything is written; a task may override
# keep_days = 90
# on_failure = "spool"                # required | spool | best_effort: what serving does while the store is down

# Providers are whom you call. Keys stand in environment variables, never here.
# [providers.openai]
# kind = "openai"                     # openai | anthropic | gemini | recorded
# base_url = "https://api.openai.com/v1"
# key_env = "OPENAI_API_KEY"
# trains_others = "no"                # may its outputs train other models? yes | no | ask

# A model is a name of yours for one of theirs. A price here overrides the dated snapshot; without either, its cost is unknown.
# [models.frontier]
# provider = "openai"
# name = "gpt-5"
# price = {{ input_per_mtok = 1.25, output_per_mtok = 10.0 }}

# Metrics say what scores mean. One that nobody declares is bounded in [0, 1], higher is better.
# [metrics.correct]
# kind = "binary"                     # binary (0 or 1, allows the exact test) | bounded
# better = "higher"                   # higher | lower
# range = [0.0, 1.0]
# deterministic = false               # true: equal answers always get equal scores, so only disagreements need a person

# A task is a question you ask again and again, with the quality it must keep.
# [tasks.triage]
# reference = "frontier"              # what the others are compared with
# variants = ["frontier", "cheap", "head"]
# metric = "correct"
# max_loss = 0.02                     # what a policy may lose against the reference, on average
# confidence = 0.95
# p95_s = 2.0                         # only variants predicted to answer within this; left out: no limit
# allow_uncertified = false

# How `freehold serve` is watched. Metrics for Prometheus are at /metrics whatever stands here.
# [telemetry]
# otlp_endpoint = "http://127.0.0.1:4318"  # spans and metrics by OTLP; left out: nothing is sent
# otlp_headers_env = "OTLP_HEADERS"
# content = false                     # true: spans hold prompts and answers, as far as the journal keeps them
# logs = "json"                       # json | text
# log_level = "info"                  # debug | info | warning | error

# What may be spent, and by whom: keys ('freehold keys create') are within a team, teams within the project.
# [budget]
# month_usd = 500.0                   # day_usd, month_usd, total_usd
# [teams.search]
# budget = {{ day_usd = 20.0 }}

# What customers are promised and pay; a call names its plan, or its key does.
# [plans.basic]
# max_loss = 0.05                     # or reference_only = true
# per_call = 0.002                    # per_call, input_per_mtok, output_per_mtok; or markup = 0.2 on what it cost

# [gateway]
# unpriced = "allow"                  # allow | refuse | assume, with assumed_price: models whose price nobody knows

# Traffic an unchanged client already sends, mapped to a task.
# [[match]]
# model = "gpt-5"
# system_prompt = "You sort support messages*"
# task = "triage"
"""


def init(folder: Path) -> Path:
    """Writes a commented `freehold.toml` into `folder`, made if need be. Raises OperatorError where one stands already."""
    path = folder / FILE_NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise OperatorError(f"{path} exists already and stays as it is. Edit it, or choose another folder.") from None
    except OSError as error:
        raise OperatorError(f"{folder} cannot be written: {error.strerror}. Choose a folder of yours.") from None
    name = "".join(c for c in folder.absolute().name if c.isprintable() and c not in '"\\') or "freehold"
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(STARTER.format(name=name))
    return path
