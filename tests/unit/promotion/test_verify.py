"""Verification recomputes a certificate from its frozen data, and says of whatever was changed since that it was.

Two kinds of change: an edit, and a forgery, by somebody who computes the certificate's id anew as well.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from freehold.catalog import Metric
from freehold.datasets.freeze import erase_frozen, freeze
from freehold.datasets.pairs import Pairs
from freehold.datasets.split import CALIBRATE
from freehold.errors import DataError
from freehold.promotion.certificate import Certificate, PerSide, identity
from freehold.promotion.certify import Certification, certify, conclude, prepare
from freehold.promotion.settings import Settings
from freehold.promotion.verify import Verdict, Verification, read_certificate, remake, verify
from freehold.routing.artefact import dump, load, policy_hash
from freehold.routing.features import SURFACE, features
from freehold.routing.predict import Neighbours
from freehold.routing.program import digest, parse
from freehold.routing.scorer import Scorer
from simulated import ALL_PAIRED, CHEAP, CORRECT, FRONTIER, GRADE, NOW, Model, a_task, certified

ARRAYS = "ab" * 20


class Issued(NamedTuple):
    """A certificate that lies beside its data, and what is needed to verify it."""

    certificate: Certificate
    data: Path
    scorer: Scorer | None
    metric: Metric = CORRECT

    def verified(self, **changes: Any) -> Verification:
        """What verification says after these changes, of the certificate with its old id."""
        return verify(msgspec.structs.replace(self.certificate, **changes), self.data, self.scorer, self.metric)

    def forged(self, **changes: Any) -> Verification:
        """What it says when the id was computed anew."""
        changed = msgspec.structs.replace(self.certificate, **changes)
        return verify(msgspec.structs.replace(changed, id=identity(changed)), self.data, self.scorer, self.metric)


def issue(made: Certification, recorded: Pairs, folder: Path, metric: Metric = CORRECT) -> Issued:
    """The certificate as the project writes it down."""
    name, path = freeze(recorded, folder)
    arrays = ARRAYS if made.scorer is not None else None
    program = digest(made.program)
    named = msgspec.structs.replace(
        made.certificate, dataset_hash=name, artefact=arrays, policy_hash=policy_hash(program, arrays) if arrays else program
    )
    certificate = msgspec.structs.replace(named, id=identity(named))
    return Issued(certificate, path, load(dump(made.scorer)) if made.scorer is not None else None, metric)


@pytest.fixture
def issued(plain: Certification, tmp_path: Path) -> Issued:
    """A valid certificate on single items."""
    return issue(plain, plain.pairs, tmp_path)


@pytest.fixture
def bet(grouped: Certification, tmp_path: Path) -> Issued:
    """A valid certificate on groups."""
    return issue(grouped, grouped.pairs, tmp_path)


def tampered(path: Path, column: str, row: int, value: Any) -> None:
    """The frozen file with one number changed."""
    table = pq.read_table(path)
    values = table.column(column).to_pylist()
    values[row] = value
    field = table.schema.field(column)
    pq.write_table(table.set_column(table.column_names.index(column), field, pa.array(values, field.type)), path)


# Valid


def test_an_untouched_certificate_is_valid(issued: Issued) -> None:
    assert issued.verified() == (Verdict.VALID, (), issued.certificate)


def test_one_on_groups_is_valid(bet: Issued) -> None:
    assert bet.verified().verdict is Verdict.VALID


def test_one_with_a_head_is_valid_though_the_data_never_held_its_answers(with_head: Certification, tmp_path: Path) -> None:
    issued = issue(with_head, a_task(), tmp_path)
    assert "head" in issued.certificate.share
    assert issued.verified() == (Verdict.VALID, (), issued.certificate)


def test_one_in_slices_is_valid(sliced: Certification, tmp_path: Path) -> None:
    assert issue(sliced, sliced.pairs, tmp_path).verified().verdict is Verdict.VALID


def test_one_on_calls_without_costs_is_valid(tmp_path: Path) -> None:
    made = certified(a_task(600, (FRONTIER._replace(usd=float("nan")), CHEAP._replace(usd=float("nan")))))
    assert issue(made, made.pairs, tmp_path).verified().verdict is Verdict.VALID


def test_one_of_a_bounded_metric_with_unequal_chances_of_labels_is_valid(tmp_path: Path) -> None:
    pairs = a_task(1500, (FRONTIER, CHEAP, Model("spare", 0.5, 0.5, 2e-3)))
    drawn = replace(
        pairs, metric="grade", is_deterministic=False, designs=("audit",) * 1500, inclusion_N=np.where(pairs.truth_N >= 4, 0.9, 0.5)
    )
    made = certified(drawn, GRADE)
    assert made.certificate.certified
    assert issue(made, drawn, tmp_path, GRADE).verified().verdict is Verdict.VALID


def test_paths_and_time_are_not_what_a_certificate_says(issued: Issued) -> None:
    moved = issued.verified(policy="elsewhere", dataset="elsewhere", certificate="elsewhere")
    assert moved.verdict is Verdict.VALID


# Not a certificate


def test_one_that_certifies_nothing_is_not_valid_and_not_called_forged(hopeless: Certification, tmp_path: Path) -> None:
    issued = issue(hopeless, hopeless.pairs, tmp_path)
    found = issued.verified()
    assert found.verdict is Verdict.NOTHING
    assert found.reasons[0] == "it says that nothing cheaper than the reference is certified"
    assert issued.forged(n_items=7).verdict is Verdict.INVALID


def test_one_that_certifies_nothing_is_made_again_with_what_its_head_was_priced_at(tmp_path: Path) -> None:
    """Its policy has no arrays to tell the price."""
    pairs = a_task(600, (FRONTIER, Model("broken", 1.0, 1.0, 1e-5)))
    issued = issue(certified(pairs, head="head", head_cost_usd=1e-5, max_loss=0.01), pairs, tmp_path)
    assert (issued.scorer, issued.verified().verdict) == (None, Verdict.NOTHING)
    assert issued.forged(head_cost_usd=0.0).verdict is Verdict.INVALID


class Lengths:
    """An embedder of one's own."""

    name = "lengths"
    dims = 2

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        angle_N = np.array([len(text) for text in texts]) / 50
        return np.stack([np.cos(angle_N), np.sin(angle_N)], axis=1).astype(np.float32)


