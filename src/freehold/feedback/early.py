"""What is said of a call before it is in the journal: it stands among all feedback from the start, and is forgotten where the call never comes.

Nobody knows whose it is until then, so as little of its words is kept as the strictest task keeps (`attach.py`). How much may wait is
limited, and so is what one voice may have waiting: whoever makes up ids fills their own tenth of the room, for some days.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import delete, exists, func, or_, select

from freehold.errors import CallerError
from freehold.journal.call import Feedback
from freehold.journal.rows import digest_of
from freehold.store.open import Store
from freehold.store.schema import calls, early_feedback, episodes, feedback
from freehold.store.times import microseconds
from freehold.tables import FeedbackTable

_COLUMNS = ("tenant", "feedback", "call", "episode", "voice", "until")
_SHARE = 10
"""One voice may have the tenth part of the room."""


class NoRoom(CallerError):
    """As much waits for its calls as may."""


def hold(store: Store, tenant: str, said: Sequence[Feedback], rule: FeedbackTable, now: datetime, is_limited: bool = True) -> None:
    """Notes that these wait for their calls, before they are stored themselves. Raises NoRoom, where it is not the operator who speaks."""
    sweep(store, tenant, now)
    until = microseconds(now + timedelta(days=rule.early_days))
    voices = [digest_of([one.source, one.author]) for one in said]
    e = early_feedback.c
    with store.writing() as connection:
        total = connection.execute(select(func.count()).where(e.tenant == tenant)).scalar_one()
        own = connection.execute(select(func.count()).where(e.tenant == tenant, e.voice == voices[0])).scalar_one()
        if is_limited and total + len(said) > rule.most_early:
            raise NoRoom(
                f"{total} pieces of feedback wait for calls that are not in the journal, as many as may. Say it once the call is there."
            )
        if is_limited and own + len(said) > max(1, rule.most_early // _SHARE):
            raise NoRoom(
                f"{own} pieces of feedback of this voice wait for calls that are not in the journal. Say it once the call is there."
            )
        rows = [(tenant, one.id, one.call, one.episode, voice, until) for one, voice in zip(said, voices, strict=True)]
        store.insert_new(connection, "early_feedback", _COLUMNS, "tenant, feedback", rows)


def sweep(store: Store, tenant: str, now: datetime) -> int:
    """Lets go of what has found its call, and takes away what waited too long; how much that was."""
    e = early_feedback.c
    with store.reading() as connection:
        if connection.execute(select(e.seq).where(e.tenant == tenant).limit(1)).first() is None:
            return 0
    came = or_(
        exists().where(calls.c.id == e.call, calls.c.tenant == e.tenant),
        exists().where(calls.c.episode == e.episode, calls.c.tenant == e.tenant),
        exists().where(episodes.c.id == e.episode, episodes.c.tenant == e.tenant),
    )
    late = (e.tenant == tenant) & (e.until < microseconds(now))
    with store.writing() as connection:
        connection.execute(delete(early_feedback).where(e.tenant == tenant, came))
        gone = connection.execute(delete(feedback).where(feedback.c.tenant == tenant, feedback.c.id.in_(select(e.feedback).where(late))))
        connection.execute(delete(early_feedback).where(late))
    return int(gone.rowcount)
