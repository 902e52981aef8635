"""`freehold.toml` to frozen records: parsed once, checked at birth, with an unknown key answered by the nearest one."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import msgspec

from freehold.catalog import Budget, Catalog, Metric, Model, Plan, Rates, Reward, Task, Variant, VariantKind
from freehold.errors import OperatorError, nearest
from freehold.pricing.book import PriceBook
from freehold.tables import (
    CreditsTable,
    DataTable,
    EconomicsTable,
    EvaluationTable,
    FeedbackTable,
    GatewayTable,
    JournalTable,
    JudgeTable,
    MatchRow,
    MetricTable,
    ModelTable,
    MonitorTable,
    ProjectTable,
    ProviderTable,
    ScorerTable,
    StoreTable,
    TaskTable,
    TeamTable,
    TelemetryTable,
    VariantTable,
)

FILE_NAME = "freehold.toml"
_MAX_FILE_BYTES = 4 * 2**20


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
    data: DataTable = DataTable()
    """On what terms calls may be made into data sets."""
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
    judges: dict[str, JudgeTable] = {}
    """Models that judge answers, by name."""
    evaluation: EvaluationTable = EvaluationTable()
    """What evaluations tell apart, and what they do not show."""
    scorers: dict[str, ScorerTable] = {}
    """Scorers with settings of their own, by name."""
    tasks: dict[str, TaskTable] = {}
    """The tasks, by name."""
    feedback: FeedbackTable = FeedbackTable()
    """What people may say about answers, and how much of it."""
    telemetry: TelemetryTable = TelemetryTable()
    """Who watches it, and how."""
    monitor: MonitorTable = MonitorTable()
    """How live traffic is watched, and who is told."""
    match: tuple[MatchRow, ...] = ()
    """What an unchanged client sends, mapped to a task; the first row that fits wins."""
    budget: Budget = Budget()
    """What all calls of the project may cost."""
    teams: dict[str, TeamTable] = {}
    """Who shares a budget, by name."""
    plans: dict[str, Plan] = {}
    """What customers are promised and pay, by name."""
    credits: CreditsTable = CreditsTable()
    """What reviewers earn."""
    economics: EconomicsTable = EconomicsTable()
    """What specialists cost that no call tells."""

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
            tasks={name: _task(name, table) for name, table in self.tasks.items()},
            variants={
                **{name: Variant(id=name, kind=kinds.get(name, "llm"), model=name) for name in sorted(named | set(self.models))},
                **{name: Variant(id=name, **table.fields()) for name, table in self.variants.items()},
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


_NOT_IN_THE_CATALOG = ("serving", "explore", "reward", "licence", "consent")


def _task(name: str, table: TaskTable) -> Task:
    said = {key: value for key, value in msgspec.structs.asdict(table).items() if key not in _NOT_IN_THE_CATALOG}
    return Task(id=name, **said, reward=_reward(name, table))


def _reward(name: str, table: TaskTable) -> Reward | None:
    """A task's reward, which is of its metric where it names none."""
    if table.reward is None or table.reward.metrics:
        return table.reward
    if table.metric is None:
        raise OperatorError(
            f"tasks.{name}.reward names no metrics, and the task has none. Say which count, such as metrics = {{ correct = 1 }}."
        )
    return msgspec.structs.replace(table.reward, metrics={table.metric: 1.0})


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
    for name in config.monitor.tasks:
        if name not in config.tasks:
            hint = nearest(name, list(config.tasks))
            raise OperatorError(f"{where}: [monitor.tasks.{name}] watches a task that is not under [tasks].{hint}")
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
    for name, judge in config.judges.items():
        if judge.model not in config.models:
            hint = nearest(judge.model, list(config.models))
            raise OperatorError(f"{where}: judges.{name}.model is '{judge.model}', which is not under [models].{hint}")
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
    return [name for name in (*of, table.by, table.fallback) if name is not None]


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

# How 'freehold monitor' watches live traffic, and who is told.
# [monitor]
# serve = true                        # 'freehold serve' watches, too
# budget_usd = 1.0                    # a day, for scorers that ask models
# [monitor.tasks.triage]
# scorers = ["exact"]
# [monitor.webhook]
# url_env = "ALERTS_URL"

# What may be spent, and by whom: keys ('freehold keys create') are within a team, teams within the project.
# [budget]
# month_usd = 500.0                   # day_usd, month_usd, total_usd
# [teams.search]
# budget = {{ day_usd = 20.0 }}

# What customers are promised and pay; a call names its plan, or its key does.
# [plans.basic]
# max_loss = 0.05                     # or reference_only = true
# per_call = 0.002                    # per_call, input_per_mtok, output_per_mtok; or markup = 0.2 on what it cost

# What specialists cost that no call tells, for 'freehold economics'.
# [economics]
# machine_usd_per_hour = 0.4          # that trains and serves them; left out: unknown
# label_usd = 0.5                     # a label that no tariff pays; left out: unknown

# [gateway]
# unpriced = "allow"                  # allow | refuse | assume, with assumed_price: models whose price nobody knows

# On what terms calls may be made into data sets; a task may say otherwise, and a call by its tags 'licence' and 'consent'.
# [data]
# licence = "LicenseRef-ours"         # left out: rows have none, and stay out of exports
# consent = "terms-2026"              # what people agreed to; "no": they did not

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
