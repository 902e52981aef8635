"""Variants that were trained here."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the table of specialists."""
    op.create_table(
        "specialists",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("task", sa.Text, nullable=False),
        sa.Column("method", sa.Text, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
        sa.Column("dataset", sa.Text),
        sa.Column("subject", sa.Text),
        sa.Column("card", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("tenant", "name", name="specialists_name"),
    )
    for name, columns in (("specialists_by_dataset", ["dataset"]), ("specialists_by_subject", ["tenant", "subject"])):
        known = sa.text(f"{columns[-1]} IS NOT NULL")
        op.create_index(name, "specialists", columns, sqlite_where=known, postgresql_where=known)
