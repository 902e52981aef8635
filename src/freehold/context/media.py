"""Values of tasks that are no text: images, recordings and documents; films are in `video.py`. Each is checked at birth, compared by
content, and becomes a part of a message. An address is passed on to the provider and never fetched.

As JSON each is an object: `{"media": "image", "media_type": "image/png", "data": "<base64>"}`, or with `url` or `file` in the place of
`data`. pydantic reads and writes all of them so.
"""

import binascii
import re
import secrets
from base64 import b64encode
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import msgspec
from pydantic_core import CoreSchema, core_schema

from freehold.chat import JSON, Media, Modality, Part
from freehold.context.headers import KNOWN, media_type_of
from freehold.errors import CallerError, DataError, nearest

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, SerializationInfo

MOST_BYTES = 64 * 2**20
"""The most that one value may hold."""
DETAILS = ("auto", "low", "high", "original")
"""How closely to look at an image, in OpenAI's words."""

_WHOLE = ("content", "url", "file")
_OTHER_NAMES = {
    "application/x-pdf": "application/pdf",
    "audio/m4a": "audio/mp4",
    "audio/mp3": "audio/mpeg",
    "audio/opus": "audio/ogg",
    "audio/vnd.wave": "audio/wav",
    "audio/wave": "audio/wav",
    "audio/x-flac": "audio/flac",
    "audio/x-m4a": "audio/mp4",
    "audio/x-wav": "audio/wav",
    "image/jpg": "image/jpeg",
    "image/x-png": "image/png",
    "video/x-m4v": "video/mp4",
}
_SAYS_NOTHING = frozenset({"", "application/octet-stream"})
_CONTAINERS = frozenset({"mp4", "ogg", "webm"})
"""What may hold a film or sound alone, which its beginning does not tell."""
_WRAPPERS = frozenset({"application/zip", "text/plain", "video/mp4"})
"""What may be something that is not known here: office documents are zip files, source code is text."""
_WORDS = re.compile(r"text/.+|.+\+(json|xml)|application/(json|x-ndjson|xml|yaml|toml|javascript|sql)")
"""Media types of files that are text in UTF-8."""
_SAMPLES = frozenset({"audio/pcm", "audio/pcm16", "audio/l16", "audio/basic"})
"""Sound without a header, whose bytes may look like anything."""
_ADDRESS = re.compile(r"(?!data:)[A-Za-z][A-Za-z0-9+.-]*:[^\s\x00-\x1f\x7f]{1,8192}")


