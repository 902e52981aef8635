"""Training: texts and recorded answers come in, frozen arrays for `routing/` go out. scikit-learn and scipy are imported
when something is fitted, never in a worker.

Read `heads.py` first (a classifier from recorded answers), then `project.py` (the embedder that needs no download) and `embedder.py` (the
one built from local weights).
"""
