"""Recomputes a certificate from the data it names: same split, same arrays, same walk, same bound. Or says why it can't."""

from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from freehold.catalog import Metric
from freehold.datasets.freeze import thaw
from freehold.datasets.pairs import Pairs
from freehold.errors import DataError, FreeholdError
from freehold.promotion.certificate import Certificate
from freehold.promotion.certify import Settings, certify
from freehold.datasets.split import Fractions


class Verdict(StrEnum):
    """What verification found."""

    VALID = "valid"
    INVALID = "invalid"
    ERASED = "unverifiable: erased"
    UNREADABLE = "unreadable"


class Verification(NamedTuple):
    """The verdict and every number that was compared."""

    verdict: Verdict
    reasons: tuple[str, ...]
    """What differs, or why nothing could be compared."""
    certificate: Certificate | None


def read_certificate(path: Path) -> Certificate:
    """The certificate in a file. Raises DataError."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Certificate)
    except FileNotFoundError:
        raise DataError(f"There is no certificate at {path}. 'freehold certify' prints the path of the one it writes.") from None
    except (OSError, msgspec.DecodeError, FreeholdError) as error:
        raise DataError(f"{path} is not a certificate: {error}") from None
