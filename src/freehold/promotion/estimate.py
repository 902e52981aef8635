"""What a policy would be worth on the traffic there was, from the probabilities with which it was decided. An estimate: it certifies nothing."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
import numpy as np

from freehold.catalog import Catalog, Metric, Task
from freehold.errors import CallerError
from freehold.evaluation.offpolicy import Interval, Log, Refused, Value, mean_of, value_of
from freehold.promotion.logged import Decision, Judge, Seen, by_metric, by_reward, load
from freehold.routing.decide import Decision as Decided
from freehold.routing.embed import unfitted
from freehold.routing.features import SURFACE, features, surface_scaled
from freehold.routing.online import OnlinePolicy
from freehold.store.open import Store

_DIMS = 128
"""Of the embedding that the outcome model looks at."""


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """One thing a policy is worth, beside what it is to be compared with."""

    of: str
    """`quality`, by the task's metric or another; `reward`; or `cost`, in USD a call."""
    by: str
    """The metric's name; empty for the others."""
    policy: Value | None
    """The policy's; None where the log says too little."""
    refused: str
    """Why it is None."""
    effective: float
    """Effective number of independent decisions, of an estimate that was refused too."""
    overlap: float
    """Mean weight: 1 where the log could have shown everything that the policy chooses."""
    reference: Value | None
    """What the reference alone would be worth; None where the log says too little of it."""
    logged: Interval
    """What the traffic was worth as it was answered."""
    decisions: int
    """Decisions that it rests on."""
    found: int
    """Of them, those whose labels nobody drew: who gave them may differ from who did not."""
    left_out: dict[str, int]
    """Decisions and answers that are no part of it, by reason."""


