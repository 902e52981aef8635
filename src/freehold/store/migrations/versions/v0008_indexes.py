"""What reviewers' next items and the limits of tokens are found by."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds indexes alone."""
    op.create_index("review_verdicts_by_reviewer", "review_verdicts", ["tenant", "queue", "reviewer", "state"])
    for column in ("address", "voice", "issuer"):
        op.create_index(f"used_tokens_by_{column}", "used_tokens", ["tenant", column, "at"])
    known = sa.text("call IS NOT NULL")
    op.create_index("used_tokens_by_call", "used_tokens", ["tenant", "call"], sqlite_where=known, postgresql_where=known)
