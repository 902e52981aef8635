"""A project that is open: its configuration, its catalog and prices, its store, and where its files lie.

What imports take is imported by them alone: a gateway's worker opens a project, too, and is to answer at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO

from freehold.catalog import Catalog, Task
from freehold.config import Config, load
from freehold.errors import CallerError, nearest
from freehold.journal.read import counts
from freehold.journal.redact import redact
from freehold.journal.write import Appended, append_many
from freehold.pricing.book import PriceBook
from freehold.store.blobs import Blobs
from freehold.store.open import Store, open_store

if TYPE_CHECKING:
    from freehold.journal.call import Call, Feedback
    from freehold.journal.ingest import IngestOptions, Progress
    from freehold.journal.tally import IngestReport


class Project:
    """Everything a command needs. Use it in a `with` block; the store is opened when it is first asked for."""

    def __init__(self, config: Config, tenant: str = "default") -> None:
        self.config = config
        self.tenant = tenant
        self.folder = config.folder
        self.catalog: Catalog = config.catalog()
        self._store: Store | None = None
        self._prices: PriceBook | None = None

    @classmethod
    def at(cls, folder: Path) -> Project:
        """The project in `folder`. Raises OperatorError."""
        return cls(load(folder))

    @property
    def store(self) -> Store:
        """The journal's store, opened and migrated on first use. Raises OperatorError."""
        if self._store is None:
            self._store = open_store(self.config.store.url, self.folder, self.config.store.durability)
        return self._store

    @property
    def blobs(self) -> Blobs:
        """The folder of blobs alone, for reading where the store need not be opened, as in a copy that cannot be written."""
        return Blobs(self.folder / "blobs", self.config.store.durability)

    @property
    def prices(self) -> PriceBook:
        """Prices, the file's own above the snapshot's."""
        if self._prices is None:
            self._prices = self.config.price_book()
        return self._prices

    def ingest(
        self, files: Sequence[str], options: IngestOptions, tell: Callable[[Progress], None] | None = None, stdin: BinaryIO | None = None
    ) -> IngestReport:
        """Imports files of recorded calls. What a task or the journal does not keep is dropped before anything is written."""
        from freehold.journal.ingest import ingest
        from freehold.journal.naming import already_named

        rules = {name: task.content or self.config.journal.content for name, task in self.catalog.tasks.items()}

        def sink(calls: Sequence[Call], feedback: Sequence[Feedback]) -> Appended:
            kept = [redact(call, rules.get(call.task or "", self.config.journal.content)) for call in calls]
            return append_many(self.store, kept, feedback)

        named = already_named(self.store, options.tenant, options.task) if options.task is not None else None
        return ingest(files, sink, options, self.catalog, self.prices, tell, named=named, stdin=stdin)

    def task(self, name: str) -> Task:
        """The task of that name, with the defaults where only the journal knows it. Raises CallerError."""
        if name in self.catalog.tasks:
            return self.catalog.tasks[name]
        recorded = counts(self.store, self.tenant).tasks
        if name not in recorded:
            hint = nearest(name, {*self.catalog.tasks, *recorded})
            raise CallerError(f"There is no task '{name}'.{hint} 'freehold import FILE --task {name}' or 'freehold calls name' makes one.")
        return Task(id=name)

    @property
    def datasets(self) -> Path:
        """Where frozen data lies."""
        return self.folder / "datasets"

    @property
    def certificates(self) -> Path:
        """Where certificates lie."""
        return self.folder / "certificates"

    @property
    def policies(self) -> Path:
        """Where the texts of policies lie."""
        return self.folder / "policies"

    @property
    def spool(self) -> Path:
        """Where calls wait that the store could not take."""
        return self.folder / "spool"

    def __enter__(self) -> Project:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._store is not None:
            self._store.close()
