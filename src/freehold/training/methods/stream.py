"""`stream`: a classifier that learns one data set after another and forgets none. The default is what did best on its own history."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

import msgspec
import numpy as np

from freehold.chat import JSON
from freehold.errors import OperatorError, TrainingError
from freehold.routing.onnx import OnnxEmbedder
from freehold.routing.wide import Fixed
from freehold.training.continual.by_sums import Kind, by_sums, named
from freehold.training.continual.candidate import Candidate, Reader, Unavailable, accuracies, before_of
from freehold.training.continual.history import Past, history
from freehold.training.continual.masks import Masking
from freehold.training.loop import Pace, need_torch
from freehold.training.method import Estimate, Job, Made
from freehold.training.run import Run
from freehold.variants.card import Base
from freehold.variants.streams import STREAM, write

_WIDTHS = (0, 1024)
"""Of vectors of an embedder; hashed n-grams are wide already."""
_PATIENCE = 2


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of `stream`."""

    kind: Literal["measured", "lda", "nearest", "net"] = "measured"
    """`lda` keeps sums, `nearest` means, and neither needs an earlier row; `net` learns by gradients, with replay; `measured` tries."""
    width: int | None = None
    """Of sums: dimensions that an embedder's vectors are widened to, 0 for none; tried where nothing is said."""
    buckets: int = 1024
    """Of hashed n-grams, where no embedder is given; a power of two."""
    keep_gone: bool = False
    """Whether what was learnt of a data set stays that is gone."""
    memory: int = 20
    """Of `net`: earlier rows of each answer that are learnt again, over all data sets; 0 for none."""
    hard: float = 0.0
    """Of `net`: the share of them that are the hardest; the others are drawn."""
    distil: float = 1.0
    """Of `net`: what the previous model's say counts beside what is right; 0 for nothing."""
    ewc: float = 0.0
    """Of `net`: how firmly parameters are held; 0 for not at all."""
    rank: int = 0
    """Of `net`: of an adapter that each later data set learns in the place of the layer, merged into it afterwards; 0 has the layer learn."""
    masking: Masking = "all"
    """Of `net`: which answers a row's competes with."""
    hidden: int = 256
    """Of `net`: width of its layer; 0 for none."""
    epochs: int = 8
    """Of `net`: at most, for each data set."""
    rate: float = 1e-3
    """Of `net`: the step size."""

    def __post_init__(self) -> None:
        if self.buckets < 2 or self.buckets & (self.buckets - 1) or self.buckets > 4096:
            raise ValueError(f"buckets is {self.buckets}; it is a power of two up to 4096")
        if self.width is not None and not 0 <= self.width <= 4096:
            raise ValueError(f"width is {self.width}; it is a number from 0 to 4096")
        if (
            min(self.memory, self.hidden, self.distil, self.ewc, self.rank) < 0
            or not 0 <= self.hard <= 1
            or self.epochs < 1
            or not self.rate > 0
        ):
            raise ValueError("memory, hidden, distil and ewc are 0 or more, hard lies from 0 to 1, epochs is 1 or more, and rate above 0")
        if self.rank and (self.ewc or not self.hidden):
            raise ValueError("rank needs hidden, and leaves nothing for ewc to hold: set one of them to 0")