class Medium(msgspec.Struct, frozen=True, kw_only=True):
    """What they have in common: each is its bytes, its address, or a provider's id of it. Raises CallerError for none or several of these,
    DataError for bytes that are too many or not of the media type that is claimed."""

    media_type: str = ""
    """Such as `image/png`. Of bytes it is what they show; of an address or an id it may be left out."""
    content: bytes | None = None
    """Its bytes."""
    url: str = ""
    """Where it lies."""
    file: str = ""
    """A provider's id of it."""

    kind: ClassVar[Modality]
    """What it is, as `chat.Media` has it."""
    further: ClassVar[tuple[str, ...]] = ()
    """The texts that this kind holds beside those of all kinds, named as `chat.Media` names them."""

    def __post_init__(self) -> None:
        said = self.said()
        if len(said) != 1:
            raise CallerError(f"{type(self).__name__} has {' and '.join(said) or 'nothing'}; expected one of {', '.join(_WHOLE)}")
        self.check_whole()

    @classmethod
    def from_bytes(cls, data: bytes, media_type: str | None = None) -> Self:
        """From its bytes. The media type may be left out where they show it."""
        return cls(content=bytes(data), media_type=media_type or "")

    @classmethod
    def from_path(cls, path: str | Path, media_type: str | None = None) -> Self:
        """From a file, which is read now. Raises CallerError where that cannot be."""
        return cls(content=_bytes_at(path, cls.__name__), media_type=media_type or "")

    @classmethod
    def from_url(cls, url: str, media_type: str | None = None) -> Self:
        """By its address."""
        return cls(url=url, media_type=media_type or "")

    @classmethod
    def from_id(cls, file: str) -> Self:
        """By the id that a provider gave it when it was handed over."""
        return cls(file=file)

    @property
    def data(self) -> bytes:
        """Its bytes. Raises CallerError for one that is known by address or id alone."""
        if self.content is None:
            raise CallerError(f"{self!r} has no bytes here, because nothing is fetched. Read them yourself and use from_bytes.")
        return self.content

    def part(self) -> Media:
        """It as a part of a message."""
        return Media(kind=self.kind, media_type=self.media_type, data=self._base64(), url=self.url, file=self.file, **self._told())

    def parts(self) -> tuple[Part, ...]:
        """It as all the parts of a message that it is."""
        return (self.part(),)

    def to_json(self) -> dict[str, JSON]:
        """It as a JSON object."""
        body = {"media": self.kind, "media_type": self.media_type, "data": self._base64(), "url": self.url, "file": self.file}
        return {name: value for name, value in (body | self._told()).items() if value}

    @classmethod
    def from_json(cls, value: JSON) -> Self:
        """From what `to_json` gives. Raises DataError or CallerError that says what is wrong."""
        return cls(**read_texts(read_object(value, cls), cls))

    def said(self) -> list[str]:
        """Which of bytes, address and id it has."""
        return [name for name in _WHOLE if getattr(self, name) not in (None, "")]

    def check_whole(self) -> None:
        """Checks bytes and address, and settles the media type. Raises CallerError and DataError."""
        what = type(self).__name__
        if self.url and not _ADDRESS.fullmatch(self.url):
            raise CallerError(f"{what} has the address '{self.url[:60]}'; expected one such as https://…; bytes go to from_bytes")
        claimed = canonical(self.media_type)
        if self.content is not None:
            check_size(len(self.content), what)
            claimed = _settled(self.content, claimed, self.kind, what)
        if claimed and self.kind != "file" and not claimed.startswith(f"{self.kind}/"):
            fits = {"image": "Image", "audio": "Audio", "video": "Video"}.get(claimed.partition("/")[0], "File")
            raise DataError(f"{what} is given '{claimed}'; expected {self.kind}/…. Use {fits} for it.")
        msgspec.structs.force_setattr(self, "media_type", claimed)

    def _told(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.further}

    def _base64(self) -> str:
        return "" if self.content is None else b64encode(self.content).decode()

    def __repr__(self) -> str:
        if self.content is not None:
            return f"{type(self).__name__}({self.media_type}, {len(self.content):,} bytes)"
        where = (
            f"url={self.url.partition('?')[0][:80]!r}" if self.url else f"file={self.file[:80]!r}"
        )  # after a question mark, keys may stand
        return f"{type(self).__name__}({where})"

    # pydantic calls these.

    @classmethod
    def _validated(cls, value: Any) -> Self:
        return value if isinstance(value, cls) else cls.from_json(value)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: "GetCoreSchemaHandler") -> CoreSchema:
        """An instance, or the JSON object of one; written as that object."""
        written = core_schema.plain_serializer_function_ser_schema(partial(write, about=None), info_arg=True, when_used="json")
        return core_schema.no_info_plain_validator_function(cls._validated, serialization=written)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: "GetJsonSchemaHandler") -> dict[str, JSON]:
        """The schema of the JSON object."""
        return {"title": cls.__name__, "anyOf": ways(cls)}


class Aside:
    """Media that are put aside while what holds them is written as JSON. It is the context of that, and each leaves a mark in its place."""

    def __init__(self) -> None:
        self.held: list[tuple[Medium, Any]] = []
        """Each, and what an annotation says about it, such as how a film is sampled."""

    def put(self, value: Medium, about: Any) -> str:
        """Puts one aside."""
        self.held.append((value, about))
        return f"{_MARK}{len(self.held) - 1}"

    def back(self, written: JSON, made: Callable[[Medium, Any], Any]) -> Any:
        """What was written, with what is made of each in its place."""
        if isinstance(written, str):
            return made(*self.held[int(written.removeprefix(_MARK))]) if written.startswith(_MARK) else written
        if isinstance(written, list):
            return [self.back(entry, made) for entry in written]
        if isinstance(written, dict):
            return {name: self.back(entry, made) for name, entry in written.items()}
        return written


