"""Promotion: paired items in, a certified policy out. Read `certify.py` first: it is the whole argument, top to bottom."""
