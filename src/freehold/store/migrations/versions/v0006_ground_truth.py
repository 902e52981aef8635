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
    _evaluations()


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
