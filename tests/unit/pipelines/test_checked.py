"""A whole program is looked at before it runs: what cannot be imported is a finding too, and mypy follows types where it is installed."""

import sys
from pathlib import Path

import pytest
from programs import Home

from freehold.pipelines.finding import Finding, Places, counted


def test_a_program_that_cannot_be_imported_is_a_finding(home: Home) -> None:
    path = home.write("desk.py", "1 / 0\n", head="")
    [found] = home.check("desk.py")
    assert found == Finding(
        level="error",
        where=f"{path}:1",
        what="it cannot be imported: ZeroDivisionError: division by zero",
        remedy="mend it, and check again",
    )


def test_a_file_without_tasks_is_noted(home: Home) -> None:
    home.write("desk.py", "x = 1\n", head="")
    assert home.said("desk.py")[0].endswith("there is no task and no pipeline in it")


def test_two_steps_of_one_name_are_an_error(home: Home) -> None:
    text = """
    @freehold.pipeline(name="triage")
    def desk(message: str) -> Triage:
        return triage(message)
    """
    path = home.write("desk.py", text)
    [found] = home.check("desk.py")
    assert (found.level, found.what.partition(" at ")[0]) == ("error", "there is another 'triage'")
    assert found.what.endswith(f"{path}:11") and found.where == f"{path}:15"


def test_findings_are_counted_in_words() -> None:
    errors = [Finding(level="error", where="a", what="b")] * 2
    assert counted([*errors, Finding(level="note", where="a", what="b")]) == "2 errors, 1 note"
    assert counted([]) == "nothing is wrong"


def test_a_place_in_the_file_is_its_table_or_its_key(tmp_path: Path) -> None:
    path = tmp_path / "freehold.toml"
    path.write_text('[tasks.a]\nmax_loss = 0.1\n[tasks."b c"]  # quoted\n\nmetric = "m"\n[tasks.c]\nmetric = "n"\n')
    places = Places(path)
    told = [places.of("tasks", *of) for of in (("a", "max_loss"), ("b c", "metric"), ("a", "metric"), ("d", "metric"))]
    assert told == [f"{path}:2", f"{path}:5", f"{path}:1", str(path)]
    assert Places(tmp_path / "none").of("tasks", "a") == str(tmp_path / "none")


@pytest.mark.slow
def test_mypy_follows_types_from_step_to_step(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it says is an error with its line; that a task has no body is none, and what was said already is not said again."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    text = '''
    def plain(x: str) -> int:
        """No task, and no body."""

    @freehold.pipeline
    def desk(message: str) -> str:
        found = triage(message, "gold", 3)
        both = [found, found]
        return both
    '''
    path = home.write("desk.py", text)
    found = [(one.level, int(one.where.rpartition(":")[2]), one.what) for one in home.check("desk.py", with_types=True)]
    top = path.read_text().splitlines().index("def plain(x: str) -> int:") + 1
    assert found == [
        ("error", top + 5, "'triage' is called with other arguments than it has: too many positional arguments"),
        ("error", top, "mypy: Missing return statement [empty-body]"),
        ("error", top + 7, 'mypy: Incompatible return value type (got "list[Triage]", expected "str") [return-value]'),
    ]
    assert not (tmp_path / ".mypy_cache").exists()


def test_without_mypy_that_is_noted(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mypy", None)
    monkeypatch.setattr(sys, "meta_path", [])
    home.write("desk.py", "")
    from freehold.pipelines.typecheck import check_types

    [found] = check_types([home.folder / "desk.py"], home.folder, ())
    assert (found.level, found.remedy) == ("note", "pip install mypy")
