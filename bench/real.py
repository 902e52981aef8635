"""Does the gateway hold in front of a real model server? `transformers serve`, a small model, and the callers' own libraries.

The server is Hugging Face's, in an environment of its own (scripts/setup-peers.sh transformers); its model has learned this project's README by
heart (bench/real_model.py), so that nothing is fetched. Each question is asked of the server itself first, whole, and then through the gateway by
OpenAI's library and by Anthropic's, whole and streamed, to its last token and up to a stop sequence, many of them at once. At temperature 0 all
of that is the same answer. Then clients leave in the middle of long streams. The journal has to have what each of them was told.

    python bench/real.py --check

wrong_words      answers whose text is not what the server says when it is asked itself
wrong_finish     answers that ended for another reason
wrong_usage      answers whose tokens are not those of the server
lost, doubled    calls that are not in the journal, and that are there twice, or that nobody made
wrong_calls      calls of the journal with another outcome, text, usage or cost than their caller was told, or not with one attempt
wrong_cancelled  streams that a client left and that are not cancelled, not delivered, with what was said by then
free_after_s     how long after the last client left the server answers a short question; it makes one answer at a time, and goes on with one
                 that nobody wants where nobody tells it
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from freehold.journal import read
from freehold.journal.call import Call
from freehold.store.open import open_store
from gateway import free_port, stop
from harness import arguments, emit
from real_clients import MODEL, Anthropic, OpenAI, Question, Told

PEER = Path(__file__).parent.parent / ".peers" / "transformers"
AT_ONCE = 16
LEAVERS = 4
"""Of each library."""
PIECES = 5
"""Of text, after which a client leaves."""
_WORDS = ("What is a certificate", "How do I serve", "Which keys are there", "What does it cost", "Tell me of the journal", "Who answers")
_LONG = 1_500
"""Tokens of answers that nobody hears to their end."""
_PRICES = (1.0, 2.0)
"""USD for a million tokens in and out."""
_TOML = """
[providers.server]
kind = "openai"
base_url = "{server}/v1"
[models.{name}]
provider = "server"
name = "model"
price = {{ input_per_mtok = {prices[0]}, output_per_mtok = {prices[1]} }}
serving = {{ retries = 0, first_byte_s = 120, between_s = 120 }}
"""
_START_S = 120.0


def main() -> None:
    args = arguments(__doc__)
    if not (PEER / "installed").is_file():
        reason = "not installed; scripts/setup-peers.sh transformers does that"
        print(f"real: left out: transformers: {reason}", file=sys.stderr)
        emit("real", {"left_out": {"transformers": reason}}, args.check)
        return
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        subprocess.run(
            [PEER / "bin" / "python", Path(__file__).with_name("real_model.py"), folder / "model"], check=True, stderr=subprocess.PIPE
        )
        server, gateway = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        stack.enter_context(model_server(folder, server))
        (folder / "freehold.toml").write_text(_TOML.format(server=server, name=MODEL, prices=_PRICES))
        with serving(folder, gateway):
            heard, left, free_after_s = asyncio.run(asked(server, gateway, 4 if args.quick else 32))
        with open_store("sqlite:///freehold.db", folder) as store:
            found = list(read.calls(store, "default"))
    result = {"questions": len(heard), "at_once": AT_ONCE, **told_right(heard), **in_journal(heard, left, found)}
    emit("real", result | {"free_after_s": round(free_after_s, 3), "peers": (PEER / "installed").read_text().split()}, args.check)


@contextmanager
def model_server(folder: Path, url: str) -> Iterator[None]:
    """`transformers serve`, without a network to ask."""
    environment = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "hub"), "HF_HUB_DISABLE_TELEMETRY": "1"}
    command = [
        str(PEER / "bin" / "transformers"),
        "serve",
        "model",
        "--host",
        "127.0.0.1",
        "--port",
        url.rpartition(":")[2],
        "--device",
        "cpu",
    ]
    with _running(command, folder, f"{url}/health", environment):
        yield


@contextmanager
def serving(folder: Path, url: str) -> Iterator[None]:
    """The gateway."""
    command = [sys.executable, "-c", "from freehold.cli.app import main; main()", "serve", "--port", url.rpartition(":")[2]]
    with _running(command, folder, f"{url}/healthz"):
        yield


@contextmanager
def _running(command: list[str], folder: Path, alive: str, environment: Mapping[str, str] = {}) -> Iterator[None]:
    log = folder / "log"
    with log.open("ab") as file:
        process = subprocess.Popen(command, cwd=folder, env={**os.environ, **environment}, stdout=file, stderr=file)
    try:
        until = time.monotonic() + _START_S
        while not _is_alive(alive):
            if process.poll() is not None or time.monotonic() > until:
                raise SystemExit(f"{' '.join(command[:3])} does not answer; its log ends: {log.read_text(errors='replace')[-1500:]}")
            time.sleep(0.05)
        yield
    finally:
        stop(process)


def _is_alive(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


class Heard(NamedTuple):
    """A question, and what was said to it."""

    asked: Question
    true: Told
    """By the server itself."""
    told: Told
    """Through the gateway."""


async def asked(server: str, gateway: str, count: int) -> tuple[list[Heard], list[Heard], float]:
    """What clients were told that heard all, and those that left; and for how long the server was busy after that."""
    direct = OpenAI(server, "model")
    true: dict[Question, Told] = {}
    for number in range(count):
        question = Question(f"{_WORDS[number % len(_WORDS)]}, in {number} words?", 30 + 3 * number)
        true[question] = await direct.whole(question)
        middle = len(true[question].text) // 2
        stopped = question._replace(stop=true[question].text[middle : middle + 8])
        true[stopped] = await direct.whole(stopped)
    ways = [way for client in (OpenAI(gateway), Anthropic(gateway)) for way in (client.whole, client.streamed)]
    line = asyncio.Semaphore(AT_ONCE)

    async def ask(way: Callable[[Question], Awaitable[Told]], question: Question) -> Heard:
        async with line:
            return Heard(question, true[question], await way(question))

    heard = await asyncio.gather(*(ask(way, question) for question in true for way in ways))
    long = Question("Tell me everything", _LONG)
    everything = await direct.whole(long)
    leavers = [client for client in (OpenAI(gateway), Anthropic(gateway)) for _ in range(LEAVERS)]
    left = await asyncio.gather(*(client.streamed(long, PIECES) for client in leavers))
    began = time.monotonic()
    await direct.whole(Question("Are you free", 1))
    return heard, [Heard(long, everything, told) for told in left], time.monotonic() - began


def told_right(heard: list[Heard]) -> dict[str, int]:
    """In how many answers clients were told something else than the server says."""
    wrong = {"wrong_words": 0, "wrong_finish": 0, "wrong_usage": 0}
    for one in heard:
        problems = {
            "wrong_words": one.told.text != one.true.text,
            "wrong_finish": one.told.finish != one.true.finish,
            "wrong_usage": one.told[3:] != one.true[3:] or None in one.true[3:],
        }
        for name, is_so in problems.items():
            wrong[name] += is_so
            if is_so:
                print(f"real: {name}: {one}", file=sys.stderr)
    return wrong


def in_journal(heard: list[Heard], left: list[Heard], found: list[Call]) -> dict[str, int]:
    """How the journal differs from what clients were told."""
    times = Counter(call.id for call in found)
    calls = {call.id: call for call in found}
    told = {one.told.call for one in (*heard, *left)}
    wrong = [one for one in heard if one.told.call in calls and not _is_answer(calls[one.told.call], one)]
    wrong_left = [one for one in left if one.told.call in calls and not _is_left(calls[one.told.call], one)]
    for one in (*wrong, *wrong_left):
        print(f"real: wrong call: {one}, {calls[one.told.call]}", file=sys.stderr)
    return {
        "left": len(left),
        "lost": len(heard) + len(left) - len(told & set(calls)),
        "doubled": len(found) - len(told & set(times)),
        "wrong_calls": len(wrong),
        "wrong_cancelled": len(wrong_left),
    }


def _is_answer(call: Call, one: Heard) -> bool:
    usage, (attempt, *more) = call.usage, call.attempts or (None,)
    if usage is None or attempt is None or more or call.cost_usd is None:
        return False
    cost = (usage.input_tokens * _PRICES[0] + usage.output_tokens * _PRICES[1]) / 1e6
    return (
        (call.outcome, call.delivered, attempt.outcome) == ("answered", True, "answered")
        and call.output == one.told.text
        and (usage.input_tokens, usage.output_tokens) == one.told[3:]
        and attempt.usage == usage
        and abs(call.cost_usd - cost) < 1e-12
    )


def _is_left(call: Call, one: Heard) -> bool:
    """Whether it is one that a client left; the server had said more by then than the client heard, and not all."""
    said = call.output
    return (
        (call.outcome, call.delivered, [attempt.outcome for attempt in call.attempts]) == ("cancelled", False, ["cancelled"])
        and isinstance(said, str)
        and said.startswith(one.told.text)
        and one.true.text.startswith(said)
        and len(said) < len(one.true.text)
    )


if __name__ == "__main__":
    main()
