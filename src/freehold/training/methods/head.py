"""`head`: a linear classifier over hashed n-grams or embeddings, calibrated, that abstains on what it does not know."""

import msgspec
import numpy as np

from freehold.errors import TrainingError
from freehold.routing.arrays import pack
from freehold.training.heads import fit_head
from freehold.training.method import Estimate, Job, Made
from freehold.training.run import Run
from freehold.variants.heads import HEAD


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of `head`."""

    folds: int = 5
    """Into how many parts the training part is cut for a temperature that was fitted out of fold."""

    def __post_init__(self) -> None:
        if not 2 <= self.folds <= 20:
            raise ValueError(f"folds is {self.folds}; it is a number from 2 to 20")


class _Head:
    name = "head"
    about = "A linear classifier over hashed words and n-grams: seconds to train, microseconds to ask (Fan et al., JMLR 2008)."
    options = Options

    def estimate(self, job: Job, options: Options) -> Estimate:
        """As of `Method`."""
        rows, choices = len(job.lesson.train), len(job.lesson.choices)
        return Estimate(seconds=1.0 + 4e-5 * rows * choices, bytes=200_000_000 + 2**15 * choices * 16)

    def train(self, job: Job, options: Options, run: Run) -> Made:
        """As of `Method`."""
        if job.lesson.shape != "choice":
            raise TrainingError(f"A head answers with one of few answers, and those of '{job.task.id}' are {job.lesson.shape}.")
        part = job.lesson.train
        fold_N = np.random.default_rng(job.plan.seed).permutation(part.group_N.max() + 1)[part.group_N] % options.folds
        run.tell("fitting", 0, 1)
        head, _ = fit_head(part.texts, part.answers, fold_N, job.plan.seed)
        arrays = {"idf_B": head.idf_B, "coef_BC": head.coef_BC, "intercept_C": head.intercept_C}
        run.tell("fitting", 1, 1)
        return Made("head", {HEAD: pack(arrays, {"answers": list(head.answers), "temperature": head.temperature})})


METHOD = _Head()
