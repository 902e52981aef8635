"""A labelling session: what is asked, what a judgement becomes, and that draws and labels always say the same."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from shutil import copyfile
from typing import Any

import pytest
from sqlalchemy import select

from freehold.catalog import Catalog, Metric, Task
from freehold.datasets.load import load_pairs
from freehold.errors import CallerError, FreeholdError, OperatorError
from freehold.feedback.draw import Draw, in_order, planned, size_of
from freehold.feedback.keep import open_session
from freehold.feedback.label import Session
from freehold.feedback.population import LabelRequest
from freehold.feedback.question import Judgement, Question, letter, right
from freehold.feedback.show import answer_text, asked_text, excerpt, typed_correction
from freehold.feedback.status import label_status
from freehold.journal.build import feedback_id
from freehold.journal.call import Call, Feedback
from freehold.journal.erase import erase
from freehold.journal.redact import redact
from freehold.journal.rows import digest_of
from freehold.journal.write import append_many
from freehold.store.open import Store, open_store
from freehold.store.schema import draws, feedback

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
CORRECT = Metric(id="correct", kind="binary", deterministic=True)
CATALOG = Catalog(
    tasks={
        "triage": Task(id="triage", reference="frontier", metric="correct"),
        "letters": Task(id="letters", reference="frontier", metric="grade"),
    },
    metrics={
        "correct": CORRECT,
        "grade": Metric(id="grade", range=(0.0, 10.0)),
        "polite": Metric(id="polite", kind="binary"),
        "wrong": Metric(id="wrong", kind="binary", better="lower", deterministic=True),
    },
)


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of an empty store, made once: migrating takes longer than most tests here."""
    folder = tmp_path_factory.mktemp("migrated")
    open_store("sqlite:///freehold.db", folder).close()
    return folder / "freehold.db"


@pytest.fixture
def store(tmp_path: Path, migrated: Path) -> Iterator[Store]:
    copyfile(migrated, tmp_path / "freehold.db")
    with open_store("sqlite:///freehold.db", tmp_path) as opened:
        yield opened


