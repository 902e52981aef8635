"""Watching live traffic, on each database: nothing is counted twice, whatever ends in between; alerts are raised once and told once; a
certificate that no longer holds is withdrawn."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from sqlalchemy import select

from freehold.catalog import Metric, Task
from freehold.errors import CallerError, OperatorError
from freehold.evaluation.scorer import Case, Score
from freehold.evaluation.sequence import Mean
from freehold.journal.call import Call, Feedback
from freehold.journal.erase import erase
from freehold.journal.rows import CALL_COLUMNS, call_row
from freehold.journal.write import append_many
from freehold.monitor import floor as floors
from freehold.monitor import records
from freehold.monitor.alerts import acknowledge, listed, open_alerts
from freehold.monitor.deliver import MOST_TRIES, Message, deliver, undelivered
from freehold.monitor.records import CURSOR, Cursor, Floor, Quality
from freehold.monitor.round import Round, Told, Watched, watch
from freehold.monitor.sample import coin
from freehold.monitor.status import accept
from freehold.promotion.certify import Certification
from freehold.promotion.gate import GateClosed, active_hash, promote
from freehold.promotion.records import add_certificate, add_policy, events
from freehold.store import schema
from freehold.store.open import Store, open_store
from freehold.tables import CommandTable, MonitorTable, WatchTable
from simulated import a_task, certified

TASK = Task(id="triage", reference="frontier", metric="correct", max_loss=0.05)
MakeCall = Callable[..., Call]
NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
MakeScore = Callable[..., Feedback]
OURS: dict[str, Any] = {"variant": "cheap", "policy": "", "propensity": 1.0, "source": "gateway"}


class Grade:
    """Scores answers by what stands in them, and counts how often it was asked."""

    metric = Metric(id="correct", kind="binary", deterministic=True)
    needs_truth = False

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.fails = False

    async def score(self, case: Case) -> Score:
        """1 for `right`."""
        assert case.call is not None
        self.asked.append(case.call.id)
        if self.fails:
            return Score(None, "the instrument is broken")
        return Score(1.0 if case.output == "right" else 0.0, cost_usd=0.001)


class Clock:
    """Time that stands until it is moved."""

    def __init__(self) -> None:
        self.at = NOON

    def __call__(self) -> datetime:
        return self.at


def a_round(
    store: Store, grade: Grade, clock: Clock, holder: str = "one", is_judge: bool = False, wait_s: float = 1.0, **table: Any
) -> Round:
    monitor = MonitorTable(**{"share": 1.0, "most": 100_000, "command": CommandTable(run=("true",)), **table})
    watched = [Watched(grade, is_judge)]
    return Round(store, "default", monitor, lambda _: watched, lambda name: Grade.metric, clock, holder, wait_s)


def go(round: Round, task: Task = TASK) -> Told:
    return asyncio.run(watch(round, task))


def answers(a_call: MakeCall, outputs: Sequence[str], begin: int = 0, **fields: Any) -> list[Call]:
    return [a_call(begin + n, output=output, source="gateway", **fields) for n, output in enumerate(outputs)]


def quality(store: Store, variant: str = "frontier") -> Quality:
    with store.reading() as connection:
        found = records.read(connection, "default", "triage", f"quality {variant} correct", Quality)
    assert found is not None
    return found


def coins(seed: int, mean: float, count: int) -> list[str]:
    return ["right" if good else "wrong" for good in np.random.default_rng(seed).random(count) < mean]


def test_each_live_answer_is_counted_once(store: Store, a_call: MakeCall) -> None:
    grade, clock = Grade(), Clock()
    append_many(store, answers(a_call, ["right"] * 30 + ["wrong"] * 10), [])
    append_many(store, [a_call(900, output="wrong"), a_call(901, output="wrong", source="judge")], [])  # imported, and another's
    told = go(a_round(store, grade, clock))
    assert (told.seen, told.drawn, told.scored) == (40, 40, 40)
    assert go(a_round(store, grade, clock)).scored == 0
    append_many(store, answers(a_call, ["wrong"] * 5, begin=100), [])
    assert go(a_round(store, grade, clock)).scored == 5
    assert (quality(store).mean.n, quality(store).mean.mean) == (45, pytest.approx(30 / 45))
    assert len(grade.asked) == len(set(grade.asked)) == 45


@pytest.mark.postgres
def test_what_is_committed_late_in_an_earlier_place_is_looked_at(postgres_url: str, tmp_path: Path, a_call: MakeCall) -> None:
    """Two write at once: what took the first place is committed after what took the second was there to read. Each is looked at, once, and
    what came after both waits no longer than for them."""
    grade, clock = Grade(), Clock()
    with open_store(postgres_url, tmp_path) as store:
        append_many(store, answers(a_call, ["right"] * 3), [])
        assert go(a_round(store, grade, clock)).seen == 3
        slow, quick = answers(a_call, ["wrong", "right"], begin=10)
        with store.writing() as connection:
            row = call_row(slow)
            store.insert_new(connection, "calls", CALL_COLUMNS, "id", [row.values])
            append_many(store, [quick], [])
            assert go(a_round(store, grade, clock, wait_s=0.0)).seen == 0
            append_many(store, answers(a_call, ["right"] * 2, begin=20), [])
            assert go(a_round(store, grade, clock, wait_s=0.0)).seen == 0
        assert go(a_round(store, grade, clock)).seen == 4
        assert go(a_round(store, grade, clock)).seen == 0
        assert (quality(store).mean.n, quality(store).mean.total) == (7, 6.0)
        assert len(grade.asked) == len(set(grade.asked)) == 7


@pytest.mark.postgres
def test_a_transaction_that_nobody_ends_is_waited_for_an_hour(postgres_url: str, tmp_path: Path, a_call: MakeCall) -> None:
    grade, clock = Grade(), Clock()
    with open_store(postgres_url, tmp_path) as store, store.writing() as connection:
        connection.exec_driver_sql("DELETE FROM calls")
        append_many(store, answers(a_call, ["right"] * 3), [])
        for minutes, seen in ((0, 0), (59, 0), (2, 3)):
            clock.at += timedelta(minutes=minutes)
            assert go(a_round(store, grade, clock, wait_s=0.0)).seen == seen


def test_a_round_that_ends_before_it_is_written_is_done_again_and_counts_once(store: Store, a_call: MakeCall) -> None:
    grade, clock = Grade(), Clock()
    append_many(store, answers(a_call, coins(1, 0.8, 200)), [])
    go(a_round(store, grade, clock))
    append_many(store, answers(a_call, coins(2, 0.8, 200), begin=200), [])
    before = quality(store)

    class Killed(Exception):
        """In the place of SIGKILL: nothing after it is run."""

    class Fatal(Grade):
        async def score(self, case: Case) -> Score:
            if len(self.asked) >= 150:
                raise Killed
            return await super().score(case)

    with pytest.raises(Killed):
        go(a_round(store, Fatal(), clock, "killed"))
    assert quality(store) == before
    clock.at += timedelta(hours=1)
    go(a_round(store, grade, clock, "next"))
    at_once = Mean(alpha=0.05).with_scores([float(each == "right") for each in coins(1, 0.8, 200) + coins(2, 0.8, 200)], [1.0] * 400)
    assert quality(store).mean == at_once


def test_of_two_monitors_one_has_a_task_and_one_that_is_dead_is_waited_for_five_minutes(store: Store, a_call: MakeCall) -> None:
    grade, clock = Grade(), Clock()
    append_many(store, answers(a_call, ["right"] * 10), [])
    with store.writing() as connection:
        held = Cursor(
            holder="other", until=int((clock.at - datetime.fromtimestamp(0, clock.at.tzinfo)).total_seconds() * 1e6) + 300_000_000
        )
        records.write(connection, "default", "triage", CURSOR, held, clock.at)
    assert go(a_round(store, grade, clock)).is_elsewhere and grade.asked == []
    clock.at += timedelta(minutes=6)
    assert go(a_round(store, grade, clock)).scored == 10


def test_two_monitors_at_once_count_once(store: Store, a_call: MakeCall) -> None:
    clock = Clock()
    append_many(store, answers(a_call, coins(3, 0.5, 300)), [])

    async def both() -> list[Told]:
        rounds = [a_round(store, Grade(), clock, name) for name in ("one", "two")]
        return list(await asyncio.gather(*(watch(round, TASK) for round in rounds)))

    told = asyncio.run(both())
    assert sum(each.scored for each in told) == 300 and quality(store).mean.n == 300


def test_what_is_drawn_has_its_probability_and_the_estimate_follows_the_traffic(store: Store, a_call: MakeCall) -> None:
    """A quiet hour of good answers, all looked at, then a busy one of bad answers of which a tenth is: half the traffic each would be
    1 to 10 in the sample."""
    grade, clock = Grade(), Clock()
    append_many(store, answers(a_call, ["right"] * 400), [])
    go(a_round(store, grade, clock, most=400))
    append_many(store, answers(a_call, ["wrong"] * 400, begin=400), [])
    told = go(a_round(store, grade, clock, most=100))
    assert told.drawn == sum(coin("default", call.id) < 0.25 for call in answers(a_call, ["wrong"] * 400, begin=400)) < 140
    assert quality(store).mean.mean == pytest.approx(0.5, abs=0.07)


def test_a_fall_raises_one_alert_that_is_told_once_and_is_over_when_it_is(store: Store, a_call: MakeCall) -> None:
    grade, clock, sent = Grade(), Clock(), list[Message]()
    n = 0
    for mean, count in ((0.95, 300), (0.5, 300), (0.95, 700)):
        for begin in range(0, count, 100):
            append_many(store, answers(a_call, coins(n + begin, mean, 100), begin=n + begin), [])
            go(a_round(store, grade, clock, f"m{n + begin}"))
            deliver(store, "default", {"command": sent.append}, clock)
            clock.at += timedelta(minutes=10)
        n += count
    (alert,) = listed(store, "default", all=True)
    assert (alert.state, alert.what.kind, alert.task) == ("closed", "quality", "triage")
    assert [(message.event, message.id) for message in sent] == [
        ("opened", f"{alert.id}-opened-command"),
        ("closed", f"{alert.id}-closed-command"),
    ]
    assert open_alerts(store, "default") == 0
    assert "has fallen below" in alert.what.text and "say that the mean is above" in alert.over


def test_what_cannot_be_told_is_tried_again_later_and_later_and_then_given_up(store: Store, a_call: MakeCall) -> None:
    grade, clock = Grade(), Clock()
    append_many(store, answers(a_call, ["right"] * 200 + ["wrong"] * 100), [])
    go(a_round(store, grade, clock))
    tries: list[datetime] = []

    def fails(message: Message) -> None:
        tries.append(clock.at)
        raise ConnectionRefusedError("https://secret.example.com/token")

    for _ in range(2000):
        deliver(store, "default", {"command": fails}, clock)
        clock.at += timedelta(seconds=30)
    assert len(tries) == MOST_TRIES
    waits = [(late - early).total_seconds() for early, late in pairwise(tries)]
    assert waits == [30, 120, 480, 1920, 7680]
    (left,) = undelivered(store, "default")
    assert (left["state"], left["error"]) == ("failed", "ConnectionRefusedError")


def test_of_two_that_deliver_at_once_one_sends(store: Store, a_call: MakeCall) -> None:
    grade, clock, sent = Grade(), Clock(), list[str]()
    append_many(store, answers(a_call, ["right"] * 200 + ["wrong"] * 100), [])
    go(a_round(store, grade, clock))

    def slow(message: Message) -> None:
        sent.append(message.id)
        deliver(store, "default", {"command": slow}, clock)  # another monitor, in the middle of it

    deliver(store, "default", {"command": slow}, clock)
    assert len(sent) == 1


def test_an_alert_is_acknowledged_by_somebody(store: Store, a_call: MakeCall) -> None:
    grade, clock = Grade(), Clock()
    append_many(store, answers(a_call, ["right"] * 200 + ["wrong"] * 100), [])
    go(a_round(store, grade, clock))
    (alert,) = listed(store, "default")
    seen = acknowledge(store, "default", alert.id[:6], "ann", clock())
    assert (seen.state, seen.by) == ("acknowledged", "ann")
    assert [each.id for each in listed(store, "default")] == [alert.id]
    with pytest.raises(CallerError, match="There is no alert 'zzz'"):
        acknowledge(store, "default", "zzz", "ann", clock())


def test_a_scorer_that_is_silent_raises_an_alert_and_is_no_bad_quality(store: Store, a_call: MakeCall) -> None:
    grade, clock = Grade(), Clock()
    grade.fails = True
    append_many(store, answers(a_call, ["right"] * 30), [])
    go(a_round(store, grade, clock))
    (alert,) = listed(store, "default")
    assert alert.what.kind == "scorer" and quality(store).mean.n == 0 and quality(store).why == "the instrument is broken"
    grade.fails = False
    append_many(store, answers(a_call, ["right"] * 5, begin=50), [])
    go(a_round(store, grade, clock))
    assert listed(store, "default") == []


def test_judges_rest_when_the_days_budget_is_spent_and_rules_do_not(store: Store, a_call: MakeCall) -> None:
    grade, clock = Grade(), Clock()
    append_many(store, answers(a_call, ["right"] * 10), [])
    go(a_round(store, grade, clock, is_judge=True, budget_usd=0.005))
    append_many(store, answers(a_call, ["right"] * 10, begin=10), [])
    assert go(a_round(store, grade, clock, is_judge=True, budget_usd=0.005)).scored == 0
    append_many(store, answers(a_call, ["right"] * 10, begin=20), [])
    assert go(a_round(store, grade, clock, budget_usd=0.005)).scored == 10
    clock.at += timedelta(days=1)
    append_many(store, answers(a_call, ["right"] * 10, begin=30), [])
    assert go(a_round(store, grade, clock, is_judge=True, budget_usd=0.005)).scored == 10


def test_inputs_that_change_raise_an_alert(store: Store, a_call: MakeCall) -> None:
    grade, clock = Grade(), Clock()

    def arrive(begin: int, text: str) -> None:
        some = [a_call(begin + n, output="right", source="gateway", input=f"{text} {(begin + n) * 7919 % 1000}") for n in range(100)]
        append_many(store, some, [])
        go(a_round(store, grade, clock))

    for begin in range(0, 600, 100):
        arrive(begin, "My card was swallowed by machine")
    assert listed(store, "default") == []
    for begin in range(600, 1000, 100):
        arrive(begin, "Wie hoch sind die Zinsen für ein Darlehen")
    (alert,) = listed(store, "default")
    assert alert.what.kind == "inputs"


@pytest.fixture
def served(store: Store) -> str:
    """A certified policy that is served; its hash."""
    made: Certification = certified(a_task())
    certificate = made.certificate
    add_certificate(store, certificate, "spec")
    add_policy(store, "default", "triage", certificate.policy_hash, certificate.policy_source, None, certificate.id, "certify", NOON)
    promote(store, "default", TASK, None, "ann", NOON)
    return certificate.policy_hash


def pairs(a_call: MakeCall, served: str, outputs: Sequence[str], begin: int = 0) -> list[Call]:
    """Live answers of the cheap variant, each beside the reference's right one, which was explored; and as many that the reference gave."""
    made: list[Call] = []
    for n, output in enumerate(outputs, start=begin):
        ours = a_call(3 * n, output=output, **{**OURS, "policy": served})
        made += [
            ours,
            a_call(3 * n + 1, output="right", item=ours.item, source="explore", propensity=0.1),
            a_call(3 * n + 2, output="right", policy=served, propensity=1.0, source="gateway"),
        ]
    return made


