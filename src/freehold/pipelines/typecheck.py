"""Types from end to end, by mypy where it is installed: what one step gives against what the next takes."""

import os
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Collection, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

import msgspec

from freehold.pipelines.finding import Finding, error, note

_TIMEOUT_S = 600
_ABOUT_LIBRARIES = ("import-untyped", "import-not-found")
_NO_BODY = "empty-body"
_SRC = Path(__file__).resolve().parents[2]


class _Said(msgspec.Struct, frozen=True):
    """A line of mypy's."""

    file: str
    line: int
    message: str
    hint: str | None
    code: str | None
    severity: str


def check_types(files: Sequence[Path], folder: Path, tasks: Collection[str]) -> list[Finding]:
    """What mypy says of a program's files, by its own settings for the project in `folder`. `tasks`: where those are declared, as `file:line`,
    for that a task has no body is no mistake."""
    if not files:
        return []
    if find_spec("mypy") is None:
        return [note("types", "mypy is not installed, so types were not followed from step to step", "pip install mypy")]
    with tempfile.TemporaryDirectory(prefix="freehold-types-") as cache:
        command = [
            sys.executable, "-m", "mypy", "--output", "json", "--no-error-summary", "--ignore-missing-imports", "--follow-imports", "silent",
            "--cache-dir", _cache(cache), "--", *map(str, files),
        ]  # fmt: skip
        try:
            done = subprocess.run(command, cwd=folder, env=_environment(), capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
        except (OSError, subprocess.TimeoutExpired) as failed:
            return [note("types", f"mypy gave no answer: {failed}", "run it by itself")]
    if done.returncode not in (0, 1):
        told = (done.stderr or done.stdout).strip().splitlines() or [f"it ended with {done.returncode}"]
        return [note("types", f"mypy could not look at the program: {told[-1]}", "run it by itself")]
    return list(_findings(done.stdout, folder, tasks))


def _findings(out: str, folder: Path, tasks: Collection[str]) -> Iterator[Finding]:
    for line in out.splitlines():
        try:
            said = msgspec.json.decode(line, type=_Said)
        except msgspec.DecodeError:
            continue
        where = f"{(folder / said.file).resolve()}:{said.line}"
        is_task = said.code == _NO_BODY and where in tasks
        if said.severity == "error" and said.code not in _ABOUT_LIBRARIES and not is_task:
            yield error(
                where, f"mypy: {said.message}{f' [{said.code}]' if said.code else ''}", (said.hint or "").strip() or "mend the type"
            )


def _cache(otherwise: str) -> str:
    """Where mypy keeps what it found out: the user's own folder for caches, so that none is left in the project."""
    told = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        folder = (
            told if told.is_absolute() else Path("~/Library/Caches" if sys.platform == "darwin" else "~/.cache").expanduser()
        ) / "freehold"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (OSError, RuntimeError):
        return otherwise
    return str(folder / "mypy") if os.access(folder, os.W_OK) else otherwise


def _environment() -> dict[str, str]:
    """The environment in which mypy finds us where we are not installed but on the path."""
    installed = {Path(path).resolve() for path in (sysconfig.get_path("purelib"), sysconfig.get_path("platlib"))}
    known = os.environ.get("MYPYPATH", "")
    return dict(os.environ) if _SRC in installed else {**os.environ, "MYPYPATH": os.pathsep.join(filter(None, (known, str(_SRC))))}
