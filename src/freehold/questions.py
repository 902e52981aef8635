"""The items of an evaluation: those of a task's journal, or of a file, and what every variant has answered to each already.

Items of a file are no traffic of the task: their calls are journalled under `TASK@FILE`, where they neither certify nor teach. What the task's
own calls have answered to the very same question counts for them, too.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from heapq import nsmallest
from pathlib import Path
from typing import NamedTuple

import msgspec

from freehold.catalog import Task
from freehold.chat import JSON, Outcome, canonical_json
from freehold.datasets.groups import joined
from freehold.datasets.sample import RESPONDED, by_item, drawn_at
from freehold.errors import CallerError, DataError, nearest
from freehold.journal.build import feedback_id
from freehold.journal.call import Call
from freehold.journal.read import Answer, calls_by_id, slices
from freehold.journal.redact import redact
from freehold.journal.rows import call_row, digest_of
from freehold.journal.shape import shape_of
from freehold.pipelines.rows import BadRow, Row, read_rows
from freehold.project import Project

_KEYS = {"item", "input", "reference_output", "group", "tags", "sources", "subject", "customer"}
_TAG = "tag."
CHUNK = 256
"""Items whose words are in memory at one time."""


class Given(NamedTuple):
    """What a variant answered to an item."""

    call: str
    """The call's id."""
    outcome: Outcome
    """How it ended."""
    cost_usd: float | None
    """What it cost; None is unknown."""
    latency_s: float | None
    """How long it took; None is unknown."""
    digest: str | None
    """Hash of what it said; None where it said nothing."""

    @property
    def has_answer(self) -> bool:
        """Whether it said something that can be looked at."""
        return self.outcome == "answered"


class Question(NamedTuple):
    """One item."""

    item: str
    """What is asked, by name."""
    tags: Mapping[str, str]
    """What it can be told apart by."""
    asked: str
    """Id of a call that holds the question; empty for one of a file."""
    truth: str | None
    """Id of a call that holds the answer as it should have been; None where nobody recorded it, and for one of a file."""
    given: Mapping[str, Given]
    """What was answered to it, by variant."""
    call: Call | None = None
    """The question and the right answer of one of a file, as a call that nobody made."""
    sources: tuple[str, ...] = ()
    """Texts that an answer is to rest on."""


class Questions(NamedTuple):
    """The items of an evaluation."""

    task: Task
    """Whose items they are, with its settings."""
    under: str
    """The task under which calls are journalled that they are asked in."""
    rows: list[Question]
    """In order of the draw where only some were drawn, else by name."""
    groups: tuple[str, ...]
    """The group of each."""
    frame: int
    """How many there are to draw from."""

    @property
    def journalled(self) -> tuple[str, ...]:
        """The tasks whose calls answer them."""
        return tuple(dict.fromkeys((self.task.id, self.under)))


class Whole(NamedTuple):
    """An item with its words."""

    question: Question
    asked: Call
    """A call that holds the question."""
    has_truth: bool
    truth: JSON
    """The answer as it should have been."""
    calls: Mapping[str, Call]
    """What was answered to it, by variant."""


def of_journal(project: Project, task: Task, limit: int | None, seed: int, reference: str | None) -> Questions:
    """The items of a task that anybody was asked. Raises DataError where there is none."""
    named: dict[str, Question] = {}
    groups: dict[str, list[str]] = {}
    for item, rows in by_item(project.store, project.tenant, task.id):
        named[item] = _question(item, rows, reference)
        groups[item] = [row.group for row in rows if row.group is not None]
    if not named:
        raise DataError(
            f"Task '{task.id}' has no calls. Import some with 'freehold import FILE --task {task.id}', or name items by --dataset."
        )
    group = dict(zip(named, joined(list(named), groups.values()), strict=True))
    chosen = _drawn(list(named), limit, seed, project.tenant, task.id)
    return Questions(task, task.id, [named[item] for item in chosen], tuple(group[item] for item in chosen), len(named))


