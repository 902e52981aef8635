"""The tables: one schema for SQLite and PostgreSQL. A change here takes a migration beside it, and `HEAD` its number.

The rows that an index has are said in SQLite's words alone, for `postgresql_where` imports that dialect at each start (60 ms, SQLAlchemy
2.0). Migrations make the indexes, and they say both.
"""

from typing import Any

from sqlalchemy import BigInteger, Column, Double, Index, Integer, LargeBinary, MetaData, Table, Text, UniqueConstraint

metadata = MetaData()


def _seq() -> Column[int]:
    """Order of arrival; the row's own number on both databases."""
    return Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True)


def _index_where_known(name: str, *columns: Column[Any]) -> None:
    """An index of the rows whose last column is known."""
    known = columns[-1].isnot(None)
    Index(name, *columns, sqlite_where=known)


calls = Table(
    "calls",
    metadata,
    _seq(),
    Column("id", Text, nullable=False, unique=True),
    Column("tenant", Text, nullable=False),
    Column("task", Text),
    Column("variant", Text, nullable=False),
    Column("item", Text, nullable=False),
    Column("group", Text),
    Column("subject", Text),
    Column("customer", Text),
    Column("episode", Text),
    Column("outcome", Text, nullable=False),
    Column("at", BigInteger, comment="microseconds since 1970 UTC"),
    Column("cost_usd", Double),
    Column("price_id", Text),
    Column("latency_s", Double),
    Column("policy", Text),
    Column("propensity", Double),
    Column("shape", Text, nullable=False),
    Column("output_digest", Text),
    Column("reference_digest", Text),
    Column("tags", LargeBinary, comment="JSON object; null for none"),
    Column("content", LargeBinary, nullable=False, comment="fingerprint of the record: equal for a call told twice"),
    Column("input", LargeBinary, comment="digest of the input in contents"),
    Column("body", LargeBinary, comment="JSON of everything without a column; null where it is in contents"),
    Column("body_digest", LargeBinary, comment="digest of a large body in contents"),
)
"""One row for each call. Known columns, then one body."""
Index("calls_by_item", calls.c.tenant, calls.c.task, calls.c.item, calls.c.seq)
Index(
    "calls_by_shape",
    calls.c.tenant,
    calls.c.shape,
    calls.c.seq,
    sqlite_where=calls.c.task.is_(None),
)
Index("calls_by_time", calls.c.tenant, calls.c.at, calls.c.seq)
_index_where_known("calls_by_body", calls.c.body_digest)
_index_where_known("calls_by_subject", calls.c.tenant, calls.c.subject)
_index_where_known("calls_by_episode", calls.c.episode)

