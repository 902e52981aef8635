"""Typed tasks composed in ordinary Python: a function with type hints comes in, a call whose answerer is chosen at run time goes out.

Read `task.py` first, then `runtime.py`: the gateway in this process. `parse.py` reads values out of a model's words, `pipeline.py` and `scope.py`
hold calls together. `batch.py` runs a program over a file: `rows.py` reads it, `output.py` keeps what came of each row.
`stream.py` runs one over what goes on coming: `sources.py` says what gives items, `sinks.py` what takes answers.
"""
