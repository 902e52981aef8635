"""Opening a queue: which items a rule chooses, with which probability each, and the gold among them."""

import random
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import chain
from pathlib import Path
from secrets import token_hex
from typing import NamedTuple

import msgspec
from sqlalchemy import insert

from freehold.catalog import Catalog, Metric
from freehold.chat import JSON
from freehold.errors import CallerError, DataError, nearest
from freehold.feedback.chance import EXPLORE, chances, unit
from freehold.feedback.draw import planned
from freehold.feedback.population import LabelRequest, Population, population
from freehold.feedback.question import Ballot
from freehold.feedback.queue import Queue, Rule, Worth, ticket_of
from freehold.feedback.settle import ItemBody, alone, put_queue
from freehold.journal.read import answers, calls_by_id, scores
from freehold.journal.rows import digest_of
from freehold.store.open import Store
from freehold.store.schema import draws, review_items
from freehold.store.times import microseconds


class QueueRequest(NamedTuple):
    """What a queue is opened for."""

    about: LabelRequest
    """The task, what is judged, whose answers, and about how many questions to draw in all (`budget`)."""
    rule: Rule = "random"
    """By what items are chosen."""
    region: str = ""
    """The condition of the rule `region`."""
    explore: float = EXPLORE
    """The share of the draw that looks at no rule."""
    reviewers: int = 1
    """How many judge each item."""
    is_unanimous: bool = False
    """Whether all of them have to agree."""
    tags: tuple[str, ...] = ()
    """What a reviewer has to know about."""
    guidelines: str = ""
    """What reviewers are told."""
    tariff_usd: float | None = None
    """What an accepted verdict earns; None for what `[credits]` say."""
    pays_worth: bool = False
    """Whether the tariff is weighed by what a verdict was worth."""
    gold: int = 0
    """How many items with known answers to hide among the others, of those that the journal knows."""
    gold_file: Path | None = None
    """Further ones: a line of JSON each, `item` with `answer` or `scores` by variant."""


class Opened(NamedTuple):
    """A queue, and what is in it."""

    queue: Queue
    asked: Population
    drawn: int
    """Items that were drawn, those that need nobody among them."""
    questions: int
    """Those that reviewers are asked about."""
    gold: int
    """Items with known answers among them or beside them."""


class _Drawn(NamedTuple):
    inclusion: Mapping[str, float]
    """Every item that was drawn."""
    floor: float


def open_queue(
    store: Store, tenant: str, catalog: Catalog, request: QueueRequest, worth: Worth | None, now: datetime, id: str | None = None
) -> Opened:
    """Draws the items of a new queue and keeps them. `worth`: what the rule makes of items, for all rules but `random`.

    By `random` these are the first items of the task's order of labels, each with one probability, as `freehold label` draws them. By any
    other rule every item has its own and falls in by itself, so that `size` is what is to be expected. `id`: one of twelve hex digits, which
    also orders what is shown; None for a new one. Raises CallerError, OperatorError.
    """
    _check(request)
    asked = population(store, tenant, catalog, request.about, may_be_alone=True)
    drawn = _draw(tenant, asked, request, worth)
    id = id or token_hex(6)
    low, high = asked.metric.range
    queue = Queue(
        id=id,
        tenant=tenant,
        task=asked.task,
        metric=asked.metric.id,
        reference=asked.reference,
        variants=asked.variants,
        rule=request.rule,
        region=request.region,
        size=request.about.budget,
        explore=1.0 if request.rule == "random" else request.explore,
        frame=len(asked.order),
        floor=drawn.floor or None,
        reviewers=request.reviewers,
        is_unanimous=request.is_unanimous,
        agree_within=0.0 if asked.metric.kind == "binary" else (high - low) / 10,
        tags=request.tags,
        guidelines=request.guidelines,
        tariff_usd=request.tariff_usd,
        pays_worth=request.pays_worth,
        opened_at=now,
    )
    gold = _gold(store, tenant, asked, request, drawn.inclusion, id)
    questions = [item for item in asked.order if item in asked.ballots and (item in drawn.inclusion or item in gold)]
    if not any(item in drawn.inclusion for item in questions):
        raise CallerError(
            f"Nothing was drawn: no item of task '{asked.task}' has a question that the rule '{request.rule}' chose. Say a larger --size."
        )
    rows = [_row(queue, item, asked.ballots[item], drawn.inclusion.get(item), gold.get(item)) for item in questions]
    places = [item for item in asked.order if item in drawn.inclusion] if queue.floor is not None else []
    at = microseconds(now)
    with store.writing() as connection:
        alone(store, connection)
        put_queue(connection, queue, is_new=True)
        connection.execute(insert(review_items), rows)
        if places:
            named = {"tenant": tenant, "task": queue.task, "session": queue.session, "at": at}
            listed = [{**named, "position": n, "item": item, "inclusion": drawn.inclusion[item]} for n, item in enumerate(places)]
            connection.execute(insert(draws), listed)
    return Opened(queue, asked, len(drawn.inclusion), len(questions), len(gold))


