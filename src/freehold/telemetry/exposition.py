"""Prometheus's text format, version 0.0.4: https://prometheus.io/docs/instrumenting/exposition_formats/."""

from collections.abc import Iterator, Mapping
from itertools import accumulate

from freehold.telemetry.counts import Cell, Samples
from freehold.telemetry.names import METRICS, Metric

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"


def text_of(samples: Samples) -> bytes:
    """All metrics there are samples of, in the table's order. Labels are the attributes' names, ours without `freehold.`."""
    return "".join(line for metric in METRICS for line in _lines(metric, samples.get(metric.name, {}))).encode()


def has_values(metric: Metric, cell: Cell) -> bool:
    """Whether a series says anything: a histogram without a value does not, a sum of 0 does."""
    return metric.kind != "histogram" or any(cell[:-1])


def _lines(metric: Metric, series: Mapping[tuple[str, ...], Cell]) -> Iterator[str]:
    told = {labels: cell for labels, cell in series.items() if has_values(metric, cell)}
    if not told:
        return
    name = metric.prometheus
    yield f"# HELP {name} {metric.help}\n# TYPE {name} {metric.kind}\n"
    names = [label.removeprefix("freehold.").replace(".", "_") for label in metric.labels]
    ends = [f'le="{bound}"}} ' for bound in (*map(_number, metric.bounds), "+Inf")]
    for labels, cell in told.items():
        pairs = ",".join([f'{key}="{_escaped(value)}"' for key, value in zip(names, labels, strict=True) if value])
        braces = f"{{{pairs}}}" if pairs else ""
        if metric.kind != "histogram":
            yield f"{name}{braces} {_number(cell[0])}\n"
            continue
        *buckets, total = cell
        so_far = list(accumulate(map(int, buckets)))
        begin = f"{name}_bucket{{{pairs}{',' if pairs else ''}"
        yield "".join([f"{begin}{end}{count}\n" for end, count in zip(ends, so_far, strict=True)])
        yield f"{name}_sum{braces} {_number(total)}\n{name}_count{braces} {so_far[-1]}\n"


def _number(value: float) -> str:
    return str(int(value)) if value.is_integer() else repr(value)


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
