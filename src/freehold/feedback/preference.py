"""A preference: which of two answers is the better one. It stands with the call of one of them and names the other.

Between two calls it is told twice, once with each of them, so that all that was said about a call stands with that call.
"""

from typing import Literal, NamedTuple, TypeAlias, get_args

from freehold.chat import JSON

Verdict: TypeAlias = Literal["better_than", "worse_than", "same_as"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
OTHER_WAY: dict[Verdict, Verdict] = {"better_than": "worse_than", "worse_than": "better_than", "same_as": "same_as"}
"""The same seen from the other answer."""


class Preference(NamedTuple):
    """What was said of two answers."""

    verdict: Verdict
    """How the answer of the call that it stands with compares with the other."""
    call: str | None
    """The call that gave the other; None for an answer without one."""
    answer: JSON
    """The other answer, where no call gave it; None also where content is not kept."""


def preference_json(verdict: Verdict, call: str | None = None, answer: JSON = None) -> JSON:
    """A preference as feedback has it: `{"better_than": {"call": "…"}}`, or `{"better_than": {"answer": …}}`."""
    return {verdict: {"call": call} if call is not None else {"answer": answer}}


def read_preference(content: JSON) -> Preference | None:
    """What a piece of feedback says of two answers; None where that cannot be read."""
    if not isinstance(content, dict) or len(content) != 1:
        return None
    ((verdict, other),) = content.items()
    if verdict not in VERDICTS or not isinstance(other, dict) or len(other) != 1:
        return None
    name, value = next(iter(other.items()))
    if name == "call" and isinstance(value, str):
        return Preference(verdict, value, None)
    return Preference(verdict, None, value) if name == "answer" else None
