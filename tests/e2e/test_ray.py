"""`freehold batch --ray`: two nodes that are joined by address, one of which dies, and what a node lacks. Ray is in an environment of its own."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex

import pytest
from tests.e2e.test_batch import PROGRAM, TOML, Home, says

from command import RUN, Ended
from upstream import Said, upstream

PEER = Path(__file__).parents[2] / ".peers" / "ray"
ROOT = Path(__file__).parents[2]
WAIT = """
import sys, time, ray
for _ in range(20):
    try:
        ray.init(address=sys.argv[1], log_to_driver=False)
        break
    except ConnectionError:
        time.sleep(0.5)
while sum(each["Alive"] for each in ray.nodes()) < int(sys.argv[2]):
    time.sleep(0.1)
"""
ROWS = 300
TOKEN = token_hex(16)
AT_ONCE = 8

pytestmark = pytest.mark.skipif(not (PEER / "installed").exists(), reason="Ray is not installed: scripts/setup-peers.sh ray")


def environment(**more: str) -> dict[str, str]:
    """That of a node and of a command. Whoever has not the token is not let in."""
    own = {"PYTHONPATH": str(ROOT / "src"), "RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}
    return {**os.environ, **own, **more}


class Nodes:
    """A Ray cluster on this machine, each node a group of processes."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{probe.getsockname()[1]}"
        self._folder = folder
        self._started: list[subprocess.Popen[bytes]] = []
        head = ("--head", f"--port={self.address.rpartition(':')[2]}", "--include-dashboard=false", f"--temp-dir={folder}")
        self.head = self._start(*head)

    def join(self) -> "subprocess.Popen[bytes]":
        """One node more, by the address of the first."""
        self.wait_for(1)
        node = self._start(f"--address={self.address}")
        self.wait_for(2)
        return node

    def _start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        command = [str(PEER / "bin" / "ray"), "start", "--block", "--num-cpus=1", "--object-store-memory=80000000", *arguments]
        node = subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        self._started.append(node)
        return node

    def kill(self, node: "subprocess.Popen[bytes]") -> None:
        os.killpg(node.pid, signal.SIGKILL)
        node.wait()

    def wait_for(self, count: int) -> None:
        """Until so many are there."""
        command = [str(PEER / "bin" / "python"), "-c", WAIT, self.address, str(count)]
        subprocess.run(command, env=environment(), capture_output=True, check=True, timeout=60)

    def close(self) -> None:
        for node in self._started:
            if node.poll() is None:
                self.kill(node)


@pytest.fixture
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    started = Nodes(tmp_path_factory.mktemp("ray"))
    yield started
    started.close()


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    with upstream() as provider:
        provider.answer = says
        (tmp_path / "freehold.toml").write_text(TOML.format(url=provider.url))
        (tmp_path / "program.py").write_text(PROGRAM)
        yield Home(tmp_path, provider)


def begun(home: Home, address: str, *arguments: str) -> "subprocess.Popen[str]":
    """A batch on the cluster."""
    command = [str(PEER / "bin" / "python"), "-c", RUN, "batch", *arguments, "--ray"]
    return subprocess.Popen(
        command, cwd=home.folder, env=environment(RAY_ADDRESS=address), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


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
    process = begun(home, nodes.address, "desk", "in.jsonl", "--out", "out.jsonl", "--concurrency", str(AT_ONCE), "--json")
    while len(home.provider.asked) < ROWS // 2:  # of twice as many
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    nodes.kill(second)
    told = ended(process)
    assert told.code == 1, told.err
    report = told.json
    assert (report["ended"], report["done"], report["failed"], report["left"]) == ("done", ROWS, 2, 0)
    expected = [{"row": n, "input": f"row {n}", "output": f"answered message: row {n}\nqueue: cards"} for n in range(ROWS)]
    assert home.lines("out.jsonl") == expected
    assert [row["n"] for row in home.lines("out.jsonl.failed.jsonl")] == [ROWS, ROWS + 1]
    twice = sum(count - 1 for count in home.asked.values())
    assert len(home.asked) == 2 * ROWS and twice <= AT_ONCE  # those alone that were under way
    assert report["cost_usd"] >= 2 * ROWS * 140e-6
    before = len(home.provider.asked)
    home.batch("desk", "in.jsonl", "--out", "out.jsonl", "--overwrite", code=1)  # without Ray, from the same journal
    assert home.lines("out.jsonl") == expected and len(home.provider.asked) == before
