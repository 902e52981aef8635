"""Data sets of a project: built, traced, exported; and a person erased from everything that was made of their calls."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from freehold.datasets.build import Sources, build
from freehold.datasets.contamination import Evaluation, shingled
from freehold.datasets.erase import ErasedFrom, Theirs, erase_from, remove
from freehold.datasets.example import Example
from freehold.datasets.export import Exported, Wanted, export
from freehold.datasets.freeze import erase_frozen, thaw
from freehold.datasets.recipe import Recipe
from freehold.datasets.split import TRAIN, Fractions
from freehold.datasets.versions import Version, find, intact, rows_alike, texts_of, versions
from freehold.errors import CallerError, OperatorError
from freehold.evaluation import records as evaluations
from freehold.journal.answers import items_of_subject
from freehold.journal.call import Call, Feedback
from freehold.journal.erase import erase, named_by
from freehold.journal.read import calls_by_id, feedback_by_id
from freehold.journal.redact import redact_text
from freehold.journal.rows import digest_of
from freehold.pipelines.rewarding import reward_of
from freehold.project import Project
from freehold.promotion import records
from freehold.promotion.certify import parts
from freehold.promotion.gate import active_hash
from freehold.store.lock import KernelLock
from freehold.training.run import Forgotten, forget_unfinished
from freehold.variants import shelf
from freehold.variants.card import Card

Report = Callable[[str], None]
"""Told what is being done, for people who wait."""
_OTHERS_S = 600.0
"""How long a build waits for somebody else who works on data sets of the project."""


def build_dataset(project: Project, recipe: Recipe, say: Report = lambda _: None, wait_s: float = _OTHERS_S) -> Version:
    """Builds a data set by its recipe and freezes it. Nothing in its training part is a text of any evaluation set of the project.

    Raises CallerError, DataError, and StoreBusy where another build takes longer than `wait_s`.
    """
    with datasets_alone(project, wait_s):
        sources = Sources(
            store=project.store,
            tenant=project.tenant,
            config=project.config,
            evaluations=evaluation_sets(project),
            declared=reward_of,
        )
        return build(sources, recipe, project.datasets, datetime.now(UTC), say)


def evaluation_sets(project: Project) -> Iterator[Evaluation]:
    """What nothing may be trained on: test parts of data sets, data sets for evaluation, and what certificates were proved and tested on."""
    for version in versions(project.datasets):
        yield Evaluation(f"{version.label} test", shingled(texts_of(version, "test")))
    seen: set[str] = set()
    for certificate in records.certificates_on_data(project.store, project.tenant):
        path = project.folder / (certificate.dataset or "")
        if certificate.dataset_hash not in seen and path.is_file():
            seen.add(certificate.dataset_hash)
            pairs, part_N, _ = parts(thaw(path), project.tenant, Fractions(certificate.train_fraction, certificate.calibrate_fraction))
            texts = (redact_text(text) for text, part in zip(pairs.texts, part_N, strict=True) if part != TRAIN)
            yield Evaluation(f"certificate {certificate.id[:12]}", shingled(texts))


class Lineage(NamedTuple):
    """All that a row came from, as far as the journal still has it."""

    row: Example
    split: str
    calls: tuple[Call, ...]
    feedback: tuple[Feedback, ...]
    missing: tuple[str, ...]
    """Ids that the journal no longer has."""


def lineage(project: Project, version: Version, start: str) -> Lineage:
    """The row whose id begins so, with its calls and what was said about them. Raises CallerError where none or several do."""
    rows = list(rows_alike(version, start))
    if len(rows) != 1:
        raise CallerError(f"{len(rows)} rows of {version.label} have an id that begins with '{start}'; expected one. Say more of it.")
    row, split = rows[0]
    with project.store.reading() as connection:
        asked = calls_by_id(project.store, connection, row.calls)
        said = feedback_by_id(connection, row.feedback)
    missing = [id for id in (*row.calls, *row.feedback) if id not in asked and id not in said]
    return Lineage(
        row=row,
        split=split,
        calls=tuple(asked[id] for id in row.calls if id in asked),
        feedback=tuple(said[id] for id in row.feedback if id in said),
        missing=tuple(missing),
    )


@contextmanager
def datasets_alone(project: Project, wait_s: float = _OTHERS_S) -> Iterator[None]:
    """Nobody else builds, exports or erases data sets of the project meanwhile: what is built during an erasure would bring the person back.

    Raises StoreBusy.
    """
    lock = KernelLock(project.folder / ".datasets.lock")
    try:
        with lock.held(wait_s):
            yield
    finally:
        lock.close()


def export_dataset(project: Project, name: str, wanted: Wanted, out: Path) -> Exported:
    """Writes a version in the form that others read. Raises CallerError, DataError, StoreBusy."""
    with datasets_alone(project):
        version = intact(find(project.datasets, name))
        instructions = {task.id: task.instruction for task in project.catalog.tasks.values()}
        return export(version, wanted, out, instructions, datetime.now(UTC))


def erase_dataset(project: Project, name: str) -> ErasedFrom:
    """Removes all versions of a data set, or the one that is named. Raises CallerError, StoreBusy."""
    with datasets_alone(project):
        found = find(project.datasets, name)
        return remove([found] if "@" in name else versions(project.datasets, found.manifest.name))


def taught_by(project: Project, hashes: set[str]) -> list[Card]:
    """The specialists that learnt from any of these versions, and all that went on from those, oldest first."""
    return [card for card in shelf.on_shelf(project.store, project.tenant) if not hashes.isdisjoint(card.learnt_from)]


class Erased(NamedTuple):
    """What an erasure removed."""

    calls: int
    said: int
    """Signals about those calls, and signals that the person gave about others'."""
    frozen: dict[str, int]
    """Items by frozen data set; certificates on those are unverifiable from now on."""
    learnt: tuple[str, ...]
    """What was trained on such data and keeps what it learnt: policies, as `TASK HASH` and `(active)` where they are served."""
    specialists: tuple[str, ...]
    """Specialists that learnt from data sets with their rows, and those that went on from such, as `NAME@HASH`: they keep what they learnt."""
    own: tuple[str, ...]
    """Specialists that were theirs alone, and are removed."""
    unfinished: Forgotten
    """Training runs that had not ended: some of what they have learnt may be of this person."""
    unreadable: tuple[str, ...]
    """Frozen files that are damaged, so that nobody can say whose items they hold."""
    evaluations: dict[str, int]
    """Items by evaluation whose single scores are gone; its sums stay."""
    datasets: ErasedFrom = ErasedFrom()
    """What became of data sets, and of what was exported of them."""


