# ruff: noqa: E501  (one record to a line reads as a table)
"""Pictures for tests: what a certification of a bank's support desk looks like, and how else one can end."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from freehold.promotion.certificate import Certificate, Control, Controls, PerSide, Slice, TestResult, Unpaired
from freehold.promotion.picture import LabelCost, Picture, Point, Region, StillNeeded

POLICY = """task triage
when tag.tier == "critical"   use frontier
when chars > 4000             use frontier
when region == "card lost"    try head accept confidence >= 0.9 then frontier
when chars < 400              use cheapest of head, cheap where predicted_loss <= 0.031
otherwise                     use frontier
"""

HOSTILE = '</script><script>alert(1)</script><img src="http://evil.example/x" onerror=alert(2)>"\'&{{ 7*7 }}'

_REGIONS = (
    ("card lost, stolen, block", 0.142, {"head": 0.71, "cheap": 0.17, "frontier": 0.12}, 0.012, 0.93, 1.09, 0.79, "hi my card got eaten by the machine on high street, what do i do"),
    ("transfer pending, not arrived", 0.118, {"cheap": 0.52, "head": 0.21, "frontier": 0.27}, 0.024, 0.91, 1.18, 0.61, "Sent 400 to my landlord on Friday and he swears it is not there"),
    ("exchange rate, abroad", 0.094, {"cheap": 0.63, "frontier": 0.37}, 0.031, 0.88, 1.22, 0.48, "which rate did you use on the 14th in lisbon, it looks off"),
    ("top up, failed, declined", 0.088, {"head": 0.84, "cheap": 0.06, "frontier": 0.1}, 0.006, 0.95, 1.04, 0.86, "top up failed twice, money left my other bank though"),
    ("refund, merchant, disputed", 0.081, {"frontier": 0.86, "cheap": 0.14}, 0.008, 0.82, 1.61, 0.11, "They will not refund me and I have every email. Can you get it back?"),
    ("pin, passcode, locked", 0.075, {"head": 0.9, "frontier": 0.1}, 0.004, 0.97, 0.98, 0.88, "locked out, forgot the passcode AGAIN sorry"),
    ("verify, identity, passport", 0.069, {"cheap": 0.44, "head": 0.2, "frontier": 0.36}, 0.071, 0.87, 1.31, 0.52, "Why is my residence permit not accepted as ID?"),
    ("cash withdrawal, fee", 0.064, {"head": 0.58, "cheap": 0.29, "frontier": 0.13}, 0.019, 0.92, 1.07, 0.74, "charged 3 for taking cash out in Bath??"),
    ("direct debit, unknown", 0.061, {"frontier": 0.72, "cheap": 0.28}, 0.035, 0.84, 1.49, 0.21, "a direct debit I have never heard of took 29.99"),
    ("contactless, apple pay", 0.058, {"head": 0.66, "cheap": 0.22, "frontier": 0.12}, 0.011, 0.94, 1.01, 0.78, "phone pay stopped working after the update"),
    ("change, address, name", 0.056, {"head": 0.93, "frontier": 0.07}, 0.0, 0.98, 0.96, 0.9, "I married. How do I change my name with you?"),
    ("fraud, scam, suspicious", 0.052, {"frontier": 1.0}, 0.0, 0.8, 1.88, 0.0, "someone from your bank phoned and had me move everything to a safe account"),
    ("close account", 0.042, {"head": 0.6, "cheap": 0.3, "frontier": 0.1}, None, None, None, None, ""),
)  # fmt: skip


def certificate(**changes: Any) -> Certificate:
    """A certified policy over three variants, at a floor of five points, unless changed."""
    base = Certificate(
        id="c3f8a1d0b2",
        task="triage",
        reference="frontier",
        variants=("frontier", "cheap", "head"),
        metric="correct",
        metric_kind="binary",
        label_design="census",
        claim="On traffic exchangeable with this, the policy loses at most 0.05 of correct against frontier, with confidence 0.95.",
        max_loss=0.05,
        confidence=0.95,
        attempt=1,
        delta=0.0304,
        seed=0,
        certified=True,
        estimate=False,
        method="clopper-pearson",
        certificate="certificates/triage-c3f8a1d0b2.json",
        policy="policies/triage-91be.policy",
        policy_source=POLICY,
        policy_hash="91be77a2c4",
        artefact="a77e0142",
        dataset="datasets/triage-5d20.jsonl",
        dataset_hash="5d20ff",
        n_items=2143,
        n_asked=2143,
        n_groups=2143,
        n_train=857,
        n_calibrate=858,
        n_test=428,
        n_calibrate_groups=858,
        group_cap=1,
        n_over_cap=0,
        train_fraction=0.4,
        calibrate_fraction=0.4,
        thresholds_tested=14,
        thresholds=(0.0, 0.01, 0.02, 0.031),
        predictor="ridge",
        family=("cheap", "head"),
        loss_upper_bound=0.0463,
        loss_calibrate=0.0245,
        saving=0.5872,
        n_costed=858,
        saving_unit="cost",
        share={"frontier": 0.318, "cheap": 0.244, "head": 0.438},
        quality=PerSide(policy=0.8811, reference=0.9056),
        cost_usd_per_1k=PerSide(policy=0.4923, reference=1.1927),
        test=TestResult(n=428, loss=0.0257, loss_ci=(0.007, 0.0445), saving=0.5811),
        controls=Controls(
            all_cheapest=Control(loss=0.1659, quality=0.7391, saving=0.97),
            all_reference=Control(loss=0.0, quality=0.9042, saving=0.0),
            shuffled=Control(loss=0.0934, quality=0.8114, saving=0.5811),
            oracle=Control(loss=-0.0467, quality=0.951, saving=0.873),
        ),
        labels_needed=0,
        labels_at_least=73,
        unpaired=Unpaired(n=57, by_reason={"no label": 41, "no answer of the reference": 16}, differences={"chars": 0.41, "digits": -0.08}),
        conditions=("items are drawn at random from the traffic", "labels are census labels of the period"),
        created_at=datetime(2026, 3, 2, 9, 30, tzinfo=UTC),
    )
    return msgspec.structs.replace(base, **changes)


def points() -> tuple[Point, ...]:
    """The frontier of `certificate()`."""
    family = (
        (0.11, 0.0, True),
        (0.24, 0.0023, True),
        (0.36, 0.0093, True),
        (0.47, 0.0164, True),
        (0.66, 0.0421, False),
        (0.74, 0.0701, False),
        (0.83, 0.1098, False),
    )
    return (
        Point(label="policy", kind="policy", saving=0.5811, loss=0.0257, quality=0.8785, cost_usd_per_1k=0.4996, loss_ci=(0.007, 0.0445), is_certified=True),
        *(
            Point(label=f"threshold {i}", kind="family", saving=s, loss=x, quality=0.9042 - x, cost_usd_per_1k=1.19 * (1 - s), is_certified=ok)
            for i, (s, x, ok) in enumerate(family)
        ),
        Point(label="frontier", kind="variant", saving=0.0, loss=0.0, quality=0.9042, cost_usd_per_1k=1.1927),
        Point(label="cheap", kind="variant", saving=0.81, loss=0.0888, quality=0.8154, cost_usd_per_1k=0.2266, loss_ci=(0.0584, 0.1192)),
        Point(label="head", kind="variant", saving=0.97, loss=0.1659, quality=0.7391, cost_usd_per_1k=0.0358, loss_ci=(0.1285, 0.2033)),
        Point(label="all_cheapest", kind="control", saving=0.97, loss=0.1659, quality=0.7391, cost_usd_per_1k=0.0358),
        Point(label="all_reference", kind="control", saving=0.0, loss=0.0, quality=0.9042, cost_usd_per_1k=1.1927),
        Point(label="shuffled", kind="control", saving=0.5811, loss=0.0934, quality=0.8114, cost_usd_per_1k=0.4996, loss_ci=(0.0654, 0.1215)),
        Point(label="oracle", kind="control", saving=0.873, loss=-0.0467, quality=0.951, cost_usd_per_1k=0.1515),
    )  # fmt: skip


def regions() -> tuple[Region, ...]:
    """Thirteen regions of a support desk, the last one without labels or prices."""
    return tuple(
        Region(name=name, n=round(2143 * share), share=share, share_by_variant=by, loss=loss, quality_reference=quality,
               cost_usd_per_1k=cost, saving=saving, example=example)
        for name, share, by, loss, quality, cost, saving, example in _REGIONS
    )  # fmt: skip


def picture(c: Certificate | None = None, **changes: Any) -> Picture:
    """The picture of a certified policy, unless changed."""
    c = c or certificate()
    floor_2 = certificate(
        id="d4", max_loss=0.02, saving=0.2714, loss_upper_bound=0.0191, loss_calibrate=0.0047, certificate="certificates/triage-d4.json", attempt=2,
        cost_usd_per_1k=PerSide(policy=0.869, reference=1.1927),
    )  # fmt: skip
    floor_1 = not_certified(id="e5", max_loss=0.01, loss_upper_bound=0.0142, labels_needed=310)
    base = Picture(
        project="support",
        title="triage",
        certificate=c,
        beside=(floor_2, floor_1),
        points=points(),
        regions=regions(),
        still=(
            StillNeeded(text="someone from your bank phoned and had me move everything to a safe account", region="fraud, scam, suspicious", predicted_loss=0.41),
            StillNeeded(text="They will not refund me and I have every email. Can you get it back?", region="refund, merchant, disputed", predicted_loss=0.22),
            StillNeeded(text="a direct debit I have never heard of took 29.99", region="direct debit, unknown", predicted_loss=0.17),
            StillNeeded(text="Two of my cards, one of them my daughter's, were charged in a country we have never been to, on the same night", region="fraud, scam, suspicious", predicted_loss=None),
        ),
        labels=LabelCost(n_labelled=2143, n_free=1611, n_asked=532, by_design={"census": 2143}, least_by_floor={"0.01": 363, "0.02": 181, "0.05": 73, "0.005": 1212}),
        calls=6600,
        cost_usd=4.8812,
        since="2026-01-05",
        until="2026-02-27",
        notes=("The models frontier and cheap are simulated: their errors depend on the message and are documented in the demo’s source.",),
    )  # fmt: skip
    return msgspec.structs.replace(base, **changes)


def not_certified(**changes: Any) -> Certificate:
    """Nothing cheaper could be proven: the reference answers everything."""
    plain = {
        "certified": False,
        "saving": 0.0,
        "loss_upper_bound": 0.0,
        "loss_calibrate": 0.0,
        "labels_needed": 212,
        "certificate": None,
        "policy_source": "task triage\notherwise use frontier\n",
        "share": {"frontier": 1.0},
        "quality": PerSide(policy=0.9056, reference=0.9056),
        "cost_usd_per_1k": PerSide(policy=1.1927, reference=1.1927),
        "test": TestResult(n=428, loss=0.0, loss_ci=(0.0, 0.0), saving=0.0),
        "claim": "Nothing cheaper than frontier is proven to lose at most 0.05 of correct.",
    }
    return certificate(**(plain | changes))


def estimate(**changes: Any) -> Certificate:
    """The same numbers from labels that were found."""
    plain = {
        "certified": False,
        "estimate": True,
        "label_design": "found",
        "claim": "Estimate: if its labels were a fair sample, the policy would lose about 0.02 of correct against frontier.",
    }
    return certificate(**(plain | changes))


def in_calls() -> Picture:
    """Costs and scores are unknown: the saving is a share of calls."""
    unknown = PerSide(policy=None, reference=None)
    nothing = Control(loss=None, quality=None, saving=None)
    c = certificate(
        saving_unit="calls",
        saving=0.682,
        cost_usd_per_1k=unknown,
        quality=unknown,
        unpriced=("cheap", "head"),
        left_out={"legacy": "fewer than half of the items have its answer"},
        controls=Controls(
            all_cheapest=nothing, all_reference=Control(loss=0.0, quality=None, saving=0.0), shuffled=nothing, oracle=nothing
        ),
    )
    blind = tuple(msgspec.structs.replace(point, quality=None, cost_usd_per_1k=None) for point in points())
    return picture(c, points=blind, cost_usd=None, since=None, until=None)


def bare() -> Picture:
    """As little as there can be: an empty test part, no points, no regions, no examples."""
    nothing = Control(loss=None, quality=None, saving=None)
    c = not_certified(
        n_test=0,
        test=TestResult(n=0, loss=None, loss_ci=None, saving=None),
        controls=Controls(all_cheapest=nothing, all_reference=nothing, shuffled=nothing, oracle=nothing),
        unpaired=Unpaired(n=0, by_reason={}, differences={}),
        dataset=None,
        conditions=(),
    )
    labels = LabelCost(n_labelled=0, n_free=0, n_asked=0, by_design={}, least_by_floor={})
    return picture(c, beside=(), points=(), regions=(), still=(), labels=labels, notes=(), cost_usd=None)


def sliced() -> Picture:
    """Bounds by a tag, one slice sent back to the reference; items come in groups."""
    slices = (
        Slice(name="tier = gold", n_calibrate=412, n_groups=120, certified=True, loss_upper_bound=0.031, saving=0.55, reason=""),
        Slice(name="tier = basic", n_calibrate=401, n_groups=111, certified=True, loss_upper_bound=0.0487, saving=0.63, reason=""),
        Slice(name="tier = critical", n_calibrate=45, n_groups=9, certified=False, loss_upper_bound=0.0, saving=0.0, reason="9 groups; 73 are needed"),
    )  # fmt: skip
    return picture(
        certificate(slices=slices, by="tier", worst_slice="tier = basic", n_groups=611, n_calibrate_groups=240, method="betting", attempt=3)
    )


def hostile() -> Picture:
    """Every text somebody else wrote is an attack, right to left, or without end."""
    rtl, long = "שלום \u202eevil", "W" * 400
    c = certificate(
        task=HOSTILE,
        reference=rtl,
        variants=(rtl, HOSTILE, long),
        metric=HOSTILE,
        claim=HOSTILE,
        policy_source=f"task x\n# {HOSTILE}\notherwise use {long}\n",
        share={rtl: 0.3, HOSTILE: 0.3, long: 0.4},
        conditions=(HOSTILE, long),
        unpriced=(HOSTILE,),
        left_out={HOSTILE: HOSTILE},
        unpaired=Unpaired(n=3, by_reason={HOSTILE: 3}, differences={HOSTILE: 0.5}),
        slices=(Slice(name=HOSTILE, n_calibrate=9, n_groups=9, certified=False, loss_upper_bound=None, saving=0.0, reason=HOSTILE),),
        by=HOSTILE,
        worst_slice=HOSTILE,
        certificate=HOSTILE,
        dataset=HOSTILE,
    )
    point = Point(label=HOSTILE, kind="variant", saving=0.4, loss=0.01, quality=0.5, cost_usd_per_1k=0.1)
    names = (HOSTILE, rtl, long, "nul \x00 bell \x07 broken \ud800", "\u2028\u2029")
    hard = tuple(
        Region(name=name, n=9, share=0.2, share_by_variant={HOSTILE: 0.5, rtl: 0.5}, loss=0.2, quality_reference=None,
               cost_usd_per_1k=None, saving=0.3, example=name)
        for name in names
    )  # fmt: skip
    still = tuple(StillNeeded(text=name, region=name, predicted_loss=0.1) for name in names)
    return picture(c, project=HOSTILE, title=HOSTILE, points=(*points(), point), regions=hard, still=still, notes=(HOSTILE, long))


def crowded() -> Picture:
    """Two hundred regions and twelve variants."""
    names = ["frontier", *(f"model-{i:02d}-instruct-2025" for i in range(11))]
    share = dict.fromkeys(names, 1 / 12)
    many = tuple(
        Region(name=f"region {i:03d}", n=10, share=share_i, share_by_variant={names[i % 12]: 0.6, names[(i + 5) % 12]: 0.4}, loss=0.01,
               quality_reference=0.9, cost_usd_per_1k=1.0, saving=0.5, example=f"example {i}")
        for i, share_i in enumerate(2.0 * (200 - i) / (200 * 201) for i in range(200))
    )  # fmt: skip
    variants = tuple(
        Point(label=name, kind="variant", saving=-0.8 + 0.15 * i, loss=0.004 * i * i - 0.02, quality=0.9, cost_usd_per_1k=1.0)
        for i, name in enumerate(names)
    )
    return picture(certificate(variants=tuple(names), share=share), regions=many, points=(*points(), *variants))
