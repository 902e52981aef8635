"""Asks what a plan says, in the gateway's own way: the bodies, retries, limits, prices and attempts are those of serving.

In the order of the sample, several calls at one time, and within a budget: what was spent, what those under way are expected to cost and the
rest of the next item are never more than that when a call is sent.
"""

import asyncio
import signal
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from datetime import UTC, datetime
from typing import Literal, NamedTuple, TypeAlias

import msgspec
import uvloop

from freehold.candidates import SOURCE, Plan, Planned, body_of, model_behind
from freehold.config import Config
from freehold.datasets.sample import RESPONDED, Item
from freehold.errors import FreeholdError, OperatorError, StoreBusy
from freehold.gateway.formats import OPENAI, error_message
from freehold.gateway.ledger import Settlement
from freehold.gateway.reply import Headers
from freehold.journal.build import new_call_id
from freehold.journal.call import Call
from freehold.journal.samples import keep_sample, reached, samples_of
from freehold.journal.served import Question
from freehold.journal.spool import Spool
from freehold.journal.write import Writer
from freehold.project import Project
from freehold.providers.pacing import Pacing
from freehold.serve import Exchange
from freehold.serving import asked as wire
from freehold.serving.origin import Origin
from freehold.serving.resources import Resources
from freehold.serving.underway import Underway
from freehold.store.lock import KernelLock
from freehold.store.open import Store
from freehold.tables import ServingTable, TelemetryTable
from freehold.telemetry.telemetry import Telemetry

MOST_FAILURES = 10
"""After so many calls of one variant in a row without an answer nobody is asked any more: something is wrong that asking does not mend."""
_FEWEST = 16
_MOST_WAIT_S = 86_400.0
_encode = msgspec.json.Encoder().encode

Ended: TypeAlias = Literal["done", "budget", "interrupted", "failing"]
"""Why a run ended."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one variant in a run."""

    answered: int = 0
    """Items that it answered."""
    failed: int = 0
    """Items that it was asked and did not answer: they count as wrong, and the next run asks them again where it said nothing at all."""
    left: int = 0
    """Items that it was not asked."""
    reached: int = 0
    """Items, from the beginning of the sample, that it has come through, this run and earlier ones: those certify."""
    inclusion: float = 0.0
    """The probability with which each of those was drawn."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a run did."""

    plan: Plan
    """What was to be done."""
    ended: Ended
    """Why it ended."""
    why: str
    """The same in words, where a provider made it end."""
    spent_usd: float
    """What this run spent; what nobody says is counted as it was estimated."""
    budget_usd: float | None
    """The most that this and earlier runs might spend."""
    variants: dict[str, Asked]
    """What became of each."""


class Progress(NamedTuple):
    """How far a run has come."""

    done: int
    """Calls that have ended."""
    calls: int
    """Calls there are to make."""
    spent_usd: float
    """What they cost."""


@contextmanager
def only_one(project: Project) -> Iterator[None]:
    """Nobody else plans or asks in this project meanwhile: both would ask the same. Raises OperatorError where somebody does."""
    with ExitStack() as stack:
        try:
            stack.enter_context(KernelLock(project.folder / ".ask.lock").held(0.0))
        except StoreBusy:
            raise OperatorError("Another 'freehold ask' is under way in this project. Let it end, then try again.") from None
        yield


def ask(
    project: Project,
    planned: Planned,
    tell: Callable[[Progress], None] = lambda _: None,
    tell_stopping: Callable[[int], None] = lambda _: None,
) -> Report:
    """Asks what is missing. Every answer is in the journal when it counts. `tell_stopping` hears at Ctrl-C how many calls are under way.

    Ends before the first item that does not fit into the budget, where a variant fails again and again, or at Ctrl-C, which waits for what
    is under way; a second one does not. Raises OperatorError for a provider that cannot be called.
    """
    _keep(project, planned)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        run = runner.run(_run(project, planned, tell, tell_stopping))
    through = reached(project.store, project.tenant, planned.task.id)
    return Report(
        plan=planned.plan,
        ended=run.ended,
        why=run.why,
        spent_usd=run.purse.spent_usd - planned.plan.spent_usd,
        budget_usd=planned.request.budget_usd,
        variants={
            bill.variant: Asked(
                answered=run.answered[bill.variant],
                failed=run.failed[bill.variant],
                left=bill.calls - run.answered[bill.variant] - run.failed[bill.variant],
                reached=len(items := through.get(bill.variant, {})),
                inclusion=next(iter(items.values()), 0.0),
            )
            for bill in planned.plan.bills
        },
    )


