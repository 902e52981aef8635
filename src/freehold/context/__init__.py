"""What is put before a model: prompts, history, media. Values come in as a task has them, messages of one request go out, of a known size.

Read `prompt.py` first: a template that is filled in. `history.py` fits a conversation into so many tokens, `count.py` says how many those are, and
`conversation.py` keeps conversations by id. `media.py` has images, recordings and documents as values, `video.py` films; `headers.py` reads what
bytes say of themselves, and `media_tokens.py` says what they cost.
"""
