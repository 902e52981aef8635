"""Feedback without a key, on each database: a token is taken once, so often as the project lets them, and what a crowd can do with many."""

import asyncio
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from freehold.catalog import Catalog, Reward
from freehold.feedback.lessons import examples_of
from freehold.feedback.public import MOST_BYTES, Public
from freehold.feedback.receive import Receiver
from freehold.feedback.reward import reward
from freehold.feedback.rewards import asked, rewards
from freehold.feedback.spend import TooOften, Use, spend
from freehold.feedback.tokens import new_ticket, signed
from freehold.gateway.asgi import AsgiReply
from freehold.gateway.caller import Caller
from freehold.gateway.head import Head
from freehold.gateway.reply import Handler, Request
from freehold.journal import read
from freehold.journal.call import Call, Feedback
from freehold.journal.erase import erase
from freehold.journal.write import Writer, append_feedback, append_many
from freehold.store.open import Store
from freehold.store.schema import used_tokens
from freehold.tables import FeedbackTable

MakeCall = Callable[..., Call]
SECRET = b"s" * 32
LATER = datetime.now(UTC) + timedelta(days=1)
RULE = FeedbackTable(public=True, origins=("https://app.example.com",))
PAGE = (b"origin", b"https://app.example.com")


class Told:
    """What somebody was answered."""

    def __init__(self, start: Any, body: bytes) -> None:
        self.status: int = start["status"]
        self.headers = dict(start["headers"])
        self.body: Any = json.loads(body) if body else None


def at_work(store: Store, rule: FeedbackTable, do: Callable[[Public], Sequence[tuple[Handler, Request]]]) -> list[Told]:
    """What a gateway of this project answers to requests, one after the other."""

    async def run() -> list[Told]:
        writer, catalog = Writer(store), Catalog()
        receiver = Receiver(store, writer, catalog, "full", "default", rule)
        public = Public(receiver, store, catalog, "default", rule, SECRET if rule.public else None)
        told = []
        for handler, request in do(public):
            reply = AsgiReply()
            handler(request, reply)
            start, body = await reply.messages.get(), await reply.messages.get()
            assert start is not None and body is not None
            told.append(Told(start, body["body"]))
        await writer.close()
        return told

    return asyncio.run(run())


def given(store: Store, *bodies: dict[str, Any], rule: FeedbackTable = RULE, peer: str = "203.0.113.1", headers: Any = ()) -> list[Told]:
    return at_work(store, rule, lambda public: [(public.take, request(body, peer, headers)) for body in bodies])


def request(body: dict[str, Any], peer: str = "203.0.113.1", headers: Any = ()) -> Request:
    head = Head.of([(b"content-type", b"application/json"), *headers])
    return Request(b"POST", b"/v1/feedback/public", head, json.dumps(body).encode(), peer)


def token(call: str | None, **more: Any) -> str:
    return signed(SECRET, new_ticket("default", call, LATER, **more))


def test_a_token_is_taken_once_and_whoever_asks_again_hears_the_same(store: Store, a_call: MakeCall) -> None:
    call = a_call(1)
    append_many(store, [call])
    said = {"token": token(call.id, author="u1"), "metric": "helpful", "value": 1, "comment": "thanks"}
    first, again, other = given(store, said, said, {**said, "value": 0})
    assert (first.status, again.status, again.body == first.body) == (200, 200, True)
    assert (other.status, "a token is taken once" in other.body["error"]["message"]) == (409, True)
    kept = read.feedback_of(store, "default", call.id)
    assert [(one.kind, one.source, one.author) for one in kept] == [("score", "user:public", "u1"), ("comment", "user:public", "u1")]


def test_a_token_is_for_its_call_and_says_who_speaks(store: Store, a_call: MakeCall) -> None:
    calls = [a_call(n, item="m") for n in (1, 2, 3)]
    append_many(store, calls)
    narrow = {"token": token(calls[0].id, metrics=("helpful",), other=calls[1].id), "metric": "helpful"}
    refused = given(
        store,
        {**narrow, "value": 1, "call": calls[1].id},
        {**narrow, "value": 1, "source": "person:ann"},
        {**narrow, "value": 1, "author": "ann"},
        {**narrow, "value": 1, "metric": "correct"},
        {**narrow, "preference": {"better_than": {"call": calls[2].id}}},
        {**narrow, "token": narrow["token"][:-2], "value": 1},
        {**narrow, "token": signed(SECRET, new_ticket("other", calls[0].id, LATER)), "value": 1},
        {**narrow, "comment": "x" * MOST_BYTES},
        {"metric": "helpful", "value": 1},
    )
    assert [one.status for one in refused] == [400, 400, 400, 403, 403, 403, 403, 400, 400]
    (allowed,) = given(store, {**narrow, "preference": {"better_than": {"call": calls[1].id}}})
    assert allowed.status == 200
    assert read.feedback_of(store, "default", calls[1].id)[0].content == {"worse_than": {"call": calls[0].id}}


