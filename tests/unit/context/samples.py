"""Small files of each kind, made by hand: as much of them as is read."""

import io
import struct
import wave
import zlib


def png(width: int = 3, height: int = 2) -> bytes:
    """A PNG of that size."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    pixels = zlib.compress(b"\0" * (height * (1 + (width + 7) // 8)))
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def jpeg(width: int = 3, height: int = 2) -> bytes:
    """A JPEG's markers: of an application, of tables, and of a frame of that size."""
    application = b"\xff\xe0" + struct.pack(">H", 16) + b"JFIF\0\1\1\0\0\1\0\1\0\0"
    tables = b"\xff\xc4" + struct.pack(">H", 4) + b"\xff\xc0" + b"\xff\xff\xdb" + struct.pack(">H", 3) + b"x"
    frame = b"\xff\xc2" + struct.pack(">HBHHB", 11, 8, height, width, 1) + b"\1\x11\0"
    return b"\xff\xd8" + application + tables + frame + b"\xff\xd9"


def gif(width: int = 3, height: int = 2) -> bytes:
    """A GIF's beginning."""
    return b"GIF89a" + struct.pack("<HH", width, height) + b"\0\0\0"


def webp(width: int = 3, height: int = 2, kind: bytes = b"VP8 ") -> bytes:
    """A WebP's beginning: lossy, lossless or extended."""
    body = {
        b"VP8 ": b"\x10\0\0\x9d\x01\x2a" + struct.pack("<HH", width, height),
        b"VP8L": b"\x2f" + struct.pack("<I", (width - 1) | (height - 1) << 14) + b"\0" * 5,
        b"VP8X": b"\0\0\0\0" + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little"),
    }[kind]
    chunk = kind + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


def wav(seconds: float = 0.5, rate: int = 8_000) -> bytes:
    """A WAV of silence."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(b"\0\0" * int(seconds * rate))
    return out.getvalue()


def flac(seconds: float = 0.5, rate: int = 16_000) -> bytes:
    """A FLAC's beginning."""
    told = rate << 44 | 15 << 36 | int(seconds * rate)
    return b"fLaC\x80\0\0\x22" + b"\x10\0\x10\0" + b"\0" * 6 + told.to_bytes(8) + b"\0" * 16


MP4 = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom"
M4A = b"\0\0\0\x18ftypM4A \0\0\0\0M4A mp42"
WEBM = b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm"
MP3 = b"\xff\xfb\x90\x64" + b"\0" * 32
PDF = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n"

EACH = {
    "image/png": png(), "image/jpeg": jpeg(), "image/gif": gif(), "image/webp": webp(), "image/tiff": b"II*\0\x08\0\0\0",
    "audio/wav": wav(), "audio/mpeg": MP3, "audio/flac": flac(), "audio/ogg": b"OggS\0\2" + b"\0" * 22 + b"\x01\x13OpusHead",
    "audio/mp4": M4A, "audio/aac": b"\xff\xf1\x50\x80\0\0", "video/mp4": MP4, "video/webm": WEBM,
    "video/x-matroska": WEBM.replace(b"webm", b"matr"), "video/quicktime": MP4.replace(b"mp42", b"qt  ", 1),
    "video/ogg": b"OggS\0\2" + b"\0" * 22 + b"\x80theora", "video/x-msvideo": b"RIFF\0\0\0\0AVI LIST", "image/avif": MP4.replace(b"mp42", b"avif", 1),
    "image/heic": MP4.replace(b"mp42", b"heic", 1), "application/pdf": PDF, "application/zip": b"PK\x03\x04\x14\0", "text/plain": "Zażółć.\n".encode(),
}  # fmt: skip
"""A file of each kind that is told apart."""
