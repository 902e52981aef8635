"""All that a build has gathered, from however many parts, as what is to be decided on reads it."""

import os
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freehold.datasets.keeper import DIGESTS, ENDS, MOST_ANSWERS, NUMBERS_FILE, ROWS_ASIDE, SHINGLES, SIGNATURES, Kept
from freehold.datasets.language import CODES
from freehold.datasets.near import HASHES, Signatures
from freehold.datasets.table import schema
from freehold.datasets.words import Shingles


class Scratch:
    """The rows of several folders, one after another. What is read of a folder's arrays is gone from it."""

    def __init__(self, parts: Sequence[Kept]) -> None:
        self._folders = [part.folder for part in parts]
        self.tasks: dict[str | None, int] = {}
        """Tasks by code."""
        self.few: dict[int, dict[int, str] | None] = {}
        """Of each task its answers by hash, as canonical JSON, as long as they are few; None for many."""
        numbers = [self._recoded(part, np.load(part.folder / NUMBERS_FILE)) for part in parts]
        self._starts = list(accumulate((len(one) for one in numbers), initial=0))
        self.number_N = np.concatenate(numbers)
        self.digests: NDArray[np.uint8] = self._loaded(DIGESTS)
        self._ends = [np.load(folder / ENDS) for folder in self._folders]
        self._files = [(folder / SHINGLES).open("rb") for folder in self._folders]

    def _recoded(self, part: Kept, number_N: NDArray[Any]) -> NDArray[Any]:
        """A part's numbers with the codes that tasks have here, and its answers among the others'."""
        codes = np.array([self.tasks.setdefault(task, len(self.tasks)) for task in part.tasks], dtype=np.int32)
        number_N["task"] = codes[number_N["task"]] if len(codes) else number_N["task"]
        for own, answers in part.few.items():
            known = self.few.setdefault(int(codes[own]), {})
            both = None if known is None or answers is None else known | answers
            self.few[int(codes[own])] = both if both is not None and len(both) <= MOST_ANSWERS else None
        return number_N

    def _loaded(self, name: str) -> NDArray[Any]:
        found: NDArray[Any] = np.concatenate([np.load(folder / name) for folder in self._folders])
        for folder in self._folders:
            (folder / name).unlink()
        return found

    def signatures(self, rows: NDArray[np.int64]) -> Signatures:
        """The signatures of some rows, in whichever order. Each part's are in memory once."""
        found = np.empty((len(rows), HASHES), dtype=np.uint16)
        for part, folder in enumerate(self._folders):
            mine = np.flatnonzero((rows >= self._starts[part]) & (rows < self._starts[part + 1]))
            found[mine] = np.load(folder / SIGNATURES)[rows[mine] - self._starts[part]]
        return found

    def close(self) -> None:
        """Lets go of the files."""
        for file in self._files:
            file.close()

    def __len__(self) -> int:
        return len(self.number_N)

    def tables(self, columns: Sequence[str] = ()) -> Iterator[Any]:
        """The rows as tables of some thousands, in order; of some columns, or of all where none is named."""
        import pyarrow as pa
        import pyarrow.ipc as ipc

        wanted = ipc.IpcReadOptions(included_fields=[schema().get_field_index(name) for name in columns])
        for folder in self._folders:
            with pa.OSFile(str(folder / ROWS_ASIDE)) as file, ipc.open_file(file, options=wanted) as rows:
                for number in range(rows.num_record_batches):
                    yield pa.Table.from_batches([rows.get_batch(number)])

    @property
    def sizes_N(self) -> NDArray[np.int64]:
        """How many shingles each row has."""
        return np.concatenate([np.diff(ends) for ends in self._ends])

    def language(self, code: int) -> str:
        """The language of a code."""
        return CODES[code]

    def shingles_at(self, row: int) -> set[int]:
        """A row's distinct shingles."""
        part = bisect_right(self._starts, row) - 1
        own = row - self._starts[part]
        return set(self._read(part, own, own + 1).tolist())

    @property
    def parts(self) -> range:
        """The parts that were gathered, by number."""
        return range(len(self._folders))

    def shingles(self, part: int, rows: NDArray[np.int64], size: int = 5_000) -> Iterator[tuple[NDArray[np.int64], Shingles]]:
        """The shingles of those of some rows in ascending order that a part has, as they follow each other, in batches with the rows they are
        of."""
        first, ends = self._starts[part], self._ends[part]
        mine = rows[(rows >= first) & (rows < self._starts[part + 1])] - first
        for start in range(0, len(mine), size):
            some = mine[start : start + size]
            found, begin = self._read(part, int(some[0]), int(some[-1]) + 1), ends[some[0]]
            sizes = ends[some + 1] - ends[some]
            stops = np.cumsum(sizes)
            at = np.arange(int(stops[-1])) + np.repeat(ends[some] - begin - (stops - sizes), sizes)
            yield some + first, Shingles(found[at], stops)

    def _read(self, part: int, first: int, last: int) -> NDArray[np.uint32]:
        begin, end = int(self._ends[part][first]), int(self._ends[part][last])
        return np.frombuffer(os.pread(self._files[part].fileno(), 4 * (end - begin), 4 * begin), dtype=np.uint32)
