"""The store: one database (SQLite or PostgreSQL, one schema) and one folder of blobs. A URL comes in, connections go out.

Read `open.py` first (what a store is), then `schema.py` (what it keeps). `sqlite.py` and `postgres.py` hold what differs.
"""
