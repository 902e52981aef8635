"""A writer is killed in the middle, as `bench/crash.py` does fifty times; here a few, or FREEHOLD_CRASH_ROUNDS."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench" / "crash.py"


@pytest.mark.slow
def test_sigkill_loses_nothing_that_was_acknowledged() -> None:
    """Nor doubles it, and the journal always opens: on SQLite, and on PostgreSQL where there is one."""
    rounds = os.environ.get("FREEHOLD_CRASH_ROUNDS", "6")
    run = subprocess.run([sys.executable, BENCH, "--rounds", rounds], capture_output=True, text=True, timeout=1_200, check=False)
    assert run.returncode == 0, run.stderr
    result = json.loads(run.stdout)["result"]
    databases = [result[name] for name in ("sqlite", "postgres") if name in result]
    assert len(databases) == (2 if "FREEHOLD_TEST_POSTGRES" in os.environ else 1)
    for found in databases:
        assert found["acknowledged"] > 0
        assert (found["kills"], found["lost"], found["doubled"], found["unopened"]) == (int(rounds), 0, 0, 0)
