"""One tree of errors, by who can act on them."""

from difflib import get_close_matches


class FreeholdError(Exception):
    """Anything Freehold raises on purpose. The message says what happened, what was expected, and what to do."""


class CallerError(FreeholdError, ValueError):
    """The one who called can mend it: a bad argument, an unknown name, a malformed request."""


class OperatorError(FreeholdError, RuntimeError):
    """The one who runs the project can mend it: configuration, store, disk, permissions."""


class StoreBusy(OperatorError):
    """The store is locked by another process for longer than we wait."""


class StoreTooNew(OperatorError):
    """The journal was written by a newer Freehold than this one."""


class ProviderError(FreeholdError, ConnectionError):
    """Somebody else's service failed; trying again may help."""


class DataError(FreeholdError, ValueError):
    """A record, file or data set is not what it has to be."""


class PolicyError(CallerError):
    """A policy program is wrong at a place: `line` and `column` are 1-based."""

    def __init__(self, message: str, line: int, column: int) -> None:
        super().__init__(f"line {line}, column {column}: {message}")
        self.message = message
        self.line = line
        self.column = column


class TrainingError(FreeholdError, RuntimeError):
    """Training could not give a model: too little data, one class only, no progress."""


def nearest(name: str, known: list[str] | tuple[str, ...] | set[str]) -> str:
    """The end of a message about an unknown name: `Did you mean 'x'? It has: x, y.`; empty when nothing is known."""
    if not known:
        return ""
    close = get_close_matches(name, list(known), n=1, cutoff=0.5)
    listed = ", ".join(sorted(known)[:12]) + (", …" if len(known) > 12 else "")
    return (f" Did you mean '{close[0]}'?" if close else "") + f" Known: {listed}."


class Deferred(BaseException):
    """The answer comes later, and the run is begun anew then. No Exception, for nothing failed and a program is not to do anything about it."""


def is_deferred(error: BaseException) -> bool:
    """Whether a run ended for that, alone or in a group."""
    return isinstance(error, Deferred) or (isinstance(error, BaseExceptionGroup) and error.subgroup(Deferred) is not None)
