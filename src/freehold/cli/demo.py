"""The demo command."""

from pathlib import Path
from typing import Annotated

import typer

from freehold.cli.console import GATE_SAID_NO, JsonOption, exit_with, out, print_json, program, share, steps


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(demo)


def demo(
    to: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the demo's project goes.")] = Path("freehold-demo"),
    seed: Annotated[int, typer.Option(help="Seed of the simulated models.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Import, group, train, certify and report on shipped traffic: the whole loop in a minute, with no key and no network."""
    from freehold.demo import run

    with steps(not as_json) as say:
        result = run(to, seed, say)
    main, strict = result.certificates
    if as_json:
        print_json(result)
    else:
        out().print(f"{main.claim}\n", markup=False)
        out().print(main.policy_source, markup=False)
        verdict = f"saves {share(strict.saving)}" if strict.certified else "cannot be certified"
        out().print(f"Beside it: within {strict.max_loss:g} the policy {verdict}.", markup=False)
        out().print(
            f"All of it in {result.seconds:.0f} s. Look at {result.report}, or go on: {program()} certify triage --project {to}",
            markup=False,
        )
    if not main.certified:
        exit_with(GATE_SAID_NO)
