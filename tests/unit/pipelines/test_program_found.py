"""A program is imported as Python would import it, and its tasks and pipelines are found by name; what cannot be imported says where."""

import sys
from pathlib import Path

import pytest
from programs import Home

from freehold.config import load
from freehold.errors import CallerError
from freehold.pipelines.program import NotImported, Program, program_of

REPLY = '''
import freehold

@freehold.task
def reply(queue: str, message: str) -> str:
    """Answer the customer."""
'''
DESK = """
@freehold.pipeline
def desk(message: str) -> Triage:
    return triage(message)
"""


def names(program: Program) -> tuple[list[str], list[str]]:
    return [task.name for task in program.tasks], [pipeline.name for pipeline in program.pipelines]


def test_a_files_tasks_and_pipelines_are_found(home: Home) -> None:
    path = home.write("desk.py", DESK)
    program = home.load("desk.py")
    assert names(program) == (["triage"], ["desk"])
    assert program.files == (path.resolve(),)
    assert program.find("triage") is program.tasks[0]
    assert program.find("desk:desk") is program.find("desk.py:desk") is program.find(f"{path}:desk") is program.pipelines[0]


def test_what_a_file_imports_of_the_projects_own_belongs_to_it(home: Home) -> None:
    home.write("replies.py", REPLY, head="")
    home.write("desk.py", "import json\nimport replies\n")
    program = home.load("desk.py")
    assert names(program) == (["triage", "reply"], [])
    assert [path.name for path in program.files] == ["desk.py", "replies.py"]


def test_a_module_of_a_package_is_named_as_import_has_it_or_by_its_file(home: Home) -> None:
    """Both are the same module, so that its tasks are declared once."""
    home.write("app/__init__.py", "", head="")
    home.write("app/replies.py", REPLY, head="")
    home.write("app/desk.py", "from app.replies import reply\nfrom . import replies\n")
    program = home.load("app.desk", "app/desk.py")
    assert names(program) == (["triage", "reply"], [])
    assert program.find("app.replies:reply").name == "reply"


def test_one_step_of_a_file_can_be_named(home: Home) -> None:
    home.write("desk.py", DESK)
    program = home.load("desk.py:desk")
    assert names(program) == ([], ["desk"]) and program.is_part
    assert program.find("desk.py:triage").name == "triage"
    with pytest.raises(
        CallerError, match=r"'dsk' in desk.py is nothing, not a task or a pipeline. Did you mean 'desk'\? Known: desk, triage"
    ):
        home.load("desk.py:dsk")
    with pytest.raises(CallerError, match="'Triage' in desk.py is a ModelMetaclass, not a task"):
        home.load("desk.py:Triage")


def test_a_name_that_is_not_there_names_the_nearest(home: Home) -> None:
    home.write("desk.py", DESK)
    program = home.load("desk.py")
    with pytest.raises(CallerError, match=r"no task or pipeline 'traige'. Did you mean 'triage'\?"):
        program.find("traige")
    with pytest.raises(CallerError, match=r"no task or pipeline 'trige' in desk.py. Did you mean 'triage'\?"):
        program.find("desk.py:trige")
    with pytest.raises(CallerError, match="It has none; name its files under"):
        home.load().find("triage")


def test_two_pipelines_of_one_name_have_to_be_told_apart(home: Home) -> None:
    home.write("desk.py", DESK)
    home.write("other.py", "import freehold\n\n@freehold.pipeline\ndef desk(x: str) -> str:\n    return x\n", head="")
    program = home.load("desk.py", "other.py")
    with pytest.raises(CallerError, match="Say which is meant, as in MODULE:desk"):
        program.find("desk")
    assert program.find("other:desk") is program.pipelines[1]


