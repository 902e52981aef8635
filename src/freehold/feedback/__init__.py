"""Feedback: answers in the journal in, judgements of people out, each with the probability with which its item was drawn.

Read `draw.py` first (which items are asked about, and why that is a sample), then `label.py` (a labelling session).
"""
