"""What the small commands share: errors that the user can mend end in one message and exit code 1."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable

from sweeps.errors import SweepsError
from sweeps.redact import without_passwords


def run_command(action: Callable[[], None]) -> None:
    """Run an action; `HYDRA_FULL_ERROR=1` shows tracebacks, as for the main command."""
    try:
        action()
    except SweepsError as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        sys.stderr.write(without_passwords(str(error)) + "\n")
        sys.exit(1)
    except BrokenPipeError:  # the reader of our output, such as `head`, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
