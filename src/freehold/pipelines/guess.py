"""What json_repair makes of a document that has more than one meaning, where what it makes is only what the words say.

It fills a missing value with an empty text, takes any words in brackets for texts, and drops what it can't place. So what it made counts only
where it holds the words of the document, all of them and no others, and nothing empty that isn't written there.
"""

import re
from collections import Counter
from collections.abc import Iterator

from json_repair import repair_json
from pydantic_core import to_json

from freehold.chat import JSON

MOST_CHARS = 8 * 1024
"""As long may a document be that json_repair sees: what it takes grows with the square of that."""
MOST_LEVELS = 24
"""As deep may its brackets lie in each other."""

_BRACKET = re.compile(r"[{}\[\]]")
_WORD = re.compile(r"[^\W\d]+")
_ESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{4}|.)", re.DOTALL)
_EMPTY_TEXT = re.compile(r"""(?<!\\)(?:""|'')""")
_EMPTY_CONTAINER = re.compile(r"\{\s*\}|\[\s*\]")
_NULL = re.compile(r"\b(?:null|None)\b")
_ELLIPSIS = re.compile(r"[\[{,]\s*(?:\.\.\.|…)")
_LITERALS = frozenset({"true", "false", "null", "True", "False", "None"})


def guessed(document: str) -> str | None:
    """The document as JSON; None where it can't be told, or would take long to tell."""
    if len(document) > MOST_CHARS or document[-1:] not in ("}", "]") or _levels(document) > MOST_LEVELS:
        return None
    try:
        made = repair_json(document, return_objects=True, skip_json_loads=True)
    except (ValueError, RecursionError):
        return None
    return to_json(made).decode() if isinstance(made, dict | list) and _says(made, document) else None


def _levels(document: str) -> int:
    depth = deepest = 0
    for bracket in _BRACKET.finditer(document):
        depth += 1 if bracket[0] in "{[" else -1
        deepest = max(deepest, depth)
    return deepest


def _says(made: JSON, document: str) -> bool:
    """Whether what was made says what the document says."""
    leaves = list(_leaves(made))
    written = Counter(_words(_ESCAPE.sub(" ", document)))
    kept = Counter(word for leaf in leaves if isinstance(leaf, str) for word in _words(_ESCAPE.sub(" ", leaf)))
    return (
        written == kept
        and not _ELLIPSIS.search(document)
        and leaves.count("") <= len(_EMPTY_TEXT.findall(document))
        and sum(leaf is None for leaf in leaves) <= len(_NULL.findall(document))
        and sum(leaf in ({}, []) for leaf in leaves) <= len(_EMPTY_CONTAINER.findall(document))
    )


def _words(text: str) -> Iterator[str]:
    return (word for word in _WORD.findall(text) if word not in _LITERALS)


def _leaves(made: JSON) -> Iterator[JSON]:
    """Everything that holds nothing else, keys included."""
    if isinstance(made, dict) and made:
        for key, value in made.items():
            yield f"{key} "
            yield from _leaves(value)
    elif isinstance(made, list) and made:
        for value in made:
            yield from _leaves(value)
    else:
        yield made
