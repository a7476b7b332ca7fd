"""What is said on the screen."""

from __future__ import annotations

import os
import sys

from tqdm import tqdm

from sweeps.base.redact import without_passwords


def say(text: str = "") -> None:
    """Write a line to standard output, above a progress bar if there is one; passwords in URLs are not shown.

    What the terminal's encoding lacks is written as an escape: a trial's error may have any character.
    """
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    shown = without_passwords(text).encode(encoding, "backslashreplace").decode(encoding)
    try:
        tqdm.write(shown, file=sys.stdout)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as `head`, has had enough: the sweep continues without it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