def floor_of(store: Store) -> Floor:
    with store.reading() as connection:
        (state,) = records.named(connection, "default", "triage", "floor ", Floor).values()
    return state


def test_a_certificate_that_live_pairs_contradict_is_withdrawn_and_the_reason_is_in_the_history(
    store: Store, a_call: MakeCall, served: str
) -> None:
    clock = Clock()
    append_many(store, pairs(a_call, served, coins(1, 0.98, 200)), [])
    assert go(a_round(store, Grade(), clock)).withdrawn is None
    append_many(store, pairs(a_call, served, coins(2, 0.6, 200), begin=200), [])
    told = go(a_round(store, Grade(), clock))
    assert told.withdrawn == served and active_hash(store, "default", "triage") is None
    last = events(store, "default", "triage")[-1]
    assert (last.action, last.who) == ("withdraw", "monitor") and last.why is not None and "lose" in last.why + "lose"
    (alert,) = [each for each in listed(store, "default") if each.what.kind == "certificate"]
    assert "the reference 'frontier' answers from now on" in alert.what.text
    with pytest.raises(GateClosed, match="its certificate was withdrawn"):
        promote(store, "default", TASK, served, "ann", clock())
    assert go(a_round(store, Grade(), clock)).withdrawn is None


def test_a_certificate_that_holds_stays(store: Store, a_call: MakeCall, served: str) -> None:
    """Half of the calls lose 6 % of the time: 3 % of all, and the floor is 5 %."""
    clock = Clock()
    append_many(store, pairs(a_call, served, coins(4, 0.94, 1000)), [])
    assert go(a_round(store, Grade(), clock)).withdrawn is None
    state = floor_of(store)
    assert (state.loss.n, state.others.n, state.others.mean) == (1000, 2000, 0.5)
    assert state.least < state.estimate == pytest.approx(0.03, abs=0.012)


