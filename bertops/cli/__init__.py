"""The command line: talks to people and programs, and holds no logic of its own.

Results go to stdout, progress and errors to stderr. Heavy libraries are imported inside commands,
so that `--help` answers at once.
"""
