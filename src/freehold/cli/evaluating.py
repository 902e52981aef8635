"""Commands that evaluate variants: evaluate, and evaluate list, show, compare, export."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from freehold.cli.asking import INTERRUPTED
from freehold.cli.batching import AUTO
from freehold.cli.console import (
    GATE_SAID_NO,
    JsonOption,
    ProjectOption,
    exit_with,
    notes,
    opened,
    out,
    print_json,
    print_table,
    progress_bar,
    usd,
)
from freehold.errors import CallerError

if TYPE_CHECKING:
    from freehold.evaluation.result import Evaluation
    from freehold.evaluator.prepared import Prepared
    from freehold.evaluator.run import Progress
    from freehold.evaluator.trials import Candidate
    from freehold.project import Project


class _RunByDefault(TyperGroup):
    """`freehold evaluate TASK` beside `freehold evaluate list`: what is no command of the group is a task to evaluate."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As of Click, with `run` put before anything that is no command."""
        if args and args[0] not in self.commands and args[0] not in ("-h", "--help"):
            args = [_RUN, *args]
        return super().parse_args(ctx, args)


_RUN = "run"
group = typer.Typer(cls=_RunByDefault, no_args_is_help=True, help="Evaluate variants of a task, and look at evaluations.")


def register(app: typer.Typer) -> None:
    """Adds these commands."""
    app.add_typer(group, name="evaluate")


@group.command(_RUN)
def run(
    task: Annotated[str, typer.Argument(help="The task.")],
    variants: Annotated[
        str | None,
        typer.Option(metavar="A,B,…", help="Who is evaluated; NAME=PROGRAM for a function of a program. The task's own when left out."),
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(metavar="FILE|NAME", help="The items: a file, or a data set. The journal's when left out.")
    ] = None,
    scorers: Annotated[
        str | None, typer.Option(metavar="A,B,…", help="Scorers, or metrics with recorded scores; the task's metric when left out.")
    ] = None,
    reference: Annotated[str | None, typer.Option(help="What the others are compared with; the task's when left out.")] = None,
    all_pairs: Annotated[bool, typer.Option("--all-pairs", help="Compare every variant with every other.")] = False,
    by: Annotated[
        list[str] | None, typer.Option(metavar="TAG|region", help="Tell results apart by a tag, or by region; may be repeated.")
    ] = None,
    require: Annotated[
        list[str] | None, typer.Option(metavar="'NAME>=N'", help="Exit 3 unless it holds, such as 'accuracy.low>=0.88'; may be repeated.")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="The most items, drawn at random; all when left out.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed draws the same items.")] = 0,
    margin: Annotated[float | None, typer.Option(help="Differences within it count as equal; the task's max_loss when left out.")] = None,
    confidence: Annotated[float | None, typer.Option(help="Of intervals and verdicts; the task's when left out.")] = None,
    concurrency: Annotated[
        str, typer.Option(metavar="auto|N", help="Requests under way at one time to one model; auto finds out what its provider takes.")
    ] = AUTO,
    budget_usd: Annotated[float | None, typer.Option("--budget-usd", help="The most that asking may cost; no limit when left out.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with an evaluation that was broken off: its scores are not made again.")
    ] = False,
    to: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Write a page about it there.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask whether to pay for answers.")] = False,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Evaluate variants of a task: scores with intervals, paired differences, cost and latency. Recorded answers count; what is missing is asked
    of live variants, at a price that is told first. Exit 3 when a requirement does not hold."""
    from freehold.evaluator.prepared import Request, prepare
    from freehold.evaluator.run import evaluate
    from freehold.pipelines.judging import judging

    if to is not None and to.exists() and not to.is_dir():
        raise CallerError(f"--out {to} is a file; a page is written into a folder.")
    with opened(project) as home, judging(home) as ask:
        names, candidates, modules = _who(home, variants)
        request = Request(
            task=task,
            variants=names,
            dataset=dataset,
            scorers=_listed(scorers) or (),
            limit=limit,
            seed=seed,
            concurrency=_at_once(concurrency),
            budget_usd=budget_usd,
            resume=resume,
            by=tuple(by or ()),
            requirements=tuple(require or ()),
            is_all_pairs=all_pairs,
            reference=reference,
            margin=margin,
            confidence=confidence,
        )
        prepared = prepare(home, request, datetime.now(UTC), candidates, modules, ask)
        for name, count in prepared.left_out.items():
            if count:
                notes().print(
                    f"'{name}' learnt from {count:,} of the items, or had settings chosen by them: nobody is asked those.", markup=False
                )
        _price(prepared, as_json, yes)
        with progress_bar(len(prepared.questions.rows), not as_json) as show:

            def tell(progress: "Progress") -> None:
                show(progress.done, _line(progress), progress.total)

            done = evaluate(home, prepared, tell, lambda count: notes().print(_stopping(count)))
        if done.evaluation is None:
            notes().print(f"Stopped: {done.left:,} calls are left. {done.why} The same command goes on.", markup=False, soft_wrap=True)
            exit_with(INTERRUPTED if done.ended == "interrupted" else 1)
        assert done.evaluation is not None
        _show(home, done.evaluation, as_json, to)
    if done.ended == "budget":
        notes().print(
            f"The budget of {usd(budget_usd)} left {done.left:,} answers or judgements out: those have no score.",
            markup=False,
            soft_wrap=True,
        )
    _gate(done.evaluation)


@group.command("list")
def listed(
    task: Annotated[str | None, typer.Argument(help="Of this task alone.")] = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Evaluations, the newest first."""
    from freehold.evaluation.records import rows

    with opened(project) as home:
        if task is not None:
            home.task(task)
        found = rows(home.store, home.tenant, task)
    if as_json:
        print_json([_short(row._asdict()) for row in found])
        return
    if not found:
        out().print("No evaluations. 'freehold evaluate TASK' makes one.")
        return
    lines = [
        [
            row.id,
            row.task,
            f"{row.begun:%Y-%m-%d %H:%M}",
            row.state,
            "" if row.result is None else f"{row.result.items:,}",
            ", ".join(row.asked.variants),
            ", ".join(row.asked.scorers),
        ]
        for row in found
    ]
    print_table("", ["evaluation", "task", "begun", "state", "items", "variants", "scorers"], lines, right=(4,))


