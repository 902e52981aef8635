"""The command line: each command is a thin call to one library function. Results to stdout, progress to stderr. Read `app.py` first."""
