"""A user's own function that suggests more than the search space holds (`hydra.sweeper.custom_search_space`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from hydra.utils import get_method
from optuna import Trial

from sweeps.base.errors import ConfigError, first_line
from sweeps.compose.plan import StudyPlan
from sweeps.compose.search_space import Proposal


def custom_space(name: str | None, plan: StudyPlan) -> Callable[[Proposal, Trial], Proposal]:
    """What adds to a proposal whatever a user's function suggests, each value under its name as config key.

    Args:
        name: the function's dotted name; it takes the trial's config and Optuna's trial. None for no function.
        plan: the composed configs.

    Raises:
        ConfigError: there is no such function.
    """
    if name is None:
        return lambda proposal, trial: proposal
    try:
        function = get_method(name)  # as hydra-optuna-sweeper: also of a script whose name has a dash
    except Exception as error:
        raise ConfigError(f"hydra.sweeper.custom_search_space={name} is not a function: {first_line(error)}") from error
    known = {leaf.name for leaf in plan.space.searched_leaves()} | set(plan.space.groups)

    def suggest_more(proposal: Proposal, trial: Trial) -> Proposal:
        function(plan.trial_config(proposal), trial)
        more = {key: value for key, value in trial.params.items() if key not in known}
        return replace(proposal, values={**proposal.values, **more})

    return suggest_more