def test_without_an_author_one_address_is_one_voice_and_is_not_kept(store: Store, a_call: MakeCall) -> None:
    call = a_call(1)
    append_many(store, [call])
    for peer in ("203.0.113.1", "203.0.113.1", "203.0.113.2"):
        given(store, {"token": token(call.id), "metric": "helpful", "value": 1}, peer=peer)
    authors = [one.author or "" for one in read.feedback_of(store, "default", call.id)]
    assert authors[0] == authors[1] != authors[2]
    assert all(author.startswith("address:") and "203" not in author[:12] for author in authors)


def test_only_pages_that_the_project_names_hear_the_answer(store: Store, a_call: MakeCall) -> None:
    call = a_call(1)
    append_many(store, [call])
    said = {"token": token(call.id), "metric": "helpful", "value": 1}
    (named,) = given(store, said, headers=[PAGE])
    assert named.headers[b"access-control-allow-origin"] == PAGE[1]
    (wrong,) = given(store, {**said, "value": 0}, headers=[PAGE])
    assert (wrong.status, wrong.headers[b"access-control-allow-origin"]) == (409, PAGE[1])
    (other,) = given(store, said, headers=[(b"origin", b"https://evil.example")])
    assert b"access-control-allow-origin" not in other.headers
    ask = Request(b"OPTIONS", b"/v1/feedback/public", Head.of([PAGE]), b"")
    (preflight,) = at_work(store, RULE, lambda public: [(public.preflight, ask)])
    assert (preflight.status, preflight.headers[b"access-control-allow-methods"]) == (204, b"POST")
    assert b"access-control-allow-credentials" not in preflight.headers


def test_public_feedback_is_off_unless_the_project_says_so(store: Store, a_call: MakeCall) -> None:
    off = FeedbackTable()
    (told,) = given(store, {"token": token(a_call(1).id), "metric": "m", "value": 1}, rule=off)
    assert (told.status, "feedback.public in freehold.toml is false" in told.body["error"]["message"]) == (404, True)


def test_a_token_that_a_key_has_made_is_taken(store: Store, a_call: MakeCall) -> None:
    call = a_call(1)
    append_many(store, [call])
    bodies: list[dict[str, Any]] = [
        {"call": call.id, "author": "u1"},
        {"call": "a", "episode": "b"},
        {"call": "a", "days": 3},
        {"call": ""},
    ]
    caller = Caller(id="abc")
    made, *refused = at_work(
        store, RULE, lambda public: [(lambda r, reply: public.make(caller, r, reply), request(body)) for body in bodies]
    )
    assert [one.status for one in refused] == [400, 400, 400]
    (told,) = given(store, {"token": made.body["token"], "metric": "m", "value": 1})
    assert told.status == 200
    with store.reading() as connection:
        (row,) = connection.execute(select(used_tokens)).all()
    assert (row.issuer, row.call) == ("abc", call.id)
    assert "u1" not in str(row) and "203.0.113.1" not in str(row)


def test_tokens_are_taken_so_often_from_one_address_of_one_author_and_of_one_issuer(store: Store) -> None:
    """Windows move on, and each limit is its own. What was taken is known as taken whatever the limits say."""
    noon = datetime(2026, 3, 4, 12, tzinfo=UTC)
    rule = FeedbackTable(address_per_hour=3, author_per_day=5, issuer_per_hour=7)

    def used(n: int, at: datetime, **more: str) -> bool:
        names = {"issuer": f"i{n}", "voice": f"v{n}", "address": f"a{n}", **more}
        use = Use(token=f"t{n}", said="s", call="c", episode=None, until=noon + timedelta(days=30), **names)
        try:
            spend(store, "default", use, rule, at)
        except TooOften as error:
            assert 1 <= error.retry_after_s <= 86_400
            return False
        return True

    assert [used(n, noon, address="one") for n in range(5)] == [True] * 3 + [False] * 2
    assert used(0, noon, address="one")  # said again
    assert [used(n, noon, voice="one") for n in range(10, 17)] == [True] * 5 + [False] * 2
    assert [used(n, noon, issuer="one") for n in range(20, 29)] == [True] * 7 + [False] * 2
    hour = noon + timedelta(hours=1, seconds=1)
    assert (used(30, hour, address="one"), used(31, hour, voice="one"), used(32, hour, issuer="one")) == (True, False, True)
    assert used(33, noon + timedelta(days=1, seconds=1), voice="one")
    assert used(34, noon + timedelta(days=40))
    with store.reading() as connection:  # those whose token has ended are forgotten, for it is refused for that
        assert connection.execute(select(func.count()).select_from(used_tokens)).scalar() == 1


