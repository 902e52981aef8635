"""The demo's traffic is what it says it is: prose in many voices, none by template, and a simulation anybody can repeat."""

import re
from collections import Counter, defaultdict
from functools import cache
from typing import Any

import numpy as np
import pytest

from freehold.demo import METRIC, PROJECT, Message, Resemblance, messages, resemblances, simulate
from freehold.training.heads import fit_head

DESK = messages()
WORDS = [re.findall(r"[a-z0-9']+", message.text.lower()) for message in DESK]
MOST_STANDS = 3
"""How often a frame may stand."""


def grams(words: list[str]) -> set[tuple[str, ...]]:
    """A message's word 3-grams; one of fewer words is its own."""
    return set(zip(words, words[1:], words[2:], strict=False)) or {tuple(words)}


def test_there_are_enough_messages_intents_and_voices() -> None:
    assert len(DESK) >= 2_000
    assert len({m.intent for m in DESK}) >= 20
    assert len({m.voice for m in DESK}) >= 30
    assert min(Counter(m.intent for m in DESK).values()) >= 50
    assert min(Counter(m.voice for m in DESK).values()) >= 20


def test_no_message_stands_twice_and_none_is_empty() -> None:
    assert len({m.text for m in DESK}) == len(DESK)
    assert all(m.text.strip() for m in DESK)


def test_no_two_messages_share_more_than_half_of_their_word_3_grams() -> None:
    all_grams = [grams(words) for words in WORDS]
    where: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for k, mine in enumerate(all_grams):
        shared = Counter(other for gram in mine for other in where[gram])
        for other, count in shared.items():
            assert count <= 0.5 * min(len(mine), len(all_grams[other])), (DESK[k].text, DESK[other].text)
        for gram in mine:
            where[gram].append(k)


def frames(kind: str) -> list[tuple[str, ...]]:
    """What a template would leave behind in each message."""
    if kind == "first four words":
        return [tuple(words[:4]) for words in WORDS]
    if kind == "last four words":
        return [tuple(words[-4:]) for words in WORDS]
    frequent = {word for word, _ in Counter(word for words in WORDS for word in words).most_common(120)}
    return [tuple(word if word in frequent else "_" for word in words) for words in WORDS]


@pytest.mark.parametrize("kind", ["first four words", "last four words", "skeleton of frequent words"])
def test_no_frame_stands_more_than_three_times(kind: str) -> None:
    (often, count), *_ = Counter(frames(kind)).most_common(1)
    assert count <= MOST_STANDS, " ".join(often)


@pytest.mark.slow
def test_a_heads_ten_fold_accuracy_is_neither_poor_nor_perfect() -> None:
    """Between .75 and .95: hard enough that routing matters, learnable enough that a head is worth training."""
    fold_N = np.random.default_rng(0).permutation(len(DESK)) % 10
    head, probability_NC = fit_head([m.text for m in DESK], [m.intent for m in DESK], fold_N)
    answers = [head.answers[c] for c in np.argmax(probability_NC, axis=1)]
    assert 0.75 < np.mean([answer == m.intent for answer, m in zip(answers, DESK, strict=True)]) < 0.95


# The simulation

SEEDS = (0, 1, 2)


@cache
def simulated(seed: int) -> list[dict[str, Any]]:
    """The records of a simulation."""
    return list(simulate(seed))


@cache
def seen() -> list[Resemblance]:
    """How hard each message is, and what it resembles."""
    return resemblances(DESK)


def is_wrong(seed: int, variant: str) -> list[bool]:
    """Whether the variant's answer is wrong, by message."""
    return [r["scores"][METRIC] == 0 for r in sorted(simulated(seed), key=lambda r: r["item"]) if r["variant"] == variant]


def test_every_message_is_answered_once_by_both_models_with_its_right_intent_told() -> None:
    assert Counter(r["variant"] for r in simulated(0)) == {"frontier": len(DESK), "cheap": len(DESK)}
    for record in simulated(0):
        message = DESK[int(record["item"][1:])]
        assert record["reference_output"] == message.intent
        assert record["scores"][METRIC] == float(record["output"] == message.intent)
        assert record["input"][1]["content"] == message.text


def test_a_seed_gives_the_same_traffic_and_another_one_other_errors() -> None:
    assert list(simulate(0)) == simulated(0)
    assert is_wrong(1, "cheap") != is_wrong(0, "cheap")


def test_the_dear_model_errs_seldom_and_the_cheap_one_more_three_seeds() -> None:
    rates = {variant: np.mean([is_wrong(seed, variant) for seed in SEEDS]) for variant in ("frontier", "cheap")}
    assert rates["frontier"] == pytest.approx(0.03, abs=0.01)
    assert rates["cheap"] == pytest.approx(0.10, abs=0.03)


def test_errors_depend_on_the_message_three_seeds() -> None:
    """The hardest fifth by resemblance is where the cheap model errs, and its wrong answer is what the message resembles."""
    hardest = np.argsort([r.difficulty for r in seen()])[-len(DESK) // 5 :]
    errs = np.mean([is_wrong(seed, "cheap") for seed in SEEDS], axis=0)
    assert errs[hardest].mean() > 3 * np.delete(errs, hardest).mean()
    assert all(r["output"] == seen()[int(r["item"][1:])].lookalike for r in simulated(0) if r["scores"][METRIC] == 0)


def test_a_messages_own_voice_has_no_part_in_how_hard_it_is() -> None:
    """Left out, so that a voice's habits do not make its own messages look easy: a voice told twice changes nothing for itself."""
    few = [m for m in DESK if m.voice in sorted({m.voice for m in DESK})[:6]]
    voice = few[0].voice
    twice = [*few, *(Message(m.voice, m.intent, m.text + " and " + m.text) for m in few if m.voice == voice)]
    before, after = resemblances(few), resemblances(twice)
    assert [(b, a) for b, a, m in zip(before, after, few, strict=False) if m.voice == voice and b.lookalike != a.lookalike] == []


def test_tokens_latencies_and_times_are_those_of_sixty_days_at_the_desk() -> None:
    times = [r["at"] for r in simulated(0) if r["variant"] == "frontier"]
    assert times == sorted(times)
    assert times[0] >= "2026-06-01"
    assert times[-1] < "2026-07-31"
    assert 900 < np.median([r["latency_ms"] for r in simulated(0) if r["variant"] == "frontier"]) < 1300
    assert all(420 < r["usage"]["input_tokens"] < 1000 for r in simulated(0))


def test_the_project_file_prices_both_models_a_price_ratio_of_sixteen() -> None:
    assert "input_per_mtok = 2.5" in PROJECT
    assert "input_per_mtok = 0.15" in PROJECT
