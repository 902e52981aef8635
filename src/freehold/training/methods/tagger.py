"""`tagger`: the words of a text are tagged, and the spans put together as the task answers. Over hashed features of words, or on a small encoder."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from freehold.chat import JSON, canonical_json
from freehold.errors import TrainingError
from freehold.routing.arrays import pack
from freehold.routing.chain import allowed
from freehold.routing.network import Network
from freehold.routing.sure import Sure
from freehold.routing.words import word_features, words
from freehold.training.confidence import fit_sure
from freehold.training.continual.again import with_earlier
from freehold.training.crf import Round, fit_field
from freehold.training.lesson import Part
from freehold.training.method import Estimate, Job, Made
from freehold.training.methods.encoder import told
from freehold.training.run import Run
from freehold.training.tuning import Base, Row, Tuning, encode, estimated, export, network, read_base, tune
from freehold.variants.spans import Form, Span, form_of
from freehold.variants.tagger import TAGGER, TaggerAnswerer, WordsOfNetwork, WordWeights, pack_about, tags_of

_MOST_LABELS = 100
_MOST_UNPLACED = 0.5


class Options(Tuning, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of `tagger`: the first two without a base, the others with one."""

    l2: float = 0.1
    """How firmly weights are held near nothing."""
    rounds: int = 3
    """Of twenty steps each, at most."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.l2 > 0 or not 1 <= self.rounds <= 100:
            raise ValueError(f"l2 is {self.l2} and rounds {self.rounds}; expected more than 0, and from 1 to 100")


class _Marked(NamedTuple):
    """Rows whose answers are spans of their text."""

    texts: list[str]
    spans: list[list[Span]]


class _Task(NamedTuple):
    form: Form
    labels: tuple[str, ...]
    train: _Marked
    held_out: _Marked
    unplaced: int
    """Training rows that are left out: one of their values is not in their text, or two of them overlap."""


class _Tagger:
    name = "tagger"
    about = (
        "Spans of a text: a conditional random field over hashed words without a base, a small encoder on one (Lafferty et al., ICML 2001)."
    )
    options = Options

    def estimate(self, job: Job, options: Options) -> Estimate:
        """As of `Method`."""
        job = with_earlier(job, options.replay)
        task = _task_of(job)
        if job.base is not None:
            base = read_base(job.base, options)
            looked = 3 * len(job.lesson.calibrate) + len(job.lesson.test)
            return estimated(base, "tags", 2 * len(task.labels) + 1, _rows(base, task.train, task.labels), looked, options, self.name)
        count = sum(len(words(text)) for text in task.train.texts)
        tags = 2 * len(task.labels) + 1
        features = 2e4 + 1.2 * count  # about as many are kept of the data sets that bench/spans.py reads
        return Estimate(
            2.0 + options.rounds * 20 * (4e-7 * count * (10 + tags) + 2e-8 * features * tags),
            int(3e8 + 1500 * count + 8 * 22 * features * tags),
        )

    def train(self, job: Job, options: Options, run: Run) -> Made:
        """As of `Method`."""
        job = with_earlier(job, options.replay)
        task = _task_of(job)
        return _on_words(job, task, options, run) if job.base is None else _on_base(job, task, read_base(job.base, options), options, run)


def _on_words(job: Job, task: _Task, options: Options, run: Run) -> Made:
    """The tagger that needs no download."""
    at = [words(text) for text in task.train.texts]
    features = [word_features(text, some) for text, some in zip(task.train.texts, at, strict=True)]
    tags = [tags_of(some, spans, task.labels) for some, spans in zip(at, task.train.spans, strict=True)]

    def keep(now: Round) -> None:
        run.keep({"at": now.at_P}, {"done": now.done, "loss": now.loss, "is_last": now.is_last})
        run.tell("fitting", now.done, options.rounds, now.loss)

    kept = run.kept()
    earlier = None if kept is None else Round(at_P=kept.arrays["at"], **kept.about)
    field = fit_field(features, tags, len(task.labels), options.l2, options.rounds, earlier, keep)
    arrays: dict[str, NDArray[Any]] = {
        "known_F": field.known_F,
        "weight_FC": field.weight_FC,
        "start_C": field.chain.start_C,
        "step_CC": field.chain.step_CC,
    }
    scores = WordWeights(field.known_F, field.weight_FC).scores
    tagger = TaggerAnswerer(scores, field.chain, task.labels, task.form, Sure(), 0, is_quick=True)
    files = {TAGGER: pack(arrays, pack_about(task.labels, task.form, _sure(tagger, job.lesson.calibrate)))}
    return Made("tagger", files, {"features": len(field.known_F), **_about(task)})


def _on_base(job: Job, task: _Task, base: Base, options: Options, run: Run) -> Made:
    """The tagger on an encoder."""
    seed = job.plan.seed
    net = network(base, 2 * len(task.labels) + 1, options, seed)
    fitted = tune(net, "tags", _rows(base, task.train, task.labels), _rows(base, task.held_out, task.labels), options, seed, run)
    run.tell("writing", 0, 1)

    def tagger(files: dict[str, bytes]) -> TaggerAnswerer:
        scores = WordsOfNetwork(Network(files, base.max_tokens)).scores
        return TaggerAnswerer(scores, allowed(len(task.labels)), task.labels, task.form, Sure(), 0, is_quick=False)

    part = job.lesson.calibrate
    exported, shares = export(net, base, "tags", options, lambda files: _share(tagger(files), part))
    about = pack_about(task.labels, task.form, _sure(tagger(exported.files), part), base.max_tokens)
    run.tell("writing", 1, 1)
    files = {**exported.files, TAGGER: pack({"none": np.zeros(0, np.float32)}, about)}
    return Made("tagger", files, {**told(fitted, exported.precision, shares), **_about(task)}, base.about)


def _task_of(job: Job) -> _Task:
    lesson = job.lesson
    form = form_of(lesson.train.answers)
    example = canonical_json(lesson.train.answers[0])[:120].decode(errors="replace")
    if lesson.shape not in ("spans", "fields") or form is None:
        raise TrainingError(
            f"A tagger answers with stretches of the text: a list of objects with start, end and label, or text and label, or one object whose values "
            f"stand in the text. The answers of '{job.task.id}' are {lesson.shape}, such as {example}."
        )
    train, unplaced = _marked(form, lesson.train)
    if unplaced > _MOST_UNPLACED * len(lesson.train):
        raise TrainingError(
            f"Of {len(lesson.train):,} training rows {unplaced:,} have values that do not stand in their text, or spans that overlap."
        )
    labels = tuple(sorted({span.label for spans in train.spans for span in spans}))
    if not labels:
        raise TrainingError(f"No training row of '{job.task.id}' has a span: there is nothing to find.")
    if len(labels) > _MOST_LABELS:
        raise TrainingError(f"The training rows have {len(labels):,} labels, more than the {_MOST_LABELS} that a tagger tells apart.")
    held, _ = _marked(form, lesson.calibrate)
    fit = [n for n, spans in enumerate(held.spans) if all(span.label in labels for span in spans)]
    return _Task(form, labels, train, _Marked([held.texts[n] for n in fit], [held.spans[n] for n in fit]), unplaced)


def _marked(form: Form, part: Part) -> tuple[_Marked, int]:
    found = [(text, form.spans(text, answer)) for text, answer in zip(part.texts, part.answers, strict=True)]
    placed = [(text, spans) for text, spans in found if spans is not None]
    return _Marked([text for text, _ in placed], [spans for _, spans in placed]), len(found) - len(placed)


def _rows(base: Base, marked: _Marked, labels: Sequence[str]) -> list[Row]:
    """Each word's tag at its first token; other tokens are none."""
    found: list[Row] = []
    for text, spans, encoded in zip(marked.texts, marked.spans, encode(base, marked.texts), strict=True):
        at = words(text)
        tag_T = tags_of(at, spans, labels)
        starts = np.array([start if end > start else -1 for start, end in encoded.offsets])
        target = np.full(len(starts), -100, np.int64)
        for word, tag in zip(at, tag_T.tolist(), strict=True):
            first = np.flatnonzero((starts >= word.start) & (starts < word.end))[:1]
            target[first] = tag
        if (target >= 0).any():
            found.append(Row(encoded.ids, target.tolist()))
    return found


def _said(tagger: TaggerAnswerer, part: Part) -> list[tuple[float, bool]]:
    """Of each row how probable its spans are by the model, and whether the answer is right."""
    found = []
    for text, right in zip(part.texts, part.answers, strict=True):
        spans, log_p = tagger.tag(text)
        found.append((log_p, canonical_json(tagger.form.assemble(text, spans)) == canonical_json(right)))
    return found


def _share(tagger: TaggerAnswerer, part: Part) -> float | None:
    said = _said(tagger, part)
    return float(np.mean([is_right for _, is_right in said])) if said else None


def _sure(tagger: TaggerAnswerer, part: Part) -> Sure:
    said = _said(tagger, part)
    return fit_sure([log_p for log_p, _ in said], [is_right for _, is_right in said])


def _about(task: _Task) -> dict[str, JSON]:
    form: JSON = msgspec.to_builtins(task.form)
    return {"labels": list(task.labels), "form": form, "unplaced": task.unplaced}


METHOD = _Tagger()
