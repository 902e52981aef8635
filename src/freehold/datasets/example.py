"""Rows of a data set: what was asked, the answer to learn, and where all of it comes from. Made from calls and what was said about them."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from hashlib import blake2b

import msgspec

from freehold.catalog import Catalog, Reward
from freehold.chat import JSON, text_of
from freehold.datasets.query import Kind
from freehold.datasets.rights import Permission, Rights, Writer, together
from freehold.feedback.lessons import examples_of, preferences_of
from freehold.feedback.reward import RewardFunction, reward
from freehold.journal.call import TRUTH, Call, Feedback
from freehold.journal.rows import digest_of
from freehold.store.times import microseconds

PEOPLE = Writer("people", "yes")
"""Who wrote what a person corrected, or what was recorded as the right answer."""
PERSON = "person:"
_RULE = Reward()


class Example(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One row. What it was made from is named by id: the lineage of every row resolves in the journal it was built from."""

    id: str
    """Hash of kind and calls, and of a pair's feedback: the same row in every build."""
    kind: Kind
    """What it was made of."""
    task: str | None
    """The task of its call."""
    item: str
    """What was asked, by name."""
    group: str | None
    """What its call depends on others by: its group, else its episode; None for neither."""
    input: JSON
    """What was asked, with placeholders for personal data."""
    output: JSON
    """The answer to learn; of a pair, the better one."""
    rejected: JSON = None
    """The worse answer of a pair."""
    reward: float | None = None
    """The reward of the call by its task's rule, in [0, 1]; None for none."""
    scores: dict[str, float] = {}
    """The mean of what was said about the call, by metric, in the metric's own range."""
    at_us: int | None = None
    """When it was asked, microseconds since 1970 UTC."""
    variant: str
    """Who answered."""
    prompt: str | None = None
    """Hash of the version of the prompt that it was asked with."""
    policy: str | None = None
    """Hash of the policy that chose who answered."""
    calls: tuple[str, ...]
    """Ids of the calls it was made from."""
    feedback: tuple[str, ...] = ()
    """Ids of what was said that it rests on."""
    raters: tuple[str, ...] = ()
    """Who said it, by source; authors by the hash of their name."""
    licence: str | None = None
    """On what licence it may be used; None where nobody said."""
    consent: str | None = None
    """What its use rests on; None where nobody said, or somebody refused."""
    writer: str
    """Who wrote what it teaches: a provider, `people` or `ours`."""
    trains: Permission
    """Whether those let it train other models."""
    source: str
    """How its call came in."""
    subject: str | None = None
    """Hash of the person it is about, by which erasure finds it."""
    customer: str | None = None
    """Hash of the customer it was billed to."""
    tags: dict[str, str] = {}
    """The call's tags, with placeholders for personal data."""
    probabilities: dict[str, float] = {}
    """How probable who answered held each answer, of a row that is an answer; empty where nobody said, and where answers had personal data."""


class Rules:
    """How each task makes one number of all that was said."""

    def __init__(self, catalog: Catalog, declared: Callable[[str], Reward | RewardFunction | None] = lambda _: None) -> None:
        """`declared`: what a program of the project says of a task's reward, where the file says nothing."""
        self.catalog = catalog
        self._declared = declared
        self._known: dict[str | None, Reward | RewardFunction | None] = {}

    def of(self, task: str | None) -> Reward | RewardFunction | None:
        """A task's rule; None for a task that says neither how nor by which metric."""
        if task not in self._known:
            self._known[task] = self._found(task)
        return self._known[task]

    def _found(self, task: str | None) -> Reward | RewardFunction | None:
        known = self.catalog.tasks.get(task or "")
        if known is not None and known.reward is not None:
            return known.reward
        declared = self._declared(task) if task is not None else None
        return declared or (Reward(metrics={known.metric: 1.0}) if known is not None and known.metric else None)


class Seen:
    """A call and what was said about it, with what queries ask of both."""

    def __init__(self, call: Call, said: Sequence[Feedback], rules: Rules) -> None:
        self.call = call
        self.said = said
        self._rules = rules

    @property
    def rule(self) -> Reward | RewardFunction | None:
        """How its task makes one number of all that was said."""
        return self._rules.of(self.call.task)

    @property
    def trust(self) -> Reward:
        """Whose word counts how much in its task; as usual where a function makes the number."""
        return self.rule if isinstance(self.rule, Reward) else _RULE

    @cached_property
    def reward(self) -> float | None:
        """The call's reward."""
        rule = self.rule
        return None if rule is None else reward(rule, self.said, self._rules.catalog, self.call.output_digest).value

    @cached_property
    def scores(self) -> dict[str, float]:
        """The mean score by metric."""
        found: dict[str, list[float]] = {}
        for one in self.said:
            if one.value is not None and one.metric != TRUTH:
                found.setdefault(one.metric, []).append(one.value)
        return {metric: math.fsum(sorted(values)) / len(values) for metric, values in sorted(found.items())}

    @cached_property
    def chars(self) -> int:
        """Characters of what was asked."""
        return len(text_of(self.call.input))

    def said_by(self) -> set[str]:
        """Who said something about it, by kind of source and by name."""
        sources = {one.source for one in self.said}
        return sources | {source.partition(":")[0] for source in sources}


