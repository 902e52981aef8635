"""The table of names: OpenTelemetry's as its conventions 1.41.0 have them, and no others under its prefix."""

import re

from freehold.telemetry import names

KNOWN = {
    *(f"gen_ai.{name}" for name in ("operation.name", "provider.name", "conversation.id", "output.type", "token.type")),
    *(f"gen_ai.request.{name}" for name in ("model", "stream", "temperature", "top_p", "top_k", "max_tokens", "seed", "choice.count")),
    *(f"gen_ai.response.{name}" for name in ("id", "model", "finish_reasons", "time_to_first_chunk")),
    *(f"gen_ai.usage.{name}" for name in ("input_tokens", "output_tokens", "cache_read.input_tokens", "cache_creation.input_tokens")),
    "gen_ai.usage.reasoning.output_tokens",
    *(f"gen_ai.{name}" for name in ("system_instructions", "input.messages", "output.messages", "tool.definitions")),
    *(
        f"gen_ai.client.{name}"
        for name in ("token.usage", "operation.duration", "operation.time_to_first_chunk", "operation.time_per_output_chunk")
    ),
    "gen_ai.client.operation.time_per_output_chunk",
}
"""Those of the release's registry that a gateway can have use for."""
DEPRECATED = re.compile(r"gen_ai\.(system|prompt|completion|openai(\..*)?|usage\.(prompt|completion)_tokens)")
STABLE = {"error.type", "server.address", "server.port", "http.request.method", "http.route", "http.response.status_code"}

NAMES = {value for value in vars(names).values() if isinstance(value, str) and re.fullmatch(r"[a-z0-9_]+(\.[a-z0-9_]+)+", value)} | {
    metric.name for metric in names.METRICS
}


def test_every_name_of_theirs_is_in_the_release() -> None:
    theirs = {name for name in NAMES if not name.startswith("freehold.")}
    assert theirs <= KNOWN | STABLE
    assert names.SCHEMA_URL.endswith("/1.41.0")


def test_no_name_is_deprecated() -> None:
    assert [name for name in NAMES if DEPRECATED.fullmatch(name)] == []


def test_what_they_have_no_word_for_is_ours() -> None:
    """There is no attribute of theirs for what a call costs."""
    assert names.COST.startswith("freehold.cost")
    assert not any("cost" in name for name in KNOWN)


def test_every_metric_stands_in_the_table_once() -> None:
    defined = [value for value in vars(names).values() if isinstance(value, names.Metric)]
    assert sorted(defined) == sorted(names.METRICS)
    assert len({metric.prometheus for metric in names.METRICS}) == len(names.METRICS)


def test_bounds_grow() -> None:
    for metric in names.METRICS:
        assert list(metric.bounds) == sorted(set(metric.bounds))
        assert bool(metric.bounds) == (metric.kind == "histogram")
