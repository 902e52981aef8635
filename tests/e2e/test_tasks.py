"""Typed functions as programs use them: asked of a scripted provider over a real socket, in both wire formats; and what the journal has of it."""

import asyncio
import contextvars
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from enum import Enum
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel

import freehold
from at_work import CHEAP_USD, FRONTIER_USD, TOML, Desk, as_json, at_work, said_of, system_of
from freehold.errors import CallerError, OperatorError
from freehold.pipelines.failure import (
    AnswerRefused,
    BudgetSpent,
    Cancelled,
    MalformedAnswer,
    NotAnswered,
    NotAsked,
    NotKept,
    NotReady,
    StepFailed,
    TookTooLong,
)
from upstream import Said, hangs, openai_answer, refuses, says, whole


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Triage(BaseModel):
    queue: Literal["cards", "transfers", "other"]
    urgent: bool


@dataclass
class Place:
    name: str
    floor: int | None = None


@freehold.task(reference="frontier")
def triage(message: str) -> Triage:
    """Decide which queue should answer this customer and whether it is urgent."""


@freehold.task(reference="claude")
def triage_by_claude(message: str) -> Triage:
    """Decide which queue should answer this customer and whether it is urgent."""


@freehold.task(reference="frontier")
def write(subject: str, *, style: str = "plain", lines: int = 3) -> str:
    """Write about it."""


@freehold.task(reference="claude")
def write_by_claude(subject: str) -> str:
    """Write about it."""


@freehold.task(reference="unknown")
def write_for_nothing(subject: str) -> str:
    """Write about it."""


URGENT = {"queue": "cards", "urgent": True}
CALM = {"queue": "other", "urgent": False}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with at_work(tmp_path) as found:
        found.up.answer = says(as_json(URGENT))
        yield found


def test_a_model_that_is_left_alone_has_not_answered(tmp_path: Path) -> None:
    """Trying again later may help, and nothing of ours failed."""
    with at_work(tmp_path, TOML.replace("open_after = 0", "open_after = 1")) as desk:
        desk.up.answer = refuses(500, "it broke")
        for _ in range(2):
            with pytest.raises(NotAnswered) as failed:
                write("rain")
        assert "left alone" in str(failed.value) and len(desk.up.asked) == 1


