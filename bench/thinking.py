"""What do several cheap answers and a vote, a check, or a vote that hands on to a dear model give, beside one answer of each model?

    bench/thinking.py [--quick] [--check] [--out FILE]

Real recorded answers, through the real library: typed tasks in a project, asked over HTTP of a local server that replays what each model
answered to the same question, with its estimated token counts. ZeroEval's seven models on GSM8K, CRUX and MATH level 5, each of which has one
greedy answer a question, so that a vote is over different models; and OpenAI's four solutions of GSM8K, which are of four models, too, whose
prices nobody knows. Prices are the project's snapshot of that model, else of `price_tables`; who has none is asked and has no price.

Half of the questions, by a hash of their ids, is where everything is chosen: who counts as cheap (the three of known price that cost least
there), the order of voters (best first, for equal votes), who is the frontier (the most accurate), and the least confidence with which a vote is
accepted (the cheapest that loses at most 0.01 against the frontier there). What is reported is the other half.

- `vote`: `vote(of=(…))` over the three cheap ones. `random`: what one of the three gives, drawn by chance: their means.
- `cascade`: the policy `try vote accept confidence >= x then frontier`.
- `verify`: the cheapest of the three is looked at by the best of them, and what is refused goes to the frontier, by `try looked accept verified then
  frontier`. No verdicts were recorded: the one who looks says "right" where its own recorded answer is the same, and is paid for that
  answer and for reading the other one. No revisions were recorded either; the frontier's own answer stands for them.

Intervals are paired bootstraps over questions, 10,000 with a fixed seed. An answer that cannot be read counts as wrong, and costs what it cost.
"""

import asyncio
import gzip
import hashlib
import json
import re
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq
from pydantic import BaseModel, BeforeValidator

import freehold
from data import need, run
from freehold.catalog import Rates
from freehold.improve import add_program
from freehold.pipelines.failure import StepFailed
from freehold.pipelines.task import Task
from freehold.pricing.book import PriceBook
from freehold.project import Project
from freehold.promotion.gate import promote
from harness import arguments, emit

AT_ONCE = 64
BOOTSTRAPS = 10_000
MAY_LOSE = 0.01
"""What a cascade may lose against the frontier on the half where it is chosen."""
ALIASES = {"claude-3-5-sonnet-20241022": "anthropic/claude-3.5-sonnet"}
"""What `price_tables` calls them."""
_LOOKED_TOKENS = 60
"""About as many as the words that ask for a verdict."""
_NUMBER = re.compile(r"-?\d[\d,]*\.?\d*|-?\.\d+")
_IS_CHECK = "Check the answer above"


def number(answer: object) -> str:
    """The first number of an answer, as ZeroEval compares them; the words where there is none."""
    found = _NUMBER.search(str(answer))
    return f"{float(found.group().replace(',', '')):.10g}" if found else str(answer).strip()


def literal(answer: object) -> str:
    """A literal without the quotes around it, as ZeroEval compares CRUX."""
    return str(answer).strip().strip("'\"").strip()


class Number(BaseModel):
    """An answer that is a number."""

    answer: Annotated[str, BeforeValidator(number)]
    """As `number` gives it."""


class Literal(BaseModel):
    """An answer that is a Python literal."""

    answer: Annotated[str, BeforeValidator(literal)]
    """As `literal` gives it."""


class Recorded(NamedTuple):
    """What a model answered to a question."""

    words: str
    """The whole answer."""
    input_tokens: int
    """What it was asked in, as estimated."""
    output_tokens: int
    """What it wrote, as estimated."""
    answer: str
    """The answer in it, as the task has it."""
    correct: float
    """As it was graded when it was recorded."""


class Case(NamedTuple):
    """A set of questions, and what everybody answered."""

    name: str
    items: list[str]
    questions: dict[str, str]
    """By item."""
    references: dict[str, str]
    """By item, the right answer as the task has it."""
    recorded: dict[tuple[str, str], Recorded]
    """By model and question."""
    models: list[str]
    output: type[Number] | type[Literal]


class Given(NamedTuple):
    """What a strategy gave for each item."""

    right_N: Any
    usd_N: Any
    """NaN where nobody knows."""


# The recordings.


