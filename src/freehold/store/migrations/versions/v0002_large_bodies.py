"""Large answers move out of the row; what labelling drew and whom erasing removed is kept."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds a column, an index and two tables."""
    op.add_column("calls", sa.Column("body_digest", sa.LargeBinary))
    known = sa.text("body_digest IS NOT NULL")
    op.create_index("calls_by_body", "calls", ["body_digest"], sqlite_where=known, postgresql_where=known)
    op.create_table(
        "draws",
        _seq(),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("task", sa.Text, nullable=False),
        sa.Column("session", sa.Text, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("item", sa.Text, nullable=False),
        sa.Column("inclusion", sa.Double, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("tenant", "task", "session", "position", name="draws_position"),
    )
    op.create_table(
        "erasures",
        _seq(),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("subject_hash", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("counts", sa.LargeBinary, nullable=False),
    )


def _seq() -> sa.Column[int]:
    return sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True)
