"""The serve command."""

from typing import Annotated

import typer

from freehold.cli.console import ProjectOption, notes, opened


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(serve)


def serve(
    host: Annotated[str, typer.Option(help="The address to listen on; only this machine's own where there are no keys.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="The port; 0 takes a free one.")] = 4141,
    workers: Annotated[int, typer.Option(min=1, help="Processes that share the port, about one for each core.")] = 1,
    plain_asgi: Annotated[bool, typer.Option("--plain-asgi", help="Serve by plain ASGI instead of our own protocol.")] = False,
    project: ProjectOption = None,
) -> None:
    """Serve the project's models at one address: OpenAI's and Anthropic's clients need another base URL and nothing else."""
    from contextlib import nullcontext

    from freehold.monitor.beside import beside as watched
    from freehold.workers import run

    with opened(project) as home:

        def tell(address: str) -> None:
            notes().print(f"Serving {home.folder} at {address}/v1. Stop with Ctrl-C.", markup=False, soft_wrap=True)

        with watched(home.folder) if home.config.monitor.serve else nullcontext():
            run(home, host, port, workers, plain_asgi, tell)
