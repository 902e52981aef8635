"""Rows that are gathered and not yet decided on, kept aside: the rows and their shingles in files, and of each row the few numbers by which
duplicates, groups and strata are found. So memory is about 300 bytes a row, whatever the texts are."""

from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from freehold.chat import JSON, canonical_json, key_of
from freehold.datasets.example import Example
from freehold.datasets.language import CODES
from freehold.datasets.near import HASHES, Signatures, signatures
from freehold.datasets.query import KINDS, Kind
from freehold.datasets.table import DIGEST, row_digest, schema, table_of
from freehold.datasets.words import Shingles, keys_of

_ROWS_AT_ONCE = 8_000
_RANK: dict[Kind, int] = {"corrections": 0, "reviewed": 1, "calls": 2, "preferences": 0}
"""Which of two rows that ask the same is kept: what people said, before what was answered."""
_KINDS = {kind: number for number, kind in enumerate(KINDS)}
_LANGUAGES = {language: number for number, language in enumerate(CODES)}
_NEVER = np.iinfo(np.int64).max
_MEDIA_WORDS = (b"image", b"audio", b"file", b"document", b"video")
_encode = msgspec.json.Encoder().encode
ROWS_ASIDE, SHINGLES, NUMBERS_FILE, SIGNATURES, ENDS, DIGESTS = (
    "gathered.arrow", "shingles", "numbers.npy", "signatures.npy", "ends.npy", "digests.npy",
)  # fmt: skip
"""The files of a folder."""
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


class Kept(NamedTuple):
    """What a keeper has kept, in files of its folder."""

    folder: Path
    tasks: dict[str | None, int]
    """Tasks by code."""
    few: dict[int, dict[int, str] | None]
    """Of each task its answers by hash, as canonical JSON, as long as they are few; None for many."""


class Keeper:
    """Takes rows in, and keeps them in a folder."""

    def __init__(self, folder: Path, seed: int, compares: bool) -> None:
        import pyarrow.ipc as ipc

        self._folder = folder
        self._seed = seed
        self._compares = compares
        self._writer = ipc.new_file(str(folder / ROWS_ASIDE), schema(), options=ipc.IpcWriteOptions(compression="lz4"))
        self._shingles = (folder / SHINGLES).open("wb")
        self._waiting: list[Any] = []
        self._n_waiting = 0
        self._numbers: list[NDArray[Any]] = []
        self._signatures: list[Signatures] = []
        self._ends: list[NDArray[np.int64]] = [np.zeros(1, dtype=np.int64)]
        self._digests = bytearray()
        self._tasks: dict[str | None, int] = {}
        self._few: dict[int, dict[int, str] | None] = {}

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
        tasks = [self._tasks.setdefault(example.task, len(self._tasks)) for example in examples]
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
            known = self._few.setdefault(task, {})
            if known is not None and key not in known:
                known[key] = answer
                if len(known) > MOST_ANSWERS:
                    self._few[task] = None
        return found

    def finish(self) -> Kept:
        """Nothing more comes."""
        self._write()
        self._writer.close()
        self._shingles.flush()
        count = len(self._digests) // DIGEST
        np.save(self._folder / NUMBERS_FILE, np.concatenate(self._numbers) if self._numbers else np.zeros(0, dtype=NUMBERS))
        no_signature = np.zeros((count if self._compares else 0, HASHES), dtype=np.uint16)
        np.save(self._folder / SIGNATURES, np.concatenate(self._signatures) if self._signatures else no_signature)
        np.save(self._folder / ENDS, np.concatenate(self._ends))
        np.save(self._folder / DIGESTS, np.frombuffer(self._digests, dtype=np.uint8).reshape(count, DIGEST))
        return Kept(self._folder, self._tasks, self._few)

    def close(self) -> None:
        """Lets go of the files."""
        self._writer.close()
        self._shingles.close()


def _may_have_media(asked: JSON) -> bool:
    """Whether a look into every part is due: it costs more than most else that is done to a row."""
    if isinstance(asked, str) or (isinstance(asked, list) and all(map(_is_plain, asked))):
        return False
    encoded = _encode(asked)
    return any(word in encoded for word in _MEDIA_WORDS)


def _is_plain(message: JSON) -> bool:
    """Whether it is a message of words alone."""
    return isinstance(message, dict) and len(message) == 2 and "role" in message and isinstance(message.get("content"), str)


def _asked(example: Example, text: str) -> int:
    """What a row asks, exactly; of a pair also its answers, for two pairs of answers to one question are two rows."""
    asked = key_of(example.input) if _may_have_media(example.input) else text
    if example.kind == "preferences":
        asked = f"{asked}\0{canonical_json([example.output, example.rejected]).decode()}"
    return int.from_bytes(blake2b(asked.encode(errors="surrogatepass"), digest_size=8).digest())
