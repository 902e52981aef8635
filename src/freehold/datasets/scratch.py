"""What a build has gathered and not yet decided on: rows and their shingles in files of their own, and of each row the few numbers by which
duplicates, groups and strata are found. So memory is about 300 bytes a row, whatever the texts are."""

import os
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from freehold.chat import JSON, canonical_json, key_of
from freehold.datasets.example import Example
from freehold.datasets.language import LANGUAGES, UNKNOWN
from freehold.datasets.near import HASHES, Signatures, distinct, signatures
from freehold.datasets.query import KINDS, Kind
from freehold.datasets.table import row_digest, schema, table_of
from freehold.datasets.words import Shingles, keys_of

_ROWS_AT_ONCE = 8_000
_CODES = (*LANGUAGES, UNKNOWN)
_RANK: dict[Kind, int] = {"corrections": 0, "reviewed": 1, "calls": 2, "preferences": 0}
"""Which of two rows that ask the same is kept: what people said, before what was answered."""
_KINDS = {kind: number for number, kind in enumerate(KINDS)}
_LANGUAGES = {language: number for number, language in enumerate(_CODES)}
_NEVER = np.iinfo(np.int64).max
_MEDIA_WORDS = (b"image", b"audio", b"file", b"document", b"video")
_encode = msgspec.json.Encoder().encode
MOST_ANSWERS = 50
"""A task with up to so many answers has few."""
NUMBERS = np.dtype(
    [
        ("id", np.uint64),
        ("task", np.int32),
        ("kind", np.int8),
        ("rank", np.int8),
        ("language", np.uint8),
        ("reward", np.float32),
        ("at", np.int64),
        ("exact", np.uint64),
        ("item", np.uint64),
        ("group", np.uint64),
        ("answer", np.uint64),
        ("chars", np.int32),
    ]
)
"""The numbers of a row. Names are hashes: of the id, what is asked, the item, the group and the answer."""


