"""Everybody who was asked for one call, in order: a row of the journal each, and a line of what is watched."""

import time
from collections.abc import Sequence
from datetime import datetime, timedelta

from freehold.chat import Cause, ChatAnswer, Outcome, Usage
from freehold.journal.build import RECORDED
from freehold.journal.call import Attempt
from freehold.providers.asking import Asking, Failure
from freehold.serving.prices import Priced
from freehold.telemetry.event import Tried

_TOKENS = ("input_tokens", "cached_read", "cached_write", "output_tokens", "reasoning_tokens")


class Attempts:
    """The attempts of one call. Nothing paid is hidden."""

    def __init__(self, began: float, at: datetime, before: Sequence[Attempt] = ()) -> None:
        """`began`, `at`: when the call came, by `time.perf_counter` and by the calendar. `before`: those of a call that another process began."""
        self.rows: list[Attempt] = list(before)
        """As the journal keeps them, in the order in which they ended."""
        self.told: list[Tried] = []
        """As whoever watches hears of them, likewise."""
        self.price_id: str | None = None
        """By which prices the last was priced that has any."""
        self._began = began
        self.at = at
        """When the call came."""
        self._begun = len(before)

    def __len__(self) -> int:
        """How many have ended."""
        return len(self.rows)

    def number(self) -> int:
        """The number of one that begins."""
        self._begun += 1
        return self._begun - 1

    def asked(
        self,
        asking: Asking,
        outcome: Outcome,
        usage: Usage | None,
        priced: Priced,
        failure: Failure | None,
        answer: ChatAnswer | None,
        span: str,
    ) -> None:
        """A provider was asked, and that is over. `span`: the id of its span."""
        target, seconds = asking.target, time.perf_counter() - asking.asked_at
        message = failure.message if failure is not None else None
        at = self._note(asking.n, target.variant, asking.cause, asking.asked_at, seconds, outcome, usage, priced, message)
        self.told.append(
            Tried(
                variant=target.variant,
                model=target.model,
                peer=target.provider.peer,
                cause=asking.cause,
                outcome=outcome,
                started=at.timestamp(),
                seconds=seconds,
                first_chunk_s=asking.first_byte_at - asking.asked_at if asking.collected is not None and asking.first_byte_at else None,
                per_chunk=asking.per_chunk,
                usage=usage,
                response_id=answer.id if answer is not None else "",
                response_model=answer.model if answer is not None else "",
                finish_reasons=tuple([choice.finish for choice in answer.choices]) if answer is not None else (),
                error=failure.kind if failure is not None else "",
                span=span,
            )
        )

    def here(self, variant: str, outcome: Outcome, usage: Usage | None, priced: Priced) -> None:
        """What runs on this machine has answered."""
        cause: Cause = "escalation" if self.rows else "first"
        at = self._note(self.number(), variant, cause, time.perf_counter(), 0.0, outcome, usage, priced, None)
        self.told.append(
            Tried(variant=variant, model=variant, peer=None, cause=cause, outcome=outcome, started=at.timestamp(), seconds=0.0, usage=usage)
        )

    def person(self, variant: str, outcome: Outcome, at: datetime, seconds: float, cost_usd: float) -> None:
        """A person has answered, or not in time. `at`: when that was asked."""
        cause: Cause = "escalation" if self.rows else "first"
        asked_at = self._began + (at - self.at).total_seconds()
        self._note(self.number(), variant, cause, asked_at, seconds, outcome, Usage(), (cost_usd, RECORDED), None)
        self.told.append(
            Tried(
                variant=variant,
                model=variant,
                peer=None,
                cause=cause,
                outcome=outcome,
                started=at.timestamp(),
                seconds=seconds,
                usage=Usage(),
            )
        )

    def _note(
        self,
        n: int,
        variant: str,
        cause: Cause,
        asked_at: float,
        seconds: float,
        outcome: Outcome,
        usage: Usage | None,
        priced: Priced,
        error: str | None,
    ) -> datetime:
        """Adds a row; gives when it was asked."""
        cost_usd, price_id = priced
        self.price_id = price_id or self.price_id
        at = self.at + timedelta(seconds=asked_at - self._began)
        self.rows.append(
            Attempt(
                n=n, variant=variant, cause=cause, outcome=outcome, at=at, latency_s=seconds, usage=usage, cost_usd=cost_usd, error=error
            )
        )
        return at

    @property
    def tokens(self) -> int | None:
        """How many tokens they used together; None where that of any is unknown that was paid for."""
        tokens = 0
        for row in self.rows:
            if row.usage is not None:
                tokens += row.usage.input_tokens + row.usage.output_tokens
            elif row.cost_usd != 0:
                return None
        return tokens

    def sums(self) -> tuple[Usage | None, float | None]:
        """What they used, and what they cost, together; None where that of any is unknown that was paid for."""
        rows = self.rows
        if len(rows) == 1:
            return rows[0].usage, rows[0].cost_usd
        return _usage_of(rows), _cost_of(rows)

    def in_order(self) -> tuple[Attempt, ...]:
        """The rows, in the order in which they were asked."""
        return tuple(self.rows if len(self.rows) == 1 else sorted(self.rows, key=lambda row: row.n))


def _cost_of(rows: Sequence[Attempt]) -> float | None:
    costs = [row.cost_usd for row in rows]
    return None if None in costs else sum(cost for cost in costs if cost is not None)


def _usage_of(rows: Sequence[Attempt]) -> Usage | None:
    known = [row.usage for row in rows if row.usage is not None]
    if not known or any(row.usage is None and row.cost_usd != 0 for row in rows):
        return None
    return Usage(**{name: sum(getattr(usage, name) for usage in known) for name in _TOKENS})
