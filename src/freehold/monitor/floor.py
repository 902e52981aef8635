"""Whether a certificate still holds: the loss of live answers against the reference, from pairs that were audited or that a rule can score.

The claim is about all calls of a policy. Those that the reference answered lose nothing; of the others the loss is watched on pairs, that is
on items the reference was asked too, by chance: explored, or put to it by `freehold ask`, or drawn for labels. So the loss is the share of
calls that another answered, times the mean loss of those: two confidence sequences, which together hold with the certificate's confidence.
An e-CUSUM beside them finds a loss that began lately and a long good history would hide.

What a judge says proves nothing here. Labels count where they were drawn (audit, census), scores where their metric is declared deterministic.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
from sqlalchemy import select

from freehold.catalog import AGREEMENT, Metric
from freehold.evaluation.scorer import Case, Scorer
from freehold.evaluation.sequence import Detector, Mean
from freehold.journal.answers import drawn_items
from freehold.journal.call import Call, Feedback
from freehold.journal.reach import Reach
from freehold.journal.read import calls_of_items, said_about, slices
from freehold.monitor.records import Floor, Look
from freehold.promotion.certificate import Certificate
from freehold.promotion.gate import active_hash
from freehold.promotion.records import find_certificate, policy_rows
from freehold.store.open import Store
from freehold.store.schema import calls, draws, feedback

_ASKED = ("explore", "ask")
"""Where the reference's answers come from that chance put beside another's."""
_STRENGTH = {"found": 0, "census": 1, "audit": 2}
_MOST_NEWS = 10_000
SIDE = 0.1
"""The part of δ that is spent on the share of calls that another answered."""


class Pair(NamedTuple):
    """A live call that another than the reference answered, and what it lost."""

    call: str
    loss: float
    inclusion: float
    """The probability with which its item was chosen to be compared."""


def name_of(floor: Floor) -> str:
    """What the watch is called."""
    return f"floor {floor.certificate}"


def certified(store: Store, tenant: str, task: str) -> Certificate | None:
    """The certificate that the task's active policy is served on; None without one."""
    hash = active_hash(store, tenant, task)
    rows = [row for row in policy_rows(store, tenant, task) if row.hash == hash and row.certificate is not None]
    known = [find_certificate(store, tenant, row.certificate) for row in rows if row.certificate is not None]
    return next((each for each in reversed(known) if each is not None and each.certified), None)


def begun(certificate: Certificate) -> Floor:
    """A watch that has seen nothing."""
    delta = 1.0 - certificate.confidence
    return Floor(
        policy=certificate.policy_hash,
        certificate=certificate.id,
        metric=certificate.metric,
        reference=certificate.reference,
        max_loss=certificate.max_loss,
        others=Mean(alpha=SIDE * delta),
        loss=Mean(alpha=(1.0 - SIDE) * delta),
        detector=Detector(level=0.5, finds="fall"),
    )


def with_calls(floor: Floor, drawn: Sequence[Call]) -> Floor:
    """The watch after these drawn calls, as far as its policy decided them: who answered."""
    others = [float(call.variant != floor.reference) for call in drawn if call.policy == floor.policy]
    return msgspec.structs.replace(floor, others=floor.others.with_scores(others)) if others else floor


def with_pairs(floor: Floor, pairs: Sequence[Look], run_length: float) -> Floor:
    """The watch after these pairs, each of which it has not had yet, and whether the certificate is still believed."""
    detector, broken = floor.detector, floor.broken
    loss = floor.loss.with_scores([(1.0 + (pair.value or 0.0)) / 2.0 for pair in pairs], [1.0 / pair.inclusion for pair in pairs])
    share = floor.others.mean
    allowed = min(1.0, floor.max_loss / share) if share else 1.0  # of the calls that another answered
    for pair in pairs:
        detector = msgspec.structs.replace(detector, level=(1.0 - allowed) / 2.0).with_score((1.0 - (pair.value or 0.0)) / 2.0)
        if detector.evidence >= run_length and not broken:
            broken = (
                f"the last {detector.n:,} pairs or fewer lost more than {allowed:.3f} on average (e-CUSUM {detector.evidence:,.0f}, which "
                f"takes {run_length:,.0f} pairs or more by chance)"
            )
    after = msgspec.structs.replace(floor, loss=loss, detector=detector)
    if not broken and after.least > floor.max_loss:
        broken = (
            f"its calls lose at least {after.least:.4f} on average, and {floor.max_loss:g} is allowed ({after.loss.n:,} pairs, "
            f"{after.others.n:,} calls)"
        )
    return msgspec.structs.replace(after, broken=broken)


