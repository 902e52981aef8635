"""`head`: a linear classifier over hashed n-grams, an embedder's vectors, or both, that says how sure it is and passes on what it does not know.

Sources: LIBLINEAR's support vector machines (Fan et al., JMLR 2008), one temperature (Guo et al., ICML 2017). With an embedder several shapes are tried
out of fold, and the one that is right most often there is fitted on all rows. For answers that are lists of labels each label is a classifier of its own,
and one threshold for all of them is chosen out of fold, by the mean F1 of the lists.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from freehold.chat import JSON, canonical_json
from freehold.errors import TrainingError
from freehold.routing.arrays import pack
from freehold.routing.embed import Embedder
from freehold.routing.head import softmax
from freehold.routing.onnx import OnnxEmbedder
from freehold.routing.sure import Steps
from freehold.training.beliefs import targets
from freehold.training.confidence import steps_for
from freehold.training.continual.again import with_earlier
from freehold.training.heads import (
    BOTH,
    DISCRIMINANTS,
    HASHED,
    LOGISTIC,
    MOST_FOR_LOGISTIC,
    Linear,
    Shape,
    classes_of,
    fit,
    log_loss,
    out_of_fold,
    temperature_for,
)
from freehold.training.lesson import Part
from freehold.training.method import Estimate, Job, Made
from freehold.training.run import Run
from freehold.variants.card import Base
from freehold.variants.heads import HEAD, HeadAnswerer

_TEXTS_PER_S = 200.0
"""How many texts an embedder takes in a second, to be on the safe side: half of what MiniLM takes in int8 on one core."""
_AT_ONCE = 256
MOST_CHOSEN_BY = 3_000
"""Rows that shapes are chosen by, where there are vectors."""
_LEAST_CALIBRATED_BY = 100
_THRESHOLDS = np.linspace(0.1, 0.9, 33)


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of `head`."""

    folds: int = 5
    """Into how many parts the training part is cut, for what is chosen out of fold."""
    passes_on: float = 0.02
    """Share of calibration rows that it may pass on so as not to answer what it does not know; 0 to answer everything."""

    replay: int | None = None
    """With --continue-from: earlier rows of each answer that are learnt again beside the new ones; all of them where nothing is said."""

    def __post_init__(self) -> None:
        if self.replay is not None and self.replay < 0:
            raise ValueError(f"replay is {self.replay}; it is a number of rows from 0 up")
        if not 2 <= self.folds <= 20:
            raise ValueError(f"folds is {self.folds}; it is a number from 2 to 20")
        if not 0 <= self.passes_on < 1:
            raise ValueError(f"passes_on is {self.passes_on}; it is a share from 0 to below 1")


class Fitted(NamedTuple):
    """What came of fitting."""

    linear: Linear
    answers: tuple[JSON, ...]
    temperature: float
    about: dict[str, JSON]
    threshold: float | None = None
    centre_CD: NDArray[np.float32] | None = None
    steps: Steps | None = None


class _Head:
    name = "head"
    about = (
        "A linear classifier over hashed words, and an embedder's vectors where one is named: trained in seconds, asked in microseconds."
    )
    options = Options

    def estimate(self, job: Job, options: Options) -> Estimate:
        """As of `Method`."""
        _check(job)
        job = with_earlier(job, options.replay)
        rows, choices = len(job.lesson.train), len(job.lesson.choices)
        texts = rows + len(job.lesson.calibrate) + len(job.lesson.test)
        embedding = texts / _TEXTS_PER_S if job.embedder is not None else 0.0
        shapes = 1 if job.embedder is None else 3
        return Estimate(1.0 + embedding + shapes * 6e-6 * rows * choices * (options.folds + 1), 300_000_000 + 2**15 * choices * 24)

    def train(self, job: Job, options: Options, run: Run) -> Made:
        """As of `Method`."""
        _check(job)
        job = with_earlier(job, options.replay)
        part = job.lesson.train
        vector_ND = vectors(job.embedder, part.texts, run)
        fold_N = folds_of(part, options.folds, job.plan.seed)
        run.tell("fitting", 0, 1)
        fitted = (fit_labels if job.lesson.shape == "labels" else fit_choice)(part, vector_ND, fold_N, job.plan.seed)
        fitted = _calibrated(fitted, job)
        answerer = _answerer(fitted, job.embedder, 0.0)
        least = _least_in_scope(answerer, job, options.passes_on, run) if fitted.threshold is None else 0.0
        run.tell("fitting", 1, 1)
        return Made("head", files_of(fitted, job.embedder, least), {**fitted.about, "least_in_scope": least}, _base(job.embedder))


