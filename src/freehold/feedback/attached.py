"""Images, recordings, films and documents in what was asked or answered: what they are, and their bytes where they are there. Pure.

Read in our own form and in OpenAI's and Anthropic's parts. An address is named and never fetched.
"""

import binascii
import re
from base64 import b64decode
from collections.abc import Mapping
from typing import NamedTuple

from freehold.chat import JSON, media_in

_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)?(?:;[\w=.+-]+)*;base64,(.*)", re.DOTALL)
_ENDINGS = {
    "audio/mpeg": "mp3",
    "image/jpeg": "jpg",
    "text/plain": "txt",
    "image/svg+xml": "svg",
    "application/pdf": "pdf",
    "audio/x-wav": "wav",
}


class Attached(NamedTuple):
    """Something that a terminal cannot show."""

    kind: str
    """`image`, `audio`, `video` or `file`."""
    media_type: str
    """Such as `image/png`; empty where nobody said."""
    data: bytes | None
    """Its bytes, where they are there."""
    where: str
    """Its address, or a provider's id of it; empty where the bytes are there."""

    @property
    def ending(self) -> str:
        """The end of a name for its file."""
        return _ENDINGS.get(self.media_type) or re.sub(r"\W", "", self.media_type.partition("/")[2]) or "bin"

    def __str__(self) -> str:
        what = f"{self.kind} {self.media_type}".strip()
        return f"{what}, {len(self.data):,} bytes" if self.data is not None else f"{what} at {self.where}" if self.where else what


def attached(value: JSON) -> list[Attached]:
    """Everything in a value that is no text, in order."""
    return [_attached(one) for one in media_in(value) if isinstance(one, Mapping)]


def without(value: JSON) -> JSON:
    """The value with a word about each of them in its place, so that no bytes are printed."""
    ours = list(media_in(value)) if isinstance(value, dict | list) else []
    if len(ours) == 1 and ours[0] is value and isinstance(value, Mapping):
        return f"[{_attached(value)}]"
    if isinstance(value, list):
        return [without(entry) for entry in value]
    return {key: without(entry) for key, entry in value.items()} if isinstance(value, dict) else value


def _attached(part: Mapping[str, JSON]) -> Attached:
    kind = part.get("media") or part.get("type")
    name = next((known for known in ("image", "audio", "video") if known in str(kind)), "file")
    inner: Mapping[str, JSON] = part
    for key in ("image_url", "input_audio", "audio_url", "video_url", "source", "file"):
        if isinstance(part.get(key), Mapping):
            inner = part[key]
        elif isinstance(part.get(key), str) and "media" not in part:
            inner = {"url": part[key]}
    said = next((str(inner[key]) for key in ("data", "file_data", "url", "file", "file_id") if inner.get(key)), "")
    media_type = str(inner.get("media_type") or (f"{name}/{inner['format']}" if inner.get("format") else ""))
    if (found := _DATA_URL.fullmatch(said)) is not None:
        return Attached(name, media_type or found[1] or "", _bytes(found[2]), "")
    if inner.get("data") or inner.get("file_data"):
        return Attached(name, media_type, _bytes(said), "")
    return Attached(name, media_type, None, said)


def _bytes(text: str) -> bytes | None:
    try:
        return b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
