"""Logs of OpenAI chat completions: the bodies of request and response, in the arrangements that logs have them in.

Read are lines with `request` and `response`; Batch API lines once input and output are joined, with `body` and `response`; flat lines with
`messages` and `choices`, as stored completions are with their messages; and lines with `model`, `input` (messages) and `output`. A body may
be text that holds JSON. Beside the bodies a line may carry any column of the native record, which then wins. Legacy `prompt` and
`function_call` bodies are read; anything else is a problem with its reason, never a guess.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

import msgspec

from freehold.chat import JSON, canonical_json
from freehold.errors import DataError
from freehold.gateway.openai_usage import usage_of
from freehold.journal.formats.completion import Body, answer_of, first_text
from freehold.journal.formats.lines import read_lines
from freehold.journal.formats.reasons import invalid, undecodable
from freehold.journal.formats.record import COLUMNS, Line, Logged
from freehold.journal.formats.source import Source

ASKED = ("messages", "tools", "functions", "response_format")
"""The parts of a request that are the question: their hash names the item."""
_NAMING = (*ASKED, "prompt")
_BODY_COLUMNS = frozenset({"input", "output", "usage"})
_LATENCY_MS = {"latency_ms": 1.0, "duration_ms": 1.0, "elapsed_ms": 1.0, "latency_s": 1e3, "duration_s": 1e3, "elapsed_s": 1e3}
_HALF = "the line has {has}; expected both. Of the Batch API, join input and output on custom_id (docs/import.md)"
_LIST_PRICED_TIERS = frozenset({"default", "auto", "standard"})


def read(source: Source) -> Iterator[Line]:
    """Every line of the log as a record or a reason."""
    decode = msgspec.json.Decoder(dict[str, Any]).decode
    for number, raw, problem in read_lines(source):
        if problem:
            yield Line(number, None, problem)
            continue
        try:
            yield Line(number, logged(decode(raw)), "", len(raw))
        except DataError as error:
            yield Line(number, None, str(error))
        except (ValueError, RecursionError) as error:
            yield Line(number, None, undecodable(raw, error))


def logged(entry: dict[str, Any]) -> Logged:
    """The record that one entry of a log holds. Raises DataError with the reason where it holds none."""
    request, response, error = _bodies(entry)
    _refuse_other_apis(request, response)
    outcome, output, end = answer_of(response, error)
    model = first_text(response.get("model"), request.get("model"))
    if not model and "variant" not in entry:
        raise DataError("neither request nor response names a 'model'; expected the name of what answered. Add it, or a 'variant'")
    asked = question_of(request)
    row: dict[str, Any] = {
        "item": item_of(asked),
        "input": input_of(asked),
        "variant": model,
        "output": output,
        "usage": usage_of(response.get("usage")),
        "latency_ms": _latency_ms(entry),
        "at": _at(entry, response),
        "tags": {**metadata_of(request), **metadata_of(response), **({"finish_reason": end} if end else {})},
    }
    given = {column: entry[column] for column in COLUMNS if entry.get(column) is not None and column not in _BODY_COLUMNS}
    if "tags" in given and isinstance(given["tags"], dict):
        given["tags"] = row["tags"] | given["tags"]
    extra = {
        "outcome": outcome,
        "subject": subject_of(request),
        "key": first_text(response.get("id")) or blake2b(canonical_json(entry), digest_size=16).hexdigest(),
        "price_tier": _price_tier(entry, response),
    }
    try:
        return msgspec.convert(row | given | extra, Logged)
    except msgspec.ValidationError as problem:
        raise DataError(invalid(str(problem))) from None


def item_of(asked: Body) -> str:
    """The name of what was asked: equal questions share it."""
    return blake2b(canonical_json([asked.get(part) for part in _NAMING]), digest_size=16).hexdigest()


def input_of(asked: Body) -> JSON:
    """What was asked, as short as it can be said: a text, messages, or an object of messages and what shapes the answer."""
    return asked.get("prompt") or (asked["messages"] if len(asked) == 1 else asked)


def _bodies(entry: Body) -> tuple[Body, Body, Body | None]:
    """Request, response (empty when there was none) and error of an entry, whichever way it is laid out."""
    error = _object(entry, "error")
    if "request" in entry or "body" in entry:
        request = _unwrapped(_object(entry, "request" if "request" in entry else "body"))
        response = _object(entry, "response")
        status = (response or {}).get("status_code", entry.get("status_code"))
        response = _unwrapped(response)
    elif "choices" in entry and ("messages" in entry or "prompt" in entry):
        request = response = entry
        status = None
    elif isinstance(entry.get("input"), list) and "output" in entry:
        request = {**entry, "messages": entry["input"]}
        response = {**entry, "choices": [{"message": _stored_message(entry["output"])}]}
        status = None
    else:
        raise DataError(_unknown_layout(entry))
    error = error or _object(response or {}, "error")
    if isinstance(status, int) and status >= 400:
        error = {"status": status, **(error or {})}
    if request is None:
        raise DataError(_HALF.format(has="a response and no request"))
    if response is None and error is None:
        raise DataError(_HALF.format(has="a request and no response"))
    return request, response or {}, error


def _unknown_layout(entry: Body) -> str:
    if "response" in entry or "choices" in entry:
        return _HALF.format(has="a response and no request")
    seen = ", ".join(sorted(map(str, entry))[:12]) or "nothing"
    return f"the line is not a log of a chat completion: it has {seen}; expected 'request' and 'response', or as docs/import.md shows"


def _object(entry: Body, key: str) -> Body | None:
    """The object under `key`, out of JSON text if it is that; None when it is null or not there."""
    value = entry.get(key)
    if isinstance(value, str) and key != "error":
        try:
            value = msgspec.json.decode(value)
        except (ValueError, RecursionError):
            raise DataError(
                f"'{key}' is text that is not JSON; expected the body's object. Streamed answers have to be logged assembled"
            ) from None
    if isinstance(value, str):
        return {"message": value}
    if value is None or isinstance(value, dict):
        return value
    if isinstance(value, list):
        raise DataError(f"'{key}' is a list; expected one body. Streamed answers have to be logged assembled, not as their chunks")
    raise DataError(f"'{key}' is not an object; expected a body as it was sent or received")


def _unwrapped(body: Body | None) -> Body | None:
    """The body itself, where the log keeps it beside headers or a status."""
    if body is not None and "body" in body and not body.keys() & {"messages", "prompt", "choices"}:
        return _object(body, "body")
    return body


def _refuse_other_apis(request: Body, response: Body) -> None:
    if response.get("object") == "response" or ("input" in request and "messages" not in request and "prompt" not in request):
        raise DataError(
            "the bodies are those of the Responses API; expected chat completions. Turn them into native records (docs/import.md)"
        )
    if response.get("object") == "chat.completion.chunk":
        raise DataError("the response is one chunk of a streamed answer; expected the whole. Log streamed answers assembled")


def question_of(request: Body) -> dict[str, Any]:
    """What was asked: messages with what shapes the answer, or a legacy prompt. Raises DataError for a request that asks nothing."""
    prompt = request.get("prompt")
    if "messages" not in request and prompt is not None:
        if isinstance(prompt, list) and len(prompt) == 1:
            prompt = prompt[0]
        if not isinstance(prompt, str) or not prompt:
            raise DataError(
                "'prompt' is not one text; a request for several completions at once is several calls. Log each on its own line"
            )
        return {"prompt": prompt}
    asked = {part: request[part] for part in ASKED if request.get(part) is not None}
    if "messages" not in asked:
        raise DataError("the request has no 'messages'; expected a chat-completion request")
    return asked


def _stored_message(output: JSON) -> JSON:
    if isinstance(output, str):
        return {"content": output}
    if isinstance(output, list) and len(output) == 1:
        return output[0]
    if isinstance(output, dict):
        return output
    raise DataError("'output' is not one message; expected text, a message, or a list of one message")


def _latency_ms(entry: Body) -> float | None:
    for key, factor in _LATENCY_MS.items():
        value = entry.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return value * factor
    return None


def _at(entry: Body, response: Body) -> str | datetime | None:
    """The log's own time where it has one with a zone, else the second at which the response was made."""
    stamp = entry.get("timestamp")
    if isinstance(stamp, str):
        try:
            moment = msgspec.convert(stamp, datetime)
        except msgspec.ValidationError:
            moment = None
        if moment is not None and moment.tzinfo is not None:
            return moment
    created = response.get("created")
    if isinstance(created, int) and not isinstance(created, bool) and 0 < created < 2**34:
        return datetime.fromtimestamp(created, UTC)
    return None


def metadata_of(body: Body) -> dict[str, Any]:
    """The metadata sent along."""
    metadata = body.get("metadata")
    if not isinstance(metadata, dict):
        return {}
    return {key: value for key, value in metadata.items() if isinstance(value, str | int | float | bool)}


def subject_of(request: Body) -> str | None:
    """The person it is about, as OpenAI is told of them."""
    return first_text(request.get("safety_identifier"), request.get("user")) or None


def _price_tier(entry: Body, response: Body) -> str:
    """Under which other than the list price it was billed: a batch, or a service tier; empty for the list price."""
    if "custom_id" in entry:
        return "batch"
    return tier_of(first_text(response.get("service_tier")))


def tier_of(told: str) -> str:
    """The class of service an answer names, where that is billed otherwise than by the list price."""
    return "" if told in _LIST_PRICED_TIERS else told
