"""A part of the journal's calls as rows that are kept aside: cleaned of what needs no look at other rows. Parts are gathered side by side."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

from freehold.catalog import Reward
from freehold.chat import text_of
from freehold.config import Config
from freehold.datasets.dropped import Dropped, DroppedFile
from freehold.datasets.example import Example, Rules
from freehold.datasets.facts import answer_text
from freehold.datasets.keeper import Keeper, Kept
from freehold.datasets.language import languages_of
from freehold.datasets.personal import Finder, finder_of, replace_personal
from freehold.datasets.recipe import Cleaning, Recipe
from freehold.datasets.rights import Rights
from freehold.datasets.select import Rejected, select
from freehold.datasets.versions import DROPPED
from freehold.datasets.words import shingles_of, words_of
from freehold.feedback.reward import RewardFunction
from freehold.project import Project
from freehold.store.open import Store
from freehold.variants.shelf import on_shelf

Declared: TypeAlias = Callable[[Config, str], Reward | RewardFunction | None]
"""What a program of a project says of a task's reward; known by its name in a module, so that it may be handed to another process."""


def nobody(config: Config, task: str) -> None:
    """As of `Declared`: no program says anything."""


class Shard(NamedTuple):
    """What one process gathers."""

    config: Config
    tenant: str
    recipe: Recipe
    folder: Path
    """Where it keeps its rows aside; made by it."""
    after: int
    """Calls whose place in the order of arrival is above this one,"""
    until: int
    """and up to this one."""
    declared: Declared = nobody
    """As of `Sources`."""


class Counted(NamedTuple):
    """What is counted on the way."""

    wanted: Counter[str]
    """Rows that the sources gave, under one name."""
    refused: Counter[str]
    """Rows that may not train others, by writer."""
    personal: Counter[str]
    """Personal data replaced, by kind."""


class Gathered(NamedTuple):
    """A part that lies aside."""

    kept: Kept
    counted: Counted
    dropped: Path
    """What was left out of it."""


def gather(shard: Shard, store: Store, say: Callable[[int], None] = lambda _: None) -> Gathered:
    """Gathers a part, telling how many rows there were so far. Raises OperatorError, DataError."""
    shard.folder.mkdir(mode=0o700)
    recipe, config = shard.recipe, shard.config
    rules = Rules(config.catalog(), lambda task: shard.declared(config, task))
    keep = Keeper(shard.folder, recipe.split.seed, bool(recipe.clean.near))
    dropped = DroppedFile(shard.folder / DROPPED)
    counted = Counted(Counter(), Counter(), Counter())
    rights = Rights(shard.config, [card.name for card in on_shelf(store, shard.tenant) if card.variant is None])
    finder = finder_of(recipe.clean.finder)
    try:
        for batch in select(store, shard.tenant, recipe.queries, rules, rights, shard.after, shard.until):
            _take(batch, recipe, finder, keep, dropped, counted)
            say(counted.wanted.total())
        return Gathered(keep.finish(), counted, shard.folder / DROPPED)
    finally:
        keep.close()
        dropped.close()


def gather_apart(shard: Shard) -> Gathered:
    """Gathers a part in a process of its own, which opens the store for itself."""
    with Project(shard.config, shard.tenant) as project:
        return gather(shard, project.store)


def _take(
    batch: Sequence[Example | Rejected], recipe: Recipe, finder: Finder | None, keep: Keeper, dropped: DroppedFile, counted: Counted
) -> None:
    """Takes in what may be taken as it is; whatever depends on other rows is decided later."""
    counted.wanted["rows"] += len(batch)
    clean = recipe.clean
    examples: list[Example] = []
    texts: list[str] = []
    for row in batch:
        if isinstance(row, Rejected):
            dropped.add(Dropped(row.kind, row.call.task, row.call.item, (row.call.id,), row.why, ""))
            continue
        if recipe.purpose == "training" and row.trains != "yes":
            counted.refused[row.writer] += 1
            dropped.add(_as_dropped(row, "may not train others", f"{row.writer}: {row.trains}"))
            continue
        example, found = replace_personal(row, finder)
        if found and clean.personal == "drop":
            dropped.add(_as_dropped(row, "personal data", ", ".join(sorted(found))))
            continue
        text = text_of(example.input)
        if why := _wrong_length(clean, example, text):
            dropped.add(_as_dropped(row, *why))
            continue
        counted.personal.update(found)
        examples.append(example)
        texts.append(text)
    if not examples:
        return
    words = words_of(texts)
    languages = languages_of(words)
    if clean.languages:
        is_kept = [language in clean.languages for language in languages]
        for example, language, is_one in zip(examples, languages, is_kept, strict=True):
            if not is_one:
                dropped.add(_as_dropped(example, "language", language))
        kept = [n for n, is_one in enumerate(is_kept) if is_one]
        examples, texts, languages = [examples[n] for n in kept], [texts[n] for n in kept], [languages[n] for n in kept]
        words = words_of(texts)
    if examples:
        keep.add(examples, texts, shingles_of(words), languages)


def _wrong_length(clean: Cleaning, example: Example, text: str) -> tuple[str, str] | None:
    for what, told in (("question", text), ("answer", answer_text(example.output))):
        if len(told) < clean.least_chars:
            return "too short", f"{what} of {len(told):,} characters"
        if len(told) > clean.most_chars:
            return "too long", f"{what} of {len(told):,} characters"
    return None


def _as_dropped(example: Example, reason: str, detail: str) -> Dropped:
    return Dropped(example.kind, example.task, example.item, example.calls, reason, detail)
