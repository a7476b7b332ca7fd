"""What the small commands share: errors that the user can mend end in one message and exit code 1."""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from hydra_sweeps import foreign_package
from sweeps.base.errors import ConfigError, Interrupted, SweepsError
from sweeps.base.redact import without_passwords
from sweeps.base.working_directory import check_working_directory

T = TypeVar("T")


def run_command(action: Callable[[], T]) -> T:
    """Run an action; `HYDRA_FULL_ERROR=1` shows tracebacks, as for the main command."""
    try:
        refuse_foreign_package()
        check_working_directory()
        with until_nobody_reads():
            return action()
    except SweepsError as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        sys.stderr.write(without_passwords(str(error)) + "\n")
        sys.exit(1)
    except KeyboardInterrupt as interrupt:
        sys.exit(128 + (interrupt.received if isinstance(interrupt, Interrupted) else signal.SIGINT))


def refuse_foreign_package() -> None:
    """Refuse to work where another distribution's package `sweeps` is installed, too.

    Raises:
        ConfigError: which one, and what to type.
    """
    refusal = foreign_package()
    if refusal is not None:
        raise ConfigError(refusal)


@contextmanager
def until_nobody_reads() -> Iterator[None]:
    """Exit quietly when the reader of our output, such as `head`, has had enough."""
    try:
        yield
    except BrokenPipeError:
        if not _is_cut_off(sys.stdout.fileno()):
            raise  # it was another pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)


def _is_cut_off(stream: int) -> bool:
    """Whether nobody is at the other end of a pipe."""
    poll = select.poll()
    poll.register(stream, select.POLLOUT)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
