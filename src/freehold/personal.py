"""Everybody their own: habits over a specialist that all share. Each is learnt from its owner's consented rows alone, and answers them only where a
test on rows that it has not seen says that it is better; else the shared one goes on answering."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np

from freehold.chat import canonical_json
from freehold.context.conversation import said_in
from freehold.datasets.versions import find
from freehold.errors import CallerError
from freehold.evaluation.difference import paired
from freehold.evaluation.tested import Rows, tested
from freehold.journal.read import calls
from freehold.journal.rows import digest_of
from freehold.project import Project
from freehold.specialise import rows_of
from freehold.store.files import private_file
from freehold.training.habits import fit_habit
from freehold.training.lesson import Part, read_lesson
from freehold.training.run import Step
from freehold.variants import shelf
from freehold.variants.card import Card, Tested
from freehold.variants.folder import CARD, read_folder, write_folder
from freehold.variants.habit import HABIT, Habit, HabitAnswerer
from freehold.variants.specialist import Answered, Answerer, load, read

LEAST_ROWS = 8
"""Rows that an owner has to have to learn from, and to test on."""
LEVEL = 0.05
"""How often a habit that is no better would be taken for better."""


class Personal(msgspec.Struct, frozen=True, kw_only=True):
    """What came of looking for habits."""

    shared: str
    """The specialist under them."""
    owners: int
    """Everybody with a consented row."""
    too_few: int
    """Of those the ones with too few rows to learn from or to test on."""
    same: int
    """Those who answer as everybody does."""
    not_better: int
    """Those whose habit did no better than the shared specialist on their own test rows: it goes on answering them."""
    won: tuple[str, ...]
    """The habits that stand on the shelf now."""


def personalise(project: Project, name: str, tell: Callable[[Step], None] = lambda _: None) -> Personal:
    """Looks for a habit of every owner over the specialist of that name, on its data set: learnt on the calibration part, tested on the test part,
    of neither of which the shared one has learnt. What won before and wins no longer goes.

    Raises CallerError for a task without `scope`, for a specialist that is somebody's own, and for one whose data set is gone.
    """
    card = shelf.find(project.store, project.tenant, name)
    scope = project.task(card.task).scope
    if scope is None:
        raise CallerError(
            f'Task \'{card.task}\' has no scope: say scope = "subject" or "tenant" under [tasks.{card.task}] who is to have habits.'
        )
    if card.subject is not None:
        raise CallerError(f"'{name}' is somebody's own already. Name the one that all share, '{card.over}'.")
    lesson = read_lesson(find(project.datasets, card.plan.dataset), card.task)
    shared = load(project.store, card)
    learn, check = _by_owner(lesson.calibrate, scope), _by_owner(lesson.test, scope)
    owners = sorted({*learn, *check})
    counts = {"too_few": 0, "same": 0, "not_better": 0}
    won: list[str] = []
    for n, owner in enumerate(owners):
        tell(Step("habits", n, len(owners)))
        found = habit_of(shared, learn.get(owner), check.get(owner))
        old = shelf.habit_name(name, owner)
        for stale in (one for one in shelf.of_subject(project.store, project.tenant, owner) if one.name == old):
            shelf.remove(project.store, stale)
        if isinstance(found, str):
            counts[found] += 1
            continue
        habit, measured, rows = found
        own = _card(project, card, owner, habit, measured, rows)
        shelf.add(project.store, own)
        won.append(own.name)
    return Personal(shared=name, owners=len(owners), won=tuple(won), **counts)


def _by_owner(part: Part, scope: str) -> dict[str, Part]:
    """The consented rows of each owner."""
    rows: dict[str, list[int]] = {}
    for n, owner in enumerate(part.subjects if scope == "subject" else part.customers):
        if owner is not None and part.consents[n] is not None:
            rows.setdefault(owner, []).append(n)
    return {owner: part.those(which) for owner, which in rows.items()}


def habit_of(shared: Answerer, learn: Part | None, check: Part | None) -> tuple[Habit, Tested, dict[str, int]] | str:
    """A habit that its owner's own test prefers, or why there is none: a field of `Personal`. Of the rows to learn from and those to test on the
    shared specialist has learnt nothing."""
    if learn is None or check is None or len(learn) < LEAST_ROWS or len(check) < LEAST_ROWS:
        return "too_few"
    said = shared.answer(learn.texts)
    kept = [n for n, one in enumerate(said) if one is not None]
    habit = fit_habit([one.output for one in said if one is not None], [learn.answers[n] for n in kept])
    if all(canonical_json(one.shared) == canonical_json(one.answer) for one in habit.own):
        return "same"
    own, everybodys = rows_of(HabitAnswerer(shared, habit), check), rows_of(shared, check)
    found = paired(own.score_N, everybodys.score_N, own.group_N, True)
    if not (found.mean > 0 and found.p_above <= LEVEL):
        return "not_better"
    return habit, tested(own, Rows((), (), np.zeros(0, dtype=np.int64)), "choice", 0.0), {"calibrate": len(learn), "test": len(check)}


def _card(project: Project, shared: Card, owner: str, habit: Habit, measured: Tested, rows: dict[str, int]) -> Card:
    return Card(
        name=shelf.habit_name(shared.name, owner),
        tenant=project.tenant,
        task=shared.task,
        format="habit",
        files=shelf.store_files(project.store, {HABIT: msgspec.json.encode(habit)}),
        plan=shared.plan,
        dataset=shared.dataset,
        rows=rows,
        tested=measured,
        made={"chosen by": "its own test rows, which these measures are of too"},
        licence=shared.licence,
        replaces=shared.name,
        subject=owner,
        over=shared.name,
        is_quick=shared.is_quick,
        training_s=0.0,
        training_usd=0.0,
        created_at=datetime.now(UTC),
    )


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody took with them."""

    folder: str
    """Where it lies, absolute."""
    specialists: tuple[str, ...]
    """Their own, and those under them."""
    calls: int
    """Calls about them, with what was asked and answered."""
    messages: int
    """Messages of their conversations."""


