"""What a worker of a batch does with the rows that it is handed, whoever hands them: Ray in test_ray.py, nobody here."""

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tests.e2e.test_batch import TOML, Home, says

from freehold.pipelines.job import Job, batch_id
from freehold.pipelines.run import Progress
from freehold.pipelines.runs import Recorded, State, see
from freehold.pipelines.worker import Handed, Worker, this_machine
from freehold.project import Project
from upstream import upstream

# Its names are its own: it is imported into this process, where those of other tests' programs are taken.
PROGRAM = '''
from pydantic import BaseModel

import freehold


class Sorted(BaseModel):
    queue: str
    sure: float


@freehold.task(reference="cheap")
def handed_sort(message: str) -> Sorted:
    """Sort it."""


@freehold.task(reference="cheap")
def handed_reply(message: str, queue: str) -> str:
    """Answer it."""


@freehold.pipeline
async def handed_desk(message: str) -> str:
    found = await handed_sort.acall(message)
    return await handed_reply.acall(message, found.queue)
'''


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """One for all, for a program is imported once into a process."""
    folder = tmp_path_factory.mktemp("handed")
    with upstream() as provider:
        provider.answer = says
        (folder / "freehold.toml").write_text(TOML.format(url=provider.url))
        (folder / "handed_over.py").write_text(PROGRAM)
        yield Home(folder, provider)


def handed(home: Home, out: str, **changes: Any) -> Handed:
    job = Job(home.folder / "in.jsonl", home.folder / out)
    file = home.folder / "handed_over.py"
    told = Handed(home.folder, "default", file, "handed_desk", job, this_machine(), None, None, {}, None, None)
    return told._replace(**changes)


def stands(home: Home, out: str, state: State) -> None:
    """The batch is in the journal, in this state."""
    now, id = datetime.now(UTC), batch_id("handed_desk", handed(home, out).job)
    with Project.at(home.folder) as project:
        see(
            project.store,
            "default",
            [Recorded(id=id, kind="batch", name="handed_desk", state=state, begun=now, seen=now, progress=Progress())],
        )


def outcomes(told: Handed, *values: object) -> list[list[Any]]:
    """What a new worker says of rows."""
    rows = [json.dumps([n, value, f"key {n}"]).encode() for n, value in enumerate(values)]
    with closing(Worker(told)) as worker:
        return [json.loads(each) for each in worker(pa.table({"row": rows}))["outcome"].to_pylist()]


def test_each_row_has_an_outcome_and_none_is_asked_again_by_the_next_worker(home: Home) -> None:
    """The next goes on where one died: what the journal has is neither asked nor paid again."""
    stands(home, "one.jsonl", "running")
    before = len(home.provider.asked)
    said = outcomes(handed(home, "one.jsonl"), "row 0", 5)
    assert said[0] == ["answered", 0, "row 0", "key 0", "answered message: row 0\nqueue: cards", 1]
    assert said[1][:4] == ["failed", 1, 5, "key 1"] and "message" in said[1][4]
    assert outcomes(handed(home, "one.jsonl"), "row 0", "row 1")[0] == said[0]
    assert len(home.provider.asked) - before == 4


def test_a_batch_that_was_cancelled_begins_no_rows(home: Home) -> None:
    """The worker hears it from the store."""
    stands(home, "two.jsonl", "cancelling")
    with closing(Worker(handed(home, "two.jsonl"))) as worker:
        before = len(home.provider.asked)
        for n in range(1_000):
            row = pa.table({"row": [json.dumps([n, f"row {n}", str(n)]).encode()]})
            (said,) = [json.loads(each) for each in worker(row)["outcome"].to_pylist()[-1:]]
            if said[0] == "ended":
                break
    assert said[:2] == ["ended", "cancelled"] and len(home.provider.asked) - before < 1_000


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"machine": "another"}, "the journal is SQLite"),
        ({"name": "nobody"}, "no task or pipeline 'nobody'"),
        ({"folder": Path("/nowhere")}, "/nowhere"),
        ({"tenant": "another"}, "another project than there"),
    ],
)
def test_a_worker_that_cannot_begin_says_why(home: Home, changes: dict[str, Any], said: str) -> None:
    """In place of asking for a journal that the batch does not see."""
    stands(home, "four.jsonl", "running")
    ((kind, why),) = outcomes(handed(home, "four.jsonl", **changes), "row 0")
    assert kind == "unable" and said in why
