"""What is left of what a model needs to know, when a conversation is fitted into less room? By strategy, beside turns kept by chance.

    bench/history.py [--quick] [--check] [--out FILE]

Dialogues of the Schema-Guided Dialogue data set, each up to the last thing that the user says which changes what is known: there a service
would be called with all of it. Needed are the slot values of that state which the whole dialogue says in those words; kept is the share of
them that the fitted text still says, the mean over dialogues, with a 95 % bootstrap interval over dialogues. The budget is a share of the
tokens of the whole. `more_than_chance` is the paired difference to the control: the same budget filled with turns drawn by seed, the mean of
five draws. Dialogues whose last turn alone is too long for a budget are left out at that budget, for every strategy alike.

That the turn before belongs to the question (`retrieve`, beside `retrieve_by_last_words`) was chosen on these same dialogues.

The summariser is deterministic and extractive: of the older messages, sentence by sentence, it keeps those that have most numbers and most
words with a capital inside the sentence, for each word they have, until half of the budget is used. It stands for a model's summary, which
it is not: it shows what the strategy does with one that copies.
"""

import asyncio
import gc
import gzip
import json
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from data import need, run
from freehold.chat import Message, Text
from freehold.context.count import tokens_of
from freehold.context.history import SUMMARY, Fitted, Retrieve, Strategy, Summarise, Trim, fit
from freehold.context.turns import words_of
from freehold.errors import CallerError
from harness import arguments, emit

SHARES = (0.25, 0.5, 0.75)
ROOM = 0.5
"""Of the budget, for the summary."""
DRAWS = 5
_SENTENCE = re.compile(r"(?<=[.?!])\s+")
_TELLING = re.compile(r"(?<=[\w,] )[A-Z][\w']*|\w*\d[\w:.,]*")


class Dialogue(NamedTuple):
    """A conversation, and what it says that is needed."""

    messages: tuple[Message, ...]
    """Up to the last word of the user's that changes the state."""
    needed: tuple[frozenset[str], ...]
    """Of each slot the values that the dialogue says, in small letters; any of them will do."""


def dialogues() -> list[Dialogue]:
    """Those that have at least three turns and say a value that is needed. Raises NoSharedData."""
    with gzip.open(need("sgd_slice") / "dialogues.jsonl.gz", "rt", encoding="utf-8") as lines:
        found = [_dialogue(json.loads(line)["turns"]) for line in lines]
    return [one for one in found if one.needed and len(one.messages) >= 5]


def _dialogue(turns: Sequence[dict[str, Any]]) -> Dialogue:
    state: dict[tuple[str, str], list[str]] = {}
    end = 0
    for n, turn in enumerate(turns):
        for frame in turn["frames"]:
            for slot, values in ((frame["state"] or {}).get("slot_values") or {}).items():
                if state.get((frame["service"], slot)) != values:
                    state[frame["service"], slot] = values
                    end = n + 1
    messages = tuple(
        Message(role="user" if turn["speaker"] == "USER" else "assistant", parts=(Text(text=turn["utterance"]),)) for turn in turns[:end]
    )
    said = words_of(messages).casefold()
    needed = [frozenset(value.casefold() for value in values if says(said, value.casefold())) for values in state.values()]
    return Dialogue(messages, tuple(values for values in needed if values))


def says(text: str, value: str) -> bool:
    """Whether the value stands in the text, as words of its own."""
    return re.search(rf"(?<!\w){re.escape(value)}(?!\w)", text) is not None


def kept(done: Fitted, needed: Sequence[frozenset[str]]) -> float:
    """The share of what is needed that is still said."""
    text = words_of(done.messages).casefold()
    return sum(any(says(text, value) for value in values) for values in needed) / len(needed)


def extractive(budget: int) -> Callable[[Sequence[Message]], Awaitable[str]]:
    """A summariser that copies the most telling sentences, in their order, into so many tokens."""

    async def summarise(messages: Sequence[Message]) -> str:
        text = words_of(messages).replace(SUMMARY, "")
        sentences = list(dict.fromkeys(sentence for line in text.split("\n") for sentence in _SENTENCE.split(line) if sentence))
        telling = [len(_TELLING.findall(sentence)) / (3 + len(sentence.split())) for sentence in sentences]
        taken: set[int] = set()
        room = budget - tokens_of(Message(role="user", parts=(Text(text=SUMMARY),))).tokens - 2
        for n in sorted(range(len(sentences)), key=lambda n: (-telling[n], -n)):
            size = tokens_of(sentences[n]).tokens + 1
            if size <= room:
                room -= size
                taken.add(n)
        return " ".join(sentences[n] for n in sorted(taken))

    return summarise