class _Stream:
    name = "stream"
    about = (
        "A classifier that goes on learning with --continue-from: a linear discriminant of sums (Hayes and Kanan, 2020) or a small network with "
        "replay and distillation, whichever does best on its own data sets."
    )
    options = Options

    def estimate(self, job: Job, options: Options) -> Estimate:
        """As of `Method`."""
        if job.lesson.shape != "choice":
            raise TrainingError(f"A stream answers with one of few answers, and those of '{job.task.id}' are {job.lesson.shape}.")
        if options.kind == "net":
            need_torch("stream")
        lessons = [*(job.earlier.lessons if job.earlier is not None else ()), job.lesson]
        rows = sum(len(lesson.train) + len(lesson.calibrate) + len(lesson.test) for lesson in lessons)
        widest = options.buckets if job.embedder is None else max(job.embedder.dims, *_WIDTHS) if options.width is None else options.width
        seconds = rows * (3e-3 if job.embedder is not None else 1e-4) + rows * widest**2 / 5e9
        if options.kind == "net" or (options.kind == "measured" and len(lessons) > 1):
            seconds += 2e-4 * rows * options.epochs
        return Estimate(seconds=1.0 + seconds, bytes=300_000_000 + 8 * widest * (3 * rows + 4 * widest * len(lessons)))

    def train(self, job: Job, options: Options, run: Run) -> Made:
        """As of `Method`."""
        past = history(job.earlier, job.lesson)
        if not len(past[-1].train):
            raise TrainingError("The data set has no training row that was not learnt before. Add rows, or name another --dataset.")
        read = Reader(Fixed(job.embedder, options.buckets), run)
        found: list[Candidate] = []
        untried: dict[str, JSON] = {}
        for name, learn in _ways(job, options, past, read, run):
            try:
                found.append(learn())
            except Unavailable as why:
                untried[name] = str(why)
        looked = [accuracies(one, past, read) for one in found]
        means = [float(np.mean(each)) if each else 0.0 for each in looked]
        best = found[int(np.argmax(means))]  # of equals the first, which is the cheapest
        about: dict[str, JSON] = {
            "chosen": best.name,
            "by": f"mean accuracy over the calibration parts of {len(looked[0])} data sets",
            "candidates": {one.name: [round(value, 6) for value in each] for one, each in zip(found, looked, strict=True)},
            **({"not tried": untried} if untried else {}),
            **best.told,
        }
        if gone := _gone(job, past):
            about |= {"gone": [hash[:12] for hash in gone], "kept of those": [hash[:12] for hash in gone if hash in best.datasets]}
        told: dict[str, JSON] = {"kind": best.kind, "datasets": list(best.datasets)}
        files = {STREAM: write(best.fixed, best.scores, best.arrays, told), **best.files}
        if not isinstance(job.embedder, OnnxEmbedder):
            return Made("stream", files, about)
        base = Base(name=job.embedder.name, licence=job.embedder.card.licence, sha256=job.embedder.card.source_sha256)
        return Made("stream", files | job.embedder.files(), about, base)


def _ways(job: Job, options: Options, past: Sequence[Past], read: Reader, run: Run) -> list[tuple[str, Callable[[], Candidate]]]:
    """The ways that are tried, the cheapest first. A network is tried where it has something to forget, or is asked for."""
    before, files = before_of(job.earlier), job.earlier.files if job.earlier is not None else {}
    found: list[tuple[str, Callable[[], Candidate]]] = []
    if options.kind != "net":
        kind: Kind = "nearest" if options.kind == "nearest" else "lda"
        for width in (options.width,) if options.width is not None else _WIDTHS if job.embedder is not None else (0,):
            found.append((named(kind, width), partial(by_sums, kind, width, past, before, files, read, options.keep_gone)))
    if options.kind == "net" or (options.kind == "measured" and len(past) > 1):
        found.append(("net", lambda: _network(job, options, past, read, run)))
    return found


def _gone(job: Job, past: Sequence[Past]) -> list[str]:
    """Data sets that were learnt and are no longer there."""
    there = {hash for one in past for hash in (one.dataset, *one.stands_for)}
    return [hash for hash in (job.earlier.card.learnt_from if job.earlier is not None else ()) if hash not in there]


def _network(job: Job, options: Options, past: Sequence[Past], read: Reader, run: Run) -> Candidate:
    from freehold.training.continual.by_gradients import by_gradients
    from freehold.training.continual.net import Ways

    try:
        need_torch("stream")
    except OperatorError as error:
        raise Unavailable(str(error)) from None
    ways = Ways(
        hidden=options.hidden,
        masking=options.masking,
        distil=options.distil,
        ewc=options.ewc,
        rank=options.rank,
        pace=Pace(epochs=options.epochs, rate=options.rate, patience=_PATIENCE),
    )
    return by_gradients(ways, options.memory, options.hard, past, before_of(job.earlier), read, job.plan.seed, run, options.keep_gone)


METHOD = _Stream()
