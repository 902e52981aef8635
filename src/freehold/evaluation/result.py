"""What an evaluation says, as it is kept and printed: numbers of variants over all items, by region and by group of people, and their differences.

Scores are means in the metric's own range. An item without a score is in no mean: it is counted, with its reason, and `worst` and `best` say
what the mean would be, were all of those as bad or as good as a score can be.
"""

from datetime import datetime
from typing import Literal

import msgspec

from freehold.catalog import Metric
from freehold.evaluation.multiplicity import Verdict


class Mean(msgspec.Struct, frozen=True, kw_only=True):
    """A variant's mean score by one scorer."""

    scorer: str
    """Who scored."""
    mean: float | None
    """Of the items that have a score; None where none has."""
    low: float | None = None
    """Where its interval begins, at the evaluation's confidence; None with the mean."""
    high: float | None = None
    """Where it ends."""
    n: int = 0
    """Items with a score."""
    groups: int = 0
    """Groups of items that depend on each other; the interval counts these."""
    method: str = ""
    """How the interval was made."""
    silent: int = 0
    """Items among `n` that the variant was asked and did not answer: they have the worst score there is."""
    unscored: int = 0
    """Items without a score."""
    reasons: dict[str, int] = {}
    """Why they have none, and how many of them."""
    worst: float | None = None
    """The mean, were all of those as bad as can be."""
    best: float | None = None
    """The mean, were all of those as good as can be."""


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """One variant over some items."""

    variant: str
    """Who answered."""
    items: int
    """Items there are."""
    answered: int
    """Items that it answered."""
    means: tuple[Mean, ...]
    """Its scores, one scorer each."""
    cost_usd: float | None = None
    """What its answers cost together; None where that is unknown of any."""
    known_usd: float = 0.0
    """What those cost of which it is known."""
    cost_usd_per_1k: float | None = None
    """What a thousand answers cost, from those of which it is known; None where it is known of none."""
    unpriced: int = 0
    """Answers of which nobody knows the cost."""
    p50_s: float | None = None
    """The median of its latency in seconds; None where it is known of no answer."""
    p95_s: float | None = None
    """The 95th percentile likewise."""
    timed: int = 0
    """Answers of which the latency is known."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """Some of the items: those with one value of a tag, or of one region."""

    by: str
    """The tag, or `region`."""
    value: str
    """Its value."""
    items: int
    """Items there are."""
    sides: tuple[Side, ...]
    """Every variant on them."""


class Suppressed(msgspec.Struct, frozen=True, kw_only=True):
    """Groups of people of whom nothing is shown, for they are few, or would tell of one that is."""

    by: str
    """The tag."""
    groups: int
    """How many groups that are."""


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """How far apart groups of people are: a description, and no test."""

    by: str
    """The tag."""
    variant: str
    """Who answered."""
    scorer: str
    """Who scored."""
    lowest: str
    """The group with the lowest mean among those that are shown."""
    highest: str
    """The one with the highest."""
    gap: float
    """How far apart these two are."""


class Against(msgspec.Struct, frozen=True, kw_only=True):
    """One variant against another, on the items that both have a score of."""

    first: str
    """The one that is compared."""
    second: str
    """What it is compared with."""
    scorer: str
    """Who scored."""
    difference: float
    """Mean of first - second, in the metric's own range."""
    low: float
    """Where its interval begins, at the evaluation's confidence, for this comparison alone."""
    high: float
    """Where it ends."""
    p: float
    """How often chance would show as much without a difference."""
    p_adjusted: float
    """The same once every comparison of the evaluation is counted; the verdict goes by this one."""
    p_equivalent: float
    """How often it would look as equal with a difference of the margin, every comparison counted."""
    verdict: Verdict
    """What may be said of the first."""
    n: int
    """Items."""
    groups: int
    """Groups of items that depend on each other."""


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What was chosen on one part of the items, to be tested on the other."""

    by: str
    """The tag of its part of the traffic, `region`, or empty for all of it."""
    value: str
    """Its value."""
    variant: str
    """Who is to do as well as the reference there."""
    claim: Literal["better", "as good"]
    """`better` than the reference, or `as good`: worse by less than the margin, if at all."""
    chosen_on: float
    """The difference to the reference where it was chosen, in the metric's own range, better above 0."""
    n: int
    """Items it was chosen on."""


