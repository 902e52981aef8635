"""A test skips only for want of something that is missing indeed; any other skip fails the run."""

import pytest
from tests.skips import EXCUSES, Excuse, Skips, is_excused

pytest_plugins = ["pytester"]

SOURCE = """
import pytest

def test_that_runs():
    pass

@pytest.mark.xfail(reason="known")
def test_that_is_expected_to_fail():
    assert False

def test_that_skips():
    pytest.skip({reason!r})
"""


def test_a_reason_excuses_where_what_it_names_is_missing() -> None:
    here, there = Excuse("Chromium", lambda: True), Excuse("Chromium", lambda: False)
    assert is_excused("no chromium on PATH", (here,))
    assert not is_excused("no chromium on PATH", (there,))
    assert not is_excused("not written yet", (here,))


def test_every_excuse_can_be_told() -> None:
    assert [excuse for excuse in EXCUSES if not isinstance(excuse.is_true(), bool)] == []


SOME_OS = (Excuse("SomeOS", lambda: True),)


@pytest.mark.parametrize(
    ("reason", "line", "code"),
    [("needs a moon", "FAILED, a core test may not skip: needs a moon", 1), ("needs SomeOS", "excused: needs SomeOS", 0)],
)
def test_a_run_says_what_was_skipped_and_fails_where_nothing_excuses_it(
    reason: str, line: str, code: int, pytester: pytest.Pytester
) -> None:
    pytester.makepyfile(SOURCE.format(reason=reason))
    done = pytester.runpytest_inprocess(plugins=[Skips(SOME_OS)])
    done.stdout.fnmatch_lines(["*skipped, and why*", line, "*::test_that_skips"])
    assert done.ret == code


def test_a_file_that_skips_as_a_whole_counts(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("import pytest\npytest.importorskip('no_such_package')\ndef test_x(): pass")
    assert pytester.runpytest_inprocess(plugins=[Skips(SOME_OS)]).ret != 0
