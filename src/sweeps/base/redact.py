"""Keep passwords out of everything that is written."""

from __future__ import annotations

import re

_CREDENTIALS = re.compile(r"(\w://[^/\s:@]*):(?!\d+(?:/|\s|$))\S*@")  # up to the last @, unless a port stands there
_QUERY = re.compile(
    r"([?&][^=&\s]*(?:password|passwd|pwd|token|secret|api_?key|access_?key)=)[^&\s'\"]+", re.IGNORECASE
)


def without_passwords(text: str) -> str:
    """The text with the secrets of every URL in it as `***`: `postgresql://user:***@host/db?password=***`."""
    return _QUERY.sub(r"\1***", _CREDENTIALS.sub(r"\1:***@", text))
