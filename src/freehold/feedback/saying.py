"""What somebody says, checked, as the journal's feedback: the same through every door (HTTP, Python, command line, files)."""

from datetime import datetime, timedelta
from uuid import uuid4

import msgspec

from freehold.catalog import TRUST, Catalog, FeedbackKind
from freehold.chat import JSON
from freehold.errors import CallerError, nearest
from freehold.feedback.preference import OTHER_WAY, VERDICTS, preference_json, read_preference
from freehold.gateway.fields import Fields
from freehold.journal.build import feedback_id
from freehold.journal.call import TRUTH, Feedback

USER = "user"
"""Who speaks where nobody says."""
PUBLIC = "user:public"
"""Whoever speaks with a token, and no key."""
MOST_NAME = 200
_MOST_VALUE = 1e15
_FIELDS: dict[FeedbackKind, str] = {"score": "value", "label": "value", "verifier": "value"}
"""The fields that kinds of feedback come in by, where those have another name."""
_NAMELESS = ("user", "import")
_AHEAD = timedelta(minutes=5)
"""By how much a clock may be ahead of ours."""


class Saying(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody says about one call, or one episode, and one metric."""

    call: str | None = None
    """The call it is about; None when it is about an episode."""
    episode: str | None = None
    """The episode it is about; None when it is about a call."""
    metric: str
    """What is judged."""
    value: JSON = None
    """A score in the metric's range, true or false, or a label as text."""
    correction: JSON = None
    """The answer as it should have been."""
    preference: JSON = None
    """How the call's answer compares with another, such as `{"better_than": {"call": "…"}}`."""
    comment: str | None = None
    """Anything else, in words."""
    source: str = USER
    """Who says it."""
    author: str | None = None
    """Who of the source, as the product knows them; None where nobody says."""
    key: str | None = None
    """Under one key the same source and author say the same once; None is a key of its own."""
    at: datetime | None = None
    """When it was said, UTC; None for now."""


def read_saying(body: dict[str, JSON]) -> Saying:
    """What a body of JSON says. Raises CallerError."""
    fields = Fields(body, "")
    saying = Saying(
        call=fields.take("call", str),
        episode=fields.take("episode", str),
        metric=fields.need("metric", str),
        value=fields.raw("value"),
        correction=fields.raw("correction"),
        preference=fields.raw("preference"),
        comment=fields.take("comment", str),
        source=fields.take("source", str, "user"),
        author=fields.take("author", str),
        key=fields.take("key", str),
        at=fields.take("at", datetime),
    )
    if rest := fields.rest():
        known = "call or episode, metric, value, correction, preference, comment, source, author, key and at"
        raise CallerError(f"'{next(iter(rest))[:80]}' is no field of feedback; expected {known}")
    return saying


def feedback_from(saying: Saying, catalog: Catalog, tenant: str, now: datetime) -> list[Feedback]:
    """The journal's feedback for what is said: a piece for each of value, correction, preference and comment. A preference to another call
    is told of both calls. Raises CallerError for what cannot be said."""
    _check(saying, now)
    key = saying.key if saying.key is not None else uuid4().hex
    pieces: list[tuple[FeedbackKind, float | None, JSON]] = []
    if isinstance(saying.value, str):
        _check_label(saying.metric, saying.value, catalog)
        pieces.append(("label", None, saying.value))
    elif isinstance(saying.value, bool | int | float):
        if abs(saying.value) > _MOST_VALUE:
            raise CallerError(f"value is beyond {_MOST_VALUE:g}; expected a score in the metric's range")
        catalog.metric(saying.metric).unit(float(saying.value))
        pieces.append(("verifier" if saying.source.startswith("verifier:") else "score", float(saying.value), None))
    elif saying.value is not None:
        raise CallerError("value is a list or an object; expected a number, true or false, or a label as text")
    if saying.correction is not None:
        pieces.append(("correction", None, saying.correction))
    if saying.preference is not None:
        pieces.append(("preference", None, saying.preference))
    if saying.comment is not None:
        pieces.append(("comment", None, saying.comment))
    if not pieces:
        raise CallerError("nothing is said: one of value, correction, preference and comment has to be there")

    def piece(about: str | None, kind: FeedbackKind, value: float | None, content: JSON, under: str) -> Feedback:
        what = about if about is not None else f"episode {saying.episode}"
        by = under if saying.author is None else f"{under}\0{saying.author}"
        return Feedback(
            id=feedback_id(what, saying.metric, saying.source, by),
            tenant=tenant,
            call=about,
            episode=saying.episode,
            metric=saying.metric,
            kind=kind,
            value=value,
            content=content,
            source=saying.source,
            author=saying.author,
            at=saying.at or now,
        )

    said = [piece(saying.call, kind, value, content, f"{_FIELDS.get(kind, kind)} {key}") for kind, value, content in pieces]
    preference = read_preference(saying.preference)
    if preference is not None and preference.call is not None:
        mirrored = preference_json(OTHER_WAY[preference.verdict], saying.call)
        said.append(piece(preference.call, "preference", None, mirrored, f"preference {key} of {saying.call}"))
    return said


def check_kind(source: str) -> None:
    """Raises CallerError for a source of a kind that there is not."""
    kind = source.partition(":")[0]
    if kind not in TRUST:
        raise CallerError(
            f"source is '{source[:80]}'; expected user, import, or one of a kind, such as person:NAME.{nearest(kind, list(TRUST))}"
        )


def read_source(source: str) -> str:
    """A source that may speak: `user`, `import`, or a kind and a name, such as `person:ann`. Raises CallerError."""
    check_kind(source)
    kind, colon, name = source.partition(":")
    is_name = bool(name) and not any(character < " " or character == "\x7f" for character in name)
    if (not is_name and (kind not in _NAMELESS or colon)) or len(source) > MOST_NAME:
        raise CallerError(f"source is {source[:80]!r}; expected a name behind it, as in {kind}:NAME, of 1 to {MOST_NAME} characters in all")
    return source


def _check_label(metric: str, label: str, catalog: Catalog) -> None:
    """A label of a metric that is declared binary is one that a reward can read: else it would be kept and never be heard."""
    if catalog.metric(metric).kind != "binary":
        return
    tasks = [
        task for task in catalog.tasks.values() if task.metric == metric or (task.reward is not None and metric in task.reward.metrics)
    ]
    known = {name for task in tasks if task.reward is not None for name in task.reward.labels}
    if label not in known:
        where = tasks[0].id if len(tasks) == 1 else "TASK"
        raise CallerError(
            f"value is {label[:80]!r}, and metric '{metric}' is binary: expected 1 or 0, true or false"
            f"{', or a label that a reward knows' if known else ''}.{nearest(label, known)} Say what a label is worth by "
            f"labels = {{ NAME = 1 }} under [tasks.{where}.reward]."
        )


def _check(saying: Saying, now: datetime) -> None:
    if saying.call is not None and saying.episode is not None:
        raise CallerError("both call and episode are there; expected the one of them that it is about")
    if saying.call is None and saying.episode is None:
        raise CallerError("call is missing")
    for name in ("call", "episode", "metric", "author", "key"):
        value = getattr(saying, name)
        if value is not None and not 0 < len(value) <= MOST_NAME:
            raise CallerError(f"{name} has {len(value)} characters; expected 1 to {MOST_NAME}")
    if saying.metric == TRUTH:
        raise CallerError(f"'{TRUTH}' is the name of recorded right answers; give the metric another, and the right answer as correction")
    read_source(saying.source)
    if saying.at is not None and (saying.at.tzinfo is None or saying.at > now + _AHEAD):
        raise CallerError(f"at is {saying.at.isoformat()}; expected a time with its zone that has passed, such as 2026-06-01T09:00:00Z")
    if saying.preference is not None:
        _check_preference(saying)


def _check_preference(saying: Saying) -> None:
    preference = read_preference(saying.preference)
    if preference is None:
        ways = ", ".join(VERDICTS)
        raise CallerError(
            f'preference cannot be read; expected one of {ways} with a call or an answer, as in {{"better_than": {{"call": "…"}}}}'
        )
    if saying.call is None:
        raise CallerError("preference compares the answers of two calls, or of a call and another; an episode has none")
    if preference.call is not None and not 0 < len(preference.call) <= MOST_NAME:
        raise CallerError(f"preference names a call of {len(preference.call)} characters; expected 1 to {MOST_NAME}")
    if preference.call == saying.call:
        raise CallerError("preference compares a call with itself; expected another call, or another answer")
    if preference.call is None and preference.answer is None:
        raise CallerError("preference compares with no answer; expected a call or an answer")
