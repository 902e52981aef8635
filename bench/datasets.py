"""How long a data set takes from a large journal, in how much memory, and how well near duplicates are found.

    python bench/datasets.py --check             # 1,000,000 calls of about 1 KB on SQLite; 20,000 with --quick

The journal is made first and not counted: questions of 20 to 250 words drawn from English sentences' vocabulary, a tenth of them with a
score, one in 500 with personal data; `duplicates` of a hundred are copies of an earlier question with some words replaced, whose similarity
to it is computed apart from what is measured, by sets of words' runs. The build runs in a process of its own; memory is its peak. It is run
twice on one journal, and both have to give one hash.
"""

import argparse
import os
import random
import resource
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

from freehold.curate import build_dataset
from freehold.datasets.dropped import dropped_in
from freehold.datasets.recipe import Recipe, settled
from freehold.datasets.versions import DROPPED, find
from freehold.journal.call import Call, Feedback
from freehold.journal.write import append_many
from freehold.project import Project
from harness import add_arguments, emit

BATCH = 2_000
DUPLICATES = 5
"""Of a hundred calls, so many ask nearly what an earlier one asked."""
THRESHOLD = 0.8
BEGAN = datetime(2026, 3, 4, 12, tzinfo=UTC)
ANSWERS = ("cards", "transfers", "fraud", "other")
CONFIG = """
[project]
name = "bench"
[data]
licence = "CC0-1.0"
consent = "made up"
[models.small]
trains_others = "yes"
[metrics.correct]
kind = "binary"
[tasks.triage]
metric = "correct"
"""