def test_one_whose_embedder_was_not_kept_cannot_be_made_again_and_is_not_called_forged(tmp_path: Path) -> None:
    pairs = a_task(600, (FRONTIER, Model("broken", 1.0, 1.0, 1e-5)))
    issued = issue(
        certify(pairs, pairs.variants[1:], CORRECT, Settings(max_loss=0.01), ALL_PAIRED, NOW, embedder=Lengths()), pairs, tmp_path
    )
    found = issued.verified()
    assert (found.verdict, issued.certificate.embedder) == (Verdict.UNREADABLE, "lengths")
    assert "'lengths', which was not kept" in found.reasons[0]
    with pytest.raises(DataError, match="was not kept"):
        remake(issued.certificate, pairs, None, CORRECT)


def test_an_estimate_is_not_valid(tmp_path: Path) -> None:
    pairs = a_task(800)
    found = replace(pairs, designs=("found",) * 800, inclusion_N=np.full(800, np.nan))
    estimate = issue(certified(found), found, tmp_path)
    assert estimate.certificate.estimate
    assert estimate.verified().verdict is Verdict.NOTHING
    assert estimate.verified().reasons[0] == "an estimate, which certifies nothing"
    assert estimate.forged(certified=True, estimate=False, label_design="census").verdict is Verdict.INVALID


def test_nothing_certified_cannot_be_called_certified(hopeless: Certification, tmp_path: Path) -> None:
    """Without arrays there is nothing to recompute, and only the reference may be claimed."""
    issued = issue(hopeless, hopeless.pairs, tmp_path)
    for claim in ({}, {"saving": 0.5}, {"policy_source": "task triage\notherwise use broken\n"}):
        assert issued.forged(certified=True, **claim).verdict is Verdict.INVALID


# Changed certificates


