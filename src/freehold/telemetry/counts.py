"""What a worker counts: a few lists of numbers for each kind of call, found once and then only added to."""

from __future__ import annotations

from bisect import bisect_left
from typing import TypeAlias

from freehold.telemetry.event import Finished, Tried
from freehold.telemetry.names import (
    ATTEMPTS,
    CALL_DURATION,
    CALLS,
    FINE_SECONDS,
    FIRST_BYTE,
    FIRST_CHUNK,
    METRICS,
    OPERATION_DURATION,
    OUR_OVERHEAD,
    PER_CHUNK,
    REQUEST_MODEL,
    RESPONSE_MODEL,
    SECONDS,
    SPENT,
    TOKEN_USAGE,
    TOKENS,
    TOKENS_USED,
    TURNED_AWAY,
    UNKNOWN_COST,
    VARIANT,
    Metric,
)

Cell: TypeAlias = list[float]
"""The numbers of one series: its sum; of a histogram, its buckets and then the sum of its values."""
Samples: TypeAlias = dict[str, dict[tuple[str, ...], Cell]]
"""Cells by metric and labels."""

HERE = "freehold"
"""The provider of what answers on this machine."""
OTHER = "other"
"""What names are counted under that are too many or too long to be counted each for itself."""
MOST_NAMES = 200
"""The most names of models: callers and providers choose them, and a worker's memory is not theirs to fill."""
_LONGEST_NAME = 120
_NAMES_OF_MODELS = (VARIANT, REQUEST_MODEL, RESPONSE_MODEL)


class Counts:
    """The counts of one worker. They may be read from another thread while they grow, for each step of that is one of the interpreter's."""

    def __init__(self, samples: Samples | None = None) -> None:
        """`samples`: what was counted before, to go on from."""
        self.samples: Samples = {metric.name: {} for metric in METRICS if metric.kind != "gauge"} | (samples or {})
        self._models = {
            value
            for metric in METRICS
            for labels in self.samples.get(metric.name, {})
            for label, value in zip(metric.labels, labels, strict=True)
            if label in _NAMES_OF_MODELS
        }
        self._of_calls: dict[tuple[object, ...], tuple[Cell, ...]] = {}
        self._of_attempts: dict[tuple[object, ...], tuple[Cell, ...]] = {}

    def finished(self, event: Finished) -> None:
        """Counts a call and its attempts."""
        key = (event.door, event.operation, event.task, event.policy, event.variant, event.outcome, event.status)
        calls, duration, first_byte, overhead, spent, unknown = self._of_calls.get(key) or self._cells_of_call(key, event)
        calls[0] += 1
        seconds = event.seconds
        duration[bisect_left(SECONDS, seconds)] += 1
        duration[-1] += seconds
        if event.first_byte_s is not None:
            first_byte[bisect_left(SECONDS, event.first_byte_s)] += 1
            first_byte[-1] += event.first_byte_s
        seconds = max(0.0, seconds - event.upstream_s)  # two clocks may differ, and a sum never goes back
        overhead[bisect_left(FINE_SECONDS, seconds)] += 1
        overhead[-1] += seconds
        if event.cost_usd is None:
            unknown[0] += 1
        else:
            spent[0] += event.cost_usd
        for tried in event.attempts:
            self._tried(event, tried)

    def _tried(self, event: Finished, tried: Tried) -> None:
        peer, error, seconds, usage = tried.peer, tried.error, tried.seconds, tried.usage
        where = None if peer is None else peer.name
        # Eight names and no nested tuple: this is on the way of every call.
        key = (event.operation, event.task, where, tried.variant, tried.response_model, tried.cause, tried.outcome, error)
        attempts, duration, first_chunk, per_chunk, input_spread, output_spread, into, out, cached_read, cached_write, reasoning = (
            self._of_attempts.get(key) or self._cells_of_attempt(key, event, tried)
        )
        attempts[0] += 1
        duration[bisect_left(SECONDS, seconds)] += 1
        duration[-1] += seconds
        if tried.first_chunk_s is not None:
            first_chunk[bisect_left(SECONDS, tried.first_chunk_s)] += 1
            first_chunk[-1] += tried.first_chunk_s
        for place, more in enumerate(tried.per_chunk):
            per_chunk[place] += more
        if usage is None:
            return
        tokens = usage.input_tokens
        input_spread[bisect_left(TOKENS, tokens)] += 1
        input_spread[-1] += tokens
        into[0] += tokens
        tokens = usage.output_tokens
        output_spread[bisect_left(TOKENS, tokens)] += 1
        output_spread[-1] += tokens
        out[0] += tokens
        if usage.cached_read:
            cached_read[0] += usage.cached_read
        if usage.cached_write:
            cached_write[0] += usage.cached_write
        if usage.reasoning_tokens:
            reasoning[0] += usage.reasoning_tokens

    def refused(self, door: str, status: int) -> None:
        """Counts a request that was refused before anybody was asked."""
        self.cell(TURNED_AWAY, (door, str(status)))[0] += 1

    def observe(self, metric: Metric, labels: tuple[str, ...], value: float) -> None:
        """Adds a value to a histogram."""
        cell = self.cell(metric, labels)
        cell[bisect_left(metric.bounds, value)] += 1
        cell[-1] += value

    def cell(self, metric: Metric, labels: tuple[str, ...]) -> Cell:
        """The numbers of one series."""
        series = self.samples[metric.name]
        found = series.get(labels)
        if found is None:
            found = series[labels] = [0.0] * metric.width
        return found

    def _cells_of_call(self, key: tuple[object, ...], event: Finished) -> tuple[Cell, ...]:
        variant, is_known = self._named(event.variant)
        task, door, operation = event.task or "", event.door, event.operation
        cells = (
            self.cell(CALLS, (door, operation, task, event.policy or "", variant, event.outcome, str(event.status))),
            self.cell(CALL_DURATION, (door, operation, task)),
            self.cell(FIRST_BYTE, (door, operation, task)),
            self.cell(OUR_OVERHEAD, (door, operation)),
            self.cell(SPENT, (task, variant)),
            self.cell(UNKNOWN_COST, (task, variant)),
        )
        if is_known:
            self._of_calls[key] = cells
        return cells

    def _cells_of_attempt(self, key: tuple[object, ...], event: Finished, tried: Tried) -> tuple[Cell, ...]:
        names = [self._named(name) for name in (tried.variant, tried.model, tried.response_model)]
        variant, model, response_model = (name for name, _ in names)
        task, peer = event.task or "", tried.peer
        where = (HERE, model, response_model, "", "") if peer is None else (peer.kind, model, response_model, peer.address, str(peer.port))
        client = (event.operation, *where)
        cells = (
            self.cell(ATTEMPTS, (variant, tried.cause, tried.outcome, tried.error)),
            self.cell(OPERATION_DURATION, (*client, tried.error)),
            self.cell(FIRST_CHUNK, client),
            self.cell(PER_CHUNK, client),
            self.cell(TOKEN_USAGE, (*client, "input")),
            self.cell(TOKEN_USAGE, (*client, "output")),
            *(self.cell(TOKENS_USED, (task, variant, kind)) for kind in ("input", "output", "cached_read", "cached_write", "reasoning")),
        )
        if all(is_known for _, is_known in names):
            self._of_attempts[key] = cells
        return cells

    def _named(self, name: str) -> tuple[str, bool]:
        """A name of a model as it is counted, and whether it is counted for itself."""
        if name in self._models:
            return name, True
        if len(name) > _LONGEST_NAME or len(self._models) >= MOST_NAMES:
            return OTHER, False
        self._models.add(name)
        return name, True
