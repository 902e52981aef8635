"""What a program says of its own answers: scores of its checks, what its users thought, and the tokens by which those speak for themselves."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Any, ParamSpec, TypeAlias, TypeVar

from pydantic_core import PydanticSerializationError, to_jsonable_python

from freehold.chat import JSON
from freehold.errors import CallerError, OperatorError
from freehold.feedback.preference import Verdict, preference_json
from freehold.feedback.public import checked_ticket
from freehold.feedback.saying import Saying, feedback_from
from freehold.feedback.secret import secret_of
from freehold.feedback.tokens import new_ticket, signed
from freehold.journal.call import Call, Episode
from freehold.journal.read import find_call
from freehold.pipelines.runtime import Runtime, runtime
from freehold.pipelines.task import Answer, declared

P = ParamSpec("P")
T = TypeVar("T")
Spoken: TypeAlias = Answer[Any] | Call | Episode | str
"""What something is said about: an answer, a call or its id, or an episode."""


async def agive_feedback(
    about: Spoken | None = None,
    value: float | bool | str | None = None,
    *,
    metric: str | None = None,
    correction: Any = None,
    better_than: Any = None,
    worse_than: Any = None,
    same_as: Any = None,
    comment: str | None = None,
    source: str = "user",
    author: str | None = None,
    key: str | None = None,
    at: datetime | None = None,
    episode: str | None = None,
) -> tuple[str, ...]:
    """Says what an answer was worth, and gives the ids of what was journalled.

    `about`: an answer, a call or its id, or an episode; `episode` names one by its id, as `freehold.episode()` has it. `value`: a score in
    the metric's range, whether it is right, or a label. `metric`: the task's where nothing is said. `correction`: the answer as it should
    have been. `better_than`, `worse_than`, `same_as`: what it was compared with, another answer or call, or a value that no call gave.
    `source`: who says it: `user`, `verifier:NAME`, `person:NAME`, `judge:NAME`, `scorer:NAME`; `author`: who of them. Under one `key` the
    same source and author say the same once. What is about a call that is not in the journal yet waits for it.

    Raises CallerError for what cannot be said, OperatorError where it cannot be kept.
    """
    here = runtime()
    call, run, task = _named(about, episode)
    if metric is None:
        metric = await here.arun(_metric_of(here, call, task))
    compared: dict[Verdict, Any] = {"better_than": better_than, "worse_than": worse_than, "same_as": same_as}
    said = [(verdict, other) for verdict, other in compared.items() if other is not None]
    if len(said) > 1:
        raise CallerError(f"{' and '.join(verdict for verdict, _ in said)} are there; expected one of them, and a call for each")
    saying = Saying(
        call=call,
        episode=run,
        metric=metric,
        value=value,
        correction=_json(task, correction),
        preference=_preference(task, *said[0]) if said else None,
        comment=comment,
        source=source,
        author=author,
        key=key,
        at=at,
    )
    now = datetime.now(UTC)
    pieces = feedback_from(saying, here.resources.catalog, here.project.tenant, now)
    kept = await here.arun(here.receiver.keep(pieces, now))
    if kept.status >= 400:
        error: Any = kept.body["error"]
        raise (OperatorError if kept.status >= 500 else CallerError)(error["message"])
    return tuple(one.id for one in pieces)


def _waited(spoken: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
    """The same for a program that does not await."""

    @wraps(spoken)
    def wait(*args: P.args, **kwargs: P.kwargs) -> T:
        return runtime().run(spoken(*args, **kwargs))

    wait.__name__ = wait.__qualname__ = spoken.__name__.removeprefix("a")
    return wait


give_feedback = _waited(agive_feedback)
"""As `agive_feedback`, for a program that does not await."""


def feedback_token(
    about: Spoken | None = None,
    *,
    author: str | None = None,
    metrics: tuple[str, ...] = (),
    other: Answer[Any] | Call | str | None = None,
    episode: str | None = None,
) -> str:
    """A token with which somebody without a key may speak of an answer once, over HTTP. `author`: who that is; `metrics`: what they may judge;
    `other`: the answer that they may compare it with. Raises CallerError, OperatorError."""
    project = runtime().project
    rule = project.config.feedback
    call, run, _ = _named(about, episode)
    compared = None if other is None else _named(other, None)[0]
    until = datetime.now(UTC) + timedelta(days=rule.token_days)
    ticket = new_ticket(project.tenant, call, until, episode=run, other=compared, metrics=tuple(metrics), author=author)
    return signed(secret_of(project.folder, rule), checked_ticket(ticket))


def _named(about: Spoken | None, episode: str | None) -> tuple[str | None, str | None, str | None]:
    """The call, the episode and the task that are meant."""
    if isinstance(about, Answer):
        about = about.call
    if isinstance(about, Call):
        return about.id, episode, about.task
    if isinstance(about, Episode):
        return None, about.id, None
    return about, episode, None


async def _metric_of(here: Runtime, call: str | None, task: str | None) -> str:
    """What is judged where nobody says: the metric of the call's task. Raises CallerError."""
    if task is None and call is not None:
        found = await asyncio.to_thread(find_call, here.project.store, here.project.tenant, call)
        task = None if found is None else found.task
    known = here.resources.catalog.tasks.get(task or "")
    if known is None or known.metric is None:
        whose = "It is not known which task this is about" if known is None else f"Task '{known.id}' has no metric"
        raise CallerError(f"{whose}, so say what is judged: metric=")
    return known.metric


def _preference(task: str | None, verdict: Verdict, other: Any) -> JSON:
    if isinstance(other, Answer | Call):
        return preference_json(verdict, _named(other, None)[0])
    return preference_json(verdict, answer=_json(task, other))


def _json(task: str | None, value: Any) -> JSON:
    """An answer as the journal keeps it. Raises CallerError."""
    known = declared().get(task or "")
    try:
        if known is not None and value is not None:
            return known.signature.output_json(value)
        kept: JSON = to_jsonable_python(value)
    except (PydanticSerializationError, ValueError, TypeError) as error:
        raise CallerError(f"{value!r:.80} cannot be kept as an answer: {error}") from None
    return kept