def _check(request: QueueRequest) -> None:
    if request.reviewers < 1:
        raise CallerError(f"--reviewers {request.reviewers} leaves nobody to judge; it is a number from 1 up.")
    if not 0 <= request.explore <= 1:
        raise CallerError(f"--explore {request.explore:g} is no share; it lies between 0 and 1, such as {EXPLORE}.")
    if request.tariff_usd is not None and not 0 <= request.tariff_usd < 10_000:
        raise CallerError(f"--tariff {request.tariff_usd:g} is not paid for one verdict; it is a number of USD from 0 to 10,000.")
    if request.pays_worth and request.tariff_usd is None:
        raise CallerError('--by-worth weighs the tariff that --tariff says; for that of the project set by = "worth" under [credits].')
    if (request.rule == "region") != bool(request.region):
        raise CallerError("--rule region and --region CONDITION go together, such as --rule region --region 'tag.tier == \"critical\"'.")


def _draw(tenant: str, asked: Population, request: QueueRequest, worth: Worth | None) -> _Drawn:
    """The items drawn. Where nobody has to be asked an item is looked at in any case: by a rule its probability is 1."""
    budget = request.about.budget
    if request.rule == "random":
        size = planned(budget, len(asked.order), len(asked.ballots))
        return _Drawn(dict.fromkeys(asked.order[:size], size / len(asked.order)), size / len(asked.order))
    planned(budget, 1, 1)  # refuses a budget that asks nobody anything
    assert worth is not None
    questions = [item for item in asked.order if item in asked.ballots]
    found = chances(worth(questions), budget, request.explore)
    inclusion = dict.fromkeys(asked.free, 1.0) if found.floor > 0 else {}
    for item, probability in zip(questions, found.of, strict=True):
        if unit(tenant, asked.task, asked.metric.id, item) < probability:
            inclusion[item] = probability
    return _Drawn(inclusion, found.floor)


def _row(queue: Queue, item: str, ballot: Ballot, inclusion: float | None, expected: dict[str, float] | None) -> dict[str, object]:
    return {
        "tenant": queue.tenant,
        "queue": queue.id,
        "ticket": ticket_of(queue.id, item),
        "task": queue.task,
        "item": item,
        "state": "open",
        "is_gold": int(expected is not None),
        "is_drawn": int(inclusion is not None),
        "inclusion": inclusion if queue.floor is not None else None,
        "body": msgspec.json.encode(ItemBody(ballot, expected)),
    }


# Gold


