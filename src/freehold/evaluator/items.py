"""The items of an evaluation that stand in a file or in a frozen data set.

They are no traffic of the task: their calls are journalled under `TASK@NAME`, where they neither certify nor teach. What the task's own calls have
answered to the very same question counts for them, too.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from freehold.catalog import Task
from freehold.chat import JSON, canonical_json
from freehold.datasets.example import Example
from freehold.datasets.groups import joined
from freehold.datasets.sample import by_item
from freehold.datasets.split import PARTS
from freehold.datasets.table import batches_of, examples_in
from freehold.datasets.versions import ROWS, find, intact
from freehold.errors import CallerError, nearest
from freehold.evaluator.questions import Question, Questions, drawn, given_by
from freehold.journal.call import Call
from freehold.journal.read import Answer, calls_by_id
from freehold.journal.redact import redact
from freehold.journal.rows import call_row, digest_of
from freehold.journal.shape import shape_of
from freehold.pipelines.rows import BadRow, Row, read_rows
from freehold.project import Project

_KEYS = {"item", "input", "reference_output", "group", "tags", "sources", "subject", "customer"}
_TAG = "tag."


class Given(NamedTuple):
    """An item as it was handed in."""

    call: Call
    """The question and the right answer, as a call that nobody made."""
    sources: tuple[str, ...] = ()
    """Texts that an answer is to rest on."""


def items_of(project: Project, task: Task, said: str, limit: int | None, seed: int, now: datetime) -> Questions:
    """The items of `FILE`, or of the data set `NAME[@HASH][/PART]`.

    Raises CallerError for what is neither, for rows that are no items, and where the journal has another question by the name of one.
    """
    path = Path(said)
    is_file = path.exists() or path.suffix.lower() in (".jsonl", ".ndjson", ".csv", ".tsv", ".parquet", ".pq", ".gz")
    if is_file:
        return _known(project, task, said, f"{task.id}@{path.name.partition('.')[0]}", _of_file(project, task, path, now), limit, seed)
    name, _, part = said.partition("/")
    under = f"{task.id}@{name.partition('@')[0]}"
    return _known(project, task, said, under, _of_dataset(project, task, name, part, under), limit, seed)


def _of_file(project: Project, task: Task, path: Path, now: datetime) -> dict[str, Given]:
    asked: dict[str, Given] = {}
    for row in read_rows(path):
        given = _read(path, row, project.tenant, f"{task.id}@{path.name.partition('.')[0]}", now)
        if given.call.item in asked:
            raise CallerError(
                f"{path}, row {row.n + 1}: there is an item '{given.call.item[:80]}' already. Give each a name of its own, or none."
            )
        asked[given.call.item] = given
    if not asked:
        raise CallerError(f"{path} has no rows.")
    return asked


def _of_dataset(project: Project, task: Task, name: str, part: str, under: str) -> dict[str, Given]:
    """The rows of the task in a part of a data set: of its test part where it has one and none is named. Of rows of one item the first counts."""
    if part and part not in PARTS:
        raise CallerError(f"--dataset {name}/{part}: a data set has no part '{part}'.{nearest(part, list(PARTS))}")
    version = intact(find(project.datasets, name))
    wanted = part or (PARTS[-1] if version.manifest.parts.get(PARTS[-1]) else "")
    asked: dict[str, Given] = {}
    for table in batches_of(version.folder / ROWS):
        splits = table.column("split").to_pylist()
        rows = [row for row, split in zip(examples_in(table), splits, strict=True) if row.task == task.id and split == (wanted or split)]
        subjects = dict(_subjects(project, rows))
        for row in rows:
            if row.item not in asked:
                asked[row.item] = Given(_call_of(row, project.tenant, under, subjects.get(row.id)))
    if not asked:
        where = f"the part '{wanted}' of " if wanted else ""
        raise CallerError(
            f"There is no row of task '{task.id}' in {where}data set '{name}'. 'freehold dataset show {name}' says what it has."
        )
    return asked


def _subjects(project: Project, rows: list[Example]) -> Iterator[tuple[str, str | None]]:
    """By row the person it is about, as the journal names them: what is asked of it now has to be found when they are erased."""
    with project.store.reading() as connection:
        found = calls_by_id(project.store, connection, sorted({row.calls[0] for row in rows if row.calls}))
    return ((row.id, found[row.calls[0]].subject) for row in rows if row.calls and row.calls[0] in found)


def _call_of(row: Example, tenant: str, under: str, subject: str | None) -> Call:
    return Call(
        id="",
        tenant=tenant,
        task=under,
        variant="",
        item=row.item,
        input=row.input,
        group=row.group,
        subject=subject,
        tags=row.tags,
        reference_output=row.output,
        reference_digest=digest_of(row.output),
        shape=shape_of(row.input),
    )


def _known(project: Project, task: Task, said: str, under: str, asked: Mapping[str, Given], limit: int | None, seed: int) -> Questions:
    """The items with what was answered to them."""
    rule = task.content or project.config.journal.content
    digests = {item: _input_digest(redact(given.call, rule)) for item, given in asked.items()}
    recorded: dict[str, list[Answer]] = {item: [] for item in asked}
    for source in (task.id, under):
        for item, rows in by_item(project.store, project.tenant, source):
            if item not in asked:
                continue
            same = [answer for answer in rows if answer.input is None or answer.input == digests[item]]
            if source == under and len(same) < len(rows):
                raise CallerError(
                    f"{said} asks something else by '{item[:80]}' than it did when it was evaluated before. Give the item, or the file, "
                    "another name."
                )
            recorded[item] += [answer for answer in same if answer.input is not None or source == under]
    chosen = drawn(list(asked), limit, seed, project.tenant, under)
    questions = [
        Question(item, asked[item].call.tags, "", None, given_by(recorded[item]), asked[item].call, asked[item].sources) for item in chosen
    ]
    groups = [[group] if (group := asked[item].call.group) is not None else [] for item in chosen]
    return Questions(task, under, questions, joined(chosen, groups), len(asked))


def _read(path: Path, row: Row | BadRow, tenant: str, task: str, now: datetime) -> Given:
    where = f"{path}, row {row.n + 1}"
    if isinstance(row, BadRow):
        raise CallerError(f"{where} cannot be read: {row.why}")
    if not isinstance(row.value, dict):
        raise CallerError(f"{where} is {str(row.value)[:60]!r}; expected an object with an 'input', and what else is known of the item.")
    value = row.value
    for key in value:
        if key not in _KEYS and not key.startswith(_TAG):
            raise CallerError(
                f"{where} has '{key}', which an item does not have.{nearest(key, sorted(_KEYS))} Tags stand in 'tags', or in 'tag.NAME'."
            )
    if value.get("input") is None:
        raise CallerError(f"{where} has no 'input': what is to be asked.")
    said = value.get("tags")
    tags = {**(said if isinstance(said, dict) else {}), **{key.removeprefix(_TAG): value[key] for key in value if key.startswith(_TAG)}}
    texts = {key: _text(where, key, value.get(key)) for key in ("item", "group", "subject", "customer")}
    sources = value.get("sources") or ()
    if isinstance(sources, str):
        sources = (sources,)
    if not isinstance(sources, list | tuple) or not all(isinstance(source, str) for source in sources):
        raise CallerError(f"{where} has sources that are no list of texts.")
    asked = value["input"]
    has_truth = "reference_output" in value
    truth = value.get("reference_output")
    return Given(
        Call(
            id="",
            tenant=tenant,
            task=task,
            variant="",
            item=texts["item"] or digest_of(asked),
            input=asked,
            group=texts["group"],
            subject=texts["subject"],
            customer=texts["customer"],
            tags={key: text for key, told in tags.items() if (text := _text(where, key, told)) is not None},
            reference_output=truth,
            reference_digest=digest_of(truth) if has_truth else None,
            at=now,
            shape=shape_of(asked),
        ),
        tuple(str(source) for source in sources),
    )


def _text(where: str, key: str, value: JSON) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, int | float | bool):
        return canonical_json(value).decode()
    raise CallerError(f"{where} has a '{key}' that is {str(value)[:60]!r}; expected a text.")


def _input_digest(call: Call) -> bytes | None:
    contents = call_row(msgspec.structs.replace(call, id="x", output=None, reference_output=None)).contents
    return contents[0][0] if contents else None
