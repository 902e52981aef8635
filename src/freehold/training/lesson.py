"""What is learnt: the rows of a frozen data set as columns, each part by itself, looked at for what no method can learn from."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from freehold.chat import JSON, canonical_json, text_of
from freehold.datasets.example import Example
from freehold.datasets.split import PARTS
from freehold.datasets.table import batches_of, examples_in
from freehold.datasets.versions import ROWS, Version
from freehold.errors import TrainingError
from freehold.variants.spans import form_of, share_found

Shape: TypeAlias = Literal["choice", "labels", "spans", "fields", "text"]
"""Of answers: one of few, a list of some of few, stretches of the text with a label each, an object whose values stand in the text,
or anything else."""
MOST_CHOICES = 500
"""A task with more different answers than this asks for something else than a choice."""
_WORTH = ("corrections", "reviewed", "calls", "preferences")
"""Kinds of rows, those first that one learns most from."""
_ENOUGH_FOUND = 0.8
"""Share of answers all of whose values have to stand in their text for the answers to be fields."""


@dataclass(frozen=True, slots=True)
class Part:
    """The rows of one part, N of them, in the order of their ids, which is the same in every build."""

    texts: tuple[str, ...]
    """What was asked, as policies see it."""
    answers: tuple[JSON, ...]
    """What is to be answered."""
    ids: tuple[str, ...]
    """The rows' ids."""
    groups: tuple[str, ...]
    """What depends on each other shares one."""
    subjects: tuple[str | None, ...]
    """Hash of the person each is about."""
    customers: tuple[str | None, ...]
    """Hash of the customer each was billed to."""
    consents: tuple[str | None, ...]
    """What the use of each rests on; None where nobody said."""
    items: tuple[str, ...]
    """What was asked, by name."""
    inputs: tuple[JSON, ...]
    """What was asked, as it was: words, conversations or values of a typed task."""
    licences: tuple[str | None, ...]
    """On what licence each may be used; None where nobody said."""
    teachers: tuple[str | None, ...]
    """The variant whose answer each row has; None where people said it."""
    beliefs: tuple[Mapping[str, float], ...]
    """How probable the teacher of each held every answer, by `journal.probable.answer_key`, as far as that is recorded."""
    rewards: tuple[float | None, ...]
    """What the answers were found to be worth, in [0, 1], by the task's rule; None where nobody said."""

    def __len__(self) -> int:
        return len(self.texts)

    def those(self, which: Iterable[int]) -> "Part":
        """Some of the rows."""
        rows = [int(n) for n in which]
        return Part(*(tuple(column[n] for n in rows) for column in self._columns()))

    def __add__(self, other: "Part") -> "Part":
        return Part(*(one + two for one, two in zip(self._columns(), other._columns(), strict=True)))

    def _columns(self) -> tuple[tuple[Any, ...], ...]:
        return tuple(getattr(self, one.name) for one in fields(self))

    @property
    def group_N(self) -> NDArray[np.int64]:
        """The groups as numbers."""
        _, code_N = np.unique(np.asarray(self.groups, dtype=object).astype(str), return_inverse=True)
        return np.asarray(code_N, dtype=np.int64)


NO_ROWS = Part(*((),) * 13)


def plain(texts: Sequence[str], answers: Sequence[JSON], groups: Sequence[str] | None = None) -> Part:
    """Rows of which no more is known than which of them depend on each other; on nothing where no groups are named."""
    ids, nobody = tuple(map(str, range(len(texts)))), (None,) * len(texts)
    return Part(
        texts=tuple(texts),
        answers=tuple(answers),
        ids=ids,
        groups=ids if groups is None else tuple(groups),
        subjects=nobody,
        customers=nobody,
        consents=nobody,
        items=ids,
        inputs=tuple(texts),
        licences=nobody,
        teachers=nobody,
        beliefs=({},) * len(texts),
        rewards=nobody,
    )


@dataclass(frozen=True, slots=True)
class Lesson:
    """A data set as a method sees it."""

    train: Part
    """What is learnt from."""
    calibrate: Part
    """What settings are chosen by: temperature, thresholds, when to stop."""
    test: Part
    """What nothing is chosen by."""
    shape: Shape
    """What its answers are."""
    dataset: str = ""
    """The version it is, `NAME@HASH`; empty for rows of no data set."""
    stands_for: tuple[str, ...] = ()
    """Hashes of versions that this one is what is left of, after erasures."""
    contradictions: int = 0
    """Rows of the training part whose text stands there with another answer as well."""

    @property
    def choices(self) -> tuple[JSON, ...]:
        """The different answers of the training part; of lists, what stands in them. In the order of their canonical JSON."""
        answers: Iterable[JSON] = self.train.answers
        if self.shape in ("labels", "spans"):
            answers = (one for answer in self.train.answers if isinstance(answer, list) for one in answer)
        by_key = {canonical_json(answer): answer for answer in answers}
        return tuple(by_key[key] for key in sorted(by_key))


