"""Variants that answer on this machine: a text comes in, an answer goes out, or word that there is none. Models behind an API are asked
through `providers/`.

Read `outcome.py` first, then one file for each kind.
"""
