"""The pages say what the product does: every command, every key, every file, every number that can be computed."""

import re
from pathlib import Path

import msgspec
import pytest
import typer

from freehold import catalog, tables
from freehold.cli.app import app
from freehold.evaluation import bounds

ROOT = Path(__file__).parents[2]


def commands(group: typer.Typer, prefix: str = "freehold") -> list[str]:
    """Every command's full name."""
    names = [f"{prefix} {c.name or (c.callback.__name__.replace('_', '-') if c.callback else '')}" for c in group.registered_commands]
    for inner in group.registered_groups:
        assert inner.typer_instance is not None
        names += commands(inner.typer_instance, f"{prefix} {inner.name}")
    return names


@pytest.mark.parametrize("command", commands(app))
def test_every_command_is_on_the_commands_page(command: str) -> None:
    assert f"`{command} " in (ROOT / "docs/commands.md").read_text()


@pytest.mark.parametrize(
    "option", ["--max-loss", "--confidence", "--train", "--calibrate", "--by", "--seed", "--embedder", "--label-design", "--strict"]
)
def test_options_named_on_the_commands_page_exist(option: str) -> None:
    source = "".join(path.read_text() for path in (ROOT / "src/freehold/cli").glob("*.py"))
    assert option in (ROOT / "docs/commands.md").read_text()
    assert option in source or option.removeprefix("--").replace("-", "_") in source


def keys() -> list[str]:
    """Every key of freehold.toml, dotted."""
    known = {
        "project": tables.ProjectTable,
        "store": tables.StoreTable,
        "journal": tables.JournalTable,
        "providers.NAME": tables.ProviderTable,
        "models.NAME": tables.ModelTable,
        "metrics.NAME": tables.MetricTable,
        "variants.NAME": tables.VariantTable,
        "scorers.NAME": tables.ScorerTable,
        "judges.NAME": tables.JudgeTable,
        "tasks.NAME": tables.TaskTable,
        "reward": catalog.Reward,
        "feedback": tables.FeedbackTable,
        "telemetry": tables.TelemetryTable,
        "match": tables.MatchRow,
        "monitor": tables.MonitorTable,
        "monitor.tasks.NAME": tables.WatchTable,
        "monitor.webhook": tables.WebhookTable,
        "monitor.email": tables.EmailTable,
        "monitor.command": tables.CommandTable,
        "data": tables.DataTable,
        "gateway": tables.GatewayTable,
        "economics": tables.EconomicsTable,
        "evaluation": tables.EvaluationTable,
        "limits": tables.LimitsTable,
        "serving": tables.ServingTable,
        "budget": catalog.Budget,
        "teams.NAME": tables.TeamTable,
        "plans.NAME": catalog.Plan,
        "credits": tables.CreditsTable,
    }
    return [f"{name}.{field.name}" for name, table in known.items() for field in msgspec.structs.fields(table)]


@pytest.mark.parametrize("key", keys())
def test_every_key_is_on_the_configuration_page(key: str) -> None:
    assert f"`{key}`" in (ROOT / "docs/configuration.md").read_text()


def test_the_readme_says_how_many_labels_a_floor_needs() -> None:
    rows = re.findall(r"^\| (0\.\d+) \| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \|$", (ROOT / "README.md").read_text(), re.MULTILINE)
    delta = bounds.spend(0.05, 1)
    for floor, none, quarter, half in rows:
        epsilon, least = float(floor), bounds.least_units(float(floor), delta, exact=True)
        needed = [least]
        for share in (0.25, 0.5):
            harm = share * epsilon
            needed.append(
                bounds.units_needed(lambda m, h=harm: float(bounds.paired_binomial_upper(h * m, 0, m, delta)), epsilon, least) or 0
            )
        assert [int(cell.replace(",", "")) for cell in (none, quarter, half)] == needed
    assert len(rows) == 5


def test_the_readme_names_only_files_that_exist() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", (ROOT / "README.md").read_text()):
        assert target.startswith("https://") or (ROOT / target).exists(), target
