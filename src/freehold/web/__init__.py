"""Web: the pages people use. A `Picture` comes in, files a browser opens go out; nothing on a page fetches anything.

Read `report.py` first: it puts one page together from `words.py` (sentences), `charts.py` (Vega-Lite) and `page.py` (one file under one
strict CSP). Importing this stage costs nothing: Altair, vl-convert and Jinja are loaded by the functions that need them.
"""