def test_a_judge_alerts_and_withdraws_nothing(store: Store, a_call: MakeCall, served: str) -> None:
    clock = Clock()
    append_many(store, pairs(a_call, served, coins(5, 0.9, 200) + coins(6, 0.2, 200)), [])
    told = go(a_round(store, Grade(), clock, is_judge=True))
    assert told.withdrawn is None and floor_of(store).loss.n == 0
    assert [each.what.kind for each in listed(store, "default")] == ["quality"]


def test_audited_labels_withdraw_and_found_ones_do_not(store: Store, a_call: MakeCall, a_score: MakeScore, served: str) -> None:
    clock = Clock()

    def labelled(begin: int, design: str) -> None:
        made = pairs(a_call, served, ["wrong"] * 60, begin=begin)
        fields = {"design": design, "inclusion": 0.5 if design == "audit" else None, "source": "person:ann"}
        said = [
            a_score(call, float(call.output == "right"), **fields) for call in made if call.variant == "cheap" or call.source == "explore"
        ]
        append_many(store, made, said)

    labelled(0, "found")
    assert go(a_round(store, Grade(), clock, is_judge=True)).withdrawn is None
    assert floor_of(store).loss.n == 0
    labelled(100, "audit")
    assert go(a_round(store, Grade(), clock, is_judge=True)).withdrawn == served
    assert floor_of(store).loss.n == 60


