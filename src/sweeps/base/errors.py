"""What a user can get wrong, as exceptions.

    SweepsError             the base: its text is the whole message, printed without a traceback
    ├── ConfigError         a key, a value, a search space or a combination of choices
    ├── DataError           a file, a column, a row or a label
    ├── ModelError          a fitted model that cannot be stored or loaded safely, or that fails to predict
    │   └── PredictionTimeoutError
    ├── TrackingError       the tracking server, the model registry or a name in it
    ├── StorageError        the study's database, or a study in it
    ├── ClusterError        the cluster that runs the trials, or a worker of it
    └── SweepFailedError    a sweep that ended without a usable trial
    Interrupted             not an error: Ctrl-C or SIGTERM, as an exception

A message says what is wrong, where (file, key, row), what would be right and what to type.
"""

import re
import signal

from sweeps.base.redact import without_passwords

_LONGEST = 1_500  # characters of a message: an answer may be a whole web page
_OF_SQLALCHEMY = re.compile(r"^\[SQL:|\(Background on this error", re.MULTILINE)  # what follows an error of its driver


class SweepsError(Exception):
    """An error that the user can mend; `str()` of it is shown as is."""


class ConfigError(SweepsError):
    """A key, a value, a search space or a combination of choices is wrong."""


class DataError(SweepsError):
    """A data file is missing, unreadable or unfit for the task."""


class ModelError(SweepsError):
    """A fitted model cannot be stored or loaded without trusting unknown code."""


class PredictionTimeoutError(ModelError):
    """A model took longer to predict than it was given."""


class TrackingError(SweepsError):
    """The tracking server or the model registry is out of reach, or a name in it is unknown."""


class StorageError(SweepsError):
    """The study's database is out of reach, full or held by another sweep, or the study in it is another one."""


class ClusterError(SweepsError):
    """The cluster that runs the trials is out of reach or gone, or a worker of it is unfit."""


class SweepFailedError(SweepsError):
    """A sweep ended early, or without any trial that completed."""


class Interrupted(KeyboardInterrupt):
    """A signal asked the program to end.

    Args:
        received: the signal; the exit code is 128 and its number.
    """

    def __init__(self, received: signal.Signals) -> None:
        super().__init__(received.name)
        self.received = received


def first_line(error: BaseException | Warning | str) -> str:
    """The first line of an error's text, or its type where it has none; without passwords."""
    return without_passwords((str(error).strip() or type(error).__name__).splitlines()[0])


def whole_text(error: BaseException) -> str:
    """All that an error says, in one line: what to do about it may stand in its last sentence; without passwords.

    The statement that SQLAlchemy shows of a database's error is left out.
    """
    said = " ".join(_OF_SQLALCHEMY.split(str(error))[0].split())
    text = without_passwords(said) or type(error).__name__
    text = text.removesuffix(".")
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."
