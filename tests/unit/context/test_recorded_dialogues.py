"""Recorded dialogues of the Schema-Guided Dialogue data set, fitted to several budgets by each strategy.

The data have no calls of services, but say what each answer of the system rests on. So before an answer that offers or confirms values, a call
with these values and its result are put, as a service would have been asked for them.
"""

import asyncio
import gzip
import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from bench import data

from freehold.chat import Message, Role, Text, ToolCall, ToolResult
from freehold.context.count import tokens_of
from freehold.context.history import Fitted, Retrieve, Strategy, Summarise, Trim, fit
from freehold.context.turns import words_of
from freehold.errors import CallerError

EVERY = 4
"""Of the 504 dialogues every fourth: all of them take a minute, and say the same. The budget is held on all of them by `bench/history.py`."""


async def first_sentences(messages: Sequence[Message]) -> str:
    return " ".join(words_of([message]).split(".")[0] for message in messages)[:200]


STRATEGIES: dict[str, Strategy] = {
    "trim": Trim(),
    "trim, the first two kept": Trim(2),
    "summarise": Summarise(first_sentences, keep_last=2),
    "retrieve": Retrieve(),
}


@pytest.fixture(scope="module")
def dialogues() -> list[list[Message]]:
    try:
        file = data.need("sgd_slice") / "dialogues.jsonl.gz"
    except data.NoSharedData as error:
        pytest.skip(str(error))
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        return [conversation(json.loads(line)["turns"]) for line in list(lines)[::EVERY]]


def conversation(turns: Sequence[dict[str, Any]]) -> list[Message]:
    system = Message(role="system", parts=(Text(text="You book restaurants, hotels, flights and the like."),))
    return [system, *(message for n, turn in enumerate(turns) for message in messages_of(n, turn))]


def messages_of(n: int, turn: dict[str, Any]) -> Iterator[Message]:
    role: Role = "user" if turn["speaker"] == "USER" else "assistant"
    if role == "assistant":
        told = [(action["slot"], action["values"]) for frame in turn["frames"] for action in frame["actions"] if action["values"]]
        if told:
            yield Message(role=role, parts=(ToolCall(id=f"call_{n}", name=turn["frames"][0]["service"], arguments=json.dumps(dict(told))),))
            yield Message(role="tool", parts=(ToolResult(call=f"call_{n}", parts=(Text(text=json.dumps(told)),)),))
    yield Message(role=role, parts=(Text(text=turn["utterance"]),))


def ids_of(messages: Sequence[Message], kind: type[ToolCall] | type[ToolResult]) -> set[str]:
    parts = [part for message in messages for part in message.parts if isinstance(part, kind)]
    return {part.id if isinstance(part, ToolCall) else part.call for part in parts}


@pytest.mark.shared_data
@pytest.mark.parametrize("share", [0.25, 0.5, 0.75, 1.0])
@pytest.mark.parametrize("name", STRATEGIES)
def test_every_dialogue_fits(dialogues: list[list[Message]], name: str, share: float) -> None:
    """The budget holds, order is kept, the user's last words stay, and no call is without its result."""
    refused = 0
    for messages in dialogues:
        whole = tokens_of(messages).tokens
        budget = int(share * whole)
        try:
            done: Fitted = asyncio.run(fit(messages, budget, STRATEGIES[name]))
        except CallerError:
            refused += 1
            continue
        assert tokens_of(done.messages).tokens == done.tokens.tokens <= budget
        left = iter(messages)
        said_before = [message for message in done.messages if any(message is other for other in messages)]
        assert all(any(message is other for other in left) for message in said_before)
        assert len(done.messages) - len(said_before) == (done.summarised > 0)
        assert len(messages) == len(said_before) + done.dropped + done.summarised
        last = next(message for message in reversed(messages) if message.role == "user")
        assert any(message is last for message in done.messages)
        assert ids_of(done.messages, ToolCall) == ids_of(done.messages, ToolResult)
        assert done.messages[0] is messages[0]
        assert done.messages[1].role == "user"
    assert refused <= (0 if share > 0.25 else len(dialogues) // 20), "the last turn alone is seldom a quarter of a dialogue"