def test_whoever_has_no_key_cannot_be_asked_and_the_others_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the step that needs it, for whoever runs the program, and none of the project as a whole."""
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    with at_work(tmp_path, TOML.replace('kind = "anthropic"', 'kind = "anthropic"\nkey_env = "NO_SUCH_KEY"')) as desk:
        desk.up.answer = says("A poem.")
        assert write("rain") == "A poem."
        with pytest.raises(NotReady, match="the environment variable NO_SUCH_KEY is not set") as failed:
            write_by_claude("rain")
        assert isinstance(failed.value, OperatorError) and failed.value.task == "write_by_claude" and failed.value.call is None
        assert len(desk.calls()) == 1


@pytest.mark.parametrize(
    ("gateway", "ends"),
    [
        ("", None),
        ('unpriced = "refuse"', NotAsked),
        ('unpriced = "assume"\nassumed_price = { input_per_mtok = 1.0, output_per_mtok = 1e6 }', BudgetSpent),
    ],
)
def test_what_a_model_without_a_price_takes_of_a_budget_is_for_the_project_to_say(
    tmp_path: Path, gateway: str, ends: type[StepFailed] | None
) -> None:
    """`allow` counts it as nothing, `refuse` asks nobody, `assume` counts it at the price that is assumed."""
    with at_work(tmp_path, f"{TOML}\n[gateway]\n{gateway}\n") as desk, freehold.scope(budget_usd=0.000001):
        desk.up.answer = says("A poem.")
        if ends is None:
            assert write_for_nothing.answer("rain").call.cost_usd is None
            return
        with pytest.raises(ends):
            write_for_nothing("rain")
        assert not desk.up.asked


def test_an_error_says_once_which_task_it_is_about(desk: Desk) -> None:
    @freehold.task(name="lonely")
    def lonely(message: str) -> str:
        """Say something."""

    @freehold.task(name="passing")
    def passing(message: str) -> str:
        """Say something."""
        return freehold.Pass

    for task in (lonely, passing):
        with pytest.raises(StepFailed) as failed:
            task("a")
        assert str(failed.value).count(f"'{task.name}'") == 1, failed.value


# Types, there and back.


def _task_of(given: Any, taken: Any, by: str) -> freehold.task:  # type: ignore[valid-type]
    def echo(value: Any) -> Any: ...

    echo.__annotations__ = {"value": taken, "return": given}
    echo.__doc__ = "Say the same."
    return freehold.task(name=f"echo-{given}-{by}", reference=by)(echo)


@pytest.mark.parametrize("by", ["frontier", "claude"])
@pytest.mark.parametrize(
    ("kind", "value", "as_said"),
    [
        (str, "Größe {{ 1 }}", "Größe {{ 1 }}"),
        (int, 12, 12),
        (float, 0.5, 0.5),
        (bool, True, True),
        (Literal["a", "b"], "b", "b"),
        (Colour, Colour.BLUE, "blue"),
        (Place, Place("hall", 2), {"name": "hall", "floor": 2}),
        (Triage, Triage(queue="cards", urgent=True), URGENT),
        (list[int], [1, 2], [1, 2]),
        (list[Triage], [Triage(queue="cards", urgent=True)], [URGENT]),
        (int | None, None, None),
        (Triage | None, Triage(queue="cards", urgent=True), URGENT),
        (date, date(2026, 3, 4), "2026-03-04"),
    ],
    ids=str,
)
def test_a_value_of_every_supported_type_goes_out_and_comes_back(desk: Desk, kind: Any, value: Any, as_said: Any, by: str) -> None:
    words = as_said if isinstance(as_said, str) else json.dumps(as_said, ensure_ascii=False)
    desk.up.answer = says(words)
    answer = _task_of(kind, kind, by).answer(value)
    assert (answer.value, answer.repairs) == (value, ())
    assert (answer.call.input, answer.call.output) == (as_said, as_said)
    assert said_of(desk.up.asked[-1]) == words or json.loads(said_of(desk.up.asked[-1])) == as_said


def test_a_text_goes_out_as_it_is_under_the_docstring(desk: Desk) -> None:
    desk.up.answer = says("A poem.")
    assert write("rain", style="long", lines=2) == "A poem."
    assert said_of(desk.up.asked[-1]) == "subject: rain\nstyle: long\nlines: 2"
    assert system_of(desk.up.asked[-1]) == "Write about it."
    assert "response_format" not in desk.up.asked[-1].body
    assert desk.calls()[-1].input == {"subject": "rain", "style": "long", "lines": 2}


def test_the_form_of_a_record_is_asked_for_by_schema_in_either_format(desk: Desk) -> None:
    triage("My card!")
    triage_by_claude("My card!")
    openai, anthropic = (said.body for said in desk.up.asked)
    form = openai["response_format"]["json_schema"]
    assert form["name"] == "triage" and form["strict"] is True and set(form["schema"]["properties"]) == {"queue", "urgent"}
    assert form["schema"] == anthropic["output_config"]["format"]["schema"]


def test_python_s_own_rules_hold_for_arguments(desk: Desk) -> None:
    with pytest.raises(TypeError, match="too many positional"):
        write("rain", "long")  # type: ignore[misc]
    with pytest.raises(TypeError, match="missing a required argument: 'message'"):
        triage()  # type: ignore[call-arg]
    assert desk.up.asked == []


def test_a_value_of_another_type_is_not_asked(desk: Desk) -> None:
    with pytest.raises(NotAsked, match=r"Task 'write', lines: .*integer.*; got 'three'") as found:
        write("rain", lines="three")  # type: ignore[arg-type]
    assert (found.value.task, found.value.call, desk.up.asked) == ("write", None, [])


# Ways to call.


def test_the_journal_has_what_the_answer_says(desk: Desk) -> None:
    answer = triage.answer("My card was swallowed")
    call = answer.call
    assert answer.value == Triage(queue="cards", urgent=True)
    assert (call.task, call.variant, call.source, call.outcome) == ("triage", "frontier", "python", "answered")
    assert (call.input, call.output, call.episode) == ("My card was swallowed", URGENT, None)
    assert call.cost_usd == pytest.approx(FRONTIER_USD) and call.prompt is not None and len(call.prompt) == 16
    [attempt] = call.attempts
    assert (attempt.variant, attempt.cause, attempt.outcome, attempt.cost_usd) == ("frontier", "first", "answered", call.cost_usd)
    assert desk.calls("triage") == [call]


def test_it_can_be_awaited_on_any_loop(desk: Desk) -> None:
    async def several() -> list[Triage]:
        return await asyncio.gather(*(triage.acall(str(n)) for n in range(5)))

    assert asyncio.run(several()) == [Triage(queue="cards", urgent=True)] * 5
    assert asyncio.run(triage.acall("again")).urgent  # on another loop


def test_a_plain_call_within_a_running_loop_of_the_caller_s_is_answered(desk: Desk) -> None:
    async def careless() -> Triage:
        return triage("My card!")

    assert asyncio.run(careless()).queue == "cards"


def test_many_threads_can_call_at_once(desk: Desk) -> None:
    desk.up.answer = says(lambda said: as_json({"queue": "other", "urgent": "7" in said_of(said)}))
    context = contextvars.copy_context()
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda n: context.copy().run(triage, str(n)), range(60)))
    assert [one.urgent for one in found] == ["7" in str(n) for n in range(60)]
    assert len(desk.calls()) == 60


def test_a_plain_call_on_freehold_s_own_loop_says_so_and_does_not_wait_for_itself(desk: Desk) -> None:
    async def within() -> None:
        triage("My card!")

    with pytest.raises(CallerError, match=r"would wait for itself.*await task.acall"):
        desk.at.run(within())


def test_map_keeps_the_order_and_asks_so_many_at_once(desk: Desk) -> None:
    lock, now, most = threading.Lock(), [0], [0]

    def answer(said: Said) -> Iterator[bytes]:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.01)
        with lock:
            now[0] -= 1
        return says(as_json({"queue": "other", "urgent": int(said_of(said)) % 2 == 0}))(said)

    desk.up.answer = answer
    found = triage.map((str(n) for n in range(20)), at_once=4)
    assert [one.urgent for one in found] == [n % 2 == 0 for n in range(20)]
    assert 1 < most[0] <= 4
    assert [one.urgent for one in asyncio.run(triage.amap(["2", "3"]))] == [True, False]
    with pytest.raises(CallerError, match="at_once is 0"):
        triage.map(["1"], at_once=0)


def test_map_takes_tuples_and_mappings_where_there_are_several_parameters(desk: Desk) -> None:
    desk.up.answer = says(said_of)
    assert write.map(["rain", {"subject": "snow", "lines": 1}, ("hail",)]) == [
        "subject: rain\nstyle: plain\nlines: 3",
        "subject: snow\nstyle: plain\nlines: 1",
        "subject: hail\nstyle: plain\nlines: 3",
    ]


def test_the_items_of_map_may_come_from_calls_of_their_own(desk: Desk) -> None:
    """They are read where the caller is, not on Freehold's loop."""
    assert len(triage.map(triage(word).queue for word in ("a", "b"))) == 2


