"""Arrays and a little JSON as bytes: safetensors with one header. Equal values give equal bytes; nothing in them is code."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from freehold.chat import JSON
from freehold.errors import DataError

_KEY = "freehold"


class Packed(NamedTuple):
    """What was packed."""

    arrays: dict[str, NDArray[Any]]
    """By name."""
    about: Any
    """The JSON beside them."""


def pack(arrays: Mapping[str, NDArray[Any]], about: JSON) -> bytes:
    """Arrays and what is said of them as bytes."""
    from safetensors.numpy import save

    # One key: safetensors writes several in an order that changes from run to run (0.8.0, 2026).
    header = {_KEY: msgspec.json.encode(about, order="deterministic").decode()}
    return bytes(save({name: _contiguous(arrays[name]) for name in sorted(arrays)}, metadata=header))


def _contiguous(array: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(array).reshape(array.shape)  # numpy makes one number a list of one


def unpack(data: bytes, what: str) -> Packed:
    """The arrays and the JSON. `what`: what they are said to be, for the message. Raises DataError."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays = dict(load(data))
        header = msgspec.json.decode(data[8 : 8 + int.from_bytes(data[:8], "little")])
        return Packed(arrays, msgspec.json.decode(header["__metadata__"][_KEY]))
    except (SafetensorError, msgspec.DecodeError, KeyError, TypeError, IndexError) as error:
        raise DataError(f"not {what}: {error}. Restore the file from a backup, or make it anew.") from None
