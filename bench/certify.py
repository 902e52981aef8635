"""How long does certifying take, on many items and on many variants?

    bench/certify.py [--quick] [--check] [--out FILE]

Invented traffic: messages of 100 to 700 characters whose words come from 40 topics over a common vocabulary (Zipf), each topic harder or
easier; variants from dear and good to cheap and poor, right or wrong by chance around what their topic makes likely. The clock runs over
`improve.certify_task`: reading the journal, freezing, fitting on the training part with the built-in embedder, walking, writing the
certificate. Importing stands beside it. Memory is the peak of the process, import included.
"""

import json
import resource
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from freehold.improve import Request, certify_task
from freehold.journal.ingest import IngestOptions
from freehold.project import Project
from harness import arguments, emit

PROJECT = """\
[project]
name = "bench"
[metrics.correct]
kind = "binary"
"""
TOPICS, VOCABULARY = 40, 6000


def write_log(path: Path, items: int, variants: int) -> None:
    """Native records: every variant's answer to every item, with a score, a cost and a latency."""
    rng = np.random.default_rng([items, variants])
    words = np.array(["".join(rng.choice(list("abcdefghiklmnoprstuvw"), rng.integers(2, 10))) for _ in range(VOCABULARY)])
    zipf_W = 1.0 / np.arange(1, VOCABULARY + 1)
    common_W, topic_TW = zipf_W / zipf_W.sum(), np.stack([rng.permutation(zipf_W) for _ in range(TOPICS)]) / zipf_W.sum()
    topic_N, length_N = rng.integers(0, TOPICS, items), rng.integers(18, 110, items)
    hard_N = rng.beta(1.0, 4.0, TOPICS)[topic_N] + rng.normal(0, 0.05, items)
    skill_V, price_V = np.linspace(0.0, 0.6, variants), np.geomspace(0.01, 0.0002, variants)
    right_NV = rng.random((items, variants)) > np.clip(0.03 + hard_N[:, None] * (0.2 + skill_V), 0.0, 1.0)
    with path.open("w") as file:
        for n in range(items):
            chosen = rng.choice(VOCABULARY, length_N[n], p=0.5 * common_W + 0.5 * topic_TW[topic_N[n]])
            text = " ".join(words[chosen])
            for v in range(variants):
                record = {
                    "task": "answer",
                    "item": f"i{n:05d}",
                    "input": text,
                    "variant": f"model-{v:02d}",
                    "output": f"answer {n} {'right' if right_NV[n, v] else f'wrong {v}'}",
                    "cost_usd": float(price_V[v] * (200 + len(text)) / 1000),
                    "latency_ms": float(300 + len(text)),
                    "scores": {"correct": float(right_NV[n, v])},
                }
                file.write(json.dumps(record) + "\n")


def measure(items: int, variants: int) -> dict[str, object]:
    """One project from log to certificate."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "freehold.toml").write_text(PROJECT)
        write_log(folder / "log.jsonl", items, variants)
        with Project.at(folder) as project:
            began = time.perf_counter()
            imported = project.ingest([str(folder / "log.jsonl")], IngestOptions(design="census"))
            between, cpu = time.perf_counter(), time.process_time()
            certificate = certify_task(project, Request("answer", reference="model-00", metric="correct", max_loss=0.02)).certificate
            ended, cpu_ended = time.perf_counter(), time.process_time()
    assert imported.added == items * variants, imported
    return {
        "certify_s": round(ended - between, 2),
        "certify_cpu_s": round(cpu_ended - cpu, 2),
        "import_s": round(between - began, 2),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        "certified": certificate.certified,
        "saving": round(certificate.saving, 4),
        "predictor": certificate.predictor,
        "family": list(certificate.family),
    }


def apart(items: int, variants: int) -> dict[str, object]:
    """The same in a process of its own, so that one's memory is not the other's."""
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        return process.submit(measure, items, variants).result()


def main() -> None:
    args = arguments(__doc__)
    shapes = ((2_000, 2), (400, 60)) if args.quick else ((10_000, 2), (2_000, 60))
    by_shape = {f"{items}x{variants}": apart(items, variants) for items, variants in shapes}
    seconds = {f"items_{shape.replace('x', '_variants_')}_s": each["certify_s"] for shape, each in by_shape.items()}
    emit("certify", {**seconds, "shapes": by_shape}, args.check)


if __name__ == "__main__":
    main()
