"""Feedback: answers in the journal in, what is said about them out.

Signals: read `saying.py` first (what can be said, through every door), then `reward.py` (all of it as one number) and `voices.py` (whose word
weighs what). Labels, each with the probability with which its item was drawn: `draw.py` (which items are asked about, and why that is a
sample), then `label.py` (a labelling session).
"""
