"""What calls teach once somebody has spoken, and what a crowd cannot make them teach."""

from datetime import UTC, datetime, timedelta
from typing import Any

from freehold.catalog import Reward
from freehold.feedback.lessons import examples_of, named_in, preferences_of
from freehold.feedback.preference import preference_json
from freehold.journal.call import Call, Feedback

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
CALL = Call(id="c", variant="cheap", item="m1", input="My card is gone", output="loans")
OTHER = Call(id="d", variant="frontier", item="m1", input="My card is gone", output="cards")


def said(kind: Any, content: Any, source: str = "person:ann", author: str | None = None, n: int = 0, call: str = "c") -> Feedback:
    return Feedback(
        id=f"{kind}/{source}/{author}/{n}",
        call=call,
        metric="correct",
        kind=kind,
        content=content,
        source=source,
        author=author,
        at=NOON + timedelta(minutes=n),
    )


def test_a_correction_is_an_example_and_beside_the_answer_a_preference() -> None:
    corrected = [said("correction", "cards")]
    (example,) = examples_of(CALL, corrected)
    assert (example.input, example.output, example.feedback) == ("My card is gone", "cards", ("correction/person:ann/None/0",))
    (pair,) = preferences_of(CALL, corrected, {})
    assert (pair.chosen, pair.rejected, pair.chosen_call, pair.rejected_call) == ("cards", "loans", None, "c")


def test_a_correction_that_says_the_answer_is_an_example_and_no_preference() -> None:
    confirmed = [said("correction", "loans")]
    assert examples_of(CALL, confirmed)[0].output == "loans"
    assert preferences_of(CALL, confirmed, {}) == ()


def test_the_last_correction_of_one_voice_counts() -> None:
    assert examples_of(CALL, [said("correction", "fraud", n=0), said("correction", "cards", n=1)])[0].output == "cards"


def test_where_people_disagree_evenly_nothing_is_taught() -> None:
    both = [said("correction", "cards"), said("correction", "fraud", "person:ben")]
    assert examples_of(CALL, both) == ()
    third = [*both, said("correction", "cards", "person:cid")]
    assert examples_of(CALL, third)[0].feedback == ("correction/person:ann/None/0", "correction/person:cid/None/0")


def test_a_crowd_alone_teaches_nothing_and_cannot_outvote_a_person() -> None:
    crowd = [said("correction", "poison", "user", f"u{n}") for n in range(1000)]
    crowd += [said("preference", preference_json("better_than", "d"), "user", f"u{n}") for n in range(1000)]
    assert examples_of(CALL, crowd) == ()
    assert preferences_of(CALL, crowd, {"d": OTHER}) == ()
    assert examples_of(CALL, [*crowd, said("correction", "cards")])[0].output == "cards"
    assert examples_of(CALL, crowd, Reward(at_most={}))[0].output == "poison"  # where the task says that users may


def test_of_two_calls_the_better_one_teaches_the_pair() -> None:
    worse = [said("preference", preference_json("worse_than", "d"))]
    better = [said("preference", preference_json("better_than", "c"), call="d")]
    assert named_in(worse) == {"d"}
    assert preferences_of(CALL, worse, {"d": OTHER}) == ()
    (pair,) = preferences_of(OTHER, better, {"c": CALL})
    assert (pair.chosen, pair.rejected, pair.chosen_call, pair.rejected_call) == ("cards", "loans", "d", "c")


def test_an_answer_that_no_call_gave_is_compared_as_well() -> None:
    for verdict, chosen, rejected in (("better_than", "loans", "cards"), ("worse_than", "cards", "loans")):
        (pair,) = preferences_of(CALL, [said("preference", preference_json(verdict, answer="cards"))], {})  # type: ignore[arg-type]
        assert (pair.chosen, pair.rejected) == (chosen, rejected)
    assert preferences_of(CALL, [said("preference", preference_json("same_as", answer="cards"))], {}) == ()


def test_what_is_not_kept_teaches_nothing() -> None:
    unseen = Call(id="c", variant="cheap", item="m1")
    assert examples_of(unseen, [said("correction", "cards")]) == ()
    assert examples_of(CALL, [said("correction", None)]) == ()
    assert preferences_of(CALL, [said("preference", preference_json("better_than", answer=None))], {}) == ()
    assert preferences_of(CALL, [said("preference", preference_json("better_than", "gone"))], {}) == ()
