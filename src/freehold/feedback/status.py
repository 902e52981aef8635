"""How far the labels of a task have come, and how many which floor needs."""

from collections.abc import Callable, Sequence

import msgspec

from freehold.catalog import Catalog
from freehold.feedback.keep import labelled
from freehold.feedback.population import LabelRequest
from freehold.store.open import Store


class FloorNeed(msgspec.Struct, frozen=True, kw_only=True):
    """What a floor takes when not one harm is seen; with harms it takes more."""

    max_loss: float
    """The floor."""
    items: int
    """How many items have to be drawn."""
    questions: int
    """About how many of those a person is asked about, at the task's share of disagreements."""
    is_within: bool
    """Whether the task has that many items."""


class LabelStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The labels of one task and metric."""

    task: str
    """The task."""
    metric: str
    """What is judged."""
    reference: str
    """The variant the others are compared with."""
    variants: tuple[str, ...]
    """The candidates."""
    dropped: dict[str, str]
    """Variants that are no candidates, and why."""
    items: int
    """Items that could be drawn: the reference and every candidate answered them."""
    free: int
    """Those of them that need nobody."""
    incomplete: int
    """Items that cannot be drawn because a candidate gave no answer."""
    not_kept: int
    """Items that cannot be drawn because their content is not kept."""
    outside: int
    """Items that are not drawn because they are outside the sample that was put to a candidate."""
    planned: int
    """Items to draw at this budget."""
    questions: int
    """Those of them that a person is asked about."""
    answered: int
    """Those of them that have an answer."""
    skipped: int
    """Questions without an answer before the last one with an answer."""
    waiting: int
    """Answers beyond an open question: they certify when that has its answer."""
    drawn: int
    """Items drawn by now."""
    drawn_free: int
    """Those of them that needed nobody."""
    inclusion: float | None
    """The probability with which each of them was drawn; None where nothing is."""
    floors: tuple[FloorNeed, ...]
    """What the asked floors take."""


def label_status(
    store: Store,
    catalog: Catalog,
    request: LabelRequest,
    floors: Sequence[float] = (),
    needed: Callable[[float, bool], int] = lambda _, __: 0,
    tenant: str = "default",
) -> LabelStatus:
    """How far the labels have come. Changes nothing.

    `needed` gives for a floor, and whether its test is the exact binomial one, how many items have to be drawn; that is known to
    evaluation, which comes later in the house and is therefore handed in. Raises as `open_session`.
    """
    found = labelled(store, tenant, catalog, request)
    asked, draw = found.population, found.draw
    has_answer = found.answered()
    answered = [item in has_answer for item in draw.questions]
    drawn = draw.order[: draw.completed(has_answer)]
    drawn_free = sum(item in asked.free for item in drawn)
    last = max((n for n, is_answered in enumerate(answered) if is_answered), default=-1)
    return LabelStatus(
        task=asked.task,
        metric=asked.metric.id,
        reference=asked.reference,
        variants=asked.variants,
        dropped=asked.dropped,
        items=len(asked.order),
        free=len(asked.free),
        incomplete=asked.n_incomplete,
        not_kept=asked.n_not_kept,
        outside=asked.n_outside,
        planned=draw.size,
        questions=len(answered),
        answered=sum(answered),
        skipped=last + 1 - sum(answered),
        waiting=sum(answered) - (len(drawn) - drawn_free),
        drawn=len(drawn),
        drawn_free=drawn_free,
        inclusion=len(drawn) / len(asked.order) if drawn else None,
        floors=tuple(_need(floor, needed(floor, asked.metric.kind == "binary"), len(asked.order), len(asked.ballots)) for floor in floors),
    )


def _need(floor: float, items: int, population: int, disagreements: int) -> FloorNeed:
    questions = -(-items * disagreements // population)
    return FloorNeed(max_loss=floor, items=items, questions=questions, is_within=items <= population)