def test_the_first_of_map_that_fails_is_raised_and_the_others_are_in_the_journal(desk: Desk) -> None:
    desk.up.answer = lambda said: refuses(400, "no such thing") if said_of(said) == "2" else says(as_json(CALM))(said)
    with pytest.raises(NotAnswered, match="no such thing"):
        triage.map(["0", "1", "2", "3"], at_once=1)
    assert [call.outcome for call in sorted(desk.calls(), key=lambda call: str(call.input))] == ["answered", "answered", "failed"]


# Streams.


async def _pieces(stream: Any, most: int = 1_000) -> list[Any]:
    found = []
    async for piece in stream:
        found.append(piece)
        if len(found) == most:
            await stream.aclose()
            break
    return found


@pytest.mark.parametrize("asked", [write, write_by_claude], ids=["openai", "anthropic"])
def test_a_text_is_streamed_as_it_comes(desk: Desk, asked: Any) -> None:
    desk.up.answer = says("It rains and rains.", wait_s=0.02)
    found = asyncio.run(_pieces(asked.stream("rain")))
    assert found[-1] == "It rains and rains." and len(found) > 1
    assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(found))
    assert desk.calls()[-1].output == "It rains and rains."


@pytest.mark.parametrize("asked", [triage, triage_by_claude], ids=["openai", "anthropic"])
def test_of_a_record_there_is_what_has_come_and_the_last_is_the_answer(desk: Desk, asked: Any) -> None:
    desk.up.answer = says(as_json(URGENT), wait_s=0.02)
    found = asyncio.run(_pieces(asked.stream("My card!")))
    assert found[-1] == Triage(queue="cards", urgent=True)
    assert all(isinstance(one, Triage) for one in found)
    assert (found[0].urgent, len(found) > 1) == (None, True)


def test_an_error_in_the_middle_of_a_stream_is_raised_after_what_had_come(desk: Desk) -> None:
    desk.up.answer = says("It rains and rains.", ends=False)
    found = []

    async def listen() -> None:
        async for piece in write.stream("rain"):
            found.append(piece)

    with pytest.raises(NotAnswered) as raised:
        asyncio.run(listen())
    assert raised.value.call is not None and raised.value.call.outcome == "failed"
    assert all("It rains and rains.".startswith(piece) for piece in found)


