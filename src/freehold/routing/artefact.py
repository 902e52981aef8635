"""A scorer as bytes: its arrays in one safetensors file, everything else as JSON in that file's header. No code travels with it."""

import hashlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freehold.errors import DataError
from freehold.routing.arrays import pack, unpack
from freehold.routing.embed import HashedEmbedder, load_embedder
from freehold.routing.head import Head
from freehold.routing.predict import Blend, Constant, Difficulty, Kernel, Linear, Neighbours, Regions
from freehold.routing.scorer import HeadScore, Scorer

_RECORDS: dict[str, type] = {
    kind.__name__: kind
    for kind in (Scorer, HeadScore, Head, HashedEmbedder, Constant, Linear, Kernel, Neighbours, Regions, Difficulty, Blend)
}
_FORMAT = "freehold-scorer-1"


def dump(scorer: Scorer) -> bytes:
    """The scorer as bytes; equal scorers give equal bytes."""
    arrays: dict[str, NDArray[Any]] = {}
    tree = _flatten(scorer, "scorer", arrays)
    return pack(arrays, {"format": _FORMAT, "tree": tree})


def load(data: bytes) -> Scorer:
    """The scorer those bytes hold. Raises DataError when they hold something else."""
    arrays, about = unpack(data, "a scorer")
    try:
        if about["format"] != _FORMAT:
            raise DataError(f"the file's format is '{about['format']}'; this Freehold reads '{_FORMAT}'")
        scorer = _restore(about["tree"], arrays)
    except (KeyError, TypeError, IndexError) as error:
        raise DataError(f"not a scorer: {error}. Restore the file from a backup, or certify again.") from None
    if not isinstance(scorer, Scorer):
        raise DataError("not a scorer: the file holds something else. Certify again.")
    return scorer


def policy_hash(program: str, arrays: str) -> str:
    """What names a policy: its program's hash together with that of the arrays its scores come from."""
    return hashlib.sha256(f"{program}\n{arrays}".encode()).hexdigest()


def _flatten(value: object, path: str, arrays: dict[str, NDArray[Any]]) -> Any:
    if isinstance(value, np.ndarray):
        arrays[path] = np.ascontiguousarray(value)
        return {"array": path}
    if is_dataclass(value) and type(value).__name__ in _RECORDS:
        return {
            "record": type(value).__name__,
            "fields": {f.name: _flatten(getattr(value, f.name), f"{path}.{f.name}", arrays) for f in fields(value)},
        }
    if hasattr(value, "folder"):
        return {"embedder": str(value.folder), "name": value.name}  # type: ignore[attr-defined]  # an embedder kept in a folder
    return {"value": value}


def _restore(node: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Any:
    if "array" in node:
        return arrays[node["array"]]
    if "record" in node:
        kind = _RECORDS[node["record"]]
        return kind(**{name: _restore(child, arrays) for name, child in node["fields"].items()})
    if "embedder" in node:
        embedder = load_embedder(node["embedder"])
        if embedder.name != node["name"]:
            raise DataError(f"the embedder in {node['embedder']} is '{embedder.name}', the policy was made with '{node['name']}'")
        return embedder
    value = node["value"]
    return tuple(value) if isinstance(value, list) else value
