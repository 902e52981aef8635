"""Typed tasks composed in ordinary Python: a function with type hints comes in, a call whose answerer is chosen at run time goes out.

Read `task.py` first, then `runtime.py`.
"""
