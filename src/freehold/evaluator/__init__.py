"""Runs of evaluations: a task and its variants in, scores and what they show out. The journal is the checkpoint.

Read `run.py` first; then, in the order of the work, `items.py` and `questions.py` (what is asked), `trials.py` (functions of a program answer),
`prepared.py` (who has not answered yet, and what that costs) and `scoring.py`. `evaluate.py` is the door for programs.
"""
