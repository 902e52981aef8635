"""A group of calls becomes a task, without a change to what the calls are known by."""

import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import and_, exists, func, select, update

from freehold.errors import CallerError, OperatorError, nearest
from freehold.journal.batch import Named
from freehold.journal.groups import TASK_NAME, unnamed
from freehold.journal.read import slices
from freehold.store.open import Store
from freehold.store.schema import calls

_LISTED = 12


class NamedGroup(msgspec.Struct, frozen=True, kw_only=True):
    """What naming a group did."""

    group: str
    """Its id."""
    task: str
    """The task its calls belong to now."""
    calls: int
    """Calls that moved."""
    told_twice: int
    """Calls that stay without a task, because the task has them already from another import."""
    table_added: bool
    """Whether `[tasks.NAME]` was written to the configuration."""


def name_group(store: Store, group: str, task: str, config_file: Path | None = None, tenant: str = "default") -> NamedGroup:
    """Makes a group a task: its calls belong to `task` from now on, and `config_file` gets a `[tasks.NAME]` table where it has none.

    `group` is an id from `groups`, or the beginning of one. The calls keep the ids they were imported with, so that importing their file
    again adds nothing. Later calls of the same shape form a group again, until they are named too or `[[match]]` maps them. Raises
    CallerError for an unknown group or an impossible name, OperatorError where the configuration cannot be written.
    """
    if not TASK_NAME.fullmatch(task):
        raise CallerError(f"'{task[:80]}' cannot name a task; expected a letter, then letters, digits, - and _, 64 characters at most")
    shape = _shape_called(store, tenant, group, task)
    variants = _most_frequent(store, tenant, shape)
    table_added = config_file is not None and _add_table(config_file, task, shape, variants)
    other = calls.alias()
    is_there = exists().where(
        other.c.tenant == tenant,
        other.c.task == task,
        other.c.item == calls.c.item,
        other.c.variant == calls.c.variant,
        other.c.content == calls.c.content,
    )
    of_group = and_(unnamed(tenant), calls.c.shape == shape)
    with store.writing() as connection:
        moved = connection.execute(update(calls).where(of_group, ~is_there).values(task=task)).rowcount
        left = connection.execute(select(func.count()).select_from(calls).where(of_group)).scalar_one()
    return NamedGroup(group=shape, task=task, calls=moved, told_twice=left, table_added=table_added)


def already_named(store: Store, tenant: str, task: str) -> Named | None:
    """For `ingest`: which calls came in without a task and belong to this one since it was named. None where it has no calls yet."""

    def named(ids: Sequence[str]) -> set[str]:
        with store.reading() as connection:
            found: set[str] = set()
            for some in slices(ids):
                mine = calls.c.id.in_(some), calls.c.tenant == tenant, calls.c.task == task
                found.update(connection.execute(select(calls.c.id).where(*mine)).scalars().all())
            return found

    with store.reading() as connection:
        any_call = connection.execute(select(calls.c.id).where(calls.c.tenant == tenant, calls.c.task == task).limit(1)).first()
    return None if any_call is None else named


def _shape_called(store: Store, tenant: str, group: str, task: str) -> str:
    """The one shape whose id begins so."""
    c = calls.c
    with store.reading() as connection:
        shapes = list(connection.execute(select(c.shape).where(unnamed(tenant)).distinct()).scalars())
        named = connection.execute(select(c.shape).where(c.tenant == tenant, c.task == task, c.shape == group).limit(1)).first()
    found: list[str] = [shape for shape in shapes if group and shape.startswith(group)]
    if not found and named is not None:
        return group
    if not found:
        hint = nearest(group, shapes) if shapes else " Every call has a task."
        raise CallerError(f"There is no group '{group[:80]}' without a task.{hint} See 'freehold calls groups'.")
    if len(found) > 1:
        raise CallerError(f"'{group}' begins the id of {len(found)} groups: {', '.join(sorted(found)[:_LISTED])}. Say more of it.")
    return found[0]


def _most_frequent(store: Store, tenant: str, shape: str) -> list[str]:
    c = calls.c
    statement = select(c.variant).where(unnamed(tenant), c.shape == shape).group_by(c.variant)
    with store.reading() as connection:
        return list(connection.execute(statement.order_by(func.count().desc(), c.variant).limit(_LISTED)).scalars())


def _add_table(path: Path, task: str, shape: str, variants: list[str]) -> bool:
    """Appends the task's table and touches nothing else of the file. False where the task is in it already."""
    try:
        text = path.read_text(encoding="utf-8")
        if task in _tables(text, path).get("tasks", {}):
            return False
        table = _TABLE.format(task=task, shape=shape, variants=json.dumps(variants), reference=json.dumps((variants or ["frontier"])[0]))
        addition = ("" if not text or text.endswith("\n") else "\n") + table
        _tables(text + addition, path)
        with path.open("a", encoding="utf-8") as file:
            file.write(addition)
    except FileNotFoundError:
        raise OperatorError(f"There is no {path}. Run 'freehold init' there first.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise OperatorError(f"{path} cannot be changed: {error}. Nothing was named.") from None
    return True


_TABLE = """
[tasks.{task}]                           # named from the group {shape}
# reference = {reference}                # what the others are compared with
# variants = {variants}
# metric = "correct"
# max_loss = 0.02                        # what a policy may lose against the reference, on average
"""


def _tables(text: str, path: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise OperatorError(f"{path} cannot take a [tasks] table at its end: {error}. Mend it, or add the table by hand.") from None
