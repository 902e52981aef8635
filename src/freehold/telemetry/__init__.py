"""Watching: what became of each call comes in; counts for Prometheus, spans and metrics for OpenTelemetry, and lines of the log go out.

Read `telemetry.py` first (what a worker holds), then `names.py` (the one table of names) and `event.py` (what is told of a call).
"""
