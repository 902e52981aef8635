"""Scorers by name: `[scorers.NAME]` of freehold.toml, functions of the project's programs, and kinds, built in or from installed packages.

Kinds all come through one door: an entry point that names a factory, which takes `Settings` and gives a `Scorer`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import NamedTuple, TypeAlias

from freehold.config import Config
from freehold.errors import CallerError, FreeholdError, OperatorError, nearest
from freehold.evaluation.asking import Ask
from freehold.evaluation.function import FunctionScorer
from freehold.evaluation.judge import DeclaredJudge
from freehold.evaluation.plain import Plain, Settings, in_field
from freehold.evaluation.scorer import Scorer
from freehold.tables import JudgeTable, ScorerTable

Factory: TypeAlias = Callable[[Settings], Scorer]
"""Makes a scorer of a kind. Raises CallerError for an option that the kind does not take."""
GROUP = "freehold.scorers"
"""The group of entry points that packages add kinds of scorers by."""
_HERE = {
    "exact": "text:exact",
    "normalised": "text:normalised",
    "numeric": "text:numeric",
    "regex": "text:regex",
    "token_f1": "text:token_f1",
    "rouge_l": "text:rouge_l",
    "embedding": "text:embedding",
    "json_schema": "structure:json_schema",
    "fields": "structure:fields",
    "set_f1": "structure:set_f1",
    "span_f1": "structure:span_f1",
    "sql": "sql:sql",
    "unit_tests": "code:unit_tests",
    "grounded": "grounded:grounded",
    "judge": "judge:named_judge",
    "refusal": "safety:refusal",
    "toxicity": "safety:toxicity",
    "personal_data": "safety:personal_data",
    "injection": "safety:injection",
    "distinct": "diversity:distinct",
    "entropy": "diversity:spread",
    "latency": "spent:latency",
    "cost": "spent:cost",
}
BUILT_IN = tuple(EntryPoint(name, f"freehold.evaluation.{where}", GROUP) for name, where in _HERE.items())
"""The kinds that come with Freehold."""


class Kind(NamedTuple):
    """A kind of scorers."""

    name: str
    """What stands before the colon."""
    about: str
    """What it says, in a sentence."""
    package: str
    """The package it comes from."""


def named(config: Config, specs: Sequence[str], modules: Iterable[ModuleType] = (), ask: Ask | None = None) -> list[Scorer]:
    """The scorers that `specs` name, each `NAME` or `KIND:OPTION`, such as `exact`, `numeric:0.01`, `judge:quality`.

    `modules`: of the project's programs. `ask`: asks a model, for those that need one. Raises CallerError for an unknown name, one that two
    are called by, and an option that its kind does not take.
    """
    known = tuple(modules)
    has = _Has(config, functions_in(known), judges_of(config, known), ask, _points())
    return [_one(has, spec.strip()) for spec in specs]


def functions_in(modules: Iterable[ModuleType]) -> dict[str, Scorer]:
    """The functions of these modules that are scorers, by name. Raises CallerError where two have one name."""
    found: dict[str, Scorer] = {}
    for value in (value for module in modules for value in vars(module).values()):
        if isinstance(value, FunctionScorer) and found.setdefault(value.metric.id, value) is not value:
            raise CallerError(
                f"Two functions are the scorer '{value.metric.id}'. Give one of them another name, by @freehold.scorer(name=…)."
            )
    return found


def judges_of(config: Config, modules: Iterable[ModuleType] = ()) -> dict[str, JudgeTable]:
    """The judges of a project, by name: of its file, and those that its programs declare. Raises CallerError where two have one name."""
    found = dict(config.judges)
    for value in (value for module in modules for value in vars(module).values()):
        if isinstance(value, DeclaredJudge) and found.setdefault(value.name, value.table) != value.table:
            raise CallerError(f"'{value.name}' is two judges. Give one of them another name.")
    return found


def kinds() -> list[Kind]:
    """The kinds there are, by name. Raises CallerError where two packages give one name."""
    return [
        Kind(
            name,
            (_loaded(point).__doc__ or "").strip().split("\n\n")[0].replace("\n    ", " "),
            point.dist.name if point.dist else "freehold",
        )
        for name, point in sorted(_points().items())
    ]


class _Has(NamedTuple):
    """What scorers are made of."""

    config: Config
    functions: Mapping[str, Scorer]
    judges: Mapping[str, JudgeTable]
    ask: Ask | None
    points: Mapping[str, EntryPoint]


def _one(has: _Has, name: str) -> Scorer:
    table = has.config.scorers.get(name)
    if table is not None and name in has.functions:
        raise CallerError(f"'{name}' is a scorer in freehold.toml and a function of the program. Give one of them another name.")
    return has.functions[name] if name in has.functions else _made(has, name, table or ScorerTable(kind=name))


def _made(has: _Has, name: str, table: ScorerTable) -> Scorer:
    kind, _, option = table.kind.partition(":")
    if kind not in has.points:
        hint = nearest(kind, {*has.points, *has.config.scorers, *has.functions})
        raise CallerError(f"There is no scorer '{kind[:120]}'.{hint} 'freehold scorers' shows what each says.")
    made = _loaded(has.points[kind])(Settings(name, option, table.options, has.config.folder, has.ask, has.judges))
    if table.field is None:
        return made
    if not isinstance(made, Plain):
        raise CallerError(f"scorers.{name}.field is '{table.field}', and '{kind}' looks at whole answers only. Take it out.")
    return in_field(made, table.field)


def _points() -> dict[str, EntryPoint]:
    found = {point.name: point for point in BUILT_IN}
    for point in entry_points(group=GROUP):
        other = found.setdefault(point.name, point)
        if other.value != point.value:
            raise CallerError(f"'{point.name}' is a scorer of two packages, {other.value} and {point.value}. Uninstall one of them.")
    return found


def _loaded(point: EntryPoint) -> Factory:
    try:
        loaded: Factory = point.load()
    except FreeholdError:
        raise
    except Exception as error:
        raise OperatorError(f"The scorer '{point.name}' cannot be loaded from {point.value}: {type(error).__name__}: {error}") from error
    return loaded
