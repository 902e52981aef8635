"""From the journal to a frozen data set: gather, decide, write. Read it top to bottom."""

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from freehold.config import Config
from freehold.datasets.contamination import Evaluation
from freehold.datasets.decide import PAIRS, REASONS, Decision, decide
from freehold.datasets.dropped import Dropped, DroppedFile, dropped_in
from freehold.datasets.facts import answer_text, counts_of, lengths_of
from freehold.datasets.gather import Counted, Declared, Gathered, Shard, gather, gather_apart, nobody
from freehold.datasets.recipe import Recipe
from freehold.datasets.scratch import Scratch
from freehold.datasets.split import PARTS
from freehold.datasets.table import FORM, content_hash, json_at, schema
from freehold.datasets.versions import DROPPED, ROWS, Checked, Manifest, Version, drafts, file_of, put_in_place
from freehold.errors import DataError
from freehold.journal.read import newest_call
from freehold.store.files import sync_folder
from freehold.store.open import Store

Say = Callable[[str], None]
_LEAST_FOR_ANOTHER = 50_000
"""So many calls are worth another process, which takes more than a second to start."""


class Sources(NamedTuple):
    """What a build reads."""

    store: Store
    tenant: str
    config: Config
    evaluations: Iterable[Evaluation]
    """Texts that nothing may be trained on, beside its own test part."""
    declared: Declared = nobody
    """What programs of the project say of a task's reward, where the file says nothing."""
    processes: int = min(4, os.cpu_count() or 1)
    """How many gather side by side, where there is enough for that."""


def build(sources: Sources, recipe: Recipe, root: Path, now: datetime, say: Say = lambda _: None) -> Version:
    """Builds a data set and freezes it under `root`; nobody else may build there meanwhile.

    Raises DataError where nothing is left. What is there of a build that failed is removed.
    """
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    for left in drafts(root):
        shutil.rmtree(left)
    draft = Path(tempfile.mkdtemp(dir=root, prefix=".draft-"))
    aside = Path(tempfile.mkdtemp(dir=root, prefix=".draft-"))
    dropped = DroppedFile(draft / DROPPED)
    with ExitStack() as ending:
        ending.callback(shutil.rmtree, aside, ignore_errors=True)
        ending.callback(shutil.rmtree, draft, ignore_errors=True)
        ending.callback(dropped.close)
        say("reading the journal")
        parts = _gathered(sources, recipe, aside, say)
        counted = _together(parts, dropped)
        scratch = Scratch([part.kept for part in parts])
        ending.callback(scratch.close)
        say(f"comparing {len(scratch):,} rows")
        decision = decide(scratch, recipe, sources.evaluations)
        if not (decision.reason_N == 0).any():
            raise DataError(_nothing_left(recipe, dropped.counts + _dropped_later(decision), counted))
        say("writing")
        _write(scratch, decision, draft / ROWS, dropped)
        dropped.close()
        manifest = _manifest(scratch, recipe, decision, dropped, counted, draft, now)
        sync_folder(draft)
        return put_in_place(root, draft, manifest)


