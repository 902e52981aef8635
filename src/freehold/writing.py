"""A model writes a scorer, a guard or a pipeline for a project. Scorers and guards run in the sandbox, on what was judged now and wherever they are used
later, are mended by what they get wrong, and are given only where they are right often enough on rows that they were not written from. A pipeline is
looked at, never run, and given to be read."""

import ast
import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, Literal, NamedTuple, TypeAlias

import msgspec
import numpy as np

import freehold
from freehold.catalog import Metric, Sampling, Task
from freehold.chat import CHARS_A_TOKEN, JSON, text_of
from freehold.datasets.load import load_pairs
from freehold.errors import CallerError, TrainingError
from freehold.evaluation.bounds import clopper_pearson_lower
from freehold.journal import read
from freehold.pipelines.teaching import price_of, teaching
from freehold.project import Project
from freehold.training.asking import Asks
from freehold.training.lesson import Part, plain
from freehold.training.programs.plain import Modules, beyond
from freehold.training.programs.written import Wanted, code_in, judged, least_rows, written, written_by

What: TypeAlias = Literal["scorer", "guard", "pipeline"]
Tell: TypeAlias = Callable[[int, int], None]
_LEAST_ROWS: Final = 40
_HELD_OUT: Final = 0.4
_EXAMPLES: Final = 40
_CASES: Final = 20
_ANSWER_TOKENS: Final = 600
"""About so many tokens a pipeline's file has."""
_MOST_ROWS: Final = 4_000
_GUARD = '''"""{about}"""

import freehold

answer = freehold.sandboxed({source})
"""The program: it runs in the sandbox alone."""


def guard(text: str) -> bool:
    """Whether the question may be put to '{variant}': freehold.guard('{variant}', before=guard)."""
    return answer(text) == "right"
'''
_SCORER = '''"""{about}"""

import freehold

answer = freehold.sandboxed({source})
"""The program: it runs in the sandbox alone."""


@freehold.scorer(name="{name}", kind="binary")
def score(input: object, output: object) -> float:
    """1 for an answer that looks right, 0 for one that looks wrong; an error, and so no score, where nobody can tell."""
    found = answer(f"QUESTION: {{input}}\\nANSWER: {{output}}")
    if found is None:
        raise ValueError("the scorer cannot tell")
    return 1.0 if found == "right" else 0.0
'''
_PIPELINE = """Write a Freehold pipeline: a Python file that {about}

Freehold's tasks are typed functions without a body, and pipelines are plain functions that call them:

import freehold

@freehold.task(name="triage", reference="frontier")
def queue(message: str) -> Literal["cards", "transfers"]:
    '''Say which queue answers.'''

@freehold.pipeline
async def desk(message: str) -> str:
    return await queue.acall(message)

The project has these tasks, with whom each is compared: {tasks}. Its models are {models}. Annotate every parameter and result. Import nothing but
freehold, re, math, and of asyncio, dataclasses and typing what follows. {names}. Answer with the file alone, in one block between ```python and ```."""
_PIPELINE_MODULES: Final[Modules] = {
    "re": frozenset(re.__all__),
    "math": frozenset(name for name in dir(math) if not name.startswith("_")),
    "freehold": frozenset(name for name in dir(freehold) if not name.startswith("_")),
    "asyncio": {"Lock", "Queue", "Semaphore", "TaskGroup", "as_completed", "create_task", "gather", "sleep", "timeout", "wait", "wait_for"},
    "dataclasses": {"asdict", "astuple", "dataclass", "field", "fields", "replace"},
    "typing": {
        "Annotated",
        "Any",
        "Final",
        "Literal",
        "NamedTuple",
        "Never",
        "NewType",
        "Optional",
        "TypeAlias",
        "TypedDict",
        "TypeVar",
        "Union",
    },
}


