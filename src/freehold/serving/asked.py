"""A request as its door reads it, and what is worked out of it: once, and only where somebody asks."""

import re
from collections.abc import Mapping
from contextvars import Context
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec

from freehold.catalog import Sampling, Variant
from freehold.chat import (
    CHARS_A_TOKEN,
    JSON,
    ChatAnswer,
    ChatRequest,
    Choice,
    Message,
    Outcome,
    canonical_json,
    is_messages,
    key_of,
    text_of,
)
from freehold.errors import CallerError, DataError
from freehold.gateway.embeddings import check_request
from freehold.gateway.formats import ANTHROPIC, EMBEDDINGS, OPENAI, Format
from freehold.gateway.tariff import Sent
from freehold.journal.formats.openai import question_of
from freehold.journal.served import Question, outcome_of, output_of, question, question_about
from freehold.providers.provider import Target, named
from freehold.tables import MOST_DEADLINE_S
from freehold.variants import terms
from freehold.variants.outcome import Outcome as Found

_MOST_MODEL_CHARS = 200
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NO_SAMPLING = Sampling()
_encode = msgspec.json.Encoder().encode


class Turn(NamedTuple):
    """How one who is asked for a call is asked differently from others."""

    more: tuple[Message, ...] = ()
    """What is said after the question."""
    is_free: bool = False
    """Whether the answer need not have the form that the question asks for, such as a verdict on another answer."""
    number: int = 0
    """Which of several answers of one variant this is: a seed is counted up by it."""


AS_IT_IS = Turn()


