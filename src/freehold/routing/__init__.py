"""Routing: a text comes in, the facts a policy decides on and the decision go out. Programs, arrays and numpy; nothing is fitted here.

Read `features.py` first (what is known of a text), then `scorer.py` (from features to predicted losses), then `program.py` and `decide.py`
(from facts to a variant). Imports nothing by itself: a gateway's worker takes only the files it needs.
"""
