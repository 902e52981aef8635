"""The items of an evaluation and what every variant has answered to each already: here those of a task's journal."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from heapq import nsmallest
from typing import NamedTuple

from freehold.catalog import Task
from freehold.chat import JSON, Outcome
from freehold.datasets.groups import joined
from freehold.datasets.sample import RESPONDED, by_item, drawn_at
from freehold.errors import DataError
from freehold.journal.build import feedback_id
from freehold.journal.call import Call
from freehold.journal.read import Answer, calls_by_id, slices
from freehold.journal.rows import digest_of
from freehold.project import Project

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
    chosen = drawn(list(named), limit, seed, project.tenant, task.id)
    return Questions(task, task.id, [named[item] for item in chosen], tuple(group[item] for item in chosen), len(named))


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
    return Question(item, asked.tags, asked.call, truth, given_by(rows))


def given_by(rows: Iterable[Answer]) -> dict[str, Given]:
    """Of each variant the last answer, or where it never said anything how asking it ended. What we broke off ourselves was not asked."""
    found: dict[str, Given] = {}
    for row in rows:
        known = found.get(row.variant)
        if row.outcome != "cancelled" and (known is None or row.outcome in RESPONDED or known.outcome not in RESPONDED):
            found[row.variant] = Given(row.call, row.outcome, row.cost_usd, row.latency_s, row.output_digest)
    return found


def drawn(items: list[str], limit: int | None, seed: int, tenant: str, task: str) -> list[str]:
    """All items by name, or the first so many in the seed's order."""
    if limit is None or limit >= len(items):
        return sorted(items)
    return nsmallest(limit, items, key=lambda item: (drawn_at(seed, tenant, task, item), item))


def scored_id(call: str, scorer: str, evaluation: str) -> str:
    """The id under which an evaluation's score of a call is journalled: the same evaluation says one thing of it."""
    return feedback_id(call, scorer, f"scorer:{scorer}", evaluation)
