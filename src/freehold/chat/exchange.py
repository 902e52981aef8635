"""The nouns of one exchange: what is asked of a model, what it answers, whole or in pieces, and what that used.

They belong to no provider: `gateway/` and `providers/` read and write the wire formats. What a format says and these records have no
place for stands in `further`, under the format's own name, and is an error where it would have to be said in another format.
"""

from typing import Literal, TypeAlias

import msgspec

from freehold.chat.value import JSON
from freehold.errors import DataError

Role: TypeAlias = Literal["system", "developer", "user", "assistant", "tool"]
Modality: TypeAlias = Literal["text", "image", "audio", "video", "file"]
Outcome: TypeAlias = Literal["answered", "refused", "malformed", "failed", "timed_out", "cancelled"]
"""How a call or an attempt ended."""
Cause: TypeAlias = Literal["first", "retry", "fallback", "hedge", "escalation", "sample", "check", "revision", "repair"]
"""Why an attempt was made."""


class Usage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, forbid_unknown_fields=True):
    """What one answer used, in tokens. The parts always sum: `input_tokens` = fresh + cached_read + cached_write."""

    input_tokens: int = 0
    """All tokens put before the model, cached ones included."""
    cached_read: int = 0
    """Those of `input_tokens` that the provider read from its prompt cache."""
    cached_write: int = 0
    """Those of `input_tokens` that the provider wrote to its prompt cache."""
    output_tokens: int = 0
    """All tokens the model produced, reasoning included."""
    reasoning_tokens: int = 0
    """Those of `output_tokens` spent on reasoning the caller does not see."""
    input_by_modality: dict[Modality, int] | None = None
    """`input_tokens` split by modality, where the provider says; sums to `input_tokens`."""
    output_by_modality: dict[Modality, int] | None = None
    """`output_tokens` split by modality, where the provider says; sums to `output_tokens`."""

    def __post_init__(self) -> None:
        counts = (self.input_tokens, self.cached_read, self.cached_write, self.output_tokens, self.reasoning_tokens)
        if min(counts) < 0:
            raise DataError(f"usage has a negative count: {counts}; token counts are whole numbers from 0")
        if self.cached_read + self.cached_write > self.input_tokens:
            raise DataError(
                f"usage does not add up: cached_read {self.cached_read} + cached_write {self.cached_write} is more than "
                f"input_tokens {self.input_tokens}, which is the total and includes both"
            )
        if self.reasoning_tokens > self.output_tokens:
            raise DataError(
                f"usage does not add up: reasoning_tokens {self.reasoning_tokens} is more than output_tokens "
                f"{self.output_tokens}, which includes it"
            )
        if self.input_by_modality is self.output_by_modality is None:
            return
        for total, split, name in (
            (self.input_tokens, self.input_by_modality, "input_by_modality"),
            (self.output_tokens, self.output_by_modality, "output_by_modality"),
        ):
            if split is not None and (sum(split.values()) != total or min(split.values(), default=0) < 0):
                raise DataError(f"usage does not add up: {name} {split} has to sum to {total} with no negative part")

    @property
    def fresh_tokens(self) -> int:
        """Input tokens that touched no cache."""
        return self.input_tokens - self.cached_read - self.cached_write


class Text(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="text"):
    """Words."""

    text: str
    """What is said."""
    cache: JSON = None
    """The provider's mark that a prompt cache may end here, such as `{"type": "ephemeral"}`."""


class Media(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="media"):
    """An image, a recording, a film or a document: its bytes, its address, or a provider's name for it. Addresses are never fetched."""

    kind: Modality
    """What it is."""
    media_type: str = ""
    """Such as `image/png`; empty where nobody said."""
    data: str = ""
    """The bytes in base64."""
    url: str = ""
    """Where it lies."""
    file: str = ""
    """A provider's id of a file that was handed to it, or of a recording that it made."""
    name: str = ""
    """The file's name or title."""
    detail: str = ""
    """How closely to look, in OpenAI's words."""
    transcript: str = ""
    """What is said in a recording, where whoever made it says."""
    expires_at: int = 0
    """Seconds since 1970 UTC until which its provider knows it by `file`; 0 where nobody said."""
    cache: JSON = None
    """As of `Text`."""


class ToolCall(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="tool_call"):
    """A model asks for a tool."""

    id: str
    """What the result has to name."""
    name: str
    """Which tool."""
    arguments: str
    """JSON as the model wrote it, which may be none."""
    cache: JSON = None
    """As of `Text`."""


class ToolResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="tool_result"):
    """What a tool gave."""

    call: str
    """The id of the call it answers."""
    parts: tuple["Text | Media", ...] = ()
    """What it gave."""
    is_error: bool = False
    """Whether the tool failed."""
    cache: JSON = None
    """As of `Text`."""


class Thinking(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="thinking"):
    """What a model thought before it answered."""

    text: str = ""
    """The thought, or a summary of it."""
    signature: str = ""
    """What lets its provider recognise it when it comes back."""
    sealed: str = ""
    """A thought nobody but its provider can read."""


class Refusal(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag="refusal"):
    """A model says that it will not answer."""

    text: str
    """How it says so."""


Part: TypeAlias = Text | Media | ToolCall | ToolResult | Thinking | Refusal
"""A piece of a message, in the order in which it stands there."""


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What one side said."""

    role: Role
    """Who said it. Results of tools are the tool's."""
    parts: tuple[Part, ...] = ()
    """What was said."""
    name: str = ""
    """Which of several participants of that role."""