METHOD = _Head()


def _check(job: Job) -> None:
    if job.lesson.shape not in ("choice", "labels"):
        raise TrainingError(
            f"A head answers with one of few answers, or with some of few labels, and those of '{job.task.id}' are {job.lesson.shape}. Try another method: "
            "'freehold train --methods' lists them."
        )


def folds_of(part: Part, folds: int, seed: int) -> NDArray[np.int64]:
    """The fold of each row; a group has one."""
    group_N = part.group_N
    fold_N: NDArray[np.int64] = np.random.default_rng(seed).permutation(int(group_N.max()) + 1)[group_N] % folds
    return fold_N


def vectors(embedder: Embedder | None, texts: Sequence[str], run: Run) -> NDArray[np.float32] | None:
    """The vectors of texts, each text embedded once; kept as they come, so that a run that was killed goes on."""
    if embedder is None:
        return None
    distinct = list(dict.fromkeys(texts))
    kept = run.kept()
    known_MD = (
        kept.arrays.get("vectors") if kept is not None and kept.about == {"embedder": embedder.name, "texts": len(distinct)} else None
    )
    done = [] if known_MD is None else [known_MD]
    count = 0 if known_MD is None else len(known_MD)
    while count < len(distinct):
        done.append(embedder.embed(distinct[count : count + _AT_ONCE]))
        count += len(done[-1])
        if count % (8 * _AT_ONCE) < _AT_ONCE or count == len(distinct):
            run.keep({"vectors": np.concatenate(done)}, {"embedder": embedder.name, "texts": len(distinct)})
        run.tell("embedding", count, len(distinct))
    vector_MD = np.concatenate(done) if done else np.zeros((0, embedder.dims), np.float32)
    place = {text: n for n, text in enumerate(distinct)}
    return np.asarray(vector_MD[[place[text] for text in texts]], dtype=np.float32)


def fit_choice(part: Part, vector_ND: NDArray[np.float32] | None, fold_N: NDArray[np.int64], seed: int) -> Fitted:
    """A head of one answer out of few: the shape that is right most often out of fold."""
    answers, y_N = classes_of(part.answers)
    some = _chosen_by(vector_ND, len(part), seed)
    texts, y_M, fold_M = [part.texts[n] for n in some], y_N[some], fold_N[some]
    vector_MD = None if vector_ND is None else vector_ND[some]
    tried: dict[str, JSON] = {}
    believed_NC = targets(part, answers)
    best: tuple[float, Shape, NDArray[np.float64]] | None = None
    for shape in _shapes(vector_ND, len(part), believed_NC is not None):
        believed_MC = None if believed_NC is None else believed_NC[some]
        logits_NC = out_of_fold(texts, vector_MD, y_M, len(answers), fold_M, shape, seed, believed_MC)
        right = float((logits_NC.argmax(axis=1) == y_M).mean())
        tried[shape.name] = round(right, 6)
        if best is None or right > best[0]:
            best = right, shape, logits_NC
    assert best is not None
    _, shape, logits_NC = best
    temperature = temperature_for(logits_NC, y_M)
    about: dict[str, JSON] = {
        "looks at": shape.name,
        "right out of fold": tried,
        "temperature": temperature,
        "log loss out of fold": round(log_loss(softmax(logits_NC / temperature), y_M), 6),
    }
    linear = fit(part.texts, vector_ND, y_N, len(answers), shape, seed, believed_NC)
    return Fitted(linear, answers, temperature, about, None, None if vector_ND is None else _centres(vector_ND, y_N, len(answers)))


def _chosen_by(vector_ND: NDArray[np.float32] | None, rows: int, seed: int) -> NDArray[np.int64]:
    """The rows that shape and temperature are chosen by: all, or where vectors make each fit dear a part of them, drawn."""
    if vector_ND is None or rows <= MOST_CHOSEN_BY:
        return np.arange(rows)
    return np.sort(np.random.default_rng(seed).permutation(rows)[:MOST_CHOSEN_BY])


