"""From a table of scores to what an evaluation says: means, costs, latencies, parts, people, differences."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from freehold.catalog import Metric
from freehold.evaluation.difference import Difference, paired
from freehold.evaluation.interval import mean_interval
from freehold.evaluation.multiplicity import adjusted, verdict
from freehold.evaluation.result import Against, Gap, Mean, Part, Side, Suppressed
from freehold.evaluation.table import Table


def side(table: Table, v: int, keep_N: NDArray[np.bool_], confidence: float) -> Side:
    """One variant on some items."""
    cost_N, latency_N = table.cost_NV[keep_N, v], table.latency_NV[keep_N, v]
    answered_N = table.answered_NV[keep_N, v]
    known_N, timed_N = cost_N[~np.isnan(cost_N)], latency_N[~np.isnan(latency_N)]
    unpriced = int((answered_N & np.isnan(cost_N)).sum())
    return Side(
        variant=table.variants[v],
        items=int(keep_N.sum()),
        answered=int(answered_N.sum()),
        means=tuple(mean_of(table, s, v, keep_N, confidence) for s in range(len(table.metrics))),
        cost_usd=float(known_N.sum()) if not unpriced and len(known_N) else None,
        known_usd=float(known_N.sum()),
        cost_usd_per_1k=1000 * float(known_N.mean()) if len(known_N) else None,
        unpriced=unpriced,
        p50_s=float(np.quantile(timed_N, 0.5)) if len(timed_N) else None,
        p95_s=float(np.quantile(timed_N, 0.95)) if len(timed_N) else None,
        timed=len(timed_N),
    )


def mean_of(table: Table, s: int, v: int, keep_N: NDArray[np.bool_], confidence: float) -> Mean:
    """One variant's score by one scorer on some items."""
    metric, share_N = table.metrics[s], table.share_SNV()[s, :, v]
    scored_N = keep_N & ~np.isnan(share_N)
    n, unscored = int(scored_N.sum()), int((keep_N & ~scored_N).sum())
    if not n:
        worst, best = _own(metric, 0.0), _own(metric, 1.0)
        worst, best = (worst, best) if metric.better == "higher" else (best, worst)
        return Mean(scorer=metric.id, mean=None, unscored=unscored, reasons=table.reasons(s, v, keep_N), worst=worst, best=best)
    found = mean_interval(share_N[scored_N], table.group_N[scored_N], metric.kind == "binary", confidence)
    total = float(share_N[scored_N].sum())
    ends = (_own(metric, total / (n + unscored)), _own(metric, (total + unscored) / (n + unscored)))
    worst, best = ends if metric.better == "higher" else ends[::-1]
    return Mean(
        scorer=metric.id,
        mean=_own(metric, found.mean),
        low=_own(metric, found.low),
        high=_own(metric, found.high),
        n=n,
        groups=found.groups,
        method=found.method,
        silent=int((scored_N & table.silent_NV[:, v]).sum()),
        unscored=unscored,
        reasons=table.reasons(s, v, keep_N),
        worst=worst,
        best=best,
    )


def _own(metric: Metric, share: float) -> float:
    """A share of the metric's range in the metric's own numbers."""
    low, high = metric.range
    return low + share * (high - low)


def parts(table: Table, by: str, values: Sequence[str | None], confidence: float) -> list[Part]:
    """Every variant on the items of each value, the most frequent first; items without one are in none."""
    held_N = np.array(values, dtype=object)
    found = sorted({value for value in values if value is not None}, key=lambda value: (-int((held_N == value).sum()), value))
    return [
        Part(by=by, value=value, items=int((held_N == value).sum()), sides=_sides(table, held_N == value, confidence)) for value in found
    ]


def _sides(table: Table, keep_N: NDArray[np.bool_], confidence: float) -> tuple[Side, ...]:
    return tuple(side(table, v, keep_N, confidence) for v in range(len(table.variants)))


class People(NamedTuple):
    """Results by declared groups of people."""

    parts: list[Part]
    suppressed: list[Suppressed]
    gaps: list[Gap]


