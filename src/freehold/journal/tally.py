"""What became of every line of an import: counted while it runs, reported at its end, bounded whatever the file holds."""

from collections import Counter
from typing import TypeVar

import msgspec

from freehold.journal.build import Entry
from freehold.journal.call import LabelDesign
from freehold.journal.survey import Survey
from freehold.journal.write import Appended

MOST_PROBLEMS = 100
_MOST_NAMES = 1_000
Key = TypeVar("Key")
UNTASKED = ""
"""Under which calls without a task are counted."""


class Problem(msgspec.Struct, frozen=True):
    """A line that did not go in."""

    file: str
    """Where it stands."""
    line: int
    """Its number, from 1."""
    reason: str
    """What is wrong, what was expected, what to do."""


class IngestReport(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an import."""

    files: tuple[str, ...]
    """What was read, in order."""
    refused: tuple[str, ...]
    """Those of `files` of which nothing went in, because `--strict` found a problem."""
    lines: int
    """Lines or rows seen, empty ones at an end not counted."""
    added: int
    """Calls that are new in the journal."""
    present: int
    """Calls that were there already, or stood twice in the file, the same each time."""
    conflicts: int
    """Lines that say something else of a call or score that is there already. The first stays."""
    conflicting: tuple[Problem, ...]
    """The first hundred of those."""
    problem_count: int
    """Lines that are no record."""
    problems: tuple[Problem, ...]
    """The first hundred of those."""
    counts: dict[str, dict[str, int]]
    """Good lines by task (empty for none) and variant; beyond a thousand pairs the rest stands under `…`."""
    scores: int
    """Scores that came with good lines."""
    unpriced: dict[str, int]
    """Model names without a known price, and how many calls that leaves without a cost."""
    unknown_costs: int
    """Good lines whose cost is unknown, for want of a price or of usage."""
    notes: tuple[str, ...]
    """What the label design was taken to mean, and where it does not fit."""
    seconds: float
    """How long it took."""
    calls_per_s: float
    """Good lines a second."""


class Tally:
    """The counts while an import runs."""

    def __init__(self, design: LabelDesign) -> None:
        self.files: list[str] = []
        self.lines = self.added = self.present = 0
        self._design = design
        self._refused: list[str] = []
        self._conflicts = self._problem_count = self._good = self._scores = self._unknown_costs = 0
        self._conflicting: list[Problem] = []
        self._problems: list[Problem] = []
        self._pairs: Counter[tuple[str, str]] = Counter()
        self._unpriced: Counter[str] = Counter()
        self._notes: list[str] = []

    def entry(self, entry: Entry) -> None:
        """Counts a good line."""
        call = entry.call
        task = call.task or UNTASKED
        self._good += 1
        self._scores += len(entry.feedback)
        pair = task, call.variant
        self._pairs[pair if pair in self._pairs else _bounded(self._pairs, pair, ("…", "…"))] += 1
        if call.cost_usd is None:
            self._unknown_costs += 1
            if entry.unpriced is not None:
                self._unpriced[_bounded(self._unpriced, entry.unpriced, "…")] += 1

    def problem(self, file: str, line: int, reason: str) -> None:
        """Counts a line that is no record, and keeps the first of them."""
        self._problem_count += 1
        if len(self._problems) < MOST_PROBLEMS:
            self._problems.append(Problem(file, line, reason))

    def conflict(self, file: str, line: int, reason: str) -> None:
        """Counts a line that contradicts an earlier one."""
        self._conflicts += 1
        self.explain(file, line, reason)

    def explain(self, file: str, line: int, reason: str) -> None:
        """Says why a conflict that is counted already is one."""
        if len(self._conflicting) < MOST_PROBLEMS:
            self._conflicting.append(Problem(file, line, reason))

    def stored(self, stored: Appended) -> None:
        """Counts what a sink did with a batch."""
        self.added += stored.added
        self.present += stored.present
        self._conflicts += len(stored.conflicts)

    def refuse(self, file: str, found: Survey) -> None:
        """Notes a file of which nothing goes in."""
        self.lines += found.lines
        self._refused.append(file)
        self._problem_count += found.problem_count
        for line, reason in found.problems[: MOST_PROBLEMS - len(self._problems)]:
            self._problems.append(Problem(file, line, reason))

    def note_design(self, file: str, found: Survey) -> None:
        """Says which inclusion probability an audit's scores got, and which census is none."""
        for (task, metric), (scored, items) in sorted(found.drawn.items(), key=str):
            have = f"{file}: {scored} of {items} items{_of(task or UNTASKED)} have a score '{metric}'"
            if self._design == "audit":
                self._notes.append(
                    f"{have}; taken as drawn at random, each with probability {scored / items:.4g}, unless its tags.inclusion says otherwise"
                )
            elif self._design == "census" and scored < items:
                self._notes.append(
                    f"{have}; a census is one only where every item was judged, so these count as found, which certifies nothing. If they "
                    "were drawn at random, import them as an audit"
                )

    def report(self, seconds: float) -> IngestReport:
        """The counts as a record."""
        counts: dict[str, dict[str, int]] = {}
        for (task, variant), count in sorted(self._pairs.items()):
            counts.setdefault(task, {})[variant] = count
        return IngestReport(
            files=tuple(self.files),
            refused=tuple(self._refused),
            lines=self.lines,
            added=self.added,
            present=self.present,
            conflicts=self._conflicts,
            conflicting=tuple(sorted(self._conflicting, key=lambda p: (self.files.index(p.file), p.line))),
            problem_count=self._problem_count,
            problems=tuple(self._problems),
            counts=counts,
            scores=self._scores,
            unpriced=dict(self._unpriced.most_common()),
            unknown_costs=self._unknown_costs,
            notes=tuple(self._notes),
            seconds=seconds,
            calls_per_s=self._good / seconds if seconds > 0 else 0.0,
        )


def _of(task: str) -> str:
    return f" of task '{task}'" if task else ""


def _bounded(counter: Counter[Key], key: Key, rest: Key) -> Key:
    return key if key in counter or len(counter) < _MOST_NAMES else rest
