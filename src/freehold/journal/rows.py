"""Records as rows and back: known columns, one JSON body of the rest, and the input beside them, stored once by its digest."""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple, TypeAlias

import msgspec

from freehold.chat import JSON, Usage, canonical_json
from freehold.errors import DataError
from freehold.journal.call import Attempt, Call, Episode, Feedback
from freehold.store.blobs import digest_bytes
from freehold.store.times import microseconds, moment

INLINE_BYTES = 64 << 10
"""Up to this size an input or body lies in the database; a larger one is a blob."""

Mapped: TypeAlias = Mapping[Any, Any]
"""A row as it is read, by column."""
Values: TypeAlias = Sequence[Any]
"""A row's values, in the order of its columns. Bytes are bytearrays: Python's SQLite module binds those a microsecond faster."""

CALL_COLUMNS = (
    "id", "tenant", "task", "variant", "item", "group", "subject", "customer", "episode", "outcome", "at", "cost_usd", "price_id",
    "latency_s", "policy", "propensity", "shape", "output_digest", "reference_digest", "tags", "content", "input", "body", "body_digest",
)  # fmt: skip
CONTENT_COLUMNS = ("digest", "tenant", "size", "data")
ATTEMPT_COLUMNS = ("call", "tenant", "n", "variant", "cause", "outcome", "at", "latency_s", "cost_usd", "body")
EPISODE_COLUMNS = ("id", "tenant", "name", "at", "customer", "subject")
FEEDBACK_COLUMNS = ("id", "tenant", "call", "episode", "metric", "kind", "value", "source", "design", "inclusion", "at", "body", "author")

_encode = msgspec.json.Encoder().encode


class CallRow(NamedTuple):
    """What storing one call takes."""

    id: str
    """The call's id."""
    values: Values
    """By CALL_COLUMNS."""
    tenant: str
    """The call's tenant."""
    contents: tuple[tuple[bytes, bytes], ...]
    """Digests and data of the input, and of the body where it is large."""
    attempts: tuple[Values, ...]
    """By ATTEMPT_COLUMNS."""