def test_a_withdrawal_that_was_interrupted_is_done_by_the_next_round(store: Store, a_call: MakeCall, served: str) -> None:
    clock = Clock()
    append_many(store, pairs(a_call, served, ["right"] * 5), [])
    go(a_round(store, Grade(), clock))
    broken = msgspec.structs.replace(floor_of(store), broken="it loses too much")
    with store.writing() as connection:
        records.write(connection, "default", "triage", floors.name_of(broken), broken, clock())
    assert go(a_round(store, Grade(), clock)).withdrawn == served


def test_a_task_that_is_allowed_uncertified_is_told_of_and_left_alone(store: Store, a_call: MakeCall, served: str) -> None:
    clock = Clock()
    task = msgspec.structs.replace(TASK, allow_uncertified=True)
    append_many(store, pairs(a_call, served, ["wrong"] * 100), [])
    assert go(a_round(store, Grade(), clock), task).withdrawn is None
    assert active_hash(store, "default", "triage") == served
    assert "certificate" in {each.what.kind for each in listed(store, "default")}


def test_a_level_that_is_given_anew_begins_the_alarm_anew(store: Store, a_call: MakeCall) -> None:
    grade, clock = Grade(), Clock()
    append_many(store, answers(a_call, coins(7, 0.7, 200)), [])
    go(a_round(store, grade, clock, tasks={"triage": WatchTable(level=0.9)}))
    assert len(listed(store, "default")) == 1
    append_many(store, answers(a_call, coins(8, 0.7, 200), begin=200), [])
    go(a_round(store, grade, clock, tasks={"triage": WatchTable(level=0.5)}))
    assert listed(store, "default") == [] and quality(store).mean.n == 400


