"""Every error that bertops raises on purpose.

    BertopsError                 exit code 1: something failed
    ├── UsageError               exit code 2: used wrongly
    │   └── ParamsError          params.yaml has problems, all of them listed
    ├── GateRefused              exit code 3: a gate said no, which is a normal end
    └── ...                      packages derive their own, beside the code that raises them

An error says what, where, expected and found, and what to do next. The library raises and
never exits; only the command line turns an error into an exit code.
"""


class BertopsError(Exception):
    """Base of all errors of bertops; its text is written for the person who reads it."""

    exit_code = 1


class UsageError(BertopsError):
    """A command or a function was asked for something that it cannot do."""

    exit_code = 2


class GateRefused(BertopsError):
    """A gate said no. Nothing failed: the answer is no, and the text says why."""

    exit_code = 3


class Interrupted(BertopsError):
    """Stopped by a signal after saving what was done; the next run carries on from there."""

    exit_code = 130
