"""Recomputes a certificate from the data it names: same split, same arrays, same walk, same bound. Or says why it can't."""

from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from freehold.catalog import Metric
from freehold.datasets.freeze import FrozenDataChanged, erased_items, thaw
from freehold.datasets.pairs import Pairs
from freehold.datasets.split import CALIBRATE, TEST, TRAIN, Fractions
from freehold.errors import DataError, FreeholdError
from freehold.evaluation import bounds
from freehold.promotion.certificate import Certificate, identity
from freehold.promotion.certify import parts
from freehold.promotion.develop import head_column
from freehold.promotion.family import Family
from freehold.promotion.judge import judge, picked, policy_program, weights
from freehold.promotion.measure import mean_quality, saving_of, share_of
from freehold.promotion.slices import cut
from freehold.promotion.walk import Exam
from freehold.routing.artefact import policy_hash
from freehold.routing.program import Program, Rule, Use, digest, parse, show
from freehold.routing.scorer import Scorer

_CLOSE = 1e-9


class Verdict(StrEnum):
    """What verification found."""

    VALID = "valid"
    INVALID = "invalid"
    ERASED = "unverifiable: erased"
    UNREADABLE = "unreadable"


class Verification(NamedTuple):
    """The verdict and every number that was compared."""

    verdict: Verdict
    reasons: tuple[str, ...]
    """What differs, or why nothing could be compared."""
    certificate: Certificate | None


