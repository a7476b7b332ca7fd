"""What makes a study this study: its objective and its search space. Trials of another one would not be comparable."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optuna import Study
from optuna.distributions import distribution_to_json

from sweeps.base.errors import ConfigError
from sweeps.compose.settings import Settings
from sweeps.execution.objective import Objective

# User attributes of the study
IDENTITY = "sweeps.identity"
_MOST_SHOWN = 12  # changes in a message; where it was another app everything has changed


def identity_of(objective: Objective, settings: Settings) -> dict[str, str]:
    """Describe a study, one line for each thing that must not change while it lasts.

    Args:
        objective: with the study's search space.
        settings: the seed of its models and its sampler, and where it starts.
    """
    space = objective.plan.space
    lines = {"metric": ", ".join(f"{direction} {name}" for name, direction in objective.directions.items())}
    lines |= {"seed": str(settings.seed), **objective.identity()}
    lines |= {f"constraint {index}": str(one) for index, one in enumerate(settings.constraints, 1)}
    if settings.start_with is not None:
        lines["start_with"] = str(settings.start_with)
    lines |= {group: " | ".join(options) for group, options in space.groups.items()}
    for leaf in space.searched_leaves():
        when = "".join(f" when {key} in {list(values)}" for key, values in leaf.when.items())
        lines[leaf.name] = f"{distribution_to_json(leaf.distribution)}, default {leaf.default}{when}"
    return lines


def check_same(study: Study, now: Mapping[str, str]) -> None:
    """Make sure that a study can be resumed.

    Raises:
        ConfigError: the dataset, the search space or something fixed has changed; the message says what.
    """
    before: Mapping[str, Any] | None = study.user_attrs.get(IDENTITY)
    if before is None and not study.get_trials(deepcopy=False):
        return  # whoever made it died before it was defined
    if before is None:
        raise ConfigError(
            f"study_name={study.study_name}: the storage has a study of this name that sweeps did not make; choose "
            f"another name."
        )
    changed = [
        f"  {name}: it was {before.get(name, 'absent')}, now it is {now.get(name, 'absent')}"
        for name in dict.fromkeys([*before, *now])
        if before.get(name) != now.get(name)
    ]
    if changed:
        more = len(changed) - _MOST_SHOWN
        changed = changed if more <= 0 else [*changed[:_MOST_SHOWN], f"  and {more} more"]
        raise ConfigError(
            "\n".join(
                [
                    f"study_name={study.study_name}: this study was started with something else, and scores would not "
                    f"be comparable:",
                    *changed,
                    "Undo the change to resume the study, or choose another study_name.",
                ]
            )
        )
