"""The demo: real messages to an invented bank's support desk, two simulated models, and the whole loop over them.

The 2,400 messages in `demo.jsonl` were written for this project, in 40 voices over 24 intents, none from a template. What answers them
is simulated, because a recording of somebody's model is not ours to ship: see `simulate`. Everything after that is the product.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from math import exp, log
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import msgspec

from freehold.chat import JSON
from freehold.config import FILE_NAME
from freehold.errors import OperatorError
from freehold.improve import Request, certify_task
from freehold.journal.groups import groups
from freehold.journal.ingest import IngestOptions
from freehold.journal.naming import name_group
from freehold.project import Project
from freehold.promotion.certificate import Certificate
from freehold.promotion.draw import picture
from freehold.store.files import private_file
from freehold.web.report import write_report

TASK = "triage"
REFERENCE, CHEAP, HEAD = "frontier", "cheap", "head"
METRIC = "correct"
INSTRUCTION = "You sort messages to a bank's support desk. Name the one intent of 24 that the message is mainly about."
SYSTEM_TOKENS = 420
"""The instruction and the list of intents that every call carries."""

NOTES = (
    "The messages are real prose written for this demo; the answers of 'frontier' and 'cheap' are simulated. A message is as hard as a "
    "word-count model that never saw its voice finds it; 'frontier' errs on about 3 % of messages and 'cheap' on about 10 %, both more "
    "often on hard ones, and a wrong answer is the intent the message most resembles.",
    "Prices are those of a large and a small model in 2025: 2.50 and 0.15 USD per million input tokens, 10.00 and 0.60 per million "
    "output tokens.",
    "The right intent of every message is known (a census), which a real project pays people for.",
)

PROJECT = """\
# The demo's project. 'freehold demo' wrote it; change what you like and run the commands again.
[project]
name = "Larkfield Bank support desk (simulated)"

# 'freehold serve' answers for both models from the recordings.
[providers.recordings]
kind = "recorded"

[models.frontier]
provider = "recordings"
price = { input_per_mtok = 2.5, output_per_mtok = 10.0 }
[models.cheap]
provider = "recordings"
price = { input_per_mtok = 0.15, output_per_mtok = 0.6 }

[metrics.correct]
kind = "binary"
deterministic = true

[tasks.triage]
instruction = "Say which of 24 intents a customer's message is about."
reference = "frontier"
variants = ["frontier", "cheap", "head"]
metric = "correct"
max_loss = 0.05
"""


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One message of the demo's traffic."""

    voice: str
    """Who writes: one of 40 manners."""
    intent: str
    """What a careful agent would treat as its main request."""
    text: str
    """The message."""


class Resemblance(NamedTuple):
    """What a message looks like to a word-count model that never saw its voice."""

    difficulty: float
    """1 - the probability it gives the right intent."""
    lookalike: str
    """The wrong intent it finds most likely."""


def messages() -> list[Message]:
    """The demo's messages, in the order they are shipped in."""
    data = files("freehold").joinpath("demo.jsonl").read_bytes()
    return [msgspec.json.decode(line, type=Message) for line in data.splitlines() if line]


