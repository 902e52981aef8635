"""Erasing a person: every call about them and all that hangs on it, out of the tables, the log and the blobs."""

from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Connection, Delete, Select, Update, delete, exists, insert, or_, select, text, update

from freehold.context.conversation import forget
from freehold.journal.read import slices
from freehold.journal.rows import digest_of
from freehold.store.open import Store
from freehold.store.schema import (
    attempts,
    calls,
    contents,
    credits,
    draws,
    episodes,
    erasures,
    expert_asks,
    feedback,
    ledger,
    looks,
    pending_calls,
    review_items,
    review_verdicts,
    used_tokens,
)
from freehold.store.times import microseconds

_UNFINISHED_S = 3600.0


class Erased(msgspec.Struct, frozen=True, kw_only=True):
    """What an erasure removed."""

    calls: int
    """Calls about the person."""
    attempts: int
    """Requests made for those calls."""
    feedback: int
    """What was said about those calls, and about the episodes that they or the person have, and what the person said as an author."""
    episodes: int
    """The person's episodes."""
    contents: int
    """Inputs and large answers that no other call has."""
    blobs: int
    """Files among those."""
    draws: int
    """Places in labelling sessions whose item is gone."""
    reviews: int
    """What people were asked and said in review queues about items of the person's calls."""
    asks: int
    """Questions to people that were about the person or about those calls, and calls that waited for them."""
    conversation_messages: int
    """Messages of the conversations about the person, and of those in which one of the calls was made."""
    billed: int
    """Rows of the ledger whose customer was the person, by that name: they stay, and the customer is a hash now."""
    credits: int
    """Rows of the credits that the person earned as a reviewer: likewise."""
    items: tuple[tuple[str | None, str], ...]
    """Task and item of what was asked and is gone altogether: what data sets made earlier have to drop."""


def erase(store: Store, tenant: str, subject: str, now: datetime) -> Erased:
    """Removes a person from the journal, and their text from its files, and records that it did, by hash.

    On SQLite the file is rewritten, which takes as long as copying it; writers wait meanwhile. Erasing again removes nothing more and
    finishes what an interruption left. Backups made earlier keep what they have. Raises StoreBusy where a reader holds on to the log.
    """
    with store.writing() as connection:
        if store.kind == "postgresql":  # nobody may come to rely on a content while we decide that none does
            connection.execute(text("LOCK TABLE contents IN SHARE ROW EXCLUSIVE MODE"))
        erased = _erase(store, connection, tenant, subject)
        counts = msgspec.json.encode({name: getattr(erased, name) for name in erased.__struct_fields__ if name != "items"})
        connection.execute(
            insert(erasures).values(tenant=tenant, subject_hash=digest_of([tenant, subject]), at=microseconds(now), counts=counts)
        )
    store.blobs.remove_unfinished(_UNFINISHED_S, now.timestamp())
    store.scrub()
    return erased


class Named(NamedTuple):
    """By what a person's calls and signals are known, before they are erased."""

    calls: frozenset[str]
    """Ids of the calls about them."""
    feedback: frozenset[str]
    """Ids of what was said about those and about their runs, and of what they said themselves."""


def named_by(store: Store, tenant: str, subject: str) -> Named:
    """What erasing the person will remove, by id."""
    ids = select(calls.c.id).where(calls.c.tenant == tenant, calls.c.subject == subject)
    said = select(feedback.c.id).where(_said(tenant, subject), feedback.c.tenant == tenant)
    with store.reading() as connection:
        return Named(frozenset(connection.execute(ids).scalars()), frozenset(connection.execute(said).scalars()))


def _said(tenant: str, subject: str) -> ColumnElement[bool]:
    """What was said about a person's calls and runs, and what the person said as an author."""
    theirs = (calls.c.tenant == tenant) & (calls.c.subject == subject)
    runs = (episodes.c.tenant == tenant) & (episodes.c.subject == subject)
    of_calls = select(calls.c.episode).where(theirs, calls.c.episode.isnot(None))  # an episode need not have a row of its own
    return or_(
        feedback.c.call.in_(select(calls.c.id).where(theirs)),
        feedback.c.episode.in_(select(episodes.c.id).where(runs)),
        feedback.c.episode.in_(of_calls),
        feedback.c.author == subject,
    )