def _keep(project: Project, planned: Planned) -> None:
    """Keeps what was drawn for whom. A larger sample of which this is the beginning stays, but for what nobody can ask any more."""
    store, tenant, task = project.store, project.tenant, planned.task.id
    known = samples_of(store, tenant, task)
    gone = set(planned.sample.items).difference(item.asked.item for item in planned.items)
    for name in planned.kept_for:
        sample = known.get(name, planned.sample)
        if sample.seed != planned.sample.seed or not set(planned.sample.items).issubset(sample.items):
            sample = planned.sample
        sample = sample._replace(items=tuple(item for item in sample.items if item not in gone))
        if sample != known.get(name):
            keep_sample(store, tenant, task, [name], sample)


async def _run(project: Project, planned: Planned, tell: Callable[[Progress], None], tell_stopping: Callable[[int], None]) -> "_Run":
    on_failure = project.config.journal.on_failure
    writer = Writer(project.store, Spool(project.spool) if on_failure == "spool" else None, best_effort=on_failure == "best_effort")
    try:
        config = alone(project.config, planned.task.id, [bill.variant for bill in planned.plan.bills], planned.under)
        resources = _Resources(config, project.store, writer, project.tenant)
        underway = Underway(resources, Telemetry(TelemetryTable()))
        run = _Run(planned, underway, resources, tell, tell_stopping)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, run.interrupt)
        try:
            with resources.paced() if planned.request.concurrency is None else nullcontext() as run.pacing:
                await run.through()
        finally:
            loop.remove_signal_handler(signal.SIGINT)
            underway.close()
            await asyncio.sleep(0)
    finally:
        await writer.close()
    return run


def alone(config: Config, task: str, variants: Sequence[str], under: str | None = None) -> Config:
    """The configuration with these variants and nobody to answer in their place: no fallback, no memory, no breaker. Limits are waited for.

    `under`: what the task is called meanwhile.
    """

    def without_others(serving: ServingTable) -> ServingTable:
        return msgspec.structs.replace(serving, fallbacks=(), hedge_after_s=None, cache_s=None, open_after=0)

    models = {name: config.models[name] for name in (model_behind(config, variant) for variant in variants)}
    tasks = {under or task: config.tasks[task]} if task in config.tasks else {}
    return msgspec.structs.replace(
        config,
        providers={name: config.providers[name] for name in {model.provider for model in models.values()} if name is not None},
        models={name: msgspec.structs.replace(model, serving=without_others(model.serving)) for name, model in models.items()},
        tasks={name: msgspec.structs.replace(table, serving=without_others(table.serving)) for name, table in tasks.items()},
        gateway=msgspec.structs.replace(config.gateway, wait_s=_MOST_WAIT_S),
        variants={name: config.variants[name] for name in variants if name in config.variants},
        match=(),
    )


