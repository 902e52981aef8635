"""What a worker has imported, read from the running one: everything it does not need costs memory and a second at each start."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_gateway import ASKED, TOML, running

from freehold.improve import add_program
from freehold.project import Project
from freehold.promotion.gate import promote
from simulated import NOW

PRICED = """
[models.gpt-4o-mini]
provider = "one"
"""
"""A model whose price the snapshot knows and the configuration does not."""
HEAVY = {
    "numpy",
    "sklearn",
    "scipy",
    "pandas",
    "pyarrow",
    "altair",
    "vl_convert",
    "alembic",
    "genai_prices",
    "httpx2",
    "onnxruntime",
    "torch",
}
TASK = """
[tasks.triage]
reference = "frontier"
variants = ["frontier"]
allow_uncertified = true
"""
PROGRAM = 'task triage\nwhen tag.tier == "critical" use frontier\nwhen chars > 4000 use frontier\notherwise use frontier\n'
TELLS = """
import os, signal, sys
def tell(signum, frame):
    with open(os.path.join({folder!r}, f"{{os.getpid()}}.new"), "w") as file:
        file.write(" ".join(sorted(sys.modules)))
    os.rename(file.name, file.name.removesuffix(".new"))
signal.signal(signal.SIGUSR1, tell)
"""
"""Imported by every Python process at its start, whoever started it: on a signal it writes down what is imported by then."""


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the processes of a test tell what they have imported."""
    folder = tmp_path / "told"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(TELLS.format(folder=str(folder)))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]).strip(os.pathsep))
    yield folder


def test_a_worker_that_has_done_its_work_is_light(tmp_path: Path, told: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By either door, whole and streamed, by name and by a task's policy; and where it is the first to need the snapshot's prices."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    project = tmp_path / "project"
    project.mkdir()
    (project / "freehold.toml").write_text(TOML.replace("{url}", "http://127.0.0.1:9/v1") + TASK)
    (project / "triage.policy").write_text(PROGRAM)
    with Project.at(project) as home:
        _, hash = add_program(home, project / "triage.policy")
        promote(home.store, "default", home.task("triage"), hash, "ann", NOW)
    with running(project, [], TOML + TASK + PRICED) as served:
        for model in ("frontier", "claude", "gpt-4o-mini", "freehold/triage"):
            asked: dict[str, Any] = {"messages": ASKED} | ({"metadata": {"tier": "critical"}} if model.startswith("freehold/") else {})
            assert served.openai().chat.completions.create(model=model, **asked).choices[0].message.content
            assert list(served.openai().chat.completions.create(model=model, stream=True, **asked))
            assert served.anthropic().messages.create(model=model, max_tokens=9, messages=[{"role": "user", "content": "Hi"}]).content
        assert {call.cost_usd is not None for call in served.calls() if call.variant == "gpt-4o-mini"} == {True}
        pids = tree(served.process.pid)
        for pid in pids:
            os.kill(pid, signal.SIGUSR1)
        modules = {pid: imported(told / str(pid)) for pid in pids}
    assert any("freehold.worker" in each for each in modules.values())
    assert {pid: each & HEAVY for pid, each in modules.items() if each & HEAVY} == {}


def tree(pid: int) -> list[int]:
    """A process and those that came of it."""
    children = (int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split())
    return [pid, *(one for child in children for one in tree(child))]


def imported(file: Path) -> set[str]:
    """What a process wrote down, within some seconds."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        if file.exists():
            return set(file.read_text().split())
        time.sleep(0.02)
    raise AssertionError(f"{file} was never written")
