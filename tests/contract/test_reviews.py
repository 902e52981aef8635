"""Review queues on each database: who is asked what, what verdicts become, and what follows a change of mind."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from freehold.catalog import Catalog, Content, Metric, Task
from freehold.datasets.load import load_pairs
from freehold.errors import CallerError, DataError
from freehold.feedback.closing import close, exclude
from freehold.feedback.credits import standings
from freehold.feedback.desk import Desk
from freehold.feedback.keep import open_session
from freehold.feedback.open_queue import Opened, QueueRequest, open_queue
from freehold.feedback.population import LabelRequest
from freehold.feedback.question import Judgement, Question, right
from freehold.feedback.queue import Queue
from freehold.feedback.queues import contents, export, find_queue
from freehold.feedback.reviewers import NotAReviewer, Reviewer, at_this_desk, invite, join, reviewer_of, revoke, set_tags
from freehold.gateway.budget import nano
from freehold.journal.answers import drawn_items, least_inclusion
from freehold.journal.call import Call, Feedback
from freehold.journal.erase import erase
from freehold.journal.read import feedback_of
from freehold.journal.write import append_many
from freehold.store.open import Store
from freehold.store.schema import feedback, review_items, review_verdicts
from freehold.tables import CreditsTable

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
CORRECT = Metric(id="correct", kind="binary", deterministic=True)
GRADE = Metric(id="grade", range=(0.0, 10.0))
CATALOG = Catalog(tasks={"triage": Task(id="triage", reference="frontier", metric="correct")}, metrics={"correct": CORRECT, "grade": GRADE})
ITEMS, FREE = 24, 6
"""Items of the task; on the last of them both variants say the same."""


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def filled(store: Store) -> Store:
    """A store with 24 items, on 18 of which two variants disagree; 'right' is the right answer."""
    calls = []
    for n in range(ITEMS):
        pair = ("right", "right") if n >= ITEMS - FREE else ("right", "wrong") if n % 2 else ("wrong", "right")
        for variant, output in zip(("frontier", "cheap"), pair, strict=True):
            subject = "sam" if n == 3 else None
            tags = {"tier": "gold" if n < 4 else "plain"}
            calls.append(
                Call(id=f"i{n}/{variant}", task="triage", variant=variant, item=f"i{n}", input=f"message {n}", output=output, subject=subject,
                     tags=tags, reference_output="right" if n < 5 else None)
            )  # fmt: skip
    append_many(store, calls)
    return store


Opening = Callable[..., Opened]


@pytest.fixture
def opening(filled: Store) -> Opening:
    """Opens a queue; the orders in which it shows things are the same each time."""
    ids = (f"{n:012x}" for n in count())

    def make(worth: Any = None, budget: int = 18, metric: str | None = None, **about: Any) -> Opened:
        request = QueueRequest(LabelRequest("triage", metric=metric, budget=budget), **about)
        return open_queue(filled, "default", CATALOG, request, worth, NOON, next(ids))

    return make


@pytest.fixture
def desk(filled: Store, clock: Clock) -> Desk:
    return Desk(filled, "default", CATALOG, lambda _: "full", clock)


def person(store: Store, name: str, **about: Any) -> Reviewer:
    if about:
        join(store, "default", invite(store, "default", name, about.get("role", "reviewer"), about.get("tags", ()), NOON), NOON)
    return at_this_desk(store, "default", name, NOON)


def judged(question: Question, *texts: str) -> Judgement:
    """The judgement that these answers are right."""
    return right(question, frozenset(a.letter for a in question.answers if a.output in texts), CORRECT)


def works(desk: Desk, queue: Queue, reviewer: Reviewer, *texts: str, limit: int = 1000) -> list[str]:
    """Has a reviewer answer what there is, these answers being right; the items in the order they were shown."""
    seen = []
    while len(seen) < limit and (found := desk.next(queue, reviewer)) is not None:
        ticket, question = found
        seen.append(question.item)
        desk.answer(queue, reviewer, ticket, judged(question, *texts))
    return seen


def labels(store: Store, **about: Any) -> dict[tuple[str, str], Feedback]:
    """Labels by call and source."""
    with store.reading() as connection:
        calls = connection.execute(select(feedback.c.call).distinct()).scalars().all()
    found = {}
    for call in calls:
        for said in feedback_of(store, "default", call):
            if said.kind == "label":
                found[(call, said.source)] = said
    return found


# Who is asked what


def test_each_item_goes_to_as_many_as_were_asked_for_and_everybody_has_an_order_of_their_own(
    opening: Opening, desk: Desk, filled: Store
) -> None:
    queue = opening(reviewers=2).queue
    orders = [works(desk, queue, person(filled, name), "right") for name in ("ann", "bea", "carl")]
    assert [len(order) for order in orders] == [18, 18, 0]
    assert sorted(orders[0]) == sorted(orders[1]) and orders[0] != orders[1]
    items, verdicts = contents(filled, queue)
    assert {item.state for item in items} == {"decided"} and len(verdicts) == 36


def test_answers_are_blind_and_each_reviewer_has_them_in_an_order_of_theirs(opening: Opening, desk: Desk, filled: Store) -> None:
    queue = opening(reviewers=2).queue
    first: dict[str, list[str]] = {"ann": [], "bea": []}
    for name in first:
        reviewer = person(filled, name)
        by_item = {}
        while (found := desk.next(queue, reviewer)) is not None:
            assert desk.next(queue, reviewer) == found
            by_item[found[1].item] = found[1].answers[0].output
            desk.answer(queue, reviewer, found[0], judged(found[1], "right"))
        first[name] = [by_item[item] for item in sorted(by_item)]
    assert first["ann"] != first["bea"]
    assert 3 < first["ann"].count("right") < 15


def test_what_was_shown_waits_for_its_reviewer_and_goes_to_another_when_it_waited_too_long(
    opening: Opening, desk: Desk, filled: Store, clock: Clock
) -> None:
    queue = opening(budget=1, reviewers=1).queue
    ann, bea = person(filled, "ann"), person(filled, "bea")
    shown = desk.next(queue, ann)
    assert shown is not None and desk.next(queue, bea) is None
    clock.now += timedelta(seconds=queue.lease_s + 1)
    assert desk.next(queue, bea) is not None
    desk.answer(queue, ann, shown[0], judged(shown[1], "right"))  # late, and welcome all the same
    assert {verdict.state for verdict in contents(filled, queue)[1]} == {"given", "shown"}


def test_a_queue_with_tags_is_open_to_those_who_know_about_all_of_them(opening: Opening, desk: Desk, filled: Store) -> None:
    queue = opening(tags=("card", "fraud")).queue
    assert desk.seats(person(filled, "ann", tags=("card",))) == []
    bea = person(filled, "bea", tags=("fraud", "card", "loans"))
    assert desk.seats(bea, "triage") == [queue] and desk.seats(bea, "other") == []
    with pytest.raises(CallerError, match="is not open to you"):
        desk.open_queue(queue.id, person(filled, "ann"))


def test_what_a_reviewer_knows_about_can_be_said_anew_while_they_sit(opening: Opening, desk: Desk, filled: Store) -> None:
    """The next question is not theirs any more; what they said stays, and the token they hold goes on."""
    queue = opening(tags=("card",)).queue
    _, token = join(filled, "default", invite(filled, "default", "ann", "reviewer", ("card",), NOON), NOON)
    ann = reviewer_of(filled, "default", token)
    assert len(works(desk, queue, ann, "right", limit=2)) == 2
    assert set_tags(filled, "default", "ann", ("loans",)).tags == ("loans",)
    assert desk.seats(reviewer_of(filled, "default", token)) == []
    with pytest.raises(CallerError, match="is not open to you any more"):
        desk.next(queue, ann)
    assert len(labels(filled)) == 4
    set_tags(filled, "default", "ann", ("loans", "card"))
    assert desk.next(queue, ann) is not None
    with pytest.raises(CallerError, match="There is no reviewer 'anne'. Did you mean 'ann'?"):
        set_tags(filled, "default", "anne", ())


def test_an_invitation_is_taken_once_in_time_and_a_token_ends_when_it_is_revoked(store: Store) -> None:
    secret = invite(store, "default", "ann", "reviewer", ("card",), NOON)
    reviewer, token = join(store, "default", secret, NOON)
    assert reviewer_of(store, "default", token) == reviewer and reviewer.tags == ("card",)
    with pytest.raises(NotAReviewer):
        join(store, "default", secret, NOON)
    with pytest.raises(NotAReviewer):
        reviewer_of(store, "other", token)
    late = invite(store, "default", "bea", "senior", (), NOON)
    with pytest.raises(NotAReviewer):
        join(store, "default", late, NOON + timedelta(days=8))
    revoke(store, "default", "ann", NOON)
    with pytest.raises(NotAReviewer):
        reviewer_of(store, "default", token)
    with pytest.raises(CallerError, match="was revoked"):
        at_this_desk(store, "default", "ann", NOON)


# What verdicts become


def test_a_verdict_is_feedback_with_its_probability_once_it_is_accepted(opening: Opening, desk: Desk, filled: Store) -> None:
    """One of two who agree is none yet; with the second both are, at once."""
    opened = opening(budget=9, reviewers=2)
    ann, bea = person(filled, "ann"), person(filled, "bea")
    works(desk, opened.queue, ann, "right")
    assert labels(filled) == {}
    works(desk, opened.queue, bea, "right", limit=1)
    said = labels(filled)
    assert len(said) == 4 and {one.source for one in said.values()} == {"person:ann", "person:bea"}
    assert {(one.design, one.inclusion) for one in said.values()} == {("audit", opened.drawn / ITEMS)}
    assert {one.value for one in said.values()} == {0.0, 1.0}


def test_where_reviewers_disagree_a_senior_decides_and_only_what_agrees_counts(opening: Opening, desk: Desk, filled: Store) -> None:
    queue = opening(budget=3, reviewers=2).queue
    ann, bea, senior = person(filled, "ann"), person(filled, "bea"), person(filled, "sue", role="senior")
    assert desk.next(queue, senior) is None
    items = works(desk, queue, ann, "right")
    works(desk, queue, bea, "wrong")
    assert labels(filled) == {} and {item.state for item in contents(filled, queue)[0]} == {"disputed"}
    assert sorted(works(desk, queue, senior, "right")) == sorted(items)
    assert {one.source for one in labels(filled).values()} == {"person:ann", "person:sue"}


def test_scores_that_lie_close_agree(opening: Opening, desk: Desk, filled: Store) -> None:
    queue = opening(metric="grade", budget=2, reviewers=2).queue
    for name, grade in (("ann", 6.0), ("bea", 6.9)):
        reviewer = person(filled, name)
        while (found := desk.next(queue, reviewer)) is not None:
            with pytest.raises(CallerError, match="11"):
                desk.answer(queue, reviewer, found[0], Judgement(dict.fromkeys([a.letter for a in found[1].answers], 11.0)))
            desk.answer(queue, reviewer, found[0], Judgement(dict.fromkeys([a.letter for a in found[1].answers], grade)))
    assert {one.value for one in labels(filled).values()} == {6.0, 6.9}


def test_taking_back_takes_the_labels_with_it_and_shows_the_item_again(opening: Opening, desk: Desk, filled: Store) -> None:
    queue = opening(budget=2).queue
    ann = person(filled, "ann")
    (item,) = works(desk, queue, ann, "wrong", limit=1)
    assert len(labels(filled)) == 2
    assert desk.take_back(queue, ann) is not None and labels(filled) == {}
    found = desk.next(queue, ann)
    assert found is not None and found[1].item == item
    desk.answer(queue, ann, found[0], judged(found[1], "right"))
    assert labels(filled)[(f"i{item[1:]}/frontier", "person:ann")].value == float(int(item[1:]) % 2)


def test_a_skip_comes_again_once_and_a_flag_waits_for_a_senior(opening: Opening, desk: Desk, filled: Store) -> None:
    queue = opening(budget=18).queue
    ann, sue = person(filled, "ann"), person(filled, "sue", role="senior")
    works(desk, queue, ann, "right", limit=16)
    first = desk.next(queue, ann)
    assert first is not None
    desk.skip(queue, ann, first[0])
    second = desk.next(queue, ann)
    assert second is not None and second != first
    with pytest.raises(CallerError, match="reason"):
        desk.flag(queue, ann, second[0], " ")
    desk.flag(queue, ann, second[0], "it is in Latin")
    assert desk.next(queue, ann) == first
    desk.skip(queue, ann, first[0])
    assert desk.next(queue, ann) is None
    found = desk.next(queue, sue)
    assert found is not None and found[1].item == second[1].item
    assert [line["reason"] for line in export(filled, queue, CORRECT) if line.get("said") == "flagged"] == ["it is in Latin"]
    with pytest.raises(CallerError, match="is not before you"):
        desk.answer(queue, ann, first[0], judged(first[1], "right"))


def test_what_is_typed_is_kept_as_the_journal_keeps_it(opening: Opening, filled: Store, clock: Clock) -> None:
    queue = opening(budget=1).queue
    kept: Content = "redacted"
    desk = Desk(filled, "default", CATALOG, lambda _: kept, clock)
    ann = person(filled, "ann")
    found = desk.next(queue, ann)
    assert found is not None
    desk.answer(queue, ann, found[0], Judgement(correction="write to ann@example.com"), "or to bob@example.com")
    said = [one for call in ("frontier", "cheap") for one in feedback_of(filled, "default", f"{found[1].item}/{call}")]
    assert {one.content for one in said if one.content is not None} == {"write to [EMAIL]", "or to [EMAIL]"}
    assert {one.value for one in said if one.kind == "label"} == {0.0}


# Gold


def test_gold_is_hidden_among_the_others_asked_of_everybody_and_never_feedback(opening: Opening, desk: Desk, filled: Store) -> None:
    opened = opening(budget=6, reviewers=1, gold=3)
    queue = opened.queue
    ann, bea = person(filled, "ann"), person(filled, "bea")
    works(desk, queue, ann, "wrong", limit=opened.questions - 1)
    works(desk, queue, bea, "right")
    golds = {item.item for item in contents(filled, queue)[0] if item.is_gold and not item.is_drawn}
    assert golds and not any(call.split("/")[0] in golds for call, _ in labels(filled))
    assert desk.gold_of(queue, ann) is None
    close(filled, "default", queue.id, CATALOG, CreditsTable(), NOON)
    seen = desk.gold_of(queue, ann)
    assert seen is not None and seen.asked == seen.missed >= 2
    assert any(line.get("missed_gold") for line in export(filled, queue, CORRECT))


def test_gold_of_ones_own_names_answers_or_scores(opening: Opening, desk: Desk, filled: Store, tmp_path: Path) -> None:
    file = tmp_path / "gold.jsonl"
    file.write_text('{"item": "i7", "answer": "right"}\n{"item": "i8", "scores": {"frontier": 0, "cheap": 1}}\n')
    queue = opening(budget=1, gold_file=file).queue
    expected = {item.item: set((item.expected or {}).values()) for item in contents(filled, queue)[0] if item.is_gold}
    assert expected == {"i7": {0.0, 1.0}, "i8": {0.0, 1.0}}
    file.write_text('{"item": "i99", "answer": "right"}\n')
    with pytest.raises(DataError, match=r"line 1: item 'i99' has no answers to judge"):
        opening(budget=1, gold_file=file)
    with pytest.raises(CallerError, match="asks for more items with known answers"):
        opening(budget=1, gold=30)


def test_a_reviewer_who_is_excluded_takes_their_labels_along_and_others_are_asked_instead(
    opening: Opening, desk: Desk, filled: Store
) -> None:
    queue = opening(budget=4).queue
    ann, bea = person(filled, "ann"), person(filled, "bea")
    works(desk, queue, ann, "wrong")
    assert desk.next(queue, bea) is None
    assert exclude(filled, "default", queue.id, "ann", CATALOG, CreditsTable(), NOON) == 4
    assert labels(filled) == {}
    with pytest.raises(CallerError, match="not open to you any more"):
        desk.next(queue, ann)
    assert len(works(desk, queue, bea, "right")) == 4
    assert {one.source for one in labels(filled).values()} == {"person:bea"}
    exclude(filled, "default", queue.id, "ann", CATALOG, CreditsTable(), NOON, is_excluded=False)
    assert {item.state for item in contents(filled, queue)[0]} == {"disputed"}


# What the labels prove


def test_an_open_queue_counts_what_nobody_judged_yet_as_wrong(opening: Opening, desk: Desk, filled: Store) -> None:
    """So that no certificate can be had from those items alone that were easy to judge."""
    queue = opening(budget=18).queue
    works(desk, queue, person(filled, "ann"), "right", limit=5)
    loaded = load_pairs(filled, "default", "triage", "frontier", CORRECT)
    assert loaded.charged_NV.sum() == 13
    assert set(loaded.pairs.designs) == {"audit"}


def test_closing_draws_no_more_what_nobody_was_shown_and_keeps_what_somebody_was(opening: Opening, desk: Desk, filled: Store) -> None:
    """Of 18 drawn with certainty 6 were shown and 5 judged: each of the 6 has a probability of a third."""
    opened = opening(budget=18)
    queue, ann = opened.queue, person(filled, "ann")
    works(desk, queue, ann, "right", limit=5)
    desk.next(queue, ann)
    ended = close(filled, "default", queue.id, CATALOG, CreditsTable(), NOON)
    assert (ended.decided, ended.undecided, ended.withdrawn) == (5, 1, 12)
    drawn = drawn_items(filled, "default", "triage", "correct")
    assert sorted(drawn.values()) == pytest.approx([1 / 3] * 6 + [1.0] * FREE)
    assert [one.inclusion for one in labels(filled).values()] == pytest.approx([1 / 3] * 10)
    loaded = load_pairs(filled, "default", "triage", "frontier", CORRECT)
    assert loaded.pairs.least_inclusion == pytest.approx(1 / 3) and loaded.charged_NV.sum() == 1
    with pytest.raises(CallerError, match="was closed"):
        desk.next(queue, ann)
    with pytest.raises(CallerError, match="was closed already"):
        close(filled, "default", queue.id, CATALOG, CreditsTable(), NOON)


def test_closing_books_what_verdicts_are_due_and_excluding_takes_it_back(opening: Opening, desk: Desk, filled: Store) -> None:
    queue, tariff = opening(budget=4).queue, CreditsTable(per_verdict_usd=0.5)
    works(desk, queue, person(filled, "ann"), "right")
    assert standings(filled, "default") == []
    close(filled, "default", queue.id, CATALOG, tariff, NOON)
    assert [(one.reviewer, one.verdicts, one.earned_nano) for one in standings(filled, "default")] == [("ann", 4, nano(2.0))]
    exclude(filled, "default", queue.id, "ann", CATALOG, tariff, NOON)
    assert [one.earned_nano for one in standings(filled, "default")] == [0]


def test_a_queue_that_nobody_sat_down_at_leaves_nothing_when_it_is_closed(opening: Opening, filled: Store) -> None:
    queue = opening(budget=18).queue
    close(filled, "default", queue.id, CATALOG, CreditsTable(), NOON)
    assert drawn_items(filled, "default", "triage", "correct") == {}


def test_a_rule_draws_by_worth_and_keeps_the_probability_and_the_floor(opening: Opening, desk: Desk, filled: Store) -> None:
    opened = opening(lambda items: [float(int(item[1:]) < 4) for item in items], budget=6, rule="disagreement")
    items, _ = contents(filled, opened.queue)
    assert opened.queue.floor is not None and 0 < opened.queue.floor < 0.2
    assert all(item.inclusion in (pytest.approx(opened.queue.floor), 1.0) for item in items)
    drawn = drawn_items(filled, "default", "triage", "correct")
    assert all(drawn[f"i{n}"] == 1.0 for n in range(ITEMS - FREE, ITEMS))  # nobody has to be asked about these
    works(desk, opened.queue, person(filled, "ann"), "right")
    pairs = load_pairs(filled, "default", "triage", "frontier", CORRECT).pairs
    assert pairs.least_inclusion == pytest.approx(opened.queue.floor)


def test_labels_of_a_rule_that_cannot_reach_everything_teach_and_certify_nothing(opening: Opening, desk: Desk, filled: Store) -> None:
    queue = opening(
        lambda items: [float(int(item[1:]) < 4) for item in items], budget=4, rule="region", region='tag.tier == "gold"', explore=0.0
    ).queue
    assert queue.floor is None
    assert set(works(desk, queue, person(filled, "ann"), "right")) <= {"i0", "i1", "i2", "i3"}
    assert {(one.design, one.inclusion) for one in labels(filled).values()} == {("found", None)}
    assert drawn_items(filled, "default", "triage", "correct") == {}


def test_labelling_sessions_and_queues_draw_the_same_items_and_leave_each_others_labels_alone(
    opening: Opening, desk: Desk, filled: Store, clock: Clock
) -> None:
    opened = opening(budget=9)
    judged_there = works(desk, opened.queue, person(filled, "ann"), "right")
    before = labels(filled)
    session, _ = open_session(filled, CATALOG, LabelRequest("triage", budget=12), "bea", clock=clock)
    assert session.progress().answered == len(judged_there)
    while (question := session.next()) is not None:
        session.answer(question, judged(question, "right"))
    after = labels(filled)
    assert all(after[key].design == "audit" and after[key].value == said.value for key, said in before.items())
    assert {one.inclusion for one in after.values()} == {12 * ITEMS // 18 / ITEMS}
    assert set(drawn_items(filled, "default", "triage", "correct").values()) == {12 * ITEMS // 18 / ITEMS}


def test_the_floor_is_the_greatest_of_draws_from_the_same_items(opening: Opening, desk: Desk, filled: Store, clock: Clock) -> None:
    """After half of all items were labelled at random, a rule that hardly reaches some of them leaves nothing less likely than a half; but of
    items that came in since nothing is known but the rule's own floor."""
    session, _ = open_session(filled, CATALOG, LabelRequest("triage", budget=9), "bea", clock=clock)
    while (question := session.next()) is not None:
        session.answer(question, judged(question, "right"))

    def worth(items: Sequence[str]) -> list[float]:
        return [float(int(item[1:]) < 4) for item in items]

    first = opening(worth, budget=6, rule="disagreement")
    assert first.queue.floor is not None and first.queue.floor < 0.2
    assert least_inclusion(filled, "default", "triage", "correct") == 0.5
    calls = [Call(id=f"new/{v}", task="triage", variant=v, item="new", input="new", output=v) for v in ("frontier", "cheap")]
    append_many(filled, calls)
    clock.now += timedelta(days=1)
    request = QueueRequest(LabelRequest("triage", budget=6), rule="disagreement")
    second = open_queue(filled, "default", CATALOG, request, lambda items: [1.0 if item == "i0" else 0.0 for item in items], clock())
    assert least_inclusion(filled, "default", "triage", "correct") == second.queue.floor


