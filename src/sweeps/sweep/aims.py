"""What a study is after, for `dry_run=true`."""

from __future__ import annotations

from collections.abc import Iterator

from sweeps.sweep.preflight import CheckedStudy


def aims(checked: CheckedStudy) -> Iterator[str]:
    """What is optimised and how the winner is chosen, a line for each thing that was asked for."""
    settings, directions = checked.settings, checked.objective.directions
    yield f"Objective: {', '.join(f'{direction} {metric}' for metric, direction in directions.items())}"
    for constraint in settings.constraints:
        yield f"Constraint: {constraint}"
    if checked.target:
        yield f"Target: {', '.join(f'{metric} {value:g}' for metric, value in checked.target.items())}"
    if len(directions) > 1:
        yield f"Winner: {settings.choose.described(tuple(directions))}"
