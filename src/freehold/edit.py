"""Programs of specialists as people see them: read, compared, and changed by hand, which makes a specialist of its own."""

from datetime import UTC, datetime
from difflib import unified_diff

import msgspec

from freehold.chat import canonical_json
from freehold.datasets.versions import intact, standing, versions
from freehold.errors import CallerError
from freehold.project import Project
from freehold.specialise import rows_of, test
from freehold.training.lesson import read_lesson
from freehold.variants import shelf
from freehold.variants.card import Card
from freehold.variants.code import CARD, SOURCE, Stopped, answerer_of, load


def source_of(project: Project, name: str) -> tuple[Card, str]:
    """A specialist that is a program, and the program. Raises CallerError for one that is none."""
    card = shelf.find(project.store, project.tenant, name)
    if card.format != "code":
        raise CallerError(f"'{name}' is no program but of the format '{card.format}'; 'freehold train TASK --method code' makes one.")
    return card, shelf.read_files(project.store, card)[SOURCE].decode()


def compared(project: Project, before: str, after: str) -> str:
    """In what two programs differ, line by line; empty where they do not."""
    old, new = (source_of(project, name)[1].splitlines(keepends=True) for name in (before, after))
    return "".join(unified_diff(old, new, before, after))


def edited(project: Project, name: str, source: str, new_name: str | None = None) -> Card:
    """A specialist of a program that somebody changed: tested at once on the rows that the one before was tested on, and put on the shelf beside it.

    Raises CallerError for a program that cannot be run.
    """
    before, _ = source_of(project, name)
    files = shelf.read_files(project.store, before)
    try:
        answerer = answerer_of(source, float(msgspec.json.decode(files[CARD])["confidence"]))
    except Stopped as error:
        raise CallerError(
            f"The program cannot be run: {error}. It has to define answer(text), in the part of Python that Monty knows."
        ) from error
    version = None if before.dataset is None else standing(versions(project.datasets), before.dataset)
    lesson = None if version is None else read_lesson(intact(version), before.task)
    confidence = 0.0
    if lesson is not None and len(lesson.calibrate):
        seen = rows_of(answerer, lesson.calibrate)
        answered = sum(one is not None for one in seen.answers)
        confidence = (float(seen.score_N.sum()) + 1) / (answered + 2)
    made = {SOURCE: source.encode(), CARD: canonical_json({"confidence": confidence})}
    card = msgspec.structs.replace(
        before,
        name=new_name or shelf.free_name(project.store, project.tenant, before.task, before.plan.method),
        files=shelf.store_files(project.store, made),
        is_quick=answerer.is_quick,
        made={"by": "hand", "edited from": before.label, "lines": source.count("\n")},
        tested=None,
        kept=(),
        training_s=0.0,
        training_usd=0.0,
        created_at=datetime.now(UTC),
    )
    if lesson is not None:
        card = msgspec.structs.replace(card, tested=test(load(made), lesson))
    shelf.add(project.store, card)
    return card
