"""Commands about scorers and judges: which there are, judging what is recorded, and how far a judge is to be trusted."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from freehold.cli.console import JsonOption, ProjectOption, notes, opened, out, print_json, print_table, progress_bar

if TYPE_CHECKING:
    from freehold.evaluation.calibrate import Calibration
    from freehold.evaluation.estimated import Estimated
    from freehold.evaluation.ppi import Interval
    from freehold.project import Project
    from freehold.tables import JudgeTable

_JudgeArgument = Annotated[
    str, typer.Argument(metavar="JUDGE", help="The judge's name: of [judges.NAME], or of freehold.judge in a program.")
]
_TaskOption = Annotated[str, typer.Option("--task", metavar="TASK", help="Whose answers are judged.")]


def register(app: typer.Typer) -> None:
    """Adds these commands."""
    app.command()(scorers)
    group = typer.Typer(help="Models as judges: list, show, run, calibrate, estimate.", no_args_is_help=True, rich_markup_mode=None)
    group.command("list")(list_judges)
    group.command("show")(show)
    group.command("run")(run)
    group.command("calibrate")(calibrate)
    group.command("estimate")(estimate)
    app.add_typer(group, name="judge")


def scorers(project: ProjectOption = None, as_json: JsonOption = False) -> None:
    """Which scorers there are: kinds, those of freehold.toml, functions of the project's programs, judges."""
    from freehold.evaluation.scorers import functions_in, kinds
    from freehold.pipelines.judging import judges_in
    from freehold.pipelines.program import program_of

    with opened(project) as home:
        rows = [(kind.name, "kind", kind.about, kind.package) for kind in kinds()]
        rows += [
            (name, "freehold.toml", f"{table.kind}{f' of {table.field}' if table.field else ''}", "")
            for name, table in home.config.scorers.items()
        ]
        rows += [
            (name, "function", (made.__doc__ or "").strip().split("\n")[0], "")
            for name, made in functions_in(program_of(home.config).modules).items()
        ]
        rows += [(f"judge:{name}", "judge", f"{table.kind}, by {table.model}", "") for name, table in judges_in(home).items()]
    if as_json:
        print_json([{"name": name, "what": what, "about": about, "package": package} for name, what, about, package in rows])
    else:
        print_table("", ["scorer", "what", "says"], [list(row[:3]) for row in rows])


def list_judges(project: ProjectOption = None, as_json: JsonOption = False) -> None:
    """The project's judges, and on which tasks each is calibrated."""
    from freehold.evaluation.calibrated import calibrations
    from freehold.pipelines.judging import judges_in

    with opened(project) as home:
        found = [(name, table, calibrations(home.folder, name, table)) for name, table in judges_in(home).items()]
    if as_json:
        print_json([{**_told(name, table), "calibrated_on": [made.task for made in known]} for name, table, known in found])
    elif not found:
        out().print("No judges. Declare one under [judges.NAME] in freehold.toml: docs/judges.md.", markup=False)
    else:
        cells = [
            [
                name,
                table.kind,
                table.model,
                f"{table.scores[0]:g} to {table.scores[1]:g}",
                ", ".join(made.task for made in known) or "never",
            ]
            for name, table, known in found
        ]
        print_table("", ["judge", "kind", "model", "scores", "calibrated on"], cells)


def show(judge: _JudgeArgument, project: ProjectOption = None, as_json: JsonOption = False) -> None:
    """Show one judge: what it goes by, and what its calibrations say."""
    from freehold.evaluation.calibrated import calibrations

    with opened(project) as home:
        table = _table(home, judge)
        known = calibrations(home.folder, judge, table)
    if as_json:
        print_json({**_told(judge, table), "calibrations": known})
        return
    for name, value in _told(judge, table).items():
        out().print(f"{name + ':':<10}{value}", markup=False, soft_wrap=True)
    for made in known:
        out().print()
        _print_calibration(made)
    if not known:
        out().print("It was never calibrated by this rubric: nobody knows how far its scores are people's.")


