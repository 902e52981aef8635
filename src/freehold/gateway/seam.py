"""Where one answer goes on from where another broke off: what a model repeats of it is not said twice."""

from collections.abc import Sequence

import msgspec

from freehold.chat import Chunk


class Seam:
    """Joins the pieces of the next answer to what was said. A model may go on from there, or begin anew and say the same again."""

    def __init__(self, said: str) -> None:
        self.said = said
        """What was said before."""
        self._repeated: str | None = ""
        """What came of the next answer so far, while it is the beginning of what was said; None once it is decided."""

    def joined(self, chunks: Sequence[Chunk]) -> list[Chunk]:
        """The pieces without what was said already; held back while that cannot be told."""
        return [joined for chunk in chunks if (joined := self._join(chunk)) is not None]

    def _join(self, chunk: Chunk) -> Chunk | None:
        if self._repeated is None or chunk.choice != 0:
            return chunk
        if not chunk.text and chunk.finish is None:
            return None if chunk.usage is None and not chunk.id else chunk
        held = self._repeated + chunk.text
        if chunk.finish is None and self.said.startswith(held):
            self._repeated = held
            return None
        self._repeated = None
        if held.startswith(self.said):
            text = held.removeprefix(self.said)
        elif self.said.startswith(held):
            text = ""  # it ended having said no more than what was said
        elif self.said[-1:].isspace():
            text = held.lstrip()
        else:
            text = held
        return msgspec.structs.replace(chunk, text=text)
