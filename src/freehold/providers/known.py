"""What all workers, on whichever machine, know of models that fail: rows of the store, the newest word on each."""

from collections.abc import Mapping
from typing import NamedTuple

from freehold.store.open import Store

_COLUMNS = ("tenant", "name", "open_until", "cause", "at")
_MOST_CAUSE = 500


class State(NamedTuple):
    """Whether a model is left alone. Times are seconds since 1970."""

    open_until: float
    """Until when; 0 for not at all."""
    since: float
    """When that was found out."""
    cause: str
    """Why."""


def tell_breakers(store: Store, tenant: str, states: Mapping[str, State]) -> None:
    """Tells the others, unless one of them knows something newer. Raises OperatorError."""
    if not states:
        return
    with store.writing() as connection:
        held = store.rows_of(connection, "breakers", ("name", "at"), tenant, "name", list(states), is_held=True)
        newer = {name for name, at in held if at > states[name].since * 1e6}
        rows = [
            (tenant, name, round(state.open_until * 1e6), state.cause[:_MOST_CAUSE], round(state.since * 1e6))
            for name, state in states.items()
            if name not in newer
        ]
        store.put(connection, "breakers", _COLUMNS, ("tenant", "name"), rows)


def known_breakers(store: Store, tenant: str) -> dict[str, tuple[float, float]]:
    """By model until when it is left alone, and since when that is known. Raises OperatorError."""
    mark = "?" if store.kind == "sqlite" else "%s"
    with store.reading() as connection:
        found = connection.exec_driver_sql(f"SELECT name, open_until, at FROM breakers WHERE tenant = {mark}", (tenant,))  # noqa: S608 our own names
        return {name: (until / 1e6, at / 1e6) for name, until, at in found}
