"""Commands about specialists: train, and what stands on the shelf."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from freehold.cli import programs
from freehold.cli.console import JsonOption, ProjectOption, notes, number, opened, out, print_json, print_table, progress_bar, share, usd
from freehold.errors import CallerError

if TYPE_CHECKING:
    from freehold.chat import JSON
    from freehold.specialise import Prepared
    from freehold.training.run import Step
    from freehold.variants.card import Card

specialists = typer.Typer(
    name="specialists", help="Variants that were trained here: what each is made of and how good it was.", no_args_is_help=True
)


def register(app: typer.Typer) -> None:
    """Adds these commands."""
    app.command()(train)
    programs.register(specialists)
    app.add_typer(specialists, name="specialists")


def train(
    task: Annotated[str | None, typer.Argument(help="The task.")] = None,
    method: Annotated[str | None, typer.Option(help="How it learns; --methods says what there is.")] = None,
    dataset: Annotated[
        str | None, typer.Option(metavar="NAME[@HASH]", help="What it learns from; the newest with rows of the task when left out.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="What it will be called; TASK-METHOD-N when left out.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of everything that is drawn.")] = 0,
    embedder: Annotated[Path | None, typer.Option(metavar="DIR", help="A folder made by 'freehold embedder build'.")] = None,
    base: Annotated[Path | None, typer.Option(metavar="DIR", help="The folder of the model that is tuned.")] = None,
    continue_from: Annotated[str | None, typer.Option(metavar="NAME", help="The specialist that goes on learning.")] = None,
    budget_usd: Annotated[float | None, typer.Option(min=0.0, help="What calls to models may cost at most.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting of the method; may be repeated.")
    ] = None,
    plan: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A plan that --save-plan or --json wrote; nothing else is taken then.")
    ] = None,
    save_plan: Annotated[Path | None, typer.Option(metavar="FILE", help="Where to write the plan.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would take, and stop.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Put it on the shelf though it forgot more than the task allows.")] = False,
    methods: Annotated[bool, typer.Option("--methods", help="List the methods and their settings, and stop.")] = False,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a specialist of your own from a data set, and test it. It answers nothing until a policy names it."""
    if methods:
        _print_methods(as_json)
        return
    import msgspec

    from freehold.cli.forgetting import print_kept
    from freehold.cli.personal import print_personal
    from freehold.personal import personalise
    from freehold.promotion.regression import Forgot
    from freehold.specialise import Wanted, plan_of, prepare
    from freehold.specialise import train as run
    from freehold.training.plans import read_plan, write_plan
    from freehold.variants.shelf import chain
    from freehold.variants.specialist import FORMATS

    with opened(project) as home:
        if plan is not None:
            planned = read_plan(plan)
        elif task is None or method is None:
            raise CallerError("Train what, and how? 'freehold train TASK --method METHOD', or --plan FILE. --methods lists the methods.")
        else:
            wanted = Wanted(task, method, dataset, seed, embedder, base, continue_from, budget_usd, _settings(settings or []))
            planned = plan_of(home, wanted, lambda text: None if as_json else notes().print(text, markup=False))
        if save_plan is not None:
            write_plan(planned, save_plan)
        prepared = prepare(home, planned)
        if not as_json:
            _print_estimate(prepared)
        if dry_run:
            if as_json:
                print_json(
                    {
                        "plan": planned,
                        "rows": prepared.rows,
                        "estimate": {**prepared.estimate._asdict(), "asks": [one._asdict() for one in prepared.estimate.asks]},
                    }
                )
            return
        before = prepared.job.earlier
        line = () if before is None else tuple(reversed(chain(home.store, before.card)))
        with progress_bar(1, not as_json) as show:
            try:
                card = run(home, prepared, name, lambda step: show(step.done, _told(step), step.total), force)
            except Forgot as refused:
                if as_json:
                    print_json({**msgspec.structs.asdict(refused.card), "label": refused.card.label, "refused": refused.reasons})
                else:
                    print_kept((*line, refused.card))
                raise
            has_scope = home.task(card.task).scope is not None and card.format in FORMATS
            own = personalise(home, card.name, lambda step: show(step.done, _told(step), step.total)) if has_scope else None
    if as_json:
        print_json({**msgspec.structs.asdict(card), "label": card.label} | ({"personal": own} if own is not None else {}))
        return
    print_card(card)
    print_kept((*line, card))
    if own is not None:
        print_personal(own)


def _settings(said: list[str]) -> "dict[str, JSON]":
    """`KEY=VALUE` as JSON where it is some, else as text."""
    import msgspec

    found: dict[str, JSON] = {}
    for one in said:
        key, equals, value = one.partition("=")
        if not equals or not key:
            raise CallerError(f"--set '{one[:80]}' is no setting; expected KEY=VALUE, such as --set folds=5")
        try:
            found[key] = msgspec.json.decode(value)
        except msgspec.DecodeError:
            found[key] = value
    return found


def _told(step: "Step") -> str:
    losses = [
        f"loss {step.loss:.4f}" if step.loss is not None else "",
        f"held out {step.held_out:.4f}" if step.held_out is not None else "",
    ]
    return ", ".join(filter(None, (step.stage, *losses)))


