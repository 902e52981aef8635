"""What can be counted in a file of rows: the part of a manifest that follows from the rows alone."""

from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from freehold.chat import JSON, text_of
from freehold.datasets.query import KINDS
from freehold.datasets.split import PARTS, connected
from freehold.datasets.table import batches_of, json_at
from freehold.datasets.words import keys_of
from freehold.store.times import moment

_COUNTED = {
    "split": "parts",
    "kind": "kinds",
    "task": "tasks",
    "language": "languages",
    "licence": "licences",
    "consent": "consents",
    "writer": "writers",
}
"""Columns whose values are counted, and what a manifest calls the counts."""
_ORDER = {"parts": PARTS, "kinds": KINDS}


def counts_of(path: Path) -> dict[str, Any]:
    """Counts by part, kind, task, language, licence, consent and writer, and the first and last time; of a manifest's fields by name."""
    import pyarrow.compute as pc

    found: dict[str, Counter[str]] = {name: Counter() for name in _COUNTED.values()}
    first: list[int] = []
    for table in batches_of(path, [*_COUNTED, "at_us"]):
        for column, name in _COUNTED.items():
            for one in table.column(column).value_counts().to_pylist():
                found[name][one["values"] or ""] += one["counts"]
        ends = pc.min_max(table.column("at_us")).as_py()
        first += [at for at in (ends["min"], ends["max"]) if at is not None]
    counted: dict[str, Any] = {name: _in_order(name, count) for name, count in found.items()}
    return {**counted, "rows": sum(found["parts"].values()), "asked": (moment(min(first)), moment(max(first))) if first else None}


def depth_of(path: Path, tasks: Collection[str]) -> dict[str, Any]:
    """What takes a look into every row: groups, lengths of questions, and the answers of some tasks; of a manifest's fields by name."""
    items: list[str] = []
    groups: list[str] = []
    chars: list[int] = []
    answers: dict[str, Counter[str]] = {task: Counter() for task in tasks}
    for table in batches_of(path, ["item", "group", "task", "kind", "input", "output"]):
        for row in table.to_pylist():
            item = f"{row['task']}\0{row['item']}"
            items.append(item)
            groups.append(item if row["group"] is None else f"\0{row['group']}")
            chars.append(len(text_of(json_at(row["input"]))))
            if (row["task"] or "") in answers and row["kind"] != "preferences":
                answers[row["task"] or ""][answer_text(json_at(row["output"]))] += 1
    return {
        "groups": len(np.unique(connected(keys_of(items), keys_of(groups)))),
        "chars": lengths_of(np.array(chars)),
        "answers": {task: dict(sorted(count.items())) for task, count in sorted(answers.items()) if count},
    }


def lengths_of(chars: Any) -> tuple[int, int, int]:
    """The shortest, the median, the longest."""
    return int(chars.min()), int(np.median(chars)), int(chars.max())


def answer_text(output: JSON) -> str:
    """An answer in words."""
    return output if isinstance(output, str) else text_of(output) or str(output)


def _in_order(name: str, count: Counter[str]) -> dict[str, int]:
    """Parts and kinds in their own order, everything else by name."""
    order = _ORDER.get(name, sorted(count))
    return {key: count[key] for key in order if count[key]}
