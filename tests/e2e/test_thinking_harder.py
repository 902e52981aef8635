"""Variants that ask others: votes, the best of several, checks with revisions, guards and steps; alone, within each other, streamed and over HTTP."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any, Literal

import openai
import pytest
from pydantic import BaseModel
from test_gateway import running

import freehold
from at_work import CHEAP_USD, FRONTIER_USD, TOML, Desk, as_json, at_work, said_of
from freehold.chat import JSON
from freehold.errors import CallerError
from freehold.improve import add_program
from freehold.pipelines.failure import AnswerRefused, BudgetSpent, MalformedAnswer, NotAnswered, NotAsked, StepFailed, TookTooLong
from freehold.project import Project
from freehold.promotion.gate import promote
from simulated import NOW
from upstream import Said, hangs, openai_answer, refuses, says, whole

Answers = Callable[[Said], Iterator[bytes]]


class Sum(BaseModel):
    total: int


def one_after_the_other(*answers: Answers | JSON) -> Answers:
    """The first request is answered by the first of these, and so on; the last one answers all that come after."""
    n = count()
    ready = [one if callable(one) else says(one if isinstance(one, str) else as_json(one)) for one in answers]

    def answer(said: Said) -> Iterator[bytes]:
        return ready[min(next(n), len(ready) - 1)](said)

    return answer


def totals(*values: int) -> Answers:
    return one_after_the_other(*({"total": value} for value in values))


def no_answer(said: Said) -> Iterator[bytes]:
    return refuses(500, "we are down")


def refusal(said: Said) -> Iterator[bytes]:
    message = {"role": "assistant", "content": None, "refusal": "No."}
    return whole({**openai_answer("m"), "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with at_work(tmp_path) as found:
        yield found


def tasked(reference: Any, name: str, *variants: Any) -> freehold.task:  # type: ignore[valid-type]
    def add(numbers: str) -> Sum:
        """Add them."""

    return freehold.task(name=name, reference=reference, variants=variants)(add)


def causes(answer: freehold.Answer[Any]) -> list[tuple[str, str, str]]:
    return sorted((one.variant, one.cause, one.outcome) for one in answer.call.attempts)


# A vote.

voted = tasked(freehold.vote(3, "cheap"), "voted")


def test_the_answer_that_most_give_is_the_answer(desk: Desk) -> None:
    desk.up.answer = totals(5, 4, 5)
    answer = voted.answer("2 and 3")
    assert answer.value == Sum(total=5)
    assert (answer.call.variant, answer.call.output) == ("cheap-vote3", {"total": 5})
    assert causes(answer) == [("cheap", "sample", "answered")] * 3
    assert answer.call.cost_usd == pytest.approx(3 * CHEAP_USD) and answer.call.usage is not None
    assert answer.call.usage.output_tokens == 60
    assert desk.calls() == [answer.call]


def test_equal_answers_are_one_however_their_keys_are_ordered(desk: Desk) -> None:
    @freehold.task(reference=freehold.vote(3, "cheap"))
    def placed(text: str) -> dict[Literal["a", "b"], int]:
        """Place it."""

    desk.up.answer = one_after_the_other('{"a": 9, "b": 9}', '{"a": 1, "b": 2}', '{"b": 2, "a": 1}')
    answer = placed.answer("x")
    assert causes(answer) == [("cheap", "sample", "answered")] * 3
    assert answer.value == {"a": 1, "b": 2}
    form = desk.up.asked[0].body["response_format"]["json_schema"]
    assert form["strict"] is False  # such a type has no strict schema


@pytest.mark.parametrize(
    ("answers", "chosen"),
    [
        (({"total": 5}, no_answer, no_answer), 5),
        (("what?", {"total": 4}, "no"), 4),
        ((refusal, refusal, {"total": 3}), 3),
    ],
    ids=["fails", "malformed", "refuses"],
)
def test_who_fails_or_gives_no_answer_of_the_form_has_no_vote(desk: Desk, answers: Any, chosen: int) -> None:
    desk.up.answer = one_after_the_other(*answers)
    answer = voted.answer("2 and 3")
    assert answer.value == Sum(total=chosen)
    assert len(answer.call.attempts) == 3


@pytest.mark.parametrize(
    ("answers", "kind"),
    [(no_answer, NotAnswered), ("what?", MalformedAnswer), (refusal, AnswerRefused)],
    ids=["fail", "malformed", "refuse"],
)
def test_where_all_of_them_do_the_error_says_how_and_the_journal_has_the_attempts(desk: Desk, answers: Any, kind: type[StepFailed]) -> None:
    desk.up.answer = one_after_the_other(answers)
    with pytest.raises(kind) as found:
        voted("2 and 3")
    assert found.value.call is not None and len(found.value.call.attempts) == 3
    assert desk.calls() == [found.value.call]


def test_of_a_tie_it_is_the_first_sample_s(desk: Desk) -> None:
    """Whichever comes back first: the samples are numbered, and the seeds are counted up by their number."""
    tied = tasked(freehold.vote(2, freehold.ask("cheap", sampling=freehold.Sampling(seed=7))), "tied")
    desk.up.answer = says(lambda said: as_json({"total": said.body["seed"]}))
    assert tied("x") == Sum(total=7)
    assert sorted(said.body["seed"] for said in desk.up.asked) == [7, 8]


def test_a_policy_looks_at_how_many_agreed(tmp_path: Path) -> None:
    with at_work(tmp_path, voted="otherwise try cheap-vote3 accept confidence > 0.5 then frontier") as desk:
        desk.up.answer = totals(1, 2, 1)
        assert voted.answer("x").call.variant == "cheap-vote3"
        desk.up.answer = totals(1, 2, 3, 9)
        answer = voted.answer("y")
        assert (answer.value, answer.call.variant) == (Sum(total=9), "frontier")
        assert causes(answer) == [*[("cheap", "sample", "answered")] * 3, ("frontier", "escalation", "answered")]
        assert answer.call.cost_usd == pytest.approx(3 * CHEAP_USD + FRONTIER_USD)


def test_a_schema_that_is_refused_is_refused_to_all_of_them_and_all_are_asked_in_words(desk: Desk) -> None:
    desk.up.answer = lambda said: (
        refuses(400, "response_format is not supported") if "response_format" in said.body else says('{"total": 1}')(said)
    )
    answer = voted.answer("x")
    assert [one.outcome for one in answer.call.attempts].count("answered") == 3
    voted("y")
    assert all("response_format" not in said.body for said in desk.up.asked[-3:])


# The best of several.


@pytest.mark.parametrize(
    ("score", "best"),
    [
        (lambda answer: answer.total, 9),
        (lambda answer: -answer.total, 1),
        (lambda answer: 1 / (answer.total - 9), 1),  # it raises for 9
        (lambda answer: float("nan") if answer.total == 9 else answer.total, 4),
        (lambda answer: "no number" if answer.total == 9 else answer.total, 4),
        (lambda answer: 0, 1),
    ],
    ids=["highest", "lowest", "raises", "nan", "text", "equal"],
)
def test_the_answer_that_a_scorer_puts_highest_is_the_answer(desk: Desk, score: Any, best: int) -> None:
    """One that it cannot score is not chosen; of equals it is one of those that came."""
    best_task = tasked(freehold.best_of(3, "cheap", score), "best")
    desk.up.answer = totals(1, 9, 4)
    answer = best_task.answer("x")
    assert answer.value.total == best or (best == 1 and score(answer.value) == score(Sum(total=1)))
    assert answer.call.cost_usd == pytest.approx(3 * CHEAP_USD)


def _sleeps(answer: Sum) -> float:
    time.sleep(1)
    return 1


def test_a_scorer_that_can_score_none_is_a_clear_error(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """They are scored at one time, so that one that hangs takes its deadline once."""
    hanging = tasked(freehold.best_of(3, "cheap", _sleeps, deadline_s=0.1), "hanging_score")
    desk.up.answer = totals(1, 9, 4)
    began = time.monotonic()
    with pytest.raises(NotAnswered, match=r"_sleeps took longer than 0.1 s") as found:
        hanging("x")
    assert time.monotonic() - began < 0.9
    assert found.value.call is not None and len(found.value.call.attempts) == 3
    assert "function.failed" in caplog.text


# A check, and revisions.


def _is_even(answer: Sum) -> str | bool:
    return answer.total % 2 == 0 or "it has to be even"


checked = tasked(freehold.verify(_is_even, "cheap", most=2), "checked", "frontier")


def test_an_answer_that_the_check_accepts_at_once_is_paid_once(desk: Desk) -> None:
    desk.up.answer = totals(4)
    answer = checked.answer("x")
    assert (answer.value.total, causes(answer)) == (4, [("cheap", "sample", "answered")])


def test_an_answer_that_is_not_accepted_is_given_back_with_what_is_wrong(desk: Desk) -> None:
    desk.up.answer = totals(3, 5, 6)
    answer = checked.answer("x")
    assert answer.value.total == 6
    assert causes(answer) == [("cheap", "revision", "answered")] * 2 + [("cheap", "sample", "answered")]
    last = [(message["role"], message["content"]) for message in desk.up.asked[-1].body["messages"][1:]]
    assert [role for role, _ in last] == ["user", "assistant", "user", "assistant", "user"]
    assert json.loads(last[1][1]) == {"total": 3} and "it has to be even" in last[2][1] and json.loads(last[3][1]) == {"total": 5}


def test_what_is_never_accepted_is_the_last_answer_and_a_policy_sees_that(tmp_path: Path) -> None:
    with at_work(tmp_path, checked="otherwise try cheap-verified accept verified then frontier") as desk:
        desk.up.answer = totals(3, 5, 7, 8)
        answer = checked.answer("x")
        assert (answer.value.total, answer.call.variant) == (8, "frontier")
    with at_work(tmp_path) as desk:
        active = desk.at.resources.served.policies.pop("checked")
        assert active is not None
        desk.up.answer = totals(3, 5, 7)
        assert checked("x").total == 7


def test_a_model_may_look_at_the_answer_of_another(desk: Desk) -> None:
    looked = tasked(freehold.verify("frontier", "cheap"), "looked")
    desk.up.answer = one_after_the_other({"total": 3}, 'Hm. {"right": false, "why": "3 is odd"}', {"total": 4}, '{"right": true}')
    answer = looked.answer("x")
    assert answer.value.total == 4 and desk.models == ["gpt-mini", "gpt-x", "gpt-mini", "gpt-x"]
    assert [one.cause for one in answer.call.attempts] == ["sample", "check", "revision", "check"]
    assert "response_format" not in desk.up.asked[1].body and "3 is odd" in said_of(desk.up.asked[2])


def _raises(answer: Sum) -> bool:
    raise ValueError("what is this")


@pytest.mark.parametrize("check", [_raises, _sleeps, "frontier"], ids=["raises", "hangs", "gives no verdict"])
def test_a_check_that_fails_says_nothing_about_the_answer_so_the_next_variant_is_asked(tmp_path: Path, check: Any) -> None:
    name = f"ill_checked_{check if isinstance(check, str) else check.__name__}"
    ill = tasked(freehold.verify(check, "cheap", deadline_s=0.1, name="ill"), name, "claude")
    with at_work(tmp_path, **{name: "otherwise try ill accept verified then claude"}) as desk:
        desk.up.answer = totals(3)
        answer = ill.answer("x")
        assert (answer.value.total, answer.call.variant) == (3, "claude")


def test_where_nobody_comes_next_the_error_says_what_the_check_did(desk: Desk) -> None:
    ill = tasked(freehold.verify(_raises, "cheap"), "ill_alone")
    desk.up.answer = totals(3)
    with pytest.raises(NotAnswered, match="_raises raised ValueError: what is this") as found:
        ill("x")
    assert found.value.call is not None and len(found.value.call.attempts) == 1


# Steps, and effort.

thought = tasked(freehold.think("cheap"), "thought")


def test_steps_are_asked_for_before_the_answer_and_kept_apart_from_it(desk: Desk) -> None:
    desk.up.answer = says('{"steps": "2 and 3 are 5.", "answer": {"total": 5}}')
    answer = thought.answer("x")
    assert (answer.value, answer.call.output, answer.call.variant) == (Sum(total=5), {"total": 5}, "cheap-think")
    schema = desk.up.asked[0].body["response_format"]["json_schema"]["schema"]
    assert list(schema["properties"]) == ["steps", "answer"]


def test_who_goes_without_steps_is_understood(desk: Desk) -> None:
    desk.up.answer = totals(5)
    assert thought("x") == Sum(total=5)


def test_steps_are_no_part_of_what_is_streamed(desk: Desk) -> None:
    @freehold.task(reference=freehold.think("cheap"))
    def thought_text(text: str) -> str:
        """Say it."""

    async def pieces(stream: Any) -> list[Any]:
        return [piece async for piece in stream]

    desk.up.answer = says('{"steps": "I think and think and think.", "answer": "It is five, I say."}', wait_s=0.01)
    found = asyncio.run(pieces(thought_text.stream("x")))
    assert found[-1] == "It is five, I say." and all(found[-1].startswith(piece) for piece in found)


def test_effort_is_the_provider_s_word(desk: Desk) -> None:
    hard = tasked(freehold.think("cheap", effort="high"), "hard")
    desk.up.answer = totals(5)
    assert hard("x").total == 5
    assert desk.up.asked[0].body["reasoning_effort"] == "high"
    assert "steps" not in desk.up.asked[0].body["response_format"]["json_schema"]["schema"]["properties"]


# Guards.


def _may_be_asked(numbers: str) -> Any:
    if numbers == "bad":
        raise freehold.Refuse("that is no sum")
    return freehold.Pass if numbers == "pass" else numbers != "no"


guarded = tasked("frontier", "guarded", freehold.guard("cheap", before=_may_be_asked, after=lambda answer: answer.total < 100))
GUARDED = "otherwise try cheap-guarded accept answer_chars > 0 then frontier"


@pytest.mark.parametrize("said", ["no", "pass"])
def test_a_guard_that_says_no_hands_on_before_anybody_is_paid(tmp_path: Path, said: str) -> None:
    with at_work(tmp_path, guarded=GUARDED) as desk:
        desk.up.answer = totals(5)
        assert guarded.answer("yes").call.variant == "cheap-guarded"
        assert (guarded.answer(said).call.variant, desk.models) == ("frontier", ["gpt-mini", "gpt-x"])


def test_a_guard_after_hands_on_where_the_answer_will_not_do(tmp_path: Path) -> None:
    with at_work(tmp_path, guarded=GUARDED) as desk:
        desk.up.answer = totals(1000, 7)
        answer = guarded.answer("yes")
        assert (answer.value.total, answer.call.variant) == (7, "frontier")
        assert answer.call.cost_usd == pytest.approx(CHEAP_USD + FRONTIER_USD)


def test_a_guard_that_refuses_has_nobody_answer(tmp_path: Path) -> None:
    with at_work(tmp_path, guarded=GUARDED) as desk:
        with pytest.raises(AnswerRefused, match="that is no sum"):
            guarded("bad")
        assert desk.up.asked == []


def test_after_an_answer_a_guard_that_refuses_ends_the_call_and_it_is_journalled(desk: Desk) -> None:
    def after(answer: Sum) -> bool:
        raise freehold.Refuse("not this")

    refused = tasked(freehold.guard("cheap", after=after), "refused_after")
    desk.up.answer = totals(5)
    with pytest.raises(AnswerRefused, match="not this") as found:
        refused("x")
    assert found.value.call is not None and (found.value.call.outcome, len(found.value.call.attempts)) == ("refused", 1)


def test_where_nobody_comes_after_a_guard_that_says_no_the_error_says_so(desk: Desk) -> None:
    alone = tasked(freehold.guard("cheap", before=_may_be_asked), "guard_alone")
    with pytest.raises(NotAsked, match="the guard before 'cheap'.*nobody comes after it"):
        alone("no")


# Within each other.


def test_they_compose_three_deep_and_each_sample_has_a_seed_of_its_own(desk: Desk) -> None:
    seeded = freehold.ask("cheap", sampling=freehold.Sampling(seed=10))
    deep = tasked(
        freehold.guard(freehold.vote(2, freehold.best_of(3, seeded, lambda answer: answer.total)), after=lambda a: a.total > 0), "deep"
    )
    desk.up.answer = says(lambda said: as_json({"total": said.body["seed"]}))
    answer = deep.answer("x")
    assert sorted(said.body["seed"] for said in desk.up.asked) == [10, 11, 12, 13, 14, 15]
    assert answer.value.total == 12 and len(answer.call.attempts) == 6
    assert answer.call.cost_usd == pytest.approx(6 * CHEAP_USD)


def test_a_vote_that_is_asked_for_a_revision_is_told_what_was_wrong(desk: Desk) -> None:
    revised = tasked(freehold.verify(_is_even, freehold.vote(2, "cheap")), "revised_vote")
    desk.up.answer = says(lambda said: as_json({"total": 4 if "it has to be even" in said_of(said) else 3}))
    answer = revised.answer("x")
    assert answer.value.total == 4 and len(answer.call.attempts) == 4


def test_a_vote_may_be_the_check(desk: Desk) -> None:
    judged = tasked(freehold.verify(freehold.vote(3, "frontier"), "cheap"), "judged")
    desk.up.answer = says(lambda said: '{"right": true}' if said.body["model"] == "gpt-x" else '{"total": 3}')
    answer = judged.answer("x")
    assert answer.value.total == 3 and [one.cause for one in answer.call.attempts].count("sample") == 4


# As it is under way.


def test_what_is_composed_can_be_streamed_and_comes_when_it_is_decided(desk: Desk) -> None:
    async def pieces() -> list[Sum]:
        return [piece async for piece in voted.stream("x")]

    desk.up.answer = totals(5, 4, 5)
    assert asyncio.run(pieces())[-1] == Sum(total=5)


def test_who_is_cancelled_in_the_middle_leaves_nothing_running_and_the_attempts_in_the_journal(desk: Desk) -> None:
    desk.up.answer = one_after_the_other({"total": 5}, hangs)

    async def impatient() -> None:
        asking = asyncio.create_task(voted.acall("x"))
        while len(desk.up.asked) < 3:
            await asyncio.sleep(0.01)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking

    asyncio.run(impatient())
    until = time.monotonic() + 5
    while (desk.up.broken_off < 2 or not desk.calls()) and time.monotonic() < until:
        time.sleep(0.01)
    [call] = desk.calls()
    assert (call.outcome, desk.up.broken_off) == ("cancelled", 2)
    assert sorted(one.outcome for one in call.attempts)[-2:] == ["cancelled", "cancelled"] and len(call.attempts) == 3


def test_a_deadline_holds_for_all_of_it(desk: Desk) -> None:
    checked_slowly = tasked(freehold.verify(lambda answer: "again", "cheap"), "slow_check")
    desk.up.answer = totals(5)
    checked_slowly("first")
    desk.up.answer = one_after_the_other({"total": 5}, hangs)
    with pytest.raises(TookTooLong) as found, freehold.scope(deadline_s=1):
        checked_slowly("x")
    assert found.value.call is not None and found.value.call.outcome == "timed_out"
    assert [one.cause for one in found.value.call.attempts] == ["sample", "revision"]


def test_all_the_samples_have_to_fit_into_a_budget_before_the_first_is_asked(desk: Desk) -> None:
    desk.up.answer = totals(5)
    with freehold.scope(budget_usd=0.1), pytest.raises(BudgetSpent):
        voted("x")  # three times at most $0.041
    assert desk.up.asked == []
    with freehold.scope(budget_usd=0.15):
        voted("x")
    assert len(desk.up.asked) == 3


def test_what_a_revision_is_told_besides_the_question_has_to_fit_as_well(desk: Desk) -> None:
    """As many answers without what was wrong with the ones before would fit."""
    checked = tasked(freehold.verify(lambda answer: "again", "cheap", most=2), "looked_through")
    desk.up.answer = totals(5)
    with freehold.scope(budget_usd=0.13), pytest.raises(BudgetSpent):
        checked("x")
    assert desk.up.asked == []
    with freehold.scope(budget_usd=0.15):
        checked("x")
    assert [len(said.body["messages"]) for said in desk.up.asked] == [2, 4, 6]


# Over HTTP.

GATEWAY = (
    TOML
    + """
