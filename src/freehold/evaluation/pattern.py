"""Patterns that people write, searched within a time: some take for ever on some texts, and would hold up everybody else's score."""

from typing import Any

import regex

from freehold.errors import CallerError

TIME_S = 1.0
"""How long one search may take on the processor."""


class TooSlow(Exception):
    """A search was ended before anybody knew whether the pattern is in the text."""


class Pattern:
    """A regular expression in the words of Python's `re`."""

    def __init__(self, scorer: str, text: str, time_s: float = TIME_S) -> None:
        """Raises CallerError for what is none."""
        if not 0 < time_s < float("inf"):
            raise CallerError(f"scorer '{scorer}': option time_s is {time_s:g}; expected a number of seconds above 0")
        try:
            self._compiled: Any = regex.compile(text, regex.VERSION0)
        except regex.error as error:
            raise CallerError(f"scorer '{scorer}': '{text[:80]}' is no regular expression: {error}") from None
        self._time_s = time_s

    def is_in(self, text: str) -> bool:
        """Whether it is found. Raises TooSlow."""
        try:
            return self._compiled.search(text, timeout=self._time_s) is not None
        except TimeoutError:
            raise TooSlow(
                f"the pattern took more than {self._time_s:g} s on a text of {len(text):,} characters; write it without repeats in repeats"
            ) from None
