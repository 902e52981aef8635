"""From journal to paired items: which answers belong together, what each is known to score, and how its label was come by."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from freehold.catalog import AGREEMENT, Metric
from freehold.chat import JSON, text_of
from freehold.datasets.groups import joined
from freehold.datasets.labels import Told, labelled
from freehold.datasets.pairs import Pairs
from freehold.errors import CallerError, DataError, nearest
from freehold.feedback.population import LEAST_COVER
from freehold.journal.answers import drawn_items, least_inclusion, metrics_of, variants_of
from freehold.journal.call import TRUTH, LabelDesign
from freehold.journal.read import Answer, answers, calls_by_id, inputs, scores, slices
from freehold.journal.samples import reached
from freehold.store.open import Store

MOST_KEPT_ANSWERS = 500
"""Up to so many distinct answers are kept as values; beyond, only which are equal is."""


class Loaded(NamedTuple):
    """A task's items as the journal has them, complete or not."""

    pairs: Pairs
    """Every item anybody answered; NaN where a score or an answer is missing, the reference's among them."""
    is_labelled_N: NDArray[np.bool_]
    """Whether an item has a label, or was drawn and needed none."""
    charged_NV: NDArray[np.bool_]
    """Answers without a label on labelled items, and answers that were not given: counted as wrong."""
    drawn_NV: NDArray[np.float64]
    """The probability with which an item was drawn to be put to a variant, 0 where it was not; NaN throughout for a variant to which no
    sample was put."""


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
    if metric.id != AGREEMENT and not labels and not drawn and not (metric.deterministic and table.truths):
        raise CallerError(
            f"Task '{task}' has no label of metric '{metric.id}'.{nearest(metric.id, metrics_of(store, tenant, task))} Label some with "
            f"'freehold label {task}', import scores, or certify agreement with the reference by --metric {AGREEMENT}."
        )
    pairs = _pairs(store, tenant, task, metric, variants, items, table, [first[n] for n in range(len(items))])
    drawn_NV = np.full((len(items), len(variants)), np.nan)
    for name, sample in reached(store, tenant, task).items():
        if name in column:
            drawn_NV[:, column[name]] = [sample.get(item, 0.0) for item in items]
    found = labelled(
        pairs,
        metric,
        Told(
            place=table.kept_calls(),
            truths=table.truths,
            scores=labels,
            truth_designs=[label for batch in scores(store, tenant, task, TRUTH) for label in batch],
            drawn={place[item]: inclusion for item, inclusion in drawn.items() if item in place},
            silent_NV=(drawn_NV > 0) & (pairs.answer_NV < 0),
        ),
    )
    least = least_inclusion(store, tenant, task, metric.id)
    pairs = replace(
        pairs,
        least_inclusion=math.nan if least is None else least,
        score_NV=found.score_NV,
        loss_NV=found.loss_NV,
        designs=found.designs,
        inclusion_N=found.inclusion_N,
        truth_N=found.truth_N,
    )
    return Loaded(pairs, found.is_labelled_N, found.charged_NV, drawn_NV)


class _Table:
    """Answers by item and variant, as they are read."""

    def __init__(self, items: int, variants: int) -> None:
        self.digest: dict[str, int] = {}
        self.call_of_digest: dict[int, str] = {}
        self.truths: list[tuple[int, int, str]] = []
        self.answer_NV = np.full((items, variants), -1, dtype=np.int64)
        self.cost_NV = np.full((items, variants), np.nan)
        self.latency_NV = np.full((items, variants), np.nan)
        self.asked_N = np.zeros(items, dtype=np.int64)
        self._given: dict[str, tuple[int, int, int]] = {}
        self._groups: list[set[str]] = [set() for _ in range(items)]

    def put(self, n: int, v: int, row: Answer) -> None:
        """Takes a variant's answer to an item; the last, where a log has asked the same again."""
        if row.output_digest is not None and row.outcome == "answered":
            code = self.digest.setdefault(row.output_digest, len(self.digest))
            self.call_of_digest.setdefault(code, row.call)
            self.answer_NV[n, v] = code
            self._given[row.call] = n, v, code
            self.asked_N[n] += v == 0
        if row.reference_digest is not None:
            self.truths.append((n, self.digest.setdefault(row.reference_digest, len(self.digest)), row.call))
        if row.cost_usd is not None:
            self.cost_NV[n, v] = row.cost_usd
        if row.latency_s is not None:
            self.latency_NV[n, v] = row.latency_s
        if row.group is not None:
            self._groups[n].add(row.group)

    def kept_calls(self) -> dict[str, tuple[int, int]]:
        """Item and variant of the calls that gave the answer that is kept."""
        return {call: (n, v) for call, (n, v, code) in self._given.items() if self.answer_NV[n, v] == code}

    def groups(self, items: Sequence[str]) -> tuple[str, ...]:
        """The group of each item."""
        return joined(items, self._groups)


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
        groups=table.groups(items),
        texts=_texts(store, tenant, first),
        tags=tuple(row.tags for row in first),
        at_N=np.array([-1 if row.at_us is None else row.at_us for row in first], dtype=np.int64),
        score_NV=np.full(shape, np.nan),
        loss_NV=np.full(shape, np.nan),
        cost_NV=table.cost_NV,
        latency_NV=table.latency_NV,
        answer_NV=table.answer_NV,
        answers=_answers(store, table),
        truth_N=np.full(len(items), -1),
        asked_N=table.asked_N,
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
    right = {code: call for _, code, call in table.truths if code not in table.call_of_digest}
    with store.reading() as connection:
        found = calls_by_id(store, connection, sorted({*table.call_of_digest.values(), *right.values()}))
    values: dict[int, JSON] = {code: found[call].output for code, call in table.call_of_digest.items()}
    values |= {code: found[call].reference_output for code, call in right.items()}
    return tuple(values[code] for code in range(len(table.digest)))


