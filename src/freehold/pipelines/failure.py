"""How a step of a program fails: one error for each way, which holds the call and the episode it was part of."""

from collections.abc import Mapping

from freehold.chat import Outcome
from freehold.errors import CallerError, DataError, FreeholdError, OperatorError, ProviderError
from freehold.journal.call import Call


class StepFailed(FreeholdError):
    """A task gave no answer."""

    def __init__(self, message: str, task: str = "", episode: str | None = None, call: Call | None = None) -> None:
        super().__init__(message)
        self.task = task
        """Which."""
        self.episode = episode
        """The run it was part of: `freehold calls --episode ID` shows what was done before."""
        self.call = call
        """What the journal has of it; None where nobody was asked."""
        self.may_pass = True
        """Whether another try may have an answer, where this one had none."""


class NotAsked(StepFailed, CallerError):
    """The input, or what is asked about it, cannot be put to anybody."""


class NotReady(StepFailed, OperatorError):
    """Whoever is to be asked cannot be, until something is set where the program runs: their key."""


class NotAnswered(StepFailed, ProviderError):
    """Whoever was asked gave no answer. Trying again may help."""


class MalformedAnswer(StepFailed, DataError):
    """Whoever was asked gave an answer that is no value of the task's output type."""


class AnswerRefused(StepFailed, PermissionError):
    """The model would not answer, or a guard let nobody."""


class TookTooLong(StepFailed, TimeoutError):
    """There was no answer by the deadline."""


class BudgetSpent(StepFailed, CallerError):
    """What may be spent is spent, or what this may cost would be more than is left."""

    def __init__(
        self, message: str, task: str = "", episode: str | None = None, call: Call | None = None, purse: object | None = None
    ) -> None:
        super().__init__(message, task, episode, call)
        self.purse = purse
        """The budget that it was, where that is a scope's."""


class Cancelled(StepFailed):
    """Somebody stopped the run."""


class NotKept(StepFailed, OperatorError):
    """The answer could not be journalled, or something of ours failed."""


HAD_NO_ANSWER = (NotAnswered, NotKept, TookTooLong)
"""Whoever was asked has said nothing, or nothing that is kept."""
_BY_OUTCOME: Mapping[Outcome, type[StepFailed]] = {
    "refused": AnswerRefused,
    "malformed": MalformedAnswer,
    "timed_out": TookTooLong,
    "cancelled": Cancelled,
}
_BY_STATUS: Mapping[int, type[StepFailed]] = {
    400: NotAsked,
    402: BudgetSpent,
    403: AnswerRefused,
    404: NotAsked,
    422: NotAsked,
    424: NotReady,
    499: Cancelled,
    500: NotKept,
    503: NotKept,
    504: TookTooLong,
}
"""Where nobody was asked, or the journal has nothing of it."""
_FOR_GOOD = frozenset({400, 401, 403, 404, 413, 415, 422})
"""What a provider says of a request, or of whose it is, that it says again when it is asked again."""


def failure_of(status: int, message: str, task: str, episode: str | None, call: Call | None) -> StepFailed:
    """The error for a status that the gateway would have answered with."""
    kind = _BY_STATUS.get(status, NotAnswered) if call is None else _BY_OUTCOME.get(call.outcome, NotAnswered)
    failed = kind(message if f"ask '{task}'" in message else f"Task '{task}': {message}", task, episode, call)
    failed.may_pass = isinstance(failed, HAD_NO_ANSWER) and status not in _FOR_GOOD
    return failed


def may_pass(error: BaseException) -> bool:
    """Whether another try may have an answer. An answer that is no value, or a request that is refused, is so the next time as well."""
    return isinstance(error, HAD_NO_ANSWER) and error.may_pass


def words_of(error: BaseException) -> str:
    """What is told of an error to whoever runs the program: of one that is not ours its type as well."""
    return str(error) if isinstance(error, FreeholdError) else f"{type(error).__name__}: {error}"


def kind_of(error: BaseException) -> str:
    """What an error is, without what anybody said: its words may quote an answer."""
    task = getattr(error, "task", "")
    return f"{type(error).__name__}{f' in task {task!r}' if task else ''}"
