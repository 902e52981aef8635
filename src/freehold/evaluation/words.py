"""Lists of words: a file each, one word a line. What begins with # is a remark."""

import unicodedata
from functools import cache
from importlib.resources import files

from freehold.errors import CallerError


@cache
def built_in(name: str) -> frozenset[str]:
    """A list of our own, `lists/NAME.txt`."""
    return words_in(files("freehold.evaluation").joinpath("lists", f"{name}.txt").read_text(encoding="utf-8"), name)


def words_in(text: str, name: str) -> frozenset[str]:
    """The words of a list, in lower case. `name`: of its file. Raises CallerError where there are none."""
    lines = [unicodedata.normalize("NFKC", line).strip().casefold() for line in text.splitlines()]
    words = frozenset(line for line in lines if line and not line.startswith("#"))
    if not words:
        raise CallerError(f"the list of words '{name}' is empty; expected one word a line")
    return words
