"""Certificates and policies in the store: attempts that count, policies that are only ever added, and which one is served."""

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

import msgspec
from sqlalchemy import func, insert, select

from freehold.errors import CallerError, StoreBusy, nearest
from freehold.promotion.certificate import Certificate
from freehold.store.open import Store
from freehold.store.schema import certificates, policies, policy_events
from freehold.store.times import microseconds


class PolicyRow(NamedTuple):
    """A policy as it was written. One that was written again stands there again."""

    seq: int
    """Order in which policies were written."""
    task: str
    """The task it decides for."""
    hash: str
    """Of text and arrays."""
    source: str
    """The program's text."""
    artefact: str | None
    """Digest of the blob with its arrays."""
    certificate: str | None
    """Id of the certificate it was written with."""
    origin: str
    """Who wrote it."""
    created_at: int
    """Microseconds since 1970 UTC."""


class Event(NamedTuple):
    """A policy became the one served."""

    seq: int
    """Order of events."""
    hash: str
    """The policy that is served from here on."""
    action: str
    """`activate`, `rollback`, or `withdraw`: nothing but the reference is served from here on."""
    at: int
    """Microseconds since 1970 UTC."""
    who: str
    """Who made it so."""
    why: str | None
    """What made it so; None where a person said so."""


class Attempt(NamedTuple):
    """An earlier certification of a task."""

    number: int
    """Which attempt on its data, from 1."""
    dataset_hash: str
    """The frozen data it was made on."""
    spec_hash: str
    """What was asked: the same hash is the same question."""
    id: str
    """The certificate that was issued."""


def attempts(store: Store, tenant: str, task: str) -> list[Attempt]:
    """Every certification of the task so far, in order."""
    wanted = (
        select(certificates.c.attempt, certificates.c.dataset_hash, certificates.c.spec_hash, certificates.c.id)
        .where(certificates.c.tenant == tenant, certificates.c.task == task)
        .order_by(certificates.c.seq)
    )
    with store.reading() as connection:
        return [Attempt(*row) for row in connection.execute(wanted)]


def add_certificate(store: Store, certificate: Certificate, spec_hash: str) -> None:
    """Records an attempt and its result. Issuing the same one again adds nothing. Raises StoreBusy where its number was taken meanwhile."""
    with store.writing() as connection:
        c = certificates.c
        known = connection.execute(select(c.id).where(c.id == certificate.id)).first()
        taken = select(c.id).where(c.tenant == certificate.tenant, c.task == certificate.task, c.attempt == certificate.attempt)
        if known is None:
            if connection.execute(taken.where(c.dataset_hash == certificate.dataset_hash)).first() is not None:
                raise StoreBusy(f"Somebody else certified '{certificate.task}' on the same data meanwhile. Run it again.")
            connection.execute(
                insert(certificates).values(
                    id=certificate.id,
                    tenant=certificate.tenant,
                    task=certificate.task,
                    attempt=certificate.attempt,
                    dataset_hash=certificate.dataset_hash,
                    spec_hash=spec_hash,
                    body=msgspec.json.encode(certificate),
                    created_at=microseconds(certificate.created_at),
                )
            )


def find_certificate(store: Store, tenant: str, id: str) -> Certificate | None:
    """The certificate of that id."""
    wanted = select(certificates.c.body).where(certificates.c.tenant == tenant, certificates.c.id == id)
    with store.reading() as connection:
        row = connection.execute(wanted).first()
    return None if row is None else msgspec.json.decode(row[0], type=Certificate)


def certificates_of(store: Store, tenant: str, task: str) -> list[Certificate]:
    """Every certificate of a task, oldest first."""
    c = certificates.c
    wanted = select(c.body).where(c.tenant == tenant, c.task == task).order_by(c.seq)
    with store.reading() as connection:
        return [msgspec.json.decode(row.body, type=Certificate) for row in connection.execute(wanted)]


def certificates_on_data(store: Store, tenant: str) -> list[Certificate]:
    """Every certificate of any task that rests on frozen data, oldest first."""
    c = certificates.c
    with store.reading() as connection:
        rows = connection.execute(select(c.body).where(c.tenant == tenant).order_by(c.seq)).all()
    found = [msgspec.json.decode(row.body, type=Certificate) for row in rows]
    return [certificate for certificate in found if certificate.dataset is not None]