class CallBody(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A call's fields without a column."""

    output: JSON = None
    usage: Usage | None = None
    reference_output: JSON = None
    source: str = "import"
    delivered: bool = True
    attempts: int = 0
    """How many rows `attempts` has, so that a read looks there only where there are some."""
    prompt: str | None = None
    probabilities: dict[str, float] = {}


class _AttemptBody(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """An attempt's fields without a column."""

    usage: Usage | None = None
    error: str | None = None


body_of = msgspec.json.Decoder(CallBody).decode
_decode_attempt = msgspec.json.Decoder(_AttemptBody).decode
_decode_tags = msgspec.json.Decoder(dict[str, str]).decode
json_of = msgspec.json.Decoder().decode


def call_row(call: Call) -> CallRow:
    """The row of a call. Raises DataError where it holds what cannot be written as JSON."""
    try:
        return _call_row(call)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise DataError(f"call '{call.id}' cannot be stored: {error}") from error


def _call_row(call: Call) -> CallRow:
    contents: tuple[tuple[bytes, bytes], ...] = ()
    asked = b""
    if call.input is not None:
        data = _encode(call.input)
        asked = digest_bytes(data)
        contents = ((asked, data),)
    body = _encode(
        CallBody(
            call.output,
            call.usage,
            call.reference_output,
            call.source,
            call.delivered,
            len(call.attempts),
            call.prompt,
            call.probabilities,
        )
    )
    output_digest = call.output_digest or (None if call.output is None else digest_of(call.output))
    reference_digest = call.reference_digest or (None if call.reference_output is None else digest_of(call.reference_output))
    at = None if call.at is None else microseconds(call.at)
    tags = bytearray(_encode(call.tags)) if call.tags else None
    attempts = tuple(_attempt_values(call, attempt) for attempt in call.attempts)
    told = _encode(
        (call.tenant, call.variant, call.item, call.group, call.subject, call.customer, call.episode, call.outcome, at,
         call.cost_usd if call.price_id == "recorded" else None, call.latency_s, call.policy, call.propensity,
         output_digest, reference_digest, call.tags, attempts)
    )  # fmt: skip
    fingerprint = blake2b(told + asked + body, digest_size=16).digest()
    large = len(body) > INLINE_BYTES
    body_digest = None
    if large:
        named = digest_bytes(body)
        contents = (*contents, (named, body))
        body_digest = bytearray(named)
    values = (
        call.id, call.tenant, call.task, call.variant, call.item, call.group, call.subject, call.customer, call.episode, call.outcome, at,
        call.cost_usd, call.price_id, call.latency_s, call.policy, call.propensity, call.shape, output_digest, reference_digest,
        tags, bytearray(fingerprint), bytearray(asked) if asked else None, None if large else bytearray(body), body_digest,
    )  # fmt: skip
    return CallRow(call.id, values, call.tenant, contents, attempts)


def _attempt_values(call: Call, attempt: Attempt) -> Values:
    body = None if attempt.usage is None and attempt.error is None else bytearray(_encode(_AttemptBody(attempt.usage, attempt.error)))
    at = microseconds(attempt.at)
    return (
        call.id, call.tenant, attempt.n, attempt.variant, attempt.cause, attempt.outcome, at, attempt.latency_s, attempt.cost_usd, body
    )  # fmt: skip


def call_of(values: Values, rest: CallBody, asked: bytes | None, attempts: tuple[Attempt, ...]) -> Call:
    """The call of a row by CALL_COLUMNS, its body and its input's JSON. By place, for by name each value costs as much as the whole call."""
    (
        id, tenant, task, variant, item, group, subject, customer, episode, outcome, at, cost_usd, price_id,
        latency_s, policy, propensity, shape, output_digest, reference_digest, tags, _, _, _, _,
    ) = values  # fmt: skip
    return Call(
        id=id,
        tenant=tenant,
        task=task,
        variant=variant,
        item=item,
        input=None if asked is None else json_of(asked),
        output=rest.output,
        output_digest=output_digest,
        outcome=outcome,
        usage=rest.usage,
        cost_usd=cost_usd,
        price_id=price_id,
        latency_s=latency_s,
        at=None if at is None else moment(at),
        group=group,
        customer=customer,
        subject=subject,
        tags=tags_of(tags),
        episode=episode,
        policy=policy,
        propensity=propensity,
        reference_output=rest.reference_output,
        reference_digest=reference_digest,
        source=rest.source,
        delivered=rest.delivered,
        attempts=attempts,
        shape=shape,
        prompt=rest.prompt,
        probabilities=rest.probabilities,
    )


def attempt_of(row: Mapped) -> Attempt:
    """The attempt of a row."""
    rest = _decode_attempt(row["body"]) if row["body"] else _AttemptBody()
    return Attempt(
        n=row["n"],
        variant=row["variant"],
        cause=row["cause"],
        outcome=row["outcome"],
        at=moment(row["at"]),
        latency_s=row["latency_s"],
        usage=rest.usage,
        cost_usd=row["cost_usd"],
        error=rest.error,
    )


def feedback_values(said: Feedback) -> Values:
    """A piece of feedback by FEEDBACK_COLUMNS. Raises DataError where it holds what cannot be written as JSON."""
    try:
        body = None if said.content is None else bytearray(_encode(said.content))
        at = microseconds(said.at)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise DataError(f"feedback '{said.id}' cannot be stored: {error}") from error
    return (
        said.id, said.tenant, said.call, said.episode, said.metric, said.kind, said.value, said.source, said.design, said.inclusion,
        at, body, said.author,
    )  # fmt: skip


def feedback_of_row(row: Mapped) -> Feedback:
    """The feedback of a row."""
    return Feedback(
        id=row["id"],
        tenant=row["tenant"],
        call=row["call"],
        episode=row["episode"],
        metric=row["metric"],
        kind=row["kind"],
        value=row["value"],
        content=json_of(row["body"]) if row["body"] else None,
        source=row["source"],
        author=row["author"],
        design=row["design"],
        inclusion=row["inclusion"],
        at=moment(row["at"]),
    )


def episode_values(episode: Episode) -> Values:
    """An episode by EPISODE_COLUMNS."""
    return (episode.id, episode.tenant, episode.name, microseconds(episode.at), episode.customer, episode.subject)


def tags_of(data: bytes | None) -> dict[str, str]:
    """The tags of a call's column."""
    return _decode_tags(data) if data else {}


def digest_of(value: JSON) -> str:
    """The hash that equal answers share: of canonical JSON, 32 hex digits."""
    return blake2b(canonical_json(value), digest_size=16).hexdigest()
