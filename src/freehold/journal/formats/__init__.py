"""Recorded traffic as others wrote it: a file comes in, lines that hold a record or a reason go out.

One file per format, each with `read(source) -> Iterator[Line]`: `native` (Freehold's own JSON lines), `openai` (logs of chat-completion
bodies), `table` (CSV and Parquet). `record.py` says what all of them give, `detect.py` lists them and tells them apart by content; read
those two first. A new format is a file with a `read` and a row in `detect.READERS`. No reader lets one bad line stop the rest, and none
holds more than one line or batch in memory.
"""
