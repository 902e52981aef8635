"""Scorers of what an answer took: seconds and dollars."""

from collections.abc import Callable

from freehold.catalog import Metric
from freehold.evaluation.plain import Plain, Settings
from freehold.evaluation.scorer import Case, Score
from freehold.journal.call import Call

LONGEST_S = 600.0
DEAREST_USD = 1.0


def latency(settings: Settings) -> Plain:
    """Seconds from question to last byte, up to what stands behind the colon, `latency:10`, or ten minutes: what took longer counts as that."""
    most = settings.number(LONGEST_S)
    return _spent(settings, most, lambda call: call.latency_s, "how long it took", "s")


def cost(settings: Settings) -> Plain:
    """What the answer cost in USD, up to what stands behind the colon, `cost:0.05`, or 1: what was dearer counts as that. Unknown is no score."""
    most = settings.number(DEAREST_USD)
    return _spent(settings, most, lambda call: call.cost_usd, "what it cost", "USD")


def _spent(settings: Settings, most: float, of: Callable[[Call], float | None], what: str, unit: str) -> Plain:
    def score(case: Case) -> Score:
        spent = None if case.call is None else of(case.call)
        if spent is None:
            return Score(None, f"nobody knows {what}")
        return Score(min(max(spent, 0.0), most), f"{spent:g} {unit}, above {most:g}" if spent > most else "")

    return Plain(Metric(id=settings.name, better="lower", range=(0.0, most)), score, needs_answer=False)
