"""What an answer used, as OpenAI and those who speak like it say it."""

from collections.abc import Mapping
from typing import Any

from freehold.chat import JSON, Usage
from freehold.errors import DataError


def usage_of(usage: JSON) -> dict[str, Any] | None:
    """The canonical usage of a response's, as a row; None where there is none. Raises DataError where its parts contradict each other."""
    if not isinstance(usage, dict):
        return None
    spent_in, spent_out = usage.get("prompt_tokens"), usage.get("completion_tokens", 0)
    if spent_in is None:
        return None
    details_in, details_out = usage.get("prompt_tokens_details") or {}, usage.get("completion_tokens_details") or {}
    counts = [spent_in, spent_out]
    if details_in or details_out:
        counts += [*_numbers(details_in), *_numbers(details_out)]
    if not all(type(count) is int for count in counts):
        raise DataError("usage holds something other than whole numbers; expected a chat completion's token counts")
    reasoning = details_out.get("reasoning_tokens") or 0
    total = usage.get("total_tokens")
    if total is not None and total != spent_in + spent_out:
        # xAI counts reasoning beside completion_tokens, not within (2025-11); the total is what tells.
        if total != spent_in + spent_out + reasoning:
            raise DataError(f"usage does not add up: prompt {spent_in} + completion {spent_out} is not total_tokens {total}")
        spent_out += reasoning
    row: dict[str, Any] = {
        "input_tokens": spent_in,
        # DeepSeek says it beside, OpenAI and most others in the details.
        "cached_read": details_in.get("cached_tokens") or usage.get("prompt_cache_hit_tokens") or 0,
        "cached_write": details_in.get("cache_write_tokens") or 0,
        "output_tokens": spent_out,
        "reasoning_tokens": reasoning,
    }
    if details_in and (split := _by_modality(details_in, spent_in)):
        row["input_by_modality"] = split
    if details_out and (split := _by_modality(details_out, spent_out)):
        row["output_by_modality"] = split
    return row


def _numbers(details: JSON) -> list[JSON]:
    if not isinstance(details, dict):
        raise DataError("usage details are not an object; expected a chat completion's")
    return [count for count in details.values() if count is not None]


def _by_modality(details: Mapping[str, Any], total: int) -> dict[str, int] | None:
    """The split of a total, where something other than text took part; what is not named is text."""
    split = {name: details.get(f"{name}_tokens") or 0 for name in ("audio", "image", "video")}
    found = {name: count for name, count in split.items() if count}
    return {"text": total - sum(found.values()), **found} if found else None


def read_usage(value: JSON) -> Usage | None:
    """The usage an answer states; None where it states none, or one that cannot be: an unknown usage is better than a wrong one."""
    if value is None:
        return None
    try:
        if isinstance(value, dict) and len(value) == 3:  # the three numbers that everybody says, and nothing else
            into, out, total = value.get("prompt_tokens"), value.get("completion_tokens"), value.get("total_tokens")
            if type(into) is type(out) is type(total) is int and into + out == total:
                return Usage(input_tokens=into, output_tokens=out)
        row = usage_of(value)
        return None if row is None else Usage(**row)
    except DataError:
        return None


def write_usage(usage: Usage) -> dict[str, JSON]:
    """The usage as OpenAI states it."""
    before: dict[str, JSON] = {"cached_tokens": usage.cached_read, "cache_write_tokens": usage.cached_write}
    after: dict[str, JSON] = {"reasoning_tokens": usage.reasoning_tokens}
    for details, split in ((before, usage.input_by_modality), (after, usage.output_by_modality)):
        details.update({f"{kind}_tokens": count for kind, count in (split or {}).items()})
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": before,
        "completion_tokens_details": after,
    }
