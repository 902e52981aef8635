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


def _seq() -> sa.Column[int]:
    return sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True)
