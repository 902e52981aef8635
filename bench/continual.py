"""Data sets come one after another: what is known in the end, and what was forgotten on the way?

    bench/continual.py [--quick] [--check] [--out FILE]

CLINC150. `classes`: its ten domains one after another, each with fifteen intents of its own that no earlier one had. `domains`: the ten domains are
the answers, and five data sets bring three new intents of each. Every way is the method `stream` with other settings, as `freehold train --continue-from`
runs it, over MiniLM's vectors and over hashed n-grams, which need no download; a tenth of the training part is what it chooses by. The test is CLINC150's
validation part, which nothing is chosen by here. The settings of `net` and `ewc` are those that did best on CLINC150 before, so that those say less of other
data than `measured`, the default, which chooses on its own history. Three seeds: another order of the data sets, another tenth, other beginnings.

`accuracy`: the mean over data sets after the last one. `forgetting`: the mean over all but the last of the best that an earlier specialist knew of it less
what the last one knows; less than nothing where that learnt more of it (Chaudhry et al., 2018). `joint_net` and `joint_lda` learn all at once, which is what
there is to reach by a network and by a discriminant; `naive` is a network that goes on without any of the parts.
"""

import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from data import need, run
from freehold.catalog import Task
from freehold.routing.embed import Embedder
from freehold.training.lesson import NO_ROWS, Lesson, Part, lesson_of, plain
from freehold.training.method import Earlier, Job, Made, method_of, options_of
from freehold.training.run import Run
from freehold.variants.card import Card, Plan
from freehold.variants.streams import load
from harness import arguments, emit
from specialists import embedder, rows

NET: dict[str, Any] = {"kind": "net", "memory": 0, "distil": 0.0}
WAYS: dict[str, dict[str, Any]] = {
    "naive": NET,
    "ewc_100": NET | {"ewc": 100.0},
    "lwf": NET | {"distil": 1.0},
    "replay_5": NET | {"memory": 5},
    "lwf_replay_5": NET | {"memory": 5, "distil": 1.0},
    "nearest": {"kind": "nearest", "width": 0},
    "lda": {"kind": "lda", "width": 0},
    "measured": {},
}


