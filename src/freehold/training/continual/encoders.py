"""Going on with an encoder: its network begins with the weights of the one before, and holds on to what that knew by the parts beside this file.

An encoder answers from a file for ONNX Runtime, often in int8, from which nobody can go on. Where it is to be gone on from, its weights are kept beside that
in half precision, and how much its answers depend on each (`ewc.py`) where that is wanted. Needs torch.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from freehold.chat import JSON, canonical_json
from freehold.errors import DataError, TrainingError
from freehold.routing.arrays import pack, unpack
from freehold.training.continual.ewc import Consolidated, consolidate, fisher, penalty
from freehold.training.continual.lwf import distillation
from freehold.training.loop import Module, Tensor, Term
from freehold.training.method import Earlier
from freehold.training.tuning import Row, batch_of, scores_of

KEPT = "kept.safetensors"
"""The file among those of an encoder."""
_FISHER_ROWS = 200
"""Rows that the Fisher information is taken over, at most."""
_TOP = "top."
Arrays = Mapping[str, NDArray[Any]]


class Known(NamedTuple):
    """What an encoder kept for whoever goes on from it."""

    weights: Arrays
    """By the parameters' names."""
    fisher: Arrays
    """As of `ewc.py`; empty where none was kept."""
    answers: tuple[JSON, ...]
    """What its scores are of."""
    learnt: tuple[str, ...]
    """Hashes of the data sets that the weights have learnt."""

    def is_whole(self, there: Collection[str]) -> bool:
        """Whether all that it learnt is still what it was: a network cannot take back what it learnt."""
        return set(there).issuperset(self.learnt)


def known_of(earlier: Earlier | None, base_sha256: str | None) -> Known | None:
    """What the one before kept; None where it kept nothing. Raises TrainingError where it was tuned from another base, DataError."""
    if earlier is None or KEPT not in earlier.files:
        return None
    if earlier.card.base is None or earlier.card.base.sha256 != base_sha256:
        raise TrainingError(f"'{earlier.card.name}' was tuned from another base model than this --base: name the same one.")
    arrays, about = unpack(earlier.files[KEPT], "an encoder's weights")
    try:
        answers, learnt = tuple(about["answers"]), tuple(about["learnt"])
    except (KeyError, TypeError) as error:
        raise DataError(f"not an encoder's weights: {error}. Train it again.") from None
    parts = {
        kind: {name.partition(".")[2]: each for name, each in arrays.items() if name.startswith(f"{kind}.")}
        for kind in ("weights", "fisher")
    }
    return Known(parts["weights"], parts["fisher"], answers, learnt)


def begin(net: Module, known: Known, answers: Sequence[JSON]) -> None:
    """Has a network of these answers begin with those weights; what they say nothing of, the scores of new answers, stays as it is."""
    import torch

    for name, each in net.named_parameters():
        name = name.replace("base_model.model.", "").replace(".base_layer", "")  # as peft names what its adapters stand beside
        if name in known.weights:
            learnt, place = known.weights[name].astype(np.float32), _places(name, known.answers, answers)
            with torch.no_grad():
                each[place] = torch.from_numpy(learnt)


def terms(net: Module, before: Module, known: Known, answers: Sequence[JSON], distil: float, ewc: float) -> dict[str, Term]:
    """What is added to the loss. `before`: the network as it began, in which nothing changes any more."""
    import torch

    known_C = torch.from_numpy(np.flatnonzero(np.isin(_keys(answers), _keys(known.answers))))

    def distilled(model: Module, batch: Any) -> Tensor:
        with torch.no_grad():
            before_BC = scores_of(before, batch)
        return distil * distillation(scores_of(model, batch), before_BC, known_C)

    found: dict[str, Term] = {"distilled": distilled} if distil else {}
    if ewc:
        held = Consolidated(_placed(net, known, answers), {name: each.detach().clone() for name, each in net.named_parameters()})
        found["held"] = lambda model, _: ewc * penalty(model, held)
    return found


def kept(
    net: Module, fresh: Sequence[Row], known: Known | None, answers: Sequence[JSON], learnt: Sequence[str], ewc: float, seed: int
) -> bytes:
    """What the next one begins with. The network's adapters, where it had any, are merged. `fresh`: rows that `known` has not learnt; `learnt`: hashes of
    the data sets."""
    arrays = {f"weights.{name}": each.detach().numpy().astype(np.float16) for name, each in net.named_parameters()}
    before = None if known is None or not known.fisher else Consolidated(_placed(net, known, answers), {})
    if ewc and len(fresh):
        rng = np.random.default_rng(seed)
        some = [fresh[n] for n in np.sort(rng.permutation(len(fresh))[:_FISHER_ROWS])]
        ids_NT, mask_NT, _, allowed_NC = batch_of(some)
        if allowed_NC is None:
            allowed_NC = mask_NT.new_ones((len(some), len(answers))).bool()
        found = fisher(_Reads(net), ids_NT.masked_fill(mask_NT == 0, -1), allowed_NC, rng)
        before = consolidate(before, found, net)
    if before is not None:
        arrays |= {f"fisher.{name}": each.numpy() for name, each in before.fisher.items()}
    return pack(arrays, {"answers": list(answers), "learnt": list(learnt)})


class _Reads:
    """A network that is asked with tokens alone, -1 where there is none."""

    def __init__(self, net: Module) -> None:
        self._net = net

    def named_parameters(self) -> Iterator[tuple[str, Any]]:
        yield from self._net.named_parameters()

    def __call__(self, ids_BT: Tensor) -> Tensor:
        return scores_of(self._net, (ids_BT.clamp(min=0), (ids_BT >= 0).long()))


def _placed(net: Module, known: Known, answers: Sequence[JSON]) -> dict[str, Tensor]:
    """The earlier Fisher information in the shapes of a network that has more answers; nothing holds the new ones."""
    import torch

    found = {}
    for name, each in net.named_parameters():
        if name in known.fisher:
            found[name] = torch.zeros_like(each)
            found[name][_places(name, known.answers, answers)] = torch.from_numpy(known.fisher[name].copy())
    return found


def _places(name: str, before: Sequence[JSON], answers: Sequence[JSON]) -> Any:
    """Where in a parameter that of the network before belongs: the scores of an answer where that answer now stands."""
    if not name.startswith(_TOP):
        return slice(None)
    place = {key: c for c, key in enumerate(_keys(answers))}
    return [place[key] for key in _keys(before)]


def _keys(answers: Sequence[JSON]) -> list[str]:
    return [canonical_json(answer).decode() for answer in answers]
