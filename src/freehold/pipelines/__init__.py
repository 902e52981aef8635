"""Typed tasks. A type goes out as the schema that a provider is asked to keep to, and a model's words come back as a value of that type,
whole or while they still arrive. Read `parse.py` first.
"""
