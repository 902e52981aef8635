"""Nodes of a Ray cluster on this machine, joined by address, for bench/batch.py and the tests. Ray lives in an environment of its own."""

import os
import signal
import socket
import subprocess
from pathlib import Path
from secrets import token_hex
from types import TracebackType

PEER = Path(__file__).parent.parent / ".peers" / "ray"
PYTHON = PEER / "bin" / "python"
MISSING = "Ray is not installed: scripts/setup-peers.sh ray"
_SOURCE = Path(__file__).parent.parent / "src"
_WAIT = """
import sys, time, ray
for _ in range(40):
    try:
        ray.init(address=sys.argv[1], log_to_driver=False)
        break
    except ConnectionError:
        time.sleep(0.5)
while sum(each["Alive"] for each in ray.nodes()) < int(sys.argv[2]):
    time.sleep(0.1)
"""


def is_installed() -> bool:
    """Whether scripts/setup-peers.sh was asked for it."""
    return (PEER / "installed").exists()


class Nodes:
    """A head and those that joined it, a CPU each. Whoever has not the token is not let in, and nobody is told of it."""

    def __init__(self, folder: Path) -> None:
        """`folder`: for what Ray writes; its sockets have long names, and the path may be no longer than some 60 letters."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.address = f"127.0.0.1:{port}"
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(_SOURCE),
            "RAY_ADDRESS": self.address,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": token_hex(16),
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        """Of the nodes, and of the commands that ask them."""
        self._started: list[subprocess.Popen[bytes]] = []
        self._start("--head", f"--port={port}", "--include-dashboard=false", f"--temp-dir={folder}")
        self._wait_for(1)

    def join(self) -> "subprocess.Popen[bytes]":
        """One node more, by the address of the first."""
        node = self._start(f"--address={self.address}")
        self._wait_for(2)
        return node

    def kill(self, node: "subprocess.Popen[bytes]") -> None:
        """With all its processes."""
        os.killpg(node.pid, signal.SIGKILL)
        node.wait()

    def _start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        command = [str(PEER / "bin" / "ray"), "start", "--block", "--num-cpus=1", "--object-store-memory=80000000", *arguments]
        environment = {name: value for name, value in self.environment.items() if name != "RAY_ADDRESS"}
        node = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        self._started.append(node)
        return node

    def _wait_for(self, count: int) -> None:
        command = [str(PYTHON), "-c", _WAIT, self.address, str(count)]
        subprocess.run(command, env=self.environment, capture_output=True, check=True, timeout=90)

    def __enter__(self) -> "Nodes":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for node in self._started:
            if node.poll() is None:
                self.kill(node)