def simulate(seed: int = 0) -> Iterator[dict[str, JSON]]:
    """Native records of 60 days at the desk: each message once, answered by both models, with the right intent.

    P(error) = base + slope · difficulty², with (base, slope) = (.01, .06) for the frontier model and (.02, .30) for the cheap one.
    Errors are drawn independently given the message, so a message can be too hard for both. Latency is log-normal around 1.1 s and
    0.4 s; tokens are characters / 4 beside the instruction's.
    """
    rng = random.Random(seed)  # noqa: S311 - a simulation
    desk = messages()
    seen = resemblances(desk)
    moments = sorted(rng.uniform(0, 60 * 86400) for _ in desk)
    start = datetime(2026, 6, 1, tzinfo=UTC)
    rng.shuffle(order := list(range(len(desk))))
    for moment, k in zip(moments, order, strict=True):
        message, like = desk[k], seen[k]
        tier = rng.choices(["standard", "plus", "private"], [0.7, 0.2, 0.1])[0]
        for variant, base, slope, seconds in ((REFERENCE, 0.01, 0.06, 1.1), (CHEAP, 0.02, 0.30, 0.4)):
            is_wrong = rng.random() < base + slope * like.difficulty**2
            answer = like.lookalike if is_wrong else message.intent
            yield {
                "task": None,
                "item": f"m{k:04d}",
                "input": [{"role": "system", "content": INSTRUCTION}, {"role": "user", "content": message.text}],
                "variant": variant,
                "output": answer,
                "usage": {"input_tokens": SYSTEM_TOKENS + len(message.text) // 4, "output_tokens": 2 + len(answer) // 4},
                "latency_ms": round(1000 * seconds * exp(rng.gauss(0, 0.3)), 1),
                "scores": {METRIC: float(answer == message.intent)},
                "reference_output": message.intent,
                "tags": {"tier": tier, "voice": message.voice},
                "at": (start + timedelta(seconds=moment)).isoformat(),
            }


def resemblances(desk: list[Message]) -> list[Resemblance]:
    """For each message, how a multinomial naive Bayes over words, counted without its voice, sees it (log odds / length^0.15)."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    by_voice: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for message in desk:
        words = _words(message.text)
        counts[message.intent].update(words)
        by_voice[message.intent, message.voice].update(words)
    totals = {intent: counter.total() for intent, counter in counts.items()}
    vocabulary = len({word for counter in counts.values() for word in counter})
    out = []
    for message in desk:
        words = _words(message.text)
        scores = {}
        for intent, counter in counts.items():
            own = by_voice[intent, message.voice]
            total = totals[intent] - own.total() + 0.5 * vocabulary
            scores[intent] = sum(log((counter[w] - own[w] + 0.5) / total) for w in words) / (1 + len(words)) ** 0.15
        top = max(scores.values())
        weights = {intent: exp(score - top) for intent, score in scores.items()}
        right = weights[message.intent] / sum(weights.values())
        lookalike = max((w, intent) for intent, w in weights.items() if intent != message.intent)[1]
        out.append(Resemblance(1.0 - right, lookalike))
    return out


def _words(text: str) -> list[str]:
    return [w for w in "".join(c.lower() if c.isalnum() else " " for c in text).split() if len(w) > 2]


class DemoResult(msgspec.Struct, frozen=True, kw_only=True):
    """What the demo did."""

    project: str
    """The project's folder: every command works on it."""
    report: str
    """The page to look at."""
    groups: int
    """Kinds of call that were found in the log."""
    imported: int
    """Calls in the journal."""
    certificates: tuple[Certificate, Certificate]
    """At max_loss 0.05, and at 0.02 beside it."""
    seconds: float
    """How long it took."""


def run(folder: Path, seed: int = 0, say: Callable[[str], None] = lambda _: None) -> DemoResult:
    """Makes the demo's project in `folder` and takes it from log to report. Raises OperatorError where another project stands there."""
    began = perf_counter()
    path = folder / FILE_NAME
    if path.exists() and path.read_text() != PROJECT:
        raise OperatorError(f"{path} is another project's. Choose an empty folder: freehold demo --out DIR.")
    with private_file(path) as file:
        file.write(PROJECT.encode())
    log = folder / "traffic.jsonl"
    say(f"simulating 60 days of traffic into {log}")
    with private_file(log) as file:
        for record in simulate(seed):
            file.write(msgspec.json.encode(record) + b"\n")
    with Project.at(folder) as project:
        say("importing")
        done = project.ingest([str(log)], IngestOptions(design="census"))
        if done.problem_count or done.conflicts:
            raise OperatorError(f"{folder} holds the demo of another seed. Choose an empty folder: freehold demo --out DIR.")
        kinds = groups(project.store, project.tenant)
        if kinds:
            name_group(project.store, kinds[0].id, TASK, path, project.tenant)
        issued = []
        for floor in (0.05, 0.02):
            say(f"certifying at max_loss {floor:g}")
            issued.append(certify_task(project, Request(TASK, max_loss=floor), say=say))
        say("drawing the report")
        main, strict = (each.certificate for each in issued)
        page = write_report(picture(project.config.project.name, issued[0].made, main, [strict], NOTES), folder)[0]
    return DemoResult(
        project=str(folder),
        report=str(page),
        groups=len(kinds),
        imported=done.added + done.present,
        certificates=(main, strict),
        seconds=perf_counter() - began,
    )
