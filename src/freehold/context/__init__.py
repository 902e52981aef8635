"""What is put before a model: prompts, history, media. Values come in as a task has them, parts of messages go out as `chat.py` has them.

Read `media.py` first: images, recordings and documents as values; films are in `video.py`. `headers.py` reads what bytes say of themselves,
`media_tokens.py` says what they cost.
"""
