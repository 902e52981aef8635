"""Brings a journal's schema to a version. The only file that imports Alembic; `open.py` imports it when a migration is due."""

from functools import partial
from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from freehold.store.version import VERSION_TABLE

SCRIPTS = Path(__file__).parent / "migrations"


def migrate(connection: Connection, version: str) -> None:
    """Upgrades the schema to `version` within the connection's transaction: all of it or nothing."""
    script = ScriptDirectory(SCRIPTS)
    steps = partial(_steps, script, version)
    with EnvironmentContext(Config(), script, fn=steps) as environment:
        environment.configure(connection=connection, version_table=VERSION_TABLE)
        environment.run_migrations()


def _steps(script: ScriptDirectory, version: str, revision: Any, _: MigrationContext) -> Any:
    return script._upgrade_revs(version, revision)  # as alembic.command.upgrade does
