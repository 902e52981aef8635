"""The pages on scorers and judges name every kind and option, their examples are read, and their numbers are those of the benchmark."""

import json
import re
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

import freehold
from freehold.config import parse
from freehold.evaluation.scorers import BUILT_IN, named

ROOT = Path(__file__).parents[2]
SCORERS, JUDGES = ((ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8") for name in ("scorers", "judges"))
NAMES = {"gpt35": "GPT-3.5", "pandalm7b": "PandaLM-7B", "both": "the mean of both"}


@pytest.mark.parametrize("kind", [point.name for point in BUILT_IN])
def test_every_kind_is_on_the_page(kind: str) -> None:
    assert re.search(rf"^\| (?:`[^`]+`, )*`{kind}[:`]", SCORERS, re.MULTILINE)


def test_the_settings_shown_are_ones_that_scorers_and_judges_take() -> None:
    tables = tomllib.loads("".join(re.findall(r"```toml\n(.*?)```", SCORERS + JUDGES, re.DOTALL)))
    config = parse({**tables, "models": {"cheap": {}}}, Path())
    assert [scorer.metric.id for scorer in named(config, ["amount", "tests"])] == ["amount", "tests"]
    assert config.judges["better"].scores == (0.0, 1.0)


def test_the_functions_shown_are_scorers() -> None:
    module = ModuleType("shown")
    for block in re.findall(r"```python\n(.*?)```", SCORERS, re.DOTALL):
        exec(block, module.__dict__)
    assert module.freehold is freehold
    length, queue = named(parse({}, Path()), ["length", "names_the_queue"], [module])
    assert (length.needs_truth, queue.needs_truth, queue.metric.kind) == (False, True, "binary")


def test_what_a_judge_saves_is_what_was_measured() -> None:
    result = json.loads((ROOT / "bench/results/judges.json").read_text(encoding="utf-8"))["result"]
    rows = []
    for name, label in NAMES.items():
        drawn, judged = result["intervals"][name]["fresh"], result["judges"].get(name)
        bias = f"{judged['bias']:+.3f} [{judged['bias_interval'][0]:+.3f}, {judged['bias_interval'][1]:+.3f}]" if judged else ""
        agrees = f"{judged['agrees_with_majority'][0]:.0%}" if judged else ""
        rows.append(
            f"| {label} | {bias} | {agrees} | {drawn['width']:.3f} beside {drawn['labels_only_width']:.3f} | {drawn['coverage']:.1%} |"
        )
    assert "\n".join(rows) in JUDGES
    assert f"{result['items']} pairs" in JUDGES and f"{result['draws']} draws" in JUDGES
