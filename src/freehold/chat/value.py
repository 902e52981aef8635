"""JSON values."""

from math import isfinite
from typing import Any, TypeAlias

import msgspec

JSON: TypeAlias = Any
"""A value that entered as JSON: None, bool, int, float, str, list or dict."""


def is_finite(value: JSON) -> bool:
    """Whether every number in it is one that JSON has: no NaN and nothing infinite."""
    if isinstance(value, float):
        return isfinite(value)
    if isinstance(value, list):
        return all(map(is_finite, value))
    return all(map(is_finite, value.values())) if isinstance(value, dict) else True


def canonical_json(value: JSON) -> bytes:
    """The one byte string of a JSON value: keys sorted, no spaces. What is hashed and compared."""
    return msgspec.json.encode(value, order="deterministic")
