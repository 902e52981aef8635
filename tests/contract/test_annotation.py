"""The protocol of how a task was labelled, on each database: rounds, draws, tariffs and agreement, with people by pseudonym."""

from datetime import UTC, datetime, timedelta
from itertools import count

import msgspec
import pytest

from freehold.catalog import Catalog, Metric, Task
from freehold.feedback.annotation import Annotation, annotation_of, pseudonyms
from freehold.feedback.closing import close
from freehold.feedback.desk import Desk
from freehold.feedback.keep import open_session
from freehold.feedback.open_queue import QueueRequest, open_queue
from freehold.feedback.population import LabelRequest
from freehold.feedback.question import right
from freehold.feedback.reviewers import at_this_desk
from freehold.journal.call import Call
from freehold.journal.write import append_many
from freehold.store.open import Store
from freehold.tables import CreditsTable

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
CORRECT = Metric(id="correct", kind="binary", deterministic=True)
CATALOG = Catalog(tasks={"triage": Task(id="triage", reference="frontier", metric="correct")}, metrics={"correct": CORRECT})
TARIFF = CreditsTable(per_verdict_usd=0.25)
PEOPLE = ("Ann Miller", "bob")


@pytest.fixture
def reviewed(store: Store) -> Store:
    """Eighteen questions that two people judged each, who differ on every sixth, at a quarter of a dollar."""
    calls = [
        Call(id=f"i{n}/{variant}", task="triage", variant=variant, item=f"i{n}", input=f"message {n}", output=output)
        for n in range(24)
        for variant, output in (("frontier", "right"), ("cheap", "right" if n >= 18 else "wrong"))
    ]
    append_many(store, calls)
    ticks = count()
    desk = Desk(store, "default", CATALOG, lambda _: "full", lambda: NOON + timedelta(seconds=next(ticks)))
    request = QueueRequest(LabelRequest("triage", budget=18), reviewers=2, guidelines="The first\nintent counts.", tags=())
    queue = open_queue(store, "default", CATALOG, request, None, NOON, "0" * 12).queue
    for name in PEOPLE:
        reviewer = at_this_desk(store, "default", name, NOON)
        while (found := desk.next(queue, reviewer)) is not None:
            ticket, question = found
            said = "wrong" if name == "bob" and int(question.item[1:]) % 6 == 0 else "right"
            desk.answer(
                queue, reviewer, ticket, right(question, frozenset(a.letter for a in question.answers if a.output == said), CORRECT)
            )
    close(store, "default", queue.id, CATALOG, TARIFF, NOON)
    return store


def told(store: Store, *others: str) -> Annotation:
    return annotation_of(store, "default", "triage", CATALOG, TARIFF, others).annotation


def test_a_round_tells_guidelines_draw_tariff_and_what_came_of_it(reviewed: Store) -> None:
    (one,) = told(reviewed).rounds
    assert (one.metric, one.rule, one.reviewers, one.guidelines) == ("correct", "random", 2, "The first\nintent counts.")
    assert (one.frame, one.tariff_usd, one.by_worth, one.gold) == (24, 0.25, False, 0)
    assert one.least_inclusion == pytest.approx(1.0)
    assert sum(one.items.values()) == 18 and one.closed_at == NOON


def test_agreement_has_its_intervals_and_raters_their_numbers(reviewed: Store) -> None:
    (one,) = told(reviewed).rounds
    assert one.agreement is not None and (one.agreement.raters, one.agreement.items) == (2, 36)
    assert one.agreement.raw.value == pytest.approx(5 / 6)
    assert one.agreement.raw.low is not None and one.agreement.raw.low < 5 / 6
    assert [(rater.name, rater.given) for rater in one.raters] == [("rater-1", 18), ("rater-2", 18)]


def test_labels_are_counted_and_what_was_earned_is_the_ledgers(reviewed: Store) -> None:
    found = told(reviewed)
    assert (found.people, set(found.labels)) == (2, {"rater-1", "rater-2"})
    assert found.earned_usd == sum(rater.accepted for one in found.rounds for rater in one.raters) * 0.25 > 0


def test_nobody_is_named(reviewed: Store) -> None:
    """Also where rows that rest on somebody else's word stand beside it."""
    found = annotation_of(reviewed, "default", "triage", CATALOG, TARIFF, ["Carla"])
    assert set(found.pseudonyms) == {*PEOPLE, "Carla"}
    assert set(found.pseudonyms.values()) == {"rater-1", "rater-2", "rater-3"}
    assert not any(name.encode() in msgspec.json.encode(found.annotation) for name in (*PEOPLE, "Carla"))


def test_labels_of_the_terminal_are_a_session_with_its_probability(reviewed: Store) -> None:
    with_more = [
        Call(id=f"j{n}/{variant}", task="triage", variant=variant, item=f"j{n}", input=f"more {n}", output=variant)
        for n in range(40)
        for variant in ("frontier", "cheap")
    ]
    append_many(reviewed, with_more)
    session = open_session(reviewed, CATALOG, LabelRequest("triage", budget=5), "dora").session
    for _ in range(5):
        question = session.next()
        assert question is not None
        session.answer(question, right(question, frozenset(), CORRECT))
    (found,) = told(reviewed).sessions
    assert found.metric == "correct" and found.items >= 5 and 0 < found.least_inclusion < 1


def test_an_order_of_names_says_nothing_of_them() -> None:
    """It is another one for another task."""
    people = [f"person {n}" for n in range(20)]
    orders = {tuple(sorted(people, key=lambda name: int(pseudonyms(task, people)[name][6:]))) for task in ("a", "b")}
    assert len(orders) == 2 and tuple(people) not in orders
