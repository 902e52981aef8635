"""The page about watching names everything that is told, and nothing else."""

import re
from pathlib import Path

from freehold.telemetry import names

PAGE = (Path(__file__).parents[2] / "docs/watching.md").read_text()
METRICS = PAGE.partition("## Prometheus")[2].partition("## OpenTelemetry")[0]
SPANS = PAGE.partition("## OpenTelemetry")[2].partition("## The log")[0]


def test_every_metric_is_on_the_page_with_its_kind() -> None:
    told = dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", METRICS, re.MULTILINE))
    assert told == {metric.prometheus: metric.kind for metric in names.METRICS}


def test_every_attribute_of_a_span_is_on_the_page() -> None:
    of_metrics_alone = {names.TYPE_OF_TOKENS, names.WORKER}
    attributes = {value for name, value in vars(names).items() if name.isupper() and isinstance(value, str) and "://" not in value}
    told = set(re.findall(r"`([a-z_]+(?:\.[a-z_]+)+)`", SPANS.partition("| on |")[2].partition("\n\n")[0]))
    assert told == attributes - of_metrics_alone
