"""What tests of training share: rows of a part, without a data set."""

from collections.abc import Sequence
from dataclasses import fields

from freehold.chat import JSON
from freehold.training.lesson import Part


def a_part(texts: Sequence[str], answers: Sequence[JSON], ids: Sequence[str] | None = None, groups: Sequence[str] | None = None) -> Part:
    """Rows of these texts and answers; each text is its own id and group unless something is said."""
    known = {
        "texts": tuple(texts),
        "inputs": tuple(texts),
        "answers": tuple(answers),
        "ids": tuple(ids or texts),
        "groups": tuple(groups or ids or texts),
        "items": tuple(ids or texts),
    }
    nobody = (None,) * len(texts)
    return Part(*(known.get(field.name, nobody) for field in fields(Part)))  # type: ignore[arg-type]  # by the names of its columns