def test_a_consumer_who_stops_early_cancels_whoever_is_asked(desk: Desk) -> None:
    desk.up.answer = says("It rains and rains. " * 200, wait_s=0.01)
    assert len(asyncio.run(_pieces(write.stream("rain"), most=1))) == 1
    _until(lambda: desk.up.broken_off == 1)
    _until(lambda: [call.outcome for call in desk.calls()] == ["cancelled"])


def test_a_stream_that_is_no_value_in_the_end_is_malformed(desk: Desk) -> None:
    desk.up.answer = says("I would rather not say.")
    with pytest.raises(MalformedAnswer):
        asyncio.run(_pieces(triage.stream("My card!")))


def _until(holds: Callable[[], bool], within_s: float = 5.0) -> None:
    until = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < until, "it never came to hold"
        time.sleep(0.01)


# A body, and a table of rules, answer first.


@freehold.task(reference="frontier", deadline_s=0.3)
def sort(message: str, limit: int = 1) -> Triage | None:
    """Decide which queue."""
    match message:
        case "card":
            return Triage(queue="cards", urgent=True)
        case "pass":
            return freehold.Pass  # type: ignore[no-any-return]
        case "none":
            return None
        case "raise":
            raise ValueError("what is this")
        case "exit":
            raise SystemExit(3)
        case "hang":
            time.sleep(2)
        case "wrong":
            return 5  # type: ignore[return-value]
        case "refuse":
            raise freehold.Refuse("we do not speak of this")
    return freehold.Pass  # type: ignore[no-any-return]


@freehold.task(reference="frontier")
async def sort_later(message: str) -> Triage:
    """Decide which queue."""
    if message == "ask":
        return await triage.acall("from within")
    await asyncio.sleep(0)
    return Triage(queue="transfers", urgent=False)


@freehold.task(reference="frontier")
def sleepy(message: str) -> int:
    """Count."""
    time.sleep(5)
    return 1


@freehold.task
def only_own(message: str) -> int:
    """Count."""
    if message == "raise":
        raise ValueError("what is this")
    return len(message) if message else freehold.Pass


@freehold.task
def one(message: str) -> int:
    """A body that is a constant is a body."""
    return 1


def test_a_body_answers_and_nobody_is_asked(desk: Desk) -> None:
    answer = sort.answer("card", limit=2)
    assert (answer.value, answer.call.variant, answer.call.cost_usd) == (Triage(queue="cards", urgent=True), "rules", 0.0)
    assert (answer.call.output, answer.call.prompt) == (URGENT, None)
    assert [attempt.variant for attempt in answer.call.attempts] == ["rules"]
    assert sort("none") is None and one("x") == 1
    assert desk.up.asked == [] and desk.calls("sort")[0].input == {"message": "card", "limit": 2}


def test_a_body_that_has_to_be_awaited_may_ask_others(desk: Desk) -> None:
    assert sort_later("x").queue == "transfers"
    assert sort_later("ask").queue == "cards" and desk.models == ["gpt-x"]


@pytest.mark.parametrize("how", ["pass", "raise", "exit", "hang", "wrong"])
def test_where_a_body_has_no_answer_the_reference_is_asked(desk: Desk, how: str, caplog: pytest.LogCaptureFixture) -> None:
    """Also where it fails, hangs or gives something of another type: then the log says so."""
    began = time.monotonic()
    answer = sort.answer(how)
    assert (answer.value, answer.call.variant, desk.models) == (Triage(queue="cards", urgent=True), "frontier", ["gpt-x"])
    assert time.monotonic() - began < 1.5
    assert ("function.failed" in caplog.text) is (how != "pass")


def test_a_body_that_refuses_has_nobody_answer(desk: Desk) -> None:
    with pytest.raises(AnswerRefused, match="we do not speak of this"):
        sort("refuse")
    assert desk.up.asked == []


def test_where_nobody_comes_after_a_body_that_fails_the_error_says_why(desk: Desk) -> None:
    with pytest.raises(NotAnswered, match=r"only_own.*raised ValueError: what is this.*nobody comes after it"):
        only_own("raise")
    with pytest.raises(StepFailed, match=r"'rules' of task 'only_own' has no answer.*nobody comes after it"):
        only_own("")


def test_a_deadline_holds_for_a_body_as_well(desk: Desk) -> None:
    began = time.monotonic()
    with pytest.raises(TookTooLong), freehold.scope(deadline_s=0.2):
        sleepy("x")
    assert time.monotonic() - began < 4 and desk.up.asked == []


