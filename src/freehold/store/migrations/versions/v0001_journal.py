"""The journal as it began: calls and what was said about them, policies and certificates."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes the first tables."""
    op.create_table(
        "calls",
        _seq(),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("task", sa.Text),
        sa.Column("variant", sa.Text, nullable=False),
        sa.Column("item", sa.Text, nullable=False),
        sa.Column("group", sa.Text),
        sa.Column("subject", sa.Text),
        sa.Column("customer", sa.Text),
        sa.Column("episode", sa.Text),
        sa.Column("outcome", sa.Text, nullable=False),
        _time("at", nullable=True),
        sa.Column("cost_usd", sa.Double),
        sa.Column("price_id", sa.Text),
        sa.Column("latency_s", sa.Double),
        sa.Column("policy", sa.Text),
        sa.Column("propensity", sa.Double),
        sa.Column("shape", sa.Text, nullable=False),
        sa.Column("output_digest", sa.Text),
        sa.Column("reference_digest", sa.Text),
        sa.Column("tags", sa.LargeBinary),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.Column("input", sa.LargeBinary),
        sa.Column("body", sa.LargeBinary),
    )
    op.create_index("calls_by_item", "calls", ["tenant", "task", "item", "seq"])
    unnamed = sa.text("task IS NULL")
    op.create_index("calls_by_shape", "calls", ["tenant", "shape", "seq"], sqlite_where=unnamed, postgresql_where=unnamed)
    op.create_index("calls_by_time", "calls", ["tenant", "at", "seq"])
    _index_where_known("calls_by_subject", "calls", ["tenant", "subject"], "subject")
    _index_where_known("calls_by_episode", "calls", ["episode"], "episode")

    op.create_table(
        "contents",
        _seq(),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("data", sa.LargeBinary),
        sa.UniqueConstraint("digest", "tenant", name="contents_digest"),
    )
    op.create_table(
        "attempts",
        _seq(),
        sa.Column("call", sa.Text, nullable=False),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("n", sa.Integer, nullable=False),
        sa.Column("variant", sa.Text, nullable=False),
        sa.Column("cause", sa.Text, nullable=False),
        sa.Column("outcome", sa.Text, nullable=False),
        _time("at"),
        sa.Column("latency_s", sa.Double),
        sa.Column("cost_usd", sa.Double),
        sa.Column("body", sa.LargeBinary),
        sa.UniqueConstraint("call", "n", name="attempts_call"),
    )
    op.create_table(
        "episodes",
        _seq(),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("name", sa.Text),
        _time("at"),
        sa.Column("customer", sa.Text),
        sa.Column("subject", sa.Text),
    )
    _index_where_known("episodes_by_subject", "episodes", ["tenant", "subject"], "subject")
    op.create_table(
        "feedback",
        _seq(),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("call", sa.Text),
        sa.Column("episode", sa.Text),
        sa.Column("metric", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("value", sa.Double),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("design", sa.Text, nullable=False),
        sa.Column("inclusion", sa.Double),
        _time("at"),
        sa.Column("body", sa.LargeBinary),
    )
    op.create_index("feedback_by_call", "feedback", ["call"])
    _index_where_known("feedback_by_episode", "feedback", ["episode"], "episode")

    op.create_table(
        "policies",
        _seq(),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("task", sa.Text, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("artefact", sa.Text),
        sa.Column("certificate", sa.Text),
        sa.Column("origin", sa.Text, nullable=False),
        _time("created_at"),
    )
    op.create_index("policies_by_hash", "policies", ["tenant", "task", "hash"])
    op.create_table(
        "policy_events",
        _seq(),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("task", sa.Text, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        _time("at"),
        sa.Column("who", sa.Text, nullable=False),
    )
    op.create_index("policy_events_by_task", "policy_events", ["tenant", "task"])
    op.create_table(
        "certificates",
        _seq(),
        sa.Column("id", sa.Text, nullable=False, unique=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("task", sa.Text, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("dataset_hash", sa.Text, nullable=False),
        sa.Column("spec_hash", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        _time("created_at"),
        sa.UniqueConstraint("tenant", "task", "dataset_hash", "attempt", name="certificates_attempt"),
    )


def _seq() -> sa.Column[int]:
    return sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True)


def _time(name: str, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=nullable)


def _index_where_known(name: str, table: str, columns: list[str], known: str) -> None:
    where = sa.text(f"{known} IS NOT NULL")
    op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)
