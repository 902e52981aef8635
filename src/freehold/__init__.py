"""Freehold answers each LLM call with the cheapest thing that is good enough, with measured proof.

Data flows down the list of folders in the README, imports point up it, and the loop is closed by data (a `Policy` row). Read
`catalog.py` for the nouns, `improve.py` for the loop, and `docs/glossary.md` for the words.
"""

__version__ = "0.1.0"
