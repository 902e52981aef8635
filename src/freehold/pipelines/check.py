"""Looks at a whole program before it runs: prompts against signatures, policies against the catalog, pipelines end to end, metrics against outputs.

Nobody is asked. Read `wording.py`, `answerers.py`, `flow.py` and `typecheck.py` for what is looked at.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from freehold.config import FILE_NAME
from freehold.context.prompt import Prompt
from freehold.context.prompts import versions
from freehold.errors import CallerError
from freehold.pipelines.answerers import check_answerers
from freehold.pipelines.finding import Finding, error, note
from freehold.pipelines.flow import check_flow, reached
from freehold.pipelines.pipeline import Pipeline
from freehold.pipelines.program import NotImported, Program, Step, program_of
from freehold.pipelines.reading import trees_of
from freehold.pipelines.task import Task
from freehold.pipelines.typecheck import check_types
from freehold.pipelines.wording import Wording, check_wording
from freehold.project import Project


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What was looked at, and what was found."""

    tasks: tuple[str, ...]
    """The program's tasks."""
    pipelines: tuple[str, ...]
    """Its pipelines."""
    findings: tuple[Finding, ...]
    """What was found, errors first."""

    @property
    def is_wrong(self) -> bool:
        """Whether it cannot work."""
        return any(finding.level == "error" for finding in self.findings)


def check(project: Project, named: Sequence[str] = (), with_types: bool = True) -> Checked:
    """Looks at a program: the one that is named, else the project's own. `with_types`: whether mypy looks at it, too.

    A program that cannot be imported is a finding. Raises CallerError for a name that is not in it, and OperatorError.
    """
    try:
        program = program_of(project.config, named)
    except NotImported as refused:
        wrong = error(refused.where, refused.what, "mend it, and check again")
        return Checked(tasks=(), pipelines=(), findings=(wrong, *check_answerers(project, {})))
    steps = reached([*program.tasks, *program.pipelines], program.files)
    program = program._replace(
        tasks=tuple(step for step in steps if isinstance(step, Task)), pipelines=tuple(step for step in steps if isinstance(step, Pipeline))
    )
    tasks = {task.name: task for task in program.tasks}
    found = [
        *_nothing_named(project, program),
        *_names(program),
        *(finding for task in program.tasks for finding in _prompts(project, task)),
        *check_answerers(project, tasks, tasks if program.is_part else None),
        *(own := check_flow(steps, program.files)),
    ]
    if with_types:
        known = {finding.where for finding in own if finding.level == "error"}
        of_types = check_types(program.files, project.folder, _declared_at(program))
        found += [finding for finding in of_types if finding.where not in known]
    order = ("error", "warning", "note")
    return Checked(
        tasks=tuple(tasks),
        pipelines=tuple(pipeline.name for pipeline in program.pipelines),
        findings=tuple(sorted(dict.fromkeys(found), key=lambda finding: order.index(finding.level))),
    )


def _nothing_named(project: Project, program: Program) -> Iterator[Finding]:
    where = str(project.folder / FILE_NAME)
    if not program.modules:
        yield note(where, "no program is named, so prompts and pipelines were not looked at", 'say python = ["FILE.py"] under [project]')
    elif not program.tasks and not program.pipelines:
        yield note(str(program.files[0]) if program.files else where, "there is no task and no pipeline in it", "name another file")


def _names(program: Program) -> Iterator[Finding]:
    """Steps of one name: `freehold runs` and the journal could not tell them apart."""
    first: dict[str, str] = {}
    steps: list[Step] = [*program.tasks, *program.pipelines]
    for step in steps:
        earlier = first.setdefault(step.name, step.where)
        if earlier != step.where:
            yield error(step.where, f"there is another '{step.name}' at {earlier}", "give one of them another name, by name=")


def check_label(project: Project, task: str, text: str, what: str) -> None:
    """Raises CallerError for a template that a task of the project's own program cannot be asked with, OperatorError for what is none.

    `what`: what it is called. Of a task that stands in no program that can be imported nobody knows what it has, and any template will do.
    """
    Prompt(text)
    try:
        tasks = program_of(project.config).tasks
    except NotImported:
        return
    wrong = [
        finding
        for each in tasks
        if each.name == task
        for finding in check_wording(Wording(what, text), each.signature)
        if finding.level == "error"
    ]
    if wrong:
        raise CallerError(f"{what} is no prompt of task '{task}': {'; '.join(finding.what for finding in wrong)} Nothing was labelled.")


def _prompts(project: Project, task: Task[Any, Any]) -> Iterator[Finding]:
    """The program's own prompt, and every version that has a label."""
    yield from check_wording(Wording(task.where, task.template), task.signature)
    for version in versions(project.store, project.tenant, task.name):
        if version.labels and version.text != task.template:
            where = f"prompt {version.hash} ({', '.join(version.labels)}) of task '{task.name}'"
            yield from check_wording(Wording(where, version.text), task.signature)


def _declared_at(program: Program) -> set[str]:
    """Where the `def` of every task stands."""
    trees = cache(trees_of)
    found: set[str] = set()
    for task in program.tasks:
        file, _, line = task.where.rpartition(":")
        tree = trees(file).get((task.signature.name, int(line) if line.isdecimal() else 0))
        found.add(f"{Path(file).resolve()}:{tree.lineno if tree is not None else line}")
    return found
