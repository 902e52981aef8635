"""Policies against the catalog: whether everybody whom a task or its policy names is there and can be asked, in words that are there.

What the file says and what the program says are looked at together, as a call does.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from freehold.catalog import AGREEMENT, Catalog, Variant
from freehold.chat import JSON
from freehold.config import FILE_NAME, Config, with_declared
from freehold.context.prompt import DEFAULT, hash_of
from freehold.context.prompts import PRODUCTION, Version, found, versions
from freehold.errors import CallerError, FreeholdError, PolicyError, nearest
from freehold.pipelines.finding import Finding, Places, error, warning
from freehold.pipelines.task import Task
from freehold.project import Project
from freehold.promotion.gate import active_hash
from freehold.promotion.records import find_policy, tasks_with_policies
from freehold.providers.provider import why_no_key
from freehold.routing import artefact
from freehold.routing.check import Scope, check
from freehold.routing.program import Try, Use, UseCheapest, parse
from freehold.routing.scorer import Scorer
from freehold.routing.syntax import walk
from freehold.serving.resources import OWN
from freehold.tables import TaskTable
from freehold.variants.compose import COMPOSED

Tasks: TypeAlias = Mapping[str, Task[Any, Any]]
_HERE = ("cache", "rules", "code")
_FEW = 5
"""So many names are said one by one."""


class _Why(NamedTuple):
    """Why somebody cannot be asked."""

    what: str
    """In words."""
    is_missing: bool = True
    """Whether there is nobody of the name at all; else it is known, from recordings."""


class Everybody:
    """Whom a program may ask: of the file, and of its own."""

    def __init__(self, config: Config, tasks: Tasks) -> None:
        """Raises OperatorError where the two together make no sense."""
        self.config = with_declared(config, {name: task.table() for name, task in tasks.items()})
        self.catalog: Catalog = self.config.catalog()
        self.declared = {one.name: one.variant for task in tasks.values() for one in task.declared().values()}
        self.variants: dict[str, Variant] = {**self.catalog.variants, **self.declared, **_own(config, self.catalog)}
        self._with_body = {name for name, task in tasks.items() if task.has_own}

    def why_not(self, task: str, name: str, above: tuple[str, ...] = ()) -> _Why | None:
        """Why a variant of a task cannot be asked; None where it can."""
        if name in above:
            return _Why(f"variants ask each other in a circle: {' -> '.join((*above, name))}")
        if name == OWN and task in self._with_body:
            return None
        variant = self.variants.get(name, Variant(id=name, model=name))
        if variant.kind in (*COMPOSED, "expert"):
            for asked in variant.asks():
                if (why := self.why_not(task, asked, (*above, name))) is not None:
                    return why
            return None
        return None if variant.kind in (*_HERE, "head") else self._why_no_model(variant.model or name)

    def _why_no_model(self, name: str) -> _Why | None:
        table = self.config.models.get(name)
        if table is None:
            provider, slash, rest = name.partition("/")
            if slash and rest and provider in self.config.providers:
                return None
            return _Why(f"there is no model '{name[:120]}' in {FILE_NAME}.{nearest(name, {*self.config.models, *self.declared})}")
        if table.provider is None and table.rules is None and not table.serving.fallbacks:
            return _Why(f"model '{name}' has no provider: it is known from recordings only", is_missing=False)
        return None

    def providers_of(self, name: str) -> Iterator[str]:
        """The providers that may be asked for a variant's answer, fallbacks included."""
        models = [variant.model or variant.id for variant in self.asked_by(name)] or [name]
        further = [each for model in models if model in self.config.models for each in self.config.models[model].serving.fallbacks]
        for model in (*models, *further):
            table = self.config.models.get(model)
            provider = table.provider if table is not None else model.partition("/")[0]
            if provider in self.config.providers:
                yield provider

    def asked_by(self, name: str, above: tuple[str, ...] = ()) -> Iterator[Variant]:
        """A variant, and those that it asks."""
        variant = self.variants.get(name)
        if variant is not None and name not in above:
            yield variant
            for asked in variant.asks():
                yield from self.asked_by(asked, (*above, name))


