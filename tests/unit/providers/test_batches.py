"""Requests handed over as batches: split by the provider's limits, never twice whatever breaks, and each answered once, in any order."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from tests.upstream_batches import Batches, batch_upstream

from freehold.errors import CallerError, ProviderError
from freehold.providers.batch_answers import Result
from freehold.providers.batches import BatchTicket, cancel, poll, results, settle, submit
from freehold.providers.provider import Provider
from freehold.providers.spooled import Limits
from freehold.tables import ProviderTable

KINDS = pytest.mark.parametrize("kind", ["openai", "anthropic"])
CREATE = {"openai": "POST /batches", "anthropic": "POST /messages/batches"}
REQUESTS = [
    (f"row-{n}", json.dumps({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": f"{n}"}]}).encode()) for n in range(5)
]


class Killed(BaseException):
    """The process is gone: nothing after it is done."""


class Kept:
    """A ticket's place. `dies_at`: which time it is noted is the process's last moment, before anything of it is kept."""

    def __init__(self, dies_at: int = 0) -> None:
        self.stored: bytes | None = None
        self.times = 0
        self.dies_at = dies_at

    def note(self, ticket: BatchTicket) -> None:
        self.times += 1
        if self.times == self.dies_at:
            raise Killed
        self.stored = msgspec.json.encode(ticket)

    @property
    def ticket(self) -> BatchTicket | str:
        return "job" if self.stored is None else msgspec.json.decode(self.stored, type=BatchTicket)


async def at_once(_: float) -> None:
    """Waits for nothing."""


@pytest.fixture
def up() -> Iterator[Batches]:
    with batch_upstream() as batches:
        yield batches


@pytest.fixture
def of(up: Batches, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes the provider of a kind."""
    monkeypatch.setenv("KEY", "sk-secret")
    return lambda kind: Provider("up", ProviderTable(kind=kind, base_url=up.url, key_env="KEY"))


def handed_over(provider: Provider, kept: Kept, requests: list[tuple[str, bytes]] = REQUESTS, limits: Limits | None = None) -> BatchTicket:
    return asyncio.run(submit(provider, iter(requests), kept.note, kept.ticket, limits=limits, wait=at_once))


def looked(provider: Provider, kept: Kept) -> BatchTicket:
    assert isinstance(kept.ticket, BatchTicket)
    return asyncio.run(poll(provider, kept.ticket, kept.note, wait=at_once))


def read(provider: Provider, ticket: BatchTicket) -> dict[str, Result]:
    async def all_of() -> list[Result]:
        return [result async for result in results(provider, ticket, wait=at_once)]

    found = asyncio.run(all_of())
    assert len({result.custom_id for result in found}) == len(found)
    return {result.custom_id: result for result in found}


def ids(up: Batches) -> list[list[str]]:
    return [[request["custom_id"].partition("-")[2] for request in batch["requests"]] for batch in up.batches]


@KINDS
def test_requests_are_answered_by_their_ids_in_any_order(up: Batches, of: Any, kind: str) -> None:
    provider, kept = of(kind), Kept()
    ticket = handed_over(provider, kept)
    assert not ticket.is_over and not ticket.needs_submit and ticket.parts[0].state == "submitted"
    up.finish()
    ticket = looked(provider, kept)
    assert ticket.is_over and ticket == kept.ticket
    found = read(provider, ticket)
    assert set(found) == {id for id, _ in REQUESTS}
    answer = found["row-3"].answer
    assert answer is not None and answer.model == "m-2026" and answer.usage is not None and answer.usage.input_tokens == 100


@KINDS
def test_what_has_no_answer_says_why(up: Batches, of: Any, kind: str) -> None:
    provider, kept = of(kind), Kept()
    handed_over(provider, kept)
    up.finish(failing=("row-1",), expired=("row-2",))
    ticket = looked(provider, kept)
    assert (ticket.parts[0].answered, ticket.parts[0].failed) == (3, 2)
    found = read(provider, ticket)
    assert found["row-1"] == Result("row-1", "failed", None, "not so", 400)
    assert (found["row-2"].status, found["row-2"].answer) == ("expired", None)
    assert sum(result.status == "answered" for result in found.values()) == 3


@KINDS
def test_they_are_split_by_number_and_size(up: Batches, of: Any, kind: str) -> None:
    ticket = handed_over(of(kind), Kept(), limits=Limits(2, 10_000, False))
    assert ids(up) == [["row-0", "row-1"], ["row-2", "row-3"], ["row-4"]]
    assert [part.requests for part in ticket.parts] == [2, 2, 1]
    up.batches.clear()
    handed_over(of(kind), Kept(), limits=Limits(100, 500, False))
    assert len(ids(up)) > 1 and [id for some in ids(up) for id in some] == [id for id, _ in REQUESTS]
    with pytest.raises(CallerError, match="a batch takes 60"):
        handed_over(of(kind), Kept(), limits=Limits(100, 60, False))


