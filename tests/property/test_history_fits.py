"""Whatever was said and whatever the budget, what is fitted holds it, keeps its order, and parts no call from its result."""

import asyncio
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from freehold.chat import Message, Part, Role, Text, ToolCall, ToolResult
from freehold.context.count import Pieces, counter_of, estimate, pieces_of, tokens_of
from freehold.context.history import SUMMARY, Fitted, Retrieve, Strategy, Summarise, Trim, fit
from freehold.context.turns import begins_turn, split
from freehold.errors import CallerError

few = settings(max_examples=300, deadline=None)
any_text = st.text(st.characters(codec="utf-8"), max_size=60)


def message(role: Role, *parts: Part) -> Message:
    return Message(role=role, parts=parts)


@st.composite
def conversations(draw: st.DrawFn) -> list[Message]:
    """Anything a client may send: calls without results, results without calls, late or twice, the system in the middle."""
    ids = st.sampled_from("abc")
    words = any_text.map(lambda text: Text(text=text))
    call = ids.map(lambda id: ToolCall(id=id, name="find", arguments="{}"))
    result = st.tuples(ids, words).map(lambda told: ToolResult(call=told[0], parts=(told[1],)))
    one = st.one_of(
        words.map(lambda text: message("user", text)),
        st.lists(words | call, max_size=3).map(lambda parts: message("assistant", *parts)),
        result.map(lambda part: message("tool", part)),
        st.tuples(result, words).map(lambda parts: message("user", *parts)),
        words.map(lambda text: message("system", text)),
    )
    return draw(st.lists(one, max_size=16))


async def first_words(messages: Sequence[Message]) -> str:
    return " ".join(part.text[:4] for message in messages for part in message.parts if isinstance(part, Text))


strategies = st.one_of(
    st.integers(0, 3).map(Trim),
    st.tuples(st.integers(1, 3), st.floats(0.05, 0.9)).map(lambda s: Summarise(first_words, s[0], s[1])),
    st.integers(1, 3).map(lambda n: Retrieve(keep_last=n)),
)
counters = st.sampled_from([counter_of(), counter_of("gpt-5")])


def try_fit(messages: Sequence[Message], budget: int, strategy: Strategy) -> Fitted | None:
    try:
        return asyncio.run(fit(messages, budget, strategy))
    except CallerError:
        return None


@given(conversations(), st.integers(0, 300), strategies)
@few
def test_the_budget_holds_or_it_is_said_why_not(messages: list[Message], budget: int, strategy: Strategy) -> None:
    done = try_fit(messages, budget, strategy)
    system, turns = split(messages)
    least = [messages[place] for place in (*system, *(turns[-1] if turns else ()))]
    if done is None:
        assert tokens_of(least).tokens > budget
        return
    assert done.tokens == tokens_of(done.messages)
    assert done.tokens.tokens <= budget
    assert tokens_of(least).tokens <= budget


@given(conversations(), st.integers(0, 300), strategies)
@few
def test_what_stays_is_what_was_said_in_its_order(messages: list[Message], budget: int, strategy: Strategy) -> None:
    done = try_fit(messages, budget, strategy)
    if done is None:
        return
    stay = [one for one in done.messages if not (one.parts and isinstance(one.parts[0], Text) and one.parts[0].text.startswith(SUMMARY))]
    left = iter(messages)
    assert all(any(one is other for other in left) for one in stay)
    assert len(messages) == len(stay) + done.dropped + done.summarised
    system, turns = split(messages)
    whole = {id(one) for one in stay}
    assert all(id(messages[place]) in whole for place in (*system, *(turns[-1] if turns else ())))
    for turn in turns:
        assert len({id(messages[place]) in whole for place in turn}) == 1, "a turn goes as a whole"
    if done.dropped or done.summarised:
        first = next(one for one in done.messages if one.role not in ("system", "developer"))
        assert begins_turn(first) or len(turns) == 1 or not begins_turn(messages[turns[-1][0]])


@given(any_text, any_text, st.sampled_from(["o200k", "cl100k"]))
@few
def test_a_longer_text_never_counts_much_less(one: str, other: str, rule: str) -> None:
    """Where two texts meet, words or runs may become one; that is all that may be saved."""
    assert estimate(one + other, rule) >= max(estimate(one, rule), estimate(other, rule)) - 2
    assert estimate(one + " " + other, rule) <= estimate(one, rule) + estimate(other, rule) + 4


@given(st.text(st.characters(codec=None), max_size=200))
@few
def test_any_text_has_pieces(text: str) -> None:
    pieces = pieces_of(text)
    assert min(pieces) >= 0
    assert isinstance(pieces, Pieces)
    assert (estimate(text) > 0) == bool(text)
