"""Everything that answering takes, assembled once for each worker: who answers to which name, how they are asked, and where it is written down."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import Enum
from random import Random
from typing import NamedTuple

import msgspec

from freehold.catalog import Catalog, Content, Task, Variant
from freehold.config import Config, with_declared
from freehold.errors import CallerError, FreeholdError, nearest
from freehold.feedback.early import sweep
from freehold.gateway.answers import Answers
from freehold.gateway.caller import Caller, Callers
from freehold.gateway.expire import expire
from freehold.gateway.formats import Format
from freehold.gateway.granted import granted
from freehold.gateway.head import Head
from freehold.gateway.keys import Keyring, Role
from freehold.gateway.ledger import Settlement
from freehold.gateway.limits import Limits
from freehold.gateway.match import Matcher
from freehold.gateway.shared import Shared
from freehold.gateway.tariff import Tariff
from freehold.journal.call import Call
from freehold.journal.redact import redact
from freehold.journal.rows import digest_of
from freehold.journal.write import Writer
from freehold.monitor.alerts import open_alerts
from freehold.promotion.served import Served
from freehold.providers.breaker import Breakers
from freehold.providers.desk import Desk
from freehold.providers.known import State, known_breakers, tell_breakers
from freehold.providers.pacing import Pacing
from freehold.providers.provider import Provider, Target, why_no_key
from freehold.routing.online import Chosen, OnlinePolicy
from freehold.serving.how import How, how_of
from freehold.serving.prices import Prices
from freehold.serving.recordings import recordings_of
from freehold.store.open import Store
from freehold.tables import LimitsTable, ServingTable, TaskTable
from freehold.variants import head, outcome
from freehold.variants.compose import COMPOSED
from freehold.variants.expert import Experts
from freehold.variants.functions import Functions
from freehold.variants.memory import Memory
from freehold.variants.recorded import Recordings
from freehold.variants.rules import Rules
from freehold.variants.specialists import Specialists

TASK_PREFIX = "freehold/"
"""Before a task's name where a model's is asked for."""
CACHE = "cache"
"""The variant of answers that were remembered."""
OWN = "rules"
"""The variant that a task's own function is."""
_CACHE_S = 3_600.0
_NO_CACHE = Variant(id=CACHE)
_EARLY_S = 60.0
"""How often it is looked whether calls came that somebody has spoken of."""
_HERE = frozenset({"head", "cache", "rules", "code", "expert", "specialist"})
"""Kinds that no provider answers, and that have no price by name."""
_NO_FUNCTIONS = Functions()
_NO_LIMITS = LimitsTable()

_encode = msgspec.json.Encoder().encode
_log = logging.getLogger("freehold.serve")


class UnknownModel(CallerError):
    """Nobody answers to this model name."""


class NoKey(CallerError):
    """Whoever is to be asked has no key in the environment of the program that asks."""


class Elsewhere(Enum):
    """Why a variant gives no answer here."""

    ASKED = "asked"
    """It is a provider's, who has to be asked."""
    PASS = "pass"  # noqa: S105 no secret
    """It has none for this."""


class Words(NamedTuple):
    """What is asked of a task, as policies and variants see it."""

    text: str
    """The words that differ from call to call."""
    tags: Mapping[str, str]
    """What came along."""
    key: Callable[[], str]
    """Gives what recordings and memories know it by, as `chat.key_of` has it."""
    subject: Callable[[], str | None]
    """Gives the person it is about."""
    customer: str | None
    """Whom it is billed to."""


class Declaration(NamedTuple):
    """What a program declares about a task."""

    table: TaskTable
    """As the configuration would say it."""
    variants: Mapping[str, Variant] = {}
    """The variants that are declared with it."""
    functions: Mapping[str, Functions] = {}
    """The functions that those are made of, by variant."""