def take(project: Project, subject: str, out: Path) -> Taken:
    """Packs what there is of a person, or of a customer, into a folder: their habits with the specialists under them, which answer there without a
    project (`freehold answer`), and their memory: their calls and conversations. Raises CallerError where there is nothing, or `out` holds something.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise CallerError(f"'{out}' is there and not empty. Nothing is replaced; name a new folder.")
    own = shelf.of_subject(project.store, project.tenant, digest_of([project.tenant, subject]))
    under = {name: shelf.find(project.store, project.tenant, name) for name in sorted({card.over for card in own if card.over is not None})}
    theirs = [call for call in calls(project.store, project.tenant) if subject in (call.subject, call.customer)]
    said = said_in(project.store, project.tenant, subject)
    if not own and not theirs and not said:
        raise CallerError(f"There is nothing of '{subject}': no call is about them, and no specialist is theirs.")
    out.mkdir(parents=True, exist_ok=True, mode=0o700)
    for card in (*under.values(), *own):
        write_folder(project.store, card, out / "specialists" / card.name)
    for name, rows in (("calls", theirs), ("messages", said)):
        with private_file(out / "memory" / f"{name}.jsonl") as file:
            file.writelines(msgspec.json.encode(row) + b"\n" for row in rows)
    return Taken(folder=str(out.absolute()), specialists=(*under, *(card.name for card in own)), calls=len(theirs), messages=len(said))


def answer_from(folder: Path, text: str) -> dict[str, Answered | None]:
    """What every specialist in a folder that was taken says to a text, by name; a habit over the one under it. Needs no project and no network.

    Raises CallerError for a folder that holds none, DataError for files that were changed.
    """
    packed = {path.parent.name: read_folder(path.parent) for path in sorted((folder / "specialists").glob(f"*/{CARD}"))}
    if not packed:
        raise CallerError(f"There is no specialist in {folder}: 'freehold take SUBJECT --out {folder}' packs one.")
    answerers: dict[str, Answerer] = {}

    def of(name: str) -> Answerer:
        if name not in answerers:
            card, files = packed[name]
            answerers[name] = read(card, files, lambda: of(str(card.over)))
        return answerers[name]

    return {name: of(name).answer((text,))[0] for name in packed}
