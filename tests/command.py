"""The real command line as tests run it: a process of its own, warnings as errors."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

RUN = "from freehold.cli.app import main; main()"


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, as JSON."""
        return json.loads(self.out)


def freehold(*arguments: str | Path, cwd: Path | None = None, stdin: str = "", code: int | None = 0) -> Ended:
    """Runs `freehold ARGUMENTS`, and wants this exit status unless it is None."""
    command = [sys.executable, "-W", "error", "-c", RUN, *map(str, arguments)]
    run = subprocess.run(command, cwd=cwd, input=stdin, capture_output=True, text=True, timeout=300, check=False)
    assert code is None or run.returncode == code, f"{arguments} ended with {run.returncode}:\n{run.stdout}{run.stderr}"
    return Ended(run.returncode, run.stdout, run.stderr)