class Tool(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A function that the model may ask for."""

    name: str
    """What it is called."""
    description: str = ""
    """When to ask for it."""
    schema: JSON = None
    """JSON schema of its arguments; None for none."""
    strict: bool | None = None
    """Whether arguments have to fit the schema."""
    cache: JSON = None
    """As of `Text`."""


class ToolChoice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Which tools the model may or must ask for."""

    kind: Literal["auto", "none", "required", "named"]
    """As it likes, none, at least one, or the one of that name."""
    name: str = ""
    """The one that is named."""


class OutputShape(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What the answer has to look like."""

    kind: Literal["text", "json", "schema"]
    """Words, any JSON object, or JSON of a schema."""
    name: str = ""
    """What the schema is called."""
    schema: JSON = None
    """The schema."""
    strict: bool | None = None
    """Whether the answer has to fit it."""
    description: str = ""
    """What the schema is for."""


class ChatRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What is asked of a model. None leaves a setting to the provider."""

    model: str
    """The model's name, as whoever is asked knows it."""
    messages: tuple[Message, ...]
    """The conversation so far; the system's words come first."""
    tools: tuple[Tool, ...] = ()
    """What it may ask for."""
    tool_choice: ToolChoice | None = None
    """Which of them."""
    parallel_tools: bool | None = None
    """Whether it may ask for several at once."""
    shape: OutputShape | None = None
    """What the answer has to look like."""
    max_output_tokens: int | None = None
    """The most it may write."""
    stop: tuple[str, ...] = ()
    """Where to stop."""
    temperature: float | None = None
    """Sampling temperature."""
    top_p: float | None = None
    """Nucleus sampling."""
    top_k: int | None = None
    """The most candidates for a token."""
    seed: int | None = None
    """For sampling that repeats."""
    frequency_penalty: float | None = None
    """As OpenAI has it."""
    presence_penalty: float | None = None
    """As OpenAI has it."""
    logit_bias: dict[str, float] | None = None
    """By token id."""
    top_logprobs: int | None = None
    """Log-probabilities of so many candidates beside each token's own; None for none at all."""
    choices: int = 1
    """How many answers to give."""
    effort: str | None = None
    """How hard to think, in the provider's words."""
    thinking_tokens: int | None = None
    """The most it may think; 0 for not at all."""
    user: str | None = None
    """A name for the end user, as the provider asks for one."""
    metadata: dict[str, str] | None = None
    """What the provider stores with it."""
    service_tier: str | None = None
    """The provider's class of service."""
    stream: bool = False
    """Whether the answer is wanted in pieces."""
    usage_in_stream: bool = False
    """Whether a stream has to say what it used."""
    further: dict[str, JSON] = {}
    """What only the format it came in knows, by that format's name of it, such as `openai.prediction`."""


Finish: TypeAlias = Literal["stop", "length", "tools", "filtered", "refused", "paused"]
"""Why an answer ended."""


class Choice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One answer."""

    parts: tuple[Part, ...] = ()
    """What it says."""
    finish: Finish = "stop"
    """Why it ended."""
    stop: str | None = None
    """The stop sequence it ended at, where the provider says."""
    logprobs: JSON = None
    """Log-probabilities, as OpenAI writes them."""


class ChatAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What a model answered."""

    id: str
    """The provider's id of it."""
    model: str
    """The model that answered, by the provider's name."""
    choices: tuple[Choice, ...]
    """The answer, or as many as were asked for."""
    usage: Usage | None = None
    """What it used; None where the provider did not say."""
    created: int = 0
    """Seconds since 1970 UTC; 0 where the provider did not say."""
    tier: str = ""
    """The class of service it was billed under, where the provider says."""


class CallPiece(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A piece of a call of a tool."""

    index: int
    """Which of the answer's calls it belongs to, from 0."""
    id: str = ""
    """The call's id, in its first piece."""
    name: str = ""
    """The tool, in its first piece."""
    arguments: str = ""
    """More of the arguments."""


class Chunk(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A piece of an answer. Whatever it does not say is empty."""

    choice: int = 0
    """Which of the answers it belongs to."""
    id: str = ""
    """The provider's id of the answer, in the first piece."""
    model: str = ""
    """The model that answers, in the first piece."""
    created: int = 0
    """As of `ChatAnswer`, in the first piece."""
    text: str = ""
    """More words."""
    thinking: str = ""
    """More thoughts."""
    signature: str = ""
    """The signature of the thought that ends here."""
    sealed: str = ""
    """A whole thought that nobody but its provider can read."""
    refusal: str = ""
    """More of a refusal."""
    call: CallPiece | None = None
    """More of a call of a tool."""
    media: Media | None = None
    """A whole image, or more of a recording: its bytes, a base64 of their own, and its transcript go on where the last piece ended."""
    logprobs: JSON = None
    """Log-probabilities of these words, as OpenAI writes them."""
    finish: Finish | None = None
    """Why the answer ended, in its last piece."""
    stop: str | None = None
    """The stop sequence it ended at."""
    usage: Usage | None = None
    """What it used so far; the last one that is told counts."""
    tier: str = ""
    """As of `ChatAnswer`, in the first piece."""