@dataclass
class Known:
    """An embedder that takes each text once."""

    of: Embedder
    vectors: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """As of `Embedder`."""
        return self.of.name

    @property
    def dims(self) -> int:
        """As of `Embedder`."""
        return self.of.dims

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As of `Embedder`."""
        fresh = [text for text in dict.fromkeys(texts) if text not in self.vectors]
        if fresh:
            self.vectors.update(zip(fresh, self.of.embed(fresh), strict=True))
        return np.stack([self.vectors[text] for text in texts]) if len(texts) else np.zeros((0, self.dims), np.float32)


class Row(NamedTuple):
    """A question of CLINC150."""

    text: str
    label: str
    domain: str


def clinc(name: str) -> list[Row]:
    """A part of it."""
    return [Row(row["text"], row["label"], row["domain"]) for row in rows(need("clinc150") / f"{name}.jsonl.gz")]


def part(some: Sequence[Row], by_domain: bool, prefix: str) -> Part:
    """Rows as methods take them."""
    found = plain([row.text for row in some], [row.domain if by_domain else row.label for row in some])
    ids = tuple(f"{prefix}-{row.text}" for row in some)
    return replace(found, ids=ids, groups=ids)


def stream(train: Sequence[Row], test: Sequence[Row], by_domain: bool, seed: int, most: int) -> list[Lesson]:
    """The data sets of a seed."""
    rng = np.random.default_rng(seed)
    domains = sorted({row.domain for row in train})
    intents = {domain: sorted({row.label for row in train if row.domain == domain}) for domain in domains}
    if by_domain:
        shuffled = {domain: [intents[domain][n] for n in rng.permutation(15)] for domain in domains}
        sets = [{label for domain in domains for label in shuffled[domain][3 * k : 3 * k + 3]} for k in range(5)]
    else:
        sets = [set(intents[domains[n]]) for n in rng.permutation(len(domains))]
    lessons = []
    for k, labels in enumerate(sets[:most]):
        mine = [row for row in train if row.label in labels]
        mine = [mine[n] for n in rng.permutation(len(mine))]
        ends = len(mine) // 10
        held = [row for row in test if row.label in labels]
        learn, choose, look = (
            part(some, by_domain, name) for some, name in ((mine[ends:], "train"), (mine[:ends], "calibrate"), (held, "test"))
        )
        lessons.append(replace(lesson_of(learn, choose, look), dataset=f"clinc@{'domains' if by_domain else 'classes'}-{seed}-{k}"))
    return lessons


def learnt(
    one: Lesson, earlier: Earlier | None, embed: Embedder | None, way: dict[str, Any], seed: int, folder: Path
) -> tuple[Made, Earlier]:
    """The next data set, and what whoever comes after goes on from."""
    method = method_of("stream")
    plan = Plan(task="clinc", method="stream", dataset=one.dataset, seed=seed, options=way, code="bench")
    job = Job(task=Task(id="clinc"), plan=plan, lesson=one, embedder=embed, earlier=earlier)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        made = method.train(job, options_of(method, way), Run(Path(scratch), plan.digest))
    card = Card(
        name=one.dataset,
        tenant="",
        task="clinc",
        format=made.format,
        plan=plan,
        dataset=one.dataset.partition("@")[2],
        taught=() if earlier is None else earlier.card.learnt_from,
        training_s=0.0,
        training_usd=0.0,
        created_at=datetime.now(UTC),
    )
    return made, Earlier(card, made.files, (*(earlier.lessons if earlier is not None else ()), one))


def right(made: Made, test: Part, embed: Embedder | None) -> float:
    """The share it has right."""
    said = load(made.files, embed).answer(test.texts)
    return float(np.mean([one is not None and one.output == answer for one, answer in zip(said, test.answers, strict=True)]))


def followed(lessons: Sequence[Lesson], embed: Embedder | None, way: dict[str, Any], seed: int, folder: Path) -> dict[str, Any]:
    """Accuracy and forgetting of one way through one stream."""
    earlier: Earlier | None = None
    matrix_KK = np.full((len(lessons), len(lessons)), np.nan)
    chosen: list[str] = []
    for k, one in enumerate(lessons):
        made, earlier = learnt(one, earlier, embed, way, seed, folder)
        chosen.append(str(made.about["chosen"]))
        for j in range(k + 1):
            matrix_KK[k, j] = right(made, lessons[j].test, embed)
    lost = [float(np.nanmax(matrix_KK[:-1, j]) - matrix_KK[-1, j]) for j in range(len(lessons) - 1)]
    return {"accuracy": float(matrix_KK[-1].mean()), "forgetting": float(np.mean(lost)), "chosen": chosen[-1]}


def joint(lessons: Sequence[Lesson], embed: Embedder | None, way: dict[str, Any], seed: int, folder: Path) -> dict[str, Any]:
    """All at once, in one way."""
    learn, choose, look = (sum((getattr(one, name) for one in lessons), NO_ROWS) for name in ("train", "calibrate", "test"))
    whole = lesson_of(learn, choose, look)
    made, _ = learnt(replace(whole, dataset=f"clinc@joint-{seed}"), None, embed, way, seed, folder)
    return {"accuracy": float(np.mean([right(made, one.test, embed) for one in lessons])), "forgetting": 0.0}


def told(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Means over seeds, with the least and the greatest."""
    result: dict[str, Any] = {}
    for name in ("accuracy", "forgetting"):
        values = [one[name] for one in found]
        result[name] = round(float(np.mean(values)), 4)
        result[f"{name}_between"] = [round(min(values), 4), round(max(values), 4)]
    if "chosen" in found[0]:
        result["chosen"] = sorted({one["chosen"] for one in found})
    return result


class Unit(NamedTuple):
    """What one process measures."""

    by_domain: bool
    has_vectors: bool
    is_quick: bool


def measured(unit: Unit) -> dict[str, Any] | None:
    """Every way through the streams of one kind; None without MiniLM's package where that is wanted."""
    seeds, most = (1, 2) if unit.is_quick else (3, 10)
    train, test = clinc("train")[:: 8 if unit.is_quick else 1], clinc("val")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        embed: Embedder | None = None
        if unit.has_vectors:
            found = embedder(folder)
            if found is None:
                return None
            embed = Known(found)
        streams = [stream(train, test, unit.by_domain, seed, most) for seed in range(seeds)]
        wanted = {way: options for way, options in WAYS.items() if not unit.is_quick or way in ("naive", "lda", "measured")}
        result: dict[str, Any] = {}
        for way, options in wanted.items():
            result[way] = told([followed(lessons, embed, options, seed, folder) for seed, lessons in enumerate(streams)])
            print(unit, way, result[way], file=sys.stderr, flush=True)
        for name, options in {"joint_net": NET, "joint_lda": {"kind": "lda"}}.items():
            result[name] = told([joint(lessons, embed, options, seed, folder) for seed, lessons in enumerate(streams)])
        return result


def main() -> None:
    args = arguments(__doc__)
    kinds = (False,) if args.quick else (True, False)
    units = [Unit(by_domain, has_vectors, args.quick) for has_vectors in kinds for by_domain in ((False,) if args.quick else (False, True))]
    result: dict[str, Any] = {"classes": {}, "domains": {}}
    with ProcessPoolExecutor(1 if args.quick else 2, mp_context=get_context("spawn")) as pool:
        for unit, found in zip(units, pool.map(measured, units), strict=True):
            if found is not None:
                result["domains" if unit.by_domain else "classes"]["minilm" if unit.has_vectors else "download_free"] = found
    emit("continual", result, args.check)


if __name__ == "__main__":
    run("continual", main)
