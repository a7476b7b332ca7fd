"""What of an app's config a sweep may search."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SEARCH_SPACE = "search_space"
"""The key beside defaults that mirrors them with distributions."""


@dataclass(frozen=True)
class Scope:
    """The limits of a sweep; the default has none, as for any Hydra app.

    Attributes:
        groups: config groups that belong to every search space, swept or not, with all that can be searched below them;
            None: the groups that are swept, and any key.
        study_group: a group of which each option has a study of its own, since scores on different data are not
            comparable; None for none.
        lead: the group of whose options each has a trial of its own defaults; None for the first that is swept.
    """

    groups: tuple[str, ...] | None = None
    study_group: str | None = None
    lead: str | None = None

    def limits(self, key: str) -> bool:
        """Whether a config key lies outside of what may be searched."""
        return self.groups is not None and not any(key.startswith(f"{group}.") for group in self.groups)


def package_of(group: str) -> str:
    """The config key that a group's option is composed into, unless its file says another: `db@backup` is `backup`."""
    path, at, package = group.partition("@")
    if not at:
        return path.replace("/", ".")
    return "" if package == "_global_" else package.removeprefix("_global_.")


def is_space(node: Any) -> bool:
    """Whether the value of an app's key `search_space` is one of ours: some key below it has a `type`."""
    if not isinstance(node, Mapping):
        return False
    return any(isinstance(inner, Mapping) and ("type" in inner or is_space(inner)) for inner in node.values())