def zeroeval(name: str, most: int | None) -> Case:
    """ZeroEval's seven models on one of its tasks."""
    folder = need("zeroeval")
    prompts = {row["prompt_id"]: row for row in pq.read_table(folder / "prompts.parquet").to_pylist() if row["task"] == name}
    items = sorted(prompts, key=lambda item: hashlib.sha1(item.encode(), usedforsecurity=False).digest())[:most]
    graded = {(row["model"], row["prompt_id"]): row for row in pq.read_table(folder / "records.parquet").to_pylist()}
    output: type[Number] | type[Literal] = Literal if name == "crux" else Number
    read = literal if name == "crux" else number
    questions = {item: prompts[item]["question"] for item in items}
    recorded: dict[tuple[str, str], Recorded] = {}
    for row in pq.read_table(folder / "outputs_7models.parquet").to_pylist():
        if row["prompt_id"] in questions:
            known = graded[row["model"], row["prompt_id"]]
            recorded[row["model"], questions[row["prompt_id"]]] = Recorded(
                row["output"],
                prompts[row["prompt_id"]]["est_in_tokens"],
                known["est_out_tokens"],
                read(known["answer"] or ""),
                known["correct"],
            )
    references = {item: read(prompts[item]["reference"]) for item in items}
    return Case(name, items, questions, references, recorded, sorted({model for model, _ in recorded}), output)


def four_solutions(most: int | None) -> Case:
    """OpenAI's four solutions of each question of GSM8K. What follows `A:` is put into JSON beside the steps, as they were not asked for JSON."""
    with gzip.open(need("gsm8k") / "test_with_model_solutions.jsonl.gz", "rt") as file:
        rows = {f"gsm8k:{row['test_index']}": row for row in map(json.loads, file)}
    items = sorted(rows, key=lambda item: hashlib.sha1(item.encode(), usedforsecurity=False).digest())[:most]
    recorded: dict[tuple[str, str], Recorded] = {}
    for item in items:
        for model, told in rows[item]["model_solutions"].items():
            answer = told["solution"].rpartition("A:")[2].strip()
            words = json.dumps({"reasoning": told["solution"], "answer": answer})
            recorded[model, rows[item]["question"]] = Recorded(words, 100, 100, number(answer), float(told["is_correct"]))
    questions = {item: rows[item]["question"] for item in items}
    references = {item: number(rows[item]["answer"]) for item in items}
    return Case("four", items, questions, references, recorded, sorted({model for model, _ in recorded}), Number)


def prices(models: Sequence[str]) -> dict[str, Rates]:
    """Of those that have one, in USD per million tokens."""
    with gzip.open(need("price_tables") / "prices.jsonl.gz", "rt") as file:
        tables = {row["model"]: row for row in map(json.loads, file)}
    found: dict[str, Rates] = {}
    for model in models:
        if tiers := PriceBook().tiers(model):
            rates = tiers[0]
            found[model] = Rates(input_per_mtok=round((rates.fresh or 0) * 1e6, 6), output_per_mtok=round((rates.output or 0) * 1e6, 6))
        elif row := tables.get(ALIASES.get(model, model)):
            found[model] = Rates(input_per_mtok=row["usd_per_mtok_in"], output_per_mtok=row["usd_per_mtok_out"])
    return found


# Whoever is asked: a server that replays.


class Replaying:
    """Answers requests of chat completions with what was recorded."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._by_words = {(question, known.words): known for (_, question), known in case.recorded.items()}
        self.asked = 0

    def answer(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The body of an answer."""
        self.asked += 1
        model, messages = body["model"], body["messages"]
        question = next(message["content"] for message in messages if message["role"] == "user")
        known = self._case.recorded[model, question]
        words, into = known.words, known.input_tokens
        if str(messages[-1]["content"]).startswith(_IS_CHECK):
            shown = next(message["content"] for message in messages if message["role"] == "assistant")
            looked = self._by_words[question, shown]
            words = json.dumps({"right": looked.answer == known.answer, "why": f"I find {known.answer}"})
            into += looked.output_tokens + _LOOKED_TOKENS
        message = {"role": "assistant", "content": words}
        usage = {"prompt_tokens": into, "completion_tokens": known.output_tokens, "total_tokens": into + known.output_tokens}
        choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
        return {"id": f"r{self.asked}", "object": "chat.completion", "created": 1, "model": model, "choices": choices, "usage": usage}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                found = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
                assert found is not None
                told = json.dumps(self.answer(json.loads(await reader.readexactly(int(found.group(1)))))).encode()
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(told) + told)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