class Clock:
    """A time that only moves when it is told to."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


def call(item: str, variant: str, output: Any, task: str = "triage", key: str = "", **more: Any) -> Call:
    """A recorded answer."""
    return Call(id=f"{task}/{item}/{variant}{key}", task=task, item=item, variant=variant, input=f"asked {item}", output=output, **more)


def put(store: Store, outputs: dict[str, Sequence[Any]], task: str = "triage", variants: Sequence[str] = ("frontier", "cheap")) -> None:
    """Answers by item, in the order of the variants; None where a variant gave none."""
    calls = [
        call(item, variant, output, task)
        for item, given in outputs.items()
        for variant, output in zip(variants, given, strict=True)
        if output is not None
    ]
    assert append_many(store, calls).added == len(calls)


def fill(store: Store, agree: int = 80, differ: int = 20) -> None:
    """A task on which two variants agree on most items."""
    same = {f"same{n}": ("transfer", "transfer") for n in range(agree)}
    put(store, same | {f"apart{n}": ("transfer", f"loan {n}") for n in range(differ)})


def begin(store: Store, rater: str = "anna", clock: Callable[[], datetime] = Clock(), content: Any = "full", **request: Any) -> Session:  # noqa: B008 never moved
    """A session as the command opens it."""
    wanted = LabelRequest(**{"task": "triage", **request})
    return open_session(store, CATALOG, wanted, rater, content=content, clock=clock).session


def truth(question: Question) -> Judgement:
    """What a rater says who thinks that 'transfer' is right."""
    return right(question, frozenset(a.letter for a in question.answers if a.output == "transfer"), CORRECT)


def asked(session: Session) -> Question:
    question = session.next()
    assert question is not None
    return question


def answer(session: Session, times: int = 10_000) -> list[str]:
    """Answers up to so many questions and gives their items."""
    items: list[str] = []
    while len(items) < times and (question := session.next()) is not None:
        session.answer(question, truth(question))
        items.append(question.item)
    return items


def rows_of(store: Store, *kinds: str) -> list[Any]:
    """What was said by sessions."""
    with store.reading() as connection:
        found = connection.execute(select(feedback).order_by(feedback.c.call)).all()
    return [row for row in found if not kinds or row.kind in kinds]


def drawn(store: Store) -> list[tuple[str, float]]:
    """Drawn items in order, with their probabilities."""
    with store.reading() as connection:
        return [(row.item, row.inclusion) for row in connection.execute(select(draws).order_by(draws.c.position))]


def status(store: Store, **request: Any) -> Any:
    return label_status(store, CATALOG, LabelRequest(**{"task": "triage", **request}))


# what is asked


def test_items_whose_answers_agree_need_nobody(store: Store) -> None:
    fill(store)
    progress = begin(store, budget=10).progress()
    assert progress.items == 100
    assert progress.questions + progress.free == 50  # 10 of 20 disagreements are half of the items
    items = answer(begin(store, budget=100))
    assert sorted(items) == sorted(f"apart{n}" for n in range(20))


def test_how_many_to_draw_follows_from_counts_alone() -> None:
    assert planned(60, 2_000, 300) == 400
    assert planned(60, 2_000, 2_000) == 60  # every item is a question
    assert planned(60, 2_000, 50) == 2_000
    assert planned(60, 2_000, 0) == 2_000
    assert planned(7, 100, 30) == 23
    with pytest.raises(CallerError, match="--budget 0 asks nobody"):
        planned(0, 10, 10)


def test_an_answer_is_shown_once_and_nothing_tells_who_gave_it(store: Store) -> None:
    put(store, {"one": ("transfer", "loan", "transfer")}, variants=("frontier", "cheap", "third"))
    question = asked(begin(store))
    assert sorted(str(shown.output) for shown in question.answers) == ["loan", "transfer"]
    assert [shown.letter for shown in question.answers] == ["A", "B"]
    assert not any(name in repr(question) for name in ("frontier", "cheap", "third"))


def test_answers_are_shuffled_by_item_and_the_same_way_each_time(store: Store) -> None:
    fill(store, 0, 60)
    session = begin(store)
    shown_first = []
    for _ in range(60):
        question = asked(session)
        assert question == session.next()
        shown_first.append(question.answers[0].output == "transfer")
        session.skip(question)
    assert 15 <= sum(shown_first) <= 45


def test_without_a_deterministic_metric_every_item_is_a_question(store: Store) -> None:
    fill(store, 8, 2)
    session = begin(store, metric="polite", budget=4)
    assert session.progress().questions == session.draw.size == 4
    assert session.progress().free == 0


def test_letters_go_on_after_z() -> None:
    assert [letter(n) for n in (0, 25, 26, 27, 51, 52)] == ["A", "Z", "AA", "AB", "AZ", "BA"]


def test_the_last_answer_of_a_variant_is_the_one_judged_as_data_sets_take_it(store: Store) -> None:
    calls = [call("one", "frontier", "transfer"), call("one", "cheap", "transfer", key="1"), call("one", "cheap", "loan", key="2")]
    append_many(store, calls)
    session = begin(store)
    session.answer(asked(session), truth(asked(session)))
    assert {row.call: row.value for row in rows_of(store)} == {"triage/one/frontier": 1.0, "triage/one/cheap2": 0.0}
    pairs = load_pairs(store, "default", "triage", "frontier", CORRECT).pairs
    assert pairs.loss_NV.tolist() == [[0.0, 1.0]]


# what a judgement becomes


def test_a_judgement_is_feedback_on_every_call_that_gave_the_answer(store: Store) -> None:
    put(store, {"one": ("transfer", "loan", "transfer", "card")}, variants=("frontier", "cheap", "third", "fourth"))
    session = begin(store, rater="anna", variants=("cheap",))
    session.answer(asked(session), truth(asked(session)))
    rows = {row.call.split("/")[-1]: row for row in rows_of(store)}
    assert {name: row.value for name, row in rows.items()} == {"frontier": 1.0, "cheap": 0.0, "third": 1.0}
    assert {(row.source, row.design, row.inclusion, row.metric, row.kind) for row in rows.values()} == {
        ("person:anna", "audit", 1.0, "correct", "label")
    }


@pytest.mark.parametrize(("letters", "total"), [("", 0.0), ("A", 1.0), ("AB", 2.0)])
def test_any_subset_of_the_answers_may_be_right(store: Store, letters: str, total: float) -> None:
    fill(store, 0, 1)
    session = begin(store)
    session.answer(asked(session), right(asked(session), frozenset(letters), CORRECT))
    assert sum(row.value for row in rows_of(store)) == total


def test_where_lower_is_better_a_right_answer_scores_zero(store: Store) -> None:
    fill(store, 0, 1)
    session = begin(store, metric="wrong")
    question = asked(session)
    session.answer(question, right(question, frozenset("A"), session.metric))
    assert sorted(row.value for row in rows_of(store)) == [0.0, 1.0]


def test_a_score_lies_in_the_metrics_range_and_every_answer_has_one(store: Store) -> None:
    put(store, {"one": ("Dear Sir", "Hi")}, task="letters")
    session = begin(store, task="letters")
    question = asked(session)
    for scores, said in (
        ({"A": 3.0}, "Answer B .* has no score"),
        ({"A": 3.0, "B": 11.0}, "outside"),
        ({"A": 1, "B": 2, "C": 3}, "answer C"),
    ):
        with pytest.raises(CallerError, match=said):
            session.answer(question, Judgement(scores))
    assert rows_of(store) == []
    session.answer(question, Judgement({"A": 3.5, "B": 10.0}))
    assert sorted(row.value for row in rows_of(store)) == [3.5, 10.0]


def test_under_a_deterministic_binary_metric_a_correction_scores_by_equality(store: Store) -> None:
    put(store, {"one": ("transfer", "loan")})
    session = begin(store)
    session.answer(asked(session), Judgement(correction="loan"))
    assert {row.call: row.value for row in rows_of(store, "label")} == {"triage/one/frontier": 0.0, "triage/one/cheap": 1.0}
    (correction,) = rows_of(store, "correction")
    assert (correction.call, correction.value, bytes(correction.body)) == ("triage/one/frontier", None, b'"loan"')


def test_elsewhere_a_correction_goes_beside_scores(store: Store) -> None:
    put(store, {"one": ("Dear Sir", "Hi")}, task="letters")
    session = begin(store, task="letters")
    with pytest.raises(CallerError, match="has no score"):
        session.answer(asked(session), Judgement(correction="Hello"))
    session.answer(asked(session), Judgement({"A": 5.0, "B": 5.0}, "Hello"))
    assert len(rows_of(store, "correction")) == 1


def test_what_a_rater_types_is_redacted_as_the_journal_is(store: Store) -> None:
    calls = [call("one", variant, f"write to {name}@example.org") for variant, name in (("frontier", "anna"), ("cheap", "bob"))]
    append_many(store, [redact(made, "redacted") for made in calls])
    session = begin(store, content="redacted")
    assert {shown.output for shown in asked(session).answers} == {"write to [EMAIL]"}  # two answers still: their digests differ
    session.answer(asked(session), Judgement(correction="write to carl@example.org"))
    (correction,) = rows_of(store, "correction")
    assert bytes(correction.body) == b'"write to [EMAIL]"'


def test_data_sets_read_the_labels_as_an_audit_with_the_probability_of_the_draw(store: Store) -> None:
    fill(store)
    session = begin(store, budget=10)
    n = len(answer(session))
    loaded = load_pairs(store, "default", "triage", "frontier", CORRECT)
    labelled = loaded.is_labelled_N
    assert labelled.sum() == session.draw.size == 50
    assert set(loaded.pairs.inclusion_N[labelled]) == {0.5}
    assert {loaded.pairs.designs[i] for i in labelled.nonzero()[0]} == {"audit"}
    assert loaded.pairs.loss_NV[labelled, 1].sum() == n


# stopping, taking back, skipping


def test_stopped_at_any_point_what_was_said_is_kept_and_the_next_session_goes_on(store: Store) -> None:
    fill(store)
    in_one = in_order("default", "triage", "correct", [f"apart{n}" for n in range(20)])
    assert tuple(answer(begin(store, budget=20), 7) + answer(begin(store, budget=20), 5) + answer(begin(store, budget=20))) == in_one


def test_an_interrupted_session_leaves_a_smaller_draw_with_one_probability_everywhere(store: Store) -> None:
    fill(store)
    session = begin(store, budget=20)
    for _ in range(6):
        answer(session, 1)
        rows = drawn(store)
        assert [item for item, _ in rows] == list(session.draw.order[: len(rows)])
        assert session.draw.order[len(rows)] == asked(session).item  # it ends just before the next question
        assert {inclusion for _, inclusion in rows} == {len(rows) / 100} == {row.inclusion for row in rows_of(store)}


def test_opening_a_session_and_leaving_it_changes_nothing(store: Store) -> None:
    fill(store)
    session = begin(store)
    assert asked(session) is not None
    assert drawn(store) == rows_of(store) == []


def test_undo_takes_judgements_back_one_after_the_other(store: Store) -> None:
    fill(store)
    session = begin(store, budget=20)
    items = answer(session, 3)
    before = drawn(store)
    answer(session, 1)
    assert session.undo() is not None
    assert drawn(store) == before
    assert asked(session).item not in items
    assert [session.undo(), session.undo(), session.undo(), session.undo()] == [items[2], items[1], items[0], None]
    assert drawn(store) == rows_of(store) == []
    assert asked(session).item == items[0]


def test_undo_takes_back_what_this_session_said_and_nothing_earlier(store: Store) -> None:
    fill(store)
    answer(begin(store), 2)
    assert begin(store).undo() is None
    assert len(rows_of(store)) == 4


def test_a_judgement_that_replaced_an_earlier_one_gives_it_back_when_undone(store: Store) -> None:
    """A variant that came in later makes an answered item a question again; the same rater judges it anew."""
    put(store, {"one": ("transfer", "loan")})
    answer(begin(store))
    append_many(store, [call("one", "third", "card")])
    session = begin(store)
    question = asked(session)
    session.answer(question, right(question, frozenset("ABC"), CORRECT))
    assert [row.value for row in rows_of(store)] == [1.0, 1.0, 1.0]
    session.undo()
    assert {row.call: row.value for row in rows_of(store)} == {"triage/one/frontier": 1.0, "triage/one/cheap": 0.0}
    assert drawn(store) == []


def test_a_skipped_item_is_asked_again_at_the_end_and_left_out_when_skipped_again(store: Store) -> None:
    fill(store, 0, 4)
    session = begin(store)
    order = list(session.draw.order)
    session.skip(asked(session))
    assert answer(session, 1) == [order[1]]
    session.skip(asked(session))
    assert answer(session, 1) == [order[3]]
    assert asked(session).item == order[0]
    session.skip(asked(session))
    assert answer(session) == [order[2]]
    assert session.next() is None
    assert session.progress().skipped == 1
    assert session.undo() == order[2]
    assert session.undo() == order[0]  # a skip is taken back like a judgement
    assert asked(session).item == order[0]


def test_while_a_question_is_skipped_answers_after_it_are_kept_and_do_not_certify(store: Store) -> None:
    fill(store)
    session = begin(store, budget=20)
    answer(session, 2)
    before = drawn(store)
    left = asked(session)
    session.skip(left)
    late = answer(session, 3)
    assert drawn(store) == before
    waiting = [row for row in rows_of(store) if row.call.split("/")[1] in late]
    assert {(row.design, row.inclusion) for row in waiting} == {("found", None)}
    assert session.progress().waiting == 3
    assert (status(store, budget=20).skipped, status(store, budget=20).waiting) == (1, 3)
    loaded = load_pairs(store, "default", "triage", "frontier", CORRECT)
    assert {loaded.pairs.designs[loaded.pairs.items.index(item)] for item in late} == {"found"}

    again = begin(store, budget=20)
    assert asked(again).item == left.item
    again.answer(left, truth(left))
    assert {row.design for row in rows_of(store)} == {"audit"}
    assert {row.inclusion for row in rows_of(store)} == {inclusion for _, inclusion in drawn(store)} == {len(drawn(store)) / 100}
    assert len(drawn(store)) > len(before) + 4


def test_a_larger_budget_goes_on_where_the_smaller_one_ended(store: Store) -> None:
    fill(store)
    first = answer(begin(store, budget=5))
    assert len(drawn(store)) == 25
    second = answer(begin(store, budget=10))
    assert len(drawn(store)) == 50
    assert set(first).isdisjoint(second)
    assert {inclusion for _, inclusion in drawn(store)} == {0.5}


def test_a_smaller_budget_takes_nothing_back(store: Store) -> None:
    fill(store)
    answer(begin(store, budget=10))
    session = begin(store, budget=2)
    assert session.next() is None
    assert len(drawn(store)) == 50


def test_a_failing_store_leaves_the_session_as_it_was(store: Store) -> None:
    class Full:
        def content(self, ballot: Any) -> Any:
            return keeper.content(ballot)

        def keep(self, add: Sequence[Feedback], remove: Sequence[str]) -> list[Feedback]:
            raise OperatorError("The disk is full.")

    fill(store)
    session = begin(store)
    keeper, session._keeper = session._keeper, Full()
    question = asked(session)
    with pytest.raises(OperatorError, match="full"):
        session.answer(question, truth(question))
    assert session.next() == question
    assert session.progress().answered == 0
    assert session.undo() is None


def test_two_people_at_once_leave_one_draw(store: Store) -> None:
    fill(store)
    anna, bob = begin(store, "anna", budget=20), begin(store, "bob", budget=20)
    answer(anna, 3)
    answer(bob, 5)  # bob's session did not see anna's answers and asks the same
    answer(anna, 1)
    session = begin(store, "carl", budget=20)
    rows = drawn(store)
    assert session.draw.order[len(rows)] == asked(session).item
    assert {inclusion for _, inclusion in rows} == {len(rows) / 100}
    assert session.progress().answered == 5


def test_the_time_left_is_the_median_pace_times_the_open_questions(store: Store) -> None:
    fill(store, 0, 10)
    clock = Clock()
    session = begin(store, clock=clock)
    assert session.progress().seconds_left is None
    for seconds in (20, 600, 30):  # a break does not count as pace
        clock.now += timedelta(seconds=seconds)
        answer(session, 1)
    assert session.progress().seconds_left == 30 * 7


def test_an_answered_question_is_not_answered_twice(store: Store) -> None:
    fill(store)
    session = begin(store)
    question = asked(session)
    session.answer(question, truth(question))
    with pytest.raises(CallerError, match="not being asked"):
        session.answer(question, truth(question))


# a task that grows, and labels from elsewhere


def test_items_that_came_in_since_are_asked_first_where_they_fall_into_the_drawn_range(store: Store) -> None:
    fill(store)
    answer(begin(store, budget=10))
    before = [item for item, _ in drawn(store)]
    put(store, {f"new{n}": ("transfer", "loan") for n in range(20)} | {f"newsame{n}": ("transfer", "transfer") for n in range(80)})
    session = begin(store, budget=10)
    reached = max(session.draw.order.index(item) for item in before) + 1
    assert session.draw.size == reached > 50
    news = [item for item in session.draw.order[:reached] if item.startswith("new") and "same" not in item]
    assert answer(session) == news
    assert [item for item, _ in drawn(store)] == list(session.draw.order[:reached])
    assert set(before) < set(session.draw.order[:reached])
    assert {inclusion for _, inclusion in drawn(store)} == {reached / 200} == {row.inclusion for row in rows_of(store)}


def test_stopped_before_the_new_questions_are_answered_the_draw_is_smaller_and_still_even(store: Store) -> None:
    fill(store)
    answer(begin(store, budget=20))
    assert len(drawn(store)) == 100
    put(store, {f"new{n}": ("transfer", "loan") for n in range(20)})
    session = begin(store, budget=20)
    answer(session, 3)
    rows = drawn(store)
    assert [item for item, _ in rows] == list(session.draw.order[: len(rows)])
    assert len(rows) < 120
    certifying = [row for row in rows_of(store) if row.design == "audit"]
    assert {inclusion for _, inclusion in rows} == {len(rows) / 120} == {row.inclusion for row in certifying}
    assert {row.call.split("/")[1] for row in certifying} == {item for item, _ in rows} - session.draw.free
    answer(begin(store, budget=20))
    assert len(drawn(store)) == 120
    assert {row.design for row in rows_of(store)} == {"audit"}


def test_an_erased_item_leaves_order_and_draw(store: Store) -> None:
    fill(store)
    append_many(store, [call("theirs", v, o, subject="Eve") for v, o in (("frontier", "transfer"), ("cheap", "loan"))])
    answer(begin(store, budget=21))
    assert len(drawn(store)) == 101
    erase(store, "default", "Eve", NOON)
    begin(store, budget=21)
    assert len(drawn(store)) == 100
    assert {inclusion for _, inclusion in drawn(store)} == {1.0}


def test_an_item_erased_while_it_is_asked_about_says_so(store: Store) -> None:
    append_many(store, [call("theirs", v, o, subject="Eve") for v, o in (("frontier", "transfer"), ("cheap", "loan"))])
    session = begin(store)
    erase(store, "default", "Eve", NOON)
    with pytest.raises(OperatorError, match="was erased or is not kept"):
        session.next()


def test_labels_of_a_census_or_audit_count_as_answers_and_found_ones_do_not(store: Store) -> None:
    fill(store, 0, 3)
    say: Callable[..., Feedback] = partial(Feedback, metric="correct", value=1.0, source="import", at=NOON)
    for item, design, inclusion in (("apart0", "census", 1.0), ("apart1", "audit", 0.5), ("apart2", "found", None)):
        for variant in ("frontier", "cheap"):
            about = f"triage/{item}/{variant}"
            append_many(store, (), [say(id=feedback_id(about, "correct", "import"), call=about, design=design, inclusion=inclusion)])
    assert answer(begin(store)) == ["apart2"]
    assert [inclusion for _, inclusion in drawn(store)] == [1.0] * 3
    assert {row.inclusion for row in rows_of(store, "score")} == {1.0, 0.5, None}  # what others said stays as they said it


def test_where_all_answers_agree_everything_is_drawn_and_nobody_asked(store: Store) -> None:
    fill(store, 12, 0)
    session = begin(store)
    assert session.next() is None
    assert drawn(store) == [(item, 1.0) for item in session.draw.order]


def test_items_that_a_candidate_did_not_answer_are_not_drawn(store: Store) -> None:
    put(store, {"one": ("transfer", "loan"), "two": ("transfer", None), "three": (None, "loan")} | {f"s{n}": ("a", "a") for n in range(20)})
    session = begin(store)
    assert session.draw.order == in_order("default", "triage", "correct", ["one", *(f"s{n}" for n in range(20))])
    assert status(store).incomplete == 1


def test_a_variant_that_answered_few_items_is_no_candidate_unless_it_is_asked_for(store: Store) -> None:
    variants = ("frontier", "cheap", "rare")
    put(store, {f"i{n}": ("transfer", f"loan {n}", "card" if n == 0 else None) for n in range(10)}, variants=variants)
    assert status(store).variants == ("cheap",)
    assert status(store).dropped == {"rare": "it answered only 1 of the reference's 10 items"}
    assert status(store, variants=("cheap", "rare")).items == 1


# errors


def test_errors_say_what_is_wrong_and_what_there_is(store: Store) -> None:
    fill(store)
    put(store, {"x": ("lonely",)}, task="alone", variants=("frontier",))
    for request, said in (
        ({"task": "triag"}, "'triag' has no calls to label. Did you mean 'triage'"),
        ({"metric": "corect"}, "Metric 'corect' is not declared. Did you mean 'correct'"),
        ({"metric": "agreement"}, "needs no labels"),
        ({"reference": "fronteer"}, "answered by 'fronteer'. Did you mean 'frontier'"),
        ({"variants": ("cheep",)}, "answered by 'cheep'. Did you mean 'cheap'"),
        ({"variants": ("frontier",)}, "Nothing to label"),
        ({"budget": 0}, "--budget 0 asks nobody"),
        ({"task": "alone", "metric": "correct"}, "Compare with what"),
        ({"task": "alone", "reference": "frontier"}, "for what"),
        ({"task": "alone", "metric": "correct", "reference": "frontier"}, "no answers beside those of 'frontier'"),
    ):
        with pytest.raises(CallerError, match=said):
            begin(store, **request)
    with pytest.raises(CallerError, match="--rater '  ' is no name"):
        begin(store, rater="  ")


def test_nothing_that_all_answered_is_nothing_to_label(store: Store) -> None:
    put(store, {"one": ("transfer", None), "two": (None, "loan")})
    with pytest.raises(CallerError, match="no item of task 'triage' was answered by 'frontier' and by all of cheap"):
        begin(store, variants=("cheap",))


def test_labels_need_content(store: Store) -> None:
    append_many(store, [redact(call("one", v, o), "none") for v, o in (("frontier", "transfer"), ("cheap", "loan"))])
    with pytest.raises(OperatorError, match=r'Labels need content, .*content = "none"'):
        begin(store)


def test_items_without_content_are_not_drawn_whether_their_answers_agree_or_not(store: Store) -> None:
    bare = [
        redact(call(item, v, o), "none")
        for item, o in (("x", "loan"), ("y", "transfer"))
        for v, o in (("frontier", "transfer"), ("cheap", o))
    ]
    append_many(store, bare)
    fill(store, 1, 1)
    assert (status(store).items, status(store).not_kept) == (2, 2)


def test_every_error_is_one_of_ours(store: Store) -> None:
    with pytest.raises(FreeholdError):
        begin(store)


# status


def test_status_counts_and_tells_what_floors_take(store: Store) -> None:
    fill(store)
    session = begin(store, budget=10)
    answer(session, 4)
    found = label_status(
        store, CATALOG, LabelRequest("triage", budget=10), (0.01, 0.05), lambda floor, exact: round((1 if exact else 2) / floor)
    )
    assert (found.items, found.free, found.planned, found.answered) == (100, 80, 50, 4)
    assert found.questions == session.progress().questions
    assert found.drawn == len(drawn(store)) == found.drawn_free + 4
    assert found.inclusion == found.drawn / 100
    assert [(f.max_loss, f.items, f.questions, f.is_within) for f in found.floors] == [(0.01, 100, 20, True), (0.05, 20, 4, True)]


def test_status_changes_nothing(store: Store) -> None:
    fill(store)
    status(store)
    assert drawn(store) == []


# the order and the prefix


def test_the_order_depends_on_tenant_task_metric_and_item_only() -> None:
    items = [f"i{n}" for n in range(50)]
    order = in_order("t", "triage", "correct", items)
    assert in_order("t", "triage", "correct", reversed(items)) == order
    assert [item for item in in_order("t", "triage", "correct", [*items, "new"]) if item != "new"] == list(order)
    assert (
        len(
            {
                in_order(*names, items)
                for names in (("t", "triage", "correct"), ("u", "triage", "correct"), ("t", "x", "correct"), ("t", "triage", "y"))
            }
        )
        == 4
    )


def test_nothing_is_drawn_before_the_first_answer_unless_nothing_is_asked() -> None:
    draw = Draw(("f1", "q1", "f2", "q2", "f3"), frozenset({"f1", "f2", "f3"}), 4)
    assert [draw.completed(answered) for answered in ((), ("q1",), ("q2",), ("q1", "q2"))] == [0, 3, 0, 4]
    assert Draw(("f1", "f2", "q"), frozenset({"f1", "f2"}), 2).completed(()) == 2


def test_a_range_that_was_labelled_past_its_draw_ends_just_before_the_next_question() -> None:
    order, free = ("q1", "f1", "q2", "f2", "f3", "q3", "f4"), frozenset({"f1", "f2", "f3", "f4"})
    assert size_of(order, free, 2, (), ()) == 2
    assert size_of(order, free, 2, ("q1", "f1", "q2"), ("q1", "q2")) == 3  # it was drawn up to there by plan
    assert size_of(order, free, 2, (), ("q2",)) == 5
    assert size_of(order, free, 6, (), ("q2",)) == 6


# what is shown


def test_what_is_shown_cannot_steer_a_terminal() -> None:
    assert answer_text("a\x1b[2Jb\x07\tc\r\nd\u202ee") == "a�[2Jb�\tc\nd�e"


def test_inputs_are_shown_as_a_person_reads_them() -> None:
    system = {"role": "system", "content": "You sort messages."}
    assert asked_text([system, {"role": "user", "content": "Help"}]) == "Help"
    assert asked_text([{"role": "user", "content": "Help"}, {"role": "assistant", "content": "How?"}]) == "user: Help\nassistant: How?"
    assert asked_text({"question": "Where?", "n": 2}) == "question: Where?\nn: 2"
    assert answer_text({"queue": "cards"}) == '{"queue":"cards"}'
    assert "\n" in answer_text({"queue": "cards" * 20, "urgent": True})


def test_a_long_text_is_shown_piece_by_piece() -> None:
    text = "\n".join(f"line {n}" for n in range(100))
    shown = excerpt(text)
    assert shown.text.endswith("line 15")
    assert shown.hidden == len(text) - len(shown.text)
    assert excerpt("x" * 5_000).hidden == 3_800
    assert excerpt(text, 16) == (text, 0)


def test_a_typed_correction_is_of_the_answers_kind() -> None:
    assert typed_correction(" loan ", ("transfer", "card")) == "loan"
    assert typed_correction('{"queue":"cards"}', ({"queue": "cards"}, {"queue": "loans"})) == {"queue": "cards"}
    assert typed_correction('{"queue": "new"}', ({"queue": "cards"},)) == {"queue": "new"}
    assert typed_correction("3", (1, 2)) == 3
    assert typed_correction("3", ("1", "2")) == "3"
    assert digest_of(typed_correction("x {", (1,))) == digest_of("x {")
