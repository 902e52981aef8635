"""From journal to paired items: which answers belong together, what each is known to score, and how its label was come by."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from freehold.catalog import AGREEMENT, Metric
from freehold.chat import JSON, text_of
from freehold.datasets.pairs import Pairs
from freehold.errors import CallerError, DataError, nearest
from freehold.journal.answers import drawn_items, metrics_of, variants_of
from freehold.journal.call import TRUTH, LabelDesign
from freehold.journal.read import Answer, Score, answers, calls_by_id, inputs, scores, slices
from freehold.store.open import Store

MOST_KEPT_ANSWERS = 500
"""Up to so many distinct answers are kept as values; beyond, only which are equal is."""

_CERTIFYING: dict[LabelDesign, int] = {"audit": 2, "census": 1, "found": 0}


class Loaded(NamedTuple):
    """A task's items as the journal has them, complete or not."""

    pairs: Pairs
    """Every item anybody answered; NaN where a score or an answer is missing, the reference's among them."""
    is_labelled_N: NDArray[np.bool_]
    """Whether an item has a label, or was drawn and needed none."""
    charged: dict[str, int]
    """Answers that differ from the reference's on labelled items and have no label themselves, by variant: counted as wrong."""


def load_pairs(store: Store, tenant: str, task: str, reference: str, metric: Metric) -> Loaded:
    """All items of a task, with what is known of every variant.

    Raises DataError where the task has no calls, CallerError where the reference or the metric has nothing recorded.
    """
    names = variants_of(store, tenant, task)
    if not names:
        raise DataError(f"Task '{task}' has no calls. Import some with 'freehold import FILE --task {task}', or name a group of calls.")
    if reference not in names:
        raise CallerError(f"No call of task '{task}' was answered by '{reference}'.{nearest(reference, names)}")
    variants = (reference, *(name for name in names if name != reference))
    column = {name: v for v, name in enumerate(variants)}
    rows = [row for batch in answers(store, tenant, task) for row in batch]
    items = sorted({row.item for row in rows})
    place = {item: n for n, item in enumerate(items)}
    table = _Table(len(items), len(variants))
    first: dict[int, Answer] = {}
    for row in rows:
        n = place[row.item]
        table.put(n, column[row.variant], row)
        if n not in first or row.variant == reference:
            first[n] = row
    labels = [label for batch in scores(store, tenant, task, metric.id) for label in batch]
    drawn = drawn_items(store, tenant, task, metric.id)
    if metric.id != AGREEMENT and not labels and not drawn and not (metric.deterministic and table.has_truth()):
        raise CallerError(
            f"Task '{task}' has no label of metric '{metric.id}'.{nearest(metric.id, metrics_of(store, tenant, task))} Label some with "
            f"'freehold label {task}', import scores, or certify agreement with the reference by --metric {AGREEMENT}."
        )
    pairs = _pairs(store, tenant, task, metric, variants, items, table, [first[n] for n in range(len(items))])
    truths = [label for batch in scores(store, tenant, task, TRUTH) for label in batch]
    return _scored(pairs, metric, table, labels, truths, drawn)


class _Table:
    """Answers by item and variant, as they are read."""

    def __init__(self, items: int, variants: int) -> None:
        self.call: dict[str, tuple[int, int]] = {}
        self.digest: dict[str, int] = {}
        self.call_of_digest: dict[int, str] = {}
        self.truth_call: dict[int, str] = {}
        self.answer_NV = np.full((items, variants), -1, dtype=np.int64)
        self.cost_NV = np.full((items, variants), np.nan)
        self.latency_NV = np.full((items, variants), np.nan)
        self.truth_N = np.full(items, -1, dtype=np.int64)

    def put(self, n: int, v: int, row: Answer) -> None:
        """Takes a variant's answer to an item; the last, where a log has asked the same again."""
        self.call[row.call] = (n, v)
        if row.output_digest is not None and row.outcome == "answered":
            code = self.digest.setdefault(row.output_digest, len(self.digest))
            self.call_of_digest.setdefault(code, row.call)
            self.answer_NV[n, v] = code
        if row.reference_digest is not None:
            code = self.digest.setdefault(row.reference_digest, len(self.digest))
            self.truth_call.setdefault(code, row.call)
            self.truth_N[n] = code
        if row.cost_usd is not None:
            self.cost_NV[n, v] = row.cost_usd
        if row.latency_s is not None:
            self.latency_NV[n, v] = row.latency_s

    def has_truth(self) -> bool:
        return bool((self.truth_N >= 0).any())


