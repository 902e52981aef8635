"""`GET /openapi.json`: what the gateway answers to, as an OpenAPI 3.1 document. What bodies hold stands in `schemas.py`."""

from functools import cache
from typing import Any

import msgspec

from freehold import __version__
from freehold.gateway.schemas import SCHEMAS, Schema, ref

_CALL = {"description": "The journal's id of this call.", "required": True, "schema": {"type": "string"}}
_ANSWER_HEADERS: dict[str, Any] = {
    "x-freehold-call": _CALL,
    "x-freehold-variant": {"description": "Who answered.", "required": True, "schema": {"type": "string"}},
    "x-freehold-policy": {"description": "The policy that chose who answers; of a task that has one.", "schema": {"type": "string"}},
    "x-freehold-feedback-token": {
        "description": "A token with which somebody without a key may speak of this call once; where the project says so.",
        "schema": {"type": "string"},
    },
    "x-freehold-cost-usd": {
        "description": "What it cost. Absent where that is unknown; in a stream it is a comment before the last event.",
        "schema": {"type": "number", "minimum": 0},
    },
}
_CALL_ID = {
    "name": "id",
    "in": "path",
    "required": True,
    "description": "The call's id.",
    "schema": {"type": "string", "pattern": "^[0-9a-f]{1,64}$"},
}
_WAIT = {
    "name": "x-freehold-wait-s",
    "in": "header",
    "description": "How many seconds to wait for the answer, where there is none yet.",
    "schema": {"type": "integer", "minimum": 0, "maximum": 300},
}
_FAULTS = {
    "400": "The request cannot be read, or cannot be said to the provider of its model.",
    "401": "The key or token is unknown, or missing where one is needed.",
    "403": "The key may not do this, or the request comes from a web page of another origin.",
    "404": "There is no such model, task, call or episode.",
    "409": "Something else was said under this key or with this token, or somebody else answered before.",
    "429": "A limit or budget is spent, or the provider says so.",
    "4XX": "Refused before it was read, or by the provider, whose status this is.",
    "500": "Something failed here.",
    "502": "The provider could not be reached, or gave no answer.",
    "503": "The journal cannot be written, or the gateway is ending.",
    "504": "The provider took too long.",
    "5XX": "The provider's own.",
}
_OF_ANSWERS = ("400", "401", "403", "404", "429", "4XX", "500", "502", "503", "504", "5XX")


_WAITING = "It is stored, and waits for what it is about, which is not in the journal yet."


@cache
def document() -> bytes:
    """The document, as JSON."""
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {
                "title": "Freehold's gateway",
                "version": __version__,
                "description": "One address for every model: OpenAI's and Anthropic's clients need another base URL and nothing else.",
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            "paths": _paths(),
            "security": [{}, {"bearer": []}, {"x-api-key": []}],
            "components": {
                "schemas": SCHEMAS,
                "securitySchemes": {
                    "bearer": {"type": "http", "scheme": "bearer", "description": "A key, as OpenAI's clients send it."},
                    "reviewer": {"type": "http", "scheme": "bearer", "description": "A reviewer's token."},
                    "x-api-key": {
                        "type": "apiKey",
                        "in": "header",
                        "name": "x-api-key",
                        "description": "A key, as Anthropic's clients send it.",
                    },
                },
            },
        }
    )


