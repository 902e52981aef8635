"""Scorers of code: its unit tests, run where it can do no harm."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from freehold.catalog import Metric
from freehold.chat import JSON
from freehold.errors import CallerError, OperatorError
from freehold.evaluation.plain import Settings, binary, code_of, lacks, words_of
from freehold.evaluation.sandbox import Bounds, NoSandbox, Ran, run
from freehold.evaluation.scorer import Case, Score

Runs = Callable[[str, Sequence[str], Bounds], Ran]


@dataclass(frozen=True, slots=True)
class UnitTests:
    """Scores code by its tests, which are the case's right answer: a list of statements that raise where the code is wrong, one text with all of
    them, or an object with `setup` and `tests`."""

    metric: Metric
    runs: Runs
    bounds: Bounds
    needs_truth: bool = True

    async def score(self, case: Case) -> Score:
        """As of `Scorer`. Runs in a thread."""
        if (why := lacks(case, True)) is not None:
            return Score(None, why)
        tests = _tests_of(case.truth)
        if tests is None:
            return Score(None, "the right answer is no tests: a list of statements, a text of them, or an object with setup and tests")
        setup, checks = tests
        code = f"{code_of(words_of(case.output))}\n{setup}"
        try:
            ran = await asyncio.to_thread(self.runs, code, checks, self.bounds)
        except NoSandbox as error:
            return Score(None, str(error))
        except (OSError, UnicodeError) as error:
            return Score(None, f"the sandbox could not be started: {error}")
        return Score(
            float(all(ran.passed)), ran.why[:300], {"tests": float(len(checks)), "passed": float(sum(ran.passed)), "seconds": ran.seconds}
        )


def unit_tests(settings: Settings) -> UnitTests:
    """1 where the answer's code passes the tests that are the right answer, in a process with limits and without network, files or children.
    `unit_tests:monty` runs small pure functions in Monty instead, on any machine.
    """
    bounds = settings.taken(time_s=10.0, memory_mb=512)
    if settings.option not in ("", "monty"):
        raise CallerError(f"scorer '{settings.name}': '{settings.option[:80]}' stands behind the colon; expected nothing, or monty")
    return UnitTests(
        binary(settings.name), run_in_monty if settings.option else run, Bounds(time_s=float(bounds.time_s), memory_mb=bounds.memory_mb)
    )


def run_in_monty(code: str, checks: Sequence[str], bounds: Bounds) -> Ran:
    """As `sandbox.run`, in an interpreter of a part of Python that knows no files, network or processes: github.com/pydantic/monty.

    Raises OperatorError where it is not installed, and NoSandbox for code beyond that part: then nobody knows whether it is right.
    """
    try:
        from pydantic_monty import Monty, MontyCrashedError, MontyError, MontySyntaxError
    except ImportError:
        raise OperatorError("unit_tests:monty takes Monty, which is not installed: pip install 'freehold[sandbox]'.") from None
    passed: list[bool] = []
    first, printed = "", ""

    def hear(stream: str, text: str) -> None:
        nonlocal printed
        printed = (printed + text)[:4_000]

    with (
        Monty(max_processes=1) as pool,
        pool.checkout(limits={"max_feed_duration_secs": bounds.time_s, "max_memory": bounds.memory_mb * 2**20}) as session,
    ):
        for what, text in (("the code", code), *((check, check) for check in checks)):
            try:
                session.feed_run(text, print_callback=hear)
                why = ""
            except (MontySyntaxError, MontyCrashedError, MontyError) as error:
                if _is_beyond(error):
                    raise NoSandbox(f"Monty knows only a part of Python, and not this: {str(error)[:200]}") from error
                why = f"{what.strip()[:200]}: {str(error)[:300]}"
            if what == "the code" and why:
                return Ran("done", (False,) * len(checks), why, printed, 0.0)
            if what != "the code":
                passed.append(not why)
            first = first or why
    return Ran("done", tuple(passed), first, printed, 0.0)


def _is_beyond(error: Exception) -> bool:
    """Whether the code uses what Monty does not have: a module, or a feature of Python."""
    text = str(error)
    return (
        text.startswith(("ModuleNotFoundError", "ImportError", "NotImplementedError"))
        or "does not yet support" in text
        or "not supported" in text
    )


def _tests_of(truth: JSON) -> tuple[str, list[str]] | None:
    setup: JSON = ""
    if isinstance(truth, dict):
        setup, truth = truth.get("setup", ""), truth.get("tests")
    checks = [truth] if isinstance(truth, str) else truth
    if not isinstance(setup, str) or not isinstance(checks, list) or not 0 < len(checks) <= 1_000:
        return None
    return (setup, checks) if all(isinstance(check, str) and check.strip() for check in checks) else None
