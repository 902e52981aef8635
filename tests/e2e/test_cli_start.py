"""The command line starts at once and tells what it can do."""

import json
import subprocess
import sys
from typing import Any

import click
import pytest
import typer

import freehold as package
from command import freehold
from freehold.cli.app import app

HEAVY = (
    "numpy",
    "scipy",
    "sklearn",
    "sqlalchemy",
    "alembic",
    "pyarrow",
    "pandas",
    "altair",
    "jinja2",
    "json_repair",
    "rich.table",
)
LISTED = """
import sys, json
from freehold.cli.app import app
try:
    app(sys.argv[1:], standalone_mode=True)
except SystemExit as end:
    sys.stderr.write(json.dumps([end.code, sorted(sys.modules)]))
"""


def commands(group: Any, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], click.Command]]:
    """Every command by the words that call it."""
    found = [(path, group)]
    for name, command in getattr(group, "commands", {}).items():
        found += commands(command, (*path, name))
    return found


COMMANDS = commands(typer.main.get_command(app))


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["certify", "--help"], ["policy", "--help"]])
def test_help_and_version_import_nothing_heavy(arguments: list[str]) -> None:
    run = subprocess.run([sys.executable, "-c", LISTED, *arguments], capture_output=True, text=True, check=True)
    code, modules = json.loads(run.stderr)
    assert code == 0
    assert [name for name in HEAVY if name in modules] == []


def test_the_package_imports_nothing_heavy_until_a_name_of_it_is_used() -> None:
    """A script that only wants the version is not to pay for types and templates."""
    program = f"import sys, freehold; freehold.__version__; print([name for name in {(*HEAVY, 'pydantic')!r} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_the_version_is_the_packages() -> None:
    assert freehold("--version").out == package.__version__ + "\n"


@pytest.mark.parametrize(("words", "command"), COMMANDS, ids=[" ".join(words) or "freehold" for words, _ in COMMANDS])
def test_every_command_argument_and_option_says_what_it_is(words: tuple[str, ...], command: click.Command) -> None:
    assert (command.help or "").strip()
    for parameter in command.params:
        assert getattr(parameter, "help", None), f"{' '.join(words)} {parameter.name}"


def test_every_command_that_is_promised_is_there() -> None:
    promised = "demo init doctor import calls label certify verify report policy promote rollback erase backup restore embedder check batch stream runs prompts"
    there = {words[0] for words, _ in COMMANDS if words}
    assert [name for name in promised.split() if name not in there] == []


def test_without_arguments_it_tells_how_it_is_used() -> None:
    ended = freehold(code=None)
    assert ended.code in (0, 2)
    assert "certify" in ended.out + ended.err


def test_commands_that_read_print_json_on_request() -> None:
    readers = {"certify", "verify", "report", "doctor", "import", "promote", "rollback", "erase", "demo", "label", "backup", "restore"}
    readers |= {"calls groups", "calls name", "policy list", "policy show", "policy check", "policy diff", "policy add", "embedder build"}
    options = {" ".join(words): {option for p in command.params for option in p.opts} for words, command in COMMANDS}
    assert [name for name in sorted(readers) if "--json" not in options[name]] == []
