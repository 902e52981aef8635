"""The gateway: bytes of HTTP come in, requests of a known format go out to whoever assembles the answer, and the answer goes back.

Read `reply.py` first (a request and its way back), then `server.py` (how they come off a socket), then `formats.py` (how clients and
providers talk). `keys.py` says who may ask, `budget.py` what may be spent, `ledger.py` how money is booked. Nothing here calls a provider or knows of
the journal.
"""
