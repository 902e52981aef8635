"""`encoder`: a small encoder, tuned whole or by adapters, that answers with one of few answers or with some of few."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from freehold.chat import JSON, canonical_json
from freehold.errors import CallerError, TrainingError
from freehold.routing.arrays import pack
from freehold.routing.network import Network
from freehold.training.beliefs import targets
from freehold.training.confidence import fit_sure
from freehold.training.continual.again import with_earlier
from freehold.training.lesson import Part
from freehold.training.loop import need_torch
from freehold.training.method import Estimate, Job, Made
from freehold.training.run import Run
from freehold.training.tuning import Base, Goal, Row, Tuning, encode, estimated, export, network, read_base, tune
from freehold.variants.encoder import ENCODER, picked


class _Prepared(NamedTuple):
    base: Base
    goal: Goal
    answers: tuple[JSON, ...]
    rows: list[Row]
    held_out: list[Row]


class _Encoder:
    name = "encoder"
    about = "A small encoder, tuned whole or by low-rank adapters: minutes to train, milliseconds to ask (Devlin et al., 2019; Hu et al., 2021)."
    options = Tuning

    def estimate(self, job: Job, options: Tuning) -> Estimate:
        """As of `Method`."""
        job = with_earlier(job, options.replay)
        p = _prepared(job, options)
        looked = 2 * len(job.lesson.calibrate) + len(job.lesson.calibrate) + len(job.lesson.test)
        return estimated(p.base, p.goal, len(p.answers), p.rows, looked, options, self.name)

    def train(self, job: Job, options: Tuning, run: Run) -> Made:
        """As of `Method`."""
        job = with_earlier(job, options.replay)
        p, part = _prepared(job, options), job.lesson.calibrate
        net = network(p.base, len(p.answers), options, job.plan.seed)
        fitted = tune(net, p.goal, p.rows, p.held_out, options, job.plan.seed, run)
        run.tell("writing", 0, 1)
        exported, shares = export(net, p.base, p.goal, options, lambda files: _share(files, p, part))
        said = _said(exported.files, p, part)
        sure = fit_sure([log_p for log_p, _ in said], [is_right for _, is_right in said])
        about: dict[str, JSON] = {"answers": list(p.answers), "said": p.goal, "sure": list(sure), "max_tokens": p.base.max_tokens}
        run.tell("writing", 1, 1)
        files = {**exported.files, ENCODER: pack({"none": np.zeros(0, np.float32)}, about)}
        return Made("encoder", files, told(fitted, exported.precision, shares), p.base.about)


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


def _prepared(job: Job, options: Tuning) -> _Prepared:
    need_torch("encoder")
    lesson = job.lesson
    if lesson.shape not in ("choice", "labels"):
        raise TrainingError(f"An encoder answers with one or some of few answers, and those of '{job.task.id}' are {lesson.shape}.")
    base = read_base(base_of(job), options)
    answers = lesson.choices
    place = {canonical_json(answer): c for c, answer in enumerate(answers)}
    goal: Goal = "labels" if lesson.shape == "labels" else "choice"
    learnt = _rows(base, lesson.train, place, goal)
    if goal == "choice" and (target_NC := targets(lesson.train, answers)) is not None:
        learnt = [Row(row.ids, target_C) for row, target_C in zip(learnt, target_NC.tolist(), strict=True)]
    return _Prepared(base, goal, answers, learnt, _rows(base, lesson.calibrate, place, goal))


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