def test_a_batch_of_openai_has_one_model(up: Batches, of: Any) -> None:
    mixed = [(id, body.replace(b'"m"', b'"other"')) if n % 2 else (id, body) for n, (id, body) in enumerate(REQUESTS)]
    handed_over(of("openai"), Kept(), mixed)
    assert ids(up) == [["row-0", "row-2", "row-4"], ["row-1", "row-3"]]
    up.batches.clear()
    handed_over(of("anthropic"), Kept(), mixed)
    assert len(ids(up)) == 1


@pytest.mark.parametrize(
    ("requests", "why"),
    [
        ([("a b", b"{}")], "1 to 55"),
        ([("a", REQUESTS[0][1]), ("a", REQUESTS[0][1])], "two requests"),
        ([("a", b"{")], "no JSON"),
        ([("a", b"{}")], "no model"),
        ([("a", b'{"model": "m", "stream": true}')], "stream"),
    ],
)
def test_what_no_batch_takes_is_refused_before_anything_is_sent(up: Batches, of: Any, requests: list[tuple[str, bytes]], why: str) -> None:
    with pytest.raises(CallerError, match=why):
        handed_over(of("openai"), Kept(), requests)
    assert not up.asked


@KINDS
@pytest.mark.parametrize("dies_at", [1, 2, 3, 4])
def test_a_process_killed_at_any_note_hands_nothing_over_twice(up: Batches, of: Any, kind: str, dies_at: int) -> None:
    """Also where the batch is there, and its id was not kept."""
    provider, kept = of(kind), Kept(dies_at)
    try:
        handed_over(provider, kept)
    except Killed:
        handed_over(provider, kept)
    kept.dies_at = 0
    up.finish()
    ticket = looked(provider, kept)
    assert ticket.is_over and ids(up) == [[id for id, _ in REQUESTS]]
    assert set(read(provider, ticket)) == {id for id, _ in REQUESTS}


@KINDS
@pytest.mark.parametrize("dies_at", [1, 2, 3, 4, 5, 6])
def test_one_that_broke_off_may_be_left_as_what_was_handed_over_of_it(up: Batches, of: Any, kind: str, dies_at: int) -> None:
    """The rest is handed over by another one, and nothing by both."""
    provider, kept, limits = of(kind), Kept(dies_at), Limits(3, 10**6, False)
    with suppress(Killed):
        handed_over(provider, kept, limits=limits)
    kept.dies_at = 0
    up.finish()
    answered: dict[str, Result] = {}
    if kept.stored is not None:
        assert isinstance(kept.ticket, BatchTicket)
        asyncio.run(settle(provider, kept.ticket, kept.note, wait=at_once))
        ticket = looked(provider, kept)
        assert ticket.is_over and not ticket.needs_submit
        answered = read(provider, ticket)
    if left := [request for request in REQUESTS if request[0] not in answered]:
        asyncio.run(submit(provider, iter(left), Kept().note, "another", wait=at_once))
    assert sorted(id for batch in ids(up) for id in batch) == [id for id, _ in REQUESTS]


@KINDS
def test_an_answer_that_never_came_is_looked_for_in_the_providers_list(up: Batches, of: Any, kind: str) -> None:
    """Past the first pages, and among others."""
    for n in range(3):
        handed_over(of(kind), Kept(), REQUESTS[: n + 1])
    up.swallows.add(CREATE[kind])
    kept = Kept()
    kept.stored = None
    ticket = asyncio.run(submit(of(kind), iter(REQUESTS), kept.note, "mine", wait=at_once))
    assert len(up.batches) == 4
    assert ticket.parts[0].state == ("submitted" if kind == "openai" else "unsure")
    up.finish()
    ticket = looked(of(kind), kept)
    assert ticket.is_over and ticket.parts[0].batch == "batch-3"


def test_a_batch_that_might_have_been_ours_and_is_not_is_handed_over_then(up: Batches, of: Any) -> None:
    """Anthropic notes nothing with a batch: only its answers tell whose it was."""
    provider = of("anthropic")
    asyncio.run(submit(provider, iter(REQUESTS), Kept().note, "somebody-else", wait=at_once))
    up.fails["POST /messages/batches"] = [0]
    kept = Kept()
    ticket = handed_over(provider, kept)
    assert (ticket.parts[0].state, ticket.parts[0].maybe) == ("unsure", ("batch-0",))
    assert not ticket.needs_submit and not ticket.is_over
    up.finish()
    ticket = looked(provider, kept)
    assert ticket.parts[0].state == "lost" and ticket.needs_submit
    handed_over(provider, kept)
    up.finish()
    assert looked(provider, kept).parts[0].batch == "batch-1"


