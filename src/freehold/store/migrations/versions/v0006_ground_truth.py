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
    _credits()


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


def _seq() -> sa.Column[int]:
    return sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True)