class Targets(msgspec.Struct, frozen=True, kw_only=True):
    """What was fixed before the scores of the confirming part were looked at."""

    requirements: tuple[str, ...] = ()
    """What `--require` asks for."""
    scorer: str
    """By which scorer variants are chosen and confirmed."""
    reference: str
    """What they are compared with."""
    margin: float
    """How much worse is as good, as a share of the metric's range."""
    confidence: float
    """With which confidence."""
    data: str
    """Hash of the items, their groups and parts."""
    chosen: tuple[Target, ...] = ()
    """What is to be confirmed."""


class Confirmed(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the scorecard: what became of a target on items it was not chosen on."""

    target: Target
    """What was to be confirmed."""
    difference: float | None
    """The difference to the reference on the confirming part, better above 0; None where it has no items."""
    low: float | None
    """Where its interval begins."""
    high: float | None
    """Where it ends."""
    p_adjusted: float
    """How often chance would show as much, every target counted (Holm)."""
    is_confirmed: bool
    """Whether that is rare enough."""
    n: int
    """Items of the confirming part."""
    cost_share: float | None
    """What it cost as a share of what the reference cost on the items where both is known; None where it is known of none."""


class Scorecard(msgspec.Struct, frozen=True, kw_only=True):
    """Where a variant already does as well as the reference."""

    targets_hash: str
    """Of what was fixed before."""
    targets_at: datetime
    """When that was kept, before the confirming part was looked at."""
    attempt: int
    """How many different lists of targets this confirming part was asked about, this one included: number k may err with 6δ/(π²k²)."""
    chosen_from: int
    """Items that were chosen on."""
    confirmed_on: int
    """Items that were confirmed on."""
    lines: tuple[Confirmed, ...]
    """One for each target."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What an evaluation was asked for: the same asked again of the same items is the same run."""

    task: str
    """The task."""
    variants: tuple[str, ...]
    """Who is compared, the reference first where there is one."""
    reference: str | None
    """What the others are compared with."""
    scorers: tuple[str, ...]
    """Who scores."""
    dataset: str | None
    """The file or data set of the items; None for the journal's."""
    limit: int | None
    """The most items, drawn at random; None for all."""
    seed: int
    """By which random order."""
    by: tuple[str, ...] = ()
    """By which tags scores are told apart."""
    margin: float = 0.02
    """Differences within this share of a metric's range count as equal."""
    confidence: float = 0.95
    """Of intervals and verdicts."""
    requirements: tuple[str, ...] = ()
    """What `--require` asks for."""
    is_all_pairs: bool = False
    """Whether every variant is compared with every other, and not with the reference alone."""


class Required(msgspec.Struct, frozen=True, kw_only=True):
    """A requirement and what was measured."""

    said: str
    """As it was asked."""
    variant: str | None
    """Of whom; None where it is of two."""
    measured: float | None
    """The number; None where it could not be measured."""
    is_met: bool
    """Whether it holds."""
    why: str = ""
    """Why it could not be measured."""


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """One evaluation, whole."""

    id: str
    """Its name."""
    asked: Asked
    """What it was asked for."""
    metrics: tuple[Metric, ...]
    """What the scores mean, a scorer each."""
    begun: datetime
    """When it began, UTC."""
    ended: datetime
    """When it ended, UTC."""
    items: int
    """Items evaluated."""
    frame: int
    """Items there were to draw from."""
    groups: int
    """Groups of items that depend on each other."""
    data: str
    """Hash of the items, their groups and parts."""
    sides: tuple[Side, ...]
    """Every variant over all items."""
    parts: tuple[Part, ...] = ()
    """By tag or region."""
    people: tuple[Part, ...] = ()
    """By declared group of people, small ones left out."""
    suppressed: tuple[Suppressed, ...] = ()
    """What was left out there."""
    gaps: tuple[Gap, ...] = ()
    """How far apart groups of people are."""
    differences: tuple[Against, ...] = ()
    """Variants against the reference, or each other."""
    scorecard: Scorecard | None = None
    """Where the reference is not needed; None where there is no reference, or nobody beside it."""
    required: tuple[Required, ...] = ()
    """What `--require` asks for, and whether it holds."""
    asked_usd: float = 0.0
    """What asking live variants cost in this run; what nobody says, as it was estimated."""
    scoring_usd: float | None = 0.0
    """What scoring cost in this run; None where that is unknown."""
    sources: dict[str, int] = {}
    """Who said the scores that were taken from the journal, and how many of them."""
    erased: int = 0
    """Items that were erased since: the numbers above still count them, the file of single scores does not have them."""