class Purse:
    """What may be spent, what was, and what is set aside for calls that are under way."""

    def __init__(self, budget_usd: float | None, spent_usd: float) -> None:
        self.budget_usd = budget_usd
        self.spent_usd = spent_usd
        self.set_aside_usd = 0.0
        self._dearest: dict[str, float] = {}

    def expected(self, variant: str, estimate_usd: float) -> float:
        """What to set aside for a call: as estimated, and as many times that as the dearest call of its variant was so far, if it was dearer."""
        return estimate_usd * max(1.0, self._dearest.get(variant, 1.0))

    def has(self, usd: float) -> bool:
        """Whether so much fits beside what was spent and set aside."""
        return self.budget_usd is None or self.spent_usd + self.set_aside_usd + usd <= self.budget_usd

    def set_aside(self, usd: float) -> None:
        """A call is sent."""
        self.set_aside_usd += usd

    def settle(self, variant: str, set_aside_usd: float, estimate_usd: float, cost_usd: float | None) -> None:
        """A call has ended. What nobody says counts as it was estimated."""
        self.set_aside_usd -= set_aside_usd
        self.spent_usd += estimate_usd if cost_usd is None else cost_usd
        if cost_usd is not None and estimate_usd > 0:
            self._dearest[variant] = max(self._dearest.get(variant, 0.0), cost_usd / estimate_usd)


class _UnderWay(NamedTuple):
    """A call that was sent."""

    item: Item
    variant: str
    set_aside_usd: float


class _Run:
    """One run: what is under way, and what has come of it."""

    def __init__(
        self,
        planned: Planned,
        underway: Underway,
        resources: "_Resources",
        tell: Callable[[Progress], None],
        tell_stopping: Callable[[int], None],
    ) -> None:
        self.ended: Ended = "done"
        self.why = ""
        self.answered: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.purse = Purse(planned.request.budget_usd, planned.plan.spent_usd)
        self._planned = planned
        self._underway = underway
        self._resources = resources
        self._tell = tell
        self._tell_stopping = tell_stopping
        self._under_way: dict[str, _UnderWay] = {}
        self._in_a_row: Counter[str] = Counter()
        self._news = asyncio.Event()
        self.pacing: Pacing | None = None
        """The lines of models whose pace is found out; None where so many are asked at one time as was said."""

    def interrupt(self) -> None:
        """Sends nothing more; where nothing is sent any more, breaks off what is under way."""
        if self.ended != "done":
            self._underway.close()
        self._end("interrupted", "")
        self._tell_stopping(len(self._under_way))

    async def through(self) -> None:
        """Asks, item by item, what fits, and waits for what is under way."""
        for item, names in zip(self._planned.items, self._planned.missing, strict=True):
            left = deque(names)
            while left and self.ended == "done":
                if not self.purse.has(sum(self._expected(item, name) for name in left)):
                    if not self._under_way:
                        self._end("budget", "")
                    else:
                        await self._one_ends()  # it may have cost less than was set aside for it
                elif len(self._under_way) >= self._most():
                    await self._one_ends()
                else:
                    self._send(item, left.popleft())
        while self._under_way:
            await self._one_ends()

    def _most(self) -> int:
        """Calls under way at one time, at most: where the pace is found out, as many as models take, and some that wait for their turn."""
        if self._planned.request.concurrency is not None:
            return self._planned.request.concurrency
        return max(_FEWEST, 2 * (self.pacing.window() if self.pacing is not None else 0))

    def _end(self, ended: Ended, why: str) -> None:
        if self.ended == "done":
            self.ended, self.why = ended, why
        self._news.set()

    async def _one_ends(self) -> None:
        self._news.clear()
        await self._news.wait()

    def _estimate(self, item: Item, variant: str) -> float:
        return self._planned.prices[item.asked.item, variant].cost_usd or 0.0  # unknown only where there is no budget

    def _expected(self, item: Item, variant: str) -> float:
        return self.purse.expected(variant, self._estimate(item, variant))

    def _send(self, item: Item, variant: str) -> None:
        set_aside = self._expected(item, variant)
        self.purse.set_aside(set_aside)
        body = {**body_of(item.asked.input, self._planned.task.instruction), "model": variant}
        reply = _Reply(lambda status, told: self._heard(exchange.id, status, told))
        exchange = Exchange(self._underway, OPENAI, reply, self._origin(item))
        self._under_way[exchange.id] = _UnderWay(item, variant, set_aside)
        exchange.ask(lambda: wire.Asked(OPENAI, body, len(_encode(body)), {}))

    def _origin(self, item: Item) -> Origin:
        asked = item.asked
        return Origin(SOURCE, self._planned.under, _question(item), asked.group, asked.customer)

    def _heard(self, id: str, status: int, told: bytes) -> None:
        """An exchange has ended. One that is not in the journal cannot be put to this provider, or something of ours failed."""
        call = self._resources.journalled.pop(id, None)
        if call is not None:
            self._settle(id, call, error_message(told) if status != 200 else "")
        elif status == 400:
            self._note_unsaid(id, error_message(told))
        else:
            self._settle(id, None, error_message(told))

    def _note_unsaid(self, id: str, why: str) -> None:
        """Journals that an item was to be asked and could not be: to leave it out would keep the items that are easily asked."""
        item, variant, _ = self._under_way[id]
        origin, question, asked = self._origin(item), _question(item), item.asked
        call = Call(
            id=new_call_id(), tenant=self._resources.tenant, task=origin.task, variant=variant, item=question.item, input=question.input,
            outcome="failed", cost_usd=0.0, at=datetime.now(UTC), group=origin.group, customer=origin.customer, subject=question.subject,
            tags=question.tags, source=SOURCE, shape=asked.shape,
        )  # fmt: skip
        self._resources.append(call, None, lambda error: self._settle(id, self._resources.journalled.pop(call.id, None), str(error or why)))

    def _settle(self, id: str, call: Call | None, why: str) -> None:
        item, variant, set_aside = self._under_way.pop(id)
        self.purse.settle(variant, set_aside, self._estimate(item, variant), None if call is None else call.cost_usd)
        if call is None:
            self._end("failing", why)
        elif call.outcome == "answered":
            self.answered[variant] += 1
            self._in_a_row[variant] = 0
        elif call.outcome != "cancelled":
            self.failed[variant] += 1
            self._in_a_row[variant] = 0 if call.outcome in RESPONDED else self._in_a_row[variant] + 1
            if self._in_a_row[variant] >= MOST_FAILURES:
                self._end("failing", f"'{variant}' failed {MOST_FAILURES} times in a row. The last time: {why}")
        done = self.answered.total() + self.failed.total()
        self._tell(Progress(done, self._planned.plan.calls, self.purse.spent_usd - self._planned.plan.spent_usd))
        self._news.set()


