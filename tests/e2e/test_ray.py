"""`freehold batch --ray`: two nodes that are joined by address, one of which dies. Ray is in an environment of its own."""

import json
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench import ray_nodes
from bench.ray_nodes import Nodes
from tests.e2e.test_batch import Home, at_home, says

from command import RUN, Ended
from upstream import Said

ROWS = 300
AT_ONCE = 8

pytestmark = pytest.mark.skipif(not ray_nodes.is_installed(), reason=ray_nodes.MISSING)


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    with tempfile.TemporaryDirectory() as folder, Nodes(Path(folder)) as started:
        yield started


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    with at_home(tmp_path) as made:
        yield made


def begun(home: Home, nodes: Nodes, *arguments: str) -> "subprocess.Popen[str]":
    """A batch on the cluster."""
    command = [str(ray_nodes.PYTHON), "-c", RUN, "batch", *arguments, "--ray"]
    return subprocess.Popen(command, cwd=home.folder, env=nodes.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(process: "subprocess.Popen[str]") -> Ended:
    out, err = process.communicate(timeout=120)
    return Ended(process.returncode, out, err)


def test_a_node_that_dies_loses_nothing_and_pays_nothing_twice_that_was_answered(home: Home, nodes: Nodes) -> None:
    """Two nodes; one is killed in the middle. Every row comes out once, in order, as a batch without Ray answers it; what failed stands aside."""
    home.write(ROWS)
    with (home.folder / "in.jsonl").open("a") as file:
        file.write('{"message": 5}\nno json\n')

    def answer(said: Said) -> Iterator[bytes]:
        time.sleep(0.1)
        yield from says(said)

    home.provider.answer = answer
    second = nodes.join()
    process = begun(home, nodes, "desk", "in.jsonl", "--out", "out.jsonl", "--concurrency", str(AT_ONCE), "--json")
    while len(home.provider.asked) < ROWS // 2:  # of twice as many
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    nodes.kill(second)
    told = ended(process)
    assert told.code == 1, told.err
    report = json.loads(told.out)
    assert (report["ended"], report["done"], report["failed"], report["left"]) == ("done", ROWS, 2, 0)
    expected = [{"row": n, "input": f"row {n}", "output": f"answered message: row {n}\nqueue: cards"} for n in range(ROWS)]
    assert home.lines("out.jsonl") == expected
    assert [row["n"] for row in home.lines("out.jsonl.failed.jsonl")] == [ROWS, ROWS + 1]
    twice = sum(count - 1 for count in home.asked.values())
    assert len(home.asked) == 2 * ROWS and twice <= AT_ONCE  # those alone that were under way
    assert report["cost_usd"] >= 2 * ROWS * 140e-6
    before = len(home.provider.asked)
    interrupted = begun(home, nodes, "desk", "in.jsonl", "--out", "more.jsonl", "--concurrency", str(AT_ONCE))
    while len(home.provider.asked) < before + 100:
        assert interrupted.poll() is None, interrupted.communicate()
        time.sleep(0.02)
    interrupted.send_signal(signal.SIGINT)  # on the node that is left
    told = ended(interrupted)
    assert told.code == 130 and "--resume" in told.err
    before = len(home.provider.asked)
    home.batch("desk", "in.jsonl", "--out", "more.jsonl", "--resume", code=1)  # goes on without Ray, and asks nothing twice
    assert home.lines("more.jsonl") == expected and len(home.provider.asked) < before + 2 * ROWS - 90
    before = len(home.provider.asked)
    home.batch("desk", "in.jsonl", "--out", "out.jsonl", "--overwrite", code=1)  # without Ray, from the same journal
    assert home.lines("out.jsonl") == expected and len(home.provider.asked) == before
