"""Which items a person is asked about: one random order for each task and metric, and how far along it the labels reach.

Pure. An item is *free* where nobody has to be asked (under a deterministic metric all its answers are equal, so that every paired loss
is 0 by definition), and a *question* otherwise.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from hashlib import blake2b

from freehold.errors import CallerError


def place(tenant: str, task: str, metric: str, item: str) -> bytes:
    """Where an item stands in the random order of a task's labels: a hash, so that every later session has the same order.

    It is none of the hashes that part a data set into training, calibration and test: a draw is spread over the parts by chance.
    """
    return blake2b("\x00".join((tenant, task, metric, item)).encode(errors="surrogatepass"), digest_size=16, person=b"label").digest()


def in_order(tenant: str, task: str, metric: str, items: Iterable[str]) -> tuple[str, ...]:
    """The items in that order. One that is new falls in anywhere and leaves the order of the others as it was."""
    return tuple(sorted(items, key=lambda item: (place(tenant, task, metric, item), item)))


def planned(budget: int, items: int, questions: int) -> int:
    """How many items to draw so that about `budget` of them are questions: min(N, floor(budget·N/D)), all of them when D = 0.

    It is known before any label is, and so the first so many items of the order are a simple random sample, in which each item is with
    probability planned/N. How many questions are among them follows from the answers alone. Raises CallerError for a budget below 1.
    """
    if budget < 1:
        raise CallerError(f"--budget {budget} asks nobody anything; it is a number of questions from 1 up, such as 60.")
    return items if questions == 0 else min(items, budget * items // questions)


@dataclass(frozen=True, slots=True)
class Draw:
    """The items of a task in their random order, and how many of them are to be drawn."""

    order: tuple[str, ...]
    """All items that the reference and every candidate answered."""
    free: frozenset[str]
    """Those that nobody has to be asked about."""
    size: int
    """How many, from the start of the order, are drawn when all of their questions are answered."""

    @property
    def questions(self) -> tuple[str, ...]:
        """What a person is asked about, in order."""
        return tuple(item for item in self.order[: self.size] if item not in self.free)

    def completed(self, answered: Collection[str]) -> int:
        """How many items are drawn by now: all before the first unanswered question, at most `size`.

        Every item of this prefix has its label, the free ones theirs of 0. A finished draw is a simple random sample of a size fixed
        beforehand. One that was interrupted after k questions ends just before the next one; its mean loss, the sum over k losses
        divided by the prefix, is still unbiased (inverse sampling; Haldane, Biometrika 33 (1945) 222), and so long as every
        disagreement is a harm the binomial bound on it is exact, because the prefix is longer than n exactly when n draws hold at most
        k disagreements. What is asked of the rater is not to stop because of what was seen, which judging blind makes easy.
        Before the first answer nothing is drawn: free items alone would say that nothing is ever lost.
        """
        run, has_answer = 0, False
        for item in self.order[: self.size]:
            if item not in self.free:
                if item not in answered:
                    break
                has_answer = True
            run += 1
        return run if has_answer or run == self.size else 0


def size_of(order: tuple[str, ...], free: frozenset[str], planned: int, drawn: Collection[str], labelled: Collection[str]) -> int:
    """How many items to draw: what the budget plans, and never less of the order than earlier sessions reached.

    `drawn` and `labelled` are items that earlier sessions drew or asked about. Items that came in since and fall into the range reached
    are drawn with it, and so are the next questions. A range that ends in a question is extended up to just before the next one, as
    `Draw.completed` ends a draw that was interrupted.
    """
    last = max((n for n, item in enumerate(order) if item in drawn or item in labelled), default=-1)
    if last < planned:
        return planned
    end = last + 1
    if order[last] not in drawn:
        while end < len(order) and order[end] in free:
            end += 1
    return end