@KINDS
def test_what_fails_once_is_asked_again(up: Batches, of: Any, kind: str) -> None:
    up.fails = {"POST /files": [500], "POST /batches": [503, 429], "POST /messages/batches": [529], "GET /files/ID/content": [500, 0]}
    provider, kept = of(kind), Kept()
    handed_over(provider, kept)
    assert len(up.batches) == 1
    up.finish()
    assert len(read(provider, looked(provider, kept))) == 5


@KINDS
def test_a_refusal_is_told_without_the_key(up: Batches, of: Any, kind: str) -> None:
    up.fails = {"POST /files": [401], "POST /messages/batches": [401]}
    with pytest.raises(ProviderError, match="401: not now") as refused:
        handed_over(of(kind), Kept())
    assert "secret" not in str(refused.value) and not up.batches
    assert "sk-secret" in "".join(up.heads[0].values())


@pytest.mark.parametrize(("status", "answers"), [("failed", 0), ("expired", 5), ("cancelled", 5)])
def test_a_batch_that_ends_otherwise_gives_what_there_is(up: Batches, of: Any, status: str, answers: int) -> None:
    provider, kept = of("openai"), Kept()
    handed_over(provider, kept)
    up.finish(status, expired=("row-4",))
    ticket = looked(provider, kept)
    assert ticket.is_over and ticket.parts[0].status == status
    assert ticket.parts[0].why == ("the queue is full" if status == "failed" else "")
    assert len(read(provider, ticket)) == answers


@KINDS
def test_it_can_be_cancelled(up: Batches, of: Any, kind: str) -> None:
    provider, kept = of(kind), Kept()
    ticket = handed_over(provider, kept)
    ticket = asyncio.run(cancel(provider, ticket, kept.note, wait=at_once))
    assert ticket.parts[0].status in ("cancelling", "canceling") and not ticket.is_over


def test_other_requests_under_the_same_name_are_refused(up: Batches, of: Any) -> None:
    kept = Kept()
    handed_over(of("openai"), kept)
    with pytest.raises(CallerError, match="not those"):
        handed_over(of("openai"), kept, REQUESTS[:2])
    with pytest.raises(CallerError, match="speaks"):
        handed_over(of("anthropic"), kept)
    assert len(up.batches) == 1


def test_a_ticket_outlives_its_process(up: Batches, of: Any) -> None:
    kept = Kept()
    ticket = handed_over(of("openai"), kept, limits=Limits(2, 10_000, True))
    assert kept.ticket == ticket == msgspec.json.decode(msgspec.json.encode(ticket), type=BatchTicket)


def test_half_the_list_price_where_the_provider_says_so_and_unknown_elsewhere(tmp_path: Any) -> None:
    from freehold.chat import Usage
    from freehold.project import Project
    from freehold.serving.resources import Resources

    price = "price = { input_per_mtok = 2.0, output_per_mtok = 4.0 }"
    (tmp_path / "freehold.toml").write_text(
        f'[providers.up]\nkind = "openai"\n[models.cheap]\nprovider = "up"\n{price}\n[models.bare]\nprovider = "up"\n'
        f'[models.own]\nprovider = "up"\n[models.own-in-a-batch]\nprovider = "up"\nname = "own (batch)"\n{price}\n'
    )
    used, now = Usage(input_tokens=1_000_000, output_tokens=500_000), datetime(2026, 3, 4, tzinfo=UTC)
    with Project.at(tmp_path) as project:

        async def priced() -> list[Any]:
            has = Resources(project.config, project.store, None, project.tenant)  # type: ignore[arg-type]
            return [
                has.prices.of_a_batch("cheap", used, now, "api.openai.com"),
                has.prices.of_a_batch("cheap", used, now, "eu.api.openai.com"),
                has.prices.of_a_batch("cheap", used, now, "api.openai.com.evil.example"),
                has.prices.of_a_batch("bare", used, now, "api.openai.com"),
                has.prices.of_a_batch("cheap", None, now, "api.openai.com"),
                has.prices.of_a_batch("own", used, now, "elsewhere.example"),
            ]

        listed, regional, elsewhere, unlisted, unused, own = asyncio.run(priced())
    assert own[0] == pytest.approx(4.0)
    assert listed[0] == regional[0] == pytest.approx(2.0)
    assert "x 0.5 (batch)" in listed[1]
    assert elsewhere == unlisted == unused == (None, None)