def test_the_configuration_names_the_programs(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Arguments come before it, and name files from the current folder on."""
    home.configure('[project]\npython = ["desk.py"]\n')
    home.write("desk.py", DESK)
    home.write("below/other.py", REPLY, head="")
    assert names(program_of(load(home.folder))) == (["triage"], ["desk"])
    monkeypatch.chdir(home.folder / "below")
    assert names(program_of(load(home.folder), ["other.py:reply"])) == (["reply"], [])
    assert names(program_of(load(home.folder), ["desk.py"])) == (["triage"], ["desk"])


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("x = 1\ny = x.nope\n", 2, "it cannot be imported: AttributeError: 'int' object has no attribute 'nope'"),
        ("x = (\n", 1, "it cannot be imported: SyntaxError: '\\(' was never closed"),
        ("import no_such_module\n", 1, "it cannot be imported: ModuleNotFoundError: No module named 'no_such_module'"),
        ("import sys\nsys.exit(3)\n", 2, "it cannot be imported: SystemExit: 3"),
        ("import freehold\nfreehold.vote(1, 'cheap')\n", 2, "it cannot be imported: n is 1; expected a number from 2 to 100"),
        ("import json\njson.loads('{')\n", 2, "it cannot be imported: JSONDecodeError"),
        ("import freehold\n\n@freehold.task\ndef f(x) -> str: 'F.'\n", 3, "'f' cannot be used so: parameter 'x' has no type"),
        ("import freehold\n\n@freehold.task(max_loss=2)\ndef f(x: str) -> str: 'F.'\n", 3, "'f' cannot be used so: max_loss is 2"),
    ],
)
def test_what_cannot_be_imported_says_on_which_line_of_the_program(home: Home, text: str, line: int, said: str) -> None:
    path = home.write("broken.py", text, head="")
    with pytest.raises(NotImported, match=said) as refused:
        home.load("broken.py")
    assert refused.value.where == f"{path}:{line}"


def test_an_error_in_what_is_imported_is_said_with_its_own_line(home: Home) -> None:
    inner = home.write("inner.py", "x = 1\n\n1 / 0\n", head="")
    home.write("outer.py", "import inner\n", head="")
    with pytest.raises(NotImported, match="ZeroDivisionError") as refused:
        home.load("outer.py")
    assert refused.value.where == f"{inner}:3"


def test_two_tasks_of_one_name_are_refused_with_both_places(home: Home) -> None:
    first = home.write("replies.py", REPLY, head="")
    second = home.write("other.py", REPLY, head="")
    with pytest.raises(NotImported, match=f"there is a task 'reply' already, at {first}:3. Give one of them another name") as refused:
        home.load("replies.py", "other.py")
    assert refused.value.where == f"{second}:3"


def test_nobody_is_asked_while_a_program_is_imported(home: Home) -> None:
    """A file that calls its task by itself is told where to put that."""
    path = home.write("script.py", "print('hello')\ntriage('x')\n")
    with pytest.raises(NotImported, match='Put what the program does by itself under if __name__ == "__main__"') as refused:
        home.load("script.py")
    assert refused.value.where == f"{path}:{len(path.read_text().splitlines())}"


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("nope.py", "there is no such file. Name the files of a program as they are seen from the project's folder"),
        ("nope.module", "there is no module 'nope'"),
        ("types.py", "another module is called 'types' already"),
    ],
)
def test_a_program_that_is_not_there_is_said(home: Home, spec: str, said: str) -> None:
    home.write("types.py", "", head="")
    with pytest.raises(NotImported, match=said):
        home.load(spec)


def test_what_is_installed_is_no_part_of_the_program(home: Home) -> None:
    """Not even where it lies in the project's folder."""
    home.write("venv/lib/site-packages/theirs.py", REPLY, head="")
    sys.path.insert(0, str(home.folder / "venv/lib/site-packages"))
    home.write("desk.py", "import theirs\n")
    assert [path.name for path in home.load("desk.py").files] == ["desk.py"]


def test_a_file_outside_of_the_project_is_found_as_well(home: Home, tmp_path_factory: pytest.TempPathFactory) -> None:
    other: Path = tmp_path_factory.mktemp("elsewhere") / "apart.py"
    other.write_text(REPLY)
    try:
        assert names(home.load(str(other))) == (["reply"], [])
    finally:
        sys.modules.pop("apart", None)
