"""Replay: rows of earlier data sets that are learnt again beside new ones.

Nothing is kept for it. What is replayed is drawn anew, each time, from the training parts of the data sets that are still there, so that
retention and erasure need no second place to look at: a row that is gone is not replayed.

Sources: the reservoir is a bottom-k sample (Cohen and Kaplan, Summarizing Data using Bottom-k Sketches, PODC 2007), with Vitter's
distribution (1985) and a memory of its own: a row's rank is a hash of its id, so that another data set or an erased row changes a row or two
of the sample. Hard cases are those of the greatest loss under the previous model (Aljundi et al., Online Continual Learning with Maximally
Interfered Retrieval, NeurIPS 2019, without the look ahead).
"""

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from freehold.chat import canonical_json
from freehold.training.lesson import NO_ROWS, Part

Floats: TypeAlias = NDArray[np.float64]
LossOf: TypeAlias = Callable[[Part], Floats]
"""The loss of each row under the previous model."""


def replayed(parts: Sequence[Part], per_answer: int, seed: int, hard: float = 0.0, loss_of: LossOf | None = None) -> list[Part]:
    """Of each earlier training part the rows that are learnt again: of every answer `per_answer` altogether, over all parts.

    `hard`: the share of them that are those of the greatest loss; the others are a reservoir of the rest. 0 needs no `loss_of`.
    """
    whole = sum(parts, NO_ROWS)
    where_N = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    rank_N = ranks(whole.ids, seed)
    loss_N = loss_of(whole) if loss_of is not None and hard > 0 and len(whole) else np.zeros(len(whole))
    by_answer: dict[bytes, list[int]] = {}
    for n, answer in enumerate(whole.answers):
        by_answer.setdefault(canonical_json(answer), []).append(n)
    chosen: list[int] = []
    for rows in by_answer.values():
        most = min(per_answer, len(rows))
        hardest = sorted(rows, key=lambda n: (-loss_N[n], rank_N[n]))[: round(hard * most) if loss_of is not None else 0]
        rest = set(rows) - set(hardest)
        chosen += hardest + sorted(rest, key=lambda n: rank_N[n])[: most - len(hardest)]
    offsets = np.cumsum([0, *(len(part) for part in parts)])
    return [part.those(sorted(n - offsets[p] for n in chosen if where_N[n] == p)) for p, part in enumerate(parts)]


def ranks(ids: Sequence[str], seed: int) -> NDArray[np.uint64]:
    """A number for each row that looks drawn at random, and is the same whenever it is asked for."""
    key = seed.to_bytes(8, "little")
    return np.array([int.from_bytes(blake2b(id.encode(errors="surrogatepass"), digest_size=8, key=key).digest()) for id in ids], np.uint64)
