"""Keep passwords out of everything that is written."""

from __future__ import annotations

import re

_CREDENTIALS = re.compile(r"(\w://[^/\s:@]*):[^\s/]*@")


def without_passwords(text: str) -> str:
    """The text with the password of every URL in it as `***`: `postgresql://user:***@host/db`."""
    return _CREDENTIALS.sub(r"\1:***@", text)
