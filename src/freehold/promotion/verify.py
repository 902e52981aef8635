"""Makes a certificate again from the data it names: same split, same training, same walk, same words. Or says why it can't."""

from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from freehold.catalog import Metric
from freehold.chat import JSON
from freehold.datasets.freeze import FrozenDataChanged, erased_items, thaw
from freehold.datasets.pairs import Pairs
from freehold.datasets.split import Fractions
from freehold.errors import DataError, FreeholdError
from freehold.evaluation import bounds
from freehold.promotion.certificate import Certificate, identity
from freehold.promotion.certify import Certification, conclude, prepare
from freehold.promotion.develop import head_column
from freehold.promotion.family import Family
from freehold.promotion.issue import Prepared
from freehold.promotion.settings import Settings
from freehold.routing.artefact import policy_hash
from freehold.routing.program import digest, parse
from freehold.routing.scorer import Scored, Scorer

_CLOSE = 1e-9
_NAMED_LATER = {
    "id",
    "certificate",
    "policy",
    "policy_hash",
    "artefact",
    "dataset",
    "dataset_hash",
    "created_at",
    "left_out",
    "charged",
    "specialists",
}
"""What a certificate gets when it is written down, and what was counted in the journal rather than in the frozen data."""
_ALIKE_LOSS, _ALIKE_THRESHOLD, _ALIKE_BET, _ALIKE_SHARE = 1e-3, 1e-3, 0.05, 0.999
"""How near training has to come to what it made before. Arithmetic differs in its last digits from one kind of processor to another, and
a cluster or a tie may turn on them; arrays that saw calibration items are much farther off."""


class Verdict(StrEnum):
    """What verification found."""

    VALID = "valid"
    INVALID = "invalid"
    NOTHING = "nothing certified"
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
    """Makes the claim again from the frozen data, and compares every field but the paths, the time, and what was counted in the journal
    (`charged`, `unpaired`, and of `left_out` what the data does not show).

    Training is done anew, and what it makes has to be what the policy's arrays say: a choice is valid only if calibration items had no
    part in it, and arrays alone cannot show that. Then the arrays themselves decide on every item, and the split, the walk with its
    bounds, the program, the controls, the test numbers and the words are computed from that.
    """
    erased = erased_items(data)
    if erased:
        return Verification(Verdict.ERASED, (f"{erased} of {certificate.n_items} items were erased since; its counts stay",), certificate)
    if why := _not_kept(certificate, scorer):
        return Verification(Verdict.UNREADABLE, (why,), certificate)
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
    except (FreeholdError, ValueError, IndexError, KeyError) as error:  # a name, a column or a length that is not in what it says it is of
        wrong.append(f"it does not fit its data and arrays: {error}")
    if wrong:
        return Verification(Verdict.INVALID, tuple(wrong), certificate)
    if not certificate.certified:
        what = (
            "an estimate, which certifies nothing"
            if certificate.estimate
            else "it says that nothing cheaper than the reference is certified"
        )
        return Verification(Verdict.NOTHING, (what, "and that is what its data says"), certificate)
    return Verification(Verdict.VALID, (), certificate)


def remake(certificate: Certificate, recorded: Pairs, scorer: Scorer | None, metric: Metric) -> Certification:
    """The certification of this certificate, made again from its frozen data. Raises DataError where what it was made with was not kept."""
    if why := _not_kept(certificate, scorer):
        raise DataError(why)
    return conclude(_prepared(certificate, recorded, scorer, metric), certificate.unpaired, certificate.created_at)


def _not_kept(certificate: Certificate, scorer: Scorer | None) -> str:
    """Why training cannot be done again; empty where it can. An embedder of one's own is kept with the arrays of a policy that has some."""
    if scorer is not None:
        return ""
    if (trained := certificate.trained_head) is not None:
        return f"it was issued on the specialist '{trained}', which was not kept, because its policy needs no arrays. Certify again"
    if certificate.embedder is None:
        return ""
    return f"it was trained on the embedder '{certificate.embedder}', which was not kept, because its policy needs no arrays. Certify again"


def _prepared(certificate: Certificate, recorded: Pairs, scorer: Scorer | None, metric: Metric) -> Prepared:
    """What training makes, done again as the certificate was asked for."""
    head = next((v for v in certificate.variants if v not in recorded.variants), None)
    settings = Settings(
        max_loss=certificate.max_loss,
        confidence=certificate.confidence,
        fractions=Fractions(certificate.train_fraction, certificate.calibrate_fraction),
        by=certificate.by,
        seed=certificate.seed,
        attempt=certificate.attempt,
        p95_s=certificate.p95_s,
        head=head,
        trained=scorer.head.head if scorer is not None and scorer.head is not None and certificate.trained_head is not None else None,
        head_cost_usd=certificate.head_cost_usd,
    )
    candidates = tuple(v for v in certificate.variants[1:] if v != head)
    embedder = None if scorer is None or certificate.embedder is None else scorer.embedder
    return prepare(recorded, candidates, metric, settings, certificate.tenant, embedder)


