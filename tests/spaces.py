"""Search spaces of single options, for the tests of what is built on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sweeps.compose import space_yaml
from sweeps.compose.leaf import Leaf
from sweeps.compose.scope import SEARCH_SPACE


def collect(option: Mapping[str, Any], group: str, choice: str, source: str) -> tuple[Leaf, ...]:
    """The checked leaves of one option.

    Args:
        option: its config as plain containers; its `search_space` mirrors its other keys.
        group: the config group (`model`).
        choice: the option's name (`svm`).
        source: the option's file, for messages.
    """

    def name_of(key: str) -> str:
        return f"{group}/{choice}.{key.removeprefix(f'{group}.')}"

    return space_yaml.collect(option.get(SEARCH_SPACE), option, group, name_of, f"{source}: {SEARCH_SPACE}")
