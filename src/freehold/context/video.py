"""Films as values of tasks: a whole file for providers that take films, frames with their times and a sound track for all others."""

from collections.abc import Sequence
from itertools import pairwise
from math import isfinite
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, TypeAlias

import msgspec
from pydantic_core import CoreSchema

from freehold.chat import JSON, Media, Modality, Part, Text
from freehold.context.media import Audio, File, Image, Medium, check_size, closed, decoded, read_object, read_texts, told_about, ways
from freehold.errors import CallerError, DataError

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler


class Sampling(Protocol):
    """A way to choose frames by their times. No image is looked at: nothing here decodes one.

    A parameter says its way by `Annotated[Video, Evenly(8)]`, and so does what holds films, such as `list[Video]`. For a way of one's own that
    takes `__get_pydantic_core_schema__`, as of `Evenly`.
    """

    def chosen(self, times_s: Sequence[float]) -> list[int]:
        """The places of the chosen among frames at these times, which ascend; in seconds from the film's beginning."""


class Evenly(msgspec.Struct, frozen=True):
    """`n` frames that lie evenly in time, the first and the last among them; all frames where there are no more."""

    n: int
    """How many, from 1; one is the frame nearest to the middle."""

    def __post_init__(self) -> None:
        if self.n < 1:
            raise CallerError(f"Evenly({self.n}) chooses no frame; expected a number from 1")

    def chosen(self, times_s: Sequence[float]) -> list[int]:
        """As of `Sampling`: for each of `n` even times the nearest frame that leaves one for each time after it."""
        if len(times_s) <= self.n:
            return list(range(len(times_s)))
        first, span = times_s[0], times_s[-1] - times_s[0]
        found: list[int] = []
        for step in range(self.n):
            wanted = first + span * (step / (self.n - 1) if self.n > 1 else 0.5)
            left = range(found[-1] + 1 if found else 0, len(times_s) - (self.n - 1 - step))
            found.append(min(left, key=lambda place: abs(times_s[place] - wanted)))
        return found

    def __get_pydantic_core_schema__(self, source: Any, handler: "GetCoreSchemaHandler") -> CoreSchema:
        """How a type is written that is annotated with it: its films are sampled so."""
        schema: CoreSchema = told_about(handler(source), self)
        return schema


class EveryS(msgspec.Struct, frozen=True):
    """The first frame, and then each that lies at least `seconds` after the last that was chosen."""

    seconds: float
    """More than 0."""

    def __post_init__(self) -> None:
        if not self.seconds > 0:
            raise CallerError(f"EveryS({self.seconds}) never goes on; expected more than 0 seconds")

    def chosen(self, times_s: Sequence[float]) -> list[int]:
        """As of `Sampling`."""
        found: list[int] = []
        for place, at_s in enumerate(times_s):
            if not found or at_s - times_s[found[-1]] >= self.seconds:
                found.append(place)
        return found

    def __get_pydantic_core_schema__(self, source: Any, handler: "GetCoreSchemaHandler") -> CoreSchema:
        """How a type is written that is annotated with it: its films are sampled so."""
        schema: CoreSchema = told_about(handler(source), self)
        return schema


class Frame(msgspec.Struct, frozen=True):
    """What a film shows at one time."""

    at_s: float
    """Seconds from its beginning, from 0."""
    image: Image
    """What it shows."""

    def __post_init__(self) -> None:
        if not isfinite(self.at_s) or self.at_s < 0:
            raise CallerError(f"Frame at {self.at_s} s; expected seconds from the film's beginning, from 0")