def _gold(
    store: Store, tenant: str, asked: Population, request: QueueRequest, drawn: Mapping[str, float], seed: str
) -> dict[str, dict[str, float]]:
    """The gold items and what each of their answers scores: those of the file, and as many as asked for of what the journal knows, first of
    those that were not drawn."""
    named = _from_file(store, asked, request.gold_file) if request.gold_file is not None else {}
    if request.gold <= 0:
        return named
    known = {item: told for item, told in _known(store, tenant, asked).items() if item not in named}
    if len(known) < request.gold:
        raise CallerError(
            f"--gold {request.gold} asks for more items with known answers than the {len(known):,} that the journal has: recorded right "
            "answers under a metric that equality decides, or labels of an audit or a census. Name some by --gold-file."
        )
    turn = random.Random(seed)  # noqa: S311 nobody gains by knowing which
    items = sorted(known)
    turn.shuffle(items)
    items.sort(key=lambda item: item in drawn)
    return named | {item: known[item] for item in items[: request.gold]}


def _known(store: Store, tenant: str, asked: Population) -> dict[str, dict[str, float]]:
    """Items all of whose answers have a known score."""
    metric, found = asked.metric, dict[str, dict[str, float]]()
    if metric.kind == "binary" and metric.deterministic:
        for row in chain.from_iterable(answers(store, tenant, asked.task)):
            if row.reference_digest is not None and (ballot := asked.ballots.get(row.item)) is not None:
                found[row.item] = _by_equality(ballot, row.reference_digest, metric)
    of_call: dict[str, float] = {}
    for score in chain.from_iterable(scores(store, tenant, asked.task, metric.id)):
        if score.design != "found" and score.item in asked.ballots:
            of_call[score.call] = score.value
    for item, ballot in asked.ballots.items():
        told = {digest: of_call[call] for digest, calls in ballot.calls.items() for call in calls if call in of_call}
        if len(told) == len(ballot.calls):
            found[item] = told
    return found


def _by_equality(ballot: Ballot, right: str, metric: Metric) -> dict[str, float]:
    good, bad = (1.0, 0.0) if metric.better == "higher" else (0.0, 1.0)
    return {digest: good if digest == right else bad for digest in ballot.calls}


class _Line(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line of a file of gold items."""

    item: str
    """What was asked, by name."""
    answer: JSON = None
    """The right answer, where equality decides."""
    scores: dict[str, float] | None = None
    """What each variant's answer scores."""


def _from_file(store: Store, asked: Population, path: Path) -> dict[str, dict[str, float]]:
    try:
        lines = [line for line in path.read_bytes().splitlines() if line.strip()]
    except OSError as error:
        raise CallerError(f"--gold-file {path} cannot be read: {error}") from None
    found: dict[str, dict[str, float]] = {}
    for n, line in enumerate(lines, start=1):
        try:
            told = msgspec.json.decode(line, type=_Line)
            found[told.item] = _expected(store, asked, told)
        except (msgspec.DecodeError, CallerError) as error:
            raise DataError(f"{path}, line {n}: {error}") from None
    return found


def _expected(store: Store, asked: Population, told: _Line) -> dict[str, float]:
    ballot = asked.ballots.get(told.item)
    if ballot is None:
        raise CallerError(f"item '{told.item}' has no answers to judge.{nearest(told.item, list(asked.ballots)[:500])}")
    if told.scores is None:
        if not (asked.metric.kind == "binary" and asked.metric.deterministic):
            raise CallerError(
                f"metric '{asked.metric.id}' is not decided by equality; expected scores by variant in the place of an answer"
            )
        return _by_equality(ballot, digest_of(told.answer), asked.metric)
    with store.reading() as connection:
        calls = calls_by_id(store, connection, [call for calls in ballot.calls.values() for call in calls])
    by_digest: dict[str, float] = {}
    for digest, ids in ballot.calls.items():
        given = [told.scores[calls[id].variant] for id in ids if id in calls and calls[id].variant in told.scores]
        if not given:
            raise CallerError(f"an answer to item '{told.item}' has no score; expected one for each of {', '.join(_variants(asked))}")
        asked.metric.unit(given[-1])
        by_digest[digest] = given[-1]
    return by_digest


def _variants(asked: Population) -> Sequence[str]:
    return (asked.reference, *asked.variants)