class Usable(NamedTuple):
    """Items on which every candidate can be judged, and why the others are not among them."""

    pairs: Pairs
    candidates: tuple[str, ...]
    left_out_N: NDArray[np.bool_]
    """Items of the loaded pairs that could not be used."""
    reasons: dict[str, int]
    dropped: dict[str, str]
    """Variants that answered too few items, and how many."""


def usable(loaded: Loaded, wanted: tuple[str, ...] | None, least_cover: float = LEAST_COVER) -> Usable:
    """Only complete items. A variant nobody asked for by name is dropped instead, where it covers under `least_cover` of the labelled
    items or has no price while the reference has one.

    Where a sample was put to a candidate, that is what certifies, as far as it has come through it: the other items on which it happens to
    have answered were not drawn, and teach only. So do all items under agreement, where a candidate to which no sample was put answered
    less than `least_cover` of them: no label of an audit or a census says that they were not picked.

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
    covered_NV = known_NV & ~loaded.charged_NV
    dropped = {}
    candidates = []
    for v, name in enumerate(pairs.variants[1:], start=1):
        put_N = askable_N & ~(loaded.drawn_NV[:, v] == 0)
        cover = covered_NV[put_N, v].mean() if put_N.any() else 0.0
        if wanted is not None and name not in wanted:
            continue
        if wanted is None and np.isnan(pairs.cost_NV[:, v]).all() and not np.isnan(pairs.cost_NV[:, 0]).all():
            dropped[name] = f'its cost is unknown; set [models."{name}"] price'
        elif wanted is None and cover < least_cover:
            dropped[name] = f"it has a label or an answer on only {cover:.0%} of the {_among(loaded.drawn_NV[:, v])}"
        else:
            candidates.append(name)
    columns = [0, *(pairs.variants.index(c) for c in candidates)]
    is_complete_N = known_NV[:, columns].all(axis=1)
    keep_N = askable_N & is_complete_N
    inclusion_N = _inclusion(loaded.drawn_NV[:, columns])
    why_N = np.select(
        [no_answer_N, ~labelled_N, inclusion_N == 0],
        ["the reference did not answer", "no label", "it is not in the sample that was put to a candidate"],
        "a candidate has no answer or label",
    )
    reasons = Counter(why_N[~keep_N].tolist())
    proving_N = askable_N & ~(inclusion_N == 0)
    unsampled = [v for v in columns[1:] if np.isnan(loaded.drawn_NV[:, v]).any()]
    is_picked = pairs.metric == AGREEMENT and any(covered_NV[proving_N, v].sum() < least_cover * proving_N.sum() for v in unsampled)
    designed = _found(pairs) if is_picked else _sampled(pairs, inclusion_N)
    return Usable(designed.rows(keep_N), tuple(candidates), ~keep_N, dict(reasons), dropped)


def _among(drawn_N: NDArray[np.float64]) -> str:
    return "labelled items" if np.isnan(drawn_N).any() else "labelled items of its sample"


def _inclusion(drawn_NV: NDArray[np.float64]) -> NDArray[np.float64]:
    """With which probability each item was drawn for all of these variants; NaN throughout where no sample was put to any of them.

    Samples of one seed are beginnings of one order, so that the smaller one is what two have in common. The first variant is the reference,
    whose sample only says what else it was asked.
    """
    if np.isnan(drawn_NV[:, 1:]).all():
        return np.full(len(drawn_NV), np.nan)
    least_N: NDArray[np.float64] = np.where(np.isnan(drawn_NV), np.inf, drawn_NV).min(axis=1)
    return least_N


def _sampled(pairs: Pairs, inclusion_N: NDArray[np.float64]) -> Pairs:
    """The pairs with what the sample says of where their labels come from: of items outside of it they were found."""
    if np.isnan(inclusion_N).any():
        return pairs
    found: LabelDesign = "found"
    audit: LabelDesign = "audit"
    designs = tuple(found if not p or d == found else audit for p, d in zip(inclusion_N, pairs.designs, strict=True))
    is_audit_N = np.array([design == audit for design in designs], dtype=bool)
    sampled_N = inclusion_N[inclusion_N > 0]
    least = pairs.least_inclusion * float(sampled_N.min()) if len(sampled_N) else math.nan
    inclusion_N = np.where(is_audit_N, inclusion_N * pairs.inclusion_N, np.nan)
    return replace(pairs, designs=designs, inclusion_N=inclusion_N, least_inclusion=least)


def _found(pairs: Pairs) -> Pairs:
    """The pairs as labels that nobody set out for."""
    found: LabelDesign = "found"
    return replace(pairs, designs=(found,) * len(pairs), inclusion_N=np.full(len(pairs), np.nan), least_inclusion=math.nan)


def canonical(value: JSON) -> str:
    """An answer as one line of text, for people."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
