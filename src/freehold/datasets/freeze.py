"""Freezes paired items: one Parquet file that never changes, named by the hash of what it holds."""

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from freehold.chat import canonical_json
from freehold.datasets.pairs import Pairs
from freehold.errors import DataError
from freehold.store.files import private_file


class FrozenDataChanged(DataError):
    """A frozen file is not what its name says."""


_NUMBERS = ("score", "loss", "cost", "latency")


def dataset_hash(pairs: Pairs) -> str:
    """SHA-256 over every item in order of its name: texts, tags, groups, times, labels, answers, costs."""
    hasher = hashlib.sha256()
    hasher.update(canonical_json([pairs.task, pairs.reference, pairs.metric, pairs.is_deterministic, list(pairs.variants)]))
    if not math.isnan(pairs.least_inclusion):
        hasher.update(canonical_json(pairs.least_inclusion))
    numbers = np.stack([pairs.score_NV, pairs.loss_NV, pairs.cost_NV, pairs.latency_NV], axis=2)
    keys = [hashlib.sha256(canonical_json(answer)).hexdigest() for answer in pairs.answers]
    for i in sorted(range(len(pairs)), key=lambda i: pairs.items[i]):
        answers = [keys[a] if 0 <= a < len(keys) else str(a) for a in (*pairs.answer_NV[i].tolist(), int(pairs.truth_N[i]))]
        words = [
            pairs.items[i],
            pairs.groups[i],
            pairs.texts[i],
            pairs.tags[i],
            int(pairs.at_N[i]),
            int(pairs.asked_N[i]),
            pairs.designs[i],
            answers,
        ]
        hasher.update(canonical_json(words))
        hasher.update(np.append(numbers[i].ravel(), pairs.inclusion_N[i]).tobytes())
    return hasher.hexdigest()


def freeze(pairs: Pairs, folder: Path) -> tuple[str, Path]:
    """The hash and the path of the frozen file, written unless it stands already. Files are private to their owner."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    name = dataset_hash(pairs)
    path = folder / f"{name}.parquet"
    if path.exists():
        return name, path
    columns: dict[str, object] = {
        "item": list(pairs.items),
        "group": list(pairs.groups),
        "text": list(pairs.texts),
        "tags": [canonical_json(tags).decode() for tags in pairs.tags],
        "at": pairs.at_N,
        "design": list(pairs.designs),
        "inclusion": pairs.inclusion_N,
        "truth": pairs.truth_N,
        "asked": pairs.asked_N,
    }
    for v in range(len(pairs.variants)):
        columns |= {f"{kind}:{v}": getattr(pairs, f"{kind}_NV")[:, v] for kind in (*_NUMBERS, "answer")}
    about = {
        "task": pairs.task,
        "reference": pairs.reference,
        "metric": pairs.metric,
        "is_deterministic": pairs.is_deterministic,
        "variants": list(pairs.variants),
        "answers": list(pairs.answers),
        "least_inclusion": None if math.isnan(pairs.least_inclusion) else pairs.least_inclusion,
    }
    table = pa.table(columns).replace_schema_metadata({"freehold": msgspec.json.encode(about)})
    with private_file(path) as file:
        pq.write_table(table, file, compression="zstd")
    return name, path


class Removed(NamedTuple):
    """What an erasure did to frozen files."""

    items: dict[str, int]
    """How many of the items each file held that is gone now, by hash."""
    unreadable: tuple[Path, ...]
    """Files that are damaged and were left: whose items they hold nobody can say."""


def erase_frozen(folder: Path, items: Mapping[str, set[str]]) -> Removed:
    """Removes every frozen file that holds one of these items, by task, and leaves a mark that says how many."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    gone: dict[str, int] = {}
    unreadable: list[Path] = []
    for path in sorted(folder.glob("*.parquet")) if items else ():
        try:
            with pq.ParquetFile(path) as file:
                theirs = items.get(msgspec.json.decode(file.schema_arrow.metadata[b"freehold"])["task"])
                count = len(theirs.intersection(file.read(columns=["item"]).column("item").to_pylist())) if theirs else 0
        except (OSError, pa.ArrowException, KeyError, TypeError, msgspec.DecodeError):
            unreadable.append(path)
            continue
        if count:
            _mark(path).write_text(f"{count}\n")
            path.unlink()
            gone[path.stem] = count
    return Removed(gone, tuple(unreadable))


def erased_items(path: Path) -> int:
    """How many items of this frozen file were erased; 0 while it stands."""
    mark = _mark(path)
    return int(mark.read_text()) if mark.exists() else 0


def _mark(path: Path) -> Path:
    return path.with_suffix(".erased")


def thaw(path: Path) -> Pairs:
    """The frozen items. Raises DataError when the file is missing or unreadable, FrozenDataChanged when it is not what its name says."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
        about = msgspec.json.decode(table.schema.metadata[b"freehold"])
        count = len(about["variants"])

        def numbers(kind: str) -> NDArray[Any]:
            return np.column_stack([table.column(f"{kind}:{v}").to_numpy() for v in range(count)])

        pairs = Pairs(
            task=about["task"],
            reference=about["reference"],
            metric=about["metric"],
            is_deterministic=about["is_deterministic"],
            variants=tuple(about["variants"]),
            items=tuple(table.column("item").to_pylist()),
            groups=tuple(table.column("group").to_pylist()),
            texts=tuple(table.column("text").to_pylist()),
            tags=tuple(msgspec.json.decode(tags) for tags in table.column("tags").to_pylist()),
            at_N=table.column("at").to_numpy(),
            score_NV=numbers("score"),
            loss_NV=numbers("loss"),
            cost_NV=numbers("cost"),
            latency_NV=numbers("latency"),
            answer_NV=numbers("answer"),
            answers=tuple(about["answers"]),
            truth_N=table.column("truth").to_numpy(),
            asked_N=table.column("asked").to_numpy(),
            designs=tuple(table.column("design").to_pylist()),
            inclusion_N=table.column("inclusion").to_numpy(),
            least_inclusion=math.nan if about.get("least_inclusion") is None else about["least_inclusion"],
        )
    except FileNotFoundError:
        raise DataError(f"The frozen data {path} is missing. Restore it from a backup, or certify again.") from None
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError, msgspec.DecodeError) as error:
        raise DataError(f"The frozen data {path} cannot be read: {error}. Restore it from a backup, or certify again.") from None
    if dataset_hash(pairs) != path.stem:
        raise FrozenDataChanged(f"The frozen data {path} was changed since: its hash is not its name. Restore it from a backup.")
    return pairs
