"""Evaluation: scores in, statements about variants and policies out, each with its interval. Read `bounds.py` first."""
