"""The embedder command."""

from pathlib import Path
from typing import Annotated

import typer

from freehold.cli.console import JsonOption, out, print_json


def register(app: typer.Typer) -> None:
    """Adds the command."""
    group = typer.Typer(help="Sentence embedders for routing, from local weights.", no_args_is_help=True, rich_markup_mode=None)
    group.command("build")(build)
    app.add_typer(group, name="embedder")


def build(
    weights: Annotated[
        Path, typer.Argument(metavar="WEIGHTS", help="A folder with a BERT's config.json, model.safetensors and tokenizer.json.")
    ],
    to: Annotated[Path, typer.Option("--out", metavar="DIR", help="The folder to write.")],
    fp32: Annotated[bool, typer.Option("--fp32", help="Keep full precision: four times the size, half the speed.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Make the int8 ONNX folder that 'certify --embedder' reads. Needs pip install 'freehold[embeddings-build]'."""
    from freehold.training.embedder import build_embedder

    folder = build_embedder(weights, to, fp32=fp32)
    if as_json:
        print_json({"embedder": str(folder)})
    else:
        out().print(f"Wrote {folder}. Use it: freehold certify TASK --embedder {folder}", markup=False, soft_wrap=True)