def _question(item: Item) -> Question:
    asked = item.asked
    tags = {name: value for name, value in asked.tags.items() if name != "finish_reason"}  # that was how an answer ended
    return Question(asked.input, asked.item, asked.shape, asked.subject, tags)


class _Resources(Resources):
    """What answering takes, which also says what was journalled."""

    def __init__(self, config: Config, store: Store, writer: Writer, tenant: str) -> None:
        super().__init__(config, store, writer, tenant)
        self.journalled: dict[str, Call] = {}
        """By id the calls that are durable, until they are looked at."""

    def append(self, call: Call, settlement: Settlement | None, done: Callable[[FreeholdError | None], None]) -> None:
        def told(error: FreeholdError | None) -> None:
            if error is None:
                self.journalled[call.id] = call
            done(error)

        super().append(call, settlement, told)


class _Reply:
    """The way back to a run: all that matters of it is that the exchange has ended, and how."""

    is_gone = False
    on_gone: Callable[[], None] | None = None
    on_room: Callable[[bool], None] | None = None

    def __init__(self, ended: Callable[[int, bytes], None]) -> None:
        self._ended = ended

    def send(self, status: int, headers: Headers, body: bytes) -> None:
        self._ended(status, body)

    def begin(self, status: int, headers: Headers) -> None:
        raise AssertionError("nothing is streamed that was asked for whole")

    def write(self, data: bytes) -> None:
        raise AssertionError("nothing is streamed that was asked for whole")

    def end(self) -> None:
        raise AssertionError("nothing is streamed that was asked for whole")

    def abort(self) -> None:
        raise AssertionError("nothing is streamed that was asked for whole")
