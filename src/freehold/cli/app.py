"""`freehold`: every command by name, and what an error becomes: a message on stderr and an exit status."""

import os
import sys
from typing import Annotated

import typer

from freehold import __version__
from freehold.cli import (
    asking,
    batching,
    calls,
    checking,
    credits,
    datasets,
    demo,
    economics,
    embedder,
    evaluating,
    expert,
    importing,
    judging,
    keys,
    labels,
    matching,
    monitoring,
    personal,
    policies,
    project,
    prompts,
    proof,
    release,
    reviews,
    runs,
    serve,
    speaking,
    streaming,
    training,
    usage,
    writing,
)
from freehold.errors import CallerError, FreeholdError

app = typer.Typer(
    name="freehold",
    help="Answers each LLM call with the cheapest thing that is good enough, with measured proof.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_GROUPS = (
    demo,
    project,
    importing,
    calls,
    matching,
    labels,
    proof,
    policies,
    checking,
    prompts,
    batching,
    streaming,
    runs,
    serve,
    keys,
    usage,
    asking,
    credits,
    datasets,
    training,
    release,
    personal,
    economics,
    embedder,
    speaking,
    judging,
    reviews,
    evaluating,
    writing,
    monitoring,
    expert,
)
for group in _GROUPS:
    group.register(app)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """Answers each LLM call with the cheapest thing that is good enough, with measured proof."""


def main() -> None:
    """Runs the command line. Exit status: 0 done, 1 failed, 2 misused, 3 a gate said no."""
    try:
        try:
            app(standalone_mode=True)
        finally:
            sys.stdout.flush()
    except FreeholdError as error:
        sys.stderr.write(f"freehold: {error}\n")
        sys.exit(_status(error))
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:  # of the output, most often: what reads and writes a project says in its own words what failed
        sys.stderr.write(f"freehold: something could not be read or could not be written: {error}\n")
        os._exit(1)  # the interpreter would try to write the output again
    except KeyboardInterrupt:
        sys.stderr.write("freehold: stopped. What was committed stays; run it again to go on.\n")
        sys.exit(130)


def _status(error: FreeholdError) -> int:
    if any(kind.__name__ == "GateClosed" for kind in type(error).__mro__):  # promotion.gate imports numpy, which every start would pay for
        return 3
    return 2 if isinstance(error, CallerError) else 1
