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


def _seq() -> sa.Column[int]:
    return sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True)
