"""`encoder`: a small encoder, tuned whole or by adapters, that answers with one of few answers or with some of few."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from freehold.chat import JSON, canonical_json
from freehold.errors import CallerError, TrainingError
from freehold.routing.arrays import pack
from freehold.routing.network import Network
from freehold.training.beliefs import targets
from freehold.training.confidence import fit_sure
from freehold.training.continual.again import with_earlier
from freehold.training.continual.encoders import KEPT, Known, begin, kept, known_of, terms
from freehold.training.continual.history import Past, distinct, history
from freehold.training.continual.masks import Masking, allowed
from freehold.training.lesson import Part
from freehold.training.loop import Term, need_torch
from freehold.training.method import Estimate, Job, Made
from freehold.training.run import Run
from freehold.training.tuning import Base, Goal, Row, Tuning, encode, estimated, export, network, read_base, tune
from freehold.variants.encoder import ENCODER, picked

_DISTILLING = 1.7
"""So many times as long a step takes that asks the network once more, and the one before."""


class Options(Tuning, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of `encoder`. The last four are for one that goes on learning."""

    keep_weights: bool = False
    """Whether its weights are kept as well, so that --continue-from begins with them; what goes on from one without them learns again from the base."""
    masking: Masking = "all"
    """Which answers a row's competes with: `all`, `current` (those of its own data set), or `replay` (new rows with those of their own)."""
    distil: float = 0.0
    """How much what the previous model says counts beside what is right (LwF)."""
    ewc: float = 0.0
    """How firmly weights are held that its answers depend on (EWC)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.distil >= 0 and self.ewc >= 0):
            raise ValueError(f"distil is {self.distil} and ewc {self.ewc}; they are numbers from 0 up")
        if self.ewc and (self.adapt == "lora" or not self.keep_weights):
            raise ValueError("ewc holds weights that were kept and all of which learn: say keep_weights=true with it, and adapt=full")


class _Prepared(NamedTuple):
    base: Base
    known: Known | None
    goal: Goal
    answers: tuple[JSON, ...]
    rows: list[Row]
    held_out: list[Row]
    fresh: list[Row]
    """Those that `known` has not learnt."""


class _Encoder:
    name = "encoder"
    about = "A small encoder, tuned whole or by low-rank adapters: minutes to train, milliseconds to ask (Devlin et al., 2019; Hu et al., 2021)."
    options = Options

    def estimate(self, job: Job, options: Options) -> Estimate:
        """As of `Method`."""
        past = history(job.earlier, job.lesson)
        job = with_earlier(job, options.replay)
        p = _prepared(job, options, past)
        looked = 2 * len(job.lesson.calibrate) + len(job.lesson.calibrate) + len(job.lesson.test)
        found = estimated(p.base, p.goal, len(p.answers), p.rows, looked, options, self.name)
        if p.known is None:
            return found
        weights = 4 * sum(one.size for one in p.base.weights.values())
        beside = (2 if options.ewc else 0) + bool(options.distil or options.ewc)  # what is held and where, and the network before
        return found._replace(seconds=found.seconds * (_DISTILLING if options.distil else 1.0), bytes=found.bytes + beside * weights)

    def train(self, job: Job, options: Options, run: Run) -> Made:
        """As of `Method`."""
        past, seed = history(job.earlier, job.lesson), job.plan.seed
        job = with_earlier(job, options.replay)
        p, part = _prepared(job, options, past), job.lesson.calibrate
        net = network(p.base, len(p.answers), options, seed)
        more: dict[str, Term] = {}
        if p.known is not None:
            begin(net, p.known, p.answers)
            if options.distil or options.ewc:
                before = network(p.base, len(p.answers), msgspec.structs.replace(options, adapt="full"), seed).eval()
                begin(before, p.known, p.answers)
                more = terms(net, before, p.known, p.answers, options.distil, options.ewc)
        fitted = tune(net, p.goal, p.rows, p.held_out, options, seed, run, more)
        run.tell("writing", 0, 1)
        exported, shares = export(net, p.base, p.goal, options, lambda files: _share(files, p, part))
        said = _said(exported.files, p, part)
        sure = fit_sure([log_p for log_p, _ in said], [is_right for _, is_right in said])
        about: dict[str, JSON] = {"answers": list(p.answers), "said": p.goal, "sure": list(sure), "max_tokens": p.base.max_tokens}
        run.tell("writing", 1, 1)
        files = {**exported.files, ENCODER: pack({"none": np.zeros(0, np.float32)}, about)}
        if options.keep_weights:
            learnt = dict.fromkeys((*(p.known.learnt if p.known is not None else ()), *(one.dataset for one in past)))
            files[KEPT] = kept(net, p.fresh, p.known, p.answers, tuple(learnt), options.ewc, seed)
        went_on: dict[str, JSON] = (
            {"began with": job.earlier.card.label if p.known is not None else "the base"} if job.earlier is not None else {}
        )
        return Made("encoder", files, {**told(fitted, exported.precision, shares), **went_on}, p.base.about)


def told(fitted: Any, precision: str, shares: dict[str, float]) -> dict[str, JSON]:
    """What a card says of a run that tuned an encoder."""
    last = fitted.epochs[fitted.best - 1]
    right: dict[str, JSON] = {one: round(share, 4) for one, share in shares.items()}
    return {
        "epochs": len(fitted.epochs),
        "best_epoch": fitted.best,
        "stopped_early": fitted.stopped,
        "loss": round(last.loss, 6),
        "held_out_loss": None if last.held_out is None else round(last.held_out, 6),
        "precision": precision,
        "right_on_calibration": right,
    }


def _prepared(job: Job, options: Options, past: Sequence[Past]) -> _Prepared:
    need_torch("encoder")
    lesson = job.lesson
    if lesson.shape not in ("choice", "labels"):
        raise TrainingError(f"An encoder answers with one or some of few answers, and those of '{job.task.id}' are {lesson.shape}.")
    base = read_base(base_of(job), options)
    known = _known(job, options, base, past)
    answers = lesson.choices if known is None else distinct((*known.answers, *lesson.choices))
    place = {canonical_json(answer): c for c, answer in enumerate(answers)}
    goal: Goal = "labels" if lesson.shape == "labels" else "choice"
    learnt = _rows(base, lesson.train, place, goal)
    if goal == "choice" and (target_NC := targets(lesson.train, answers)) is not None:
        learnt = [Row(row.ids, target_C) for row, target_C in zip(learnt, target_NC.tolist(), strict=True)]
    lesson_of_id = {id: number for number, one in enumerate(past) for id in one.train.ids}
    lesson_N = np.array([lesson_of_id[id] for id in lesson.train.ids])
    if options.masking != "all":
        if not all(isinstance(row.target, int) for row in learnt):
            raise TrainingError(
                "masking leaves out answers that a teacher's probabilities speak of: distil with soft=false, or say masking=all."
            )
        taught_LC = np.zeros((len(past), len(answers)), dtype=bool)
        for taught_C, one in zip(taught_LC, past, strict=True):
            taught_C[[place[key] for key in map(canonical_json, one.train.answers) if key in place]] = True
        learnt = [
            row._replace(competes_C=some_C) for row, some_C in zip(learnt, allowed(options.masking, lesson_N, taught_LC), strict=True)
        ]
    fresh = learnt if known is None else [learnt[n] for n in np.flatnonzero(lesson_N == len(past) - 1)]
    return _Prepared(base, known, goal, answers, learnt, _rows(base, lesson.calibrate, place, goal), fresh)


def _known(job: Job, options: Options, base: Base, past: Sequence[Past]) -> Known | None:
    """The weights that it begins with; None for those of the base. Raises TrainingError where that is not what was asked for."""
    held_by = ", ".join(name for name in ("masking", "distil", "ewc") if getattr(options, name) not in ("all", 0.0))
    if held_by and job.lesson.shape != "choice":
        raise TrainingError(f"{held_by}: of one answer out of few, and those of '{job.task.id}' are {job.lesson.shape}. Leave it out.")
    known = known_of(job.earlier, base.about.sha256)
    if job.earlier is None or not held_by:
        return known if known is None or known.is_whole([one.dataset for one in past]) else None
    name = job.earlier.card.name
    if known is None:
        raise TrainingError(
            f"{held_by}: of weights that were kept, and '{name}' kept none. Train it with --set keep_weights=true, or go on without, which learns its rows "
            "again beside the new ones."
        )
    if not known.is_whole([one.dataset for one in past]):
        raise TrainingError(
            f"{held_by}: '{name}' has learnt a data set from which something was erased since, and its weights cannot be gone on from. Go on without, which "
            "begins with the base and learns what is left again; with keep_weights=true the one after it can be gone on from."
        )
    if options.ewc and not known.fisher:
        raise TrainingError(
            f"ewc: '{name}' kept its weights, and not how much its answers depend on each. Train it with --set ewc=1 as well."
        )
    return known


def base_of(job: Job) -> Path:
    """The folder of the base. Raises CallerError where none is named."""
    if job.base is None:
        raise CallerError(
            f"'{job.plan.method}' tunes a model: name one by --base DIR, a folder with config.json, model.safetensors and tokenizer.json of a BERT. "
            "The method 'head' needs none."
        )
    return job.base


def _rows(base: Base, part: Part, place: dict[bytes, int], goal: Goal) -> list[Row]:
    """The rows of a part whose answers are known."""
    found: list[Row] = []
    for encoded, answer in zip(encode(base, part.texts), part.answers, strict=True):
        if goal == "choice":
            if (c := place.get(canonical_json(answer))) is not None:
                found.append(Row(encoded.ids, c))
        elif isinstance(answer, list):
            said = {canonical_json(one) for one in answer}
            found.append(Row(encoded.ids, [float(key in said) for key in place]))
    return found


def _said(files: dict[str, bytes], p: _Prepared, part: Part) -> list[tuple[float, bool]]:
    """Of each row how probable the answer is by the model, and whether it is right."""
    net = Network(files, p.base.max_tokens)
    found = []
    for text, right in zip(part.texts, part.answers, strict=True):
        best, log_p = picked(net.scores(text).astype(np.float64), "labels" if p.goal == "labels" else "choice")
        some = [p.answers[c] for c in best]
        found.append((log_p, canonical_json(some if p.goal == "labels" else some[0]) == canonical_json(_in_order(right, p))))
    return found


def _in_order(right: JSON, p: _Prepared) -> JSON:
    return sorted(right, key=canonical_json) if p.goal == "labels" and isinstance(right, list) else right


def _share(files: dict[str, bytes], p: _Prepared, part: Part) -> float | None:
    said = _said(files, p, part)
    return float(np.mean([is_right for _, is_right in said])) if said else None


METHOD = _Encoder()
