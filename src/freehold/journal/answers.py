"""A task's answers and labels by column, without decoding what is not looked at: what paired items are made of."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec
from sqlalchemy import Select, select

from freehold.chat import JSON
from freehold.journal.call import LabelDesign
from freehold.journal.rows import tags_of
from freehold.store.open import Store
from freehold.store.schema import calls, contents, draws, feedback

T = TypeVar("T")

_BATCH = 5_000
_IN = 500
"""The most values in one IN list."""


class Answer(NamedTuple):
    """One variant's answer to one item."""

    id: str
    item: str
    variant: str
    outcome: str
    group: str | None
    at: int | None
    """Microseconds since 1970 UTC."""
    cost_usd: float | None
    latency_s: float | None
    output_digest: str | None
    reference_digest: str | None
    input: bytes | None
    """Digest of the input."""
    tags: dict[str, str]


class Label(NamedTuple):
    """One score of one call."""

    seq: int
    """Order of arrival."""
    call: str
    metric: str
    value: float | None
    design: LabelDesign
    inclusion: float | None


def answer_rows(store: Store, tenant: str, task: str) -> Iterator[Answer]:
    """Every answer of a task, in order of arrival."""
    wanted = select(
        calls.c.id,
        calls.c.item,
        calls.c.variant,
        calls.c.outcome,
        calls.c.group,
        calls.c.at,
        calls.c.cost_usd,
        calls.c.latency_s,
        calls.c.output_digest,
        calls.c.reference_digest,
        calls.c.input,
        calls.c.tags,
    )
    for row in _rows(store, wanted.where(calls.c.tenant == tenant, calls.c.task == task).order_by(calls.c.seq)):
        yield Answer(*row[:-1], tags_of(row[-1]))


def label_rows(store: Store, tenant: str, task: str, metric: str | None) -> Iterator[Label]:
    """Every score given to a call of the task by this metric, or by any; in order of arrival."""
    wanted = (
        select(feedback.c.seq, feedback.c.call, feedback.c.metric, feedback.c.value, feedback.c.design, feedback.c.inclusion)
        .join(calls, calls.c.id == feedback.c.call)
        .where(calls.c.tenant == tenant, calls.c.task == task, feedback.c.value.is_not(None))
        .order_by(feedback.c.seq)
    )
    for row in _rows(store, wanted if metric is None else wanted.where(feedback.c.metric == metric)):
        yield Label(*row)


def drawn_items(store: Store, tenant: str, task: str, metric: str) -> dict[str, float]:
    """Items of finished labelling draws and the probability with which each was drawn."""
    wanted = select(draws.c.item, draws.c.inclusion).where(draws.c.tenant == tenant, draws.c.task == task, draws.c.session == metric)
    return dict(_rows(store, wanted))


def outputs_of(store: Store, ids: Iterable[str]) -> dict[str, tuple[JSON, JSON]]:
    """The output and the reference output of these calls."""
    found: dict[str, tuple[JSON, JSON]] = {}
    for some in _lots(sorted(ids)):
        for id, body, digest in _rows(store, select(calls.c.id, calls.c.body, calls.c.body_digest).where(calls.c.id.in_(some))):
            data = body if body is not None else store.blobs.get(digest)
            rest = msgspec.json.decode(data)
            found[id] = (rest.get("output"), rest.get("reference_output"))
    return found


def texts_of(store: Store, digests: Sequence[bytes | None], words: Callable[[JSON], str]) -> list[str]:
    """`words` of each input by its digest; empty where none is kept. Each distinct input is read once."""
    text: dict[bytes, str] = {}
    for some in _lots(sorted({digest for digest in digests if digest is not None})):
        for digest, data in _rows(store, select(contents.c.digest, contents.c.data).where(contents.c.digest.in_(some))):
            if bytes(digest) not in text:
                text[bytes(digest)] = words(msgspec.json.decode(data if data is not None else store.blobs.get(digest)))
    return [text.get(bytes(digest), "") if digest is not None else "" for digest in digests]


def _rows(store: Store, wanted: Select[Any]) -> Iterator[tuple[Any, ...]]:
    with store.reading() as connection:
        result = connection.execution_options(stream_results=True, yield_per=_BATCH).execute(wanted)
        for batch in result.partitions():
            yield from (tuple(row) for row in batch)


def _lots(values: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(values), _IN):
        yield values[start : start + _IN]
