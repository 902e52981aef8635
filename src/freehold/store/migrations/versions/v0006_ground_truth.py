"""What people and instruments say about answers, those who review them, evaluations, and data sets."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds who said a piece of feedback, and the tables of reviews, evaluations, alarms and data sets."""
    op.add_column("feedback", sa.Column("author", sa.Text))
    op.create_table(
        "early_feedback",
        _seq(),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("feedback", sa.Text, nullable=False),
        sa.Column("call", sa.Text),
        sa.Column("episode", sa.Text),
        sa.Column("voice", sa.Text, nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("tenant", "feedback", name="early_feedback_id"),
    )
    op.create_table(
        "used_tokens",
        _seq(),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("token", sa.Text, nullable=False),
        sa.Column("said", sa.Text, nullable=False),
        sa.Column("call", sa.Text),
        sa.Column("episode", sa.Text),
        sa.Column("issuer", sa.Text, nullable=False),
        sa.Column("voice", sa.Text, nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("tenant", "token", name="used_tokens_token"),
    )
    op.create_index("used_tokens_by_time", "used_tokens", ["tenant", "at"])
    _reviews()
    _credits()
    _experts()


def _reviews() -> None:
    """Reviewers, queues, what these ask, and what was said."""
    op.create_table(
        "reviewers",
        _seq(),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("invitation", sa.LargeBinary),
        sa.Column("invited_until", sa.BigInteger),
        sa.Column("digest", sa.LargeBinary),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("revoked_at", sa.BigInteger),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("tenant", "name", name="reviewers_name"),
    )
    op.create_table(
        "review_queues",
        _seq(),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        sa.Column("task", sa.Text, nullable=False),
        sa.Column("metric", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("closed_at", sa.BigInteger),
        sa.Column("frame", sa.BigInteger, nullable=False),
        sa.Column("floor", sa.Double),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    op.create_index("review_queues_by_task", "review_queues", ["tenant", "task"])
    op.create_table(
        "review_items",
        _seq(),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("queue", sa.Text, nullable=False),
        sa.Column("ticket", sa.Text, nullable=False),
        sa.Column("task", sa.Text, nullable=False),
        sa.Column("item", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("is_gold", sa.Integer, nullable=False),
        sa.Column("is_drawn", sa.Integer, nullable=False),
        sa.Column("inclusion", sa.Double),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("tenant", "queue", "ticket", name="review_items_ticket"),
    )
    op.create_index("review_items_by_item", "review_items", ["tenant", "task", "item"])
    op.create_table(
        "review_verdicts",
        _seq(),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("queue", sa.Text, nullable=False),
        sa.Column("ticket", sa.Text, nullable=False),
        sa.Column("reviewer", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("shown_at", sa.BigInteger, nullable=False),
        sa.Column("at", sa.BigInteger),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("tenant", "queue", "ticket", "reviewer", name="review_verdicts_one"),
    )


def _credits() -> None:
    op.create_table(
        "credits",
        _seq(),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("reviewer", sa.Text, nullable=False),
        sa.Column("about", sa.Text, nullable=False),
        sa.Column("n", sa.Integer, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("amount_nano", sa.BigInteger, nullable=False),
        sa.Column("task", sa.Text),
        sa.Column("scope", sa.Text),
        sa.Column("why", sa.Text),
        sa.UniqueConstraint("tenant", "about", "n", name="credits_about"),
    )
    op.create_index("credits_by_reviewer", "credits", ["tenant", "reviewer"])
    known = sa.text("scope IS NOT NULL")
    op.create_index("credits_by_scope", "credits", ["tenant", "scope"], sqlite_where=known, postgresql_where=known)
    _evaluations()
    _watching()


def _watching() -> None:
    """What is watched of live traffic, and who was told."""
    op.add_column("policy_events", sa.Column("why", sa.Text))
    op.create_table(
        "watches",
        _seq(),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("task", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("tenant", "task", "name", name="watches_name"),
    )
    op.create_table(
        "looks",
        _seq(),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("task", sa.Text, nullable=False),
        sa.Column("watch", sa.Text, nullable=False),
        sa.Column("call", sa.Text, nullable=False),
        sa.Column("value", sa.Double),
        sa.Column("inclusion", sa.Double, nullable=False),
        sa.Column("cost_usd", sa.Double),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("why", sa.Text),
        sa.UniqueConstraint("tenant", "task", "watch", "call", name="looks_call"),
    )
    op.create_index("looks_by_call", "looks", ["call"])
    op.create_table(
        "alerts",
        _seq(),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("task", sa.Text, nullable=False),
        sa.Column("watch", sa.Text, nullable=False),
        sa.Column("is_open", sa.Integer),
        sa.Column("opened", sa.BigInteger, nullable=False),
        sa.Column("acknowledged", sa.BigInteger),
        sa.Column("closed", sa.BigInteger),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("tenant", "task", "watch", "is_open", name="alerts_open"),
    )
    op.create_table(
        "deliveries",
        _seq(),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("alert", sa.Text, nullable=False),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("due", sa.BigInteger, nullable=False),
        sa.Column("error", sa.Text),
        sa.UniqueConstraint("tenant", "alert", "event", "channel", name="deliveries_event"),
    )


def _experts() -> None:
    op.create_table(
        "expert_asks",
        _seq(),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        sa.Column("call", sa.Text, nullable=False),
        sa.Column("task", sa.Text, nullable=False),
        sa.Column("variant", sa.Text, nullable=False),
        sa.Column("expertise", sa.Text, nullable=False),
        sa.Column("subject", sa.Text),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("deadline", sa.BigInteger, nullable=False),
        sa.Column("held_until", sa.BigInteger),
        sa.Column("price_nano", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("expert", sa.Text),
        sa.Column("answered_at", sa.BigInteger),
        sa.Column("took_s", sa.Double),
        sa.Column("used_by", sa.Text),
        sa.Column("question", sa.LargeBinary),
        sa.Column("answer", sa.LargeBinary),
    )
    op.create_index("expert_asks_by_state", "expert_asks", ["tenant", "state", "deadline"])
    op.create_index("expert_asks_by_call", "expert_asks", ["call"])
    op.create_table(
        "pending_calls",
        _seq(),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        sa.Column("key", sa.Text),
        sa.Column("subject", sa.Text),
        sa.Column("until", sa.BigInteger, nullable=False),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("held_until", sa.BigInteger, nullable=False),
        sa.Column("told_at", sa.BigInteger),
        sa.Column("done_at", sa.BigInteger),
        sa.Column("request", sa.LargeBinary),
        sa.Column("reply", sa.LargeBinary),
    )
    op.create_index("pending_calls_by_holder", "pending_calls", ["tenant", "held_until"])


def _seq() -> sa.Column[int]:
    return sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True)


def _evaluations() -> None:
    op.create_table(
        "evaluations",
        _seq(),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("task", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("begun", sa.BigInteger, nullable=False),
        sa.Column("ended", sa.BigInteger),
        sa.Column("asked_hash", sa.Text, nullable=False),
        sa.Column("asked", sa.LargeBinary, nullable=False),
        sa.Column("data", sa.Text),
        sa.Column("targets", sa.LargeBinary),
        sa.Column("targets_hash", sa.Text),
        sa.Column("targets_at", sa.BigInteger),
        sa.Column("body", sa.LargeBinary),
        sa.UniqueConstraint("tenant", "id", name="evaluations_id"),
    )
    op.create_index("evaluations_by_task", "evaluations", ["tenant", "task", "seq"])
