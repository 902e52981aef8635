"""A benchmark prints one line of JSON and fails where it falls short of `bench/targets.toml`."""

import json
import sys
from pathlib import Path

import pytest
from bench import data, harness
from bench.harness import Target, emit, shortfalls, targets

RESULT = {"rate": 25_000, "mmlu": {"n1000": {"apgr": 0.6}}, "lost": 0, "postgres": None}


def targets_of(text: str, tmp_path: Path) -> list[Target]:
    (tmp_path / "targets.toml").write_text(text)
    return targets("x", tmp_path / "targets.toml")


def test_a_target_may_lie_deeper_in_the_result(tmp_path: Path) -> None:
    wanted = targets_of("[x]\nrate = { min = 20000 }\nmmlu.n1000.apgr = { min = 0.61, quick = false }\n[y]\nz = { max = 1 }", tmp_path)
    assert wanted == [Target("rate", 20000, None, True), Target("mmlu.n1000.apgr", 0.61, None, False)]
    assert targets_of("[y]\nz = { max = 1 }", tmp_path) == []


@pytest.mark.parametrize("text", ["[x]\nrate = 5", "[x]\nrate = { min = 1, mx = 2 }", "[x]\nrate = { least = 1 }"])
def test_a_target_that_says_something_else_is_an_error(text: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="rate"):
        targets_of(text, tmp_path)


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (Target("rate", 20_000, None, True), []),
        (Target("rate", 25_000, 25_000, True), []),
        (Target("lost", None, 0, True), []),
        (Target("rate", 30_000, None, True), ["rate is 25000, below 30000"]),
        (Target("mmlu.n1000.apgr", None, 0.5, True), ["mmlu.n1000.apgr is 0.6, above 0.5"]),
        (Target("mmlu.n2000.apgr", 0, None, True), ["mmlu.n2000.apgr is not in the result, and bench/targets.toml has a target for it"]),
        (Target("postgres", 1, None, True), ["postgres is None, not a number"]),
        (Target("mmlu", 1, None, True), [f"mmlu is {RESULT['mmlu']!r}, not a number"]),
    ],
)
def test_what_falls_short_is_named(target: Target, said: list[str]) -> None:
    assert shortfalls(RESULT, [target], quick=False) == said


def test_a_number_that_is_none_falls_short() -> None:
    assert shortfalls({"rate": float("nan")}, [Target("rate", 1, None, True)], quick=False) == ["rate is nan, below 1"]


def test_a_quick_run_is_not_held_to_what_it_cannot_tell() -> None:
    wanted = [Target("missing", 1, None, quick=False)]
    assert shortfalls(RESULT, wanted, quick=True) == []
    assert len(shortfalls(RESULT, wanted, quick=False)) == 1


def test_the_line_says_what_it_was_measured_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["bench", "--quick", "--out", str(tmp_path / "line.json")])
    emit("nothing to hold", {"rate": 1.5}, check=True)
    printed = json.loads(capsys.readouterr().out)
    assert (printed["name"], printed["quick"], printed["result"]) == ("nothing to hold", True, {"rate": 1.5})
    assert set(printed["versions"]) == {"python", "freehold", "numpy", "scikit-learn", "sqlalchemy"}
    assert printed["cpus"] >= 1
    assert json.loads((tmp_path / "line.json").read_text()) == printed


def test_a_shortfall_exits_1_with_check_and_not_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "targets.toml").write_text("[x]\nrate = { min = 2 }")
    monkeypatch.setattr(sys, "argv", ["bench"])
    monkeypatch.setattr(targets, "__defaults__", (tmp_path / "targets.toml",))
    emit("x", {"rate": 1}, check=False)
    with pytest.raises(SystemExit) as stopped:
        emit("x", {"rate": 1}, check=True)
    assert stopped.value.code == 1
    assert "x: rate is 1, below 2" in capsys.readouterr().err


def test_every_table_of_the_targets_file_can_be_read() -> None:
    import tomllib

    for name in tomllib.loads(harness.TARGETS.read_text()):
        assert targets(name), name


def test_the_recorded_data_are_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "zeroeval" / "dev").mkdir(parents=True)
    monkeypatch.setenv(data.VARIABLE, str(tmp_path))
    assert data.find("zeroeval") == data.need("zeroeval") == tmp_path / "zeroeval" / "dev"
    assert data.find("elsewhere") is None
    with pytest.raises(data.NoSharedData, match=rf"no shared data: 'elsewhere' is not in {tmp_path}\. .*{data.VARIABLE}"):
        data.need("elsewhere")


def test_an_environment_that_names_no_folder_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slip in the variable would otherwise skip the tests it was set for."""
    monkeypatch.setenv(data.VARIABLE, str(tmp_path / "nowhere"))
    with pytest.raises(data.NoSharedData, match="which is no folder"):
        data.find("zeroeval")