def erase_subject(project: Project, subject: str) -> Erased:
    """Removes a person's calls, signals and memory from the journal, and their rows and items from every data set and frozen file.

    Data sets first, for the journal knows by which calls and signals their rows are found: after a crash in between, erasing again finds
    what is left. Raises OperatorError while calls wait outside the journal: they may be this person's, and would come in afterwards.
    """
    if any(project.spool.glob("*")):
        raise OperatorError(
            f"Calls wait in '{project.spool}' that are not in the journal, and may be this person's. Let 'freehold serve' bring them in, or "
            "remove the files, then erase. 'freehold doctor' says what there is."
        )
    items: dict[str, set[str]] = {}
    for task, item in items_of_subject(project.store, project.tenant, subject):
        items.setdefault(task, set()).add(item)
    with datasets_alone(project):
        ours = named_by(project.store, project.tenant, subject)
        held = {version.label: {version.manifest.hash, *version.manifest.stands_for} for version in versions(project.datasets)}
        theirs = Theirs(digest_of([project.tenant, subject]), ours.calls, ours.feedback)
        renewed = erase_from(project.datasets, theirs, datetime.now(UTC))
        removed = erase_frozen(project.datasets, items)
        evaluated = evaluations.erase(project.store, project.tenant, project.folder, items)
        counts = erase(project.store, project.tenant, subject, datetime.now(UTC))
        unfinished = forget_unfinished(project.folder)
    own = shelf.of_subject(project.store, project.tenant, digest_of([project.tenant, subject]))
    for card in own:
        shelf.remove(project.store, card)
    rows = records.policies_from(project.store, project.tenant, removed.items)
    active = {task: active_hash(project.store, project.tenant, task) for task in {row.task for row in rows}}
    learnt = [f"{row.task} {row.hash[:12]}{' (active)' if active[row.task] == row.hash else ''}" for row in rows if row.artefact]
    return Erased(
        calls=counts.calls,
        said=counts.feedback,
        frozen=removed.items,
        learnt=tuple(learnt),
        specialists=tuple(card.label for card in taught_by(project, set().union(*(held[one.old] for one in renewed.renewed)))),
        own=tuple(card.label for card in own),
        unfinished=unfinished,
        unreadable=tuple(map(str, (*removed.unreadable, *evaluated.unreadable))),
        evaluations=evaluated.evaluations,
        datasets=renewed,
    )
