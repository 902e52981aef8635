"""A call that has ended, as the journal has it and as whoever watches hears of it."""

import logging
import time
from datetime import datetime
from typing import NamedTuple

from freehold.chat import JSON, ChatAnswer, Outcome
from freehold.errors import DataError
from freehold.gateway.caller import Caller
from freehold.gateway.formats import ANTHROPIC, EMBEDDINGS, Format
from freehold.journal.call import Call
from freehold.journal.formats.record import MAX_LEVELS, TOO_DEEP, is_deeper
from freehold.journal.probable import probabilities_of
from freehold.journal.rows import digest_of
from freehold.journal.served import Question, unusual_end
from freehold.serving.asked import Asked
from freehold.serving.attempts import Attempts
from freehold.serving.origin import Origin
from freehold.telemetry.event import Finished
from freehold.telemetry.trace import Trace

_log = logging.getLogger("freehold.serve")


class Ended(NamedTuple):
    """What is known of a call when it has ended."""

    id: str
    """Its id."""
    tenant: str
    """Whose data it is."""
    at: datetime
    """When it came, UTC."""
    began: float
    """The same by `time.perf_counter`."""
    door: Format
    """By which it came in."""
    origin: Origin | None
    """Where it came from; None for a door."""
    caller: Caller
    """Who asked."""
    asked: Asked
    """What."""
    task: str | None
    """The task it belongs to."""
    policy: str | None
    """Hash of the policy that chose who answers."""
    variant: str
    """Who answered, or was asked last."""
    attempts: Attempts
    """Everybody who was asked."""
    is_delivered: bool
    """Whether its caller was still there."""
    confidence: float | None
    """How sure whoever answered says to be; None where it says nothing of it."""


class _Content(NamedTuple):
    """What of a call is words."""

    question: Question
    output: JSON
    digest: str | None


def call_of(ended: Ended, outcome: Outcome, answer: ChatAnswer | None) -> Call:
    """The call, the same that an import of its log would give, but for what is known better."""
    content, origin = _content_of(ended, answer), ended.origin
    asked = content.question
    tags = {**asked.tags, **ended.caller.tags} if ended.caller.tags else asked.tags
    if answer is not None and (end := unusual_end(answer)):
        tags = {**tags, "finish_reason": end}
    usage, cost_usd = ended.attempts.sums()
    return Call(
        id=ended.id,
        tenant=ended.tenant,
        task=ended.task,
        variant=ended.variant,
        item=asked.item,
        input=asked.input,
        output=content.output,
        output_digest=content.digest,
        outcome=outcome,
        usage=usage,
        cost_usd=cost_usd,
        price_id=None if cost_usd is None else ended.attempts.price_id,
        latency_s=time.perf_counter() - ended.began,
        at=ended.at,
        group=None if origin is None else origin.group,
        customer=ended.caller.customer or tags.get("customer") if origin is None else origin.customer,
        subject=asked.subject,
        tags=tags,
        episode=ended.asked.about.get(b"episode"),
        policy=ended.policy,
        propensity=1.0 if ended.policy is not None else origin.propensity if origin is not None else None,
        source="gateway" if origin is None else origin.source,
        delivered=ended.is_delivered,
        attempts=ended.attempts.in_order(),
        shape=asked.shape,
        prompt=ended.asked.prompt or None,
        probabilities=probabilities_of(content.output, ended.confidence, answer),
    )


def _content_of(ended: Ended, answer: ChatAnswer | None) -> _Content:
    """Question and answer. One whose words cannot be kept was paid for all the same: the journal has it without them."""
    try:
        origin = ended.origin
        question = origin.question if origin is not None and origin.question is not None else ended.asked.question
        output = ended.asked.output(answer) if answer is not None else None
        if isinstance(output, dict) and is_deeper(output, MAX_LEVELS):
            raise DataError(TOO_DEEP)
        return _Content(question, output, None if output is None else digest_of(output))
    except Exception as error:  # noqa: BLE001 such as half of a character, which a program's own body may give
        why = str(error) if isinstance(error, DataError) else type(error).__name__
        _log.warning("call.without_content: a call is journalled without its words: %s", why, extra={"call": ended.id})
        return _Content(Question(None, ended.id, "", None, {}), None, None)


def event_of(
    ended: Ended, call: Call, status: int, upstream_s: float, first_byte_at: float | None, trace: Trace | None, has_content: bool
) -> Finished:
    """What whoever watches hears. `status`: as its caller was told. `first_byte_at`: of a stream, by `time.perf_counter`."""
    seconds = time.perf_counter() - ended.began
    first_byte_s = None if first_byte_at is None else first_byte_at - ended.began
    return Finished(
        call=ended.id,
        door="anthropic" if ended.door is ANTHROPIC else "openai",
        operation="embeddings" if ended.door is EMBEDDINGS else "chat",
        route=f"/v1{ended.door.path}",
        requested_model=str(ended.asked.body.get("model")),
        variant=call.variant,
        outcome=call.outcome,
        status=status,
        stream=ended.asked.stream,
        started=ended.at.timestamp(),
        seconds=seconds,
        upstream_s=upstream_s,
        attempts=tuple(ended.attempts.told),
        first_byte_s=first_byte_s if ended.asked.stream else seconds,
        task=call.task,
        policy=call.policy,
        cost_usd=call.cost_usd,
        trace=trace,
        asked=call.input if has_content else None,
        answered=call.output if has_content else None,
    )