def _own(config: Config, catalog: Catalog) -> dict[str, Variant]:
    """The models and variants that the file says itself, which come first."""
    return {name: catalog.variants[name] for name in (*config.models, *config.variants)}


def check_answerers(project: Project, tasks: Tasks, only: Collection[str] | None = None) -> list[Finding]:
    """What is wrong with the tasks of the file and of the program, their variants, metrics and policies. `only`: with these tasks alone."""
    places = Places(project.folder / FILE_NAME)
    try:
        everybody = Everybody(project.config, tasks)
    except FreeholdError as refused:
        return [error(str(project.folder / FILE_NAME), str(refused), "see the message")]
    look = _Look(project, tasks, everybody, places, only)
    return [*look.differences(), *look.names(), *look.tasks(), *look.policies()]


class _Look(NamedTuple):
    """One look at everything."""

    project: Project
    by_name: Tasks
    everybody: Everybody
    places: Places
    only: Collection[str] | None

    def is_meant(self, task: str) -> bool:
        """Whether a task is to be looked at."""
        return self.only is None or task in self.only

    def where(self, task: str, key: str = "") -> str:
        """Where something is said of a task: in the file where it says that, else in the program."""
        said = self.project.config.tasks.get(task)
        is_in_file = said is not None and (not key or getattr(said, key) != getattr(TaskTable(), key))
        return self.by_name[task].where if task in self.by_name and not is_in_file else self.places.of("tasks", task, key)

    def differences(self) -> Iterator[Finding]:
        """What the file and the program say differently of one task: the file's word counts."""
        for name, task in self.by_name.items():
            if (said := self.project.config.tasks.get(name)) is None or not self.is_meant(name):
                continue
            for key, own in _said(task).items():
                word, usual = getattr(said, key), getattr(TaskTable(), key)
                if word != usual and own not in (usual, word) and not (key == "variants" and set(word) == {*own}):
                    yield warning(
                        self.places.of("tasks", name, key),
                        f"task '{name}' has {key} {_short(word)} here and {_short(own)} at {task.where}: what stands here counts",
                        "say it in one of the two",
                    )

    def names(self) -> Iterator[Finding]:
        """Variants of one name that are not one."""
        config, first = self.project.config, dict[str, tuple[str, Variant]]()
        for name, task in self.by_name.items():
            for one in task.declared().values():
                earlier, variant = first.setdefault(one.name, (name, one.variant))
                if variant != one.variant:
                    yield error(
                        task.where,
                        f"tasks '{earlier}' and '{name}' each declare a variant '{one.name}', and the two differ",
                        "give one name=",
                    )
                elif one.name in config.variants and one.variant != self.everybody.variants[one.name]:
                    yield warning(
                        self.places.of("variants", one.name),
                        f"variant '{one.name}' is another one here than at {task.where}: what stands here counts",
                        "give one of them another name",
                    )
                elif one.name in config.models and one.variant != self.everybody.variants[one.name]:
                    yield warning(
                        task.where,
                        f"variant '{one.name}' has the name of a model: that is asked, as it stands in the file",
                        "give it name=",
                    )

    def tasks(self) -> Iterator[Finding]:
        """Whom tasks name, in which words those are asked, and by what they are judged."""
        active = set(tasks_with_policies(self.project.store, self.project.tenant))
        asked: dict[str, list[str]] = {}
        for name, table in self.everybody.config.tasks.items():
            if not self.is_meant(name):
                continue
            task = self.by_name.get(name)
            if table.reference is None and name not in active:
                what = f"task '{name}' has no reference and no active policy: "
                if task is not None and not task.has_own:
                    yield error(self.where(name), what + "nobody answers it", 'say who, as in reference="NAME"')
                elif task is not None and task.may_pass:
                    yield warning(
                        self.where(name), what + "where its own answer is Pass, nobody answers", 'say who, as in reference="NAME"'
                    )
                elif task is None:
                    yield warning(self.where(name), what + "calls of it are refused", "set reference, or promote a policy")
            yield from self._variants(name, table)
            if task is not None:
                yield from self._instruction(task, table)
                yield from self._prompts(task, table)
            yield from self._metric(name, table)
            for provider in {
                one for variant in (table.reference, *table.variants) if variant for one in self.everybody.providers_of(variant)
            }:
                asked.setdefault(provider, []).append(name)
        for provider, names in sorted(asked.items()):
            known = self.everybody.config.providers.get(provider)
            if known is not None and (why := why_no_key(provider, known)):
                what = f"{why} Asked by {_listed(names)}"
                yield warning(self.places.of("providers", provider, "key_env"), what, f"set {known.key_env} where the program runs")

    def _variants(self, name: str, table: TaskTable) -> Iterator[Finding]:
        for variant in dict.fromkeys((*([table.reference] if table.reference else []), *table.variants)):
            if (why := self.everybody.why_not(name, variant)) is None:
                continue
            is_reference = variant == table.reference
            where = self.where(name, "reference" if is_reference else "variants")
            say = error if why.is_missing or (is_reference and name in self.by_name) else warning
            yield say(
                where, f"{'the reference' if is_reference else 'a variant'} of task '{name}' is '{variant}': {why.what}",
                f"add it to {FILE_NAME}, or name another",
            )  # fmt: skip

    def _instruction(self, task: Task[Any, Any], table: TaskTable) -> Iterator[Finding]:
        """Whether whoever is asked is told what is wanted."""
        is_asked = table.reference is not None or any(name != OWN for name in table.variants)
        if table.instruction or not is_asked or task.template != DEFAULT:
            return
        known = versions(self.project.store, self.project.tenant, task.name)
        if not any(PRODUCTION in version.labels and version.text != DEFAULT for version in known):
            yield warning(
                self.where(task.name),
                f"task '{task.name}' has no docstring and no instruction: whoever is asked is told the input alone, and not what to do with it",
                "say it in the docstring, or in instruction=",
            )

    def _prompts(self, task: Task[Any, Any], table: TaskTable) -> Iterator[Finding]:
        known: list[Version] | None = None
        asked = {one.id: one for name in (table.reference, *table.variants) if name for one in self.everybody.asked_by(name)}
        for variant in asked.values():
            if variant.prompt in (PRODUCTION, hash_of(task.template)):
                continue
            known = versions(self.project.store, self.project.tenant, task.name) if known is None else known
            try:
                found(known, task.name, variant.prompt)
            except CallerError as refused:
                where = self.places.of("variants", variant.id, "prompt") if variant.id in self.project.config.variants else task.where
                yield error(where, f"variant '{variant.id}': {refused}", f"freehold prompts label {task.name} {variant.prompt} HASH")

    def _metric(self, name: str, table: TaskTable) -> Iterator[Finding]:
        if table.metric is None:
            return
        metrics, task = self.everybody.config.metrics, self.by_name.get(name)
        if table.metric not in metrics and table.metric != AGREEMENT:
            yield warning(
                self.where(name, "metric"),
                f"metric '{table.metric}' of task '{name}' is not declared, and so taken as bounded in [0, 1].{nearest(table.metric, {*metrics, AGREEMENT})}",
                f"declare [metrics.{table.metric}]",
            )
        if table.metric == AGREEMENT and task is not None and (what := _free(task.signature.output.json_schema(mode="serialization"))):
            yield warning(
                self.where(name, "metric"),
                f"metric '{AGREEMENT}' of task '{name}' is 1 where two answers are the same, and {task.signature.output_name} holds {what}: two "
                "good answers are rarely the same",
                "judge it by a metric of your own, or give the task a type with few values",
            )

    def policies(self) -> Iterator[Finding]:
        """The policies that are served, and those in the project's folder."""
        store, tenant, seen = self.project.store, self.project.tenant, set[str]()
        for task in tasks_with_policies(store, tenant):
            if not self.is_meant(task) or (hash := active_hash(store, tenant, task)) is None:
                continue
            row, where = find_policy(store, tenant, task, hash), f"policy {hash[:12]} of task '{task}'"
            seen.add(row.source)
            try:
                arrays = artefact.load(store.blobs.get(row.artefact)) if row.artefact is not None else None
            except FreeholdError as refused:
                yield error(where, str(refused), "restore blobs/ from a backup, or certify again")
                continue
            for line, what in self._policy(row.source, arrays):
                yield error(where, f"line {line}: {what}", f"freehold policy show {task}; then mend it, or freehold rollback {task}")
        for path in sorted(self.project.policies.glob("*.policy")) if self.only is None else ():
            try:
                source = path.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as refused:
                yield warning(str(path), f"it cannot be read: {refused}", "see the message")
                continue
            if source not in seen:
                for line, what in self._policy(source, None):
                    yield warning(f"{path}:{line}", f"{what} It is not served", "mend it before it is promoted, or delete it")

    def _policy(self, source: str, arrays: Scorer | None) -> Iterator[tuple[int, str]]:
        """What is wrong with a program, with its lines. Without arrays its scores and regions cannot be looked at."""
        try:
            program = parse(source)
            table = self.everybody.config.tasks.get(program.task)
            if table is None:
                yield 1, f"there is no task '{program.task[:80]}'.{nearest(program.task, set(self.everybody.config.tasks))}"
                return
            task = self.by_name.get(program.task)
            own = (*task.declared(), *([OWN] if task.has_own else [])) if task is not None else ()
            offered = tuple(dict.fromkeys((*table.variants, *own, *(arrays.variants if arrays else ()))))
            reference = table.reference or (offered[0] if offered else "")
            check(program, Scope(program.task, offered, reference, regions=arrays.region_names if arrays else ()))
        except PolicyError as refused:
            yield refused.line, str(refused).partition(": ")[2]
            return
        for rule in program.rules:
            for variant in _used(rule.action):
                why = self.everybody.why_not(program.task, variant)
                known = self.everybody.variants.get(variant)
                if why is not None:
                    yield rule.line, f"it asks '{variant}': {why.what}."
                elif known is not None and known.kind == "head" and arrays is not None and arrays.head_variant != variant:
                    yield rule.line, f"it asks '{variant}', and its arrays hold no head of that name."


