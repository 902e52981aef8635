"""Images, recordings, films and documents of a task: as input they are parts of a message, in the place where its template names them; as output
they are parts of an answer.
"""

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Annotated, Any, NamedTuple, get_args, get_origin

import msgspec

from freehold.chat import JSON, Media, Modality, Part, Text
from freehold.context.media import Aside, Audio, File, Image, Medium
from freehold.context.media_tokens import ANTHROPIC_HIGH, OPENAI_PATCHES, OPENAI_TILES, MediaRules, tokens_estimate
from freehold.context.video import AnyMedia, Sampling, Video, from_part
from freehold.errors import CallerError, DataError
from freehold.gateway.formats import ANTHROPIC, OPENAI, Format
from freehold.gateway.tariff import MEDIA_TOKENS
from freehold.pipelines.parse import Malformed
from freehold.variants.terms import media_in

_RULES: Mapping[str, tuple[MediaRules, ...]] = {"openai": (OPENAI_TILES, OPENAI_PATCHES), "anthropic": (ANTHROPIC_HIGH,)}
"""By a format's name the rules that models may count by that speak it. The one that gives most counts."""
_NAMES = {"image": "an image", "audio": "a recording", "video": "a film", "file": "a document"}


# As input.


def parts_of(value: Medium, sampling: Sampling | None, format: Format) -> tuple[Part, ...]:
    """A value as parts of a message in a format. A film that has frames is its frames, and its sound where the format has a place for it.

    Raises CallerError for what the format has no place for.
    """
    if isinstance(value, Video):
        return value.parts(sampling, takes_video="video" in format.takes and not value.frames, takes_audio="audio" in format.takes)
    if value.kind not in format.takes:
        held = " and ".join(sorted(_NAMES[kind] for kind in format.takes))
        raise CallerError(f"{value!r} cannot be said to a provider that speaks {format.name}: its messages hold, beside text, {held}")
    return value.parts()


def tokens_of(aside: Aside, format: Format) -> int:
    """About how many tokens media are, once they are parts of a message in that format; what no rule tells counts as `MEDIA_TOKENS`."""
    return sum(_tokens(value, about, format) for value, about in aside.held)


def tokens_of_part(part: Media) -> int:
    """About how many tokens a part of a message is, whichever format it is said in."""
    return max(_tokens(from_part(part), None, format) for format in (OPENAI, ANTHROPIC))


def _tokens(value: Medium, about: Any, format: Format) -> int:
    if isinstance(value, Video) and value.frames:
        sound = (value.sound,) if value.sound is not None and "audio" in format.takes else ()
        return sum(_tokens(one, None, format) for one in (*(frame.image for frame in value.sampled(about)), *sound))
    assert isinstance(value, Image | Audio | Video | File)
    told = [tokens_estimate(value, rules) for rules in _RULES[format.name]]
    known = [count for count in told if count is not None]
    return ceil(max(known)) if known else MEDIA_TOKENS


# As output.


class Voice(msgspec.Struct, frozen=True):
    """How a recording is spoken that is an output: `-> Annotated[Audio, Voice("ash")]`."""

    name: str = "alloy"
    """The voice, by the provider's name of it."""
    format: str = "wav"
    """The format, by the provider's name of it: wav, mp3, flac, opus."""


class Shown(NamedTuple):
    """An output that is no text: an image, a recording, a film or a document, or a list of such."""

    cls: type[AnyMedia]
    """What it is."""
    is_list: bool
    """Whether it is a list of these."""
    voice: Voice
    """How it is spoken, where it is a recording."""

    @property
    def kind(self) -> Modality:
        """What it is, as `chat.Media` has it."""
        return self.cls.kind

    def asked_of(self, variant: str, format: Format) -> dict[str, JSON]:
        """What a request says so that it is given. Raises CallerError where answers in that format hold none."""
        if self.kind not in format.gives:
            raise CallerError(
                f"'{variant}' cannot be asked for {_NAMES[self.kind]}: answers in the format that it speaks, {format.name}, hold text alone"
            )
        if self.kind == "audio":
            return {"openai.modalities": ["text", "audio"], "openai.audio": {"voice": self.voice.name, "format": self.voice.format}}
        return {"openai.modalities": ["image", "text"]} if self.kind == "image" else {}

    def read(self, parts: Sequence[Part]) -> Any:
        """The value in an answer: of one that holds several, the first. Raises Malformed."""
        held = [part for part in parts if isinstance(part, Media) and part.kind == self.kind]
        words = "".join(part.text for part in parts if isinstance(part, Text))
        if not held:
            raise Malformed(f"the answer holds no {self.kind}, but {words[:60]!r}. Ask a model that gives {_NAMES[self.kind]}", words)
        try:
            values = [from_part(part) for part in (held if self.is_list else held[:1])]
        except (DataError, CallerError) as error:
            raise Malformed(f"the answer holds no {self.kind} that can be read: {error}", words) from None
        return values if self.is_list else values[0]

    def of(self, output: JSON) -> JSON:
        """What an answer as the journal keeps it holds of it, to be read as JSON. Raises Malformed."""
        held = [one for one in media_in(output) if one["media"] == self.kind]
        if not held:
            raise Malformed(f"the answer holds no {self.kind}, but {str(output)[:60]!r}. Give {_NAMES[self.kind]}", str(output))
        return held if self.is_list else held[0]


def shown_of(annotation: Any) -> Shown | None:
    """What an output type is of these; None for any other."""
    voice = Voice()
    if get_origin(annotation) is Annotated:
        annotation, *about = get_args(annotation)
        voice = next((one for one in about if isinstance(one, Voice)), voice)
    is_list = get_origin(annotation) is list
    if is_list:
        (annotation,) = get_args(annotation)
    for cls in (Image, Audio, Video, File):
        if annotation is cls:
            return Shown(cls, is_list, voice)
    return None