_MARK = f"{secrets.token_hex(12)}:"
"""Before the number of what was put aside; no words can forge it."""


def write(value: Medium, info: "SerializationInfo", about: Any) -> JSON:
    """How pydantic writes one: as its object, or, where `Aside` is the context, as a mark."""
    return info.context.put(value, about) if type(info.context) is Aside else value.to_json()


def told_about(schema: Any, about: Any) -> Any:
    """A core schema whose media are written with `about` where they are put aside."""
    if isinstance(schema, list):
        return [told_about(entry, about) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    known = schema.get("function")
    if isinstance(known, partial) and known.func is write:
        return {**schema, "function": partial(write, about=about)}
    return {name: entry if name == "metadata" else told_about(entry, about) for name, entry in schema.items()}


def holds_media(schema: Any) -> bool:
    """Whether values of a core schema may hold media."""
    if isinstance(schema, dict):
        known = schema.get("function")
        if isinstance(known, partial) and known.func is write:
            return True
        return any(holds_media(entry) for name, entry in schema.items() if name != "metadata")
    return isinstance(schema, list) and any(map(holds_media, schema))


class Image(Medium, frozen=True, kw_only=True):
    """An image."""

    detail: str = ""
    """How closely to look: one of `DETAILS`, or empty to leave it to the provider."""

    kind: ClassVar[Modality] = "image"
    further: ClassVar[tuple[str, ...]] = ("detail",)

    def __post_init__(self) -> None:
        Medium.__post_init__(self)
        if self.detail and self.detail not in DETAILS:
            raise CallerError(f"Image has the detail '{self.detail}'.{nearest(self.detail, DETAILS)}")

    def with_detail(self, detail: str) -> "Image":
        """The same image, to be looked at as closely as that."""
        return msgspec.structs.replace(self, detail=detail)


class Audio(Medium, frozen=True, kw_only=True):
    """A recording."""

    transcript: str = ""
    """What is said in it, where whoever made it says."""

    kind: ClassVar[Modality] = "audio"
    further: ClassVar[tuple[str, ...]] = ("transcript",)


class File(Medium, frozen=True, kw_only=True):
    """A document, or any other file."""

    name: str = ""
    """What it is called; the provider is told."""

    kind: ClassVar[Modality] = "file"
    further: ClassVar[tuple[str, ...]] = ("name",)

    @classmethod
    def from_path(cls, path: str | Path, media_type: str | None = None) -> Self:
        """As of `Medium`; it is called as the file is."""
        return cls(content=_bytes_at(path, cls.__name__), media_type=media_type or "", name=Path(path).name)


def canonical(media_type: str) -> str:
    """The one name of a media type, without parameters."""
    plain = media_type.partition(";")[0].strip().lower()
    return _OTHER_NAMES.get(plain, plain)


def check_size(size: int, what: str) -> None:
    """Raises DataError for more than a value may hold."""
    if size > MOST_BYTES:
        raise DataError(
            f"{what} has {size:,} bytes; the most is {MOST_BYTES:,} ({MOST_BYTES // 2**20} MiB). Give it by address, or less of it."
        )


def _settled(content: bytes, claimed: str, kind: Modality, what: str) -> str:
    """The media type of bytes. Raises DataError where they are not what is claimed, or nothing is claimed and they show nothing."""
    if not content:
        raise DataError(f"{what} has no bytes at all; expected a file's")
    shown = None if claimed in _SAMPLES else media_type_of(content)
    if claimed in _SAYS_NOTHING:
        if shown is None:
            raise DataError(f"{what} has bytes of no kind that is known here (they begin with {content[:8].hex(' ')}); say its media_type")
        claimed = shown
    elif not _fits(claimed, shown):
        found = f"'{shown}'" if shown else "of no kind that is known here"
        raise DataError(f"{what} is said to be '{claimed}', and its bytes are {found}. Say the right media type, or none.")
    subtype = claimed.partition("/")[2]
    return f"{kind}/{subtype}" if kind in ("audio", "video") and subtype in _CONTAINERS else claimed


def _fits(claimed: str, shown: str | None) -> bool:
    if claimed == shown:
        return True
    if _WORDS.fullmatch(claimed):
        return shown == "text/plain"
    subtype = claimed.partition("/")[2]
    if shown is not None and subtype in _CONTAINERS and subtype == shown.partition("/")[2]:
        return True
    return claimed not in KNOWN and (shown is None or shown in _WRAPPERS)


def _bytes_at(path: str | Path, what: str) -> bytes:
    try:
        check_size(Path(path).stat().st_size, what)
        return Path(path).read_bytes()
    except OSError as error:
        raise CallerError(f"{what} from '{path}': {error.strerror or error}; expected a file that can be read") from None


def read_object(value: JSON, cls: type[Medium], *inner: str) -> dict[str, JSON]:
    """The fields of the JSON object of such a value, without the one that says what it is. Raises DataError for any other."""
    what, known = f"{cls.__name__} as JSON", ["media_type", "data", "url", "file", *cls.further, *inner]
    if not isinstance(value, Mapping):
        raise DataError(f'{what} is {type(value).__name__}; expected an object such as {{"media": "{cls.kind}", "data": "<base64>", …}}')
    fields = dict(value)
    if (media := fields.pop("media", None)) != cls.kind:
        raise DataError(f"{what} has media {str(media)[:40]!r}; expected '{cls.kind}'")
    for name in fields:
        if name not in known:
            raise DataError(f"{what} has '{str(name)[:40]}'.{nearest(str(name), known)}")
    return fields


def read_texts(fields: Mapping[str, JSON], cls: type[Medium]) -> dict[str, Any]:
    """The fields, their bytes decoded, as the value's own. Raises DataError."""
    for name, value in fields.items():
        if not isinstance(value, str):
            raise DataError(f"{cls.__name__} as JSON: {name} is {type(value).__name__}; expected a text")
    texts: dict[str, Any] = dict(fields)
    if "data" in texts:
        texts["content"] = decoded(texts.pop("data"), cls.__name__)
    return texts


def decoded(data: str, what: str) -> bytes:
    """The bytes of base64 from outside. Raises DataError for anything else, and for too many before they are decoded."""
    check_size(len(data) // 4 * 3 - 2, what)
    try:
        return binascii.a2b_base64(data, strict_mode=True)
    except ValueError as error:
        raise DataError(
            f"{what} has data that is no base64 ({error}); expected the alphabet of RFC 4648 with padding and no spaces"
        ) from None


def ways(cls: type[Medium]) -> list[dict[str, JSON]]:
    """The schemas of the objects that such a value may be as JSON: by its bytes, its address, or a provider's id."""
    beside: dict[str, JSON] = {name: {"type": "string"} for name in ("media_type", *cls.further)}
    data = {"type": "string", "contentEncoding": "base64", "description": "The bytes, in base64."}
    url = {"type": "string", "description": "Where it lies. It is not fetched here."}
    file = {"type": "string", "description": "A provider's id of it."}
    return [closed(cls.kind, {name: schema}, beside) for name, schema in (("data", data), ("url", url), ("file", file))]


def closed(kind: str, needed: dict[str, JSON], beside: dict[str, JSON]) -> dict[str, JSON]:
    """The schema of an object of that kind that has no other fields."""
    properties = {"media": {"const": kind}, **needed, **beside}
    return {"type": "object", "properties": properties, "required": ["media", *needed], "additionalProperties": False}
