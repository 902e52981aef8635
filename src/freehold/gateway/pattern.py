"""Patterns that people write: `*` stands for anything, everything else for itself."""


class Pattern:
    """A pattern, compared with the whole of a text in time linear in it for each star: a regular expression may take far longer."""

    def __init__(self, written: str) -> None:
        self._parts = written.split("*")

    def fits(self, text: str) -> bool:
        """Whether the text is what the pattern says."""
        first, *middle = self._parts
        if not middle:
            return text == first
        last = middle.pop()
        end = len(text) - len(last)
        if len(first) > end or not text.startswith(first) or not text.endswith(last):
            return False
        place = len(first)
        for part in middle:
            found = text.find(part, place, end)
            if found < 0:
                return False
            place = found + len(part)
        return True