class Scratch:
    """Rows as they are gathered, in a folder that is gone afterwards."""

    def __init__(self, folder: Path, seed: int, compares: bool) -> None:
        import pyarrow.parquet as pq

        self.rows = folder / "gathered.parquet"
        self._seed = seed
        self._compares = compares
        self._writer = pq.ParquetWriter(self.rows, schema(), compression="lz4")
        self._shingles = (folder / "shingles").open("w+b")
        self._waiting: list[Any] = []
        self._n_waiting = 0
        self._numbers: list[NDArray[Any]] = []
        self._signatures: list[Signatures] = []
        self._ends: list[NDArray[np.int64]] = [np.zeros(1, dtype=np.int64)]
        self._digests = bytearray()
        self.tasks: dict[str | None, int] = {}
        """Tasks by code."""
        self.few: dict[int, dict[int, str] | None] = {}
        """Of each task its answers by hash, as canonical JSON, as long as they are few; None for many."""

    def add(self, examples: Sequence[Example], texts: Sequence[str], shingles: Shingles, languages: Sequence[str]) -> None:
        """Takes rows in."""
        self._numbers.append(self._numbered(examples, texts, languages))
        if self._compares:
            self._signatures.append(signatures(shingles))
        self._ends.append(shingles.end_N + self._ends[-1][-1])
        self._shingles.write(shingles.hash_S.tobytes())
        self._digests += b"".join(map(row_digest, examples))
        self._waiting.append(table_of(examples, {}))
        self._n_waiting += len(examples)
        if self._n_waiting >= _ROWS_AT_ONCE:
            self._write()

    def _write(self) -> None:
        import pyarrow as pa

        if self._waiting:
            self._writer.write_table(pa.concat_tables(self._waiting))
        self._waiting, self._n_waiting = [], 0

    def _numbered(self, examples: Sequence[Example], texts: Sequence[str], languages: Sequence[str]) -> NDArray[Any]:
        found = np.empty(len(examples), dtype=NUMBERS)
        tasks = [self.tasks.setdefault(example.task, len(self.tasks)) for example in examples]
        answers = [canonical_json(example.output).decode() for example in examples]
        items = [f"{example.task}\0{example.item}" for example in examples]
        groups = [item if example.group is None else f"\0{example.group}" for item, example in zip(items, examples, strict=True)]
        found["id"] = [int(example.id[:16], 16) for example in examples]
        found["task"] = tasks
        found["kind"] = [_KINDS[example.kind] for example in examples]
        found["rank"] = [_RANK[example.kind] for example in examples]
        found["language"] = [_LANGUAGES[language] for language in languages]
        found["reward"] = [-1.0 if example.reward is None else example.reward for example in examples]
        found["at"] = [_NEVER if example.at_us is None else example.at_us for example in examples]
        found["exact"] = [_asked(example, text) for example, text in zip(examples, texts, strict=True)]
        found["item"] = keys_of(items)
        found["group"] = keys_of([f"{self._seed}\0{group}" for group in groups])
        found["answer"] = keys_of(answers)
        found["chars"] = [len(text) for text in texts]
        for task, key, answer in zip(tasks, found["answer"].tolist(), answers, strict=True):
            known = self.few.setdefault(task, {})
            if known is not None and key not in known:
                known[key] = answer
                if len(known) > MOST_ANSWERS:
                    self.few[task] = None
        return found

    def finish(self) -> None:
        """Nothing more comes."""
        self._write()
        self._writer.close()
        self._shingles.flush()
        self.number_N = np.concatenate(self._numbers) if self._numbers else np.zeros(0, dtype=NUMBERS)
        self._numbers = []
        self.signature_NK = np.concatenate(self._signatures) if self._signatures else np.zeros((0, HASHES), dtype=np.uint16)
        self._signatures = []
        self._end_N = np.concatenate(self._ends)
        self._ends = []

    def close(self) -> None:
        """Lets go of the files."""
        self._writer.close()
        self._shingles.close()

    def __len__(self) -> int:
        return len(self.number_N)

    @property
    def digests(self) -> NDArray[np.uint8]:
        """Each row's digest, shape N by its bytes."""
        return np.frombuffer(self._digests, dtype=np.uint8).reshape(len(self), -1)

    @property
    def sizes_N(self) -> NDArray[np.int64]:
        """How many shingles each row has."""
        return np.diff(self._end_N)

    def language(self, code: int) -> str:
        """The language of a code."""
        return _CODES[code]

    def shingles_at(self, row: int) -> NDArray[np.uint32]:
        """A row's distinct shingles."""
        return distinct(self._read(row, row + 1))

    def shingles(self, rows: NDArray[np.int64], size: int = 5_000) -> Iterator[tuple[NDArray[np.int64], Shingles]]:
        """The shingles of some rows in ascending order, as they follow each other, in batches with the rows they are of."""
        for start in range(0, len(rows), size):
            some = rows[start : start + size]
            first, last = int(some[0]), int(some[-1]) + 1
            found, begin = self._read(first, last), self._end_N[first]
            sizes = self._end_N[some + 1] - self._end_N[some]
            ends = np.cumsum(sizes)
            at = np.arange(int(ends[-1])) + np.repeat(self._end_N[some] - begin - (ends - sizes), sizes)
            yield some, Shingles(found[at], ends)

    def _read(self, first: int, last: int) -> NDArray[np.uint32]:
        begin, end = int(self._end_N[first]), int(self._end_N[last])
        return np.frombuffer(os.pread(self._shingles.fileno(), 4 * (end - begin), 4 * begin), dtype=np.uint32)


def _may_have_media(asked: JSON) -> bool:
    """Whether a look into every part is due: it costs more than most else that is done to a row."""
    encoded = _encode(asked)
    return any(word in encoded for word in _MEDIA_WORDS)


def _asked(example: Example, text: str) -> int:
    """What a row asks, exactly; of a pair also its answers, for two pairs of answers to one question are two rows."""
    asked = text if isinstance(example.input, str) or not _may_have_media(example.input) else key_of(example.input)
    if example.kind == "preferences":
        asked = f"{asked}\0{canonical_json([example.output, example.rejected]).decode()}"
    return int.from_bytes(blake2b(asked.encode(errors="surrogatepass"), digest_size=8).digest())
