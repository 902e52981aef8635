"""A usage's parts always sum: one that is accepted adds up, and it is the same record after a round trip."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freehold.chat import Usage
from freehold.errors import DataError

COUNTS = st.integers(min_value=-2, max_value=50)
SPLITS = st.none() | st.dictionaries(st.sampled_from(["text", "image", "audio", "video", "file"]), COUNTS, max_size=3)
ANY_COUNTS = st.fixed_dictionaries(
    {
        "input_tokens": COUNTS,
        "cached_read": COUNTS,
        "cached_write": COUNTS,
        "output_tokens": COUNTS,
        "reasoning_tokens": COUNTS,
        "input_by_modality": SPLITS,
        "output_by_modality": SPLITS,
    }
)
"""Mostly contradictions: small numbers, so that some add up by chance."""


def adds_up(counts: dict[str, Any]) -> bool:
    """What a usage promises, said a second time."""
    whole = [counts[key] for key in ("input_tokens", "cached_read", "cached_write", "output_tokens", "reasoning_tokens")]
    splits = [(counts["input_by_modality"], counts["input_tokens"]), (counts["output_by_modality"], counts["output_tokens"])]
    return (
        all(count >= 0 for count in whole)
        and counts["cached_read"] + counts["cached_write"] <= counts["input_tokens"]
        and counts["reasoning_tokens"] <= counts["output_tokens"]
        and all(split is None or (sum(split.values()) == total and all(n >= 0 for n in split.values())) for split, total in splits)
    )


@given(ANY_COUNTS)
def test_a_usage_is_accepted_exactly_when_its_parts_sum(counts: dict[str, Any]) -> None:
    if adds_up(counts):
        usage = Usage(**counts)
        assert usage.fresh_tokens + usage.cached_read + usage.cached_write == usage.input_tokens
        assert usage.fresh_tokens >= 0
    else:
        with pytest.raises(DataError):
            Usage(**counts)


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**9))
def test_a_usage_survives_a_round_trip(fresh: int, read: int, write: int, plain: int, reasoning: int) -> None:
    usage = Usage(
        input_tokens=fresh + read + write,
        cached_read=read,
        cached_write=write,
        output_tokens=plain + reasoning,
        reasoning_tokens=reasoning,
        input_by_modality={"text": fresh + read + write},
    )
    assert usage.fresh_tokens == fresh
    assert msgspec.json.decode(msgspec.json.encode(usage), type=Usage) == usage
