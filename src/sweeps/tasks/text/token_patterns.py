r"""Regular expressions of tokens that take time linear in the text, whatever the text.

`re` tries again: `(\w+\s?)+$` takes time exponential in the length of a text, and it cannot be stopped, since it holds
the interpreter's lock. Which patterns can be slow is hard to say in general; easy to say is that one cannot which never
has to give back what it took: atoms of one character each, of which the last alone may be repeated without bound. The
match then ends where that run ends. `\b` may stand before it, since it takes nothing, and behind it where the last atom
is `\w`: a run of `\w` always ends at a `\b`.
"""

from __future__ import annotations

import re

_CLASS = r"\[\^?(?:[^\[\]\\^]|\\[wdsWDS.\-])(?:[^\[\]\\]|\\[wdsWDS.\-])*\]"
_ATOM = rf"(?:\\[wdsWDS]|{_CLASS}|[A-Za-z0-9_#@'\"-])"
_REPEATED = r"(?:[+*]|\{\d{1,2},?\})?"
_LINEAR = re.compile(
    rf"(?:\(\?[aiu]+\))?(?:\\b)?(?:{_ATOM}{{0,20}}{_ATOM}{_REPEATED}|{_ATOM}{{0,20}}\\w{_REPEATED}\\b)"
)


def is_linear(pattern: object) -> bool:
    """Whether a `token_pattern` is one of those that surely take time linear in the text; None is no pattern at all."""
    return pattern is None or (isinstance(pattern, str) and _LINEAR.fullmatch(pattern) is not None)