def _paths() -> dict[str, Any]:
    return {
        "/v1/chat/completions": {
            "post": _answers("askChatCompletion", "OpenAI's chat completions, whole or streamed", "ChatCompletionRequest", "ChatCompletion")
        },
        "/v1/messages": {
            "post": _answers("askMessage", "Anthropic's messages, whole or streamed", "MessageRequest", "Message", "AnthropicError")
        },
        "/v1/embeddings": {"post": _answers("askEmbeddings", "OpenAI's embeddings", "EmbeddingRequest", "Embeddings", streams=False)},
        "/v1/feedback": {
            "post": _operation(
                "giveFeedback",
                "What somebody says about an answer or a run",
                {"200": _response("It is stored.", _json(ref("FeedbackTaken"))), "202": _response(_WAITING, _json(ref("FeedbackTaken")))},
                _faults("400", "401", "403", "404", "409", "429", "4XX", "500", "503"),
                ref("Feedback"),
            )
        },
        "/v1/feedback/tokens": {
            "post": _operation(
                "makeFeedbackToken",
                "A token with which somebody without a key may speak of a call or a run once",
                {"200": _response("The token.", _json(ref("Token")))},
                _faults("400", "401", "403", "404", "4XX", "500"),
                ref("TokenRequest"),
            )
        },
        "/v1/feedback/public": {
            "post": _operation(
                "givePublicFeedback",
                "What somebody without a key says about what their token is for",
                {"200": _response("It is stored.", _json(ref("FeedbackTaken"))), "202": _response(_WAITING, _json(ref("FeedbackTaken")))},
                _faults("400", "403", "404", "409", "429", "4XX", "500", "503"),
                ref("PublicFeedback"),
            )
            | {"security": [{}]},
            "options": _operation(
                "mayAskFromAPage", "Whether a web page may ask this", {"204": {"description": "Its headers say."}}, _faults("4XX")
            )
            | {"security": [{}]},
        },
        "/v1/review/join": {
            "post": _review(
                "joinReview", "Exchanges an invitation for a reviewer's token, once", "ReviewJoined", "ReviewJoin", is_open=True
            )
        },
        "/v1/review/queues": {"get": _review("listReviews", "The queues that are open to a reviewer", "ReviewQueues")},
        "/v1/review/next": {"post": _review("nextReview", "The question to judge next", "ReviewNext", "ReviewQueue")},
        "/v1/review/verdict": {"post": _review("giveVerdict", "What a reviewer says to a question", "ReviewDone", "ReviewVerdict")},
        "/v1/review/skip": {"post": _review("skipReview", "Puts a question off to the end", "ReviewDone", "ReviewTicket")},
        "/v1/review/flag": {"post": _review("flagReview", "Says that a question cannot be judged, and why", "ReviewDone", "ReviewFlag")},
        "/v1/review/undo": {"post": _review("undoReview", "Takes the last thing back that was said", "ReviewDone", "ReviewQueue")},
        "/v1/calls/{id}": {
            "get": _operation(
                "fetchCall",
                "The answer of a call that waited for a person",
                {
                    "200": _response("The answer, in the format in which the call came in.", _json({"type": "object"})),
                    "202": _response("It still waits.", _json(ref("PendingCall"))),
                },
                _faults("401", "403", "404", "4XX", "502", "503", "504", "5XX"),
            )
            | {"parameters": [_CALL_ID, _WAIT]}
        },
        "/v1/expert/asks": {
            "get": _operation(
                "listQuestions",
                "The questions that wait for a person",
                {"200": _response("Those that are due first, first.", _json(ref("ExpertAsks")))},
                _faults("401", "403", "4XX", "503"),
            )
        },
        "/v1/expert/answers": {
            "post": _operation(
                "answerQuestion",
                "A person's answer to a question",
                {"200": _response("It is the answer.", _json(ref("ExpertAnswered")))},
                _faults("400", "401", "403", "404", "409", "4XX", "500", "503"),
                ref("ExpertAnswer"),
            )
        },
        "/v1/models": {
            "get": _operation(
                "listModels",
                "The tasks, and the configured models that have a provider to ask",
                {"200": _response("The names that can be asked for.", _json(ref("Models")))},
                _faults("401", "4XX"),
            )
        },
        "/healthz": {
            "get": _operation("isAlive", "Whether it runs", {"200": _response("It does.", _json(ref("Healthy")))}, _faults("4XX"))
        },
        "/readyz": {
            "get": _operation(
                "isReady",
                "Whether it can answer",
                {"200": _response("It can.", _json(ref("Ready"))), "503": _response("It cannot, and says why.", _json(ref("NotReady")))},
                _faults("4XX"),
            )
        },
        "/metrics": {
            "get": _operation(
                "readMetrics",
                "Counters and times for Prometheus",
                {"200": _response("The metrics.", {"text/plain": {"schema": {"type": "string"}}})},
                _faults("401", "403", "4XX"),
            )
        },
        "/openapi.json": {
            "get": _operation("readDocument", "This document", {"200": _response("It.", _json({"type": "object"}))}, _faults("4XX"))
        },
    }


def _answers(id: str, summary: str, asked: str, answered: str, error: str = "OpenAIError", streams: bool = True) -> dict[str, Any]:
    """A route that asks a model."""
    content = _json(ref(answered)) | ({"text/event-stream": {}} if streams else {})
    return _operation(
        id,
        summary,
        {
            "200": _response("The answer; events where `stream` is true.", content, _ANSWER_HEADERS),
            "202": _response("A person is asked, and the answer will be at `answer_at`.", _json(ref("PendingCall"))),
        },
        _faults(*_OF_ANSWERS, error=error),
        ref(asked),
    )


def _review(id: str, summary: str, told: str, asked: str | None = None, is_open: bool = False) -> dict[str, Any]:
    """A route for reviewers, who show their token; an invitation is shown by whoever has none."""
    operation = _operation(
        id,
        summary,
        {"200": _response("It is done.", _json(ref(told)))},
        _faults("400", "401", "4XX", "500", "503"),
        None if asked is None else ref(asked),
    )
    return operation | {"security": [{}] if is_open else [{"reviewer": []}]}


def _operation(id: str, summary: str, told: dict[str, Any], faults: dict[str, Any], body: Schema | None = None) -> dict[str, Any]:
    asked = {} if body is None else {"requestBody": {"required": True, "content": _json(body)}}
    return {"operationId": id, "summary": summary, **asked, "responses": told | faults}


def _faults(*statuses: str, error: str = "OpenAIError") -> dict[str, Any]:
    return {status: _response(_FAULTS[status], _json(ref(error))) for status in statuses}


def _response(description: str, content: dict[str, Any], headers: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"description": description, "content": content} | ({"headers": headers} if headers else {})


def _json(schema: Schema) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}
