"""The methods, a file each: a job comes in, the files of a specialist go out. `head.py` is the shortest; read it first.

Beside each stands a flat script in `examples/` that does the same by hand.
"""