class News(NamedTuple):
    """Items that may have become pairs, and how far the labels were read."""

    items: dict[str, float]
    """With the probability with which each was chosen."""
    said: int
    drawn: int


def news(store: Store, tenant: str, task: str, floor: Floor, batch: Sequence[Call], by_rule: bool, reach: Reach) -> News:
    """By a rule: the items that the reference has answered since. By labels: those of which something was said or that were drawn since, as
    far as can be read."""
    if by_rule:
        asked = [call for call in batch if call.variant == floor.reference and call.source in _ASKED]
        return News({call.item: call.propensity or 1.0 for call in asked}, floor.said, floor.drawn)
    f, c, d = feedback.c, calls.c, draws.c
    counts = f.design.in_(("audit", "census")) & (f.metric == floor.metric) & f.value.isnot(None) & (f.tenant == tenant)
    of_said = (
        select(f.seq, c.item, f.inclusion)
        .join_from(feedback, calls, f.call == c.id)
        .where(counts, f.seq > floor.said, f.seq <= reach.feedback, c.tenant == tenant, c.task == task)
        .order_by(f.seq)
        .limit(_MOST_NEWS)
    )
    of_draws = (
        select(d.seq, d.item, d.inclusion)
        .where(d.tenant == tenant, d.task == task, d.session == floor.metric, d.seq > floor.drawn, d.seq <= reach.draws)
        .order_by(d.seq)
        .limit(_MOST_NEWS)
    )
    with store.reading() as connection:
        said, drawn = connection.execute(of_said).all(), connection.execute(of_draws).all()
    items = {row.item: row.inclusion or 1.0 for row in (*said, *drawn)}
    return News(items, said[-1].seq if said else floor.said, drawn[-1].seq if drawn else floor.drawn)


async def pairs(
    store: Store, tenant: str, task: str, floor: Floor, metric: Metric, found: News, by_rule: bool, scorer: Scorer | None
) -> list[Pair]:
    """Those of the items that are pairs by now."""
    made: list[Pair] = []
    drawn = set() if by_rule else set(drawn_items(store, tenant, task, floor.metric))
    for some in slices(list(found.items), 200):
        of_items = calls_of_items(store, tenant, task, some)
        said = {} if by_rule else said_about(store, tenant, [(call.id, None) for each in of_items.values() for call in each])
        for item, each in of_items.items():
            answered = [call for call in each if call.outcome == "answered" and call.output_digest is not None]
            ours = next((call for call in reversed(answered) if call.policy == floor.policy and call.variant != floor.reference), None)
            theirs = next((call for call in reversed(answered) if call.variant == floor.reference), None)
            if ours is None or theirs is None:
                continue
            loss = await _by_rule(ours, theirs, metric, scorer) if by_rule else _by_labels(said, ours, theirs, metric, item in drawn)
            if loss is not None:
                made.append(Pair(ours.id, loss, found.items[item]))
    return made


async def _by_rule(ours: Call, theirs: Call, metric: Metric, scorer: Scorer | None) -> float | None:
    if ours.output_digest == theirs.output_digest:
        return 0.0
    if metric.id == AGREEMENT:
        return 1.0
    assert scorer is not None
    values = [(await scorer.score(case_of(call))).value for call in (ours, theirs)]
    if values[0] is None or values[1] is None:
        return None
    return scorer.metric.unit(values[1]) - scorer.metric.unit(values[0])


def _by_labels(said: Mapping[str, Sequence[Feedback]], ours: Call, theirs: Call, metric: Metric, is_drawn: bool) -> float | None:
    """Equal answers of an item that was drawn lose nothing where they always score equally: nobody is asked about those."""
    if metric.deterministic and is_drawn and ours.output_digest == theirs.output_digest:
        return 0.0
    values = [_label(said.get(call.id, ()), metric) for call in (ours, theirs)]
    return None if values[0] is None or values[1] is None else values[1] - values[0]


def _label(said: Sequence[Feedback], metric: Metric) -> float | None:
    """The last of the strongest labels that were drawn; None without one."""
    known = [one for one in said if one.metric == metric.id and one.value is not None and one.design != "found"]
    if not known:
        return None
    best = max(enumerate(known), key=lambda pair: (_STRENGTH[pair[1].design], pair[0]))[1]
    assert best.value is not None
    return metric.unit(best.value)


def case_of(call: Call) -> Case:
    """A live answer as scorers see it."""
    return Case(
        item=call.item,
        input=call.input,
        output=call.output,
        has_truth=call.reference_digest is not None and call.reference_output is not None,
        truth=call.reference_output,
        call=call,
    )