def _print_estimate(prepared: "Prepared") -> None:
    e, rows = prepared.estimate, prepared.rows
    cost = "" if e.usd == 0 else f", {usd(e.usd)} for calls to models"
    notes().print(
        f"{prepared.version.label}: {rows['train']:,} rows to learn from, {rows['calibrate']:,} to choose settings by, {rows['test']:,} to test. "
        f"About {e.seconds:,.0f} s and {e.bytes / 1e9:.1f} GB{cost}.",
        markup=False,
    )


def _print_methods(as_json: bool) -> None:
    from freehold.training.method import method_of
    from freehold.training.method import methods as known

    found = [method_of(name) for name in sorted(known())]
    told = [{"name": one.name, "about": one.about, "settings": _defaults(one.options)} for one in found]
    if as_json:
        print_json(told)
    else:
        rows = [[one.name, one.about, ", ".join(f"{k}={v}" for k, v in _defaults(one.options).items())] for one in found]
        print_table("", ["method", "what it makes", "settings"], rows)


def _defaults(options: type) -> "dict[str, JSON]":
    import msgspec

    plain: dict[str, JSON] = msgspec.to_builtins(options())
    return plain


def print_card(card: "Card") -> None:
    """A card for people."""
    rows = ", ".join(f"{n:,} {part}" for part, n in card.rows.items())
    lines = [
        ["task", f"{card.task} (there to take calls from {card.replaces})" if card.replaces else card.task],
        ["method", card.plan.method],
        ["learnt from", f"{card.plan.dataset[: card.plan.dataset.find('@') + 13]}: {rows}"],
        ["goes on from", card.plan.continues or "nothing"],
        ["base", f"{card.base.name} ({card.base.licence or 'licence unknown'})" if card.base else "none"],
        ["licence of its data", card.licence or "several, or none known"],
        ["training", f"{card.training_s:,.1f} s, {usd(card.training_usd)} for calls to models"],
        ["files", ", ".join(f"{file.name} {file.bytes / 1e6:.2f} MB" for file in card.files) or "none"],
    ]
    print_table(card.label, ["", ""], [line for line in lines if line[1] != "nothing"])
    if card.tested is None:
        out().print("It was not tested: its data set has no test rows.", markup=False)
    else:
        tested = card.tested
        measures = [
            [m.name, number(m.mean), f"{m.low:.3f} to {m.high:.3f}", f"{m.n:,} rows in {m.groups:,} groups"] for m in tested.measures
        ]
        print_table("On the test part", ["measure", "mean", "95 %", "of"], measures, right=(1,))
        if tested.covered:
            covered = [
                [share(c.precision), number(c.confidence), share(c.coverage), share(c.precise), share(c.low)] for c in tested.covered
            ]
            columns = ["aimed at", "confidence from", "answered", "right of those", "at least (95 %)"]
            print_table("Where it is sure (confidence chosen on the calibration part)", columns, covered, right=(0, 1, 2, 3, 4))
        out().print(f"{tested.us_per_row:,.0f} microseconds a text. Calibration error {number(tested.calibration_error)}.", markup=False)
    out().print(f"It answers nothing yet: 'freehold certify {card.task} --variants {card.name}' proves what it may answer.", markup=False)


@specialists.command("list")
def list_specialists(
    task: Annotated[str | None, typer.Option(help="Those of one task.")] = None,
    habits: Annotated[bool, typer.Option("--habits", help="Those that are somebody's own, too.")] = False,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """List specialists, oldest first."""
    from freehold.variants.shelf import on_shelf

    with opened(project) as home:
        cards = [card for card in on_shelf(home.store, home.tenant, task) if habits or card.subject is None]
    if as_json:
        print_json(cards)
        return
    rows = [[c.name, c.task, c.plan.method, c.hash[:12], *_first(c), c.created_at.strftime("%Y-%m-%d %H:%M")] for c in cards]
    print_table("", ["name", "task", "method", "hash", "tested", "by", "made"], rows, right=(4,))


def _first(card: "Card") -> tuple[str, str]:
    measure = card.tested.measures[0] if card.tested else None
    return (number(measure.mean), measure.name) if measure else ("not tested", "")


@specialists.command()
def show(
    name: Annotated[str, typer.Argument(help="The specialist.")],
    source: Annotated[bool, typer.Option("--source", help="Print the program of one that is a program, and nothing else.")] = False,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a specialist's card."""
    import sys

    import msgspec

    from freehold.cli.forgetting import print_kept
    from freehold.variants.shelf import chain, find

    if source:
        from freehold.edit import source_of

        with opened(project) as home:
            told = source_of(home, name)[1]
        if as_json:
            print_json({"name": name, "source": told})
        else:
            sys.stdout.write(told)
        return
    with opened(project) as home:
        card = find(home.store, home.tenant, name)
        line = tuple(reversed(chain(home.store, card)))
    if as_json:
        print_json({**msgspec.structs.asdict(card), "label": card.label})
    else:
        print_card(card)
        print_kept(line)


@specialists.command()
def remove(name: Annotated[str, typer.Argument(help="The specialist.")], project: ProjectOption = None) -> None:
    """Remove a specialist. Refused while a policy that is served names it."""
    from freehold.specialise import remove as removed

    with opened(project) as home:
        removed(home, name)
    notes().print(f"'{name}' is removed.", markup=False)
