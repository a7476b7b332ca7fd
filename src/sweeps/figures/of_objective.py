"""The figures that an objective draws of a finished study."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from optuna import Study
from optuna.trial import TrialState

from sweeps.execution.objective import Objective
from sweeps.study.trial_record import Record

if TYPE_CHECKING:  # it is slow to import
    from matplotlib.figure import Figure


def figures_of(study: Study, objective: Objective) -> Mapping[str, Figure]:
    """Figures by file name, drawn from every completed trial; none where the objective draws none.

    Args:
        study: finished.
        objective: draws.
    """
    if type(objective).figures is Objective.figures:
        return {}
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return objective.figures([(objective.plan.config_of(trial), Record.of(trial).metrics) for trial in complete])