def _pairs(
    store: Store,
    tenant: str,
    task: str,
    metric: Metric,
    variants: tuple[str, ...],
    items: list[str],
    table: _Table,
    first: Sequence[Answer],
) -> Pairs:
    shape = (len(items), len(variants))
    unknown: LabelDesign = "found"
    return Pairs(
        task=task,
        reference=variants[0],
        metric=metric.id,
        is_deterministic=metric.deterministic,
        variants=variants,
        items=tuple(items),
        groups=tuple(row.group if row.group is not None else f"item:{row.item}" for row in first),
        texts=_texts(store, tenant, first),
        tags=tuple(row.tags for row in first),
        at_N=np.array([-1 if row.at_us is None else row.at_us for row in first], dtype=np.int64),
        score_NV=np.full(shape, np.nan),
        loss_NV=np.full(shape, np.nan),
        cost_NV=table.cost_NV,
        latency_NV=table.latency_NV,
        answer_NV=table.answer_NV,
        answers=_answers(store, table),
        truth_N=table.truth_N,
        designs=(unknown,) * len(items),
        inclusion_N=np.full(len(items), np.nan),
    )


def _texts(store: Store, tenant: str, first: Sequence[Answer]) -> tuple[str, ...]:
    """The words of each item; empty where content is not kept. A batch of inputs is in memory at a time."""
    texts: dict[bytes, str] = {}
    for some in slices(sorted({row.input for row in first if row.input is not None}), 2_000):
        texts.update((digest, text_of(asked)) for digest, asked in inputs(store, tenant, some).items())
    return tuple(texts.get(row.input, "") if row.input is not None else "" for row in first)


def _answers(store: Store, table: _Table) -> tuple[JSON, ...]:
    """The distinct answers in order of their codes, where they are few enough to be learnt."""
    if not 0 < len(table.digest) <= MOST_KEPT_ANSWERS:
        return ()
    with store.reading() as connection:
        found = calls_by_id(store, connection, sorted({*table.call_of_digest.values(), *table.truth_call.values()}))
    kept: list[JSON] = []
    for code in range(len(table.digest)):
        call = table.call_of_digest.get(code)
        kept.append(found[call].output if call else found[table.truth_call[code]].reference_output)
    return tuple(kept)


def _scored(
    pairs: Pairs, metric: Metric, table: _Table, labels: Iterable[Score], truths: Iterable[Score], drawn: dict[str, float]
) -> Loaded:
    """Scores, losses and designs filled in."""
    score_NV = np.full_like(pairs.score_NV, np.nan)
    designs: list[LabelDesign] = ["found"] * len(pairs)
    inclusion_N = np.full(len(pairs), np.nan)
    is_labelled_N = np.zeros(len(pairs), dtype=bool)
    if metric.id == AGREEMENT:
        answered = (pairs.answer_NV >= 0) & (pairs.answer_NV[:, :1] >= 0)
        score_NV[answered] = (pairs.answer_NV == pairs.answer_NV[:, :1])[answered]
        designs, inclusion_N, is_labelled_N = ["census"] * len(pairs), np.ones(len(pairs)), pairs.answer_NV[:, 0] >= 0
        return _with_losses(replace(pairs, score_NV=score_NV, designs=tuple(designs), inclusion_N=inclusion_N), is_labelled_N)
    if metric.deterministic and metric.kind == "binary":
        known = (pairs.truth_N[:, None] >= 0) & (pairs.answer_NV >= 0)
        score_NV[known] = (pairs.answer_NV == pairs.truth_N[:, None])[known]
        is_labelled_N |= pairs.truth_N >= 0
        for truth in truths:
            if truth.call in table.call:
                n = table.call[truth.call][0]
                designs[n], inclusion_N[n] = truth.design, np.nan if truth.inclusion is None else truth.inclusion
    weakest: dict[int, int] = {}
    for (n, v), label in _strongest(labels, table).items():
        score_NV[n, v] = metric.unit(label.value)
        is_labelled_N[n] = True
        if _CERTIFYING[label.design] <= weakest.get(n, _CERTIFYING["audit"]):
            weakest[n] = _CERTIFYING[label.design]
            designs[n] = label.design
            inclusion_N[n] = np.nan if label.inclusion is None else label.inclusion
    for n, item in enumerate(pairs.items):
        if item in drawn:
            designs[n], inclusion_N[n], is_labelled_N[n] = "audit", drawn[item], True
    return _with_losses(replace(pairs, score_NV=score_NV, designs=tuple(designs), inclusion_N=inclusion_N), is_labelled_N)


