"""What a variant gives: an answer with what is known of it, or nothing."""

from collections.abc import Mapping
from typing import NamedTuple

from freehold.chat import JSON, Usage


class Outcome(NamedTuple):
    """An answer of a variant on this machine."""

    output: JSON
    """What it answers: words, or a value that is written as JSON."""
    cost_usd: float | None
    """What it cost; 0 for what runs here and has no price of its own, None where a recording does not say."""
    usage: Usage | None = None
    """What it used by itself, where that is known: of several answers that were asked for, the one that was chosen."""
    known: Mapping[str, float] = {}
    """What a policy's `accept` may look at, such as `confidence`."""