def add_policy(
    store: Store, tenant: str, task: str, hash: str, source: str, artefact: str | None, certificate: str | None, origin: str, now: datetime
) -> None:
    """Adds an inactive policy, which is the task's newest then. Where it is that already, nothing is added."""
    with store.writing() as connection:
        p = policies.c
        newest = select(p.hash, p.certificate).where(p.tenant == tenant, p.task == task).order_by(p.seq.desc()).limit(1)
        if connection.execute(newest).first() != (hash, certificate):
            connection.execute(
                insert(policies).values(
                    tenant=tenant,
                    task=task,
                    hash=hash,
                    source=source,
                    artefact=artefact,
                    certificate=certificate,
                    origin=origin,
                    created_at=microseconds(now),
                )
            )


def policy_rows(store: Store, tenant: str, task: str) -> list[PolicyRow]:
    """Every policy of a task, oldest first."""
    p = policies.c
    wanted = (
        select(p.seq, p.task, p.hash, p.source, p.artefact, p.certificate, p.origin, p.created_at)
        .where(p.tenant == tenant, p.task == task)
        .order_by(p.seq)
    )
    with store.reading() as connection:
        return [PolicyRow(*row) for row in connection.execute(wanted)]


def policies_from(store: Store, tenant: str, datasets: Collection[str]) -> list[PolicyRow]:
    """The policies whose certificates rest on one of these frozen data sets, of any task, oldest first."""
    p, c = policies.c, certificates.c
    wanted = (
        select(p.seq, p.task, p.hash, p.source, p.artefact, p.certificate, p.origin, p.created_at, c.dataset_hash)
        .join_from(policies, certificates, p.certificate == c.id)
        .where(p.tenant == tenant, c.tenant == tenant)
        .order_by(p.seq)
    )
    with store.reading() as connection:
        return [PolicyRow(*row[:-1]) for row in connection.execute(wanted) if row.dataset_hash in datasets]


def find_policy(store: Store, tenant: str, task: str, start: str | None) -> PolicyRow:
    """The newest policy whose hash begins with `start`, or the newest of all. Raises CallerError where there is none or several."""
    rows = policy_rows(store, tenant, task)
    if not rows:
        raise CallerError(f"Task '{task}' has no policy. Write one with 'freehold certify {task} …'.")
    if start is None:
        return rows[-1]
    found = {row.hash: row for row in rows if row.hash.startswith(start)}
    if not found:
        raise CallerError(f"Task '{task}' has no policy '{start}'.{nearest(start, [row.hash[:12] for row in rows])}")
    if len(found) > 1:
        listed = ", ".join(h[:16] for h in found)
        raise CallerError(f"'{start}' begins the hash of {len(found)} policies of '{task}': {listed}. Say more of it.")
    return next(iter(found.values()))


def events(store: Store, tenant: str, task: str) -> list[Event]:
    """Which policy was served from when, oldest first."""
    e = policy_events.c
    wanted = select(e.seq, e.hash, e.action, e.at, e.who, e.why).where(e.tenant == tenant, e.task == task).order_by(e.seq)
    with store.reading() as connection:
        return [Event(*row) for row in connection.execute(wanted)]


def newest_event(store: Store, tenant: str) -> int:
    """The number of the newest event of any task; 0 before the first."""
    e = policy_events.c
    with store.reading() as connection:
        return connection.execute(select(func.max(e.seq)).where(e.tenant == tenant)).scalar_one() or 0


def tasks_with_policies(store: Store, tenant: str) -> list[str]:
    """The tasks that ever had a policy activated."""
    e = policy_events.c
    with store.reading() as connection:
        return list(connection.execute(select(e.task).where(e.tenant == tenant).distinct().order_by(e.task)).scalars())


def add_event(store: Store, tenant: str, task: str, hash: str, action: str, who: str, now: datetime, why: str | None = None) -> None:
    """Makes a policy the one served, or no longer. The newest event of a task says which that is."""
    event = {"tenant": tenant, "task": task, "hash": hash, "action": action, "at": microseconds(now), "who": who, "why": why}
    with store.writing() as connection:
        connection.execute(insert(policy_events).values(event))
