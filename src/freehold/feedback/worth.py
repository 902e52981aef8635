"""What a verdict is worth: the tariff, or the tariff by how far its reviewer can be trusted and by how much it narrowed the interval.

Pure. Amounts are whole billionths of a dollar. Whichever way is paid by, a round of verdicts never costs more than the tariff of those accepted.
"""

from collections.abc import Sequence

import msgspec

from freehold.errors import DataError
from freehold.gateway.budget import nano
from freehold.tables import CreditsTable


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """Something a reviewer decided, and what is known of its worth by now."""

    id: str
    """Unique among the tenant's verdicts."""
    reviewer: str
    """Who decided."""
    task: str
    """What task it is about: its tariff."""
    is_accepted: bool = True
    """Whether it counts. One that was adjudicated away, skipped or taken back does not."""
    missed_gold: bool = False
    """Whether the truth was known, and the verdict is not it: that is never paid."""
    reliability: float = 1.0
    """How far the reviewer can be trusted, in [0, 1]: `Reviewer.skill`."""
    narrowed: float = 1.0
    """By how much it narrowed the interval, as of `narrowings`; 1 is the average verdict of its round."""


def due(verdict: Verdict, credits: CreditsTable) -> int:
    """What is due for a verdict, in billionths of a dollar. Raises DataError for a reliability or narrowing that is none."""
    if not (0 <= verdict.reliability <= 1 and 0 <= verdict.narrowed < float("inf")):
        raise DataError(
            f"verdict '{verdict.id}' has reliability {verdict.reliability} and narrowed {verdict.narrowed}; expected a number in [0, 1] and one "
            "from 0 up"
        )
    if not verdict.is_accepted or verdict.missed_gold:
        return 0
    tariff = nano(credits.tasks.get(verdict.task, credits.per_verdict_usd))
    return tariff if credits.by == "tariff" else int(tariff * verdict.reliability * verdict.narrowed)  # down, so that sums stay within


def narrowings(width: float, without: Sequence[float]) -> list[float]:
    """How much each of a round's verdicts narrowed an interval: 1 is the average of them, and they sum to their number.

    `width`: of the interval by all of them. `without`: of the interval by all but each one. The order in which they came changes nothing, so
    that who comes first earns no more. Where nobody narrowed anything, nobody earned anything: all are 0.
    """
    narrowed = [max(0.0, other - width) for other in without]
    total = sum(narrowed)
    return [each * len(narrowed) / total if total > 0 else 0.0 for each in narrowed]