def test_one_variants_answers_can_be_judged_alone(filled: Store, desk: Desk) -> None:
    request = QueueRequest(LabelRequest("triage", variants=(), budget=5))
    queue = open_queue(filled, "default", CATALOG, request, None, NOON).queue
    works(desk, queue, person(filled, "ann"), "right")
    assert {call.split("/")[1] for call, _ in labels(filled)} <= {"frontier", "cheap"}  # equal answers share a score
    assert len(labels(filled)) >= 5


# Erasure


def test_erasing_a_person_takes_what_queues_hold_of_them(opening: Opening, desk: Desk, filled: Store) -> None:
    queue = opening(budget=18).queue
    ann = person(filled, "ann")
    while (found := desk.next(queue, ann)) is not None:
        desk.answer(queue, ann, found[0], judged(found[1], "right"), f"about {found[1].asked}")
    assert erase(filled, "default", "sam", NOON).reviews == 2
    with filled.reading() as connection:
        left = connection.execute(select(review_items.c.item)).scalars().all()
        bodies = connection.execute(select(review_verdicts.c.body)).scalars().all()
    assert len(left) == len(bodies) == 17 and "i3" not in left
    assert not any(b'message 3"' in body for body in bodies)
    assert "i3" not in drawn_items(filled, "default", "triage", "correct")


def test_a_queue_is_found_by_the_beginning_of_its_id(opening: Opening, filled: Store) -> None:
    queue = opening(budget=2).queue
    assert find_queue(filled, "default", queue.id[:6]) == queue
    with pytest.raises(CallerError, match="There is no review queue 'zz'"):
        find_queue(filled, "default", "zz")
    with pytest.raises(CallerError, match="There is no review queue"):
        find_queue(filled, "other", queue.id)
