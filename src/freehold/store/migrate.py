"""Brings a journal's schema to a version. The only file that imports Alembic; `open.py` imports it when a migration is due."""

from pathlib import Path

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from freehold.store.version import VERSION_TABLE

SCRIPTS = Path(__file__).parent / "migrations"


def migrate(connection: Connection, version: str) -> None:
    """Upgrades the schema to `version` within the connection's transaction: all of it or nothing."""
    script = ScriptDirectory(SCRIPTS)
    with EnvironmentContext(Config(), script, fn=lambda revision, _: script._upgrade_revs(version, revision)) as environment:  # as alembic.command does
        environment.configure(connection=connection, version_table=VERSION_TABLE)
        environment.run_migrations()