def by_chance(rng: np.random.Generator) -> Retrieve:
    """Older turns as they are drawn, whatever they say."""
    return Retrieve(lambda question, texts: rng.random(len(texts)).tolist())


def strategies(budget: int) -> dict[str, Strategy]:
    return {
        "trim": Trim(),
        "trim_first_1": Trim(keep_first=1),
        "retrieve": Retrieve(),
        "retrieve_by_last_words": Retrieve(question_turns=1),
        "summarise": Summarise(extractive(int(ROOM * budget)), keep_last=4, room=ROOM),
    }


def measured(some: Sequence[Dialogue], share: float, draws: int) -> dict[str, Any]:
    """What each strategy keeps at one share of the tokens, and how much more than chance does."""
    shares: dict[str, list[float]] = {}
    left_out = over = 0
    rng = np.random.default_rng(20_261_126)
    for one in some:
        budget = int(share * tokens_of(one.messages).tokens)
        try:
            done = {name: asyncio.run(fit(one.messages, budget, how)) for name, how in strategies(budget).items()}
        except CallerError:
            left_out += 1
            continue
        chance = [asyncio.run(fit(one.messages, budget, by_chance(rng))) for _ in range(draws)]
        over += sum(each.tokens.tokens > budget for each in (*done.values(), *chance))
        shares.setdefault("chance", []).append(float(np.mean([kept(each, one.needed) for each in chance])))
        for name, each in done.items():
            shares.setdefault(name, []).append(kept(each, one.needed))
    control_N = np.array(shares["chance"])
    result: dict[str, Any] = {"dialogues": len(control_N), "left_out": left_out, "over_budget": over}
    for name, values in shares.items():
        result[name] = {"kept": mean(np.array(values))}
        if name != "chance":
            result[name]["more_than_chance"] = mean(np.array(values) - control_N)
    return result


def mean(values_N: NDArray[np.float64], draws: int = 2_000) -> dict[str, Any]:
    """The mean with its 95 % percentile bootstrap interval."""
    rng = np.random.default_rng(7)
    means = values_N[rng.integers(0, len(values_N), (draws, len(values_N)))].mean(axis=1)
    return {"mean": round(float(values_N.mean()), 4), "interval": np.quantile(means, (0.025, 0.975)).round(4).tolist()}


def us_a_fit(some: Sequence[Dialogue], rounds: int) -> dict[str, float]:
    """CPU time of fitting a dialogue of 50 turns, made of recorded ones, into half of its tokens; the best of several rounds."""
    messages = [message for one in some for message in one.messages[: len(one.messages) // 2 * 2]][:100]
    budget = tokens_of(messages).tokens // 2
    taken = {"count": _best_us(lambda: tokens_of(messages), rounds)}
    for name, how in strategies(budget).items():

        async def once(how: Strategy = how) -> float:
            await fit(messages, budget, how)
            best = float("inf")
            for _ in range(rounds):
                began = time.process_time_ns()
                await fit(messages, budget, how)
                best = min(best, time.process_time_ns() - began)
            return best / 1000

        taken[name] = round(asyncio.run(once()), 1)
    return taken


def _best_us(run_once: Callable[[], object], rounds: int) -> float:
    best = float("inf")
    for _ in range(rounds):
        began = time.process_time_ns()
        run_once()
        best = min(best, time.process_time_ns() - began)
    return round(best / 1000, 1)


def main() -> None:
    args = arguments(__doc__)
    quick = args.quick
    some = dialogues()
    some = some[::8] if quick else some
    result: dict[str, Any] = {f"share_{round(100 * share)}": measured(some, share, 1 if quick else DRAWS) for share in SHARES}
    result["over_budget"] = sum(result[f"share_{round(100 * share)}"]["over_budget"] for share in SHARES)
    result["needed_a_dialogue"] = round(float(np.mean([len(one.needed) for one in some])), 2)
    result["messages_a_dialogue"] = round(float(np.mean([len(one.messages) for one in some])), 2)
    gc.disable()
    result["us_50_turns"] = us_a_fit(some, 5 if quick else 100)
    emit("history", result, args.check)


if __name__ == "__main__":
    run("history", main)