class Resources:
    """What a worker has, for as long as it runs."""

    def __init__(
        self,
        config: Config,
        store: Store,
        writer: Writer,
        tenant: str = "default",
        shared: Shared | None = None,
        needs_every_key: bool = True,
    ) -> None:
        """`needs_every_key`: whether a provider is refused now whose key is not set, and not only where it is to be asked. Raises OperatorError
        for a provider that cannot be called."""
        self.config = config
        self.catalog: Catalog = config.catalog()
        self.tenant = tenant
        self.store = store
        self.writer = writer
        self._without_key = {
            name: why for name, table in config.providers.items() if not needs_every_key and (why := why_no_key(name, table))
        }
        called = {name: table for name, table in config.providers.items() if table.kind != "recorded" and name not in self._without_key}
        self.providers = {name: Provider(name, table) for name, table in called.items()}
        self.served = Served(store, tenant)
        self.limits = Limits(shared or Shared(), config.gateway.wait_s, config.gateway.most_waiting)
        self.breakers = Breakers(self._share)
        self.matcher = Matcher(config.match)
        self.answers = Answers()
        self.memory = Memory()
        self.experts = Experts(store, tenant)
        """The people who are waited for."""
        self.specialists = Specialists(store, tenant)
        self.deciding = ThreadPoolExecutor(1, "freehold-decide")
        """Where policies decide that are not quick: one after the other, while the loop goes on."""
        self.pacing: Pacing | None = None
        """The lines in which requests wait while a batch is under way; None where each is sent at once."""
        self.desk: Desk | None = None
        """Where questions of a batch are handed over instead of asked; None for nowhere. Of a run's: `desk_of`."""
        self._pacers = 0
        self.rng = Random()  # noqa: S311 of waits between retries
        self.failed_decisions = 0
        """Calls that went to the reference because their policy could not decide."""
        self.open_alerts = 0
        """Alerts about live traffic that were not over when it was last looked."""
        self._content = config.journal.content
        book = config.price_book()
        self.tariff = Tariff(config, book)
        self.prices = Prices(config, book, tenant, self.tariff, self)
        self.keyring = Keyring(store, tenant)
        self.callers = Callers(self.keyring, config, self.tariff.plan)
        self.callers.learn(granted(store, tenant))
        self._targets = self._find_targets()
        self._pools = {name for name, table in config.models.items() if table.provider is None and table.serving.fallbacks}
        self._replayed = {name for name, model in config.models.items() if config.is_recorded(model)}
        self._rules = {name: Rules(config.folder / model.rules) for name, model in config.models.items() if model.rules is not None}
        self._recordings = self._record()
        self._configured = config
        self._declared: dict[str, Declaration] = {}
        self._untold: dict[str, State] = {}
        self._looks_for_early_at = 0.0
        self._hows: dict[tuple[str | None, str], How] = {}
        self.look_for_policies()

    def look_for_policies(self) -> None:
        """Serves what was promoted or rolled back since, and says in the log what cannot be served. Raises OperatorError."""
        self.specialists.refresh()
        for task, error in self.served.refresh().items():
            _log.error("policy.failed: the active policy of task '%s' cannot be served: %s", task, error)

    async def look_around(self) -> None:
        """What has to be done once in a while. Raises OperatorError."""
        await asyncio.to_thread(self._look_around)

    def _look_around(self) -> None:
        told, self._untold = self._untold, {}
        tell_breakers(self.store, self.tenant, told)
        self.breakers.learn(known_breakers(self.store, self.tenant))
        self.look_for_policies()
        self.keyring.refresh()
        self._look_for_early()
        self.callers.learn(granted(self.store, self.tenant))
        self.experts.look(datetime.now(UTC))
        self.open_alerts = open_alerts(self.store, self.tenant)
        if expired := expire(self.store, self.tenant, datetime.now(UTC)):
            _log.warning("ledger.expired: %d calls that were never settled are charged at what was held back for them", expired)

    def _look_for_early(self) -> None:
        """Now and then, for it need not be soon."""
        now = time.monotonic()
        if now < self._looks_for_early_at:
            return
        self._looks_for_early_at = now + _EARLY_S
        if gone := sweep(self.store, self.tenant, datetime.now(UTC)):
            _log.warning("feedback.late: %d pieces of feedback are gone, for the calls they are about never came", gone)

    def caller(self, headers: Head, role: Role, about: Mapping[bytes, str]) -> Caller:
        """Whoever sent a request with these headers. Raises as `Callers.caller`."""
        return self.callers.caller(headers, role, time.time(), about)

    def _find_targets(self) -> dict[str, Target]:
        """Who answers to each configured name, of a model or of a variant that is one."""
        models = {**{name: name for name in self.catalog.models}, **{v.id: v.model for v in self.catalog.variants.values() if v.model}}
        return {
            name: Target(name, self.providers[model.provider], model.name or model.id, model.id)
            for name, behind in models.items()
            if (model := self.catalog.models.get(behind)) is not None and model.provider in self.providers
        }

    def targets(self) -> list[Target]:
        """Everybody configured who can be asked."""
        return list(self._targets.values())

    def target(self, name: str, door: Format) -> Target:
        """Who answers to this model name. Raises UnknownModel, NoKey, and CallerError for one that is not asked by its name."""
        known = self._targets.get(name)
        if known is not None:
            return known
        trained = self.specialists.variant(name)
        if trained is not None and trained.model is not None:
            return self.target(trained.model, door)._replace(variant=name)
        self._check_key(name)
        if name in self._replayed:
            raise CallerError(f"'{name}' is replayed from recordings, which belong to tasks: ask for the model {TASK_PREFIX}TASK.")
        if not name:
            raise CallerError("the body names no model")
        prefix, slash, rest = name.partition("/")
        if slash and rest and prefix in self.providers:
            return Target(rest, self.providers[prefix], rest, f"{prefix}/…")
        of_this_kind = [provider for provider in self.providers.values() if provider.format is door]
        if len(of_this_kind) == 1:  # an unchanged client, and one provider that it can have meant
            return Target(name, of_this_kind[0], name, f"{of_this_kind[0].name}/…")
        names = [*self.names(), *(f"{provider}/…" for provider in self.providers)]
        raise UnknownModel(f"There is no model '{name[:120]}'.{nearest(name, names)}")

    def _check_key(self, name: str) -> None:
        if self._without_key:
            model = self.catalog.models.get(self.variant(name).model or name)
            provider = model.provider if model is not None else name.partition("/")[0]
            if provider in self._without_key:
                raise NoKey(self._without_key[provider])

    @contextmanager
    def paced(self, most: int | None = None) -> Iterator[Pacing]:
        """Requests wait for their turn for as long as the block runs. Who comes while another is at it shares the pace. `most`: as of `Pacing`."""
        lines = self.pacing = self.pacing or Pacing(most)
        self._pacers += 1
        try:
            yield lines
        finally:
            self._pacers -= 1
            if not self._pacers:
                self.pacing = None

    def desk_of(self, session: Callable[[], str]) -> Desk | None:
        """Where a run's questions are handed over; None where they are all asked at once."""
        return self.desk if self.desk is not None and self.desk.serves(session()) else None

    @contextmanager
    def handing_over(self, desk: Desk) -> Iterator[None]:
        """Questions go to a desk, where it takes them, for as long as the block runs. Raises CallerError where another has one."""
        if self.desk is not None:
            raise CallerError(
                "Another batch of this process hands its questions over. Wait for it, or run this one in a process of its own."
            )
        self.desk = desk
        try:
            yield
        finally:
            self.desk = None

    def variant(self, name: str) -> Variant:
        """The variant of that name; a model alone for a name that nobody declared."""
        return self.catalog.variants.get(name) or self.specialists.variant(name) or Variant(id=name, model=name)

    def functions_of(self, task: str, variant: str) -> Functions:
        """The functions of the project's own that a variant of a task is made of."""
        declared = self._declared.get(task)
        return _NO_FUNCTIONS if declared is None else declared.functions.get(variant, _NO_FUNCTIONS)

    def takes_time(self, task: str, variant: Variant) -> bool:
        """Whether a variant asks others, is a function of the project's own, or a model beside this process, and so is no matter of this moment."""
        if variant.kind == "specialist":
            return not self.specialists.is_quick(variant.id)
        return variant.kind in COMPOSED or variant.kind == "expert" or self.functions_of(task, variant.id).body is not None

    def may_be_asked(self, variant: str, earlier: int = 0) -> Iterator[tuple[str, int]]:
        """The models that may have to be asked for a variant's answer, each as often as that may be, with how many earlier answers it is told
        at most. `earlier`: how many are told whoever is asked for it."""
        known = self.variant(variant)
        if known.kind == "expert" and known.fallback is not None:
            yield variant, earlier
            yield from self.may_be_asked(known.fallback, earlier)
            return
        if known.kind not in COMPOSED:
            yield variant, earlier
            return
        if known.kind in ("vote", "best_of"):
            for one in known.samples():
                yield from self.may_be_asked(one, earlier)
            return
        assert isinstance(known.of, str)
        for revision in range(known.n + 1 if known.kind == "verify" else 1):
            yield from self.may_be_asked(known.of, earlier + revision)
            if known.by is not None:
                yield from self.may_be_asked(known.by, earlier + 1)

    def waits_s(self, variant: str) -> float:
        """How long people may be waited for until a variant has its answer; 0 where nobody is asked but models."""
        known = self.variant(variant)
        if known.kind == "expert":
            return known.deadline_s + (self.waits_s(known.fallback) if known.fallback is not None else 0.0)
        if known.kind not in COMPOSED:
            return 0.0
        if known.kind in ("vote", "best_of"):
            return max(map(self.waits_s, known.samples()), default=0.0)
        return sum(map(self.waits_s, known.asks())) * (known.n + 1 if known.kind == "verify" else 1)

    def content_of(self, task: str) -> Content:
        """What is kept of a task's calls."""
        known = self.catalog.tasks.get(task)
        return (known.content if known else None) or self._content

    def declare(self, task: str, declared: Declaration) -> None:
        """Takes what a program declares about a task, in the place of what it declared before. What the configuration says comes before it.

        Raises CallerError for a variant that another task declares otherwise.
        """
        for other, known in self._declared.items():
            for name, variant in declared.variants.items():
                if other != task and known.variants.get(name, variant) != variant:
                    raise CallerError(
                        f"Tasks '{other}' and '{task}' each declare a variant '{name}', and they differ. Give one of them a name of its own, "
                        "by name=."
                    )
        self._declared[task] = declared
        configured = self._configured
        self.config = with_declared(configured, {name: one.table for name, one in self._declared.items()})
        catalog = self.config.catalog()
        variants = {name: variant for one in self._declared.values() for name, variant in one.variants.items()}
        written = {name: catalog.variants[name] for name in (*configured.models, *configured.variants)}
        self.catalog = msgspec.structs.replace(catalog, variants={**catalog.variants, **variants, **written})
        self.prices.look_up()
        self._recordings |= self._record({task} - configured.tasks.keys())
        self._targets = self._find_targets()
        self._hows.clear()

    def answers_here(self, variant: Variant) -> bool:
        """Whether it has no price by name, for no provider answers it."""
        return variant.kind in _HERE or variant.id in self._rules or variant.id in self._replayed

    def is_pool(self, name: str) -> bool:
        """Whether a model only stands for its fallbacks."""
        return name in self._pools

    def task(self, name: str) -> Task:
        """The task of that name. Raises UnknownModel."""
        if name in self.catalog.tasks:
            return self.catalog.tasks[name]
        if name in self.served.policies:
            return Task(id=name)
        raise UnknownModel(f"There is no model '{TASK_PREFIX}{name[:120]}'.{nearest(TASK_PREFIX + name, self.names())}")

    def how(self, task: str | None, model: str) -> How:
        """How a model is asked for a task."""
        known = self._hows.get((task, model))
        if known is None:
            behind = self.variant(model).model or model
            own = self.config.models[behind].serving if behind in self.config.models else ServingTable()
            asked = self.config.tasks[task].serving if task is not None and task in self.config.tasks else ServingTable()
            known = how_of(asked, own)
            if behind in self.config.models:  # other names come from callers, and are not remembered
                self._hows[task, model] = known
        return known

    def limits_of(self, model: str) -> LimitsTable:
        """How much may be asked of a model."""
        table = self.config.models.get(self.variant(model).model or model)
        return _NO_LIMITS if table is None else table.limits

    def here(
        self, task: str, variant: str, asked: Words, policy: OnlinePolicy | None, chosen: Chosen | None
    ) -> outcome.Outcome | Elsewhere:
        """What a variant on this machine answers, or that it has no answer, or that it is none of this machine's.

        `chosen` is what `policy` said, which need not be the one that is active by now. Raises CallerError for words nobody recorded.
        """
        scorer = policy.scorer if policy is not None else None
        if scorer is not None and chosen is not None and chosen.scored is not None and variant == scorer.head_variant:
            model = self.catalog.models.get(variant)
            return head.run(scorer, chosen.scored, model.price.per_call if model and model.price else 0.0)
        if self.variant(variant).kind == "specialist":
            try:
                return self.specialists.run(variant, asked.text, self.owner(task, asked)) or Elsewhere.PASS
            except Exception:  # noqa: BLE001 our failure is not the product's: whoever comes next answers
                _log.exception("specialist.failed: '%s' of task '%s' goes to whoever comes next", variant, task)
                return Elsewhere.PASS
        if variant in self._rules:
            return self._rules[variant].run(asked.text, asked.tags) or Elsewhere.PASS
        if variant in self._replayed:
            found = self._recordings[task, variant].run(asked.key()) if (task, variant) in self._recordings else None
            if found is None:
                raise CallerError(
                    f"'{variant}' is a recording, and nobody ever asked it this of task '{task}'. Ask what is in the journal."
                )
            return found
        if variant == CACHE and self.catalog.variants.get(CACHE, _NO_CACHE).kind == "cache":
            longest_s = self.how(task, CACHE).cache_s or _CACHE_S
            return self.memory.run(task, asked.key(), time.time(), longest_s) or Elsewhere.PASS
        return Elsewhere.ASKED

    def owner(self, task: str, asked: Words) -> str | None:
        """Hash of whoever may have a habit of their own in a task; None where nobody does."""
        known = self.catalog.tasks.get(task)
        if known is None or known.scope is None:
            return None
        who = asked.subject() if known.scope == "subject" else asked.customer
        return None if who is None else digest_of([self.tenant, who])

    def others(self, task: str | None, variant: str) -> tuple[float, list[str]]:
        """With which probability another variant of a task is asked as well, and which those are that can be."""
        table = self.config.tasks.get(task or "")
        if table is None or not table.explore:
            return 0.0, []
        can = [name for name in table.variants if name != variant and name in self._targets]
        return (table.explore if can else 0.0), can

    def append(self, call: Call, settlement: Settlement | None, done: Callable[[FreeholdError | None], None]) -> None:
        """Journals a call, with as much of its content as is kept, and books what it cost."""
        self.writer.submit(redact(call, self.content_of(call.task or "")), (), done, settlement)

    def names(self) -> list[str]:
        """What can be asked for: the models that somebody serves, and the tasks."""
        asked = [name for name in self.catalog.models if name in self._targets or name in self._pools]
        return [*asked, *(f"{TASK_PREFIX}{task}" for task in {*self.catalog.tasks, *self.served.policies})]

    def close(self) -> None:
        """Ends the connections to providers, and the process of models beside this one."""
        self.specialists.close()
        self.deciding.shutdown(wait=False, cancel_futures=True)
        for provider in self.providers.values():
            provider.pool.close()

    def _share(self, model: str, open_until: float, since: float, why: str) -> None:
        """Says what was found out about a model: in the log now, and to other workers at the next look around."""
        self._untold[model] = State(open_until, since, why)
        if open_until:
            _log.warning("breaker.opened: '%s' is left alone for %.0f s: %s", model, open_until - since, why)
        else:
            _log.warning("breaker.closed: '%s' answers again", model)

    def _record(self, names: Iterable[str] | None = None) -> dict[tuple[str, str], Recordings]:
        """The recordings of every task, or of these, that has a variant which is replayed."""
        tasks = [self.catalog.tasks[name] for name in (self.catalog.tasks if names is None else names)]
        return {key: one for task in tasks for key, one in recordings_of(self.store, self.tenant, task, self._replayed).items()}
