"""The gate: which policy a task is served by. Without a certificate nothing passes, unless the task says so."""

from datetime import datetime

from freehold.catalog import Task
from freehold.errors import CallerError
from freehold.promotion.records import PolicyRow, add_event, events, find_certificate, find_policy, policy_rows
from freehold.routing.program import Rule, Use, parse
from freehold.store.open import Store


class GateClosed(CallerError):
    """The policy may not be promoted."""


def promote(store: Store, tenant: str, task: Task, hash: str | None, who: str, now: datetime) -> PolicyRow:
    """Activates a policy: the newest, or the one whose hash begins with `hash`.

    Raises GateClosed when none of its certificates certifies it and the task does not set `allow_uncertified`; OperatorError where the
    arrays it decides by are missing. A certificate speaks for the reference, metric and floor it was issued for: it does not open the gate
    of a task that now asks for another. What a person wrote to send every call to the task's reference loses nothing against it and needs none.
    """
    row = find_policy(store, tenant, task.id, hash)
    if row.artefact is not None:
        store.blobs.get(row.artefact)  # raises where the arrays it decides by are gone
    same = [each for each in policy_rows(store, tenant, task.id) if each.hash == row.hash]
    withdrawn_at = max((e.at for e in events(store, tenant, task.id) if e.action == "withdraw" and e.hash == row.hash), default=-1)
    against = [_why_not(store, tenant, task, each, withdrawn_at) for each in reversed(same)]
    if None not in against and not task.allow_uncertified:
        raise GateClosed(
            f"Policy {row.hash[:12]} of task '{task.id}' stays inactive: {against[0]}. Certify one that fits with 'freehold certify "
            f"{task.id} …', or change what [tasks.{task.id}] asks for (max_loss, confidence, reference, metric; allow_uncertified = true "
            "lets anything pass)."
        )
    if active_hash(store, tenant, task.id) != row.hash:
        add_event(store, tenant, task.id, row.hash, "activate", who, now)
    return row


def _why_not(store: Store, tenant: str, task: Task, row: PolicyRow, withdrawn_at: int) -> str | None:
    certificate = find_certificate(store, tenant, row.certificate) if row.certificate else None
    if certificate is None and task.reference is not None and parse(row.source).rules == (Rule(None, Use(task.reference)),):
        return None
    if certificate is None:
        return "it has no certificate"
    if row.created_at <= withdrawn_at:
        return "its certificate was withdrawn, because live traffic said that it loses more"
    if certificate.estimate:
        return "what it has is an estimate from found labels, not a certificate"
    if not certificate.certified:
        return "its certificate says that nothing could be certified"
    if task.reference is not None and certificate.reference != task.reference:
        return f"it is certified against '{certificate.reference}', and the task's reference is '{task.reference}'"
    if task.metric is not None and certificate.metric != task.metric:
        return f"it is certified by '{certificate.metric}', and the task's metric is '{task.metric}'"
    if certificate.max_loss > task.max_loss + 1e-12:
        return f"it is certified to lose at most {certificate.max_loss:g}, and the task allows {task.max_loss:g}"
    if certificate.confidence < task.confidence - 1e-12:
        return f"it is certified with confidence {certificate.confidence:g}, and the task asks for {task.confidence:g}"
    return None


def rollback(store: Store, tenant: str, task: str, who: str, now: datetime) -> str:
    """Serves again what was served before the present policy; its hash. Raises CallerError where there is nothing before it."""
    stack = served_stack(store, tenant, task)
    before = stack[-2] if len(stack) > 1 else None
    if before is None:
        raise CallerError(
            f"Task '{task}' has no earlier policy to go back to. See 'freehold policy list {task}'. To let the reference answer everything "
            f"again, add and promote a policy 'task {task} otherwise use REFERENCE': 'freehold policy add FILE'."
        )
    add_event(store, tenant, task, before, "rollback", who, now)
    return before


def withdraw(store: Store, tenant: str, task: str, hash: str, who: str, why: str, now: datetime) -> bool:
    """Lets the reference answer everything again, because what a policy is served on is no longer believed. Whether it was still active.

    Its certificates are void from here on: it can be promoted again once it is certified anew. `why` stands in the history.
    """
    if active_hash(store, tenant, task) != hash:
        return False
    add_event(store, tenant, task, hash, "withdraw", who, now, why)
    return True


def active_hash(store: Store, tenant: str, task: str) -> str | None:
    """The hash of the policy being served; None where none was ever activated."""
    stack = served_stack(store, tenant, task)
    return stack[-1] if stack else None


def served_stack(store: Store, tenant: str, task: str) -> list[str | None]:
    """What a rollback would walk through: each activation on top of the one before, each rollback taking one away; None where a policy was
    withdrawn, which stands nowhere below any more."""
    stack: list[str | None] = []
    for event in events(store, tenant, task):
        if event.action == "rollback":
            stack.pop()
        elif event.action == "withdraw":
            stack = [hash for hash in stack if hash not in (event.hash, None)]
            stack.append(None)
        else:
            stack.append(event.hash)
    return stack
