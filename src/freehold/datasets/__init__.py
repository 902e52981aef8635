"""Data sets: journalled answers in, immutable paired items out, split without leaks and frozen under a hash. Read `pairs.py` first."""
