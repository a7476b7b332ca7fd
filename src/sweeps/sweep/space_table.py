"""The search space as a table, for `dry_run=true`."""

from __future__ import annotations

from sweeps.compose.leaf import as_yaml, describe_distribution
from sweeps.compose.search_space import SearchSpace
from sweeps.sweep.tables import table


def describe_space(space: SearchSpace, title: str) -> str:
    """The search space as a table under its title: name, distribution, default, condition, file."""
    rows = [
        [group, f"one of {', '.join(options)}", options[0], "", "command line"]
        for group, options in space.swept_groups().items()
    ]
    for leaf in space.searched_leaves():
        when = ", ".join(
            f"{key.partition('.')[2]} is {' or '.join(map(as_yaml, values))}" for key, values in leaf.when.items()
        )
        rows.append([leaf.name, describe_distribution(leaf.distribution), as_yaml(leaf.default), when, leaf.source])
    fixed = ", ".join(f"{group}={options[0]}" for group, options in space.groups.items() if len(options) == 1)
    head = title + (f", {fixed}" if fixed else "")
    if not rows:
        return f"{head}: nothing to search."
    return f"{head}\n{table(rows, ['name', 'distribution', 'default', 'when', 'from'])}"
