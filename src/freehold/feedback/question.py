"""One question to a person: the distinct answers to an item, blind and shuffled, and what a judgement of them says about each call.

Pure: takes values, gives values.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from hashlib import blake2b
from typing import NamedTuple

from freehold.catalog import FeedbackKind, Metric
from freehold.chat import JSON
from freehold.errors import CallerError, nearest
from freehold.journal.build import feedback_id
from freehold.journal.call import Feedback
from freehold.journal.rows import digest_of


class Ballot(NamedTuple):
    """An item on which somebody has to judge: which calls gave which answer."""

    item: str
    """What was asked, by name."""
    reference: str
    """The reference's call: what a correction is about."""
    calls: dict[str, tuple[str, ...]]
    """By the answer's digest, every call of the item that gave it: all of them get its score."""
    needed: frozenset[str]
    """The calls whose scores the paired losses are made of: the item is answered when all of them are scored."""


class Content(NamedTuple):
    """What was asked and answered, as far as the journal keeps it."""

    asked: JSON
    """The input."""
    outputs: dict[str, JSON]
    """By digest, the answers."""


class Shown(NamedTuple):
    """An answer as it is shown: by a letter, never by who gave it."""

    letter: str
    """A, B, C, …"""
    digest: str
    """The answer's hash."""
    output: JSON
    """What was answered."""


class Question(NamedTuple):
    """What a person is asked."""

    item: str
    """What was asked, by name."""
    asked: JSON
    """The input."""
    answers: tuple[Shown, ...]
    """The distinct answers, in an order that says nothing about who gave them and is the same each time the item is shown."""


class Judgement(NamedTuple):
    """What a person says about a question."""

    scores: Mapping[str, float] = {}
    """By letter, a score in the metric's own range. Empty where equality with the correction decides."""
    correction: JSON = None
    """The right answer, where it was given."""


def question_of(ballot: Ballot, content: Content, seed: str) -> Question:
    """The question about an item: each distinct answer once, shuffled by a hash of `seed`, item and answer."""

    def turn(digest: str) -> bytes:
        return blake2b("\x00".join((seed, ballot.item, digest)).encode(errors="surrogatepass"), digest_size=8, person=b"shuffle").digest()

    digests = sorted(ballot.calls, key=turn)
    answers = tuple(Shown(letter(n), digest, content.outputs[digest]) for n, digest in enumerate(digests))
    return Question(ballot.item, content.asked, answers)


def letter(n: int) -> str:
    """A to Z, then AA, AB and so on, as columns of a spreadsheet are called."""
    return (letter(n // 26 - 1) if n >= 26 else "") + chr(ord("A") + n % 26)


def right(question: Question, letters: frozenset[str], metric: Metric) -> Judgement:
    """The judgement that the answers of these letters are right and the others are not. Raises CallerError for a letter that is not there."""
    _refuse_unknown(question, letters)
    good, bad = (1.0, 0.0) if metric.better == "higher" else (0.0, 1.0)
    return Judgement({answer.letter: good if answer.letter in letters else bad for answer in question.answers})


def equal_to(question: Question, correction: JSON, metric: Metric) -> Judgement:
    """The judgement that an answer is right exactly when it equals the correction."""
    digest = digest_of(correction)
    # a redacted answer's digest is of what was said, and the rater can only type what is shown
    equal = frozenset(a.letter for a in question.answers if a.digest == digest or a.output == correction)
    return right(question, equal, metric)._replace(correction=correction)


def scores_by_digest(question: Question, judgement: Judgement, metric: Metric) -> dict[str, float]:
    """The judgement's scores by answer. Raises CallerError where they are not one score of this metric for each answer."""
    if not judgement.scores and judgement.correction is not None and metric.kind == "binary" and metric.deterministic:
        judgement = equal_to(question, judgement.correction, metric)
    _refuse_unknown(question, judgement.scores)
    missing = [answer.letter for answer in question.answers if answer.letter not in judgement.scores]
    if missing:
        raise CallerError(f"Answer {', '.join(missing)} of item '{question.item}' has no score. Every answer shown takes one.")
    for value in judgement.scores.values():
        metric.unit(value)
    return {answer.digest: judgement.scores[answer.letter] for answer in question.answers}


def feedback_rows(
    ballot: Ballot,
    scores: Mapping[str, float],
    correction: JSON,
    metric: str,
    tenant: str,
    source: str,
    inclusion: float | None,
    now: datetime,
    key: str = "",
) -> list[Feedback]:
    """A judgement as feedback: its score about every call with that answer, and a correction about the reference's call.

    `inclusion`: with which probability the item was drawn; None where nobody knows, and the labels count as found. `key` tells judgements
    of one person and metric apart.
    """

    def said(call: str, kind: FeedbackKind, value: float | None, content: JSON = None) -> Feedback:
        return Feedback(
            id=feedback_id(call, metric, source, f"{kind} {key}" if key else kind),
            tenant=tenant,
            call=call,
            metric=metric,
            kind=kind,
            value=value,
            content=content,
            source=source,
            design="found" if inclusion is None else "audit",
            inclusion=inclusion,
            at=now,
        )

    rows = [said(call, "label", scores[digest]) for digest, calls in ballot.calls.items() for call in calls]
    return rows if correction is None else [*rows, said(ballot.reference, "correction", None, correction)]


def _refuse_unknown(question: Question, letters: Iterable[str]) -> None:
    known = {answer.letter for answer in question.answers}
    for name in letters:
        if name not in known:
            raise CallerError(f"Item '{question.item}' has no answer {name}.{nearest(name, known)}")