def run(
    judge: _JudgeArgument,
    task: _TaskOption,
    variants: Annotated[str | None, typer.Option("--variants", metavar="A,B,…", help="Answers of these; of all where left out.")] = None,
    sample: Annotated[int | None, typer.Option("--sample", min=1, help="So many answers, drawn at random.")] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of the draw.")] = 0,
    budget_usd: Annotated[float | None, typer.Option("--budget-usd", min=0.0, help="What it may cost at most.")] = None,
    concurrency: Annotated[int, typer.Option("--concurrency", min=1, max=64, help="How many are judged at one time.")] = 4,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Judge a task's recorded answers. Its scores are kept as feedback of `judge:JUDGE`; they estimate, and certify nothing."""
    from freehold.pipelines.judged import Wanted, judge_task
    from freehold.pipelines.judging import scorers_of
    from freehold.pipelines.runtime import use

    named = tuple(name.strip() for name in (variants or "").split(",") if name.strip())
    wanted = Wanted(task, named, sample, seed, budget_usd, concurrency)
    with opened(project) as home:
        _table(home, judge)
        with use(home.folder) as at, at.resources.paced(), progress_bar(1, not as_json) as show_done:
            (scorer,) = scorers_of(home, [f"judge:{judge}"], at)
            made = judge_task(home, scorer, wanted, tell=lambda done, all: show_done(done, f"{done:,} of {all:,} answers", all))
    if as_json:
        print_json(made)
        return
    cost = "unknown" if made.cost_usd is None else f"{made.cost_usd:.4f} USD"
    out().print(f"{made.scored:,} answers of {task} judged, {made.before:,} were before; cost {cost}.")
    if made.mean is not None:
        out().print(
            f"Mean score {made.mean:.3f}: an opinion. 'freehold judge calibrate {judge} --task {task}' says how far it is people's."
        )
    for why, count in sorted(made.unscored.items(), key=lambda each: -each[1])[:5]:
        out().print(f"{count:,} without a score: {why}", markup=False, soft_wrap=True)
    if made.left:
        out().print(f"{made.left:,} are left: the budget is spent.")


def calibrate(
    judge: _JudgeArgument,
    task: _TaskOption,
    metric: Annotated[
        str | None, typer.Option("--metric", metavar="M", help="What people's labels are of; the task's metric when left out.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of the intervals' draws.")] = 0,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """How far a judge is people's: bias, agreement, order and preference for its own kin, with intervals; kept in calibrations/."""
    from freehold.evaluation.calibrated import calibrate_judge

    with opened(project) as home:
        made = calibrate_judge(home, judge, _table(home, judge), task, metric, seed, datetime.now(UTC))
    if as_json:
        print_json(made)
    else:
        _print_calibration(made)


def estimate(
    judge: _JudgeArgument,
    task: _TaskOption,
    metric: Annotated[
        str | None, typer.Option("--metric", metavar="M", help="What people's labels are of; the task's metric when left out.")
    ] = None,
    variants: Annotated[str | None, typer.Option("--variants", metavar="A,B,…", help="Answers of these; of all where left out.")] = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """What people would say of the answers that a judge has scored, from the labels they gave some of them: PPI++, labels alone beside it."""
    from freehold.evaluation.estimated import estimate as estimated

    named = tuple(name.strip() for name in (variants or "").split(",") if name.strip())
    with opened(project) as home:
        made = estimated(home, judge, _table(home, judge), task, metric, named)
    if as_json:
        print_json(made)
    else:
        _print_estimated(made)


def _table(home: "Project", judge: str) -> "JudgeTable":
    from freehold.errors import CallerError, nearest
    from freehold.pipelines.judging import judges_in

    found = judges_in(home)
    if judge not in found:
        hint = nearest(judge, list(found)) or " Declare one under [judges.NAME] in freehold.toml."
        raise CallerError(f"There is no judge '{judge[:120]}'.{hint}")
    return found[judge]


def _told(name: str, table: "JudgeTable") -> dict[str, object]:
    from freehold.evaluation.judge import rubric_hash

    low, high = table.scores
    return {
        "judge": name,
        "kind": table.kind,
        "model": table.model,
        "scores": f"{low:g} to {high:g}, {table.better} is better",
        "hash": rubric_hash(table),
        "rubric": table.rubric or "(the kind's own)",
    }


def _print_calibration(made: "Calibration") -> None:
    rows = [
        ["bias", _shown(made.bias)],
        *([f"bias on {name}", _shown(each)] for name, each in made.by_variant.items()),
        ["mean absolute error", _shown(made.error)],
        ["correlation", _shown(made.correlation)],
        ["Krippendorff's alpha", _estimated(made.agreement.alpha.value, made.agreement.alpha.low, made.agreement.alpha.high)],
        ["raw agreement", _estimated(made.agreement.raw.value, made.agreement.raw.low, made.agreement.raw.high)],
        ["self-preference", _shown(made.self_preference)],
        ["order effect", _shown(None if made.order is None else made.order.first)],
        ["changed with the order", _shown(None if made.order is None else made.order.changed)],
    ]
    title = f"{made.judge} on {made.task}, {made.answers:,} answers that people scored by {made.metric}"
    print_table(title, ["", "estimate and 95 % interval"], [row for row in rows if row[1]])
    notes().print("Scores are in [0, 1] with 1 the best. Bias: how much higher the judge scores than people do.")


def _print_estimated(made: "Estimated") -> None:
    rows = [
        [name, *(_shown(each) for each in (found.powered, found.labels_only, found.bias)), f"{found.labels:,}", f"{found.items:,}"]
        for name, found in [
            *made.variants.items(),
            *((f"{name} less {made.reference}", found) for name, found in made.differences.items()),
        ]
    ]
    print_table(
        f"{made.metric} on {made.task}, with {made.judge}",
        ["", "by labels and judge, 95 %", "by labels alone", "bias of the judge", "labels", "items"],
        rows,
    )
    for name, why in made.unknown.items():
        out().print(f"{name}: {why}", markup=False, soft_wrap=True)
    if not made.is_drawn:
        notes().print(
            "Some of these labels nobody drew: the numbers hold as far as what people happened to label is like the rest, which nobody knows."
        )


def _shown(interval: "Interval | None") -> str:
    return "" if interval is None else f"{interval.value:+.3f}  [{interval.low:+.3f}, {interval.high:+.3f}]"


def _estimated(value: float | None, low: float | None, high: float | None) -> str:
    return "" if value is None or low is None or high is None else f"{value:+.3f}  [{low:+.3f}, {high:+.3f}]"
