"""Whatever is said in whatever order, a reward is a mean of words, and no source moves it by more than its share."""

import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.catalog import Catalog, Reward
from freehold.feedback.preference import preference_json
from freehold.feedback.reward import reward
from freehold.feedback.voices import capped
from freehold.journal.call import Feedback

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
SOURCES = ("verifier:tests", "person:ann", "person:ben", "judge:a", "judge:b", "scorer:f1", "import", "user")
share = st.floats(0, 1).map(lambda value: round(value, 3))


@st.composite
def rules(draw: st.DrawFn) -> Reward:
    return Reward(
        metrics=draw(st.dictionaries(st.sampled_from(["a", "b"]), st.floats(0.1, 5), min_size=1)),
        trust=draw(st.dictionaries(st.sampled_from(["judge", "judge:a", "user", "person"]), share)),
        first=tuple(draw(st.lists(st.sampled_from(["verifier", "person", "judge"]), unique=True, max_size=2))),
        at_most=draw(st.dictionaries(st.sampled_from(["user", "judge", "import"]), share)),
        voices=draw(st.dictionaries(st.sampled_from(["user", "judge"]), st.integers(1, 4))),
        episode=draw(share),
    )


@st.composite
def spoken(draw: st.DrawFn, sources: tuple[str, ...] = SOURCES, most: int = 12) -> list[Feedback]:
    said = []
    for n in range(draw(st.integers(0, most))):
        kind = draw(st.sampled_from(["score", "correction", "preference", "comment"]))
        content = {"correction": "x", "comment": "x", "preference": preference_json("better_than", "d"), "score": None}[kind]
        on_call = draw(st.booleans())
        said.append(
            Feedback(
                id=f"{sources[0]}{n}",
                call="c" if on_call else None,
                episode=None if on_call else "e",
                metric=draw(st.sampled_from(["a", "b", "c"])),
                kind=kind,
                value=draw(share) if kind == "score" else None,
                content=content,
                source=draw(st.sampled_from(sources)),
                author=draw(st.sampled_from([None, "u1", "u2", "u3", "u4"])),
                at=NOON + timedelta(seconds=draw(st.integers(0, 5))),
            )
        )
    return said


@given(rules(), spoken(), st.randoms(use_true_random=False))
def test_a_reward_is_a_mean_of_words_in_any_order_and_everything_is_accounted_for(
    rule: Reward, said: list[Feedback], rng: random.Random
) -> None:
    found = reward(rule, said, Catalog())
    assert (found.value is None) == bool(found.why) == (not found.words)
    if found.value is not None:
        assert 0 <= found.value <= 1
        assert sum(word.share for word in found.words) == pytest.approx(1)
        assert found.value == pytest.approx(sum(word.share * word.value for word in found.words))
        assert len({(word.metric, word.source, word.author) for word in found.words}) == len(found.words)
    used = [id for word in found.words for id in word.feedback]
    assert sorted(used + [each.feedback for each in found.unheard]) == sorted(each.id for each in said if each.kind != "comment")
    assert reward(rule, rng.sample(said, len(said)), Catalog()) == found


@given(rules(), spoken(SOURCES[:-1]), spoken(("user",), 40))
def test_users_move_a_reward_by_at_most_their_share(rule: Reward, said: list[Feedback], crowd: list[Feedback]) -> None:
    """Whatever others said, and whatever any number of users then say, the reward moves by at most `at_most` of users."""
    most = rule.at_most.get("user", 1.0)
    before, after = reward(rule, said, Catalog()), reward(rule, said + crowd, Catalog())
    if before.value is not None and after.value is not None and {w.metric for w in before.words} == {w.metric for w in after.words}:
        assert abs(after.value - before.value) <= most + 1e-9
    if most < 1 and not any(b.source != "user" for b in after.words):
        assert after.value is None


@given(st.dictionaries(st.sampled_from("abcd"), st.floats(0.01, 10), min_size=1), st.dictionaries(st.sampled_from("abcd"), share))
def test_shares_keep_below_their_caps_and_sum_to_one(weights: dict[str, float], most: dict[str, float]) -> None:
    found = capped(weights, most)
    if sum(most.get(name, 1.0) for name in weights) < 1 - 1e-9:
        assert found is None
    elif found is not None:
        assert sum(found.values()) == pytest.approx(1)
        assert all(share <= most.get(name, 1.0) + 1e-9 for name, share in found.items())