class Video(Medium, frozen=True, kw_only=True):
    """A film: whole, in frames, or both, so that each provider gets what it takes."""

    frames: tuple[Frame, ...] = ()
    """What it shows, in the order of time."""
    sound: Audio | None = None
    """What is heard, where frames are what is shown."""

    kind: ClassVar[Modality] = "video"

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "frames", tuple(self.frames))
        said = self.said()
        if len(said) > 1 or not (said or self.frames):
            raise CallerError(f"Video has {' and '.join(said) or 'nothing'}; expected one of content, url and file, or frames, or both")
        self.check_whole()
        for before, after in pairwise(self.frames):
            if not before.at_s < after.at_s:
                raise CallerError(
                    f"Video has a frame at {after.at_s:g} s after one at {before.at_s:g} s; expected them in the order of time"
                )
        if self.sound is not None and not self.frames:
            raise CallerError("Video has a sound track and no frames; expected frames, or an Audio alone")
        seen = (*(frame.image for frame in self.frames), *((self.sound,) if self.sound else ()))
        check_size(sum(len(each.content or b"") for each in seen), "Video in frames")

    def part(self) -> Media:
        """The whole film as a part of a message. Raises CallerError for one that is in frames alone."""
        if not self.said():
            raise CallerError(f"{self!r} is no single part of a message; use parts()")
        return Medium.part(self)

    def parts(self, sampling: Sampling | None = None, *, takes_video: bool = False, takes_audio: bool = True) -> tuple[Part, ...]:
        """The film as a provider takes it: whole where it takes films; else each chosen frame after a word of its time, and then the sound
        track where it takes recordings. Without `sampling` all frames. Raises CallerError where frames are needed and there are none."""
        if takes_video and self.said():
            return (self.part(),)
        told: list[Part] = []
        for frame in self.sampled(sampling):
            told += [Text(text=f"Frame at {clock(frame.at_s)}:"), frame.image.part()]
        if self.sound is not None and takes_audio:
            told += [Text(text="Sound track:"), self.sound.part()]
        return tuple(told)

    def sampled(self, sampling: Sampling | None = None) -> tuple[Frame, ...]:
        """The chosen frames; all without `sampling`. Raises CallerError where there are none."""
        if not self.frames:
            raise CallerError(
                f"{self!r} has no frames, and a provider that takes no films needs some: nothing here decodes a film. Take them out with a "
                "tool such as ffmpeg, and give Video(frames=(Frame(0.0, image), …), sound=audio)."
            )
        places = range(len(self.frames)) if sampling is None else sampling.chosen([frame.at_s for frame in self.frames])
        return tuple(self.frames[place] for place in places)

    def to_json(self) -> dict[str, JSON]:
        """As of `Medium`; frames and sound track are objects within it."""
        frames = [{"at_s": frame.at_s, "image": frame.image.to_json()} for frame in self.frames]
        sound = {} if self.sound is None else {"sound": self.sound.to_json()}
        return Medium.to_json(self) | ({"frames": frames} if frames else {}) | sound

    @classmethod
    def from_json(cls, value: JSON) -> Self:
        """As of `Medium`."""
        fields = read_object(value, cls, "frames", "sound")
        frames, sound = fields.pop("frames", None), fields.pop("sound", None)
        if not isinstance(frames, list | tuple | None):
            raise DataError(f"Video as JSON: frames is {type(frames).__name__}; expected a list")
        return cls(
            **read_texts(fields, cls),
            frames=tuple(_read_frame(frame, n) for n, frame in enumerate(frames or ())),
            sound=None if sound is None else Audio.from_json(sound),
        )

    def __repr__(self) -> str:
        if self.said():
            return Medium.__repr__(self)
        return f"Video({len(self.frames)} frames to {clock(self.frames[-1].at_s)}{', with sound' if self.sound else ''})"

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: "GetJsonSchemaHandler") -> dict[str, JSON]:
        """As of `Medium`."""
        frame = {
            "type": "object",
            "properties": {"at_s": {"type": "number", "minimum": 0}, "image": {"anyOf": ways(Image)}},
            "required": ["at_s", "image"],
            "additionalProperties": False,
        }
        frames = {"type": "array", "items": frame, "minItems": 1, "description": "What is shown, in the order of time."}
        beside: dict[str, JSON] = {"frames": frames, "sound": {"anyOf": ways(Audio)}}
        whole = [{**way, "properties": way["properties"] | beside} for way in ways(cls)]
        return {"title": "Video", "anyOf": [*whole, closed("video", {"frames": frames}, {"sound": beside["sound"]})]}


AnyMedia: TypeAlias = Image | Audio | Video | File

_KINDS: dict[Modality, type[Image] | type[Audio] | type[Video] | type[File]] = {
    "image": Image,
    "audio": Audio,
    "video": Video,
    "file": File,
}


def from_part(part: Media, media_type: str = "") -> AnyMedia:
    """The value of a part of a message, its bytes where it has them. `media_type`: what it is where the part does not say and the bytes do
    not show it, such as `audio/pcm`. Raises DataError for bytes that are not what they are said to be."""
    cls = _KINDS.get(part.kind)
    if cls is None:
        raise DataError(f"a part of kind '{part.kind}' is no medium; expected {', '.join(_KINDS)}")
    where: dict[str, Any] = (
        {"content": decoded(part.data, cls.__name__)} if part.data else {"url": part.url} if part.url else {"file": part.file}
    )
    return cls(media_type=part.media_type or media_type, **where, **{name: getattr(part, name) for name in cls.further})


def clock(seconds: float) -> str:
    """A time as people write it: `1:15.25`, `1:00:07`."""
    minutes, rest = divmod(round(seconds * 100), 6_000)
    shown = f"{rest / 100:05.2f}".rstrip("0").rstrip(".")
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{shown}" if hours else f"{minutes}:{shown}"


def _read_frame(value: JSON, n: int) -> Frame:
    if not isinstance(value, dict) or value.keys() != {"at_s", "image"}:
        raise DataError(f"Video as JSON: frames[{n}] is not an object of at_s and image")
    at_s = value["at_s"]
    if isinstance(at_s, bool) or not isinstance(at_s, int | float):
        raise DataError(f"Video as JSON: frames[{n}].at_s is {type(at_s).__name__}; expected seconds")
    return Frame(float(at_s), value["image"] if isinstance(value["image"], Image) else Image.from_json(value["image"]))
