"""Where the trials of a study run, as `n_jobs` and `hydra/launcher` say."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from hydra.types import HydraContext, TaskFunction
from optuna.pruners import NopPruner

from sweeps.base.build import TARGET
from sweeps.base.cache import share
from sweeps.base.errors import ConfigError
from sweeps.base.say import say
from sweeps.compose._hydra_compat import BASIC_LAUNCHER, launcher_of
from sweeps.compose.plain_run import WithoutSearchSpaces
from sweeps.execution.batches import Batches, NotExiting
from sweeps.execution.in_process import InProcess
from sweeps.execution.job import TrialJob, prepare_worker
from sweeps.execution.main_module import by_name
from sweeps.execution.pool import Pool
from sweeps.execution.workers import Workers
from sweeps.sweep.preflight import CheckedStudy
from sweeps.tracking import own_runs


def choose_workers(
    checked: CheckedStudy, hydra_context: HydraContext, task_function: TaskFunction, shared: Path | None = None
) -> Workers:
    """Workers for a study, starting; they and this process share computed work in a folder.

    Without a launcher, a pool of processes on this machine, or this process for `n_jobs=0`. A launcher that offers
    workers of its own (`Launcher.workers`) is kept full; any other runs batches of `n_jobs`.
    """
    settings, plan = checked.settings, checked.plan
    share_here = partial(share, shared, settings.cache.max_bytes, settings.cache.max_memory_bytes)
    share_here()
    job = TrialJob(
        plan,
        checked.folder.path,
        settings.seed,
        checked.objective.metric,
        checked.objective.reader(),
        settings.repeat,
        hydra_context,
        task_function,
        own_runs.ending_them,
    )
    n_jobs = _n_cores() if settings.n_jobs is None else settings.n_jobs
    if plan.config.hydra.launcher.get(TARGET) != BASIC_LAUNCHER:
        function = NotExiting(WithoutSearchSpaces(task_function) if plan.strips_search_space else task_function)
        launcher = launcher_of(plan.config, checked.folder.path, hydra_context, function)
        if hasattr(launcher, "workers"):
            share_there = partial(share, None, 0, settings.cache.max_memory_bytes)  # machines that may lack the folder
            prepare = partial(_prepare, prepare_worker(), share_there)
            workers: Workers = launcher.workers(prepare, job, settings.n_jobs, settings.trial_timeout)
            return workers
        if settings.repeat is not None:
            raise ConfigError("hydra.sweeper.repeat does not work with this hydra/launcher; use basic or sweeps_dask.")
        _note_what_batches_lack(checked)
        return Batches(launcher, job, max(1, n_jobs))
    if n_jobs == 0:
        return InProcess(job)
    prepare = partial(_prepare, prepare_worker(), share_here)
    job = replace(job, task_function=by_name(task_function))  # only processes on this machine find the script
    return Pool(prepare, job, n_jobs, settings.trial_timeout, checked.objective.modules())


def _prepare(*steps: Callable[[], None]) -> None:
    for step in steps:
        step()


def _note_what_batches_lack(checked: CheckedStudy) -> None:
    lacking = [] if isinstance(checked.pruner, NopPruner) else ["pruner"]
    lacking += [] if checked.settings.trial_timeout is None else ["trial_timeout"]
    if lacking:
        say(
            f"Note: this launcher reports only when a batch ends, so {' and '.join(lacking)} "
            f"{'have' if len(lacking) > 1 else 'has'} no effect; use hydra/launcher=basic or sweeps_dask."
        )


def _n_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
