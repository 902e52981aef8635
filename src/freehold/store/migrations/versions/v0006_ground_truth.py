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
    _credits()
    _experts()


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
