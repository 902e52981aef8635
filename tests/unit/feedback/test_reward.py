"""A reward: which word counts, how much, and what is told where there is none."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from freehold.catalog import Catalog, Metric, Reward
from freehold.errors import OperatorError
from freehold.feedback.preference import preference_json
from freehold.feedback.reward import Rewarded, reward
from freehold.journal.call import Feedback
from freehold.journal.rows import digest_of

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
CATALOG = Catalog(metrics={"correct": Metric(id="correct", kind="binary"), "stars": Metric(id="stars", range=(1, 5))})
CORRECT = Reward(metrics={"correct": 1.0})


def word(value: float | None, source: str, author: str | None = None, n: int = 0, **more: Any) -> Feedback:
    """Something said of the call; `n` minutes after noon."""
    more = {"metric": "correct", "call": "c", **more}
    id = f"{source}/{author}/{n}/{more['metric']}/{more.get('kind')}/{more['call']}"
    return Feedback(id=id, value=value, source=source, author=author, at=NOON + timedelta(minutes=n), **more)


def given(rule: Reward, *said: Feedback, answer: str | None = None) -> Rewarded:
    return reward(rule, said, CATALOG, answer)


def test_one_word_is_the_reward() -> None:
    found = given(CORRECT, word(1, "verifier:tests"))
    assert (found.value, found.why, found.words[0].share) == (1.0, "", 1.0)


def test_words_are_averaged_by_what_their_sources_weigh() -> None:
    assert given(CORRECT, word(1, "person:ann"), word(0, "judge:gpt")).value == pytest.approx(2 / 3)


def test_one_source_may_weigh_otherwise_than_its_kind() -> None:
    rule = Reward(metrics={"correct": 1}, trust={"judge:gpt": 3, "judge": 1})
    assert given(rule, word(1, "judge:gpt"), word(0, "judge:other")).value == 0.75


def test_a_source_that_comes_first_is_heard_alone() -> None:
    rule = Reward(metrics={"correct": 1}, first=("verifier", "person"))
    found = given(rule, word(0, "person:ann"), word(1, "judge:gpt"))
    assert found.value == 0.0
    assert found.unheard[0].why == "'person' spoke, and comes first"


def test_whoever_repeats_himself_counts_once_and_by_his_last_word() -> None:
    found = given(CORRECT, *[word(0, "person:ann", n=n) for n in range(9)], word(1, "person:ann", n=9), word(0, "person:ben"))
    assert found.value == 0.5
    assert {each.why for each in found.unheard} == {"the same voice said more since"}


def test_all_without_a_name_are_one_voice_that_says_their_mean() -> None:
    rule = Reward(metrics={"correct": 1}, at_most={}, voices={})
    found = given(rule, word(1, "user", n=0), word(0, "user", n=1), word(0, "user", "u1"))
    assert [(each.author, each.value, each.share) for each in found.words] == [(None, 0.5, 0.5), ("u1", 0.0, 0.5)]


def test_few_users_are_not_heard() -> None:
    found = given(CORRECT, word(1, "person:ann"), word(0, "user", "u1"), word(0, "user", "u2"))
    assert found.value == 1.0
    assert {each.why for each in found.unheard} == {"2 of the 3 voices of 'user' that it takes spoke"}


def test_many_users_have_a_quarter_of_the_weight_together() -> None:
    crowd = [word(0, "user", f"u{n}") for n in range(500)]
    found = given(CORRECT, word(1, "person:ann"), *crowd)
    assert found.value == 0.75
    assert sum(each.share for each in found.words if each.source == "user") == pytest.approx(0.25)


def test_users_alone_make_no_reward_unless_the_rule_lets_them() -> None:
    crowd = [word(1, "user", f"u{n}") for n in range(5)]
    found = given(CORRECT, *crowd)
    assert (found.value, found.why) == (None, "correct: only 'user', whose voices may have 0.25 of the weight, spoke")
    assert given(Reward(metrics={"correct": 1}, at_most={"user": 1}), *crowd).value == 1.0


def test_a_correction_is_worth_what_the_rule_says_unless_it_changes_nothing() -> None:
    corrected = word(None, "person:ann", kind="correction", content="cards")
    assert given(CORRECT, corrected).value == 0.0
    assert given(Reward(metrics={"correct": 1}, corrected=0.3), corrected).value == 0.3
    assert given(CORRECT, corrected, answer=digest_of("cards")).value == 1.0


def test_a_score_says_more_than_the_correction_beside_it() -> None:
    assert given(CORRECT, word(1, "person:ann"), word(None, "person:ann", n=1, kind="correction", content="cards")).value == 1.0


def test_preferences_of_one_voice_are_averaged() -> None:
    found = given(
        CORRECT,
        word(None, "person:ann", n=0, kind="preference", content=preference_json("better_than", "d")),
        word(None, "person:ann", n=1, kind="preference", content=preference_json("same_as", answer="cards")),
        word(None, "person:ann", n=2, kind="preference", content={"nonsense": 1}),
    )
    assert found.value == 0.75
    assert [each.why for each in found.unheard] == ["it is no preference that can be read"]


def test_a_label_is_worth_what_the_rule_says() -> None:
    rule = Reward(metrics={"correct": 1}, labels={"helpful": 0.8})
    found = given(rule, word(None, "person:ann", kind="label", content="helpful"), word(None, "person:ben", kind="label", content="odd"))
    assert found.value == 0.8
    assert [each.why for each in found.unheard] == ["the reward does not say what this label is worth"]


def test_metrics_count_by_their_weights_and_those_nobody_judged_do_not() -> None:
    rule = Reward(metrics={"correct": 3, "stars": 1})
    assert given(rule, word(1, "person:ann"), word(1, "person:ann", metric="stars")).value == 0.75
    assert given(rule, word(1, "person:ann")).value == 1.0


def test_a_metric_that_is_needed_is_waited_for() -> None:
    rule = Reward(metrics={"correct": 3, "stars": 1}, needs=("correct",))
    found = given(rule, word(5, "verifier:form", metric="stars"))
    assert (found.value, found.why) == (None, "it takes a word on 'correct': nobody said anything that counts")


def test_a_word_about_the_episode_counts_for_its_calls_and_less_than_one_about_the_call() -> None:
    about_run = word(0, "person:ann", call=None, episode="e")
    assert given(CORRECT, about_run).value == 0.0
    assert given(CORRECT, about_run, word(1, "person:ben")).value == pytest.approx(2 / 3)
    assert given(CORRECT, about_run, word(1, "person:ann", n=1)).value == 1.0


def test_what_is_no_score_of_its_metric_is_left_out_with_a_reason() -> None:
    found = given(CORRECT, word(0.5, "judge:gpt"), word(1, "person:ann"))
    assert found.value == 1.0
    assert "neither 0 nor 1" in found.unheard[0].why


def test_a_comment_is_worth_nothing_and_other_metrics_are_told() -> None:
    found = given(CORRECT, word(None, "user", "u", kind="comment", content="hm"), word(1, "person:ann", metric="tone"))
    assert found.value is None
    assert [each.why for each in found.unheard] == ["'tone' is no metric of this reward"]


@pytest.mark.parametrize(
    ("gives", "value", "why"),
    [
        (0.4, 0.4, ""),
        (True, 1.0, ""),
        (None, None, "the reward's function has none"),
        (2, None, "the reward's function gave 2; expected a number from 0 to 1, or None"),
        (float("nan"), None, "the reward's function gave nan; expected a number from 0 to 1, or None"),
    ],
)
def test_a_program_may_say_the_reward_itself(gives: float | None, value: float | None, why: str) -> None:
    found = reward(lambda said: gives, [], CATALOG)
    assert (found.value, found.why) == (value, why)


def test_a_function_that_fails_is_no_reward_and_no_failure() -> None:
    found = reward(lambda said: 1 / len(said), [], CATALOG)
    assert found.why == "the reward's function failed: ZeroDivisionError: division by zero"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"trust": {"jugde": 1}}, "reward.trust names the source 'jugde'. Did you mean 'judge'?"),
        ({"at_most": {"user": 2}}, "reward.at_most.user is 2; it is a number from 0 to 1"),
        ({"voices": {"user": 0}}, "reward.voices.user is 0; it is a number from 1 up"),
        ({"metrics": {"correct": 0}}, "reward.metrics gives every metric a weight of 0; one at least has to count"),
        ({"kinds": ("comment",)}, "reward.kinds has 'comment'; a comment is worth no number, and is not heard"),
    ],
)
def test_a_rule_checks_itself(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(OperatorError) as raised:
        Reward(**wrong)
    assert message in str(raised.value)