def of_file(project: Project, task: Task, path: Path, limit: int | None, seed: int, now: datetime) -> Questions:
    """The items of a file: JSON lines, CSV or Parquet, a row each, with at least `input`.

    Raises CallerError for rows that are no items, and where the journal has another question by the name of one.
    """
    under = f"{task.id}@{path.name.partition('.')[0]}"
    asked: dict[str, tuple[Call, tuple[str, ...]]] = {}
    for row in read_rows(path):
        call, sources = _read(path, row, project.tenant, under, now)
        if call.item in asked:
            raise CallerError(
                f"{path}, row {row.n + 1}: there is an item '{call.item[:80]}' already. Give each a name of its own, or none."
            )
        asked[call.item] = call, sources
    if not asked:
        raise CallerError(f"{path} has no rows.")
    rule = task.content or project.config.journal.content
    digests = {item: _input_digest(redact(call, rule)) for item, (call, _) in asked.items()}
    recorded: dict[str, list[Answer]] = {item: [] for item in asked}
    for source in (task.id, under):
        for item, rows in by_item(project.store, project.tenant, source):
            if item not in asked:
                continue
            same = [answer for answer in rows if answer.input is None or answer.input == digests[item]]
            if source == under and len(same) < len(rows):
                raise CallerError(
                    f"{path} asks something else by '{item[:80]}' than it did when it was evaluated before. Give the item, or the file, "
                    "another name."
                )
            recorded[item] += [answer for answer in same if answer.input is not None or source == under]
    chosen = _drawn(list(asked), limit, seed, project.tenant, under)
    questions = [Question(item, asked[item][0].tags, "", None, _given(recorded[item]), asked[item][0], asked[item][1]) for item in chosen]
    groups = [[group] if (group := asked[item][0].group) is not None else [] for item in chosen]
    return Questions(task, under, questions, joined(chosen, groups), len(asked))


def whole(project: Project, questions: Iterable[Question], variants: Sequence[str]) -> Iterator[list[Whole]]:
    """The items with their words, some at a time. What was erased meanwhile is left out."""
    for some in slices(list(questions), CHUNK):
        given = {id for question in some for name in variants if (one := question.given.get(name)) is not None for id in (one.call,)}
        held = {id for question in some for id in (question.asked, question.truth) if id}
        with project.store.reading() as connection:
            found = calls_by_id(project.store, connection, sorted(given | held))
        yield [made for question in some if (made := _whole(question, found, variants)) is not None]


def _whole(question: Question, found: Mapping[str, Call], variants: Sequence[str]) -> Whole | None:
    asked = question.call or found.get(question.asked)
    if asked is None:
        return None
    right = question.call if question.call is not None else found.get(question.truth or "")
    truth = right.reference_output if right is not None else None
    kept = right is not None and right.reference_digest is not None and right.reference_digest == digest_of(truth)
    calls = {name: found[one.call] for name in variants if (one := question.given.get(name)) is not None and one.call in found}
    return Whole(question, asked, kept, truth if kept else None, calls)


def _question(item: str, rows: Sequence[Answer], reference: str | None) -> Question:
    with_words = [row for row in rows if row.input is not None] or list(rows)
    asked = next((row for row in reversed(with_words) if row.variant == reference), with_words[-1])
    truth = next((row.call for row in reversed(rows) if row.reference_digest is not None), None)
    return Question(item, asked.tags, asked.call, truth, _given(rows))


def _given(rows: Iterable[Answer]) -> dict[str, Given]:
    """Of each variant the last answer, or where it never said anything how asking it ended. What we broke off ourselves was not asked."""
    found: dict[str, Given] = {}
    for row in rows:
        known = found.get(row.variant)
        if row.outcome != "cancelled" and (known is None or row.outcome in RESPONDED or known.outcome not in RESPONDED):
            found[row.variant] = Given(row.call, row.outcome, row.cost_usd, row.latency_s, row.output_digest)
    return found


def _drawn(items: list[str], limit: int | None, seed: int, tenant: str, task: str) -> list[str]:
    """All items by name, or the first so many in the seed's order."""
    if limit is None or limit >= len(items):
        return sorted(items)
    return nsmallest(limit, items, key=lambda item: (drawn_at(seed, tenant, task, item), item))


def _read(path: Path, row: Row | BadRow, tenant: str, task: str, now: datetime) -> tuple[Call, tuple[str, ...]]:
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
    return (
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


def scored_id(call: str, scorer: str, evaluation: str) -> str:
    """The id under which an evaluation's score of a call is journalled: the same evaluation says one thing of it."""
    return feedback_id(call, scorer, f"scorer:{scorer}", evaluation)
