"""Providers: a request in a provider's own words comes in, and what it answers is told to a receiver, piece by piece.

Read `provider.py` first (a row of the configuration, ready to be called), then `transport.py` (the sockets).
"""