def _compare(certificate: Certificate, recorded: Pairs, scorer: Scorer | None, metric: Metric) -> list[str]:
    program = digest(parse(certificate.policy_source))
    expected_hash = policy_hash(program, certificate.artefact) if certificate.artefact else program
    wrong = [] if certificate.policy_hash == expected_hash else [_differs("policy_hash", expected_hash, certificate.policy_hash)]
    prepared = _prepared(certificate, recorded, scorer, metric)
    wrong += _not_as_trained(certificate, prepared)
    if wrong:
        return wrong  # what follows would compare what does not belong together
    scored = None
    if scorer is not None:
        if scorer.variants != prepared.pairs.variants:
            return [*wrong, _differs("variants", scorer.variants, prepared.pairs.variants)]
        scored = scorer.score(prepared.pairs.texts)
        wrong += _arrays_not_as_trained(scored, prepared)
        prepared = _with_arrays(prepared, certificate, scorer, scored)
    made = conclude(prepared, certificate.unpaired, certificate.created_at, scored)
    again = made.certificate
    if scorer is None and made.scorer is not None:
        wrong.append("its policy decides by arrays, and it names none")
    if not again.left_out.items() <= certificate.left_out.items():
        wrong.append(_differs("left_out", again.left_out, certificate.left_out))
    names = [name for name in Certificate.__struct_fields__ if name not in _NAMED_LATER]
    found = {name: (msgspec.to_builtins(getattr(again, name)), msgspec.to_builtins(getattr(certificate, name))) for name in names}
    return wrong + [_differs(name, now, said) for name, (now, said) in found.items() if not _same(now, said)]


def _not_as_trained(certificate: Certificate, prepared: Prepared) -> list[str]:
    """What the certificate says training chose, where training chooses otherwise."""
    family, exam = prepared.developed.family, prepared.exam
    columns = tuple(prepared.pairs.variants[c] for c in family.columns) if family else ()
    kind, threshold_T = (family.predictor, family.threshold_T) if family else ("none", np.empty(0))
    method = "clopper-pearson" if exam.is_exact else "betting"
    wrong = [
        _differs(name, found, said)
        for name, found, said in (
            ("method", method, certificate.method),
            ("predictor", kind, certificate.predictor),
            ("family", columns, certificate.family),
        )
        if found != said
    ]
    bets = [float(each.bet_K[0]) for each in exam.bets_T]
    for name, made, told, near in (
        ("thresholds", threshold_T, certificate.thresholds, _ALIKE_THRESHOLD),
        ("pilot_bets", np.array(bets), certificate.pilot_bets, _ALIKE_BET),
    ):
        if len(made) != len(told) or (len(made) and float(np.abs(made - np.array(told)).max()) > near):
            wrong.append(f"{name} are not those that training on the training part gives")
    return wrong


def _arrays_not_as_trained(scored: Scored, prepared: Prepared) -> list[str]:
    """Where the policy's arrays say something else of the items than arrays trained on the training part do."""
    trained = prepared.developed.scorer.score(prepared.pairs.texts)
    names = {
        "predicted losses": np.abs(scored.loss_NV - trained.loss_NV).max(axis=1, initial=0.0) <= _ALIKE_LOSS,
        "predicted costs": np.isclose(scored.cost_NV, trained.cost_NV, rtol=1e-6, equal_nan=True).all(axis=1),
        "regions": scored.region_N == trained.region_N,
        "the head's answers": scored.head_class_N == trained.head_class_N,
    }
    return [
        f"{what} of the policy's arrays are not those of arrays trained on the training part, on {(~alike_N).sum():,} of {len(alike_N):,} items"
        for what, alike_N in names.items()
        if alike_N.mean() < _ALIKE_SHARE
    ]


def _with_arrays(prepared: Prepared, certificate: Certificate, scorer: Scorer, scored: Scored) -> Prepared:
    """What was prepared, with the arrays, thresholds and bets that the certificate was issued on."""
    pairs = prepared.pairs
    if scorer.head is not None:
        recorded, price = pairs.columns(pairs.variants[:-1]), certificate.head_cost_usd
        pairs = head_column(recorded, scorer.head.head, scored.head_class_N, pairs.variants[-1], price)
    columns = tuple(pairs.variants.index(name) for name in certificate.family)
    family = Family(certificate.predictor, columns, np.array(certificate.thresholds))
    bets = tuple(bounds.bets_of(bet) for bet in certificate.pilot_bets)
    developed = prepared.developed._replace(scorer=scorer, family=family)
    return prepared._replace(pairs=pairs, developed=developed, exam=prepared.exam._replace(bets_T=bets))


def _differs(name: str, found: object, said: object) -> str:
    return f"{name} is {_short(found)}, the certificate says {_short(said)}"


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 200 else f"{text[:200]} …"


def _same(found: JSON, said: JSON) -> bool:
    """Whether two values are one, numbers within 1e-9."""
    if isinstance(found, dict) and isinstance(said, dict):
        return found.keys() == said.keys() and all(_same(found[key], said[key]) for key in found)
    if isinstance(found, list | tuple) and isinstance(said, list | tuple):
        return len(found) == len(said) and all(_same(a, b) for a, b in zip(found, said, strict=True))
    if isinstance(found, float) and isinstance(said, int | float):
        return abs(found - said) <= _CLOSE
    return bool(found == said)
