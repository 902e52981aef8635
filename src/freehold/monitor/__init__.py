"""Monitor: live calls in, drawn with a known probability; statements about them that hold whenever one looks, alerts, and certificates
withdrawn, out. Read `round.py` first.
"""
