"""What is put before a model: prompts, history, media.

In comes what a task asks and what was said before; out go the messages of one request, of a size that is known before it is sent. Read
`prompt.py` first: a template that is filled in. `history.py` fits a conversation into so many tokens, `count.py` says how many those are, and
`conversation.py` keeps conversations by id.
"""
