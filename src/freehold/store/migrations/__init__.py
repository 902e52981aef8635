"""Alembic's folder: one file for each version of the schema, each a step from the one before. Never change one that was released."""