@pytest.mark.parametrize(
    "change",
    [
        {"claim": "Loses nothing, ever."},
        {"max_loss": 0.01},
        {"confidence": 0.99},
        {"attempt": 2},
        {"loss_upper_bound": 0.001},
        {"saving": 0.99},
        {"cost_usd_per_1k": PerSide(policy=0.0, reference=1.0)},
        {"n_items": 100_000},
        {"conditions": ()},
        {"seed": 1},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whoever_edits_a_certificate_is_found_out_by_its_id(issued: Issued, change: dict[str, Any]) -> None:
    found = issued.verified(**change)
    assert found.verdict is Verdict.INVALID
    assert "changed since it was issued" in found.reasons[0]


def other_threshold(source: str) -> str:
    """The policy's text with a higher threshold."""
    words = source.split()
    return source.replace(words[words.index("<=") + 1], "0.9")


FORGERIES: dict[str, Any] = {
    "loss_upper_bound": 0.001,
    "loss_calibrate": 0.0,
    "saving": 0.99,
    "n_items": 100_000,
    "n_groups": 100_000,
    "n_train": 1,
    "n_calibrate": 100_000,
    "n_calibrate_groups": 100_000,
    "n_test": 100_000,
    "thresholds_tested": 1,
    "share": {"cheap": 1.0},
    "quality": PerSide(policy=1.0, reference=0.9),
    "attempt": 2,
    "delta": 0.05,
    "confidence": 0.9999,
    "max_loss": 0.0001,
    "label_design": "audit",
    "train_fraction": 0.3,
    "thresholds": (0.9,),
    "family": ("nobody",),
    "variants": ("cheap", "frontier"),
    "reference": "cheap",
    "task": "sort",
    "metric": "other",
    "by": "tier",
    "dataset_hash": "0" * 64,
    "policy_hash": "0" * 64,
    "estimate": True,
    "claim": "Loses nothing, ever.",
    "conditions": (),
    "cost_usd_per_1k": PerSide(policy=0.0, reference=1.0),
    "labels_needed": 7,
    "n_asked": 100_000,
    "n_costed": 1,
    "unpriced": ("nobody",),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_whoever_forges_a_number_is_found_out_by_computing_it_again(issued: Issued, name: str) -> None:
    found = issued.forged(**{name: FORGERIES[name]})
    assert found.verdict is Verdict.INVALID
    assert not any("since it was issued" in reason for reason in found.reasons)


def test_forged_test_numbers_and_controls_are_found_out(issued: Issued) -> None:
    c = issued.certificate
    better = msgspec.structs.replace(c.test, loss=-0.9)
    assert issued.forged(test=better).reasons[0].startswith("test is ")
    worse = msgspec.structs.replace(c.controls, shuffled=c.controls.oracle)
    assert issued.forged(controls=worse).reasons[0].startswith("controls is ")


def test_arrays_that_saw_calibration_items_are_found_out(plain: Certification, tmp_path: Path) -> None:
    """A predictor that remembers where the cheap model was wrong on the items of the proof walks past every one of them."""
    pairs, scorer = plain.pairs, plain.scorer
    assert scorer is not None
    proof_N = plain.part_N == CALIBRATE
    _, x_NF = scorer.inputs(pairs.texts, [features(text) for text in pairs.texts])
    near = Neighbours(
        len(SURFACE), x_NF[proof_N, len(SURFACE) :].astype(np.float32), pairs.loss_NV[proof_N, 1:], np.array([0.2]), reach=0.001
    )
    leaked = plain.developed._replace(scorer=replace(scorer, predictor=near))
    made = conclude(
        prepare(pairs, ("cheap",), CORRECT, Settings(max_loss=0.05), "default", None)._replace(developed=leaked), ALL_PAIRED, NOW
    )
    assert made.certificate.certified and made.certificate.test.loss is not None
    assert made.certificate.loss_calibrate < made.certificate.test.loss
    found = issue(made, pairs, tmp_path).verified()
    assert found.verdict is Verdict.INVALID
    assert found.reasons[0].startswith("predicted losses of the policy's arrays are not those of arrays trained on the training part")


def test_a_changed_policy_text_is_found_out(issued: Issued) -> None:
    source = other_threshold(issued.certificate.policy_source)
    assert issued.verified(policy_source=source).verdict is Verdict.INVALID
    found = issued.forged(policy_source=source, policy_hash=policy_hash(digest(parse(source)), ARRAYS))
    assert [reason.split(" is ")[0] for reason in found.reasons] == ["policy_source"]


@pytest.mark.parametrize(
    "change",
    [{"method": "clopper-pearson"}, {"group_cap": 0}, {"pilot_bets": (-0.9,) * 40}, {"pilot_bets": (1.5,) * 40}, {"pilot_bets": ()}],
    ids=["the binomial bound", "groups of none", "bets on harm", "bets beyond the capital", "no bets"],
)
def test_a_test_that_groups_do_not_allow_is_found_out(bet: Issued, change: dict[str, Any]) -> None:
    assert bet.forged(**change).verdict is Verdict.INVALID


def test_a_binary_claim_about_a_metric_that_is_not_is_found_out(issued: Issued) -> None:
    found = issued._replace(metric=Metric(id="correct")).verified()
    assert found.reasons[0] == "method is betting, the certificate says clopper-pearson"


# Changed data and arrays


@pytest.mark.parametrize(("column", "value"), [("loss:1", 0.0), ("cost:1", 0.0), ("text", "x"), ("group", "one"), ("design", "found")])
def test_changed_data_is_found_out(issued: Issued, plain: Certification, column: str, value: Any) -> None:
    tampered(issued.data, column, int(np.argmax(plain.pairs.loss_NV[:, 1])), value)
    found = issued.verified()
    assert found.verdict is Verdict.INVALID
    assert "its hash is not its name" in found.reasons[0]


def test_other_data_under_its_own_name_is_found_out(issued: Issued, tmp_path: Path) -> None:
    _, other = freeze(a_task(1200, seed=1), tmp_path)
    found = issued._replace(data=other).verified()
    assert found.verdict is Verdict.INVALID
    assert found.reasons[0].startswith("its data is ")


def test_other_arrays_are_found_out(issued: Issued) -> None:
    other = certified(a_task(1200, seed=1)).scorer
    assert issued._replace(scorer=other).verified().verdict is Verdict.INVALID


def test_arrays_of_another_shape_are_found_out(issued: Issued, grouped: Certification, with_head: Certification) -> None:
    for other in (grouped.scorer, with_head.scorer):
        assert issued._replace(scorer=other).verified().verdict is Verdict.INVALID


def test_without_the_arrays_nothing_but_the_reference_can_be_claimed(issued: Issued) -> None:
    assert issued._replace(scorer=None).verified().verdict is Verdict.INVALID


def test_missing_data_cannot_be_verified(issued: Issued) -> None:
    issued.data.unlink()
    with pytest.raises(DataError, match="missing"):
        issued.verified()


def test_after_an_erasure_it_is_unverifiable_and_keeps_its_counts(issued: Issued) -> None:
    erase_frozen(issued.data.parent, {"triage": {"i000001", "i000002"}})
    found = issued.verified()
    assert found.verdict is Verdict.ERASED
    assert found.verdict.value == "unverifiable: erased"
    assert found.reasons == ("2 of 1200 items were erased since; its counts stay",)
    assert found.certificate is not None
    assert found.certificate.n_calibrate == issued.certificate.n_calibrate


# Files


def test_a_certificate_is_read_as_it_was_written(issued: Issued, tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(issued.certificate)))
    assert read_certificate(path) == issued.certificate
    assert identity(read_certificate(path)) == issued.certificate.id


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"id": 3}', b"\xff\xfe", b'{"id": "x"}'])
def test_what_is_no_certificate_says_so(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "c.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match="is not a certificate"):
        read_certificate(path)


def test_a_certificate_that_is_not_there_says_who_writes_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="There is no certificate"):
        read_certificate(tmp_path / "c.json")
    with pytest.raises(DataError, match="is not a certificate"):
        read_certificate(tmp_path)
