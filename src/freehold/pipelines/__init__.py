"""Typed tasks put to many rows: rows come in from a file, each is answered once, and the answers go out in the order of the rows.

`rows.py` reads a file row by row, `output.py` keeps what is finished in any order and lays it down in the rows' order, `tables.py` says how a
row stands in each format. `pace.py` decides when the next request may start; `rates.py` is what it knows of each limit, and `remaining.py`
reads what a provider tells of them. `progress.py` estimates what is left. Read `rows.py` and `pace.py` first.
"""
