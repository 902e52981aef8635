"""A request as its door reads it, and what is worked out of it: once, and only where somebody asks."""

import re
from collections.abc import Mapping
from hashlib import blake2b

import msgspec

from freehold.chat import JSON, canonical_json, is_messages, text_of
from freehold.errors import CallerError, DataError
from freehold.gateway.embeddings import check_request
from freehold.gateway.formats import ANTHROPIC, EMBEDDINGS, OPENAI, Format
from freehold.journal.formats.openai import question_of
from freehold.journal.served import Question, question, question_about

_MOST_MODEL_CHARS = 200
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_CHARS_PER_TOKEN = 4


class Asked:
    """What is asked."""

    def __init__(self, door: Format, body: dict[str, JSON], size_bytes: int, about: Mapping[bytes, str]) -> None:
        """`size_bytes`: of its JSON. `about`: what its headers say to us, by their names without `x-freehold-`.

        Raises CallerError for what asks nothing.
        """
        self.body = body
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
        said = len(self.text) // _CHARS_PER_TOKEN
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