class Asked(NamedTuple):
    """What is to be written."""

    what: What
    task: str
    model: str
    """Who writes it."""
    variant: str | None = None
    """Of a guard: whose answers it lets through."""
    about: str = ""
    """Of a pipeline: what it is to do."""
    precision: float = 0.9
    rounds: int = 5
    seed: int = 0
    budget_usd: float | None = None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What was written, and how good it was."""

    source: str
    """The file."""
    rounds: int
    """How often it was written."""
    rows: int = 0
    """Judged answers that it was written from,"""
    held_out: int = 0
    """and others that it was then looked at by."""
    answered: int = 0
    """Of those it decided so many,"""
    right: int = 0
    """of which so many rightly,"""
    low: float = 0.0
    """a share of at least this, at 95 % confidence."""
    cost_usd: float | None = 0.0
    """What the model cost; None where that is unknown."""


def write(project: Project, asked: Asked, tell: Tell = lambda n, of: None) -> Report:
    """Has it written. Raises CallerError for what cannot be begun, TrainingError where nothing comes of it."""
    task = project.task(asked.task)
    if asked.what == "pipeline":
        return _pipeline(project, task, asked, tell)
    learnt, held = _parts(project, task, asked)
    wanted = Wanted(asked.task, _meaning(asked), asked.precision, asked.rounds, _EXAMPLES, _CASES, asked.seed)
    with teaching(project, asked.task, asked.budget_usd) as models:
        tried = written(wanted, learnt, range(len(learnt)), models, asked.model, lambda n, _: tell(n, asked.rounds))
        cost = models.cost_usd
    best = max(tried, key=lambda one: (max(0.0, one.worth(asked.precision)), one.right / max(1, one.answered)))
    looked = judged(best.source, held, range(len(held)), wanted)
    if not looked.right or looked.sure < asked.precision:
        raise TrainingError(
            f"Nothing was taken: of {len(held)} answers that it was not written from, the best {asked.what} decided {looked.answered}, {looked.right} of "
            f"them rightly, by which {looked.sure:.2%} can be expected of it, and {asked.precision:.0%} have to be. Such as {'; '.join(looked.cases[:2])}. "
            "Judge more answers, allow more --rounds, or be content with less (--precision)."
        )
    report = Report(
        source="",
        rounds=len(tried),
        rows=len(learnt),
        held_out=len(held),
        answered=looked.answered,
        right=looked.right,
        low=round(float(clopper_pearson_lower(looked.right, looked.answered, 0.05)), 4),
        cost_usd=cost,
    )
    return msgspec.structs.replace(report, source=_file(asked, best.source, report))


class Beforehand(NamedTuple):
    """What writing would take."""

    rows: int
    """Judged answers, of both parts; 0 for a pipeline."""
    cost_usd: float | None
    """About what the model costs at most; None where its price is unknown."""


def beforehand(project: Project, asked: Asked) -> Beforehand:
    """What writing would take. Raises CallerError for what cannot be begun."""
    task = project.task(asked.task)
    if asked.what == "pipeline":
        words = len(_pipeline_question(project, asked)) / CHARS_A_TOKEN
        rows = 0
        asks: tuple[Asks, ...] = (Asks(asked.model, asked.rounds, words + _ANSWER_TOKENS, _ANSWER_TOKENS),)
    else:
        learnt, held = _parts(project, task, asked)
        rows = len(learnt) + len(held)
        asks = written_by(asked.model, asked.rounds, _EXAMPLES, _CASES, sum(map(len, learnt.texts)) / len(learnt))
    return Beforehand(rows, price_of(project, asks, datetime.now(UTC)))


def _parts(project: Project, task: Task, asked: Asked) -> tuple[Part, Part]:
    """What it is written from, and what it is then looked at by. Raises CallerError where that is too little."""
    learnt, held = parted(judged_answers(project, task, asked), asked.seed)
    if len(held) < (least := least_rows(asked.precision)):
        raise CallerError(
            f"At {asked.precision:.1%} what is written is looked at by at least {least} answers to questions that it was not written from, and there are "
            f"{len(held)}. Judge answers to more questions, or be content with less (--precision)."
        )
    return learnt, held


def judged_answers(project: Project, task: Task, asked: Asked) -> Part:
    """Answers that are known to be right or wrong by the task's metric: texts, and which of the two. Raises CallerError where there are too few."""
    if task.metric is None or task.reference is None:
        raise CallerError(
            f"Task '{task.id}' has no metric or no reference: say both under [tasks.{task.id}], so that answers can be right or wrong."
        )
    metric: Metric = project.catalog.metric(task.metric)
    pairs = load_pairs(project.store, project.tenant, task.id, task.reference, metric).pairs
    if asked.what == "guard" and asked.variant not in pairs.variants:
        raise CallerError(f"No call of '{task.id}' was answered by '{asked.variant}': name a variant that was, by --variant.")
    place = {item: n for n, item in enumerate(pairs.items)}
    rows: dict[tuple[str, str], tuple[str, JSON]] = {}
    for call in read.calls(project.store, project.tenant, task.id):
        if call.input is None or call.output is None or call.item not in place or (asked.what == "guard" and call.variant != asked.variant):
            continue
        score = pairs.score_NV[place[call.item], pairs.variants.index(call.variant)]
        if np.isnan(score) or len(rows) >= _MOST_ROWS:
            continue
        text = text_of(call.input)
        shown = text if asked.what == "guard" else f"QUESTION: {text}\nANSWER: {text_of(call.output)}"
        rows[call.item, call.variant] = shown, "right" if score >= 0.5 else "wrong"
    answers = [answer for _, answer in rows.values()]
    if len(rows) < _LEAST_ROWS or len(set(map(str, answers))) < 2:
        raise CallerError(
            f"A {asked.what} of '{task.id}' is written from at least {_LEAST_ROWS} answers that are known to be right or wrong, some of each; there are "
            f"{len(rows)}, {answers.count('wrong')} of them wrong. 'freehold label {task.id}' asks people."
        )
    return plain([text for text, _ in rows.values()], answers, [item for item, _ in rows])


