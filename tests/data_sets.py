"""What tests of data sets share: a project of a store's kind with calls of several people, some of which ask nearly the same."""

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from freehold.datasets.recipe import Cleaning, Recipe, Splitting, settled
from freehold.journal.build import feedback_id
from freehold.journal.call import Call, Feedback
from freehold.journal.write import append_many
from freehold.project import Project

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
CONFIG = """
[project]
name = "desk"
[store]
url = "{url}"
[data]
licence = "CC-BY-4.0"
consent = "terms-2026"
[providers.ours]
kind = "openai"
trains_others = "yes"
[providers.theirs]
kind = "openai"
trains_others = "no"
[models.small]
provider = "ours"
[models.large]
provider = "theirs"
[metrics.correct]
kind = "binary"
deterministic = true
[tasks.triage]
metric = "correct"
reference = "large"
variants = ["large", "small"]
instruction = "Say which queue answers."
"""
WORDS = [
    f"{start}{end}" for start in ("ba", "ce", "di", "fo", "gu", "ka", "le", "mi") for end in ("lin", "mor", "tan", "ver", "sol", "quin")
]


def project_at(folder: Path, url: str = "sqlite:///freehold.db", more: str = "") -> Project:
    """A project in a folder, whose provider `theirs` forbids to train others."""
    (folder / "freehold.toml").write_text(CONFIG.format(url=url) + more)
    return Project.at(folder)


def a_question(rng: random.Random, words: int = 20) -> str:
    """Words in a row that no other question has."""
    return " ".join(rng.choices(WORDS, k=words))


def a_call(n: int, **fields: Any) -> Call:
    """A call of its own item, answered by the project's own model."""
    plain: dict[str, Any] = {
        "id": f"{n:032x}",
        "task": "triage",
        "variant": "small",
        "item": f"item {n}",
        "input": f"question {n} " + a_question(random.Random(n)),
        "output": ("cards", "loans", "fraud")[n % 3],
        "at": NOON + timedelta(seconds=n),
    }
    return Call(**plain | fields)


def said(call: Call, key: str = "", **fields: Any) -> Feedback:
    """Something said about a call."""
    plain: dict[str, Any] = {"metric": "correct", "source": "person:eve", "at": NOON, "call": call.id}
    about = plain | fields
    return Feedback(id=feedback_id(call.id, about["metric"], about["source"], f"{about.get('kind', 'score')} {key}"), **about)


def journalled(project: Project, calls: list[Call], feedback: list[Feedback] | None = None) -> None:
    """Puts them into the journal."""
    added = append_many(project.store, calls, feedback or [])
    assert added.added == len(calls) and not added.conflicts


def recipe(*sources: str, name: str = "triage", purpose: Any = "training", split: Splitting | None = None, **clean: Any) -> Recipe:
    """A recipe as the command line writes it."""
    cleaning = Cleaning(**{"label_errors": "off", **clean})
    return settled(
        Recipe(name=name, sources=sources or ("task=triage",), purpose=purpose, clean=cleaning, split=split or Splitting()), NOON
    )