class Planted(NamedTuple):
    """A question that is nearly another one."""

    item: str
    of: str
    similarity: float
    """Jaccard similarity of their runs of three words."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--rows", type=int, help="calls; 1,000,000, or 20,000 with --quick")
    options = parser.parse_args()
    rows = options.rows or (20_000 if options.quick else 1_000_000)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "freehold.toml").write_text(CONFIG)
        planted = apart(journalled, home, rows)
        size_mb = sum(path.stat().st_size for path in home.rglob("*") if path.is_file()) / 2**20
        first, second = apart(building, home), apart(building, home)
        result = {"rows": rows, "threshold": THRESHOLD, "journal_mb": round(size_mb), "build": first, "again": second}
        result["one_hash"] = int(first["hash"] == second["hash"])
        result["near"] = found_near(home, planted)
    emit("datasets", result, options.check)


def apart(part: Any, *arguments: object) -> Any:
    """Runs a part in a fresh process."""
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        return process.submit(part, *arguments).result()


def building(home: Path) -> dict[str, Any]:
    """One build, as `freehold dataset build` does it."""
    told: list[tuple[float, str]] = []
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began, cpu = time.perf_counter(), time.process_time()
    with Project.at(home) as project:
        recipe = settled(Recipe(name="triage", sources=("task=triage",)), BEGAN)
        manifest = build_dataset(project, recipe, lambda text: told.append((time.perf_counter() - began, text))).manifest
    seconds = time.perf_counter() - began
    stages: dict[str, float] = {}
    for (at, text), (until, _) in zip(told, [*told[1:], (seconds, "")], strict=True):
        name = text.partition(":")[0].split(" ")[0]
        stages[name] = round(stages.get(name, 0.0) + until - at, 1)
    own, others = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    workers = min(4, os.cpu_count() or 1) if manifest.wanted > 50_000 else 0
    # Those who gather end before what they gathered is compared: whichever is larger, this process alone or all of theirs.
    peak_mb = max(own.ru_maxrss, workers * others.ru_maxrss + before) / 1024
    return {
        "seconds": round(seconds, 1),
        "cpu_s": round(time.process_time() - cpu + others.ru_utime + others.ru_stime, 1),
        "peak_mb": round(peak_mb),
        "stages_s": stages,
        "kept": manifest.rows,
        "dropped": manifest.dropped,
        "personal": manifest.personal,
        "hash": manifest.hash,
    }


def found_near(home: Path, planted: list[Planted]) -> dict[str, float]:
    """How many of the planted ones went, and how many of those that went were planted or are verified to be alike."""
    version = find(home / "datasets", "triage")
    went = {row.item: row for row in dropped_in(version.folder / DROPPED, ("near duplicate", "exact duplicate"))}
    alike = [one for one in planted if one.similarity >= THRESHOLD]
    pairs = {name for one in planted for name in (one.item, one.of)}
    hit = sum(one.item in went or one.of in went for one in alike)
    planted_at_all = sum(item in pairs for item in went)
    return {
        "planted": len(planted),
        "at_threshold": len(alike),
        "recall": round(hit / len(alike), 4),
        "went": len(went),
        "precision": round(planted_at_all / len(went), 4),
    }


def journalled(home: Path, rows: int) -> list[Planted]:
    """Fills the journal; which questions are nearly others."""
    rng = random.Random(0)
    planted: list[Planted] = []
    with Project.at(home) as project:
        batch: list[Call] = []
        said: list[Feedback] = []
        for call, scored in made(rows, rng, planted):
            batch.append(call)
            said += scored
            if len(batch) == BATCH:
                append_many(project.store, batch, said)
                batch, said = [], []
        append_many(project.store, batch, said)
    return planted


def made(rows: int, rng: random.Random, planted: list[Planted]) -> Iterator[tuple[Call, list[Feedback]]]:
    """Calls with what was said about them."""
    weights = [1.0 / (n + 3) for n in range(len(WORDS))]  # Zipf's law, as in any language
    pool = rng.choices(WORDS, weights, k=1_000_000)
    earlier: list[tuple[str, list[str]]] = []
    for n in range(rows):
        item = f"i{n}"
        if earlier and rng.randrange(100) < DUPLICATES:
            of, words = earlier[rng.randrange(len(earlier))]
            asked = [rng.choice(WORDS) if rng.random() < 0.03 else word for word in words]
            planted.append(Planted(item, of, similarity(words, asked)))
        else:
            start, length = rng.randrange(len(pool) - 300), min(250, max(20, int(rng.gauss(150, 60))))
            asked = pool[start : start + length]
            rng.shuffle(asked)
            if n % 10 == 0:
                earlier.append((item, asked))
                earlier = earlier[-20_000:]
        text = " ".join(asked) + (f" write to ann{n}@example.com or +49 170 {n % 10_000_000:07d}" if n % 500 == 0 else "")
        answer = ANSWERS[hash_of(asked) % 4]
        call = Call(
            id=f"{n:032x}",
            task="triage",
            variant="small",
            item=item,
            group=f"g{n // 3}",
            input=[{"role": "system", "content": "You sort support messages."}, {"role": "user", "content": text}],
            output=answer,
            at=BEGAN + timedelta(seconds=n),
            tags={"tier": "gold" if n % 7 == 0 else "plain"},
        )
        scored = (
            [Feedback(id=f"f{n:031x}", call=call.id, metric="correct", value=float(n % 3 > 0), source="import", at=BEGAN)]
            if n % 10 == 0
            else []
        )
        yield call, scored


def hash_of(words: list[str]) -> int:
    """A number that the words decide."""
    return len(words[0]) + len(words[-1])


def similarity(one: list[str], other: list[str]) -> float:
    """Of two questions, by sets of runs of three words: by other means than what is measured."""
    a, b = ({tuple(words[n : n + 3]) for n in range(len(words) - 2)} for words in (one, other))
    return len(a & b) / len(a | b)


_STEMS = "card account money transfer limit pay bill loan rate bank phone city street order parcel return refund price store item size"
_COMMON = "the of and to in is that it was for on are with as at be this have from or by not what all were when we there can an your"
_SYLLABLES = "ba ce di fo gu ka le mi no pu ra se ti vo wu za che lin mor tan"
WORDS = [
    *_COMMON.split(),
    *(f"{stem}{end}" for stem in _STEMS.split() for end in ("", "s", "ed", "ing", "er", "ly", "ness", "able", "less", "ful")),
    *("".join(parts) for parts in product(_SYLLABLES.split(), repeat=3)),
]

if __name__ == "__main__":
    main()
