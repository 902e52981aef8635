"""People answer: what waits for them, and an answer taken once, with what it earns."""

from collections.abc import Callable
from datetime import datetime
from math import isfinite

import msgspec

from freehold.chat import JSON
from freehold.errors import CallerError
from freehold.feedback.credits import Credit, earn
from freehold.store.open import Store
from freehold.variants.expert import ExpertAsk, asks, take_answer
from freehold.variants.terms import fits

_MOST_NAME = 200
_MOST_BYTES = 1 << 20


class UnknownQuestion(CallerError):
    """There is no such question, or it is not this person's."""


class TooLate(CallerError):
    """A question has an answer already, or nobody waits for it any more."""


def answer(
    store: Store,
    tenant: str,
    id: str,
    expert: str,
    said: JSON,
    took_s: float | None,
    now: datetime,
    may: Callable[[str], bool] | None = None,
) -> ExpertAsk:
    """Gives a question its answer, and whoever gave it what that earns, both at once. Gives the question as it stands then.

    `may`: which tasks are the person's; None for all. Raises UnknownQuestion, CallerError for an answer of another form, TooLate for a
    question that is over.
    """
    if took_s is not None and not (isfinite(took_s) and took_s >= 0):
        raise CallerError(f"took_s is {took_s}; expected a number of seconds from 0 up")
    asked = next(iter(asks(store, tenant, [id])), None)
    if asked is None or (may is not None and not may(asked.task)):
        raise UnknownQuestion(f"There is no question '{id[:120]}'. 'freehold expert list' shows those that wait.")
    if not 0 < len(expert) <= _MOST_NAME or not expert.isprintable():
        raise CallerError(f"The expert's name has 1 to {_MOST_NAME} characters, all of which can be printed; this one has {len(expert)}.")
    if asked.state == "waiting" and asked.deadline > now:
        _check(asked, said)
    with store.writing() as connection:
        is_taken = take_answer(connection, tenant, id, expert, said, took_s, now)
        if is_taken and asked.price_nano:
            earn(
                store,
                connection,
                Credit(
                    tenant=tenant, reviewer=expert, about=f"answer {id}", kind="earned", at=now, amount_nano=asked.price_nano,
                    task=asked.task,
                ),
            )  # fmt: skip
    stands = next(iter(asks(store, tenant, [id])), None)
    if not is_taken:
        raise TooLate(_why_not(stands))
    return stands or asked


def value_of(asked: ExpertAsk, text: str) -> JSON:
    """What a person typed as an answer: words where words are asked for, else the JSON it is, or those words where they fit. Raises CallerError."""
    form = None if asked.question is None else asked.question.form
    if form is None or fits(text, form):
        return text
    try:
        value: JSON = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        raise CallerError(f"{text[:80]!r} is no answer of the form that is asked for, and no JSON: {_told(form)}") from None
    return value


def _check(asked: ExpertAsk, said: JSON) -> None:
    form = None if asked.question is None else asked.question.form
    try:
        size = len(msgspec.json.encode(said))
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        raise CallerError("The answer is no JSON that can be kept.") from None
    if size > _MOST_BYTES:
        raise CallerError(f"The answer has {size:,} bytes; expected at most {_MOST_BYTES:,}.")
    if form is None and not isinstance(said, str):
        raise CallerError("The answer is no text, and a text is asked for.")
    if form is not None and not fits(said, form):
        raise CallerError(f"The answer is of another form than is asked for: {_told(form)}")


def _told(form: JSON) -> str:
    return msgspec.json.encode(form).decode()[:2_000]


def _why_not(stands: ExpertAsk | None) -> str:
    if stands is None or stands.state == "withdrawn":
        return "Nobody waits for this question any more. Nothing is booked."
    if stands.state == "answered":
        return f"'{stands.id}' was answered already. Nothing is booked."
    return f"'{stands.id}' was to be answered by {stands.deadline:%Y-%m-%d %H:%M:%S} UTC, and somebody else answers now. Nothing is booked."