@contextmanager
def replaying(case: Case) -> Iterator[str]:
    """The address of a running server."""
    loop, server = asyncio.new_event_loop(), Replaying(case)
    listening = loop.run_until_complete(asyncio.start_server(server.serve, "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


# Strategies, each a task of the library.


def configured(case: Case, url: str, rates: Mapping[str, Rates], variants: str, tasks: Sequence[str]) -> str:
    """A project's file."""
    told = [f'[providers.replayed]\nkind = "openai"\nbase_url = "{url}"']
    for model in case.models:
        price = rates.get(model)
        cost = "" if price is None else f"price = {{ input_per_mtok = {price.input_per_mtok}, output_per_mtok = {price.output_per_mtok} }}"
        told.append(f'[models."{model}"]\nprovider = "replayed"\n{cost}')
    return "\n".join([*told, variants, *tasks])


def task_of(case: Case, name: str, reference: str) -> Task[[str], Any]:
    """A task that this variant answers where no policy says otherwise."""

    def solve(question: str) -> Any:
        """Answer the question."""

    solve.__annotations__["return"] = case.output
    return freehold.task(name=f"{case.name}-{name}", reference=reference)(solve)


async def answered(task: Task[[str], Any], case: Case, is_asked_N: Any) -> Given:
    """What a strategy gives for these items; NaN for the others."""
    room = asyncio.Semaphore(AT_ONCE)
    right_N, usd_N = np.full(len(case.items), np.nan), np.full(len(case.items), np.nan)

    async def one(n: int, item: str) -> None:
        async with room:
            try:
                given = await task.aanswer(case.questions[item])
            except StepFailed as error:
                if error.call is None:
                    raise
                right_N[n], usd = 0.0, error.call.cost_usd
            else:
                right_N[n], usd = given.value.answer == case.references[item], given.call.cost_usd
            usd_N[n] = np.nan if usd is None else usd

    await asyncio.gather(*(one(n, item) for n, item in enumerate(case.items) if is_asked_N[n]))
    return Given(right_N, usd_N)


def through_policies(folder: Path, case: Case, policies: Mapping[str, str]) -> None:
    """Promotes the policy of each task."""
    with Project.at(folder) as project:
        for name, rule in policies.items():
            file = folder / f"{name}.policy"
            file.write_text(f"task {case.name}-{name}\notherwise {rule}\n")
            _, digest = add_program(project, file)
            promote(project.store, "default", project.task(f"{case.name}-{name}"), digest, "bench", datetime.now(UTC))


# Numbers.


class Half(NamedTuple):
    """Which items are looked at, and how they are drawn again and again."""

    rows: Any
    picks: Any

    def mean(self, values_N: Any) -> dict[str, Any]:
        """A mean and its interval; None where a value is unknown."""
        values = values_N[self.rows]
        if np.isnan(values).any():
            return {"mean": None, "interval": None}
        low, high = np.quantile(values[self.picks].mean(axis=1), [0.025, 0.975])
        return {"mean": round(float(values.mean()), 5), "interval": [round(float(low), 5), round(float(high), 5)]}


def told(given: Given, half: Half, frontier: Given, cheapest: Given) -> dict[str, Any]:
    """What is reported of a strategy."""
    usd = half.mean(given.usd_N * 1000)
    paid, dear = given.usd_N[half.rows].mean(), frontier.usd_N[half.rows].mean()
    return {
        "accuracy": half.mean(given.right_N),
        "usd_per_1000": usd,
        "saving": None if np.isnan(paid) or np.isnan(dear) else round(1 - float(paid / dear), 4),
        "accuracy_less_frontier": half.mean(given.right_N - frontier.right_N),
        "accuracy_less_cheapest": half.mean(given.right_N - cheapest.right_N),
    }


def halves(case: Case) -> tuple[Any, Any]:
    """Where things are chosen, and where they are reported."""
    is_chosen = np.array([hashlib.sha256(item.encode()).digest()[0] % 2 == 0 for item in case.items])
    return is_chosen, ~is_chosen


def by_mean(names: Sequence[str], value: Callable[[str], float]) -> list[str]:
    """Least first; by name where they are equal."""
    return sorted(names, key=lambda name: (value(name), name))


class Chosen(NamedTuple):
    """What is chosen on one half."""

    voters: list[str]
    """Best first."""
    frontier: str
    cheapest: str
    dearest: str
    looked: str
    """Whose answers are looked at."""
    looks: str
    """Who looks at them."""


def chosen_of(case: Case, singles: Mapping[str, Given], rates: Mapping[str, Rates], tuned: Any) -> Chosen:
    """By what each model gave on that half. Where nobody has a price, all vote, and the worst counts as the cheapest."""
    accuracy = {model: float(singles[model].right_N[tuned].mean()) for model in case.models}
    cost = {model: float(singles[model].usd_N[tuned].mean()) if rates else accuracy[model] for model in case.models}
    by_cost = by_mean([model for model in case.models if model in rates] or case.models, cost.__getitem__)
    voters = by_mean(by_cost[:3] if rates else by_cost, lambda model: -accuracy[model])
    frontier = by_mean(by_cost, lambda model: -accuracy[model])[0]
    return Chosen(voters, frontier, by_cost[0], by_cost[-1], by_cost[0], next(model for model in voters if model != by_cost[0]))


def of_one_set(case: Case) -> dict[str, Any]:
    """Everything about one set of questions."""
    rates, (tuned, rest) = prices(case.models), halves(case)
    with replaying(case) as url, tempfile.TemporaryDirectory() as at:
        folder = Path(at)
        (folder / "freehold.toml").write_text(configured(case, url, rates, "", ()))
        with freehold.use(folder):
            everything = np.ones(len(case.items), dtype=bool)
            singles = {model: asyncio.run(answered(task_of(case, model, model), case, everything)) for model in case.models}
        who = chosen_of(case, singles, rates, tuned)
        least = {f"cascade{k}": (k - 0.5) / len(who.voters) for k in range(2, len(who.voters) + 1)} if rates else {}
        policies = {name: f"try panel accept confidence >= {x:.3f} then {quoted(who.frontier)}" for name, x in least.items()}
        if rates:
            policies["verify"] = f"try looked accept verified then {quoted(who.frontier)}"
        variants = f'[variants.panel]\nkind = "vote"\nof = [{", ".join(map(quoted, who.voters))}]\n'
        variants += f'[variants.looked]\nkind = "verify"\nof = "{who.looked}"\nby = "{who.looks}"\nn = 0\n'
        known = f'reference = "{who.frontier}"\nvariants = ["{who.frontier}", "panel", "looked"]\nallow_uncertified = true'
        tables = [f'[tasks."{case.name}-{name}"]\n{known}' for name in policies]
        (folder / "freehold.toml").write_text(configured(case, url, rates, variants, tables))
        through_policies(folder, case, policies)
        tasks = {name: task_of(case, name, who.frontier) for name in policies} | {"vote": task_of(case, "vote", "panel")}
        with freehold.use(folder):
            tried = {name: asyncio.run(answered(tasks[name], case, tuned)) for name in least}
            cascade = best_of(tried, tuned, float(singles[who.frontier].right_N[tuned].mean()) - MAY_LOSE)
            asked = {"vote": "vote", **({"cascade": cascade, "verify": "verify"} if cascade else {})}
            made = {name: asyncio.run(answered(tasks[task], case, rest)) for name, task in asked.items()}
    rows = np.flatnonzero(rest)
    half = Half(rows, np.random.default_rng(0).integers(0, len(rows), (BOOTSTRAPS, len(rows)), dtype=np.int32))
    voters = [singles[model] for model in who.voters]
    made["random"] = Given(np.mean([each.right_N for each in voters], axis=0), np.mean([each.usd_N for each in voters], axis=0))
    graded = {model: np.array([case.recorded[model, case.questions[item]].correct for item in case.items]) for model in case.models}

    def shown(given: Given) -> dict[str, Any]:
        return told(given, half, singles[who.frontier], singles[who.cheapest])

    return {
        "items": {"chosen_on": int(tuned.sum()), "reported_on": len(rows)},
        "chosen": who._asdict() | {"least_confidence": round(least[cascade], 3) if cascade else None},
        "tried": {
            f"{x:.3f}": {
                "accuracy": round(float(tried[name].right_N[tuned].mean()), 4),
                "usd_per_1000": round(float(tried[name].usd_N[tuned].mean()) * 1000, 4),
            }
            for name, x in least.items()
        },
        "unpriced": [model for model in case.models if model not in rates],
        "graded_alike": round(float(np.mean([graded[model] == singles[model].right_N for model in case.models])), 4),
        "singles": {model: shown(given) for model, given in singles.items()},
        **{name: shown(given) for name, given in made.items()},
        "vote_less_random": half.mean(made["vote"].right_N - made["random"].right_N),
        "vote_less_best_voter": half.mean(made["vote"].right_N - voters[0].right_N),
    }


def best_of(tried: Mapping[str, Given], tuned: Any, least: float) -> str | None:
    """The cheapest cascade that is at least so accurate; the most accurate where none is; None where there is none to choose from."""
    good = [name for name in tried if tried[name].right_N[tuned].mean() >= least]
    if good:
        return by_mean(good, lambda name: float(tried[name].usd_N[tuned].mean()))[0]
    return by_mean(list(tried), lambda name: -float(tried[name].right_N[tuned].mean()))[0] if tried else None


def quoted(name: str) -> str:
    """A variant's name in a policy."""
    return f'"{name}"'


def main() -> None:
    args = arguments(__doc__)
    most = 150 if args.quick else None
    cases = [zeroeval("gsm", most), four_solutions(most)]
    cases += [] if args.quick else [zeroeval("crux", most), zeroeval("math-l5", most)]
    emit("thinking", {case.name: of_one_set(case) for case in cases}, args.check)


if __name__ == "__main__":
    run("thinking", main)
