"""Draws the picture of a certification for a person: points on the cost-quality plane, regions, examples, the price of labels."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from freehold.catalog import AGREEMENT
from freehold.datasets.pairs import Pairs
from freehold.datasets.split import CALIBRATE, TEST
from freehold.evaluation import bounds
from freehold.promotion.certificate import Certificate
from freehold.promotion.certify import Certification
from freehold.promotion.family import choices
from freehold.promotion.measure import cost_per_1k, mean_of, mean_quality, saving_of, weight_of
from freehold.promotion.picture import LabelCost, Picture, Point, Region, StillNeeded

FLOORS = (0.1, 0.05, 0.02, 0.01, 0.005)
_SHOWN = 280
_EXAMPLES = 8


def picture(
    project: str, made: Certification, certificate: Certificate, beside: Sequence[Certificate] = (), notes: Sequence[str] = ()
) -> Picture:
    """Everything the report page shows about this certification."""
    pairs = made.pairs
    seen = pairs.at_N[pairs.at_N >= 0]
    head = made.developed.scorer.head
    recorded = len(pairs.variants) - (head is not None)
    answered_NV = pairs.answer_NV[:, :recorded] >= 0
    cost = pairs.cost_NV[:, :recorded][answered_NV].sum()
    return Picture(
        project=project,
        title=certificate.task,
        certificate=certificate,
        beside=tuple(beside),
        points=tuple(_points(made, certificate)),
        regions=tuple(_regions(made, certificate)),
        still=tuple(_still_needed(made)),
        labels=_label_cost(pairs, recorded, certificate),
        is_map_of_answers=made.developed.scorer.maps_answers,
        head=pairs.variants[-1] if head is not None else None,
        calls=int(answered_NV.sum()),
        cost_usd=None if np.isnan(cost) else float(cost),
        since=_day(seen.min()) if len(seen) else None,
        until=_day(seen.max()) if len(seen) else None,
        notes=tuple(notes),
    )


def _day(microseconds: int) -> str:
    return datetime.fromtimestamp(int(microseconds) / 1e6, UTC).date().isoformat()


def _points(made: Certification, certificate: Certificate) -> list[Point]:
    """The policy, the rest of its family, every variant alone and the controls, on test items (calibration items where there are none)."""
    pairs, unit = made.pairs, made.developed.unit
    here_N = made.part_N == TEST if (made.part_N == TEST).any() else made.part_N == CALIBRATE
    weight_N = weight_of(pairs)

    def point(label: str, kind: str, picked_N: NDArray[np.int64], is_certified: bool = False) -> Point:
        loss_N = pairs.loss_NV[np.arange(len(pairs)), picked_N]
        kept = None if weight_N is None else weight_N[here_N]
        return Point(
            label=label,
            kind=kind,
            saving=saving_of(pairs, picked_N, here_N, unit),
            loss=mean_of(pairs, loss_N, here_N) or 0.0,
            quality=mean_quality(pairs, picked_N, here_N),
            cost_usd_per_1k=cost_per_1k(pairs, picked_N, here_N),
            loss_ci=bounds.bootstrap_mean_interval(loss_N[here_N], pairs.group_codes[here_N], certificate.seed, weight_N=kept),
            is_certified=is_certified,
        )

    points = [point("policy", "policy", made.choice_N, certificate.certified)]
    family = made.developed.family
    if family is not None:
        choice_TN = choices(made.scored.loss_NV, made.scored.cost_NV, family, len(pairs.variants))
        points += [
            point(f"loss ≤ {t:.3g}", "family", choice_TN[n], n < made.passed and not certificate.estimate)
            for n, t in enumerate(family.threshold_T)
        ]
    points += [point(v, "variant", np.full(len(pairs), column)) for column, v in enumerate(pairs.variants)]
    controls = certificate.controls
    before = cost_per_1k(pairs, np.zeros(len(pairs), dtype=np.int64), here_N) if unit == "cost" else None
    for label, control in (
        ("all cheapest", controls.all_cheapest),
        ("all reference", controls.all_reference),
        ("shuffled", controls.shuffled),
        ("oracle", controls.oracle),
    ):
        if control.loss is not None:
            points.append(
                Point(
                    label=label,
                    kind="control",
                    saving=control.saving,
                    loss=control.loss,
                    quality=control.quality,
                    cost_usd_per_1k=None if before is None or control.saving is None else before * (1.0 - control.saving),
                )
            )
    return points


def _regions(made: Certification, certificate: Certificate) -> list[Region]:
    """The map, largest first. What the policy does there is told of calibration and test items, which it was not made from."""
    pairs, scored = made.pairs, made.scored
    proven_N = made.part_N >= CALIBRATE
    reference_N = np.zeros(len(pairs), dtype=np.int64)
    out = []
    for k, name in enumerate(made.developed.scorer.region_names):
        here_N = scored.region_N == k
        if not here_N.any():
            continue
        told_N = here_N & proven_N
        loss_N = pairs.loss_NV[np.arange(len(pairs)), made.choice_N][told_N]
        counts = Counter(made.choice_N[told_N].tolist())
        typical = min(np.flatnonzero(here_N), key=lambda i: (not 20 < len(pairs.texts[i]) < _SHOWN, -scored.nearness_N[i]))
        out.append(
            Region(
                name=name,
                n=int(here_N.sum()),
                share=float(here_N.mean()),
                share_by_variant={pairs.variants[c]: n / int(told_N.sum()) for c, n in sorted(counts.items())},
                loss=float(loss_N.mean()) if len(loss_N) else None,
                quality_reference=mean_quality(pairs, reference_N, here_N),
                cost_usd_per_1k=cost_per_1k(pairs, reference_N, here_N),
                saving=saving_of(pairs, made.choice_N, told_N, made.developed.unit),
                example=shortened(pairs.texts[typical]),
            )
        )
    return sorted(out, key=lambda region: -region.n)


def _still_needed(made: Certification) -> list[StillNeeded]:
    """Inputs that go to the reference, those farthest from being given to anybody else first, at most one of each region in a row."""
    kept = np.flatnonzero((made.choice_N == 0) & (made.part_N >= CALIBRATE))
    columns = [*made.developed.candidates] or [0]
    least_N = made.scored.loss_NV[:, columns].min(axis=1)
    shown: list[StillNeeded] = []
    seen: set[int] = set()
    for i in sorted(kept, key=lambda i: -np.nan_to_num(least_N[i], nan=-1.0)):
        region = int(made.scored.region_N[i])
        if region in seen or not made.pairs.texts[i]:
            continue
        seen.add(region)
        least = float(least_N[i])
        shown.append(
            StillNeeded(
                text=shortened(made.pairs.texts[i]),
                region=made.developed.scorer.region_names[region],
                predicted_loss=None if np.isnan(least) or columns == [0] else least,
            )
        )
        if len(shown) == _EXAMPLES:
            break
    return shown


def _label_cost(pairs: Pairs, recorded: int, certificate: Certificate) -> LabelCost:
    """What labels cost, by the answers of the first so many variants, which were recorded; a head's are no questions to anybody."""
    agree_N = (pairs.answer_NV[:, :recorded] == pairs.answer_NV[:, :1]).all(axis=1) & (pairs.answer_NV[:, 0] >= 0)
    is_exact = certificate.method == "clopper-pearson"
    n_free = int(agree_N.sum()) if pairs.is_deterministic else 0
    next_delta = bounds.spend(1.0 - certificate.confidence, certificate.attempt + 1)
    deltas = {
        floor: certificate.delta if floor == certificate.max_loss else next_delta for floor in sorted({*FLOORS, certificate.max_loss})
    }
    return LabelCost(
        n_labelled=len(pairs),
        n_free=n_free,
        n_asked=None if certificate.metric == AGREEMENT else len(pairs) - n_free,
        by_design=dict(Counter(pairs.designs)),
        least_by_floor={f"{floor:g}": bounds.least_units(floor, deltas[floor], is_exact) for floor in sorted(deltas, reverse=True)},
    )


def shortened(text: str) -> str:
    """The text on one line, cut at a word."""
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else line[:_SHOWN].rsplit(" ", 1)[0] + " …"
