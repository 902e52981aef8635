"""Where the recorded data sets lie: FREEHOLD_SHARED_DATA, or `shared/data` beside the checkout. None of them is in the repository."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

VARIABLE = "FREEHOLD_SHARED_DATA"
_BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"


class NoSharedData(FileNotFoundError):
    """The data set is not on this machine. A test skips with this message."""


def folder() -> Path | None:
    """The folder of all data sets; None where there is none. Raises NoSharedData where the environment names one that is not there."""
    named = os.environ.get(VARIABLE)
    if named is None:
        return _BESIDE if _BESIDE.is_dir() else None
    if not Path(named).is_dir():
        raise NoSharedData(f"{VARIABLE} is '{named}', which is no folder. Set it to the folder of the data sets, or unset it.")
    return Path(named)


def find(name: str) -> Path | None:
    """The part of a data set that we may look at, such as `find("zeroeval") / "records.parquet"`; None where it is not here."""
    root = folder()
    return None if root is None or not (root / name / "dev").is_dir() else root / name / "dev"


def need(name: str) -> Path:
    """As `find`. Raises NoSharedData with what to do."""
    found = find(name)
    if found is None:
        raise NoSharedData(f"no shared data: '{name}' is not in {folder() or _BESIDE}. Put the data sets there, or set {VARIABLE}.")
    return found


def run(name: str, main: Callable[[], None]) -> None:
    """Runs a benchmark on recorded data. Where they are not on this machine, --quick leaves it out and says so; a full run fails."""
    try:
        main()
    except NoSharedData as error:
        print(f"{name}: left out: {error}", file=sys.stderr)
        raise SystemExit(0 if "--quick" in sys.argv else 1) from None