def test_a_policy_says_whether_the_body_is_asked(tmp_path: Path) -> None:
    with at_work(tmp_path, sort="when chars > 100 use frontier\notherwise try rules accept confidence >= 0.5 then cheap") as desk:
        desk.up.answer = says(as_json(CALM))
        answers = [sort.answer(message) for message in ("card", "card" * 50, "pass")]
        assert [answer.call.variant for answer in answers] == ["rules", "frontier", "cheap"]
        assert all(answer.call.policy for answer in answers)


def test_a_policy_that_does_not_name_the_body_does_without_it(tmp_path: Path) -> None:
    with at_work(tmp_path, sort="otherwise use cheap") as desk:
        desk.up.answer = says(as_json(CALM))
        assert (sort("card"), desk.models) == (Triage(queue="other", urgent=False), ["gpt-mini"])


def test_a_policy_may_look_at_the_time_and_the_money_that_are_left(tmp_path: Path) -> None:
    rules = "when deadline_left_s < 5 use cheap\nwhen budget_left_usd < 1 use cheap\notherwise use frontier"
    with at_work(tmp_path, triage=rules) as desk:
        desk.up.answer = says(as_json(CALM))
        triage("x")
        with freehold.scope(deadline_s=60, budget_usd=2):
            triage("x")
            with freehold.scope(deadline_s=4):
                triage("x")
            with freehold.scope(budget_usd=0.5):
                triage("x")
        assert desk.models == ["gpt-x", "gpt-x", "gpt-mini", "gpt-mini"]


_TABLE = Path(__file__).with_name("queues.csv")


@freehold.task(reference="frontier", rules=_TABLE)
def by_table(message: str) -> Triage:
    """Decide which queue."""


def test_a_table_of_rules_answers_first(desk: Desk) -> None:
    """By words and by tags; what no row fits, or whose answer is none of the type, is passed on."""
    assert by_table("Please, my CARD").urgent
    assert desk.up.asked == []
    desk.up.answer = says(as_json(CALM))
    assert not by_table("something else").urgent
    with freehold.scope(tags={"tier": "gold"}):
        assert by_table("something else").queue == "transfers"
    assert by_table("odd").queue == "other"
    assert [call.variant for call in desk.calls("by_table")] == ["rules", "frontier", "rules", "frontier"]


# How it fails.


@pytest.mark.parametrize(
    ("answer", "kind", "outcome"),
    [
        (lambda said: refuses(500, "we are down"), NotAnswered, "failed"),
        (says("not at all"), MalformedAnswer, "malformed"),
        (
            lambda said: whole(
                {**openai_answer("m"), "choices": [{"index": 0, "message": {"role": "assistant", "content": None, "refusal": "No."}}]}
            ),
            AnswerRefused,
            "refused",
        ),
    ],
    ids=["nobody", "malformed", "refused"],
)
def test_an_error_holds_the_call_that_the_journal_has(desk: Desk, answer: Any, kind: type[StepFailed], outcome: str) -> None:
    desk.up.answer = answer
    with pytest.raises(kind, match=r"^Task 'triage': ") as found:
        triage("My card!")
    assert type(found.value) is kind and found.value.task == "triage"
    assert found.value.call is not None and found.value.call.outcome == outcome
    assert desk.calls() == [found.value.call]
    assert len(desk.up.asked) == 1


def test_a_deadline_that_passes_breaks_off_and_is_journalled(desk: Desk) -> None:
    triage("first")
    desk.up.answer = hangs
    with pytest.raises(TookTooLong) as found, freehold.scope(deadline_s=0.7):
        triage("My card!")
    assert found.value.call is not None and found.value.call.outcome == "timed_out"
    _until(lambda: desk.up.broken_off == 1)
    with pytest.raises(TookTooLong, match="nobody is asked any more") as before, freehold.scope(deadline_s=1e-9):
        triage("My card!")
    assert (before.value.task, before.value.call, len(desk.up.asked)) == ("triage", None, 2)


def test_a_callers_own_deadline_is_no_fault_of_who_was_asked(desk: Desk) -> None:
    """However often it passes, nobody is left alone for it, and the error says how long was waited."""
    desk.up.answer = hangs
    for n in range(6):
        with pytest.raises(TookTooLong, match=r"longer than 0\.\d+ s") as found, freehold.scope(deadline_s=0.2):
            triage(f"late {n}")
        assert found.value.call is not None
    desk.up.answer = says('{"queue": "cards", "urgent": false}')
    assert triage("in time").queue == "cards"


