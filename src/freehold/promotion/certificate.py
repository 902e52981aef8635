"""The certificate: the evidence a policy is served on, as one record that can be recomputed from the data set it names."""

import hashlib
from datetime import UTC, datetime
from typing import Literal

import msgspec

from freehold.journal.call import LabelDesign


class PerSide(msgspec.Struct, frozen=True, kw_only=True):
    """One number for the policy and one for the reference it replaces."""

    policy: float | None
    """The policy's; None is unknown."""
    reference: float | None
    """The reference's; None is unknown."""


class TestResult(msgspec.Struct, frozen=True, kw_only=True):
    """What happened on items that nothing was chosen on."""

    n: int
    """Items."""
    loss: float | None
    """Mean paired loss; None without items."""
    loss_ci: tuple[float, float] | None
    """95 % bootstrap interval over groups. An illustration, not a guarantee."""
    saving: float | None
    """1 - cost of the policy / cost of the reference."""


class Control(msgspec.Struct, frozen=True, kw_only=True):
    """What a policy without any thought would have done, on the same test items."""

    loss: float | None
    """Mean paired loss."""
    quality: float | None
    """Mean score, 1 the best; None where scores are unknown."""
    saving: float | None
    """1 - its cost / cost of the reference."""


class Controls(msgspec.Struct, frozen=True, kw_only=True):
    """The lines every saving is to be read beside."""

    all_cheapest: Control
    """The candidate with the lowest cost answers everything."""
    all_reference: Control
    """The reference answers everything: loss 0, saving 0."""
    shuffled: Control
    """The policy's choices dealt out at random: the same shares without its judgement."""
    oracle: Control
    """The cheapest variant that does no worse than the reference, known afterwards: nobody can do better."""


class Slice(msgspec.Struct, frozen=True, kw_only=True):
    """One part of the traffic with a bound of its own."""

    name: str
    """Such as `tier = gold`."""
    n_calibrate: int
    """Calibration items in it."""
    n_groups: int
    """Calibration groups in it."""
    certified: bool
    """Whether anything cheaper than the reference may answer here."""
    loss_upper_bound: float | None
    """The bound on its mean loss; 0 where the reference answers."""
    saving: float
    """Saving on its calibration items."""
    reason: str
    """Why it went to the reference; empty where it is certified."""