def _gathered(sources: Sources, recipe: Recipe, aside: Path, say: Say) -> list[Gathered]:
    """All calls, in parts by their order of arrival, each gathered by a process of its own; a small journal in this one."""
    newest = newest_call(sources.store)
    count = min(sources.processes, 1 + newest // _LEAST_FOR_ANOTHER)
    bounds = [newest * n // count for n in range(count + 1)]
    shards = [
        Shard(sources.config, sources.tenant, recipe, aside / str(n), bounds[n], bounds[n + 1], sources.declared) for n in range(count)
    ]
    if count == 1:
        return [gather(shards[0], sources.store, lambda rows: say(f"reading the journal: {rows:,} rows"))]
    say(f"reading the journal by {count} processes")
    with ProcessPoolExecutor(count, get_context("spawn")) as pool:
        return list(pool.map(gather_apart, shards))


def _together(parts: Sequence[Gathered], dropped: DroppedFile) -> Counted:
    """What was counted, and what was left out, of all parts."""
    counted = Counted(Counter(), Counter(), Counter())
    for part in parts:
        for total, own in zip(counted, part.counted, strict=True):
            total.update(own)
        for row in dropped_in(part.dropped):
            dropped.add(row)
    return counted


def _write(scratch: Scratch, decision: Decision, path: Path, dropped: DroppedFile) -> None:
    """The kept rows with their parts, in the order in which they were gathered, and a line for each of the others. While some are packed, the
    next are read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    start = 0
    with pq.ParquetWriter(path, schema(*FORM), compression="zstd") as writer, ThreadPoolExecutor(1) as beside:
        packed = beside.submit(lambda: None)
        for table in scratch.tables():
            rows = np.arange(start, start + len(table))
            start += len(table)
            keep = decision.reason_N[rows] == 0
            kept = rows[keep]
            out = table.filter(pa.array(keep))
            for name, values in _beside(scratch, decision, kept).items():
                out = out.append_column(name, pa.array(values, type=pa.string()))
            packed.result()
            if len(kept):
                packed = beside.submit(writer.write_table, out)
            _write_dropped(scratch, decision, rows[~keep], table.filter(pa.array(~keep)), dropped)
        packed.result()


def _beside(scratch: Scratch, decision: Decision, kept: NDArray[np.int64]) -> dict[str, list[str | None]]:
    """What a version knows of rows beside the rows themselves, by FORM."""
    return {
        "split": [PARTS[part] for part in decision.part_N[kept].tolist()],
        "language": [scratch.language(code) for code in scratch.number_N["language"][kept].tolist()],
        "suspect": [decision.suspected[row].suggested if row in decision.suspected else None for row in kept.tolist()],
    }


def _write_dropped(scratch: Scratch, decision: Decision, rows: NDArray[np.int64], table: Any, dropped: DroppedFile) -> None:
    for row, told in zip(rows.tolist(), table.select(["kind", "task", "item", "calls"]).to_pylist(), strict=True):
        of = int(decision.of_N[row])
        said = decision.detail.get(row, "")
        detail = said if of < 0 else f"of the row {scratch.number_N['id'][of]:016x}" + (f", {said}" if said else "")
        dropped.add(Dropped(told["kind"], told["task"], told["item"], tuple(told["calls"]), REASONS[decision.reason_N[row]], detail))


def _manifest(
    scratch: Scratch, recipe: Recipe, decision: Decision, dropped: DroppedFile, counted: Counted, draft: Path, now: datetime
) -> Manifest:
    kept = np.flatnonzero(decision.reason_N == 0)
    number_K = scratch.number_N[kept]
    suspected = [(f"{scratch.number_N['id'][row]:016x}", suspect.suggested) for row, suspect in decision.suspected.items()]
    against = decision.evaluations
    return Manifest(
        name=recipe.name,
        hash=content_hash(scratch.digests[kept].tobytes(), decision.part_N[kept], suspected),
        recipe=recipe,
        **counts_of(draft / ROWS),
        groups=len(np.unique(decision.group_N[kept])),
        answers=_answers(scratch, number_K),
        chars=lengths_of(number_K["chars"]),
        wanted=counted.wanted.total(),
        dropped=dict(sorted(dropped.counts.items())),
        refused=dict(sorted(counted.refused.items())),
        personal=dict(sorted(counted.personal.items())),
        evaluations=tuple(Checked(name, size) for name, size in zip(against.names, against.sizes, strict=True)),
        suspects=len(suspected),
        unseen=decision.unseen,
        files=(file_of(draft / ROWS), file_of(draft / DROPPED)),
        created_at=now,
    )


def _answers(scratch: Scratch, number_K: NDArray[Any]) -> dict[str, dict[str, int]]:
    """Rows by answer, of tasks whose answers are few."""
    found: dict[str, dict[str, int]] = {}
    for task, code in scratch.tasks.items():
        known = scratch.few.get(code)
        rows = number_K[(number_K["task"] == code) & (number_K["kind"] != PAIRS)]
        if known and len(rows):
            answers, count = np.unique(rows["answer"], return_counts=True)
            by_answer = {answer_text(json_at(known[a])): int(n) for a, n in zip(answers.tolist(), count.tolist(), strict=True)}
            found[task or ""] = dict(sorted(by_answer.items()))
    return dict(sorted(found.items()))


def _dropped_later(decision: Decision) -> Counter[str]:
    return Counter({REASONS[code]: int(n) for code, n in enumerate(np.bincount(decision.reason_N)) if code and n})


def _nothing_left(recipe: Recipe, dropped: Counter[str], counted: Counted) -> str:
    if not counted.wanted.total():
        asks_reward = any("reward" in source for source in recipe.sources)
        hint = " Only calls of tasks that declare a reward ([tasks.NAME.reward]) have one." if asks_reward else ""
        return f"No call is what data set '{recipe.name}' is to be made of: {'; '.join(recipe.sources)}.{hint} 'freehold calls' shows what there is."
    reasons = ", ".join(f"{reason}: {n:,}" for reason, n in dropped.most_common())
    who = (
        f' Say trains_others = "yes" under [providers.…] or [models.…] once you know it of {", ".join(counted.refused)}.'
        if counted.refused
        else ""
    )
    return f"Nothing is left of the {counted.wanted.total():,} rows of data set '{recipe.name}': {reasons}.{who}"