def _strongest(labels: Iterable[Score], table: _Table) -> dict[tuple[int, int], Score]:
    """The label that counts for each answer: an audit's before a census's before a found one; of two alike, the later."""
    kept: dict[tuple[int, int], Score] = {}
    for label in labels:
        where = table.call.get(label.call)
        if where is not None and (where not in kept or _CERTIFYING[label.design] >= _CERTIFYING[kept[where].design]):
            kept[where] = label
    return kept


def _with_losses(pairs: Pairs, is_labelled_N: NDArray[np.bool_]) -> Loaded:
    """Paired losses: the difference of scores, and 0 for equal answers under a deterministic metric.

    Under such a metric a labelled item on which some answer has no label is one on which that answer differs from the labelled ones.
    Leaving it out would keep just the items where all agree, so the answer is counted as wrong instead: nothing is credited unseen.
    """
    loss_NV = pairs.score_NV[:, :1] - pairs.score_NV
    charged: dict[str, int] = {}
    if pairs.is_deterministic:
        loss_NV = np.where((pairs.answer_NV == pairs.answer_NV[:, :1]) & (pairs.answer_NV >= 0), 0.0, loss_NV)
        unseen_NV = is_labelled_N[:, None] & (pairs.answer_NV >= 0) & np.isnan(loss_NV)
        loss_NV = np.where(unseen_NV, np.nan_to_num(pairs.score_NV[:, :1], nan=1.0), loss_NV)
        charged = {name: int(n) for name, n in zip(pairs.variants, unseen_NV.sum(axis=0), strict=True) if n}
    loss_NV[:, 0] = np.where(pairs.answer_NV[:, 0] >= 0, 0.0, loss_NV[:, 0])
    return Loaded(replace(pairs, loss_NV=loss_NV), is_labelled_N, charged)


class Usable(NamedTuple):
    """Items on which every candidate can be judged, and why the others are not among them."""

    pairs: Pairs
    candidates: tuple[str, ...]
    left_out_N: NDArray[np.bool_]
    """Items of the loaded pairs that could not be used."""
    reasons: dict[str, int]
    dropped: dict[str, str]
    """Variants that answered too few items, and how many."""


def usable(loaded: Loaded, wanted: tuple[str, ...] | None, least_cover: float = 0.9) -> Usable:
    """Only complete items. A variant nobody asked for by name is dropped instead, where it covers under `least_cover` of the labelled
    items or has no price while the reference has one.

    Raises CallerError for a wanted variant without any answer.
    """
    pairs = loaded.pairs
    for name in wanted or ():
        if name not in pairs.variants:
            raise CallerError(f"No call of task '{pairs.task}' was answered by '{name}'.{nearest(name, pairs.variants)}")
    labelled_N = loaded.is_labelled_N
    no_answer_N = pairs.answer_NV[:, 0] < 0
    askable_N = labelled_N & ~no_answer_N
    known_NV = ~np.isnan(pairs.loss_NV)
    dropped = {}
    candidates = []
    for v, name in enumerate(pairs.variants[1:], start=1):
        cover = known_NV[askable_N, v].mean() if askable_N.any() else 0.0
        if wanted is not None and name not in wanted:
            continue
        if wanted is None and np.isnan(pairs.cost_NV[:, v]).all() and not np.isnan(pairs.cost_NV[:, 0]).all():
            dropped[name] = f'its cost is unknown; set [models."{name}"] price'
        elif wanted is None and cover < least_cover:
            dropped[name] = f"it has a label or an answer on only {cover:.0%} of the labelled items"
        else:
            candidates.append(name)
    columns = [0, *(pairs.variants.index(c) for c in candidates)]
    is_complete_N = known_NV[:, columns].all(axis=1)
    keep_N = askable_N & is_complete_N
    reasons = Counter(
        "the reference did not answer" if no_answer_N[n] else "no label" if not labelled_N[n] else "a candidate has no answer or label"
        for n in np.flatnonzero(~keep_N)
    )
    return Usable(pairs.rows(keep_N), tuple(candidates), ~keep_N, dict(reasons), dropped)


def canonical(value: JSON) -> str:
    """An answer as one line of text, for people."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
