"""Continual learning: parts that compose, a file each, with its source named. What comes in are vectors, answers and what an earlier model
knew; what goes out are sums, masks, losses or rows to learn again.

Read `slda.py` first: it keeps sums instead of rows, and forgets nothing but what is taken out of it. `replay.py` draws from what is left of
earlier data sets. `masks.py`, `ewc.py` and `lwf.py` are losses for `training/loop.py`, and `net.py` puts them together; they alone need torch.
`adapters.py` learns each data set beside the others and merges them. None of them is a safety argument: that is `promotion/regression.py`.
"""
