"""Conversations, message by message."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds a table and two indexes."""
    op.create_table(
        "conversation_message",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("conversation", sa.Text, nullable=False),
        sa.Column("n", sa.Integer, nullable=False),
        sa.Column("message", sa.LargeBinary, nullable=False),
        sa.Column("call", sa.Text),
        sa.Column("subject", sa.Text),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("tenant", "conversation", "n", name="conversation_message_n"),
    )
    for column, names in (("call", ["call"]), ("subject", ["tenant", "subject"])):
        known = sa.text(f"{column} IS NOT NULL")
        op.create_index(f"conversation_message_by_{column}", "conversation_message", names, sqlite_where=known, postgresql_where=known)