class Maker:
    """Makes rows of what is seen, on the terms that there are."""

    def __init__(self, rights: Rights, tenant: str) -> None:
        self._rights = rights
        self._tenant = tenant

    def rows(self, kind: Kind, seen: Seen, others: Mapping[str, Call]) -> Iterator[Example | str]:
        """The rows of a kind that a call gives, or why it gives none. What is of another kind gives nothing at all."""
        make = {"calls": self._answered, "corrections": self._corrected, "reviewed": self._reviewed}.get(kind)
        yield from make(seen) if make is not None else self._pairs(seen, others)

    def _answered(self, seen: Seen) -> Iterator[Example | str]:
        if why := _unusable(seen.call):
            yield why
            return
        yield self._row("calls", seen, seen.call.output, self._rights.writer(seen.call.variant), seen.said)

    def _corrected(self, seen: Seen) -> Iterator[Example | str]:
        call = seen.call
        if call.input is None:
            if any(one.kind == "correction" for one in seen.said) or call.reference_digest is not None:
                yield "content not kept"
            return
        found = examples_of(call, seen.said, seen.trust)
        if found:
            rests_on = [one for one in seen.said if one.id in found[0].feedback]
            yield self._row("corrections", seen, found[0].output, _writer_of(rests_on), seen.said)
        elif call.reference_output is not None:
            yield self._row("corrections", seen, call.reference_output, PEOPLE, seen.said)
        elif any(one.kind == "correction" for one in seen.said):
            yield "corrections disagree"

    def _reviewed(self, seen: Seen) -> Iterator[Example | str]:
        persons = [one for one in seen.said if one.source.startswith(PERSON)]
        if not persons:
            return
        found = examples_of(seen.call, persons, seen.trust)
        if found:
            yield self._row("reviewed", seen, found[0].output, PEOPLE, persons)
        elif why := _unusable(seen.call):
            yield why
        else:
            yield self._row("reviewed", seen, seen.call.output, self._rights.writer(seen.call.variant), persons)

    def _pairs(self, seen: Seen, others: Mapping[str, Call]) -> Iterator[Example | str]:
        by_id = {one.id: one for one in seen.said}
        for pair in preferences_of(seen.call, seen.said, others, seen.trust):
            rests_on = [by_id[id] for id in pair.feedback]
            given = [id for id in (pair.chosen_call, pair.rejected_call) if id is not None]
            variants = [seen.call.variant if id == seen.call.id else others[id].variant for id in given]
            writers = [self._rights.writer(variant) for variant in variants]
            writers += [_writer_of(rests_on)] if len(given) < 2 else []
            calls = tuple(dict.fromkeys((seen.call.id, *given)))
            yield self._row("preferences", seen, pair.chosen, together(writers), rests_on, calls, pair.rejected)

    def _row(
        self,
        kind: Kind,
        seen: Seen,
        output: JSON,
        writer: Writer,
        said: Sequence[Feedback],
        calls: tuple[str, ...] = (),
        rejected: JSON = None,
    ) -> Example:
        call = seen.call
        calls = calls or (call.id,)
        feedback = tuple(sorted(one.id for one in said)) if said else ()
        terms = self._rights.terms(call)
        return Example(
            id=_id(kind, calls, feedback),
            kind=kind,
            task=call.task,
            item=call.item,
            group=call.group or call.episode,
            input=call.input,
            output=output,
            rejected=rejected,
            reward=seen.reward if seen.said else None,
            scores=seen.scores if seen.said else {},
            at_us=None if call.at is None else microseconds(call.at),
            variant=call.variant,
            prompt=call.prompt,
            policy=call.policy,
            calls=calls,
            feedback=feedback,
            raters=tuple(sorted({self._rater(one) for one in said})) if said else (),
            licence=terms.licence,
            consent=terms.consent,
            writer=writer.name,
            trains=writer.trains,
            source=call.source,
            subject=None if call.subject is None else digest_of([self._tenant, call.subject]),
            customer=None if call.customer is None else digest_of([self._tenant, call.customer]),
            tags=call.tags,
            probabilities=call.probabilities if kind == "calls" else {},
        )

    def _rater(self, said: Feedback) -> str:
        return said.source if said.author is None else f"{said.source} {digest_of([self._tenant, said.author])[:12]}"


def _id(kind: Kind, calls: Sequence[str], feedback: Sequence[str]) -> str:
    """The same for the same row in every build."""
    names = (kind, *calls, *feedback) if kind == "preferences" else (kind, *calls)
    return blake2b("\0".join(names).encode(errors="surrogatepass"), digest_size=16).hexdigest()


def _unusable(call: Call) -> str | None:
    """Why a call's answer is nothing to learn."""
    if call.outcome != "answered":
        return "no answer"
    return "content not kept" if call.input is None or call.output is None else None


def _writer_of(said: Sequence[Feedback]) -> Writer:
    """Who wrote what was said: people and programs of the project's own, or a judge, of whose terms nobody knows."""
    judges = sorted({one.source for one in said if one.source.startswith("judge:")})
    return together([Writer(name, "ask") for name in judges]) if judges else PEOPLE
