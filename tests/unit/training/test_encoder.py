"""Encoders: a base is tuned, whole or by adapters, and its answers are those of full precision or nearly; a broken base is refused by name."""

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from freehold.chat import JSON
from freehold.errors import CallerError, DataError, TrainingError
from freehold.training.method import Job, method_of, options_of
from freehold.training.run import CHECKPOINT
from freehold.variants import encoder
from taught import as_spans, job, lesson, made, tiny_base

CHOICE = lesson(lambda row: row[1])
LABELS = lesson(lambda row: sorted(row[2]))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_base(tmp_path_factory.mktemp("model") / "base")


def right(files: dict[str, bytes], told: object) -> float:
    """Share of the test part that is answered right."""
    part = told.test  # type: ignore[attr-defined]
    said = encoder.load(files).answer(part.texts)
    return float(np.mean([one is not None and one.output == answer for one, answer in zip(said, part.answers, strict=True)]))


def test_it_answers_what_it_was_shown(tmp_path: Path, base: Path) -> None:
    found = made(tmp_path, job("encoder", CHOICE, base, epochs=6, rate=0.005))
    assert right(found.files, CHOICE) > 0.95
    assert found.base.name == "base" and found.base.sha256
    assert found.about["precision"] == "int8"
    (said,) = encoder.load(found.files).answer(["cancel my table on friday night"])
    assert said is not None and said.output == "cancel" and 0.5 < said.confidence <= 1


def test_it_says_all_labels_that_are_to_be_said(tmp_path: Path, base: Path) -> None:
    found = made(tmp_path, job("encoder", LABELS, base, epochs=8, rate=0.005))
    assert right(found.files, LABELS) > 0.9
    assert encoder.load(found.files).answer(["where are you ?"])[0].output == []  # type: ignore[union-attr]


def test_adapters_are_merged_into_the_base(tmp_path: Path, base: Path) -> None:
    found = made(tmp_path, job("encoder", CHOICE, base, epochs=12, rate=0.01, adapt="lora", rank=8))
    assert right(found.files, CHOICE) > 0.8
    assert set(found.files) == {"model.onnx", "tokenizer.json", "encoder.safetensors"}


def test_the_same_plan_gives_the_same_bytes(tmp_path: Path, base: Path) -> None:
    same = job("encoder", CHOICE, base, epochs=2)
    assert made(tmp_path / "one", same).files == made(tmp_path / "two", same).files
    other = Job(same.task, msgspec.structs.replace(same.plan, seed=4), same.lesson, base=base)
    assert made(tmp_path / "three", other).files != made(tmp_path / "four", same).files


def test_it_stops_when_the_calibration_part_no_longer_gains(tmp_path: Path, base: Path) -> None:
    found = made(tmp_path, job("encoder", CHOICE, base, epochs=40, rate=0.02, patience=1))
    assert found.about["stopped_early"] and found.about["epochs"] < 40
    assert found.about["best_epoch"] == found.about["epochs"] - 1


def test_int8_is_taken_only_where_it_holds(tmp_path: Path, base: Path) -> None:
    none = lesson(lambda row: row[1], held_out=0)
    assert made(tmp_path / "one", job("encoder", none, base, epochs=1)).about["precision"] == "fp32"
    assert made(tmp_path / "two", job("encoder", none, base, epochs=1, precision="int8")).about["precision"] == "int8"


def test_a_loss_that_is_no_number_ends_the_run(tmp_path: Path, base: Path) -> None:
    weights = load_file(base / "model.safetensors")
    broken = tiny_base(tmp_path / "base")
    weights["encoder.layer.0.output.dense.bias"][:] = np.nan
    save_file(weights, broken / "model.safetensors")
    with pytest.raises(TrainingError, match="The loss 'choice' is nan in step 1 of epoch 1"):
        made(tmp_path / "run", job("encoder", CHOICE, broken, epochs=1))
    assert not (tmp_path / "run" / CHECKPOINT).exists()


def refused(folder: Path, error: type[Exception], message: str, **options: JSON) -> None:
    told = job("encoder", CHOICE, folder, **options)
    method = method_of("encoder")
    with pytest.raises(error, match=message):
        method.estimate(told, options_of(method, options))


def test_a_broken_base_is_refused_before_any_training(tmp_path: Path) -> None:
    folder = tiny_base(tmp_path / "base")
    (folder / "tokenizer.json").rename(folder / "away")
    refused(folder, DataError, "tokenizer.json cannot be read")
    (folder / "away").rename(folder / "tokenizer.json")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"hidden_size": 64}))
    refused(folder, DataError, r"has shape \(\d+, 32\); config.json makes it \(\d+, 64\)")
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "gpt2"}))
    refused(folder, DataError, "only BERT")
    (folder / "config.json").write_text("{")
    refused(folder, DataError, "does not describe a BERT")
    refused(tmp_path / "nowhere", DataError, "config.json cannot be read")
    method = method_of("encoder")
    with pytest.raises(CallerError, match="name one by --base DIR"):
        method.estimate(job("encoder", CHOICE), options_of(method, {}))


def test_a_pickle_is_refused_by_its_name(tmp_path: Path) -> None:
    folder = tiny_base(tmp_path / "base")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    refused(folder, DataError, "pytorch_model.bin, a pickle, which runs whatever code stands in it")


def test_other_answers_are_refused(base: Path) -> None:
    told = job("encoder", lesson(as_spans), base)
    method = method_of("encoder")
    with pytest.raises(TrainingError, match="one or some of few answers, and those of 'bookings' are spans"):
        method.estimate(told, options_of(method, {}))


def test_an_estimate_says_what_a_run_takes(base: Path) -> None:
    method = method_of("encoder")
    small = method.estimate(job("encoder", CHOICE, base), options_of(method, {"epochs": 1}))
    large = method.estimate(job("encoder", CHOICE, base), options_of(method, {"epochs": 100, "batch": 1000}))
    assert 0 < small.seconds < large.seconds
    assert small.bytes < large.bytes
    beyond = tiny_base(base.parent / "beyond", max_position_embeddings=512)
    texts = lesson(lambda row: row[1], answered=lambda row: row[0] * 30)
    wide = method.estimate(job("encoder", texts, beyond), options_of(method, {"batch": 4096, "max_tokens": 512}))
    assert wide.bytes > 5 * large.bytes


def test_files_that_are_no_encoder_are_refused() -> None:
    with pytest.raises(DataError, match="not an encoder"):
        encoder.load({"encoder.safetensors": b"no"})