[variants.three]
kind = "vote"
of = "cheap"
n = 3
[variants.looked]
kind = "verify"
of = "cheap"
by = "frontier"
n = 1
[tasks.sort]
reference = "frontier"
variants = ["frontier", "three", "looked"]
allow_uncertified = true
"""
)


def test_a_vote_and_a_check_are_asked_over_http_through_a_policy(tmp_path: Path) -> None:
    (tmp_path / "policy").write_text("task sort\nwhen chars > 6 use looked\notherwise try three accept confidence > 0.5 then frontier")
    with running(tmp_path, [], GATEWAY) as served:
        with Project.at(tmp_path) as project:
            add_program(project, tmp_path / "policy")
            promote(project.store, "default", project.task("sort"), None, "ann", NOW)

        def ask(text: str, **more: Any) -> Any:
            return served.openai().chat.completions.with_raw_response.create(
                model="freehold/sort", messages=[{"role": "user", "content": text}], **more
            )

        until = time.monotonic() + 10
        served.provider.answer = one_after_the_other("a", "b", "a", "a")
        while "x-freehold-policy" not in (raw := ask("short")).headers and time.monotonic() < until:
            time.sleep(0.1)
            served.provider.answer = one_after_the_other("a", "b", "a", "a")
        assert (raw.headers["x-freehold-variant"], raw.parse().choices[0].message.content) == ("three", "a")
        call = served.call(raw.headers["x-freehold-call"])
        assert call.cost_usd == pytest.approx(3 * CHEAP_USD) and [one.cause for one in call.attempts] == ["sample"] * 3
        served.provider.answer = one_after_the_other("a", "b", "c", "d")
        assert ask("other").headers["x-freehold-variant"] == "frontier"
        served.provider.answer = one_after_the_other("a draft", '{"right": false, "why": "too short"}', "a better one", '{"right": true}')
        raw = ask("a longer question")
        assert (raw.headers["x-freehold-variant"], raw.parse().choices[0].message.content) == ("looked", "a better one")
        served.provider.answer = one_after_the_other("a", "b", "a")
        served.provider.asked.clear()
        served.provider.answer = says("It is the third queue from the left, " * 5)  # 20 tokens, as its provider counts
        several = ask("long", n=2, max_tokens=20).parse()
        assert len(several.choices) == 2 and several.usage.completion_tokens == 3 * 20
        assert [(said.body["model"], said.body.get("n")) for said in served.provider.asked] == [("gpt-mini", None)] * 3
        served.provider.answer = one_after_the_other("a", "b", "a")
        streamed = served.openai().chat.completions.create(model="freehold/sort", messages=[{"role": "user", "content": "s"}], stream=True)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in streamed if chunk.choices) == "a"
        served.provider.answer = no_answer
        with pytest.raises(openai.InternalServerError, match="we are down"):
            ask("nobody")


# Declared as they cannot be.


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (lambda: freehold.vote(1, "cheap"), "n is 1; expected a number from 2 to 100"),
        (lambda: freehold.vote(101, "cheap"), "n is 101"),
        (lambda: freehold.best_of(0, "cheap", len), "n is 0"),
        (lambda: freehold.verify(len, "cheap", most=-1), "most is -1"),
        (lambda: freehold.guard("cheap"), "neither before nor after"),
    ],
)
def test_what_makes_no_sense_is_refused_where_it_is_declared(made: Callable[[], Any], why: str) -> None:
    with pytest.raises(CallerError, match=why):
        made()
