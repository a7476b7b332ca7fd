"""Keep passwords out of everything that is written."""

from __future__ import annotations

import re

# Up to the last @, unless the port of a web address stands there.
_OF_WEB = re.compile(r"(\bhttps?://[^/\s:@]*):(?!\d+(?:/|\s|$))\S*@", re.IGNORECASE)
_OF_DATABASE = re.compile(r"(\b(?!https?:)[\w+.-]*\w://[^/\s:@]*):\S*@", re.IGNORECASE)
_QUERY = re.compile(
    r"([?&][^=&\s]*(?:password|passwd|pwd|token|secret|api_?key|access_?key)=)[^&\s'\"]+", re.IGNORECASE
)


def without_passwords(text: str) -> str:
    """The text with the secrets of every URL in it as `***`: `postgresql://user:***@host/db?password=***`."""
    return _QUERY.sub(r"\1***", _OF_DATABASE.sub(r"\1:***@", _OF_WEB.sub(r"\1:***@", text)))
