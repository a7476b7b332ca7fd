"""A sweep from overrides to promoted models: plan every study, check all of it, then run one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from sweeps.base.cache import sweep_folder
from sweeps.base.errors import SweepsError
from sweeps.base.say import say
from sweeps.compose.plan import plan_study
from sweeps.compose.request import Request
from sweeps.execution.main_module import CalledInWorkerError, in_worker
from sweeps.execution.objective import objective_class
from sweeps.study.result import StudyResult
from sweeps.sweep.choose_workers import choose_workers
from sweeps.sweep.data_line import data_line
from sweeps.sweep.preflight import check_study
from sweeps.sweep.space_table import describe_space


def run_sweep(
    arguments: Sequence[str], master: DictConfig, hydra_context: HydraContext, task_function: TaskFunction
) -> list[StudyResult]:
    """Run the sweep that the overrides ask for, with a study for each option of the scope's study group.

    Args:
        arguments: override texts; of several with one key the last counts.
        master: the config that Hydra composed for the sweep.
        hydra_context: Hydra's config loader and callbacks.
        task_function: runs one trial's config.

    Raises:
        SweepsError: anything that the user can mend; before the first trial, nothing has been written.
        KeyboardInterrupt: the sweep was interrupted; its runs are closed.
    """
    if in_worker():
        raise CalledInWorkerError
    loader = hydra_context.config_loader
    request = Request.parse(arguments, loader, objective_class(master).scope)
    plans = [plan_study(request, option, master, loader) for option in request.studies()]
    studies = [check_study(plan, several_studies=len(plans) > 1) for plan in plans]
    if master.hydra.sweeper.dry_run:
        for study in studies:
            say(describe_space(study.plan.space, study.plan.title))
            if line := data_line(study.objective.describe_data()):
                say(line)
        return []

    results: list[StudyResult] = []
    errors: list[SweepsError] = []
    for study in studies:
        try:
            with (
                sweep_folder() as shared,
                closing(choose_workers(study, hydra_context, task_function, shared)) as workers,
            ):
                from sweeps.sweep.run_study import (
                    run_study,  # takes seconds, as it imports MLflow; the workers start meanwhile
                )

                results.append(run_study(study, workers))
        except SweepsError as error:  # another dataset's study may still succeed
            errors.append(error)
            if len(studies) > 1:
                say(f"Study {study.name}: {error}")
    if errors:
        raise errors[0]
    return results
