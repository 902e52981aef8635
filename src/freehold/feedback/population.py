"""The items that may be drawn to be labelled: those that the reference and every candidate answered, and which of them need nobody."""

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import chain, groupby
from typing import NamedTuple, TypeAlias

from freehold.catalog import AGREEMENT, Catalog, Metric, Task
from freehold.errors import CallerError, OperatorError, nearest
from freehold.feedback.draw import in_order
from freehold.feedback.question import Ballot
from freehold.journal.answers import metrics_of, variants_of
from freehold.journal.read import Answer, answers, counts
from freehold.journal.samples import reached
from freehold.store.open import Store

LEAST_COVER = 0.9
"""A variant nobody asked for by name that answered a smaller share of the reference's items is left out: it would leave few to draw."""


Samples: TypeAlias = Mapping[str, Mapping[str, float]]
"""By variant the items that were put to it as a sample."""


class LabelRequest(NamedTuple):
    """What is to be labelled. None takes the task's own setting."""

    task: str
    """The task."""
    metric: str | None = None
    """What is judged."""
    reference: str | None = None
    """The variant the others are compared with."""
    variants: tuple[str, ...] | None = None
    """The candidates; all that were recorded when neither this nor the task names any."""
    budget: int = 60
    """About how many questions to ask in all, earlier sessions included."""


class Population(NamedTuple):
    """Items by what has to be done about them."""

    task: str
    """The task."""
    metric: Metric
    """What is judged."""
    reference: str
    """The variant the others are compared with."""
    variants: tuple[str, ...]
    """The candidates."""
    dropped: dict[str, str]
    """Variants that are no candidates, and why."""
    order: tuple[str, ...]
    """All items, in the order in which they are drawn."""
    free: frozenset[str]
    """Those on which every loss is known without asking: 0 where all answers are equal, the worst where a candidate that was asked gave
    none."""
    ballots: dict[str, Ballot]
    """The others."""
    n_incomplete: int
    """Items that the reference answered and some candidate did not: they cannot be paired, and are not drawn."""
    n_not_kept: int
    """Items whose content is not kept: nobody can judge them, and they are not drawn, whether their answers agree or not."""
    n_outside: int
    """Items outside the sample that was put to a candidate: that it happens to have answered some of them is no reason to draw those."""


def population(store: Store, tenant: str, catalog: Catalog, request: LabelRequest, may_be_alone: bool = False) -> Population:
    """What there is to draw. `may_be_alone`: whether the reference's answers may be judged where there are no others to compare with.

    Raises CallerError for an unknown name or nothing to label, OperatorError where content is not kept.
    """
    recorded = variants_of(store, tenant, request.task)
    if not recorded:
        known = [*catalog.tasks, *counts(store, tenant).tasks]
        raise CallerError(f"Task '{request.task}' has no calls to label.{nearest(request.task, known)}")
    task = catalog.tasks.get(request.task, Task(id=request.task))
    metric = _metric(store, tenant, catalog, task, request.metric)
    reference = _reference(task, request.reference, recorded)
    samples = reached(store, tenant, task.id)
    candidates, dropped = _candidates(store, tenant, task, reference, request.variants, recorded, samples)
    if not candidates and not may_be_alone:
        _refuse_alone(task.id, reference, dropped)
    free, ballots, left = _sorted(store, tenant, task.id, metric, reference, candidates, samples)
    if not free and not ballots:
        _refuse_empty(task.id, reference, candidates, left)
    return Population(
        task=task.id,
        metric=metric,
        reference=reference,
        variants=candidates,
        dropped=dropped,
        order=in_order(tenant, task.id, metric.id, chain(free, ballots)),
        free=free,
        ballots=ballots,
        n_incomplete=left["incomplete"],
        n_not_kept=left["not kept"],
        n_outside=left["outside"],
    )


def _metric(store: Store, tenant: str, catalog: Catalog, task: Task, asked: str | None) -> Metric:
    name = asked or task.metric
    if name is None:
        raise CallerError(f"Label task '{task.id}' for what? Say --metric NAME, or set metric under [tasks.{task.id}].")
    if name == AGREEMENT and name not in catalog.metrics:
        raise CallerError(f"Metric '{AGREEMENT}' needs no labels: it takes the reference's answers as right. Certify with it right away.")
    known = {*catalog.metrics, *metrics_of(store, tenant, task.id)}
    if name not in known:
        raise CallerError(
            f"Metric '{name}' is not declared.{nearest(name, known)} Say what its scores mean before they are given: "
            f'[metrics.{name}] kind = "binary" or "bounded", and deterministic = true where equal answers always get equal scores.'
        )
    return catalog.metric(name)


def _reference(task: Task, asked: str | None, recorded: list[str]) -> str:
    name = asked or task.reference
    if name is None:
        raise CallerError(f"Compare with what? Say --reference VARIANT, or set reference under [tasks.{task.id}].{nearest('', recorded)}")
    if name not in recorded:
        raise CallerError(f"No call of task '{task.id}' was answered by '{name}'.{nearest(name, recorded)}")
    return name


