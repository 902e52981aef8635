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