def parted(part: Part, seed: int) -> tuple[Part, Part]:
    """What it is written from, and what it is then looked at by: other questions, and of each question one answer, so that each row says something of
    its own."""
    order = np.random.default_rng(seed).permutation(len(part))
    groups = list(dict.fromkeys(part.groups[n] for n in order))
    held = set(groups[: int(_HELD_OUT * len(groups))])
    one_of_each = {part.groups[n]: n for n in order if part.groups[n] in held}
    return part.those(n for n in order if part.groups[n] not in held), part.those(one_of_each.values())


def _meaning(asked: Asked) -> str:
    if asked.what == "guard":
        return f"Given a question, say whether '{asked.variant}' answers it rightly: 'right' or 'wrong'. You do not see its answer."
    return "Given a question and an answer to it, say whether the answer is right: 'right' or 'wrong'."


def _file(asked: Asked, source: str, report: Report) -> str:
    about = (
        f"A {asked.what} for '{asked.task}', written by '{asked.model}' from {report.rows} judged answers. On {report.held_out} others it decided\n"
        f"{report.answered}, {report.right} of them rightly (at least {report.low:.1%}, at 95 %)."
    ).replace('"', "'")
    if asked.what == "guard":
        return _GUARD.format(about=about, source=_quoted(source), variant=asked.variant)
    name = "".join(c if c.isalnum() else "_" for c in f"{asked.task}_written")
    return _SCORER.format(about=about, source=_quoted(source), name=name)


def _quoted(source: str) -> str:
    """A program as a literal that people can read."""
    quoted = f"r'''\n{source}'''"
    try:
        is_same = ast.literal_eval(quoted) == f"\n{source}"
    except (SyntaxError, ValueError):
        is_same = False
    return quoted if is_same else repr(source)


def _pipeline(project: Project, task: Task, asked: Asked, tell: Tell) -> Report:
    turns: list[dict[str, str]] = [{"role": "user", "content": _pipeline_question(project, asked)}]
    wrong: list[str] = []
    with teaching(project, task.id, asked.budget_usd) as models:
        for n in range(asked.rounds):
            (heard,) = models.ask(asked.model, [turns], Sampling(seed=asked.seed))
            if heard.text is None:
                raise TrainingError(f"'{asked.model}' wrote nothing: {heard.why}")
            source = code_in(heard.text)
            wrong = wrong_with(source)
            tell(n + 1, asked.rounds)
            if not wrong:
                about = f'"""A pipeline written by \'{asked.model}\'. It was looked at and not run: read it, then `freehold check`."""\n\n'
                return Report(
                    source=source if ast.get_docstring(ast.parse(source)) else about + source, rounds=n + 1, cost_usd=models.cost_usd
                )
            turns = [
                turns[0],
                {"role": "assistant", "content": heard.text},
                {"role": "user", "content": "That is wrong: " + "; ".join(wrong[:10])},
            ]
    raise TrainingError(f"No pipeline was taken: after {asked.rounds} rounds {'; '.join(wrong[:3])}.")


def _pipeline_question(project: Project, asked: Asked) -> str:
    if not asked.about:
        raise CallerError("Say what the pipeline is to do: --about 'sorts messages and drafts a reply to each'.")
    catalog = project.catalog
    tasks = ", ".join(f"{one.id} ({one.reference or 'no reference'})" for one in catalog.tasks.values())
    names = "; ".join(f"{module}: {', '.join(sorted(_PIPELINE_MODULES[module]))}" for module in ("asyncio", "dataclasses", "typing"))
    return _PIPELINE.format(about=asked.about, tasks=tasks, models=", ".join(catalog.models), names=names)


def wrong_with(source: str) -> list[str]:
    """What is wrong with a pipeline's file, as far as can be seen without running it."""
    found = beyond(source, _PIPELINE_MODULES)
    if found and found[0].startswith("it is no Python"):
        return found
    functions = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    pipelines = [one for one in functions if any("pipeline" in ast.unparse(decorator) for decorator in one.decorator_list)]
    if not pipelines:
        found.append("it has no function under @freehold.pipeline")
    for one in functions:
        if one.decorator_list and (one.returns is None or any(each.annotation is None for each in one.args.args)):
            found.append(f"line {one.lineno}: '{one.name}' lacks the type of a parameter or of its result")
    return found