def read_certificate(path: Path) -> Certificate:
    """The certificate in a file. Raises DataError."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Certificate)
    except FileNotFoundError:
        raise DataError(f"There is no certificate at {path}. 'freehold certify' prints the path of the one it writes.") from None
    except (OSError, msgspec.DecodeError, FreeholdError) as error:
        raise DataError(f"{path} is not a certificate: {error}") from None


def verify(certificate: Certificate, data: Path, scorer: Scorer | None, metric: Metric) -> Verification:
    """Recomputes the claim from the frozen data and the policy's arrays.

    Split, slices, scores, choices, the walk with its bounds, the program's text and the saving are computed anew and compared. What
    training chose (predictor, thresholds, bets) is taken from the certificate and the arrays: it needs no trust, because any choice made
    without calibration items is valid, and the split shows which items those are.
    """
    erased = erased_items(data)
    if erased:
        return Verification(Verdict.ERASED, (f"{erased} of {certificate.n_items} items were erased since; its counts stay",), certificate)
    wrong = []
    if identity(certificate) != certificate.id:
        wrong.append("it was changed since it was issued: its id is not the hash of its content")
    if data.stem != certificate.dataset_hash:
        wrong.append(f"its data is {data.stem}, the certificate says {certificate.dataset_hash}")
    try:
        pairs = thaw(data)
    except FrozenDataChanged as error:
        return Verification(Verdict.INVALID, (*wrong, str(error)), certificate)
    try:
        wrong += _compare(certificate, pairs, scorer, metric)
    except (ValueError, IndexError) as error:  # a name, a column or a length that is not in what it says it was made from
        wrong.append(f"it does not fit its data and arrays: {error}")
    if not certificate.certified:
        what = "it is an estimate and certifies nothing" if certificate.estimate else "it certifies nothing cheaper than the reference"
        wrong.append(what)
    return Verification(Verdict.INVALID if wrong else Verdict.VALID, tuple(wrong), certificate)


def _compare(certificate: Certificate, recorded: Pairs, scorer: Scorer | None, metric: Metric) -> list[str]:
    wrong: list[str] = []

    def same(what: str, found: object, said: object) -> None:
        close = abs(found - said) <= _CLOSE if isinstance(found, float) and isinstance(said, float) else found == said
        if not close:
            wrong.append(f"{what} is {found}, the certificate says {said}")

    fractions = Fractions(certificate.train_fraction, certificate.calibrate_fraction)
    kept, part_N, design = parts(recorded, certificate.tenant, fractions)
    train_N, calibrate_N = part_N == TRAIN, part_N == CALIBRATE
    n_groups = len(np.unique(kept.group_codes[calibrate_N]))
    same("task", recorded.task, certificate.task)
    same("reference", recorded.reference, certificate.reference)
    same("metric", recorded.metric, certificate.metric)
    same("label design", design, certificate.label_design)
    same("n_items", len(kept), certificate.n_items)
    same("n_groups", len(set(kept.groups)), certificate.n_groups)
    same("n_calibrate_groups", n_groups, certificate.n_calibrate_groups)
    for name, part in (("n_train", TRAIN), ("n_calibrate", CALIBRATE), ("n_test", TEST)):
        same(name, int((part_N == part).sum()), getattr(certificate, name))
    same("delta", bounds.spend(1.0 - certificate.confidence, certificate.attempt), certificate.delta)
    program = digest(parse(certificate.policy_source))
    same("policy_hash", policy_hash(program, certificate.artefact) if certificate.artefact else program, certificate.policy_hash)
    if scorer is None:
        same("policy", show(Program(kept.task, (Rule(None, Use(kept.reference)),))), certificate.policy_source)
        for name, found in (("certified", False), ("saving", 0.0), ("loss_upper_bound", 0.0)):
            same(name, found, getattr(certificate, name))
        return wrong
    same("variants", scorer.variants, certificate.variants)
    if wrong:
        return wrong  # what follows would compare what does not belong together
    pairs = kept.columns(tuple(v for v in certificate.variants if v in kept.variants))
    scored = scorer.score(pairs.texts)
    if scorer.head is not None:
        price = float(scorer.cost_range_V2[scorer.head_column, 0])  # a flat one
        pairs = head_column(pairs, scorer.head.head, scored.head_class_N, certificate.variants[-1], price)
    columns = tuple(pairs.variants.index(v) for v in certificate.family)
    family = Family(certificate.predictor, columns, np.array(certificate.thresholds))
    weight_N = weights(pairs, calibrate_N, certificate.label_design)
    exam = Exam(
        epsilon=certificate.max_loss,
        is_exact=certificate.method == "clopper-pearson",
        cap=certificate.group_cap,
        bets_T=tuple(bounds.bets_of(bet) for bet in certificate.pilot_bets),
        seed=certificate.seed,
    )
    if exam.is_exact and (metric.kind != "binary" or weight_N is not None or calibrate_N.sum() != n_groups):
        wrong.append("the binomial bound was used where groups, weights or the metric do not allow it")
    if exam.cap < 1 or not all(0.0 <= bet < 1.0 for bet in certificate.pilot_bets):
        return [*wrong, "its bets or the size of its groups are outside what the betting bound allows"]
    cuts = cut(certificate.by, pairs, scored, scorer, train_N) if certificate.by else []
    verdicts = judge(pairs, family, exam, scored, calibrate_N, cuts, certificate.delta, weight_N, certificate.saving_unit)
    choice_N = picked(family, scored, verdicts)
    loss_N = pairs.loss_NV[np.arange(len(pairs)), choice_N]
    same("loss_upper_bound", max(v.upper for v in verdicts), certificate.loss_upper_bound)
    same("thresholds_tested", sum(v.walk.tested for v in verdicts), certificate.thresholds_tested)
    same("loss_calibrate", float(loss_N[calibrate_N].mean()), certificate.loss_calibrate)
    same("policy", show(policy_program(pairs, scorer, family, verdicts, certificate.p95_s)), certificate.policy_source)
    saving = saving_of(pairs, choice_N, calibrate_N, certificate.saving_unit) or 0.0
    same("saving", saving, certificate.saving)
    same("share", share_of(pairs, choice_N, calibrate_N), certificate.share)
    same("quality", mean_quality(pairs, choice_N, calibrate_N), certificate.quality.policy)
    same("test saving", saving_of(pairs, choice_N, part_N == TEST, certificate.saving_unit), certificate.test.saving)
    same("certified", any(v.chosen >= 0 for v in verdicts) and saving > 0 and design != "found", certificate.certified)
    same("estimate", design == "found", certificate.estimate)
    if certificate.loss_upper_bound > certificate.max_loss:
        wrong.append(f"its bound {certificate.loss_upper_bound} is above its floor {certificate.max_loss}")
    return wrong
