"""Versions of a task's prompt in the store, and the labels that name them. Nothing is changed or lost: a label is moved by a further row."""

import re
from collections.abc import Mapping
from datetime import datetime
from difflib import unified_diff

import msgspec
from sqlalchemy import insert, select

from freehold.context.prompt import Prompt, hash_of
from freehold.errors import CallerError, nearest
from freehold.store.open import Store
from freehold.store.schema import prompt_labels, prompts
from freehold.store.times import microseconds, moment

PRODUCTION = "production"
"""The label of what is asked where a variant names no other."""
_LABEL = re.compile(r"[a-z][a-z0-9_.-]{0,63}")
_HASH = re.compile(r"[0-9a-f]{16}")


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a task's prompt."""

    task: str
    """Whose."""
    hash: str
    """What names it."""
    text: str
    """The template."""
    at: datetime
    """When it was first seen."""
    labels: tuple[str, ...] = ()
    """What else names it now."""


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """What a label was made to name."""

    label: str
    """The label."""
    hash: str | None
    """The version; None for none, so that the program's own prompt is asked."""
    at: datetime
    """When."""


def keep(store: Store, tenant: str, task: str, text: str, now: datetime) -> str:
    """Keeps a version, once, and gives its hash. Raises OperatorError for what is no template."""
    Prompt(text)
    values = {"tenant": tenant, "task": task, "hash": hash_of(text), "text": text, "at": microseconds(now)}
    known = select(prompts.c.seq).where(prompts.c.tenant == tenant, prompts.c.task == task, prompts.c.hash == values["hash"])
    with store.reading() as connection:
        if connection.execute(known).first() is not None:
            return str(values["hash"])
    with store.writing() as connection:  # others may keep it at the same time
        store.insert_new(connection, "prompts", list(values), "tenant, task, hash", [list(values.values())])
    return str(values["hash"])


def move(store: Store, tenant: str, task: str, label: str, version: str | None, now: datetime) -> str | None:
    """Has a label name a version, by its hash or the beginning of it, or by another label; None for none. Gives the hash.

    Raises CallerError for a label that cannot be one, and for a version that is none of the task's.
    """
    if not _LABEL.fullmatch(label) or _HASH.fullmatch(label):
        raise CallerError(
            f"'{label[:80]}' cannot be a label; expected lower-case letters, digits, and _ . - after the first, such as candidate."
        )
    hash = None if version is None else found(versions(store, tenant, task), task, version).hash
    with store.writing() as connection:
        connection.execute(insert(prompt_labels), [{"tenant": tenant, "task": task, "label": label, "hash": hash, "at": microseconds(now)}])
    return hash


def roll_back(store: Store, tenant: str, task: str, label: str, now: datetime) -> str | None:
    """Has a label name again what it named before. Gives that version's hash; None where it named none. Raises CallerError."""
    named = [moved.hash for moved in history(store, tenant, task) if moved.label == label]
    if not named:
        raise CallerError(f"Nothing was ever labelled '{label}' in task '{task}', so there is nothing to go back to.")
    before = next((hash for hash in reversed(named[:-1]) if hash != named[-1]), None)
    return move(store, tenant, task, label, before, now)


def history(store: Store, tenant: str, task: str) -> list[Moved]:
    """What the task's labels were made to name, in order."""
    c = prompt_labels.c
    wanted = select(c.label, c.hash, c.at).where(c.tenant == tenant, c.task == task).order_by(c.seq)
    with store.reading() as connection:
        return [Moved(label=row.label, hash=row.hash, at=moment(row.at)) for row in connection.execute(wanted)]


def versions(store: Store, tenant: str, task: str) -> list[Version]:
    """Every version of the task's prompt, in the order in which they were seen."""
    now = labels(store, tenant).get(task, {})
    c = prompts.c
    wanted = select(c.hash, c.text, c.at).where(c.tenant == tenant, c.task == task).order_by(c.seq)
    with store.reading() as connection:
        return [
            Version(
                task=task,
                hash=row.hash,
                text=row.text,
                at=moment(row.at),
                labels=tuple(label for label, hash in now.items() if hash == row.hash),
            )
            for row in connection.execute(wanted)
        ]


def tasks(store: Store, tenant: str) -> list[str]:
    """The tasks that have prompts."""
    with store.reading() as connection:
        return list(
            connection.execute(select(prompts.c.task).where(prompts.c.tenant == tenant).distinct().order_by(prompts.c.task)).scalars()
        )


def labels(store: Store, tenant: str) -> dict[str, dict[str, str]]:
    """By task what each label names now."""
    c = prompt_labels.c
    found: dict[str, dict[str, str]] = {}
    with store.reading() as connection:
        for row in connection.execute(select(c.task, c.label, c.hash).where(c.tenant == tenant).order_by(c.seq)):
            of_task = found.setdefault(row.task, {})
            of_task.pop(row.label, None)
            if row.hash is not None:
                of_task[row.label] = row.hash
    return found


def found(known: list[Version], task: str, name: str) -> Version:
    """The version that a label, a hash or the beginning of a hash names. Raises CallerError for none, and for several."""
    fits = [one for one in known if name in one.labels or one.hash == name] or [one for one in known if one.hash.startswith(name)]
    if len(fits) != 1:
        names = {one.hash for one in known} | {label for one in known for label in one.labels}
        which = "names several prompts" if fits else "names no prompt"
        raise CallerError(f"'{name[:80]}' {which} of task '{task}'.{nearest(name, names)}")
    return fits[0]


def known_versions(store: Store, tenant: str, task: str) -> list[Version]:
    """As `versions`, of a task that has some. Raises CallerError for one that has none, and names the nearest that has."""
    known = versions(store, tenant, task)
    if not known:
        hint = nearest(task, tasks(store, tenant)) or " A program's prompt is kept when its task is called for the first time."
        raise CallerError(f"There is no prompt of a task '{task[:80]}'.{hint}")
    return known


def shown(known: list[Version], task: str, name: str | None = None) -> Version:
    """The version of that label or hash; the one in production where nothing is said, else the newest. Raises CallerError."""
    in_production = next((one for one in known if PRODUCTION in one.labels), known[-1])
    return in_production if name is None else found(known, task, name)


def compared(before: Version, after: Version) -> str:
    """What was changed from one version to another, as a unified diff; empty for nothing."""
    old, new = (one.text.splitlines() for one in (before, after))
    return "".join(f"{line}\n" for line in unified_diff(old, new, before.hash, after.hash, lineterm=""))


class Shelf:
    """The labelled prompts of a project as its programs use them: read now and then, compiled once."""

    def __init__(self, store: Store, tenant: str) -> None:
        self._store = store
        self._tenant = tenant
        self._labels: Mapping[str, Mapping[str, str]] = {}
        self._compiled: dict[tuple[str, str], Prompt] = {}
        self.refresh()

    def refresh(self) -> None:
        """Learns where labels were moved. Raises OperatorError."""
        self._labels = labels(self._store, self._tenant)

    def prompt(self, task: str, name: str, own: Prompt) -> Prompt:
        """The prompt that a label or a hash names. `own`: the program's, which is asked where nothing is labelled so and nobody chose.

        Raises CallerError for another name that names nothing.
        """
        hash = self._labels.get(task, {}).get(name)
        if hash is None:
            if name in (PRODUCTION, own.hash):
                return own
            hash = name
        known = self._compiled.get((task, hash))
        if known is None:
            known = self._compiled[task, hash] = Prompt(found(versions(self._store, self._tenant, task), task, hash).text)
        return known