def _candidates(
    store: Store, tenant: str, task: Task, reference: str, asked: tuple[str, ...] | None, recorded: list[str], samples: Samples
) -> tuple[tuple[str, ...], dict[str, str]]:
    """The candidates by name, and the variants that could have been ones with why they are not."""
    dropped: dict[str, str] = {}
    if asked is not None:
        for name in asked:
            if name not in recorded:
                raise CallerError(f"No call of task '{task.id}' was answered by '{name}'.{nearest(name, recorded)}")
        found = tuple(dict.fromkeys(name for name in asked if name != reference))
    else:
        named = [name for name in task.variants if name in recorded] or recorded
        cover = _cover(store, tenant, task.id, reference)
        for name in named:
            if name not in samples and cover[name] < LEAST_COVER * cover[reference]:
                dropped[name] = f"it answered only {cover[name]:,} of the reference's {cover[reference]:,} items"
        found = tuple(name for name in named if name != reference and name not in dropped)
    return found, dropped


def _refuse_alone(task: str, reference: str, dropped: Mapping[str, str]) -> None:
    why = "".join(f" '{name}' is left out: {reason}." for name, reason in dropped.items())
    raise CallerError(
        f"Nothing to label: task '{task}' has no answers beside those of '{reference}'.{why} Import another variant's answers, "
        f"or certify agreement with the reference by --metric {AGREEMENT}."
    )


def _cover(store: Store, tenant: str, task: str, reference: str) -> Counter[str]:
    """On how many of the items that the reference answered each variant gave an answer."""
    cover: Counter[str] = Counter()
    for _, current in _by_item(store, tenant, task):
        if reference in current:
            cover.update(current.keys())
    return cover


def _sorted(
    store: Store, tenant: str, task: str, metric: Metric, reference: str, candidates: tuple[str, ...], samples: Samples
) -> tuple[frozenset[str], dict[str, Ballot], Counter[str]]:
    """Items that are free, ballots about the others, and how many are neither and why."""
    free: set[str] = set()
    ballots: dict[str, Ballot] = {}
    left: Counter[str] = Counter()
    wanted = (reference, *candidates)
    put = [samples[name] for name in candidates if name in samples]
    if put and reference in samples:
        put.append(samples[reference])
    for item, current in _by_item(store, tenant, task):
        if reference not in current:
            continue
        missing = [name for name in candidates if name not in current]
        if not all(item in sample for sample in put):
            left["outside"] += 1
        elif missing and all(name in samples for name in missing):
            free.add(item)
        elif missing:
            left["incomplete"] += 1
        elif not all(current[name].is_kept for name in wanted):
            left["not kept"] += 1
        elif candidates and metric.deterministic and len({current[name].digest for name in wanted}) == 1:
            free.add(item)
        else:
            ballots[item] = _ballot(item, current, reference, candidates, metric.deterministic)
    return frozenset(free), ballots, left


class _Current(NamedTuple):
    """A variant's answer to an item: the last one it gave, as data sets take it."""

    digest: str
    calls: list[str]
    """All calls of the variant that gave this answer."""
    is_kept: bool


def _ballot(item: str, current: dict[str, _Current], reference: str, candidates: tuple[str, ...], is_deterministic: bool) -> Ballot:
    """The distinct answers of the reference and the candidates; a variant that is no candidate and gave one of them is scored with it."""
    digests = {current[name].digest for name in (reference, *candidates)}
    calls: dict[str, tuple[str, ...]] = {}
    for answer in current.values():
        if answer.digest in digests:
            calls[answer.digest] = (*calls.get(answer.digest, ()), *answer.calls)
    theirs = current[reference]
    # under a deterministic metric an answer equal to the reference's loses nothing, whatever it scores
    differing = [name for name in candidates if not is_deterministic or current[name].digest != theirs.digest]
    return Ballot(item, theirs.calls[-1], calls, frozenset({theirs.calls[-1], *(current[name].calls[-1] for name in differing)}))


def _by_item(store: Store, tenant: str, task: str) -> Iterator[tuple[str, dict[str, _Current]]]:
    """Each item with the answers it got, by variant."""
    rows: Iterator[Answer] = chain.from_iterable(answers(store, tenant, task))
    for item, given in groupby(rows, key=lambda row: row.item):
        current: dict[str, _Current] = {}
        for row in given:
            if row.output_digest is None or row.outcome != "answered":
                continue
            before = current.get(row.variant)
            calls = [*before.calls, row.call] if before is not None and before.digest == row.output_digest else [row.call]
            current[row.variant] = _Current(row.output_digest, calls, row.input is not None)
        yield item, current


def _refuse_empty(task: str, reference: str, candidates: tuple[str, ...], left: Counter[str]) -> None:
    if left["not kept"]:
        raise OperatorError(
            f"Labels need content, and the journal keeps none of task '{task}' (content = \"none\"): a person cannot judge "
            f'{left["not kept"]:,} answers by their hashes. Set content = "full" or "redacted" under [journal] or [tasks.{task}], '
            "and import again."
        )
    raise CallerError(f"Nothing to label: no item of task '{task}' was answered by '{reference}' and by all of {', '.join(candidates)}.")
