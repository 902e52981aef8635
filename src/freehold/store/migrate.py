"""Brings a journal's schema to a version. The only file that imports Alembic; `open.py` imports it when a migration is due."""

from pathlib import Path

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext, StampStep, RevisionStep
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from freehold.store.version import VERSION_TABLE