def read_lesson(version: Version, task: str) -> Lesson:
    """The rows of a task in a data set, preferences left out: of one item those of the kind that is worth most.

    Raises TrainingError where there is nothing to learn.
    """
    rows: dict[str, list[Example]] = {part: [] for part in PARTS}
    for table in batches_of(version.folder / ROWS):
        for example, part in zip(examples_in(table), table.column("split").to_pylist(), strict=True):
            if example.task == task and example.kind != "preferences":
                rows[part].append(example)
    train, calibrate, test = (part_of(_best_of_each(rows[part])) for part in PARTS)
    lesson = lesson_of(train, calibrate, test, version.label, task)
    return replace(lesson, dataset=f"{version.manifest.name}@{version.manifest.hash}", stands_for=version.manifest.stands_for)


def _best_of_each(examples: Sequence[Example]) -> list[Example]:
    """Of rows about one item those of the kind that is worth most: what people wrote before what a variant answered."""
    best: dict[str, int] = {}
    for example in examples:
        best[example.item] = min(best.get(example.item, len(_WORTH)), _WORTH.index(example.kind))
    return [example for example in examples if _WORTH.index(example.kind) == best[example.item]]


def part_of(examples: Iterable[Example]) -> Part:
    """Rows as columns."""
    ordered = sorted(examples, key=lambda row: row.id)
    return Part(
        tuple(text_of(row.input) for row in ordered),
        tuple(row.output for row in ordered),
        tuple(row.id for row in ordered),
        tuple(row.group or row.item for row in ordered),
        tuple(row.subject for row in ordered),
        tuple(row.customer for row in ordered),
        tuple(row.consent for row in ordered),
        tuple(row.item for row in ordered),
        tuple(row.input for row in ordered),
        tuple(row.licence for row in ordered),
        tuple(row.variant if row.kind == "calls" else None for row in ordered),
        tuple(row.probabilities for row in ordered),
        tuple(row.reward for row in ordered),
    )


def lesson_of(train: Part, calibrate: Part, test: Part, name: str = "the data", task: str = "") -> Lesson:
    """A lesson that can be learnt. Raises TrainingError, which says what is missing."""
    if not len(train):
        raise TrainingError(
            f"{name} has no rows of task '{task}' in its training part. 'freehold dataset show' says what it has; build one with such rows."
        )
    return Lesson(train, calibrate, test, shape_of(train.answers, train.texts), contradictions=_contradictions(train))


def check_several(lesson: Lesson, task: str) -> None:
    """Raises TrainingError where there is nothing to tell apart."""
    train = lesson.train
    if lesson.shape == "choice" and len(lesson.choices) < 2:
        name, _, hash = lesson.dataset.partition("@")
        where = f" in {name}@{hash[:12]}" if name else ""
        raise TrainingError(
            f"All {len(train):,} training rows of '{task}'{where} have the one answer {str(train.answers[0])[:80]!r}: there is nothing to tell "
            "apart. Add rows with other answers, or answer it by a rule."
        )


def shape_of(answers: Sequence[JSON], texts: Sequence[str] = ()) -> Shape:
    """What answers are: by what all of them have in common, and by what of it stands in the texts where those are given."""
    form = form_of(answers)
    if form is not None and form.keys:
        return "spans"
    if answers and all(isinstance(answer, list) for answer in answers):
        inner = [one for answer in answers if isinstance(answer, list) for one in answer]
        if all(isinstance(one, str | int | bool) for one in inner) and len({canonical_json(one) for one in inner}) <= MOST_CHOICES:
            return "labels"
        return "text"
    if form is not None and texts and share_found(form, texts, answers) >= _ENOUGH_FOUND:
        return "fields"
    distinct = len({canonical_json(answer) for answer in answers})
    return "choice" if distinct <= MOST_CHOICES and len(answers) >= 2 * distinct else "text"


def _contradictions(part: Part) -> int:
    said: dict[str, set[bytes]] = {}
    for text, answer in zip(part.texts, part.answers, strict=True):
        said.setdefault(text, set()).add(canonical_json(answer))
    counts = Counter(part.texts)
    return sum(n for text, n in counts.items() if len(said[text]) > 1)
