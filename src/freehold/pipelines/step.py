"""A task or a pipeline as batches and streams see it: JSON in, JSON out, within a scope."""

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, TypeAlias

from freehold.chat import JSON
from freehold.errors import CallerError
from freehold.pipelines.pipeline import Pipeline
from freehold.pipelines.runtime import Runtime
from freehold.pipelines.scope import Scope, entered
from freehold.pipelines.signature import Signature
from freehold.pipelines.task import Task

Program: TypeAlias = Task[Any, Any] | Pipeline[Any, Any]
MOST_THREADS = 64
"""How many runs of a plain function are under way at one time."""


class Step:
    """A program that is run once for each of many inputs."""

    def __init__(self, program: Program) -> None:
        """Raises Misuse for a pipeline whose types do not say what it takes and gives, CallerError for one that gives many values."""
        if isinstance(program, Pipeline) and program.is_generator:
            raise CallerError(f"{program.where}: '{program.name}' gives value after value; a batch needs one for each row. Return a list.")
        self.program = program
        self.name = program.name
        self.signature = program.signature if isinstance(program, Task) else Signature(program.function)
        self._threads: ThreadPoolExecutor | None = None

    async def run(self, at: Runtime, input: JSON, scope: Scope) -> JSON:
        """What it gives for an input. Raises CallerError for an input of another type, StepFailed, and whatever a pipeline raises."""
        values = self.signature.read_json(self._own(input))
        program = self.program
        if isinstance(program, Task):
            with entered(scope):  # what its own function asks is of this run as well
                return self.signature.output_json((await program.run(at, values, scope)).value)
        if program.is_async:
            with entered(scope):
                return self.signature.output_json(await program(**values))
        return self.signature.output_json(await self._in_thread(lambda: program(**values), scope))

    def check_columns(self, name: str, rows: Iterable[JSON]) -> None:
        """Raises CallerError for rows of a table that has no column for a parameter, before anybody is asked for any of them."""
        columns: dict[str, None] = {}
        for row in rows:
            if not isinstance(row, dict):
                return
            try:
                self.signature.read_json(self._own(row))
            except CallerError:
                columns |= dict.fromkeys(row)
            else:
                return
        if columns and (missing := [field.name for field in self.signature.fields if not field.is_optional and field.name not in columns]):
            raise CallerError(
                f"'{self.name}' needs a column {' and a column '.join(missing)}, and {name} has: {', '.join(columns)}. Give the column that name, "
                "or the parameter the column's."
            )

    def _own(self, input: JSON) -> JSON:
        """An object that has all it needs without what is no parameter of it, such as a table's other columns."""
        fields = self.signature.fields
        if not isinstance(input, dict) or not all(field.name in input or field.is_optional for field in fields):
            return input
        return {field.name: input[field.name] for field in fields if field.name in input} or input

    async def _in_thread(self, work: Callable[[], Any], scope: Scope) -> Any:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(MOST_THREADS, thread_name_prefix=f"freehold-{self.name}")
        with entered(scope):
            context = copy_context()
        return await asyncio.get_running_loop().run_in_executor(self._threads, context.run, work)

    def close(self) -> None:
        """Ends its threads."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
