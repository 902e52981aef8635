"""From the journal to a frozen data set: gather, decide, write. Read it top to bottom."""

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from freehold.catalog import Catalog
from freehold.chat import text_of
from freehold.datasets.contamination import Evaluation
from freehold.datasets.decide import PAIRS, REASONS, Decision, decide
from freehold.datasets.dropped import Dropped, DroppedFile
from freehold.datasets.example import Example
from freehold.datasets.facts import answer_text, counts_of, lengths_of
from freehold.datasets.language import languages_of
from freehold.datasets.personal import Finder, replace_personal
from freehold.datasets.recipe import Cleaning, Recipe
from freehold.datasets.rights import Rights
from freehold.datasets.scratch import Scratch
from freehold.datasets.select import Rejected, select
from freehold.datasets.split import PARTS
from freehold.datasets.table import FORM, batches_of, content_hash, json_at, schema
from freehold.datasets.versions import DROPPED, ROWS, Checked, Manifest, Version, drafts, file_of, put_in_place
from freehold.datasets.words import shingles_of, words_of
from freehold.errors import DataError
from freehold.store.files import sync_folder
from freehold.store.open import Store

Say = Callable[[str], None]


class Sources(NamedTuple):
    """What a build reads."""

    store: Store
    tenant: str
    catalog: Catalog
    rights: Rights
    evaluations: Iterable[Evaluation]
    """Texts that nothing may be trained on, beside its own test part."""
    finder: Finder | None
    """What finds personal data beside the patterns."""


def build(sources: Sources, recipe: Recipe, root: Path, now: datetime, say: Say = lambda _: None) -> Version:
    """Builds a data set and freezes it under `root`; nobody else may build there meanwhile.

    Raises DataError where nothing is left. What is there of a build that failed is removed.
    """
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    for left in drafts(root):
        shutil.rmtree(left)
    draft = Path(tempfile.mkdtemp(dir=root, prefix=".draft-"))
    aside = Path(tempfile.mkdtemp(dir=root, prefix=".draft-"))
    scratch = Scratch(aside, recipe.split.seed, bool(recipe.clean.near))
    dropped = DroppedFile(draft / DROPPED)
    counted = _Counted()
    try:
        say("reading the journal")
        for batch in select(sources.store, sources.tenant, recipe.queries, sources.catalog, sources.rights):
            _gather(batch, recipe, sources.finder, scratch, dropped, counted)
            say(f"reading the journal: {counted.wanted:,} rows")
        scratch.finish()
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
    finally:
        scratch.close()
        shutil.rmtree(aside, ignore_errors=True)
        shutil.rmtree(draft, ignore_errors=True)


class _Counted:
    """What is counted on the way."""

    def __init__(self) -> None:
        self.wanted = 0
        self.refused: Counter[str] = Counter()
        self.personal: Counter[str] = Counter()


def _gather(
    batch: Sequence[Example | Rejected], recipe: Recipe, finder: Finder | None, scratch: Scratch, dropped: DroppedFile, counted: _Counted
) -> None:
    """Takes in what may be taken as it is; whatever depends on other rows is decided later."""
    counted.wanted += len(batch)
    clean = recipe.clean
    examples: list[Example] = []
    texts: list[str] = []
    for row in batch:
        if isinstance(row, Rejected):
            dropped.add(Dropped(row.kind, row.call.task, row.call.item, (row.call.id,), row.why, ""))
            continue
        if recipe.purpose == "training" and row.trains != "yes":
            counted.refused[row.writer] += 1
            dropped.add(_as_dropped(row, "may not train others", f"{row.writer}: {row.trains}"))
            continue
        example, found = replace_personal(row, finder)
        if found and clean.personal == "drop":
            dropped.add(_as_dropped(row, "personal data", ", ".join(sorted(found))))
            continue
        text = text_of(example.input)
        if why := _wrong_length(clean, example, text):
            dropped.add(_as_dropped(row, *why))
            continue
        counted.personal += found
        examples.append(example)
        texts.append(text)
    if not examples:
        return
    words = words_of(texts)
    languages = languages_of(words)
    if clean.languages:
        is_kept = [language in clean.languages for language in languages]
        for example, language, keep in zip(examples, languages, is_kept, strict=True):
            if not keep:
                dropped.add(_as_dropped(example, "language", language))
        kept = [n for n, keep in enumerate(is_kept) if keep]
        examples, texts, languages = [examples[n] for n in kept], [texts[n] for n in kept], [languages[n] for n in kept]
        words = words_of(texts)
    if examples:
        scratch.add(examples, texts, shingles_of(words), languages)


def _wrong_length(clean: Cleaning, example: Example, text: str) -> tuple[str, str] | None:
    for what, told in (("question", text), ("answer", answer_text(example.output))):
        if len(told) < clean.least_chars:
            return "too short", f"{what} of {len(told):,} characters"
        if len(told) > clean.most_chars:
            return "too long", f"{what} of {len(told):,} characters"
    return None


def _as_dropped(example: Example, reason: str, detail: str) -> Dropped:
    return Dropped(example.kind, example.task, example.item, example.calls, reason, detail)


def _write(scratch: Scratch, decision: Decision, path: Path, dropped: DroppedFile) -> None:
    """The kept rows with their parts, in the order in which they were gathered, and a line for each of the others."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    start = 0
    with pq.ParquetWriter(path, schema(*FORM), compression="zstd") as writer:
        for table in batches_of(scratch.rows):
            rows = np.arange(start, start + len(table))
            start += len(table)
            keep = decision.reason_N[rows] == 0
            kept = rows[keep]
            beside = {
                "split": [PARTS[part] for part in decision.part_N[kept].tolist()],
                "language": [scratch.language(code) for code in scratch.number_N["language"][kept].tolist()],
                "suspect": [decision.suspected[row].suggested if row in decision.suspected else None for row in kept.tolist()],
            }
            out = table.filter(pa.array(keep))
            for name, values in beside.items():
                out = out.append_column(name, pa.array(values, type=pa.string()))
            if len(kept):
                writer.write_table(out)
            _write_dropped(scratch, decision, rows[~keep], table.filter(pa.array(~keep)), dropped)


def _write_dropped(scratch: Scratch, decision: Decision, rows: NDArray[np.int64], table: Any, dropped: DroppedFile) -> None:
    for row, told in zip(rows.tolist(), table.select(["kind", "task", "item", "calls"]).to_pylist(), strict=True):
        of = int(decision.of_N[row])
        said = decision.detail.get(row, "")
        detail = said if of < 0 else f"of the row {scratch.number_N['id'][of]:016x}" + (f", {said}" if said else "")
        dropped.add(Dropped(told["kind"], told["task"], told["item"], tuple(told["calls"]), REASONS[decision.reason_N[row]], detail))


def _manifest(
    scratch: Scratch, recipe: Recipe, decision: Decision, dropped: DroppedFile, counted: _Counted, draft: Path, now: datetime
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
        wanted=counted.wanted,
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


def _nothing_left(recipe: Recipe, dropped: Counter[str], counted: _Counted) -> str:
    if not counted.wanted:
        return (
            f"No call is what data set '{recipe.name}' is to be made of: {'; '.join(recipe.sources)}. 'freehold calls' shows what there is."
        )
    reasons = ", ".join(f"{reason}: {n:,}" for reason, n in dropped.most_common())
    who = (
        f' Say trains_others = "yes" under [providers.…] or [models.…] once you know it of {", ".join(counted.refused)}.'
        if counted.refused
        else ""
    )
    return f"Nothing is left of the {counted.wanted:,} rows of data set '{recipe.name}': {reasons}.{who}"