class Unpaired(msgspec.Struct, frozen=True, kw_only=True):
    """Items that could not be used because an answer or a label is missing, and how they differ from those that were."""

    n: int
    """Items left out."""
    by_reason: dict[str, int]
    """How many for which reason."""
    differences: dict[str, float]
    """Feature: (mean of the left out - mean of the kept) / standard deviation. Beyond about 0.2 the claim may not speak for them."""


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """On traffic like this the policy loses at most `max_loss` against `reference`, with this confidence. Or: why that cannot be said."""

    id: str
    """Hash of everything below but the paths and the time."""
    version: int = 1
    """Format of this record."""
    tenant: str = "default"
    """Whose traffic it speaks of."""
    task: str
    """The task."""
    reference: str
    """The variant compared with."""
    variants: tuple[str, ...]
    """The variants that could be chosen, the reference first."""
    metric: str
    """What was measured."""
    metric_kind: Literal["binary", "bounded"]
    """As declared beforehand."""
    label_design: LabelDesign | Literal["mixed"]
    """How calibration labels were come by. Only audit and census labels certify."""
    claim: str
    """The certificate in one plain sentence."""
    max_loss: float
    """The floor."""
    confidence: float
    """1 - δ over all attempts on this data set."""
    attempt: int
    """Which attempt this was, from 1."""
    delta: float
    """What this attempt may spend: 6δ/(π²·attempt²)."""
    seed: int
    """Orders items and folds; splits do not depend on it."""
    certified: bool
    """Whether the policy saves something and its bound is within the floor, on labels that certify."""
    estimate: bool
    """Whether labels were found rather than drawn, so that the numbers are estimates and certify nothing."""
    method: str
    """`clopper-pearson` or `betting`."""
    certificate: str | None
    """Path of this record, relative to the project."""
    policy: str | None
    """Path of the policy's text, relative to the project."""
    policy_source: str
    """The policy's canonical text."""
    policy_hash: str
    """Hash of text and arrays."""
    artefact: str | None
    """Hash of the arrays the policy's scores come from; None for a policy that needs none."""
    dataset: str | None
    """Path of the frozen data, relative to the project."""
    dataset_hash: str
    """Hash of the frozen data."""
    n_items: int
    """Paired items."""
    n_asked: int
    """How often the reference was asked them; more than `n_items` where questions came again, each of which counts once."""
    n_groups: int
    """Groups of items."""
    n_train: int
    """Items the policy was made from."""
    n_calibrate: int
    """Items the bound was computed on."""
    n_test: int
    """Items nothing was chosen on."""
    n_calibrate_groups: int
    """Independent units in the calibration part."""
    group_cap: int
    """The most items of a group that were bet on: the size of the largest group in training."""
    n_over_cap: int
    """Calibration items of groups larger than that, which were left out of the bound."""
    train_fraction: float
    """Share of groups meant for training."""
    calibrate_fraction: float
    """Share of groups meant for calibration."""
    thresholds_tested: int
    """Policies tested in turn, the one that failed included."""
    thresholds: tuple[float, ...]
    """The whole ordered family's thresholds of predicted loss, fixed on training data."""
    predictor: str
    """What predicts the loss."""
    family: tuple[str, ...]
    """The variants that policies of the family may choose beside the reference."""
    pilot_bets: tuple[float, ...] = ()
    """The bet tuned on training losses for each policy, where the method is betting."""
    loss_upper_bound: float
    """The bound on the policy's mean paired loss; 0 where the reference answers all."""
    loss_calibrate: float
    """The mean paired loss seen on calibration items."""
    saving: float
    """1 - cost of the policy / cost of the reference, on calibration items with recorded costs."""
    n_costed: int
    """How many calibration items that are; all of them where a saving is a share of calls."""
    saving_unit: Literal["cost", "calls"]
    """`calls`: costs are unknown, and a saving is the share of calls the reference no longer answers."""
    share: dict[str, float]
    """Share of calibration items by variant."""
    quality: PerSide
    """Mean score on calibration items."""
    cost_usd_per_1k: PerSide
    """USD per 1,000 calls on calibration items."""
    test: TestResult
    """On the test part."""
    controls: Controls
    """On the test part."""
    labels_needed: int | None
    """How many more labelled groups a proof is expected to need; 0 when certified; None when no number is expected to do. Labels that
    were found are no part of a proof, so that an estimate needs all of them."""
    labels_at_least: int
    """The fewest calibration groups with which anything can be certified at this floor and δ."""
    slices: tuple[Slice, ...] = ()
    """One for each value of `by`."""
    by: str | None = None
    """What slices were made of."""
    worst_slice: str | None = None
    """The slice with the highest bound."""
    unpriced: tuple[str, ...] = ()
    """Variants whose cost is unknown, which were not candidates where others are priced."""
    left_out: dict[str, str] = {}
    """Variants that were not candidates, and why."""
    charged: dict[str, int] = {}
    """Answers without a label on labelled items, and answers that were not given, by variant: they were counted as wrong."""
    unpaired: Unpaired
    """What could not be used."""
    p95_s: float | None = None
    """The limit on predicted latency, seconds."""
    head_cost_usd: float = 0.0
    """What a call to the head was priced at."""
    specialists: dict[str, str] = {}
    """The specialists among the variants, and the hash of each."""
    trained_head: str | None = None
    """The one of them that decides by its own confidence; None where the head, if there is one, was trained for this certificate."""
    embedder: str | None = None
    """The embedder whose vectors training saw; None for the built-in one."""
    created_at: datetime
    """When it was issued, UTC."""
    conditions: tuple[str, ...] = ()
    """What has to hold for the claim, in words."""


def identity(certificate: Certificate) -> str:
    """The id a certificate has by its content: whoever changes a number changes it."""
    content = msgspec.structs.replace(
        certificate, id="", certificate=None, policy=None, dataset=None, created_at=datetime(1970, 1, 1, tzinfo=UTC)
    )
    return hashlib.sha256(msgspec.json.encode(content, order="deterministic")).hexdigest()[:32]
