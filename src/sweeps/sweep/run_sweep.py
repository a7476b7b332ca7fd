"""A sweep from overrides to promoted models: plan every study, check all of it, then run one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import Any

from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from sweeps.base.cache import sweep_folder
from sweeps.base.errors import SweepsError
from sweeps.base.say import say
from sweeps.base.temporary import in_own_folder
from sweeps.compose.leaf import as_yaml
from sweeps.compose.override_text import to_text
from sweeps.compose.plan import plan_study
from sweeps.compose.request import Request
from sweeps.execution.main_module import CalledInWorkerError, in_worker
from sweeps.execution.objective import objective_class
from sweeps.study.command_file import Command
from sweeps.sweep.aims import aims
from sweeps.sweep.choose_workers import choose_workers
from sweeps.sweep.data_line import data_line
from sweeps.sweep.preflight import CheckedStudy, check_study
from sweeps.sweep.space_table import describe_space


@in_own_folder()
def run_sweep(
    arguments: Sequence[str],
    master: DictConfig,
    hydra_context: HydraContext,
    task_function: TaskFunction,
    command: Command,
) -> list[CheckedStudy]:
    """Run the sweep that the overrides ask for, with a study for each option of the scope's study group.

    Args:
        arguments: override texts; of several with one key the last counts, and they win over `hydra.sweeper.params`.
        master: the config that Hydra composed for the sweep.
        hydra_context: Hydra's config loader and callbacks.
        task_function: runs one trial's config.
        command: that began the sweep.

    Returns:
        The studies that were run; none for a dry run.

    Raises:
        SweepsError: anything that the user can mend; before the first trial, nothing has been written.
        KeyboardInterrupt: the sweep was interrupted; its runs are closed.
    """
    if in_worker():
        raise CalledInWorkerError
    loader = hydra_context.config_loader
    request = Request.parse([*_params(master), *arguments], loader, objective_class(master).scope)
    plans = [plan_study(request, option, master, loader) for option in request.studies()]
    studies = [check_study(plan, several_studies=len(plans) > 1) for plan in plans]
    if master.hydra.sweeper.dry_run:
        for study in studies:
            say(describe_space(study.plan.space, study.plan.title))
            if line := data_line(study.objective.describe_data()):
                say(line)
            for line in aims(study):
                say(line)
            for point in study.starting_points:
                say(f"Starts with: {', '.join(f'{name}={as_yaml(value)}' for name, value in point.items())}")
        return []

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

                run_study(study, workers, command)
        except SweepsError as error:  # another dataset's study may still succeed
            errors.append(error)
            if len(studies) > 1:
                say(f"Study {study.name}: {error}")
    if errors:
        raise errors[0]
    return studies


def _params(master: DictConfig) -> list[str]:
    """The sweep overrides that stand in a file."""
    params: Any = OmegaConf.to_container(OmegaConf.create(dict(master.hydra.sweeper.params or {})), resolve=True)
    return [f"{key}={value if isinstance(value, str) else to_text(value)}" for key, value in params.items()]