def test_erasing_a_person_takes_what_they_said_and_that_somebody_spoke_of_them(store: Store, a_call: MakeCall) -> None:
    theirs, other = a_call(1, subject="ann"), a_call(2, subject="bob")
    append_many(store, [theirs, other])
    given(store, {"token": token(theirs.id, author="u1"), "metric": "m", "value": 1})
    given(store, {"token": token(other.id, author="ann"), "metric": "m", "comment": "I am Ann"})
    given(store, {"token": token(other.id, author="u1"), "metric": "m", "value": 1})
    assert erase(store, "default", "ann", LATER).feedback == 2
    assert [one.author for one in read.feedback_of(store, "default", other.id)] == ["u1"]
    with store.reading() as connection:
        assert set(connection.execute(select(used_tokens.c.call)).scalars()) == {other.id}


# A planted campaign.

RULED = Reward(metrics={"correct": 1.0})
BOUND = 0.25
"""How far all users together move a reward at most, by default."""
PAGE_OF_IT = Path(__file__).parents[2] / "docs/feedback.md"


def test_the_bound_is_the_default_rule_s_and_the_page_says_it() -> None:
    assert Reward().at_most == {"user": BOUND}
    assert f"A reward moves by at most {BOUND}" in PAGE_OF_IT.read_text()


def judged(call: Call, value: float, by: str = "person:ann") -> Feedback:
    return Feedback(id=f"{by}{call.id}", call=call.id, metric="correct", value=value, source=by, at=LATER)


@pytest.mark.slow
@pytest.mark.parametrize("crowd", ["many authors at one address", "many authors with one token each", "many addresses without authors"])
def test_a_planted_campaign_moves_no_reward_beyond_the_bound_and_no_data_set_at_all(store: Store, a_call: MakeCall, crowd: str) -> None:
    """300 fake users praise 10 bad answers, damn 10 good ones and correct 10 of which nobody else spoke, with as many tokens as they like.

    Of the first a person said what they are worth: no reward moves by more than the bound. Of the others nobody else spoke: there is no
    reward, and no example. What a data set takes at `reward >= 0.9` has no bad answer among it, before and after.
    """
    bad, good, unknown = ([a_call(n) for n in range(first, first + 10)] for first in (0, 10, 20))
    append_many(store, [*bad, *good, *unknown], [*(judged(c, 0.0) for c in bad), *(judged(c, 1.0) for c in good)])
    before = rewards(store, "default", map(asked, [*bad, *good]), RULED, Catalog())
    rule = FeedbackTable(public=True, address_per_hour=100, author_per_day=20, issuer_per_hour=100_000)
    spoken = []
    for n in range(300):
        call, value, correction = [(bad[n % 10], 1, None), (good[n % 10], 0, None), (unknown[n % 10], 1, "poison")][n % 3]
        author = None if crowd == "many addresses without authors" else f"fake{n}"
        peer = "203.0.113.1" if crowd == "many authors at one address" else f"198.51.{n // 250}.{n % 250}"
        body = {"token": token(call.id, author=author), "metric": "correct", "value": value}
        spoken.append(request(body | ({"correction": correction} if correction else {}), peer))
    told = at_work(store, rule, lambda public: [(public.take, one) for one in spoken])
    assert sum(one.status == 200 for one in told) == (100 if crowd == "many authors at one address" else 300)
    after = rewards(store, "default", map(asked, [*bad, *good, *unknown]), RULED, Catalog())
    moved = [abs((after[call].value or 0.0) - (before[call].value or 0.0)) for call in before]
    assert BOUND - 1e-9 <= max(moved) <= BOUND
    assert all(after[call.id].value is None for call in unknown)
    assert [call.id for call in (*bad, *unknown) if (after[call.id].value or 0.0) >= 0.5] == []
    for call in (*bad, *unknown):
        assert examples_of(call, read.feedback_of(store, "default", call.id), RULED) == ()


def test_a_campaign_moves_nothing_where_somebody_comes_first(store: Store, a_call: MakeCall) -> None:
    """With `first` even the bound is 0: users are heard only where no verifier and no person spoke."""
    call = a_call(1)
    append_many(store, [call])
    append_feedback(store, [judged(call, 1.0)])
    bodies = [{"token": token(call.id, author=f"fake{n}"), "metric": "correct", "value": 0} for n in range(25)]
    assert [one.status for one in given(store, *bodies)] == [200] * 25
    rule = Reward(metrics={"correct": 1.0}, first=("verifier", "person"))
    assert reward(rule, read.feedback_of(store, "default", call.id), Catalog()).value == 1.0
