"""What came of reviewing, for people."""

from collections.abc import Sequence

from freehold.cli.console import number, out, print_table
from freehold.feedback.agreement import Estimate
from freehold.feedback.review_status import ReviewStatus


def print_status(told: Sequence[ReviewStatus]) -> None:
    """Every queue with its reviewers, the most trusted first."""
    for one in told:
        q = one.queue
        states = ", ".join(f"{count:,} {state}" for state, count in sorted(one.items.items()))
        print_table(
            f"Queue {q.id} of {q.task} by {q.metric}, {'closed' if q.closed_at else 'open'}: {states}; {one.gold:,} gold",
            ["reviewer", "given", "accepted", "skipped", "flagged", "s each", "gold missed", "right", "skill", "due"],
            [
                [
                    f"{r.reviewer}{' (senior)' if r.is_senior else ''}{' (excluded)' if r.is_excluded else ''}",
                    f"{r.given:,}",
                    f"{r.accepted:,}",
                    f"{r.skipped:,}",
                    f"{r.flagged:,}",
                    "" if r.median_s is None else f"{r.median_s:.0f}",
                    f"{r.gold_missed:,} of {r.gold:,}",
                    estimate(r.accuracy),
                    number(r.skill, 2),
                    f"${r.earned_usd:,.2f}",
                ]
                for r in one.reviewers
            ],
            right=(1, 2, 3, 4, 5, 6, 7, 8, 9),
        )
        if one.agreement is not None:
            a = one.agreement
            told_of = [("raw", a.raw), ("Fleiss' kappa", a.fleiss), ("Krippendorff's alpha", a.alpha), ("Gwet's AC1", a.gwet)]
            words = "; ".join(f"{name} {estimate(value)}" for name, value in told_of if value.value is not None)
            out().print(f"Agreement on {a.items:,} answers: {words}.", markup=False, soft_wrap=True)
        out().print(f"Due: ${one.due_usd:,.2f}. It is booked when the queue is closed.", markup=False)


def estimate(value: Estimate | None) -> str:
    """A number with its interval."""
    if value is None or value.value is None:
        return "unknown"
    return f"{value.value:.2f}" + (f" [{value.low:.2f}, {value.high:.2f}]" if value.low is not None and value.high is not None else "")
