"""The figures that a task draws of a finished study."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from optuna import Study
from optuna.trial import TrialState

from sweeps.compose.plan import StudyPlan
from sweeps.execution.trial import candidate_of
from sweeps.study.trial_record import Record
from sweeps.tasks.base import Task, Tried

if TYPE_CHECKING:  # it is slow to import
    from matplotlib.figure import Figure


def figures_of(study: Study, plan: StudyPlan, task: Task) -> Mapping[str, Figure]:
    """Figures by file name, drawn from every completed trial; none where the task draws none.

    Args:
        study: finished.
        plan: its composed configs.
        task: draws.
    """
    if type(task).plots is Task.plots:
        return {}
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    candidates = (candidate_of(plan.config_of(trial)) for trial in complete)
    tried = [Tried(candidate, Record.of(trial).metrics) for candidate, trial in zip(candidates, complete, strict=True)]
    return task.plots(tried)
