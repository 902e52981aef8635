"""The embedder's folder, built from local weights: a BERT's safetensors in, an int8 ONNX model with tokenizer and card out.

`bert.py` writes the graph, so neither torch nor an exporter is needed. Needs `freehold[embeddings-build]`.
"""

import shutil
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from freehold.errors import DataError, OperatorError
from freehold.routing.onnx import CARD, MODEL, TOKENIZER, Card
from freehold.training.bert import (
    Nodes,
    Output,
    Top,
    config_of,
    graph,
    hash_of,
    licence_of,
    read_file,
    tokenizer_of,
    weights_of,
    write_model,
)

MAX_TOKENS = 256
"""Tokens of a text that are read at most: what MiniLM was tuned on, and about 2 ms of work."""


def build_embedder(weights_folder: Path, out: Path, fp32: bool = False) -> Path:
    """Writes the folder `out` from a folder with `config.json`, `model.safetensors` and `tokenizer.json`, and returns it.

    Weights become int8 per output channel in seven bits of range (on MiniLM: a quarter of the size, 2.5 times as fast, mean cosine
    to full precision .99); `fp32` keeps them whole. Licence files of the source go along. Raises DataError for a folder of another
    shape, OperatorError where a package is missing or `out` already holds something.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OperatorError(f"{out} already exists and is not an empty folder. Name another, or remove it first.")
    bert = config_of(weights_folder)
    _check_pooling(weights_folder)
    weights = weights_of(weights_folder, bert)
    max_tokens = min(_max_tokens(weights_folder), bert.max_position_embeddings)
    tokenizer = tokenizer_of(weights_folder, bert)
    model = graph(bert, weights, max_tokens, _unit_vectors(bert.hidden_size), "embedder")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as scratch:
        folder = Path(scratch) / "embedder"
        folder.mkdir()
        write_model(model, folder / MODEL, fp32)
        (folder / TOKENIZER).write_bytes(tokenizer)
        card = Card(
            architecture=f"bert-{bert.num_hidden_layers}x{bert.hidden_size}",
            precision="fp32" if fp32 else "int8",
            dims=bert.hidden_size,
            max_tokens=max_tokens,
            source_sha256=hash_of(weights_folder / "model.safetensors"),
            model_sha256=hash_of(folder / MODEL),
            tokenizer_sha256=hash_of(folder / TOKENIZER),
            licence=licence_of(weights_folder),
        )
        (folder / CARD).write_bytes(msgspec.json.format(msgspec.json.encode(card), indent=2) + b"\n")
        for notice in _notices(weights_folder):
            shutil.copyfile(notice, folder / notice.name)
        folder.rename(out)
    return out


def _unit_vectors(dims: int) -> Top:
    """The mean of all tokens, of length 1."""

    def top(add: Nodes, x: str, seen: str) -> Output:
        total = add.summed(x, seen)  # a mean's direction is its sum's
        size = add("Max", add("ReduceL2", total, axes=[1], keepdims=1), add.constant(1e-12))
        add.last("Div", total, size, name="vectors")
        return Output("vectors", ("B", dims))

    return top


def _max_tokens(folder: Path) -> int:
    """What the sentence-transformers settings beside the weights say, at most MAX_TOKENS."""
    said = _settings(folder / "sentence_bert_config.json").get("max_seq_length")
    return min(MAX_TOKENS, said) if isinstance(said, int) and said > 2 else MAX_TOKENS


def _check_pooling(folder: Path) -> None:
    """Whether the sentence is the mean of its tokens; where no settings say, it is taken to be."""
    settings = _settings(folder / "1_Pooling" / "config.json")
    modes = [mode for mode, is_on in settings.items() if mode.startswith("pooling_mode_") and is_on]
    if modes not in ([], ["pooling_mode_mean_tokens"]):
        raise DataError(f"{folder / '1_Pooling' / 'config.json'} asks for {', '.join(modes)}; only pooling_mode_mean_tokens can be built.")
    if any(folder.glob("*_Dense")):
        raise DataError(f"{folder} has a layer after pooling ({next(folder.glob('*_Dense')).name}), which cannot be built.")


def _settings(path: Path) -> dict[str, Any]:
    """A file of settings that need not be there."""
    if not path.exists():
        return {}
    try:
        return msgspec.json.decode(read_file(path), type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise DataError(f"{path} is not a file of settings: {error}.") from error


def _notices(folder: Path) -> list[Path]:
    """Licence and notice files beside the weights."""
    return sorted(path for path in folder.iterdir() if path.is_file() and path.name.upper().startswith(("LICENSE", "LICENCE", "NOTICE")))
