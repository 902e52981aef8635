"""A reward that a program declares as a function chooses the rows of a data set, as one that the file declares does."""

from datetime import UTC, datetime
from pathlib import Path

from command import freehold
from data_sets import a_call, journalled
from freehold.config import FILE_NAME
from freehold.journal.build import feedback_id
from freehold.journal.call import Feedback
from freehold.project import Project

TOML = """
[project]
python = ["program.py"]
[data]
licence = "CC-BY-4.0"
consent = "terms"
[providers.recordings]
kind = "recorded"
[models.small]
provider = "recordings"
trains_others = "yes"
[metrics.thumb]
kind = "binary"
"""
PROGRAM = '''
import freehold


def pleased(said):
    thumbs = [one.value for one in said if one.metric == "thumb"]
    return sum(thumbs) / len(thumbs) if thumbs else None


@freehold.task(name="triage", reference="small", reward=pleased)
def triage(message: str) -> str:
    """Say which desk."""
'''


def test_rows_are_chosen_by_what_the_program_says(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text(TOML)
    (tmp_path / "program.py").write_text(PROGRAM)
    calls = [a_call(n) for n in range(60)]
    said = [
        Feedback(
            id=feedback_id(call.id, "thumb", "person:ann", ""),
            call=call.id,
            metric="thumb",
            value=float(n % 2),
            source="person:ann",
            at=datetime(2026, 5, 1, tzinfo=UTC),
        )
        for n, call in enumerate(calls[:40])
    ]
    with Project.at(tmp_path) as project:
        journalled(project, calls, said)
    built = freehold("dataset", "build", "good", "--from", "task=triage and reward>=0.9", "--json", "--project", tmp_path).json
    assert built["rows"] == 20
    (tmp_path / "program.py").write_text("import nothing_of_that_name\n" + PROGRAM)
    broken = freehold("dataset", "build", "other", "--from", "task=triage and reward>=0.9", "--project", tmp_path, code=None)
    assert broken.code != 0 and "nothing_of_that_name" in broken.err