def test_a_deadline_holds_while_a_turn_is_waited_for(tmp_path: Path) -> None:
    """Nobody waits for a model's turn longer than there is time, and what waited leaves its place."""
    toml = TOML.replace("serving = {", "limits = { concurrent = 1 }\nserving = {", 1)
    with at_work(tmp_path, toml) as desk:
        desk.up.answer = hangs

        async def both() -> None:
            async with asyncio.TaskGroup() as group:
                first = group.create_task(triage.acall("has the turn"))
                await asyncio.to_thread(_until, lambda: len(desk.up.asked) == 1)
                began = time.monotonic()
                with freehold.scope(deadline_s=0.3), pytest.raises(TookTooLong, match="its turn to be asked did not come"):
                    await triage.acall("waits")
                assert time.monotonic() - began < 5  # of the ten seconds that one may wait for a turn
                first.cancel()

        asyncio.run(both())
        desk.up.answer = says(as_json(CALM))
        assert not triage("after them").urgent and len(desk.up.asked) == 2


def test_the_time_of_a_task_is_for_all_of_it(tmp_path: Path) -> None:
    """Its own body and the reference after it have it together."""

    @freehold.task(reference="frontier")
    def dawdled(message: str) -> str:
        """Say it."""
        time.sleep(0.6)
        return freehold.Pass  # type: ignore[return-value]

    with at_work(tmp_path, TOML + "[tasks.dawdled]\nserving = { total_s = 1.0 }\n") as desk:
        desk.up.answer = hangs
        began = time.monotonic()
        with pytest.raises(TookTooLong):
            dawdled("x")
        assert 0.9 < time.monotonic() - began < 1.5 and len(desk.up.asked) == 1


def test_what_cannot_be_journalled_is_not_answered(tmp_path: Path) -> None:
    with at_work(tmp_path, TOML + '[journal]\non_failure = "required"\n') as desk:
        desk.up.answer = says(as_json(URGENT))
        triage("once")
        with desk.at.project.store.writing() as connection:
            connection.exec_driver_sql("ALTER TABLE attempts RENAME TO elsewhere")
        with pytest.raises(NotKept, match="could not be journalled"):
            triage("My card!")
        with pytest.raises(NotKept, match="could not be journalled"):
            asyncio.run(_pieces(triage.stream("My card!")))


def test_the_project_s_own_budget_is_spent_too(tmp_path: Path) -> None:
    with at_work(tmp_path, TOML + "[tasks.triage.serving]\n[budget]\nday_usd = 0.001\n".replace("[tasks.triage.serving]\n", "")) as desk:
        with pytest.raises(BudgetSpent):
            triage("My card!")
        assert desk.up.asked == []


# The form of an answer.


