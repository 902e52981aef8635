"""The journal as a log of decisions: what was asked, whose answers were seen, and with which probability the log would have looked at each."""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from freehold.catalog import Catalog, Metric, Reward
from freehold.chat import text_of
from freehold.errors import CallerError
from freehold.feedback.reward import reward
from freehold.journal.call import Call, Feedback
from freehold.journal.read import calls, said_about, slices
from freehold.store.open import Store

MOST = 100_000
"""The newest decisions that are looked at; more would say little more and fill the memory."""
_STRENGTH = {"found": 0, "census": 1, "audit": 2}

Judge = Callable[[Call, Sequence[Feedback]], tuple[float | None, float | None]]
"""What an answer is worth by what was said about it, and the probability with which it was drawn to be judged (None where nobody drew)."""


class Seen(NamedTuple):
    """One answer to a decision's question."""

    call: str
    variant: str
    propensity: float
    value: float | None
    """What it is worth; None where nobody knows."""
    cost_usd: float | None
    is_answer: bool
    """Whether it was what the caller got."""


class Decision(NamedTuple):
    """A question that a policy decided, and what is known of answers to it."""

    unit: str
    """Its group, or else its item: what depends on each other."""
    text: str
    tags: dict[str, str]
    seen: tuple[Seen, ...]
    inclusion: float | None
    """The probability with which it was drawn to be judged; None where its labels, if any, were found."""


class Logged(NamedTuple):
    """A task's decisions, the newest of them, and what could not be used."""

    decisions: list[Decision]
    left_out: dict[str, int]
    """Calls that are no part of it, by reason."""


def load(store: Store, tenant: str, task: str, since: datetime | None, judge: Judge) -> Logged:
    """Reads the task's calls in the order of time, each answer that was explored beside the decision it belongs to."""
    left_out: Counter[str] = Counter()
    kept: deque[list[Call]] = deque(maxlen=MOST)
    last: dict[str, list[Call]] = {}
    begin = since if since is not None else datetime.fromisoformat("1970-01-01T00:00:00+00:00")
    for call in calls(store, tenant, task, since=begin):
        why = _why_not(call)
        if why is not None:
            left_out[why] += 1
        elif call.source == "explore":
            if call.item in last:
                last[call.item].append(call)
            else:
                left_out["what was asked beside it is not there"] += 1
        else:
            if len(kept) == MOST:
                left_out[f"older than the newest {MOST:,} decisions"] += 1
                last.pop(kept[0][0].item, None) if last.get(kept[0][0].item) is kept[0] else None
            last[call.item] = decision = [call]
            kept.append(decision)
    return Logged(list(_judged(store, tenant, kept, judge)), dict(left_out))


def _why_not(call: Call) -> str | None:
    if call.propensity is None:
        return "no propensity: no policy chose who answered"
    if call.outcome == "cancelled":
        return "cancelled"
    if call.input is None:
        return "its content is not kept"
    return None


def _judged(store: Store, tenant: str, decisions: Iterable[list[Call]], judge: Judge) -> Iterator[Decision]:
    for some in slices(list(decisions)):
        said = said_about(store, tenant, [(call.id, call.episode) for each in some for call in each])
        for each in some:
            first, seen, drawn = each[0], [], []
            for call in each:
                value, inclusion = judge(call, said.get(call.id, ()))
                drawn += [inclusion] if inclusion is not None else []
                assert call.propensity is not None
                seen.append(Seen(call.id, call.variant, call.propensity, value, call.cost_usd, call is first))
            unit = first.group if first.group is not None else f"item:{first.item}"
            yield Decision(unit, text_of(first.input), first.tags, tuple(seen), max(drawn, default=None))


def by_metric(metric: Metric) -> Judge:
    """The scores of a metric, mapped to [0, 1]: of an audit before a census before those that were found, the last of each. An answer that
    failed is worth nothing, where its question was judged at all."""

    def judge(call: Call, said: Sequence[Feedback]) -> tuple[float | None, float | None]:
        scores = [one for one in said if one.metric == metric.id and one.value is not None and one.call == call.id]
        if not scores:
            return (None if call.outcome == "answered" else 0.0), None
        best = max(enumerate(scores), key=lambda pair: (_STRENGTH[pair[1].design], pair[0]))[1]
        assert best.value is not None
        try:
            return metric.unit(best.value), best.inclusion
        except CallerError:
            return None, None

    return judge


def by_reward(rule: Reward, catalog: Catalog) -> Judge:
    """The task's reward, of everything that was said."""

    def judge(call: Call, said: Sequence[Feedback]) -> tuple[float | None, float | None]:
        value = reward(rule, said, catalog, call.output_digest).value
        return (0.0 if value is None and call.outcome != "answered" else value), None

    return judge