def fit_labels(part: Part, vector_ND: NDArray[np.float32] | None, fold_N: NDArray[np.int64], seed: int) -> Fitted:
    """A head of several labels: a classifier of two classes for each, at one threshold."""
    by_key = {canonical_json(one): one for answer in part.answers for one in _listed(answer)}
    keys = sorted(by_key)
    if not keys:
        raise TrainingError("All rows of the training part have an empty list: there is no label to learn.")
    is_one_NL = np.array([[key in said for key in keys] for said in [{canonical_json(one) for one in _listed(a)} for a in part.answers]])
    tried: dict[str, JSON] = {}
    best: tuple[float, Shape, NDArray[np.float64], float, float] | None = None
    for shape in (HASHED, *BOTH) if vector_ND is not None else (HASHED,):
        margin_NL = np.column_stack([_margins(part, vector_ND, is_one_N, fold_N, shape, seed) for is_one_N in is_one_NL.T])
        temperature = _temperature_of_labels(margin_NL, is_one_NL)
        probability_NL = 1.0 / (1.0 + np.exp(-margin_NL / temperature))
        f1s = [mean_f1(probability_NL >= threshold, is_one_NL) for threshold in _THRESHOLDS]
        at = int(np.argmax(f1s))
        tried[shape.name] = round(f1s[at], 6)
        if best is None or f1s[at] > best[0]:
            best = f1s[at], shape, margin_NL, temperature, float(_THRESHOLDS[at])
    assert best is not None
    _, shape, _, temperature, threshold = best
    models = [fit(part.texts, vector_ND, is_one_N.astype(np.int64), 2, shape, seed) for is_one_N in is_one_NL.T]
    linear = Linear(
        models[0].idf_B,
        np.column_stack([one.coef_BC[:, 1] for one in models]) if len(models[0].idf_B) else models[0].coef_BC,
        None if models[0].coef_DC is None else np.column_stack([one.coef_DC[:, 1] for one in models if one.coef_DC is not None]),
        np.array([one.intercept_C[1] for one in models], dtype=np.float32),
    )
    about: dict[str, JSON] = {"looks at": shape.name, "mean F1 out of fold": tried, "temperature": temperature, "threshold": threshold}
    return Fitted(linear, tuple(by_key[key] for key in keys), temperature, about, threshold)


def mean_f1(said_NL: NDArray[np.bool_], is_one_NL: NDArray[np.bool_]) -> float:
    """Mean over rows of the F1 of two sets; 1 where both are empty."""
    both_N = (said_NL & is_one_NL).sum(axis=1)
    all_N = said_NL.sum(axis=1) + is_one_NL.sum(axis=1)
    return float(np.where(all_N == 0, 1.0, 2 * both_N / np.maximum(all_N, 1)).mean())


def _margins(
    part: Part, vector_ND: NDArray[np.float32] | None, is_one_N: NDArray[np.bool_], fold_N: NDArray[np.int64], shape: Shape, seed: int
) -> NDArray[np.float64]:
    margins: NDArray[np.float64] = out_of_fold(part.texts, vector_ND, is_one_N.astype(np.int64), 2, fold_N, shape, seed)[:, 1]
    return margins


def _temperature_of_labels(margin_NL: NDArray[np.float64], is_one_NL: NDArray[np.bool_]) -> float:
    grid = np.geomspace(0.02, 5.0, 60)
    signed_NL = np.where(is_one_NL, margin_NL, -margin_NL)
    return float(grid[int(np.argmin([np.logaddexp(0.0, -signed_NL / t).mean() for t in grid]))])


def _shapes(vector_ND: NDArray[np.float32] | None, rows: int, are_believed: bool) -> tuple[Shape, ...]:
    """What is tried. A discriminant learns answers, and not how probable somebody held each."""
    if vector_ND is None:
        return (HASHED,)
    return (*BOTH, *(() if are_believed else DISCRIMINANTS), *((LOGISTIC,) if rows <= MOST_FOR_LOGISTIC else ()))