def people(table: Table, tags: Sequence[str], least: int, confidence: float) -> People:
    """Scores by groups of people, of which those under `least` independent units are not shown.

    Where that leaves a single group out, the smallest of the others goes with it: else what is missing from the whole would tell of it.
    """
    made = People([], [], [])
    for tag in tags:
        values = [tags.get(tag) for tags in table.tags]
        held_N = np.array(values, dtype=object)
        size = {value: len(np.unique(table.group_N[held_N == value])) for value in sorted({v for v in values if v is not None})}
        small = {value for value, count in size.items() if count < least}
        if len(small) == 1 and (others := sorted(set(size) - small, key=lambda value: (size[value], value))):
            small.add(others[0])
        if small:
            made.suppressed.append(Suppressed(by=tag, groups=len(small)))
        shown = parts(table, tag, [None if value in small else value for value in values], confidence)
        made.parts.extend(shown)
        made.gaps.extend(_gaps(table, tag, shown))
    return made


def _gaps(table: Table, tag: str, shown: Sequence[Part]) -> list[Gap]:
    found = []
    for v, variant in enumerate(table.variants):
        for s, metric in enumerate(table.metrics):
            means = {part.value: mean for part in shown if (mean := part.sides[v].means[s].mean) is not None}
            if len(means) > 1:
                low, high = min(means, key=means.__getitem__), max(means, key=means.__getitem__)
                gap = means[high] - means[low]
                found.append(Gap(by=tag, variant=variant, scorer=metric.id, lowest=low, highest=high, gap=gap))
    return found


def compared(
    table: Table, s: int, first: int, second: int, keep_N: NDArray[np.bool_], confidence: float, margin: float
) -> Difference | None:
    """Two variants on the items of `keep_N` that both have a score of, as shares of the metric's range; None where there is none."""
    share_NV = table.share_SNV()[s]
    both_N = keep_N & ~np.isnan(share_NV[:, first]) & ~np.isnan(share_NV[:, second])
    if not both_N.any():
        return None
    return paired(
        share_NV[both_N, first],
        share_NV[both_N, second],
        table.group_N[both_N],
        table.metrics[s].kind == "binary",
        confidence,
        margin,
    )


def differences(table: Table, reference: str | None, is_all_pairs: bool, confidence: float, margin: float) -> list[Against]:
    """Every variant against the reference, or against every other, by every scorer; all of them are one family of comparisons."""
    every = np.ones(len(table), dtype=bool)
    if is_all_pairs or reference is None:
        chosen = list(combinations(range(len(table.variants)), 2))
    else:
        chosen = [(v, table.variants.index(reference)) for v, name in enumerate(table.variants) if name != reference]
    found: dict[tuple[int, int, int], Difference] = {}
    for s in range(len(table.metrics)):
        for first, second in chosen:
            if (one := compared(table, s, first, second, every, confidence, margin)) is not None:
                found[s, first, second] = one
    made = []
    for ((s, first, second), one), by in zip(found.items(), adjusted(list(found.values())), strict=True):
        metric = table.metrics[s]
        scale = metric.range[1] - metric.range[0]
        made.append(
            Against(
                first=table.variants[first],
                second=table.variants[second],
                scorer=metric.id,
                difference=scale * one.mean,
                low=scale * one.low,
                high=scale * one.high,
                p=one.p,
                p_adjusted=by.p,
                p_equivalent=by.p_equivalent,
                verdict=verdict(one, by, confidence, metric.better == "higher"),
                n=one.n,
                groups=one.groups,
            )
        )
    return made


def values_of(table: Table, by: str, regions: Sequence[str | None] | None) -> Sequence[str | None]:
    """The value of each item: its region, or that of a tag."""
    if by == "region":
        assert regions is not None, "somebody has to say the regions"
        return regions
    tag = by.removeprefix("tag.")
    return [tags.get(tag) for tags in table.tags]


def overall(table: Table, confidence: float) -> tuple[Side, ...]:
    """Every variant on all items."""
    return _sides(table, np.ones(len(table), dtype=bool), confidence)


def known_tags(tags: Sequence[Mapping[str, str]]) -> list[str]:
    """The names of tags that items have."""
    return sorted({name for one in tags for name in one})