def test_who_refuses_a_schema_is_told_in_words_and_that_is_remembered(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    def answer(said: Said) -> Iterator[bytes]:
        if "response_format" in said.body:
            return refuses(400, "Unknown parameter: response_format")
        return says(as_json(URGENT))(said)

    desk.up.answer = answer
    found = triage.answer("My card!")
    assert found.value.urgent and len(desk.up.asked) == 2
    assert [(one.cause, one.outcome, one.cost_usd) for one in found.call.attempts] == [
        ("first", "failed", 0.0),
        ("retry", "answered", pytest.approx(FRONTIER_USD)),
    ]
    assert "fits this schema" in system_of(desk.up.asked[-1]) and '"urgent"' in system_of(desk.up.asked[-1])
    assert "schema.refused: 'frontier'" in caplog.text
    triage("Again")
    assert len(desk.up.asked) == 3


def test_another_refusal_is_no_reason_to_ask_again(desk: Desk) -> None:
    desk.up.answer = lambda said: refuses(400, "the context is too long")
    with pytest.raises(NotAnswered, match="the context is too long"):
        triage("My card!")
    assert len(desk.up.asked) == 1


@freehold.task(reference="frontier", repair="ask")
def mended(message: str) -> Triage:
    """Decide which queue."""


def test_an_answer_that_cannot_be_read_is_asked_for_again_only_where_the_task_says_so(desk: Desk) -> None:
    desk.up.answer = says(lambda said: as_json(URGENT) if "cannot be read" in said_of(said) else "cards, I suppose")
    with pytest.raises(MalformedAnswer):
        triage("My card!")
    assert len(desk.up.asked) == 1
    found = mended.answer("My card!")
    assert found.value.urgent and len(desk.up.asked) == 3
    assert [(one.cause, one.outcome) for one in found.call.attempts] == [("first", "malformed"), ("repair", "answered")]
    assert found.call.cost_usd == pytest.approx(2 * FRONTIER_USD)
    assert [message["content"] for message in desk.up.asked[-1].body["messages"][:3]][1:] == ["My card!", "cards, I suppose"]


def test_it_is_asked_for_again_once(desk: Desk) -> None:
    desk.up.answer = says("never")
    with pytest.raises(MalformedAnswer) as found:
        mended("My card!")
    assert len(desk.up.asked) == 2 and found.value.call is not None
    assert [one.outcome for one in found.value.call.attempts] == ["malformed", "malformed"]


def test_who_comes_next_is_asked_the_question_and_not_the_repair(tmp_path: Path) -> None:
    with at_work(tmp_path, mended="otherwise try cheap accept answer_chars > 0 then frontier") as desk:
        desk.up.answer = says(lambda said: as_json(URGENT) if said.body["model"] == "gpt-x" else "never")
        found = mended.answer("My card!")
        assert [(one.variant, one.cause) for one in found.call.attempts] == [
            ("cheap", "first"),
            ("cheap", "repair"),
            ("frontier", "escalation"),
        ]
        assert said_of(desk.up.asked[-1]) == "My card!" and len(desk.up.asked[-1].body["messages"]) == 2


def test_a_cached_answer_is_that_of_the_same_input_alone(tmp_path: Path) -> None:
    toml = TOML.replace("serving = { retries = 0, open_after = 0 }", "serving = { retries = 0, open_after = 0, cache_s = 60.0 }", 1)
    with at_work(tmp_path, toml) as desk:
        desk.up.answer = says(lambda said: as_json(URGENT if said_of(said) == "a" else CALM))
        assert [triage(message).urgent for message in ("a", "b", "a")] == [True, False, True]
        assert len(desk.up.asked) == 2
        assert desk.calls()[-1].variant == "cache" and desk.calls()[-1].cost_usd == 0.0


# Within scopes.


def test_what_is_within_a_scope_inherits_it(desk: Desk) -> None:
    """Tasks of asyncio, `asyncio.to_thread`, and a thread that is given the context; another thread begins with nothing."""
    began: list[str | None] = []

    async def several() -> None:
        await asyncio.gather(triage.acall("1"), asyncio.to_thread(triage, "2"))

    with freehold.scope(customer="ann", tags={"tier": "gold"}):
        asyncio.run(several())
        context = contextvars.copy_context()
        thread = threading.Thread(target=context.run, args=(triage, "3"))
        bare = threading.Thread(target=lambda: began.append(_customer()))
        for one_ in (thread, bare):
            one_.start()
            one_.join()
    assert [(call.customer, call.tags) for call in desk.calls()] == [("ann", {"tier": "gold"})] * 3
    assert began == [None]


def _customer() -> str | None:
    from freehold.pipelines.scope import current

    return current().customer


def test_a_budget_that_runs_out_keeps_what_was_done_and_says_why(desk: Desk) -> None:
    done: list[Triage] = []
    with freehold.scope(budget_usd=1.0) as inner, pytest.raises(BudgetSpent, match=r"may cost up to \$0.4.*of the scope's \$1") as found:
        for n in range(1_000):
            done.append(triage(str(n)))
    assert found.value.task == "triage" and found.value.call is None
    assert len(done) == len(desk.up.asked) == len(desk.calls())
    assert inner.purses[0].spent_nano == pytest.approx(len(done) * FRONTIER_USD * 1e9, rel=1e-6) and inner.purses[0].held_nano == 0


def test_a_hundred_calls_at_once_never_spend_more_than_there_is(desk: Desk) -> None:
    async def several() -> list[Any]:
        return await asyncio.gather(*(triage.acall(str(n)) for n in range(100)), return_exceptions=True)

    with freehold.scope(budget_usd=2.1) as inner:
        found = asyncio.run(several())
    assert {type(one) for one in found} == {Triage, BudgetSpent}
    assert 0 < inner.purses[0].spent_nano <= inner.purses[0].budget_nano and inner.purses[0].held_nano == 0


def test_every_budget_around_a_call_pays_for_it(desk: Desk) -> None:
    with freehold.scope(budget_usd=5) as outer, freehold.scope(budget_usd=5) as inner:
        triage("1")
        with pytest.raises(BudgetSpent), freehold.scope(budget_usd=0.01):
            triage("2")
    assert inner.purses[0].spent_nano == outer.purses[0].spent_nano == round(FRONTIER_USD * 1e9)


def test_what_a_call_cost_that_was_broken_off_is_unknown_and_its_budget_is_charged_what_was_set_aside(desk: Desk) -> None:
    desk.up.answer = hangs

    async def impatient() -> None:
        asking = asyncio.create_task(triage.acall("1"))
        while not desk.up.asked:
            await asyncio.sleep(0.01)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking

    with freehold.scope(budget_usd=5) as inner:
        asyncio.run(impatient())
        _until(lambda: inner.purses[0].held_nano == 0)
    assert inner.purses[0].spent_nano > 0.3e9
    _until(lambda: [(call.outcome, call.cost_usd) for call in desk.calls()] == [("cancelled", None)])


@freehold.task(reference="unknown")
def unpriced(message: str) -> str:
    """Say it."""


def test_a_price_that_nobody_knows_is_unknown_and_no_budget_is_charged(desk: Desk) -> None:
    with freehold.scope(budget_usd=0.001) as inner:
        assert unpriced.answer("x").call.cost_usd is None
    assert inner.purses[0].spent_nano == 0


def test_customer_and_plan_reach_the_ledger(tmp_path: Path) -> None:
    with at_work(tmp_path, TOML + "[plans.gold]\nper_call = 0.5\n") as desk:
        desk.up.answer = says(as_json(URGENT))
        with freehold.scope(customer="ann", plan="gold"):
            triage("x")
        with desk.at.project.store.reading() as connection:
            rows = connection.exec_driver_sql("SELECT customer, plan, revenue_nano FROM ledger").fetchall()
        assert ("ann", "gold", 500_000_000) in [tuple(row) for row in rows]
        with pytest.raises(NotAsked, match="silver") as found, freehold.scope(plan="silver"):
            triage("x")
        assert found.value.task == "triage" and len(desk.up.asked) == 1


# What the project says, and what is said again.


def test_the_configuration_comes_before_what_a_program_declares_field_by_field(tmp_path: Path) -> None:
    with at_work(tmp_path, TOML + '[tasks.triage]\nreference = "cheap"\n[tasks.write]\nmax_loss = 0.1\n') as desk:
        desk.up.answer = says(as_json(URGENT))
        triage("x")
        write("x")
        assert desk.models == ["gpt-mini", "gpt-x"]
        assert desk.at.resources.catalog.tasks["write"].max_loss == 0.1
        assert desk.at.resources.catalog.tasks["triage"].instruction.startswith("Decide")


def test_a_task_that_is_declared_again_is_what_it_was_declared_as_last(desk: Desk) -> None:
    for by, name in (("frontier", "gpt-x"), ("cheap", "gpt-mini")):

        @freehold.task(reference=by)
        def again(message: str) -> str:
            """Say it."""

        again("x")
        assert desk.models[-1] == name


def test_two_tasks_may_not_mean_different_variants_by_one_name(desk: Desk) -> None:
    @freehold.task(reference=freehold.vote(3, "cheap", name="wise"))
    def first_wise(message: str) -> str:
        """Say it."""

    @freehold.task(reference=freehold.vote(5, "cheap", name="wise"))
    def second_wise(message: str) -> str:
        """Say it."""

    first_wise("x")
    with pytest.raises(CallerError, match="Tasks 'first_wise' and 'second_wise' each declare a variant 'wise'"):
        second_wise("x")


@freehold.task(reference=freehold.ask("cheap", sampling=freehold.Sampling(temperature=0.5, seed=7)))
def sampled(message: str) -> str:
    """Say it."""


def test_a_model_with_settings_of_its_own_is_a_variant_with_the_model_s_price(desk: Desk) -> None:
    answer = sampled.answer("x")
    assert (answer.call.variant, answer.call.cost_usd) == ("cheap-temperature0.5-seed7", pytest.approx(CHEAP_USD))
    assert (desk.up.asked[-1].body["temperature"], desk.up.asked[-1].body["seed"]) == (0.5, 7)


def test_another_variant_is_asked_the_same_to_learn_from(tmp_path: Path) -> None:
    """As over HTTP; but not where somebody's budget would pay for it."""
    with at_work(tmp_path, TOML + '[tasks.triage]\nvariants = ["frontier", "cheap"]\nexplore = 1.0\n') as desk:
        desk.up.answer = says(as_json(URGENT))
        triage("x")
        _until(lambda: sorted((call.source, call.variant) for call in desk.calls()) == [("explore", "cheap"), ("python", "frontier")])
        assert {as_json(call.output) for call in desk.calls()} == {as_json(URGENT)}
        with freehold.scope(budget_usd=5):
            triage("y")
        assert desk.models.count("gpt-mini") == 1


def test_a_closed_project_answers_no_more(tmp_path: Path) -> None:
    with at_work(tmp_path) as desk:
        desk.up.answer = says(as_json(URGENT))
        context = contextvars.copy_context()
    with pytest.raises(Cancelled, match="closed"):
        context.run(triage, "x")
