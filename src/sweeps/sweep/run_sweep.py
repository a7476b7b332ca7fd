"""A sweep from overrides to promoted models: plan every study, check all of it, then run one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from sweeps.base.cache import sweep_folder
from sweeps.base.errors import SweepsError
from sweeps.base.say import say
from sweeps.compose.plan import plan_study
from sweeps.compose.request import Request
from sweeps.execution.trial import load_task
from sweeps.study.result import StudyResult
from sweeps.sweep.choose_workers import choose_workers
from sweeps.sweep.data_line import data_line
from sweeps.sweep.preflight import check_study
from sweeps.sweep.space_table import describe_space


def run_sweep(
    arguments: Sequence[str], master: DictConfig, hydra_context: HydraContext, task_function: TaskFunction
) -> list[StudyResult]:
    """Run the sweep that the overrides ask for, one study for each dataset.

    Args:
        arguments: override texts; of several with one key the last counts.
        master: the config that Hydra composed for the sweep.
        hydra_context: Hydra's config loader and callbacks.
        task_function: runs one trial's config.

    Raises:
        SweepsError: anything that the user can mend; before the first trial, nothing has been written.
        KeyboardInterrupt: the sweep was interrupted; its runs are closed.
    """
    loader = hydra_context.config_loader
    request = Request.parse(arguments, loader)
    plans = [plan_study(request, dataset, master, loader) for dataset in request.datasets()]
    if master.dry_run:
        for plan in plans:
            say(describe_space(plan.space, plan.dataset))
            if line := data_line(load_task(plan.config)):
                say(line)
        return []
    base = Path(master.hydra.sweep.dir)
    studies = [check_study(plan, base, several_datasets=len(plans) > 1) for plan in plans]

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