class Asked:
    """What is asked."""

    def __init__(self, door: Format, body: dict[str, JSON], size_bytes: int, about: Mapping[bytes, str]) -> None:
        """`size_bytes`: of its JSON. `about`: what its headers say to us, by their names without `x-freehold-`.

        Raises CallerError for what asks nothing.
        """
        self.body = body
        self.door = door
        """In whose words it is."""
        self.may_ask_again = False
        """Whether an answer of another form than was asked for is asked for once more."""
        self.prompt = ""
        """The hash of the prompt by which it was put in words, where that was done here."""
        self.context: Context | None = None
        """In which functions of the project's own run for it; None for any."""
        self.about = about
        self.size_bytes = size_bytes
        """Of its JSON, as it came."""
        self.stream = False
        """Whether the answer is to come in pieces."""
        self.wants_usage = True
        """Whether the last of those are to say what was used."""
        self.as_openai = body
        """The same in OpenAI's words, as the journal keeps it."""
        self._parts: dict[str, JSON] | None = None
        """Those of them that are the question; None where it is no chat."""
        self._text: str | None = None
        self._tags: dict[str, str] | None = None
        if door is EMBEDDINGS:
            check_request(body)
            return
        self.stream = body.get("stream") is True
        if door is OPENAI:
            options = body.get("stream_options")
            self.wants_usage = isinstance(options, dict) and options.get("include_usage") is True
        else:
            self.as_openai = _as_openai(body)
        try:
            self._parts = question_of(self.as_openai)  # before anybody is paid for an answer to nothing
        except DataError as error:
            raise CallerError(str(error)) from None
        if door is OPENAI and "prompt" not in self._parts and not is_messages(self._parts["messages"]):
            raise CallerError("messages: expected a list of messages, each an object with a role")

    @property
    def model(self) -> str:
        """The name that is asked for. Raises CallerError for one that is none."""
        model = self.body.get("model")
        if not isinstance(model, str) or not model:
            raise CallerError("the body names no model")
        if len(model) > _MOST_MODEL_CHARS or _CONTROL.search(model):
            raise CallerError(f"model: expected a name of at most {_MOST_MODEL_CHARS} characters, none of them a control character")
        return model

    @property
    def text(self) -> str:
        """The words that differ from call to call."""
        if self._text is None:
            self._text = text_of(self.as_openai)
        return self._text

    def key(self) -> str:
        """What recordings and memories know it by."""
        return key_of(self.as_openai)

    @property
    def tags(self) -> dict[str, str]:
        """What came along."""
        if self._tags is None:
            tags = self.body.get("metadata")
            self._tags = {key: value for key, value in tags.items() if isinstance(value, str)} if isinstance(tags, dict) else {}
        return self._tags

    @property
    def tokens(self) -> int:
        """About how many tokens it will take: a quarter of the characters that were said, and what may be answered."""
        said = len(self.text) // CHARS_A_TOKEN
        for name in ("max_completion_tokens", "max_tokens"):
            most = self.as_openai.get(name)
            if type(most) is int and most > 0:
                return said + most
        return said

    @property
    def session(self) -> str:
        """What the requests of one conversation share: what the caller says, else how it began."""
        asked = self.as_openai
        for said in (self.about.get(b"session"), asked.get("prompt_cache_key"), asked.get("user")):
            if isinstance(said, str) and said:
                return said
        messages = asked.get("messages")
        return blake2b(canonical_json(messages[:2] if isinstance(messages, list) else messages), digest_size=16).hexdigest()

    @property
    def question(self) -> Question:
        """What the journal keeps of it. Raises DataError for what no journal can keep."""
        return question_about(self.body["input"]) if self._parts is None else question(self.as_openai, self._parts)

    def subject(self) -> str | None:
        """The person it is about; None also where no journal can keep what it asks."""
        try:
            return self.question.subject
        except DataError:
            return None

    # Put to others, and answered by others.

    def for_one(self) -> "Asked":
        """The same, asked for one answer, however many are wanted."""
        if "n" not in self.body:
            return self
        body = {name: value for name, value in self.body.items() if name != "n"}
        return Asked(self.door, body, self.size_bytes, self.about)

    def elsewhere(self, model: str) -> "Asked":
        """The same, asked of another model, whole."""
        body = {name: value for name, value in self.body.items() if name not in ("stream", "stream_options")}
        return Asked(self.door, {**body, "model": model}, self.size_bytes, {})

    # What a variant is sent, and what its answer is.

    def check(self) -> None:
        """Raises CallerError for a request that nobody could answer."""
        self.door.read_request(self.body)

    def said_to(self, variant: Variant) -> Sent:
        """What a variant is sent, for an estimate of what it costs."""
        most = variant.sampling.max_output_tokens
        return Sent(self.body if most is None else {**self.body, "max_completion_tokens": most}, self.size_bytes)

    def outgoing(self, target: Target, variant: Variant, stream: bool, turn: Turn) -> tuple[Format, bytes]:
        """In which format a variant is asked, and the body: the caller's own words where both speak one format, else the same in the other's.

        Raises CallerError where it cannot be asked this.
        """
        spoken, body = target.provider.format, self.body
        if spoken is self.door or (self.door is EMBEDDINGS and spoken is OPENAI):
            body = named(body, target.model)
            if self.stream and not stream:
                body = {name: value for name, value in body.items() if name not in ("stream", "stream_options")}
            elif stream and self.door is OPENAI and not self.wants_usage:
                body = {**body, "stream_options": {"include_usage": True}}  # what it cost has to be known, whoever asked
            if turn == AS_IT_IS and variant.sampling == _NO_SAMPLING:
                return self.door, _encode(body)
        if self.door is EMBEDDINGS:
            raise CallerError(f"'{target.provider.name}' gives no embeddings: its format has none")
        request = self.door.read_request(body)
        if turn.is_free:
            request = msgspec.structs.replace(request, shape=None, tools=(), tool_choice=None)
        return spoken, written(request, target, variant, stream, turn)

    def told_apart_by(self, variant: Variant) -> Mapping[str, JSON]:
        """All that a variant's answer depends on, so that the same need not be asked twice."""
        return self.body

    def says_less(self, variant: str, why: str) -> bool:
        """Whether the same can be asked without something that whoever is asked does not take. `why`: what they said of it."""
        return False

    def again(self, answer: ChatAnswer) -> tuple[Message, ...]:
        """What asks for an answer of the right form, where one was of another; nothing where it is not asked again."""
        return ()

    def outcome(self, answer: ChatAnswer) -> Outcome:
        """How it ended with whoever answered so."""
        return outcome_of(answer)

    def output(self, answer: ChatAnswer) -> JSON:
        """What an answer says, as the journal keeps it."""
        return None if self.door is EMBEDDINGS else output_of(answer)

    def choices(self, found: Found, call: str) -> tuple[Choice, ...]:
        """An answer that was made here, in the form that is asked for. Raises CannotGive where it has none, and CallerError."""
        return terms.choices(found, self.as_openai, call)

    # A variant that asks others, or is a function: what those see of it.

    @property
    def values(self) -> Mapping[str, Any]:
        """The input, by parameter."""
        return {"text": self.text}

    def value(self, output: JSON) -> Any:
        """An answer as functions of the project's own are told it."""
        return output

    @property
    def wait_s(self) -> float | None:
        """How long the caller waits for a person, where it says. Raises CallerError."""
        said = self.about.get(b"wait-s")
        if said is None:
            return None
        try:
            wait_s = float(said)
        except ValueError:
            wait_s = -1.0
        if not 0 <= wait_s <= MOST_DEADLINE_S:
            raise CallerError(f"x-freehold-wait-s is '{said[:40]}'; expected a number of seconds from 0 to {MOST_DEADLINE_S:,.0f}")
        return wait_s

    @property
    def form(self) -> JSON:
        """A JSON schema of what is to be answered; None for words."""
        form = self.as_openai.get("response_format")
        if not isinstance(form, dict) or form.get("type") not in ("json_object", "json_schema"):
            return None
        told = form.get("json_schema") if form["type"] == "json_schema" else None
        schema = told.get("schema") if isinstance(told, dict) else None
        return schema if isinstance(schema, dict) else {"type": "object"}

    def written(self, value: Any) -> JSON:
        """What such a function answers, as the journal keeps it. Raises DataError for what is no answer to this."""
        return value

    def said(self, output: JSON) -> str:
        """An answer in words."""
        return terms.words_of(output)


def written(request: ChatRequest, target: Target, variant: Variant, stream: bool, turn: Turn) -> bytes:
    """The body by which a variant is asked a request in its provider's format. Raises CallerError."""
    said = {name: value for name, value in msgspec.structs.asdict(variant.sampling).items() if value is not None}
    seed = said.get("seed", request.seed)
    if seed is not None:
        said["seed"] = seed + turn.number
    request = msgspec.structs.replace(
        request, model=target.model, messages=(*request.messages, *turn.more), stream=stream, usage_in_stream=stream, **said
    )
    return _encode(target.provider.format.write_request(request))


def _as_openai(body: dict[str, JSON]) -> dict[str, JSON]:
    """A request in Anthropic's words as the journal keeps it: in OpenAI's. What those have no words for stays as it is, for an Anthropic
    provider may understand it."""
    try:
        request = ANTHROPIC.read_request(body)
        return OPENAI.write_request(msgspec.structs.replace(request, thinking_tokens=None, further={}))
    except CallerError:
        messages: JSON = body.get("messages")
        if not is_messages(messages):
            raise
        system: list[JSON] = [{"role": "system", "content": body["system"]}] if body.get("system") else []
        return {**body, "messages": [*system, *messages]}
