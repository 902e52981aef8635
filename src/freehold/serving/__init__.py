"""The parts of an exchange: a request that was read comes in, a call that is journalled and an answer go out. `serve.py` puts them together.

State: `resources.py` (what answering takes, for as long as a worker runs), `underway.py` (the calls there are), `asked.py` and `origin.py` (one
request), `attempts.py` (who was asked for it). Policy: `choosing.py`. Execution: `admission.py` lets a call in, `pursuit.py` asks a model and others
where that fails, `work.py` has an answer made that takes more than one question, `recall.py` remembers. What comes of it: `telling.py`,
`waiting.py`, `ended.py`.
"""
