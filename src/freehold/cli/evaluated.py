"""Evaluations as tables in a terminal."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from freehold.cli.console import notes, number, out, print_table, share, usd

if TYPE_CHECKING:
    from freehold.evaluation.compare import Compared
    from freehold.evaluation.result import Evaluation, Mean, Scorecard, Side


def print_evaluation(found: "Evaluation") -> None:
    """Everything an evaluation says, the most telling first."""
    asked = found.asked
    drawn = f" of {found.frame:,}, drawn by seed {asked.seed}" if found.items < found.frame else ""
    grouped = "" if found.groups == found.items else f" in {found.groups:,} groups"
    out().print(f"Evaluation {found.id}: {found.items:,} items{drawn}{grouped} of '{asked.task}'.", markup=False, soft_wrap=True)
    _sides("", found.sides, found)
    for part in found.parts:
        _sides(f"{part.by} = {part.value}: {part.items:,} items", part.sides, found)
    for part in found.people:
        _sides(f"People, {part.by} = {part.value}: {part.items:,} items", part.sides, found)
    for left in found.suppressed:
        out().print(
            f"People by {left.by}: {left.groups} groups are not shown, for they are small or would tell of one that is.", markup=False
        )
    if found.gaps:
        rows = [[gap.by, gap.variant, gap.scorer, gap.lowest, gap.highest, number(gap.gap)] for gap in found.gaps]
        print_table(
            "Between groups of people, a description and no test", ["by", "variant", "scorer", "lowest", "highest", "gap"], rows, right=(5,)
        )
    if found.differences:
        rows = [
            [
                d.first,
                d.second,
                d.scorer,
                _signed(d.difference),
                _interval(d.low, d.high, signed=True),
                f"{d.p_adjusted:.2g}",
                d.verdict,
                f"{d.n:,}",
            ]
            for d in found.differences
        ]
        title = f"Differences on the same items; verdicts together hold with {asked.confidence:.0%} (Holm), equal within {asked.margin:g}"
        print_table(
            title, ["variant", "against", "scorer", "difference", "interval", "p, corrected", "verdict", "items"], rows, right=(3, 4, 5, 7)
        )
    if found.scorecard is not None:
        _scorecard(found.scorecard, asked.reference or "")
    _unscored(found)
    if found.required:
        rows = [
            [one.said, one.variant or "", one.why if one.measured is None else f"{one.measured:.6g}", "yes" if one.is_met else "NO"]
            for one in found.required
        ]
        print_table("Required", ["what", "of", "measured", "holds"], rows)


def _sides(title: str, sides: "Sequence[Side]", found: "Evaluation") -> None:
    rows = []
    for side in sides:
        for place, mean in enumerate(side.means):
            of_side = [usd(side.cost_usd_per_1k, 2), _seconds(side.p50_s), _seconds(side.p95_s)]
            rows.append(
                [
                    side.variant if not place else "",
                    mean.scorer,
                    number(mean.mean),
                    _of(mean),
                    f"{mean.n:,}",
                    *(of_side if not place else [""] * 3),
                ]
            )
    columns = ["variant", "scorer", "mean", f"{found.asked.confidence:.0%} interval", "scored", "per 1,000", "p50", "p95"]
    print_table(title, columns, rows, right=(2, 3, 4, 5, 6, 7))


def _scorecard(card: "Scorecard", reference: str) -> None:
    title = (
        f"Where '{reference}' is not needed: chosen on {card.chosen_from:,} items, confirmed on {card.confirmed_on:,} others; fixed "
        f"{card.targets_at:%Y-%m-%d %H:%M} as {card.targets_hash[:12]}"
    )
    rows = [
        [
            f"{line.target.by} = {line.target.value}" if line.target.by else "everywhere",
            line.target.variant,
            line.target.claim,
            _signed(line.difference),
            _interval(line.low, line.high, signed=True),
            f"{line.p_adjusted:.2g}",
            "confirmed" if line.is_confirmed else "not confirmed",
            share(line.cost_share),
        ]
        for line in card.lines
    ]
    if not rows:
        out().print(f"{title}: nobody looked as good as it.", markup=False, soft_wrap=True)
        return
    print_table(title, ["where", "variant", "claim", "difference", "interval", "p, corrected", "", "of its cost"], rows, right=(3, 4, 5, 7))


def _unscored(found: "Evaluation") -> None:
    """What has no score, and why; and what the worst would be."""
    rows = []
    for side in found.sides:
        for mean in side.means:
            if mean.unscored or mean.silent:
                why = "; ".join(f"{count:,} {reason}" for reason, count in list(mean.reasons.items())[:3])
                bounds = f"{number(mean.worst)} to {number(mean.best)}" if mean.unscored else ""
                rows.append([side.variant, mean.scorer, f"{mean.silent:,}", f"{mean.unscored:,}", why, bounds])
    if rows:
        columns = ["variant", "scorer", "no answer: worst score", "no score", "why", "the mean, were those the worst or best"]
        print_table("What has no answer, or no score", columns, rows, right=(2, 3))


def print_changes(found: "Compared") -> None:
    """Two evaluations side by side."""
    rows = [
        [
            change.variant,
            change.against.scorer,
            number(change.before),
            number(change.after),
            _signed(change.against.difference),
            _interval(change.against.low, change.against.high, signed=True),
            change.against.verdict,
            f"{change.against.n:,}",
        ]
        for change in found.changes
    ]
    columns = ["variant", "scorer", found.before, found.after, "difference", "interval", "verdict", "items"]
    print_table("On the items that both have", columns, rows, right=(2, 3, 4, 5, 7))
    if found.only_before or found.only_after:
        notes().print(
            f"{found.only_before:,} items are in {found.before} alone, {found.only_after:,} in {found.after} alone.", markup=False
        )
    if found.left_out:
        notes().print(f"In one of them alone: {', '.join(found.left_out)}.", markup=False, soft_wrap=True)


def _of(mean: "Mean") -> str:
    return _interval(mean.low, mean.high)


def _interval(low: float | None, high: float | None, signed: bool = False) -> str:
    if low is None or high is None:
        return ""
    return f"{_signed(low)} to {_signed(high)}" if signed else f"{low:.3f} to {high:.3f}"


def _signed(value: float | None) -> str:
    return "unknown" if value is None else f"{value:+.3f}"


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.2f} s"
