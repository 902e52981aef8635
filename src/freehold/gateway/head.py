"""The headers of a request, looked up in its bytes as they came: most are never asked for, and none is taken apart before it is."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any


class Head(Sequence[tuple[bytes, bytes]]):
    """Headers that a parser has passed: each on one line, its name next to its colon, and no line end in a value.

    As a sequence they are names, in lower case, with their values. `get` and `starting` do not take apart what nobody asks for.
    """

    __slots__ = ("_pairs", "_raw", "lowered")

    def __init__(self, raw: bytes) -> None:
        """`raw` goes from the end of the first line to the end of the last header, both ends of lines included."""
        self._raw = raw
        self._pairs: list[tuple[bytes, bytes]] | None = None
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

    def starting(self, prefix: bytes) -> dict[bytes, bytes]:
        """The headers whose names start so, by the rest of their names."""
        if b"\r\n" + prefix not in self.lowered:
            return {}
        return {name.removeprefix(prefix): value for name, value in self if name.startswith(prefix)}

    def size(self) -> int:
        """How many bytes they are."""
        return len(self._raw)

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        return iter(self._apart())

    def __getitem__(self, n: Any) -> Any:
        return self._apart()[n]

    def __len__(self) -> int:
        return len(self._apart())

    def _apart(self) -> list[tuple[bytes, bytes]]:
        if self._pairs is None:
            lines = [line.partition(b":") for line in self._raw[2:-2].split(b"\r\n")] if len(self._raw) > 2 else []
            self._pairs = [(name.lower(), value.strip(b" \t")) for name, _, value in lines]
        return self._pairs