def _centres(vector_ND: NDArray[np.float32], y_N: NDArray[np.int64], classes: int) -> NDArray[np.float32]:
    centre_CD = np.zeros((classes, vector_ND.shape[1]))
    np.add.at(centre_CD, y_N, vector_ND)
    unit_CD: NDArray[np.float32] = (centre_CD / np.maximum(np.linalg.norm(centre_CD, axis=1, keepdims=True), 1e-12)).astype(np.float32)
    return unit_CD


def _listed(answer: JSON) -> Sequence[JSON]:
    return answer if isinstance(answer, list) else ()


def _answerer(fitted: Fitted, embedder: Embedder | None, least: float) -> HeadAnswerer:
    used = embedder if fitted.linear.coef_DC is not None else None
    return HeadAnswerer(
        fitted.linear.head(fitted.answers, fitted.temperature, used),
        0,
        fitted.centre_CD if used is not None else None,
        least,
        fitted.threshold,
        fitted.steps,
    )


def _calibrated(fitted: Fitted, job: Job) -> Fitted:
    """The same with the temperature at which the calibration part has the least log loss, where that has enough rows of known answers, and with steps on
    top where those say better how sure it may be of rows that they were not fitted to."""
    if fitted.threshold is not None:
        return fitted
    place = {canonical_json(answer): c for c, answer in enumerate(fitted.answers)}
    part = job.lesson.calibrate
    known = [n for n, answer in enumerate(part.answers) if canonical_json(answer) in place]
    if len(known) < _LEAST_CALIBRATED_BY:
        return fitted
    logits_NC = _answerer(fitted, job.embedder, 0.0).head.logits([part.texts[n] for n in known])
    y_N = np.array([place[canonical_json(part.answers[n])] for n in known])
    temperature = temperature_for(logits_NC, y_N)
    probability_NC = softmax(logits_NC / temperature)
    tried = steps_for(probability_NC.max(axis=1), probability_NC.argmax(axis=1) == y_N, job.plan.seed)
    said: dict[str, JSON] = {
        "temperature": temperature,
        "log loss on the calibration part": round(log_loss(probability_NC, y_N), 6),
        "confidence by": "temperature" if tried.steps is None else "isotonic regression",
        "held-out log loss of confidence": {"temperature": round(tried.as_it_is, 6), "isotonic regression": round(tried.in_steps, 6)},
    }
    return fitted._replace(temperature=temperature, steps=tried.steps, about={**fitted.about, **said})


def _least_in_scope(answerer: HeadAnswerer, job: Job, passes_on: float, run: Run) -> float:
    """The score that this share of calibration rows is below; 0 without such rows."""
    texts = job.lesson.calibrate.texts
    if not texts or not passes_on:
        return 0.0
    vector_ND = None if answerer.head.embedder is None else answerer.head.embedder.embed(texts)
    scope = [said.known["in_scope"] for said in answerer.answer_of(texts, vector_ND) if said is not None]
    return float(np.quantile(scope, passes_on))


def files_of(fitted: Fitted, embedder: Embedder | None, least: float) -> Mapping[str, bytes]:
    """The files of a head."""
    linear = fitted.linear
    arrays: dict[str, NDArray[Any]] = {"idf_B": linear.idf_B, "coef_BC": linear.coef_BC, "intercept_C": linear.intercept_C}
    used = embedder if linear.coef_DC is not None else None
    if linear.coef_DC is not None:
        arrays["coef_DC"] = linear.coef_DC
        if fitted.centre_CD is not None:
            arrays["centre_CD"] = fitted.centre_CD
    about: JSON = {
        "answers": list(fitted.answers),
        "temperature": fitted.temperature,
        "embedder": None if used is None else used.name,
        "least_in_scope": least,
        "threshold": fitted.threshold,
        "steps": None if fitted.steps is None else [list(column) for column in fitted.steps],
    }
    return {HEAD: pack(arrays, about), **(used.files() if isinstance(used, OnnxEmbedder) else {})}


def _base(embedder: Embedder | None) -> Base | None:
    if not isinstance(embedder, OnnxEmbedder):
        return None
    return Base(name=embedder.name, licence=embedder.card.licence, openness="weights", sha256=embedder.card.source_sha256)