class Estimated(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a policy is estimated to be worth."""

    task: str
    """The task."""
    policy: str
    """The policy's hash."""
    shares: dict[str, float]
    """Whom it would ask: share of decisions by variant."""
    unseen: tuple[str, ...]
    """Of these, those of whom the log has no answer."""
    estimates: tuple[Estimate, ...]
    """Quality or reward, then cost."""
    left_out: dict[str, int]
    """Calls of the task that were no decisions, by reason."""


def estimate(
    store: Store,
    tenant: str,
    task: Task,
    catalog: Catalog,
    policy: OnlinePolicy,
    metric: Metric | None,
    since: datetime | None,
    seed: int = 0,
) -> Estimated:
    """Evaluates the policy on every logged decision. `metric`: by what quality is told; None takes the task's reward.

    Raises Refused where nothing was decided with a propensity; CallerError for a policy whose choice depends on what a model answers.
    """
    judge, of = _judge(task, catalog, metric)
    log = load(store, tenant, task.id, since, judge)
    if not log.decisions:
        reasons = "; ".join(f"{count:,}: {why}" for why, count in log.left_out.items())
        raise Refused(
            f"Task '{task.id}' has no call that a policy decided{f' ({reasons})' if reasons else ''}. Promote a policy, such as one that lets "
            f"the reference answer everything, and set [tasks.{task.id}] explore = 0.05 to have the others looked at.",
            0.0,
            0.0,
        )
    chosen = [choice(policy, decision) for decision in log.decisions]
    seen = {answer.variant for decision in log.decisions for answer in decision.seen}
    names = sorted({*chosen, *seen, *((task.reference,) if task.reference else ())})
    reference = [task.reference] * len(chosen) if task.reference is not None else None
    x_NF = _features([decision.text for decision in log.decisions])
    worth = _estimate(of, metric.id if metric else "", log.decisions, x_NF, chosen, reference, names, seed, is_cost=False)
    cost = _estimate("cost", "", log.decisions, x_NF, chosen, reference, names, seed, is_cost=True)
    shares = {name: chosen.count(name) / len(chosen) for name in names if name in chosen}
    unseen = tuple(name for name in shares if name not in seen)
    return Estimated(task=task.id, policy=policy.hash, shares=shares, unseen=unseen, estimates=(worth, cost), left_out=dict(log.left_out))


def _judge(task: Task, catalog: Catalog, metric: Metric | None) -> tuple[Judge, str]:
    if metric is not None:
        return by_metric(metric), "quality"
    if task.reward is None:
        raise CallerError(
            f"Task '{task.id}' declares no reward, and so nothing can be estimated by it. Say --metric NAME, or write [tasks.{task.id}.reward]."
        )
    return by_reward(task.reward, catalog), "reward"


def choice(policy: OnlinePolicy, decision: Decision) -> str:
    """Whose answer the policy would give. A cascade goes on as the head's confidence says, which is known beforehand; what another variant's
    answer would have been like is not in a log. Raises CallerError there."""
    chosen = policy.choose(decision.text, decision.tags)
    step: Decided | None = chosen.decision
    while step is not None:
        if step.accept is None:
            return step.variant
        scored, scorer = chosen.scored, policy.scorer
        if scored is None or scorer is None or step.variant != scorer.head_variant:
            raise CallerError(
                f"Policy {policy.hash[:12]} goes on by what '{step.variant}' answers, which a log of other answers does not tell. Estimates "
                "are of policies that choose before anybody is asked, or by the confidence of the task's head."
            )
        if step.accept({"confidence": float(scored.confidence_N[0])}):
            return step.variant
        step = step.then
    raise AssertionError("a decision ends with an answer that any will do")


def _features(texts: Sequence[str]) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    hashed = [features(text) for text in texts]
    surface_NS = np.stack([one.surface for one in hashed]) if hashed else np.empty((0, len(SURFACE)), np.float32)
    return np.hstack([surface_scaled(surface_NS), unfitted(_DIMS).embed_hashed(hashed)]).astype(np.float64)


def _estimate(
    of: str,
    by: str,
    decisions: Sequence[Decision],
    x_NF: np.ndarray[tuple[int, int], np.dtype[np.float64]],
    chosen: Sequence[str],
    reference: Sequence[str] | None,
    names: Sequence[str],
    seed: int,
    is_cost: bool,
) -> Estimate:
    """The estimate on those decisions of which anything is known. A decision of which only the answer to be compared is unknown stays out."""

    def known(answer: Seen) -> float | None:
        return answer.cost_usd if is_cost else answer.value

    place = [n for n, decision in enumerate(decisions) if any(known(answer) is not None for answer in decision.seen)]
    unknown = sum(known(answer) is None for n in place for answer in decisions[n].seen)
    left_out = {
        ("without a cost" if is_cost else "without a label"): len(decisions) - len(place),
        "answers of which nothing is known beside ones of which it is": unknown,
    }
    code = {name: c for c, name in enumerate(names)}
    kept = [(k, answer) for k, n in enumerate(place) for answer in decisions[n].seen if known(answer) is not None]
    if not kept:
        raise Refused(
            f"No decision has a {'cost' if is_cost else f'label of {by}' if by else 'reward'}: there is nothing to estimate from.", 0.0, 0.0
        )
    inclusion = [None if is_cost else decisions[n].inclusion for n in place]
    units = {name: u for u, name in enumerate(dict.fromkeys(decisions[n].unit for n in place))}
    log = Log(
        unit_N=np.array([units[decisions[n].unit] for n in place]),
        weight_N=np.array([1.0 / share if share else 1.0 for share in inclusion]),
        x_NF=x_NF[place],
        decision_M=np.array([k for k, _ in kept]),
        variant_M=np.array([code[answer.variant] for _, answer in kept]),
        propensity_M=np.array([answer.propensity for _, answer in kept]),
        value_M=np.array([float(known(answer) or 0.0) for _, answer in kept]),
    )
    policy, refused, effective, overlap = _tried(log, [code[chosen[n]] for n in place], len(names), seed)
    beside = _tried(log, [code[reference[n]] for n in place], len(names), seed)[0] if reference is not None else None
    got = [(k, answer) for k, answer in kept if answer.is_answer]
    where = np.array([k for k, _ in got], dtype=np.int64)
    logged = mean_of(np.array([float(known(answer) or 0.0) for _, answer in got]), log.unit_N[where], log.weight_N[where])
    return Estimate(
        of=of,
        by=by,
        policy=policy,
        refused=refused,
        effective=effective,
        overlap=overlap,
        reference=beside,
        logged=logged,
        decisions=len(place),
        found=0 if is_cost else sum(share is None for share in inclusion),
        left_out={why: count for why, count in left_out.items() if count},
    )


def _tried(log: Log, target: Sequence[int], variants: int, seed: int) -> tuple[Value | None, str, float, float]:
    try:
        value = value_of(log, np.array(target), variants, seed)
    except Refused as refusal:
        return None, str(refusal), refusal.effective, refusal.overlap
    return value, "", value.effective, value.overlap
