"""A run that is killed goes on: five processes that train are killed at random, the sixth ends, and gives what an undisturbed one gives."""

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

DRIVER = """
import importlib, json, os, signal, sys
from hashlib import sha256
from pathlib import Path

sys.path.insert(0, sys.argv[1])
from dataclasses import replace

from freehold.training.project import fit_hashed_embedder
from taught import as_fields, job, lesson, made, tiny_base

home, kills = Path(sys.argv[2]), json.loads(sys.argv[3])
method, options, shorter = json.loads(sys.argv[4])
import scipy.optimize, scipy.sparse, sklearn.linear_model  # once, and not in each process that is forked
if method in ("encoder", "stream"):
    import torch, transformers.models.bert.modeling_bert, onnxruntime.quantization
    torch.set_num_threads(1)
for where, value in shorter.items():  # so that there are steps enough to be killed in
    module, name = where.split(":")
    setattr(importlib.import_module(module), name, value)
base = tiny_base(home / "base") if method == "encoder" else None
learnt = lesson(as_fields if method == "tagger" else lambda row: row[1], answered=lambda row: row[0] + " .")
told = job(method, learnt, base, **options)
if method == "head":
    told = replace(told, embedder=fit_hashed_embedder(learnt.train.texts, 16))

def child(folder):
    # Trains in a process of its own, which writes a byte for each step; its files' hashes come last.
    heard, said = os.pipe()
    process = os.fork()
    if process == 0:
        found = made(folder, told, lambda step: os.write(said, b"."))
        told_of = {name: sha256(data).hexdigest() for name, data in found.files.items()}
        os.write(said, json.dumps([told_of, dict(found.about)]).encode())
        os._exit(0)
    os.close(said)
    return process, heard

def ended(folder):
    process, heard = child(folder)
    with os.fdopen(heard, "rb") as stream:
        out = stream.read()
    os.waitpid(process, 0)
    return out.count(b".", 0, out.index(b"[")), json.loads(out[out.index(b"["):])

resumed_from = []
for steps in kills:
    process, heard = child(home / "killed")
    for _ in range(steps):
        assert os.read(heard, 1) == b"."
    os.kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    assert os.WIFSIGNALED(status)
    os.close(heard)
resumed, last = ended(home / "killed")
steps, whole = ended(home / "whole")
print(json.dumps({"resumed_steps": resumed, "steps": steps, "same": last == whole}))
"""


@pytest.mark.parametrize(
    ("method", "options", "shorter", "steps"),
    [
        ("encoder", {"epochs": 12, "patience": 12, "rate": 0.002}, {}, (4, 16)),
        ("stream", {"kind": "net", "buckets": 256, "epochs": 12}, {}, (4, 16)),
        ("tagger", {"rounds": 12}, {"freehold.training.crf:_STEPS": 2}, (1, 2)),
        ("head", {}, {"freehold.training.methods.head:_AT_ONCE": 2}, (4, 16)),
    ],
)
def test_five_kills_change_nothing(
    tmp_path: Path, method: str, options: dict[str, Any], shorter: dict[str, int], steps: tuple[int, int]
) -> None:
    rng = random.Random(7)
    kills = [rng.randint(*steps) for _ in range(5)]
    tests = Path(__file__).parents[1]
    command = [sys.executable, "-c", DRIVER, str(tests), str(tmp_path), json.dumps(kills), json.dumps([method, options, shorter])]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert found["same"]
    assert found["resumed_steps"] < found["steps"], "it went on from a checkpoint, and did not begin anew"
