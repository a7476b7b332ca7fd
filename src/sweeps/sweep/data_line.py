"""What was read, in one line and as tags."""

from __future__ import annotations

from collections.abc import Mapping


def data_line(described: Mapping[str, str]) -> str:
    """What was read, for the screen; "" where nothing is said of it.

    Args:
        described: by `Objective.describe_data`.
    """
    line = "; ".join(f"{name.replace('_', ' ')}: {value}" for name, value in described.items())
    return f"Data: {line}" if line else ""


def data_tags(described: Mapping[str, str]) -> dict[str, str]:
    """The same as tags of the parent run."""
    return {f"sweeps.data.{name}": value for name, value in described.items()}
