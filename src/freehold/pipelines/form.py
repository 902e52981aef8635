"""A typed question as whoever serves it sees it: put in words for each variant in its own way, and its answer read back as a value."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from contextvars import copy_context
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec
from pydantic import ValidationError

from freehold.catalog import Task, Variant
from freehold.chat import (
    CHARS_A_TOKEN,
    JSON,
    ChatAnswer,
    ChatRequest,
    Choice,
    Message,
    Outcome,
    OutputShape,
    Part,
    Text,
    canonical_json,
    is_finite,
    key_of,
    media_part,
    text_of,
)
from freehold.context.media import Aside
from freehold.context.prompt import Example, Filling, Prompt
from freehold.context.prompts import PRODUCTION
from freehold.errors import CallerError, DataError
from freehold.gateway.formats import OPENAI, Format
from freehold.gateway.tariff import Sent
from freehold.journal.served import Question, outcome_of
from freehold.journal.shape import shape_of
from freehold.pipelines.examples import Rated
from freehold.pipelines.media import tokens_of
from freehold.pipelines.parse import Malformed, Parsed
from freehold.pipelines.signature import Signature
from freehold.providers.provider import Target
from freehold.serving.asked import Asked, Turn, written
from freehold.serving.resources import TASK_PREFIX
from freehold.variants.outcome import Outcome as Found
from freehold.variants.terms import CannotGive, media_in, words_of

_AGAIN = "That cannot be read: {why}\nGive the same answer again, as JSON alone that fits the schema."
_OF_SCHEMAS = ("schema", "format", "json")
"""One of these is in what a provider says that takes no schema."""
_encode = msgspec.json.Encoder().encode


class Manner(NamedTuple):
    """How a task puts its questions: what is the same for all of them."""

    task: Task
    """The task."""
    signature: Signature
    """Its types."""
    prompt_of: Callable[[str], Prompt]
    """The prompt of a label or hash. Raises CallerError."""
    examples_of: Callable[[JSON, int], Sequence[Rated]]
    """So many answered questions like an input; for none the program's own."""
    takes_schema: Callable[[str], bool]
    """Whether a variant's provider has a mode for JSON of a schema."""
    note_no_schema: Callable[[str, str], None]
    """Told a variant whose provider refused that, and what it said."""
    repairs: bool = False
    """Whether an answer that cannot be read is asked for again."""
    format_of: Callable[[str], Format] = lambda variant: OPENAI
    """The format that a variant's provider speaks."""

    def question(self, values: Mapping[str, Any]) -> Message:
        """The question alone, in the words in which most are asked it. Raises CallerError."""
        filling = Filling(self.task.instruction, self.signature.said(values, OPENAI))
        return self.prompt_of(PRODUCTION).messages(filling)[-1]


