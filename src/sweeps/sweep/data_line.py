"""What a task has read, in one line and as tags."""

from __future__ import annotations

from sweeps.tasks.base import Task


def data_line(task: Task) -> str:
    """What was read, for the screen; "" where the task does not say."""
    described = "; ".join(f"{name.replace('_', ' ')}: {value}" for name, value in task.describe_data().items())
    return f"Data: {described}" if described else ""


def data_tags(task: Task) -> dict[str, str]:
    """The same as tags of the parent run."""
    return {f"sweeps.data.{name}": value for name, value in task.describe_data().items()}