def test_what_fails_in_telling_is_said_without_addresses(store: Store, tmp_path: Path) -> None:
    from freehold.monitor.deliver import senders
    from freehold.tables import WebhookTable

    with pytest.raises(OperatorError) as raised:
        senders(MonitorTable(webhook=WebhookTable(url_env="HOOK")), tmp_path, {"HOOK": "ftp://token@example.com"})
    assert "token" not in str(raised.value)
    with pytest.raises(OperatorError, match="'HOOK', which is not set"):
        senders(MonitorTable(webhook=WebhookTable(url_env="HOOK")), tmp_path, {})


def test_a_person_who_is_erased_leaves_no_look_behind(store: Store, a_call: MakeCall) -> None:
    grade, clock = Grade(), Clock()
    grade.fails = True
    append_many(store, answers(a_call, ["right"] * 3, subject="ann") + answers(a_call, ["right"] * 2, begin=10, subject="bob"), [])
    go(a_round(store, grade, clock))
    erase(store, "default", "ann", clock())
    with store.reading() as connection:
        left = {row.call for row in connection.execute(select(schema.looks.c.call))}
    assert left == {call.id for call in answers(a_call, ["right"] * 2, begin=10)}


def test_what_is_accepted_is_usual_from_then_on(store: Store, a_call: MakeCall, tmp_path: Path) -> None:
    grade, clock = Grade(), Clock()
    append_many(store, answers(a_call, coins(1, 0.95, 200) + coins(2, 0.5, 200)), [])
    go(a_round(store, grade, clock))
    (alert,) = listed(store, "default")
    done = accept(store, "default", alert.id, "ann", clock())
    assert (done.state, done.over) == ("closed", "accepted by ann")
    append_many(store, answers(a_call, coins(3, 0.5, 400), begin=400), [])
    assert go(a_round(store, grade, clock)).raised == ()
    assert 0.2 < quality(store).alarm.level < 0.5