def _said(task: Task[Any, Any]) -> dict[str, Any]:
    """What a task says in the program, by key of the file."""
    table = task.table()
    return {
        "reference": table.reference,
        "variants": tuple(name for name in table.variants if name != OWN),
        "metric": table.metric,
        "max_loss": table.max_loss,
        "instruction": table.instruction,
    }


def _used(action: Any) -> Iterator[str]:
    for node in walk(action):
        if isinstance(node, Use | Try):
            yield node.variant
        elif isinstance(node, UseCheapest):
            yield from node.variants


def _free(schema: JSON, defs: JSON = None, above: tuple[str, ...] = ()) -> str:
    """What of a type has so many values that two answers are rarely the same; empty where nothing has."""
    defs = schema.get("$defs", {}) if defs is None else defs
    if (ref := schema.get("$ref", "")) in above or "enum" in schema or "const" in schema:
        return ""
    if ref:
        return _free(defs.get(ref.rpartition("/")[2], {}), defs, (*above, ref))
    if schema.get("type") in ("string", "number"):
        return "free text" if schema["type"] == "string" else "numbers with a fraction"
    inner: Sequence[JSON] = [*schema.get("properties", {}).values(), *schema.get("anyOf", []), *filter(None, [schema.get("items")])]
    return next((what for each in inner if isinstance(each, dict) and (what := _free(each, defs, above))), "")


def _listed(tasks: Sequence[str]) -> str:
    more = f" and {len(tasks) - _FEW:,} more" if len(tasks) > _FEW else ""
    return f"task{'s' * (len(tasks) > 1)} {', '.join(tasks[:_FEW])}{more}"


def _short(value: object) -> str:
    words = " ".join(repr(value).split())
    return words if len(words) <= 60 else words[:57] + "…"
