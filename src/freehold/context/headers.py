"""What the first bytes of a file say of it: its media type, an image's size, a recording's length. Nothing is decoded.

Sources: WHATWG MIME Sniffing for most signatures; ISO/IEC 14496-12 (ftyp), RFC 9559 (Matroska), RFC 9639 (FLAC), RFC 9649 (WebP),
W3C PNG, CompuServe GIF89a, ITU T.81 (JPEG), and Microsoft's RIFF for the fields that are read.
"""

from collections.abc import Iterator

_STARTS = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"fLaC", "audio/flac"),
    (b"ID3", "audio/mpeg"),
    (b"%PDF-", "application/pdf"),
    (b"PK\x03\x04", "application/zip"),
)
_RIFF = {b"WAVE": "audio/wav", b"WEBP": "image/webp", b"AVI ": "video/x-msvideo"}
_BRANDS = {
    b"M4A ": "audio/mp4",
    b"M4B ": "audio/mp4",
    b"qt  ": "video/quicktime",
    b"avif": "image/avif",
    b"avis": "image/avif",
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"mif1": "image/heic",
}
"""Of a file in ISO's container; every other brand counts as a film."""
_MATROSKA = b"\x1a\x45\xdf\xa3"
_CONTROLS = bytes({*range(0x20), 0x7F} - {*b"\t\n\v\f\r\x1b"})
"""What no text holds; tabs, ends of lines and pages, and escapes it may."""
_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
"""JPEG's markers of a frame, which hold its size."""

KNOWN = frozenset(
    {
        *(kind for _, kind in _STARTS),
        *_RIFF.values(),
        *_BRANDS.values(),
        *("audio/aac", "audio/ogg", "video/ogg", "video/mp4", "video/webm", "video/x-matroska", "text/plain"),
    }
)
"""The media types that `media_type_of` tells apart."""


def media_type_of(data: bytes) -> str | None:
    """The media type that the bytes show; None where they show none. Text is what is UTF-8 without control characters."""
    for start, kind in _STARTS:
        if data.startswith(start):
            return kind
    if data[:4] == b"RIFF":
        return _RIFF.get(data[8:12])
    if data[4:8] == b"ftyp":
        return _BRANDS.get(data[8:12], "video/mp4")
    if data.startswith(b"OggS"):
        return "video/ogg" if b"\x80theora" in data[:64] else "audio/ogg"
    if data.startswith(_MATROSKA):
        return "video/webm" if b"webm" in data[:64] else "video/x-matroska"
    return _frame_of_mpeg(data) or ("text/plain" if _is_text(data) else None)


def _frame_of_mpeg(data: bytes) -> str | None:
    """The type of a recording that begins with a frame of MPEG audio: eleven bits set, and a version, layer and rates that exist."""
    if len(data) < 4 or data[0] != 0xFF or data[1] & 0xE0 != 0xE0:
        return None
    if data[1] & 0xF6 == 0xF0:
        return "audio/aac"
    layer, version, bitrate, rate = data[1] >> 1 & 3, data[1] >> 3 & 3, data[2] >> 4, data[2] >> 2 & 3
    return "audio/mpeg" if layer and version != 1 and bitrate not in (0, 15) and rate != 3 else None


def _is_text(data: bytes) -> bool:
    if not data or len(data.translate(None, _CONTROLS)) < len(data):
        return False
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def image_size(data: bytes) -> tuple[int, int] | None:
    """Width and height in pixels of a PNG, JPEG, GIF or WebP, as its header says; None where that cannot be read."""
    size = None
    match media_type_of(data):
        case "image/png" if len(data) >= 24:
            size = int.from_bytes(data[16:20]), int.from_bytes(data[20:24])
        case "image/gif" if len(data) >= 10:
            size = int.from_bytes(data[6:8], "little"), int.from_bytes(data[8:10], "little")
        case "image/jpeg":
            size = _size_of_jpeg(data)
        case "image/webp" if len(data) >= 30:
            size = _size_of_webp(data)
    return size if size and min(size) > 0 else None


def _size_of_jpeg(data: bytes) -> tuple[int, int] | None:
    place = 2
    while place + 9 <= len(data) and data[place] == 0xFF:
        marker, length = data[place + 1], int.from_bytes(data[place + 2 : place + 4])
        if marker == 0xFF:  # filling
            place += 1
        elif marker in _FRAMES:
            return int.from_bytes(data[place + 7 : place + 9]), int.from_bytes(data[place + 5 : place + 7])
        else:
            place += 2 + length
    return None


def _size_of_webp(data: bytes) -> tuple[int, int] | None:
    def little(begin: int, end: int) -> int:
        return int.from_bytes(data[begin:end], "little")

    match data[12:16]:
        case b"VP8 " if data[23:26] == b"\x9d\x01\x2a":
            return little(26, 28) & 0x3FFF, little(28, 30) & 0x3FFF
        case b"VP8L" if data[20] == 0x2F:
            return (little(21, 25) & 0x3FFF) + 1, (little(21, 25) >> 14 & 0x3FFF) + 1
        case b"VP8X":
            return little(24, 27) + 1, little(27, 30) + 1
    return None


def seconds_of(data: bytes) -> float | None:
    """How long a WAV or FLAC recording is, as its header says; None where that cannot be read."""
    if data[:4] == b"fLaC" and len(data) >= 26:
        told = int.from_bytes(data[18:26])
        rate, samples = told >> 44, told & 0xF_FFFF_FFFF
        return samples / rate if rate and samples else None
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        return None
    per_second = 0
    for name, begin, length in _chunks_of_riff(data):
        if name == b"fmt " and length >= 12:
            per_second = int.from_bytes(data[begin + 8 : begin + 12], "little")
        elif name == b"data" and per_second:
            return min(length, len(data) - begin) / per_second  # who streams does not know the length, and says the largest there is
    return None


def _chunks_of_riff(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Each chunk's name, where its content begins, and how long it says that is."""
    place = 12
    while place + 8 <= len(data):
        length = int.from_bytes(data[place + 4 : place + 8], "little")
        yield data[place : place + 4], place + 8, length
        place += 8 + length + length % 2
