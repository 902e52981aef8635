"""What is put before a model: prompts, examples, history, media. Typed input comes in, messages go out, counted in tokens.

Read `prompt.py` first.
"""
