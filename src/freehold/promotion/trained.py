"""Specialists as candidates: what they answer to a task's items is found out here and now, and what they learnt from proves nothing."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from freehold.catalog import Metric, Task
from freehold.chat import JSON, canonical_json, text_of
from freehold.datasets.load import Loaded
from freehold.datasets.pairs import Floats, Pairs
from freehold.datasets.table import batches_of, json_at
from freehold.datasets.versions import ROWS, standing, versions
from freehold.errors import CallerError
from freehold.project import Project
from freehold.promotion.develop import answer_column
from freehold.routing.embed import load_embedder
from freehold.routing.head import Head
from freehold.store.files import private_file
from freehold.variants.card import Card
from freehold.variants.heads import EMBEDDER, HeadAnswerer
from freehold.variants.shelf import on_shelf, read_files
from freehold.variants.specialist import FORMATS, load


class Learnt(NamedTuple):
    """What a specialist, and those it goes on from, learnt from or had settings chosen by."""

    items: frozenset[str]
    """What was asked, by name."""
    groups: frozenset[str]
    """What those depend on others by."""
    texts: frozenset[str]
    """The words of those questions."""


class TrainedHead(NamedTuple):
    """A specialist that is a head: its confidence says beforehand how much it will lose."""

    name: str
    head: Head


class Entered(NamedTuple):
    """The items, with every specialist that was named as a candidate."""

    loaded: Loaded
    head: TrainedHead | None
    """The one that is a head; None where none is."""
    hashes: dict[str, str]
    """The hash of each, by name."""


def enter(project: Project, task: Task, names: Sequence[str], loaded: Loaded, metric: Metric) -> Entered:
    """Has those of some variants that are specialists answer every item that they have not learnt from.

    Raises CallerError where two of them are heads, where nothing is left that they have not seen, or where equal answers do not score equally.
    """
    cards = {card.name: card for card in on_shelf(project.store, project.tenant, task.id)}
    head: TrainedHead | None = None
    known = [cards[name] for name in names if name in cards and cards[name].format in FORMATS]
    for card in known:
        if not metric.deterministic and not (loaded.pairs.truth_N >= 0).any():
            raise CallerError(
                f"'{card.name}' can only be judged where equal answers get equal scores. If '{metric.id}' is such a metric, say so: "
                f"[metrics.{metric.id}] deterministic = true."
            )
        loaded = without_learnt(loaded, learnt_by(project, card), card.name)
    for card in known:
        answerer = load(project.store, card)
        if isinstance(answerer, HeadAnswerer):
            if head is not None:
                raise CallerError(
                    f"'{head.name}' and '{card.name}' are both heads, and a policy decides by one. Name one of them by --variants."
                )
            head = TrainedHead(card.name, answerer.head if answerer.is_quick else _with_folder(project, card, answerer.head))
            continue
        said = answerer.answer(loaded.pairs.texts)
        loaded = with_answers(loaded, card.name, [one and one.output for one in said], [one is None for one in said], 0.0)
    if head is not None and head.name in loaded.pairs.variants:
        loaded = without_column(loaded, head.name)
    return Entered(loaded, head, {card.name: card.hash for card in known})


def _with_folder(project: Project, card: Card, head: Head) -> Head:
    """The head with its embedder in a folder of the project, where arrays of policies name it."""
    files = read_files(project.store, card)
    assert head.embedder is not None
    folder = project.folder / "embedders" / "".join(c if c.isalnum() or c in "-_" else "-" for c in head.embedder.name)
    for name in EMBEDDER:
        if not (folder / name).is_file():
            with private_file(folder / name) as file:
                file.write(files[name])
    return replace(head, embedder=load_embedder(folder))


def learnt_by(project: Project, card: Card) -> Learnt:
    """What a specialist and those it goes on from learnt from. Raises CallerError where a data set of theirs is gone."""
    known = versions(project.datasets)
    items: set[str] = set()
    groups: set[str] = set()
    texts: set[str] = set()
    for hash in card.learnt_from:
        learnt = standing(known, hash)  # after an erasure: what is gone is gone from the journal as well
        if learnt is None:
            raise CallerError(
                f"'{card.name}' learnt from the data set {hash[:12]}, or one that it goes on from did, and that is gone, so that nobody can say "
                "which items prove anything about it. Restore the data set from a backup, or train anew."
            )
        for table in batches_of(learnt.folder / ROWS, ["item", "group", "input", "split"]):
            for row in table.to_pylist():
                if row["split"] != "test":
                    items.add(row["item"])
                    texts.add(text_of(json_at(row["input"])))
                    groups.update((row["group"],) if row["group"] is not None else ())
    return Learnt(frozenset(items), frozenset(groups), frozenset(texts))


def without_learnt(loaded: Loaded, learnt: Learnt, name: str) -> Loaded:
    """The items that a specialist has seen nothing of. Raises CallerError where none is left."""
    pairs = loaded.pairs
    keep_N = np.array(
        [
            item not in learnt.items and group not in learnt.groups and (not text or text not in learnt.texts)
            for item, group, text in zip(pairs.items, pairs.groups, pairs.texts, strict=True)
        ],
        dtype=bool,
    )
    if not keep_N.any():
        raise CallerError(
            f"'{name}' has learnt from every item of '{pairs.task}' that there is, and nothing is left to prove anything on. Import or label more, "
            "or train it on a data set that leaves some out."
        )
    return Loaded(pairs.rows(keep_N), loaded.is_labelled_N[keep_N], loaded.charged_NV[keep_N], loaded.drawn_NV[keep_N])


def with_answers(loaded: Loaded, name: str, answers: Sequence[JSON], passes: Sequence[bool], cost_usd: float) -> Loaded:
    """The items with a specialist's answers in a column of its own, in the place of those that were recorded.

    What it passes on the reference answers, at the reference's cost. Its answers score like equal ones, so that this takes a task of few
    answers and a metric that gives equal answers equal scores. Raises CallerError for others.
    """
    pairs = loaded.pairs
    if not pairs.answers:
        raise CallerError(
            f"'{name}' can only be certified by what was recorded of it, for the answers of '{pairs.task}' are too many to be compared with: put "
            f"it to recorded questions by 'freehold ask {pairs.task} --variants {name}', and label what it answers."
        )
    without = without_column(loaded, name)
    place = {canonical_json(answer): code for code, answer in enumerate(pairs.answers)}
    code_N = np.array([place.get(canonical_json(answer), -2) for answer in answers], dtype=np.int64)
    passed_N = np.asarray(passes, dtype=bool)
    rest = without.pairs
    joined = answer_column(rest, np.where(passed_N, rest.answer_NV[:, 0], code_N), name, cost_usd)
    return Loaded(
        _passed_on(joined, passed_N),
        loaded.is_labelled_N,
        np.column_stack([without.charged_NV, np.zeros(len(pairs), dtype=bool)]),
        np.column_stack([without.drawn_NV, np.full(len(pairs), np.nan)]),
    )


def without_column(loaded: Loaded, name: str) -> Loaded:
    """The items without what was recorded of a variant."""
    others = tuple(variant for variant in loaded.pairs.variants if variant != name)
    kept = [loaded.pairs.variants.index(variant) for variant in others]
    return Loaded(loaded.pairs.columns(others), loaded.is_labelled_N, loaded.charged_NV[:, kept], loaded.drawn_NV[:, kept])


def _passed_on(pairs: Pairs, passed_N: NDArray[np.bool_]) -> Pairs:
    """What the last variant passes on is the reference's: its score, its cost, its time, and no loss."""

    def last(column_NV: Floats, instead_N: Floats) -> Floats:
        return np.column_stack([column_NV[:, :-1], np.where(passed_N, instead_N, column_NV[:, -1])])

    return replace(
        pairs,
        score_NV=last(pairs.score_NV, pairs.score_NV[:, 0]),
        loss_NV=last(pairs.loss_NV, np.where(np.isnan(pairs.score_NV[:, 0]), pairs.loss_NV[:, -1], 0.0)),
        cost_NV=last(pairs.cost_NV, pairs.cost_NV[:, 0]),
        latency_NV=last(pairs.latency_NV, pairs.latency_NV[:, 0]),
    )
