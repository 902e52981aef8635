"""Whom a call of a task is put to: what its active policy says, within what its customer was promised; else its own function, or its reference."""

import logging
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from freehold.catalog import Task
from freehold.errors import CallerError
from freehold.gateway.caller import Caller
from freehold.gateway.head import Head
from freehold.journal.call import Call
from freehold.routing.decide import Decision
from freehold.routing.online import Chosen, OnlinePolicy
from freehold.serving.asked import Asked
from freehold.serving.origin import Origin
from freehold.serving.resources import OWN, TASK_PREFIX, Resources, Words

_log = logging.getLogger("freehold.serve")


class Whom(NamedTuple):
    """Who answers a call of a task, and why."""

    decision: Decision
    """Who is asked first, and who else may have to be."""
    words: Words
    """What that was decided by."""
    policy: OnlinePolicy | None = None
    """What decided; None for no policy, and for one of another process."""
    chosen: Chosen | None = None
    """What it said."""
    hash: str | None = None
    """The policy's hash; None where none decided."""


def task_of(has: Resources, asked: Asked, headers: Head, caller: Caller) -> str | None:
    """The task a request belongs to: the one it names, or the one by whose row of `[[match]]` it is known."""
    model = asked.model
    if model.startswith(TASK_PREFIX):
        return model.removeprefix(TASK_PREFIX)
    row = has.matcher.row_of(asked.body, headers, caller.names)
    return None if row is None else row.task


def policy_of(has: Resources, task: Task, caller: Caller) -> OnlinePolicy | None:
    """The task's active policy, where it loses no more than the customer's plan allows; None where the reference has to answer."""
    policy, plan = has.served.policies.get(task.id), caller.plan
    if policy is None or plan is None or plan.max_loss is None:
        return None if plan is not None and plan.reference_only else policy
    return policy if policy.max_loss is not None and policy.max_loss <= plan.max_loss else None


def choose(
    has: Resources, task: Task, policy: OnlinePolicy | None, asked: Asked, caller: Caller, known: Mapping[str, float], call: str
) -> Whom:
    """What the policy says; the task's reference where there is none, or where it fails. `known`: further facts that it may look at.

    Raises CallerError for a task that has neither.
    """
    words = words_of(asked, caller)
    if policy is not None:
        try:
            chosen = policy.choose(words.text, words.tags, known)
            return Whom(chosen.decision, words, policy, chosen, policy.hash)
        except Exception:  # noqa: BLE001 our failure is not the product's: the reference answers, and it is counted
            count = has.failed_decisions = has.failed_decisions + 1
            _log.exception("decision.failed: %d since the start; task '%s' goes to its reference", count, task.id, extra={"call": call})
    return Whom(_by_reference(has, task, caller), words)


def words_of(asked: Asked, caller: Caller) -> Words:
    """What policies see."""
    tags = {**asked.tags, **caller.tags} if caller.tags else asked.tags
    return Words(asked.text, tags, asked.key, asked.subject, caller.billed(asked.tags))


def may_all_be_asked(has: Resources, task: str, decision: Decision, asked: Asked) -> list[tuple[str, int]]:
    """Who may all have to be asked for a decision, as of `Resources.may_be_asked`: also the reference, where somebody may have no answer who
    answers here."""
    chain = [one.variant for one in steps(decision)]
    reference = has.task(task).reference
    may_pass = any(has.takes_time(task, has.variant(one)) or has.prices.name_of(one) is None for one in chain)
    if reference is not None and reference not in chain and may_pass:
        chain.append(reference)
    models = [one for variant in chain for one in has.may_be_asked(variant)]
    return [*models, *((model, earlier + 1) for model, earlier in models)] if asked.may_ask_again else models


def steps(decision: Decision | None) -> Iterator[Decision]:
    """A decision, and what follows where its answer will not do, one after the other."""
    while decision is not None:
        yield decision
        decision = decision.then


def asked_beside(has: Resources, call: Call, origin: Origin | None) -> tuple[str, Origin] | None:
    """Now and then another variant that is to be asked what this call was, for the journal alone, with where it will have come from."""
    if call.task not in has.catalog.tasks:
        return None
    if origin is not None and origin.hold is not None:  # what is learnt would be paid from the caller's budget
        return None
    share, others = has.others(call.task, call.variant)
    if not share or has.rng.random() >= share:
        return None
    return has.rng.choice(others), Origin("explore", call.task, propensity=share / len(others))


def _by_reference(has: Resources, task: Task, caller: Caller) -> Decision:
    """The task's own function first, where it has one; then whom everybody is compared with."""
    plan = caller.plan
    is_promised = plan is not None and (plan.reference_only or plan.max_loss is not None)
    if has.functions_of(task.id, OWN).body is not None and not is_promised:
        return Decision(OWN, -1)
    if task.reference is None:
        raise CallerError(
            f"Task '{task.id}' has no active policy and no reference. Set reference under [tasks.{task.id}], or promote a policy."
        )
    return Decision(task.reference, -1)