contents = Table(
    "contents",
    metadata,
    _seq(),
    Column("digest", LargeBinary, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("data", LargeBinary, comment="canonical JSON; null where it is a blob of that digest"),
    UniqueConstraint("digest", "tenant", name="contents_digest"),
)
"""Inputs, and bodies too large for a row, each stored once for each tenant."""

attempts = Table(
    "attempts",
    metadata,
    _seq(),
    Column("call", Text, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("n", Integer, nullable=False),
    Column("variant", Text, nullable=False),
    Column("cause", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("at", BigInteger, nullable=False, comment="microseconds since 1970 UTC"),
    Column("latency_s", Double),
    Column("cost_usd", Double),
    Column("body", LargeBinary, comment="JSON of usage and error; null for neither"),
    UniqueConstraint("call", "n", name="attempts_call"),
)
"""Every request made for a call."""

episodes = Table(
    "episodes",
    metadata,
    _seq(),
    Column("id", Text, nullable=False, unique=True),
    Column("tenant", Text, nullable=False),
    Column("name", Text),
    Column("at", BigInteger, nullable=False, comment="microseconds since 1970 UTC"),
    Column("customer", Text),
    Column("subject", Text),
)
"""Runs that calls are part of."""
_index_where_known("episodes_by_subject", episodes.c.tenant, episodes.c.subject)

feedback = Table(
    "feedback",
    metadata,
    _seq(),
    Column("id", Text, nullable=False, unique=True),
    Column("tenant", Text, nullable=False),
    Column("call", Text),
    Column("episode", Text),
    Column("metric", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("value", Double),
    Column("source", Text, nullable=False),
    Column("design", Text, nullable=False),
    Column("inclusion", Double),
    Column("at", BigInteger, nullable=False, comment="microseconds since 1970 UTC"),
    Column("body", LargeBinary, comment="JSON of a correction, preference or comment; null for none"),
    Column("author", Text, comment="the person or instrument within the source; null for nobody known"),
)
"""What was said about calls and episodes."""
Index("feedback_by_call", feedback.c.call)
_index_where_known("feedback_by_episode", feedback.c.episode)

policies = Table(
    "policies",
    metadata,
    _seq(),
    Column("tenant", Text, nullable=False),
    Column("task", Text, nullable=False),
    Column("hash", Text, nullable=False),
    Column("source", Text, nullable=False, comment="the program as text"),
    Column("artefact", Text, comment="digest of the blob with its arrays"),
    Column("certificate", Text, comment="id of the certificate it was written with"),
    Column("origin", Text, nullable=False, comment="who wrote it: certify, person:<name>"),
    Column("created_at", BigInteger, nullable=False, comment="microseconds since 1970 UTC"),
)
"""Policies as they were written: rows are added, never changed."""
Index("policies_by_hash", policies.c.tenant, policies.c.task, policies.c.hash)

specialists = Table(
    "specialists",
    metadata,
    _seq(),
    Column("tenant", Text, nullable=False),
    Column("name", Text, nullable=False, comment="what policies call it"),
    Column("task", Text, nullable=False),
    Column("method", Text, nullable=False),
    Column("hash", Text, nullable=False, comment="of what it is made of"),
    Column("dataset", Text, comment="hash of the version of the data set it learnt from; null for none"),
    Column("subject", Text, comment="hash of the person or customer it belongs to alone; null for everybody's"),
    Column("card", LargeBinary, nullable=False, comment="JSON"),
    Column("created_at", BigInteger, nullable=False, comment="microseconds since 1970 UTC"),
    UniqueConstraint("tenant", "name", name="specialists_name"),
)
"""Variants that were trained here. Their files are blobs."""
_index_where_known("specialists_by_dataset", specialists.c.dataset)
_index_where_known("specialists_by_subject", specialists.c.tenant, specialists.c.subject)

policy_events = Table(
    "policy_events",
    metadata,
    _seq(),
    Column("tenant", Text, nullable=False),
    Column("task", Text, nullable=False),
    Column("hash", Text, nullable=False),
    Column("action", Text, nullable=False, comment="activate, rollback or withdraw"),
    Column("at", BigInteger, nullable=False, comment="microseconds since 1970 UTC"),
    Column("who", Text, nullable=False),
    Column("why", Text, comment="what made it so; null where a person said so"),
)
"""Which policy was served from when: the newest row of a task says which one is. History is never edited."""
Index("policy_events_by_task", policy_events.c.tenant, policy_events.c.task)

certificates = Table(
    "certificates",
    metadata,
    _seq(),
    Column("id", Text, nullable=False, unique=True),
    Column("tenant", Text, nullable=False),
    Column("task", Text, nullable=False),
    Column("attempt", Integer, nullable=False, comment="which attempt on this data set, from 1"),
    Column("dataset_hash", Text, nullable=False),
    Column("spec_hash", Text, nullable=False),
    Column("body", LargeBinary, nullable=False, comment="JSON"),
    Column("created_at", BigInteger, nullable=False, comment="microseconds since 1970 UTC"),
    UniqueConstraint("tenant", "task", "dataset_hash", "attempt", name="certificates_attempt"),
)
"""Every attempt to certify, kept, so that repeats are counted."""

draws = Table(
    "draws",
    metadata,
    _seq(),
    Column("tenant", Text, nullable=False),
    Column("task", Text, nullable=False),
    Column("session", Text, nullable=False),
    Column("position", Integer, nullable=False),
    Column("item", Text, nullable=False),
    Column("inclusion", Double, nullable=False, comment="the probability with which the item was drawn"),
    Column("at", BigInteger, nullable=False, comment="microseconds since 1970 UTC"),
    UniqueConstraint("tenant", "task", "session", "position", name="draws_position"),
)
"""Items drawn to be labelled, in the order in which they are asked."""

erasures = Table(
    "erasures",
    metadata,
    _seq(),
    Column("tenant", Text, nullable=False),
    Column("subject_hash", Text, nullable=False),
    Column("at", BigInteger, nullable=False, comment="microseconds since 1970 UTC"),
    Column("counts", LargeBinary, nullable=False, comment="JSON: how many rows of what"),
)
"""People who were erased, by hash, and how much of theirs was removed."""

keys = Table(
    "keys",
    metadata,
    _seq(),
    Column("id", Text, nullable=False, unique=True),
    Column("tenant", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False, comment="SHA-256 of the secret"),
    Column("old_digest", LargeBinary, comment="of the secret before it was rotated"),
    Column("old_until", BigInteger, comment="until when that one is taken, microseconds since 1970 UTC"),
    Column("created_at", BigInteger, nullable=False, comment="microseconds since 1970 UTC"),
    Column("expires_at", BigInteger, comment="microseconds since 1970 UTC"),
    Column("revoked_at", BigInteger, comment="microseconds since 1970 UTC"),
    Column("body", LargeBinary, nullable=False, comment="JSON: whose it is, what it opens, its limits"),
)
"""Keys that callers show. The secret itself is nowhere."""

ledger = Table(
    "ledger",
    metadata,
    _seq(),
    Column("tenant", Text, nullable=False),
    Column("call", Text, nullable=False),
    Column("kind", Text, nullable=False, comment="reserved, settled, released, expired or reversed"),
    Column("at", BigInteger, nullable=False, comment="when the call was asked: the period it counts in, microseconds since 1970 UTC"),
    Column("key", Text),
    Column("team", Text),
    Column("customer", Text),
    Column("plan", Text),
    Column("task", Text),
    Column("variant", Text),
    Column("input_tokens", BigInteger),
    Column("output_tokens", BigInteger),
    Column("cost_nano", BigInteger, comment="what it cost, 1e-9 USD; null for unknown"),
    Column("charged_nano", BigInteger, nullable=False, comment="what budgets are charged"),
    Column("reserved_nano", BigInteger, nullable=False, comment="what is held back for it from now on, or no more"),
    Column("revenue_nano", BigInteger, comment="what the customer pays; null for unknown"),
    UniqueConstraint("call", "kind", name="ledger_call"),
)
"""Every movement of money, in order: rows are added, never changed. What is settled and what is reserved are sums over it."""

balances = Table(
    "balances",
    metadata,
    _seq(),
    Column("tenant", Text, nullable=False),
    Column("scope", Text, nullable=False, comment="project, team:NAME or key:ID"),
    Column("day", BigInteger, nullable=False, comment="the newest day there is something of, in days since 1970 UTC"),
    Column("day_settled", BigInteger, nullable=False, comment="1e-9 USD, as all of these"),
    Column("day_reserved", BigInteger, nullable=False),
    Column("month", BigInteger, nullable=False, comment="the month of that day, in months since the year 0"),
    Column("month_settled", BigInteger, nullable=False),
    Column("month_reserved", BigInteger, nullable=False),
    Column("settled", BigInteger, nullable=False),
    Column("reserved", BigInteger, nullable=False),
    UniqueConstraint("tenant", "scope", name="balances_scope"),
)
"""Sums over the ledger, kept beside it so that a budget is checked by one look: `gateway/account.py` makes them again from the rows."""

reservations = Table(
    "reservations",
    metadata,
    _seq(),
    Column("tenant", Text, nullable=False),
    Column("call", Text, nullable=False, unique=True),
    Column("at", BigInteger, nullable=False, comment="as in its row of the ledger"),
    Column("deadline", BigInteger, nullable=False, comment="microseconds since 1970 UTC"),
    Column("amount_nano", BigInteger, nullable=False, comment="1e-9 USD"),
)
"""Those rows of the ledger that hold something back: nothing has settled, released or expired them."""

breakers = Table(
    "breakers",
    metadata,
    _seq(),
    Column("tenant", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("open_until", BigInteger, nullable=False, comment="microseconds since 1970 UTC"),
    Column("cause", Text, nullable=False),
    Column("at", BigInteger, nullable=False, comment="microseconds since 1970 UTC"),
    UniqueConstraint("tenant", "name", name="breakers_name"),
)
"""Whom nobody asks for a while because it fails: shared by the workers."""

conversation_message = Table(
    "conversation_message",
    metadata,
    _seq(),
    Column("tenant", Text, nullable=False),
    Column("conversation", Text, nullable=False),
    Column("n", Integer, nullable=False, comment="which message of the conversation, from 0"),
    Column("message", LargeBinary, nullable=False, comment="JSON"),
    Column("call", Text, comment="id of the call it was said in; null for none"),
    Column("subject", Text, comment="the person the conversation is about; null for nobody"),
    Column("at", BigInteger, nullable=False, comment="microseconds since 1970 UTC"),
    UniqueConstraint("tenant", "conversation", "n", name="conversation_message_n"),
)
"""What was said in conversations, in order: rows are added, never changed."""
_index_where_known("conversation_message_by_call", conversation_message.c.call)
_index_where_known("conversation_message_by_subject", conversation_message.c.tenant, conversation_message.c.subject)

prompts = Table(
    "prompts",
    metadata,
    _seq(),
    Column("tenant", Text, nullable=False),
    Column("task", Text, nullable=False),
    Column("hash", Text, nullable=False, comment="of the text"),
    Column("text", Text, nullable=False, comment="the template"),
    Column("at", BigInteger, nullable=False, comment="when it was first seen, microseconds since 1970 UTC"),
    UniqueConstraint("tenant", "task", "hash", name="prompts_hash"),
)
"""Every version of a task's prompt."""

prompt_labels = Table(
    "prompt_labels",
    metadata,
    _seq(),
    Column("tenant", Text, nullable=False),
    Column("task", Text, nullable=False),
    Column("label", Text, nullable=False, comment="such as production"),
    Column("hash", Text, comment="the version that it names from then on; null for none"),
    Column("at", BigInteger, nullable=False, comment="microseconds since 1970 UTC"),
)
"""What a label was made to name, in order: the last row counts, and the one before is what it goes back to."""
Index("prompt_labels_by_task", prompt_labels.c.tenant, prompt_labels.c.task, prompt_labels.c.seq)

runs = Table(
    "runs",
    metadata,
    _seq(),
    Column("tenant", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("kind", Text, nullable=False, comment="pipeline, batch, stream or plan"),
    Column("name", Text, nullable=False, comment="what runs"),
    Column("state", Text, nullable=False, comment="running, cancelling, done, failed or cancelled"),
    Column("begun", BigInteger, nullable=False, comment="microseconds since 1970 UTC"),
    Column("seen", BigInteger, nullable=False, comment="when it last said that it runs, likewise"),
    Column("body", LargeBinary, nullable=False, comment="JSON of everything else: how far it is, what it cost"),
    UniqueConstraint("tenant", "id", name="runs_id"),
)
"""Programs that run, or ran: how far each has come, and whether somebody wants it to stop."""

early_feedback = Table(
    "early_feedback",
    metadata,
    _seq(),
    Column("tenant", Text, nullable=False),
    Column("feedback", Text, nullable=False, comment="id of the feedback"),
    Column("call", Text, comment="the call that is not there yet; null for an episode"),
    Column("episode", Text),
    Column("voice", Text, nullable=False, comment="digest of who said it, for everybody's share of the room"),
    Column("until", BigInteger, nullable=False, comment="microseconds since 1970 UTC; after that it is forgotten"),
    UniqueConstraint("tenant", "feedback", name="early_feedback_id"),
)
"""Feedback about calls and episodes that are not in the journal yet: it stands among the others, and is taken away where they never come."""

used_tokens = Table(
    "used_tokens",
    metadata,
    _seq(),
    Column("tenant", Text, nullable=False),
    Column("token", Text, nullable=False, comment="digest of the token"),
    Column("said", Text, nullable=False, comment="digest of what was said with it"),
    Column("call", Text),
    Column("episode", Text),
    Column("issuer", Text, nullable=False, comment="id of the key that it was made with; empty for none"),
    Column("voice", Text, nullable=False, comment="keyed digest of its author"),
    Column("address", Text, nullable=False, comment="keyed digest of where it came from"),
    Column("at", BigInteger, nullable=False, comment="microseconds since 1970 UTC"),
    Column("until", BigInteger, nullable=False, comment="when the token ends"),
    UniqueConstraint("tenant", "token", name="used_tokens_token"),
)
"""Tokens that somebody spoke with, each of which is taken once. No names, no addresses, and nothing of what was said."""
Index("used_tokens_by_time", used_tokens.c.tenant, used_tokens.c.at)
Index("used_tokens_by_address", used_tokens.c.tenant, used_tokens.c.address, used_tokens.c.at)
Index("used_tokens_by_voice", used_tokens.c.tenant, used_tokens.c.voice, used_tokens.c.at)
Index("used_tokens_by_issuer", used_tokens.c.tenant, used_tokens.c.issuer, used_tokens.c.at)
_index_where_known("used_tokens_by_call", used_tokens.c.tenant, used_tokens.c.call)

reviewers = Table(
    "reviewers",
    metadata,
    _seq(),
    Column("tenant", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False, comment="reviewer or senior"),
    Column("invitation", LargeBinary, comment="SHA-256 of the invitation that has not been taken up"),
    Column("invited_until", BigInteger, comment="until when it is taken, microseconds since 1970 UTC"),
    Column("digest", LargeBinary, comment="SHA-256 of the token it was exchanged for"),
    Column("created_at", BigInteger, nullable=False, comment="microseconds since 1970 UTC"),
    Column("revoked_at", BigInteger, comment="microseconds since 1970 UTC"),
    Column("body", LargeBinary, nullable=False, comment="JSON: what the person knows about"),
    UniqueConstraint("tenant", "name", name="reviewers_name"),
)
"""People who review answers. The secrets themselves are nowhere."""

review_queues = Table(
    "review_queues",
    metadata,
    _seq(),
    Column("tenant", Text, nullable=False),
    Column("id", Text, nullable=False, unique=True),
    Column("task", Text, nullable=False),
    Column("metric", Text, nullable=False),
    Column("at", BigInteger, nullable=False, comment="microseconds since 1970 UTC"),
    Column("closed_at", BigInteger, comment="microseconds since 1970 UTC"),
    Column("frame", BigInteger, nullable=False, comment="how many items could be drawn"),
    Column("floor", Double, comment="the least probability with which any item could be drawn; null where the labels certify nothing"),
    Column("body", LargeBinary, nullable=False, comment="JSON of everything else"),
)
"""Items put before people: by what rule they were chosen, how many judge each, and by what guidelines."""
Index("review_queues_by_task", review_queues.c.tenant, review_queues.c.task)

review_items = Table(
    "review_items",
    metadata,
    _seq(),
    Column("tenant", Text, nullable=False),
    Column("queue", Text, nullable=False),
    Column("ticket", Text, nullable=False, comment="what reviewers know the item by"),
    Column("task", Text, nullable=False),
    Column("item", Text, nullable=False),
    Column("state", Text, nullable=False, comment="open, decided, disputed or withdrawn"),
    Column("is_gold", Integer, nullable=False, comment="1 where its answer is known and everybody is asked it"),
    Column("is_drawn", Integer, nullable=False, comment="1 where the rule chose it, so that verdicts become feedback"),
    Column("inclusion", Double, comment="the probability with which it was drawn; null where that is no audit"),
    Column("body", LargeBinary, nullable=False, comment="JSON: which calls gave which answer, and what is known of them"),
    UniqueConstraint("tenant", "queue", "ticket", name="review_items_ticket"),
)
"""What a queue asks people about."""
Index("review_items_by_item", review_items.c.tenant, review_items.c.task, review_items.c.item)

review_verdicts = Table(
    "review_verdicts",
    metadata,
    _seq(),
    Column("tenant", Text, nullable=False),
    Column("queue", Text, nullable=False),
    Column("ticket", Text, nullable=False),
    Column("reviewer", Text, nullable=False),
    Column("state", Text, nullable=False, comment="shown, given, skipped or flagged"),
    Column("shown_at", BigInteger, nullable=False, comment="microseconds since 1970 UTC"),
    Column("at", BigInteger, comment="when it was answered, microseconds since 1970 UTC"),
    Column("body", LargeBinary, nullable=False, comment="JSON: what was said"),
    UniqueConstraint("tenant", "queue", "ticket", "reviewer", name="review_verdicts_one"),
)
"""What each reviewer was shown and said. Feedback is made of those that count."""
Index("review_verdicts_by_reviewer", review_verdicts.c.tenant, review_verdicts.c.queue, review_verdicts.c.reviewer, review_verdicts.c.state)

credits = Table(
    "credits",
    metadata,
    _seq(),
    Column("tenant", Text, nullable=False),
    Column("reviewer", Text, nullable=False, comment="whose it is"),
    Column("about", Text, nullable=False, comment="what it is for: a verdict, an answer, a grant or a payment"),
    Column("n", Integer, nullable=False, comment="which row about that, from 0"),
    Column("kind", Text, nullable=False, comment="earned, reversed, granted or paid"),
    Column("at", BigInteger, nullable=False, comment="microseconds since 1970 UTC"),
    Column("amount_nano", BigInteger, nullable=False, comment="1e-9 USD; above 0 what the reviewer has from then on, below 0 what no more"),
    Column("task", Text),
    Column("scope", Text, comment="the budget that a grant raised: key:ID or team:NAME"),
    Column("why", Text),
    UniqueConstraint("tenant", "about", "n", name="credits_about"),
)
"""What reviewers earned, and what became of it: rows are added, never changed."""
Index("credits_by_reviewer", credits.c.tenant, credits.c.reviewer)
_index_where_known("credits_by_scope", credits.c.tenant, credits.c.scope)

evaluations = Table(
    "evaluations",
    metadata,
    _seq(),
    Column("tenant", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("task", Text, nullable=False),
    Column("state", Text, nullable=False, comment="running or done"),
    Column("begun", BigInteger, nullable=False, comment="microseconds since 1970 UTC"),
    Column("ended", BigInteger, comment="likewise; null while it runs"),
    Column("asked_hash", Text, nullable=False, comment="of what it was asked for: the same is gone on with"),
    Column("asked", LargeBinary, nullable=False, comment="JSON of that"),
    Column("data", Text, comment="hash of its items, their groups and parts; null before they are read"),
    Column("targets", LargeBinary, comment="JSON: what was fixed before the confirming part was looked at"),
    Column("targets_hash", Text),
    Column("targets_at", BigInteger, comment="when that was, microseconds since 1970 UTC"),
    Column("body", LargeBinary, comment="JSON of what it says; null while it runs"),
    UniqueConstraint("tenant", "id", name="evaluations_id"),
)
"""What was evaluated, what was fixed beforehand, and what came of it. Single scores lie in files."""
Index("evaluations_by_task", evaluations.c.tenant, evaluations.c.task, evaluations.c.seq)

watches = Table(
    "watches",
    metadata,
    _seq(),
    Column("tenant", Text, nullable=False),
    Column("task", Text, nullable=False),
    Column("name", Text, nullable=False, comment="what is watched: cursor, inputs, quality VARIANT SCORER, floor HASH METRIC"),
    Column("at", BigInteger, nullable=False, comment="microseconds since 1970 UTC"),
    Column("body", LargeBinary, nullable=False, comment="MessagePack: how far it has come"),
    UniqueConstraint("tenant", "task", "name", name="watches_name"),
)
"""How far the watching of live traffic has come: written together with the samples that it took in."""

looks = Table(
    "looks",
    metadata,
    _seq(),
    Column("tenant", Text, nullable=False),
    Column("task", Text, nullable=False),
    Column("watch", Text, nullable=False, comment="the name of what it was taken in by"),
    Column("call", Text, nullable=False),
    Column("value", Double, comment="in [0, 1] of a score, in [-1, 1] of a paired loss; null for none"),
    Column("inclusion", Double, nullable=False, comment="the probability with which the call was drawn"),
    Column("cost_usd", Double, comment="what scoring cost; null for unknown"),
    Column("at", BigInteger, nullable=False, comment="microseconds since 1970 UTC"),
    Column("why", Text, comment="why there is no value; null where there is one"),
    UniqueConstraint("tenant", "task", "watch", "call", name="looks_call"),
)
"""Live calls that were drawn and looked at, each once for each watch, in the order in which they were taken in."""
Index("looks_by_call", looks.c.call)

alerts = Table(
    "alerts",
    metadata,
    _seq(),
    Column("id", Text, nullable=False, unique=True),
    Column("tenant", Text, nullable=False),
    Column("task", Text, nullable=False),
    Column("watch", Text, nullable=False, comment="the name of what raised it"),
    Column("is_open", Integer, comment="1 while it is not over, else null, so that a watch has one at most"),
    Column("opened", BigInteger, nullable=False, comment="microseconds since 1970 UTC, as all of these"),
    Column("acknowledged", BigInteger),
    Column("closed", BigInteger),
    Column("body", LargeBinary, nullable=False, comment="JSON: what happened, in words and numbers; who acknowledged or closed it"),
    UniqueConstraint("tenant", "task", "watch", "is_open", name="alerts_open"),
)
"""What somebody was to be told."""

deliveries = Table(
    "deliveries",
    metadata,
    _seq(),
    Column("tenant", Text, nullable=False),
    Column("alert", Text, nullable=False),
    Column("event", Text, nullable=False, comment="opened or closed"),
    Column("channel", Text, nullable=False, comment="webhook, email or command"),
    Column("state", Text, nullable=False, comment="due, sending, sent or failed"),
    Column("tries", Integer, nullable=False),
    Column("due", BigInteger, nullable=False, comment="when it is sent, or given up on while sending; microseconds since 1970 UTC"),
    Column("error", Text, comment="the kind of failure of the last try; null for none"),
    UniqueConstraint("tenant", "alert", "event", "channel", name="deliveries_event"),
)
"""Who has been told of an alert, and who has still to be."""

expert_asks = Table(
    "expert_asks",
    metadata,
    _seq(),
    Column("tenant", Text, nullable=False),
    Column("id", Text, nullable=False, unique=True),
    Column("call", Text, nullable=False, comment="the call that waits for it"),
    Column("task", Text, nullable=False),
    Column("variant", Text, nullable=False),
    Column("expertise", Text, nullable=False, comment="what a person has to know; empty for nothing"),
    Column("subject", Text, comment="the person it is about; null for nobody"),
    Column("at", BigInteger, nullable=False, comment="microseconds since 1970 UTC"),
    Column("deadline", BigInteger, nullable=False, comment="likewise"),
    Column("held_until", BigInteger, comment="until when somebody surely waits for it, likewise; null for until its deadline"),
    Column("price_nano", BigInteger, nullable=False, comment="1e-9 USD"),
    Column("state", Text, nullable=False, comment="waiting, answered, late or withdrawn"),
    Column("expert", Text, comment="who answered"),
    Column("answered_at", BigInteger, comment="microseconds since 1970 UTC"),
    Column("took_s", Double, comment="how long the person took, as far as known"),
    Column("used_by", Text, comment="the call that has the answer, once that is durable"),
    Column("question", LargeBinary, comment="JSON of what is shown; null once it is over"),
    Column("answer", LargeBinary, comment="JSON; null until there is one, and once its call is durable"),
)
"""Questions to people: each is answered once, or not in time."""
Index("expert_asks_by_state", expert_asks.c.tenant, expert_asks.c.state, expert_asks.c.deadline)
Index("expert_asks_by_call", expert_asks.c.call)

pending_calls = Table(
    "pending_calls",
    metadata,
    _seq(),
    Column("tenant", Text, nullable=False),
    Column("id", Text, nullable=False, unique=True, comment="the call's"),
    Column("key", Text, comment="id of the key it came with; null for none"),
    Column("subject", Text, comment="the person it is about; null for nobody"),
    Column("until", BigInteger, nullable=False, comment="when it will have ended, microseconds since 1970 UTC"),
    Column("holder", Text, nullable=False, comment="the worker that goes on with it"),
    Column("held_until", BigInteger, nullable=False, comment="from then on another may; microseconds since 1970 UTC"),
    Column("told_at", BigInteger, comment="when its caller was told where the answer will be, likewise; null for not"),
    Column("done_at", BigInteger, comment="when it ended, likewise"),
    Column("request", LargeBinary, comment="JSON of all that goes on with it; null once it has ended"),
    Column("reply", LargeBinary, comment="JSON of the answer as its caller gets it; null until there is one"),
)
"""Calls over HTTP that wait for a person: they outlive their connection and their worker."""
Index("pending_calls_by_holder", pending_calls.c.tenant, pending_calls.c.held_until)
