"""The headers of a request, looked up in its bytes as they came: most are never asked for, and none is taken apart before it is."""

from collections.abc import Iterable, Iterator


class Head:
    """Headers that a parser has passed: each on one line, its name next to its colon, and no line end in a value."""

    __slots__ = ("_raw", "lowered")

    def __init__(self, raw: bytes) -> None:
        """`raw` goes from the end of the first line to the end of the last header, both ends of lines included."""
        self._raw = raw
        self.lowered = raw.lower()
        """For those who look for several things at once."""

    @classmethod
    def of(cls, headers: Iterable[tuple[bytes, bytes]]) -> "Head":
        """The same of headers that are taken apart already."""
        return cls(b"\r\n" + b"".join(b"%b: %b\r\n" % header for header in headers))

    def get(self, name: bytes) -> bytes | None:
        """The value of the first header of that name, which is in lower case."""
        at = self.lowered.find(b"\r\n" + name + b":")
        if at < 0:
            return None
        begin = at + len(name) + 3
        return self._raw[begin : self._raw.index(b"\r\n", begin)].strip(b" \t")

    def starting(self, prefix: bytes) -> list[tuple[bytes, bytes]]:
        """The headers whose names start so, by the rest of their names."""
        if b"\r\n" + prefix not in self.lowered:
            return []
        return [(name.removeprefix(prefix), value) for name, value in self if name.startswith(prefix)]

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        """Each name, in lower case, with its value."""
        for line in self._raw[2:-2].split(b"\r\n") if len(self._raw) > 2 else ():
            name, _, value = line.partition(b":")
            yield name.lower(), value.strip(b" \t")

    def size(self) -> int:
        """How many bytes they are."""
        return len(self._raw)
