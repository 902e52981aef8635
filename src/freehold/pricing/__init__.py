"""Pricing: a model's exact name, a usage and a time come in; what it cost goes out, or that nobody knows.

Read `book.py` first (whose price a name has), then `rates.py` (from rates to a cost), `snapshot.py` (the file the snapshot's rates are read
from) and `compile.py` (how that file is made, in a process of its own: what it imports is too heavy for a gateway's worker).
"""