def _erase(store: Store, connection: Connection, tenant: str, subject: str) -> Erased:
    theirs = (calls.c.tenant == tenant) & (calls.c.subject == subject)
    runs = (episodes.c.tenant == tenant) & (episodes.c.subject == subject)
    ids = select(calls.c.id).where(theirs)
    rows = connection.execute(select(calls.c.task, calls.c.item, calls.c.input, calls.c.body_digest).where(theirs)).all()
    digests = {digest for row in rows for digest in (row.input, row.body_digest) if digest is not None}

    said = _count(connection, delete(feedback).where(_said(tenant, subject), feedback.c.tenant == tenant))
    connection.execute(delete(used_tokens).where(used_tokens.c.tenant == tenant, used_tokens.c.call.in_(ids)))
    messages = forget(connection, tenant, subject, ids)
    asked_people = _erase_asks(connection, tenant, subject, ids)
    requests = _count(connection, delete(attempts).where(attempts.c.call.in_(ids)))
    connection.execute(delete(looks).where(looks.c.call.in_(ids), looks.c.tenant == tenant))
    asked = _count(connection, delete(calls).where(theirs))
    gone = tuple(sorted({(row.task, row.item) for row in rows}, key=lambda pair: (pair[0] or "", pair[1])))
    gone = tuple(pair for pair in gone if not _has_calls(connection, tenant, *pair))
    removed, blobs = _erase_contents(store, connection, tenant, digests)
    return Erased(
        calls=asked,
        attempts=requests,
        feedback=said,
        episodes=_count(connection, delete(episodes).where(runs)),
        contents=removed,
        blobs=blobs,
        reviews=sum(_erase_reviews(connection, tenant, task, item) for task, item in {(row.task, row.item) for row in rows}),
        asks=asked_people,
        draws=sum(_erase_draws(connection, tenant, task, item) for task, item in gone if task is not None),
        conversation_messages=messages,
        billed=_count(connection, _unnamed(tenant, subject)),
        credits=_count(connection, _unpaid(tenant, subject)),
        items=gone,
    )


def _erase_asks(connection: Connection, tenant: str, subject: str, ids: Select[tuple[str]]) -> int:
    """What was put to people about the person, and what waits for an answer. Of what the person answered the name goes."""
    a, p = expert_asks.c, pending_calls.c
    connection.execute(update(expert_asks).where(a.tenant == tenant, a.expert == subject).values(expert=digest_of([tenant, subject])))
    gone = _count(connection, delete(expert_asks).where(a.tenant == tenant, or_(a.subject == subject, a.call.in_(ids))))
    return gone + _count(connection, delete(pending_calls).where(p.tenant == tenant, or_(p.subject == subject, p.id.in_(ids))))


def _unnamed(tenant: str, subject: str) -> Update:
    """Money stays accounted for: of the ledger's rows the person's name goes, and no amount."""
    theirs = (ledger.c.tenant == tenant) & (ledger.c.customer == subject)
    return update(ledger).where(theirs).values(customer=digest_of([tenant, subject]))


def _unpaid(tenant: str, subject: str) -> Update:
    """Likewise of what the person earned as a reviewer."""
    theirs = (credits.c.tenant == tenant) & (credits.c.reviewer == subject)
    return update(credits).where(theirs).values(reviewer=digest_of([tenant, subject]))


def _erase_contents(store: Store, connection: Connection, tenant: str, digests: set[bytes]) -> tuple[int, int]:
    """Removes those contents that no call has any more; how many rows and how many files. Files go before the commit: after a crash in
    between, erasing again finds the rows."""
    unused = sorted(digests - _used(connection, tenant, digests)) if digests else []
    rows = files = 0
    for some in slices(unused):
        rows += _count(connection, delete(contents).where(contents.c.digest.in_(some), contents.c.tenant == tenant))
        shared = {digest for (digest,) in connection.execute(select(contents.c.digest).where(contents.c.digest.in_(some)))}
        files += sum(store.blobs.remove(digest.hex()) for digest in some if digest not in shared)
    return rows, files


def _used(connection: Connection, tenant: str, among: set[bytes]) -> set[bytes]:
    """Those contents that calls still have. One look at every call: an index by input would cost each call that is stored more than
    erasing, which rewrites the file anyway, ever saves."""
    pairs = connection.execute(
        select(calls.c.input, calls.c.body_digest).where(calls.c.tenant == tenant).execution_options(yield_per=10_000)
    )
    return {digest for pair in pairs for digest in pair if digest in among}


def _erase_draws(connection: Connection, tenant: str, task: str, item: str) -> int:
    return _count(connection, delete(draws).where(draws.c.tenant == tenant, draws.c.task == task, draws.c.item == item))


def _erase_reviews(connection: Connection, tenant: str, task: str | None, item: str) -> int:
    """Also where others asked the same: a correction or a comment may quote anybody's answer."""
    i, v = review_items.c, review_verdicts.c
    ours = (i.tenant == tenant) & (i.task == task) & (i.item == item)
    verdicts = delete(review_verdicts).where(v.tenant == tenant, v.ticket.in_(select(i.ticket).where(ours)))
    return _count(connection, verdicts) + _count(connection, delete(review_items).where(ours))


def _has_calls(connection: Connection, tenant: str, task: str | None, item: str) -> bool:
    of_task = calls.c.task.is_(None) if task is None else calls.c.task == task
    return bool(connection.execute(select(exists().where(calls.c.tenant == tenant, of_task, calls.c.item == item))).scalar_one())


def _count(connection: Connection, statement: Delete | Update) -> int:
    result: Any = connection.execute(statement)
    return int(result.rowcount)