class Typed(Asked):
    """One question. It is asked in process, so there is no body but what it is put into for each variant."""

    def __init__(
        self,
        manner: Manner,
        values: Mapping[str, Any],
        input: JSON,
        about: Mapping[bytes, str],
        tags: dict[str, str],
        stream: bool,
        before: tuple[Message, ...] = (),
    ) -> None:
        self.before = before
        """What was said before the question."""
        body: dict[str, JSON] = {"model": f"{TASK_PREFIX}{manner.task.id}"}
        self.body = self.as_openai = body
        self.door: Format = OPENAI
        self.about = about
        self.size_bytes = 0
        self.stream = stream
        self.wants_usage = True
        self.parsed: Parsed[Any] | None = None
        """The last answer that could be read."""
        self.why = ""
        """What was wrong with the last that could not."""
        self.may_ask_again = manner.repairs
        self.prompt = ""
        self.context = copy_context()
        self._manner = manner
        self._values = values
        self._input = input
        self._own_tags = tags
        self._requests: dict[tuple[str, str], ChatRequest] = {}
        self._in_words: set[str] = set()
        self._media: Aside | None = None
        self._read: ChatAnswer | None = None
        self._outcome: Outcome = "answered"
        self._made: tuple[Choice, ...] | None = None
        self._text = None
        self._has_steps = False

    # What is asked.

    @property
    def text(self) -> str:
        """As of `Asked`."""
        if self._text is None:
            self._text = text_of(self._input)
        return self._text

    @property
    def tags(self) -> dict[str, str]:
        """As of `Asked`."""
        return self._own_tags

    def key(self) -> str:
        """As of `Asked`."""
        return key_of(self._input)

    @property
    def tokens(self) -> int:
        """As of `Asked`."""
        return len(self.text) // CHARS_A_TOKEN + (tokens_of(media, OPENAI) if (media := self.media).held else 0)

    @property
    def media(self) -> Aside:
        """The images, recordings, films and documents that are asked about."""
        if self._media is None:
            self._media = self._manner.signature.media(self._values)
        return self._media

    @property
    def session(self) -> str:
        """As of `Asked`."""
        return self.about.get(b"episode") or self._manner.task.id

    @property
    def question(self) -> Question:
        """As of `Asked`."""
        return question_of(self._input, self._own_tags)

    def elsewhere(self, model: str) -> Asked:
        """As of `Asked`."""
        other = Typed(self._manner, self._values, self._input, self.about, self._own_tags, False, self.before)
        other.body = {"model": model}
        return other

    def check(self) -> None:
        """As of `Asked`."""

    # What a variant is sent.

    def request(self, variant: Variant, format: Format | None = None) -> ChatRequest:
        """What a variant is asked. `format`: what whoever is asked speaks; None for the variant's own provider. Raises CallerError where the
        prompt cannot be filled in, and where the format has no place for what is asked or answered."""
        format = format or self._manner.format_of(variant.id)
        known = self._requests.get((variant.id, format.name))
        if known is None:
            known = self._requests[variant.id, format.name] = self._request(variant, format)
        return known

    def _request(self, variant: Variant, format: Format) -> ChatRequest:
        manner = self._manner
        signature = manner.signature
        prompt = manner.prompt_of(variant.prompt)
        shown = signature.shown
        has_steps = variant.steps and shown is None
        self._has_steps = self._has_steps or has_steps
        schema = None if shown is not None or (signature.is_text and not has_steps) else signature.schema(has_steps)
        in_words = schema is not None and not manner.takes_schema(variant.id)
        examples = self._examples(variant.examples, format) if shown is None else ()
        said = signature.said(self._values, format)
        filling = Filling(manner.task.instruction, said, _encode(schema).decode() if in_words else "", examples)
        shape = None
        if schema is not None and not in_words:
            shape = OutputShape(kind="schema", name=_name(manner.task.id), schema=schema, strict=signature.is_strict)
        messages = prompt.messages(filling)
        if self.before:
            messages = (*messages[:-1], *self.before, messages[-1])
        further = {} if shown is None else shown.asked_of(variant.id, format)
        return ChatRequest(model="", messages=messages, shape=shape, further=further)

    def _examples(self, n: int, format: Format) -> list[Example]:
        """Answered questions as a template is given them; without those that were asked when the task took other values."""
        signature, shown = self._manner.signature, []
        for one in self._manner.examples_of(self._input, n):
            with suppress(CallerError):
                shown.append(Example(signature.said(signature.read_json(one.input), format), words_of(one.output)))
        return shown

    def said_to(self, variant: Variant) -> Sent:
        """As of `Asked`."""
        format = self._manner.format_of(variant.id)
        request = msgspec.structs.replace(self.request(variant, format), max_output_tokens=variant.sampling.max_output_tokens)
        body = format.write_request(request)
        return Sent(body, len(_encode(body)), tokens_of(self.media, format) if self.media.held else None)

    def outgoing(self, target: Target, variant: Variant, stream: bool, turn: Turn) -> tuple[Format, bytes]:
        """As of `Asked`."""
        request = self.request(variant, target.provider.format)
        self.prompt = self._manner.prompt_of(variant.prompt).hash
        if turn.is_free:
            request = msgspec.structs.replace(request, shape=None, further={})
        return target.provider.format, written(request, target, variant, stream, turn)

    def says_less(self, variant: str, why: str) -> bool:
        """As of `Asked`: the form of the answer is said in words to one who refuses the schema."""
        known = [key for key, request in self._requests.items() if key[0] == variant and request.shape is not None]
        if known and any(word in why.lower() for word in _OF_SCHEMAS):
            self._manner.note_no_schema(variant, why)
            self._in_words.add(variant)
            for key in known:
                del self._requests[key]
        return variant in self._in_words  # also where it was another of several answers that was refused first

    def told_apart_by(self, variant: Variant) -> Mapping[str, JSON]:
        """As of `Asked`."""
        self.prompt = self._manner.prompt_of(variant.prompt).hash
        return OPENAI.write_request(self.request(variant))

    def again(self, answer: ChatAnswer) -> tuple[Message, ...]:
        """As of `Asked`."""
        if not self._manner.repairs or self._manner.signature.shown is not None:
            return ()
        words = _words(answer)
        said = () if not words else (Message(role="assistant", parts=(Text(text=words),)),)
        return (*said, Message(role="user", parts=(Text(text=_AGAIN.format(why=self.why)),)))

    # What is answered.

    def outcome(self, answer: ChatAnswer) -> Outcome:
        """As of `Asked`; `malformed` for what is no value of the task's output type."""
        if answer.choices is self._made:
            return "answered"
        if self._read is not answer:
            self._read, self._outcome = answer, outcome_of(answer)
            if self._outcome == "answered":
                try:
                    self.parsed = self._manner.signature.answered(_parts(answer), self._has_steps)
                except Malformed as error:
                    self._outcome, self.why = "malformed", str(error)
        return self._outcome

    def output(self, answer: ChatAnswer) -> JSON:
        """As of `Asked`: the value; the words of what is none."""
        if self.outcome(answer) == "answered" and self.parsed is not None:
            return self._manner.signature.output_json(self.parsed.value)
        return _words(answer)

    def choices(self, found: Found, call: str) -> tuple[Choice, ...]:
        """As of `Asked`."""
        try:
            self.parsed = Parsed(self._manner.signature.value_of(found.output), ())
        except (Malformed, ValidationError) as error:
            raise CannotGive(f"{found.output!r:.80} is no {self._manner.signature.output_name}: {str(error).splitlines()[0]}") from None
        try:
            made = (Choice(parts=self._made_of(found.output)),)
        except DataError as error:
            raise CannotGive(str(error)) from None
        self._read, self._made = None, made
        return made

    def _made_of(self, output: JSON) -> tuple[Part, ...]:
        if self._manner.signature.shown is None:
            return (Text(text=words_of(output)),)
        return tuple(media_part(one) for one in media_in(output))

    def said(self, output: JSON) -> str:
        """As of `Asked`."""
        return words_of(output) if self._manner.signature.shown is None else text_of(output)

    def partial(self, text: str) -> Any:
        """What there is of the value in the words that have come so far; None for nothing yet."""
        return self._manner.signature.partial(text, self._has_steps)

    # What functions of the project's own see of it.

    @property
    def values(self) -> Mapping[str, Any]:
        """As of `Asked`."""
        return self._values

    def value(self, output: JSON) -> Any:
        """As of `Asked`."""
        return self._manner.signature.value_of(output)

    @property
    def form(self) -> JSON:
        """As of `Asked`."""
        signature = self._manner.signature
        return None if signature.is_text or signature.shown is not None else signature.schema(False)

    def written(self, value: Any) -> JSON:
        """As of `Asked`."""
        signature = self._manner.signature
        try:
            output = signature.output_json(signature.output.validate_python(value))
        except ValidationError as error:
            raise DataError(
                f"the body of '{self._manner.task.id}' gave {value!r:.80}, which is no {signature.output_name}: {error}"
            ) from None
        if not is_finite(output):
            raise DataError(f"the body of '{self._manner.task.id}' gave {value!r:.80}, and JSON has no number that is not finite")
        return output


def question_of(input: JSON, tags: dict[str, str]) -> Question:
    """What the journal keeps of an input: the same name for the same input, however it came in."""
    asked = input if isinstance(input, str) else canonical_json(input)
    raw = asked.encode("utf-8", "surrogatepass") if isinstance(asked, str) else asked
    return Question(input, blake2b(raw, digest_size=16).hexdigest(), shape_of(input), None, tags)


def _parts(answer: ChatAnswer) -> tuple[Part, ...]:
    return answer.choices[0].parts if answer.choices else ()


def _words(answer: ChatAnswer) -> str:
    return "".join(part.text for part in _parts(answer) if isinstance(part, Text))


def _name(task: str) -> str:
    """A task's name as providers allow names of schemas."""
    return "".join(letter if letter.isascii() and (letter.isalnum() or letter in "_-") else "_" for letter in task)[:64] or "answer"
