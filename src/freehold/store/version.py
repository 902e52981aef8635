"""The schema's version: read with plain SQL, so that Alembic is imported only when there is something to migrate."""

HEAD = "0008"
"""The version this Freehold writes: the newest of `migrations/versions`."""

VERSION_TABLE = "freehold_version"
"""Where a journal keeps its version; not Alembic's default name, which another program in the same database may use."""
