"""A small encoder is tuned: from a base folder to a network with scores on top, and from that to a file for ONNX Runtime. Needs `freehold[train]`."""

import os
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from freehold.routing.onnx import MODEL, TOKENIZER, read_tokenizer, without_surrogates
from freehold.training import bert
from freehold.training.bert import Bert, Weights
from freehold.training.continual.masks import masked
from freehold.training.loop import Fitted, Module, Pace, Tensor, Term, fit, need_torch, shuffled
from freehold.training.method import Estimate
from freehold.training.run import Run
from freehold.variants import card

Goal: TypeAlias = Literal["choice", "labels", "tags"]
"""What scores are for: one answer of a text, some of few, or a tag for each of its tokens."""
_IGNORED = -100
"""The target of a token that is none: of no loss, as torch has it."""
_INT8_MAY_LOSE = 0.005
"""Share of calibration rows that int8 may get wrong more than full precision."""
_TIMED_ROWS = 32


class Tuning(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How an encoder is tuned."""

    epochs: int = 5
    """How often all rows are gone through, at most."""
    rate: float | None = None
    """The step size, at its greatest; 2e-4 for all weights and 1e-3 for adapters where nothing is said."""
    batch: int = 32
    """Rows of a step."""
    max_tokens: int = 128
    """Tokens of a text that are read at once."""
    patience: int = 2
    """After how many epochs without a better loss on the calibration part it stops."""
    adapt: Literal["full", "lora"] = "full"
    """What changes: all weights, or low-rank adapters beside them (Hu et al., 2021), which are merged in the end."""
    rank: int = 16
    """Of the adapters."""
    precision: Literal["auto", "int8", "fp32"] = "auto"
    """How weights are kept: int8 where the calibration part shows that it loses nothing, or as said."""

    replay: int | None = None
    """With --continue-from: earlier rows of each answer that are learnt again beside the new ones; all of them where nothing is said."""

    def __post_init__(self) -> None:
        if self.replay is not None and self.replay < 0:
            raise ValueError(f"replay is {self.replay}; it is a number of rows from 0 up")
        for name, least, most in (("epochs", 1, 1000), ("batch", 1, 4096), ("max_tokens", 8, 512), ("patience", 1, 1000), ("rank", 1, 256)):
            if not least <= (value := getattr(self, name)) <= most:
                raise ValueError(f"{name} is {value}; it is a number from {least} to {most}")

    @property
    def pace(self) -> Pace:
        """Of the loop: the rate rises over a tenth of the steps and falls to nothing (Devlin et al., 2019)."""
        rate = self.rate or (2e-4 if self.adapt == "full" else 1e-3)
        return Pace(epochs=self.epochs, rate=rate, warmup=0.1, falls="linear", decay=0.01, clip=1.0, patience=self.patience)


class Base(NamedTuple):
    """The encoder that is tuned."""

    about: card.Base
    config: Bert
    weights: Weights
    tokenizer: bytes
    max_tokens: int

    def tokens(self) -> Any:
        """Its tokenizer, as it will be when the specialist answers."""
        return read_tokenizer(self.tokenizer, self.max_tokens)


class Row(NamedTuple):
    """A text as the network sees it."""

    ids: Sequence[int]
    target: Sequence[float] | int
    """A class or the probability of each, 0 or 1 for each label, or a tag for each token."""
    competes_C: NDArray[np.bool_] | None = None
    """The classes that its own competes with, as of `continual/masks.py`; None for all."""


class Exported(NamedTuple):
    """A network as files."""

    files: dict[str, bytes]
    precision: str


def read_base(folder: Path, tuning: Tuning) -> Base:
    """The base model in a folder with config.json, model.safetensors and tokenizer.json. Raises DataError for a broken one, OperatorError."""
    config = bert.config_of(folder)
    weights, tokenizer = bert.weights_of(folder, config), bert.tokenizer_of(folder, config)
    about = card.Base(name=folder.resolve().name, licence=bert.licence_of(folder), sha256=bert.hash_of(folder / bert.WEIGHTS))
    return Base(about, config, weights, tokenizer, min(tuning.max_tokens, config.max_position_embeddings))


def encode(base: Base, texts: Sequence[str]) -> list[Any]:
    """The tokens of each text, with where they stand: the first ones of a long text."""
    tokenizer = base.tokens()
    return [tokenizer.encode(without_surrogates(text)) for text in texts]


def network(base: Base, outputs: int, tuning: Tuning, seed: int) -> Module:
    """The base with a linear layer on top."""
    import torch
    from torch import nn
    from transformers import BertConfig, BertModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = BertConfig(**msgspec.to_builtins(base.config))
        body = BertModel(config, add_pooling_layer=False)
        body.load_state_dict({name: torch.from_numpy(one.copy()) for name, one in base.weights.items()}, strict=True)
        layers = {
            "body": _with_adapters(body, tuning.rank) if tuning.adapt == "lora" else body,
            "dropout": nn.Dropout(config.hidden_dropout_prob),
            "top": nn.Linear(config.hidden_size, outputs),
        }
    return nn.ModuleDict(layers)


Batch: TypeAlias = tuple[Tensor, ...]
"""Tokens, which of them are some, targets, and which classes compete, None for all."""


def scores_of(net: Module, batch: Batch, goal: Goal = "choice") -> Tensor:
    """What a network says of a batch: by text and class or label, or by text, token and tag."""
    ids_BT, mask_BT = batch[:2]
    x_BTD = net.body(input_ids=ids_BT, attention_mask=mask_BT).last_hidden_state
    if goal != "tags":
        seen_BT1 = mask_BT.unsqueeze(-1).to(x_BTD.dtype)
        x_BTD = (x_BTD * seen_BT1).sum(1) / seen_BT1.sum(1)
    return net.top(net.dropout(x_BTD))


def _with_adapters(body: Module, rank: int) -> Module:
    from peft import LoraConfig, get_peft_model

    where = ["query", "key", "value", "output.dense", "intermediate.dense"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft 0.21 asks transformers 5.24 for what has another name since (2026-11)
        return get_peft_model(body, LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=where, lora_dropout=0.05))


def tune(
    net: Module,
    goal: Goal,
    rows: Sequence[Row],
    held_out: Sequence[Row],
    tuning: Tuning,
    seed: int,
    run: Run,
    more: Mapping[str, Term] = {},
) -> Fitted:
    """Tunes a network, and leaves the best of all epochs in it. `more`: what is added to the loss."""

    def batches(rng: np.random.Generator) -> list[Any]:
        return [batch_of([rows[n] for n in some]) for some in _like_lengths(rows, tuning.batch, rng)]

    by_length = np.argsort([len(row.ids) for row in held_out], kind="stable")
    looked = [batch_of([held_out[n] for n in some]) for some in np.array_split(by_length, -(-len(held_out) // 64) or 1) if len(some)]

    def look(model: Module) -> float:
        return float(sum(float(_loss(model, batch, goal)) * len(batch[0]) for batch in looked) / len(held_out))

    terms = {goal: lambda model, batch: _loss(model, batch, goal), **more}
    return fit(net, batches, terms, tuning.pace, seed, run, look if held_out else None)


def _like_lengths(rows: Sequence[Row], batch: int, rng: np.random.Generator) -> list[NDArray[np.int64]]:
    """Batches of rows of about one length, so that little is padded: sorted within every sixteen batches, in random order."""
    found: list[NDArray[np.int64]] = []
    for some in shuffled(len(rows), 16 * batch, rng):
        ordered = some[np.argsort([len(rows[n].ids) for n in some], kind="stable")]
        found += np.array_split(ordered, -(-len(ordered) // batch))
    return [found[n] for n in rng.permutation(len(found))]


def batch_of(rows: Sequence[Row]) -> Batch:
    """Rows side by side, padded to the longest."""
    import torch

    longest = max(len(row.ids) for row in rows)
    ids_BT, mask_BT = np.zeros((len(rows), longest), np.int64), np.zeros((len(rows), longest), np.int64)
    for n, row in enumerate(rows):
        ids_BT[n, : len(row.ids)], mask_BT[n, : len(row.ids)] = row.ids, 1
    if isinstance(rows[0].target, int):
        target = np.array([row.target for row in rows])
    elif len(rows[0].target) and isinstance(rows[0].target[0], float):
        target = np.array([row.target for row in rows], np.float32)
    else:
        target = np.full(ids_BT.shape, _IGNORED)
        for n, row in enumerate(rows):
            target[n, : len(row.ids)] = row.target
    competes = [row.competes_C for row in rows if row.competes_C is not None]
    allowed_BC = torch.from_numpy(np.stack(competes)) if competes else None
    return torch.from_numpy(ids_BT), torch.from_numpy(mask_BT), torch.from_numpy(target), allowed_BC


def _loss(net: Module, batch: Batch, goal: Goal) -> Tensor:
    from torch.nn import functional

    target, allowed_BC = batch[2:]
    scores = scores_of(net, batch, goal)
    if goal == "labels":
        return functional.binary_cross_entropy_with_logits(scores, target, reduction="sum") / len(target)
    if goal == "tags":
        return functional.cross_entropy(scores.flatten(0, 1), target.flatten(), ignore_index=_IGNORED)
    return functional.cross_entropy(scores if allowed_BC is None else masked(scores, allowed_BC), target)


def export(
    net: Module, base: Base, goal: Goal, tuning: Tuning, share_right: Callable[[dict[str, bytes]], float | None]
) -> tuple[Exported, dict[str, float]]:
    """The network as files, its adapters merged into it, in int8 where that holds, and what share of the calibration part each precision has right."""
    import torch

    with torch.no_grad():
        if tuning.adapt == "lora":
            net.body = net.body.merge_and_unload()
        weights = {name: each.detach().numpy() for name, each in net.body.state_dict().items()}
        top = net.top.weight.detach().numpy(), net.top.bias.detach().numpy()
    model = bert.graph(base.config, weights, base.max_tokens, bert.of_tokens(*top) if goal == "tags" else bert.pooled(*top))
    found = {one: _files(model, base, one == "fp32") for one in ("fp32", "int8") if tuning.precision in ("auto", one)}
    shares = {one: share for one, files in found.items() if (share := share_right(files)) is not None}
    if tuning.precision != "auto":
        return Exported(found[tuning.precision], tuning.precision), shares
    holds = bool(shares) and shares["int8"] >= shares["fp32"] - _INT8_MAY_LOSE
    chosen = "int8" if holds else "fp32"
    return Exported(found[chosen], chosen), shares


def _files(model: Any, base: Base, fp32: bool) -> dict[str, bytes]:
    from onnx import ModelProto

    copy = ModelProto()  # the quantizer writes into what it is given
    copy.CopyFrom(model)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / MODEL
        bert.write_model(copy, path, fp32)
        return {MODEL: path.read_bytes(), TOKENIZER: base.tokenizer}


def estimated(base: Base, goal: Goal, outputs: int, rows: Sequence[Row], looked: int, tuning: Tuning, method: str) -> Estimate:
    """What tuning takes: a few steps are taken and timed. `looked`: rows that are answered one by one afterwards. Epochs count in full."""
    need_torch(method)
    length = float(np.mean([len(row.ids) for row in rows]))
    bytes_ = _bytes(base, tuning, max(len(row.ids) for row in rows))
    if bytes_ > os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"):
        return Estimate(float("nan"), bytes_)
    import torch

    began = time.perf_counter()
    net = network(base, outputs, tuning, 0)
    learnt = [each for each in net.parameters() if each.requires_grad]
    optimizer = torch.optim.AdamW(learnt)
    net.train()
    size = min(tuning.batch, _TIMED_ROWS, len(rows))
    middle = sorted(rows, key=lambda row: len(row.ids))[(len(rows) - size) // 2 :][:size]
    batch = batch_of(middle)
    took: list[float] = []
    with torch.random.fork_rng(devices=[]):
        for _ in range(4):
            at = time.perf_counter()
            _loss(net, batch, goal).backward()
            optimizer.step()
            optimizer.zero_grad()
            took.append(time.perf_counter() - at)
    step = float(np.median(took[1:])) * len(rows) / size * length / float(np.mean([len(row.ids) for row in middle]))
    kept = 4 * 4 * sum(each.numel() for each in learnt)
    per_text = 2.5 * float(np.median(took[1:])) / size / 3
    return Estimate(2.0 + (time.perf_counter() - began) / 2 + tuning.epochs * (step * 1.1 + kept / 2e8) + looked * per_text, bytes_)


def _bytes(base: Base, tuning: Tuning, longest: int) -> int:
    """Memory at most: the process with torch, each weight several times (itself, its gradient, two moments, the best, and a checkpoint of those being
    written), and what the layers keep for the way back."""
    weights = 4 * sum(one.size for one in base.weights.values())
    copies = 13 if tuning.adapt == "full" else 6
    config = base.config
    per_token = config.num_hidden_layers * (
        12 * config.hidden_size + 3 * config.intermediate_size + 3 * config.num_attention_heads * longest
    )
    return 500_000_000 + copies * weights + 4 * tuning.batch * longest * per_token