def _short(row: dict[str, Any]) -> dict[str, Any]:
    """A row without its whole result, which `show` has."""
    return {name: value for name, value in row.items() if name != "result"}


@group.command("show")
def show(
    evaluation: Annotated[str, typer.Argument(metavar="EVALUATION", help="Its id, or how that begins.")],
    to: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Write a page about it there.")] = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """One evaluation whole."""
    from freehold.evaluation.records import find

    with opened(project) as home:
        _show(home, find(home.store, home.tenant, evaluation), as_json, to)


@group.command("compare")
def compare(
    before: Annotated[str, typer.Argument(metavar="BEFORE", help="An evaluation.")],
    after: Annotated[str, typer.Argument(metavar="AFTER", help="A later one of the same task.")],
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """What has changed from one evaluation to another, on the items that both have."""
    from freehold.cli.evaluated import print_changes
    from freehold.evaluation.compare import compare as compared
    from freehold.evaluation.records import find, singles

    with opened(project) as home:
        one, other = find(home.store, home.tenant, before), find(home.store, home.tenant, after)
        found = compared(one, other, (singles(home.folder, one.id), singles(home.folder, other.id)), other.asked.margin)
    if as_json:
        print_json({**found._asdict(), "changes": [change._asdict() for change in found.changes]})
    else:
        print_changes(found)


@group.command("export")
def export(
    evaluation: Annotated[str, typer.Argument(metavar="EVALUATION", help="Its id, or how that begins.")],
    to: Annotated[str, typer.Option("--to", metavar="inspect", help="In which format: logs of Inspect AI, one for each variant.")],
    folder: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where they go.")] = Path("logs"),
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write an evaluation as logs that other tools read."""
    from freehold.evaluation.inspect_log import write_logs
    from freehold.evaluation.records import find, singles

    if to != "inspect":
        raise CallerError(f"--to '{to}' is no format; expected inspect.")
    with opened(project) as home:
        found = find(home.store, home.tenant, evaluation)
        paths = write_logs(home, found, singles(home.folder, found.id), folder)
    if as_json:
        print_json([str(path) for path in paths])
    else:
        for path in paths:
            out().print(str(path), markup=False, soft_wrap=True)


def _listed(said: str | None) -> tuple[str, ...] | None:
    return tuple(name.strip() for name in said.split(",") if name.strip()) if said else None


def _at_once(said: str) -> int | None:
    if said == AUTO:
        return None
    if not said.isdecimal() or int(said) < 1:
        raise CallerError(f"--concurrency is '{said}'; expected 'auto' or a number from 1 up.")
    return int(said)


def _who(home: "Project", said: str | None) -> "tuple[tuple[str, ...] | None, dict[str, Candidate], tuple[Any, ...]]":
    """The variants by name, the functions of programs among them, and the modules that scorers may stand in."""
    from freehold.evaluator.trials import candidate_of
    from freehold.pipelines.program import program_of

    names = _listed(said)
    own = program_of(home.config) if home.config.project.python else None
    candidates: dict[str, Candidate] = {}
    for one in names or ():
        name, equals, spec = one.partition("=")
        if equals:
            candidates[name] = candidate_of(home.config, spec)
    plain = None if names is None else tuple(one for one in names if "=" not in one)
    return plain, candidates, own.modules if own is not None else ()


def _price(prepared: "Prepared", as_json: bool, yes: bool) -> None:
    """Says what asking will cost, and asks whether to. Raises CallerError where there is nobody to ask."""
    from freehold.cli.asking import confirm

    plan = prepared.plan
    if prepared.judges and not as_json:
        judges = [[bill.judge, bill.model, f"{bill.calls:,}", f"{bill.there:,}", usd(bill.cost_usd)] for bill in prepared.judges]
        print_table(
            "Judgements that are missing, as estimated", ["judge", "model", "calls", "there already", "cost"], judges, right=(2, 3, 4)
        )
    if plan is None:
        return
    if not as_json:
        rows = [
            [bill.variant, f"{bill.calls:,}", f"{bill.there:,}", f"{bill.input_tokens:,}", f"{bill.output_tokens:,}", usd(bill.cost_usd)]
            for bill in plan.bills
        ]
        columns = ["variant", "calls", "there already", "input tokens", "output tokens", "cost"]
        print_table("Answers that are missing, as estimated", columns, rows, right=(1, 2, 3, 4, 5))
        budget = prepared.request.budget_usd
        limit = "no budget" if budget is None else f"a budget of {usd(budget)}"
        out().print(f"In all about {usd(plan.cost_usd)}, with {limit}.", markup=False, soft_wrap=True)
    if not yes:
        confirm(plan)


def _line(progress: "Progress") -> str:
    words = {"asking": "calls", "trying": "answers of programs", "scoring": "items scored"}
    spent = f", {usd(progress.spent_usd, 2)}" if progress.step == "asking" else ""
    return f"{progress.done:,} of {progress.total:,} {words[progress.step]}{spent}"


def _stopping(count: int) -> str:
    return f"Stopping once {count:,} calls under way have ended; Ctrl-C again breaks them off."


def _show(home: "Project", found: "Evaluation", as_json: bool, to: Path | None) -> None:
    from freehold.cli.evaluated import print_evaluation

    if as_json:
        print_json(found)
    else:
        print_evaluation(found)
    if to is not None:
        from freehold.web.evaluated import write_page

        paths = write_page(found, home.config.project.name, to)
        notes().print(f"Wrote {paths[0]}.", markup=False, soft_wrap=True)
    sys.stdout.flush()


def _gate(found: "Evaluation") -> None:
    """Ends with 3 where a requirement does not hold."""
    missed = [one for one in found.required if not one.is_met]
    for one in missed:
        of = f" of '{one.variant}'" if one.variant is not None else ""
        measured = one.why if one.measured is None else f"it is {one.measured:.6g}"
        notes().print(f"Required{of}: {one.said}. Measured: {measured}.", markup=False, soft_wrap=True)
    if missed:
        exit_with(GATE_SAID_NO)
