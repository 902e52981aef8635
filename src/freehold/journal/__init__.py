"""The journal: every call as it happened. Calls come in (imported or served), are redacted, priced and committed; typed rows go out.

Read `call.py` first (the records), then `write.py` (how a row becomes durable).
"""
