"""One trial of a study as a Hydra job, in this process or in a worker."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from hydra.types import HydraContext, TaskFunction

from sweeps.base.reporting import CurrentTrial, begin_repeat, introduce, measured_on, own_store
from sweeps.compose._hydra_compat import run_trial_job, singletons, use_singletons, without_storage
from sweeps.compose.override_text import to_text
from sweeps.compose.plan import StudyPlan
from sweeps.compose.search_space import Proposal
from sweeps.execution.outcome import TrialResult
from sweeps.tasks.metrics import is_stderr, standard_error, stderr_of


@dataclass(frozen=True)
class TrialJob:
    """Composes and runs the trial of a number; may be pickled to another process.

    Attributes:
        plan: the composed configs of the study.
        folder: of the study.
        seed: of the sweep.
        metric: the name of what `sweeps.report` reports.
        read: what the task function returned.
        repeat: a config key and the values under which a trial runs, its metrics the means; None for once.
        hydra_context: Hydra's config loader and callbacks.
        task_function: runs one trial's config.
        around: made anew for each run of it, which takes place in its `with` block.
    """

    plan: StudyPlan
    folder: Path
    seed: int
    metric: str
    read: Callable[[Any], TrialResult]
    repeat: tuple[str, tuple[Any, ...]] | None
    hydra_context: HydraContext
    task_function: TaskFunction
    around: Callable[[], AbstractContextManager[None]] = nullcontext

    def __call__(self, number: int, proposal: Proposal) -> TrialResult:
        """Run a trial in a folder of its own, `<folder>/<number>`, and in its environment, which is not put back."""
        for name, value in proposal.environment.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        folder = (self.folder / str(number)).absolute()
        device = os.environ.get("CUDA_VISIBLE_DEVICES")
        introduce(CurrentTrial(number, self.folder.name, self.seed, folder, device), self.metric)
        if self.repeat is None:
            result = self._run(number, proposal, str(number))
        else:
            result = self._run_repeatedly(number, proposal, *self.repeat)
        uses_mlflow = "mlflow" in sys.modules  # which nothing but an app imports in a worker
        return replace(result, uses_mlflow=uses_mlflow, evaluation_id=measured_on(), own_store=own_store())

    def _run_repeatedly(self, number: int, proposal: Proposal, key: str, values: Sequence[Any]) -> TrialResult:
        runs = []
        for value in values:
            repeated = replace(proposal, values={**proposal.values, key: value})
            runs.append(self._run(number, repeated, f"{number}/{key}={value}"))
            begin_repeat()
        return mean_of(runs)

    def _run(self, number: int, proposal: Proposal, subfolder: str) -> TrialResult:
        config = self.plan.trial_config(proposal)
        hydra_config = self.plan.hydra_config(number, proposal, self.folder)
        hydra_config.hydra.sweep.subdir = subfolder
        with self.around():
            return self.read(run_trial_job(config, hydra_config, self.task_function, self.hydra_context))

    def override_texts(self, number: int, proposal: Proposal) -> list[str]:
        """The trial as overrides of the main command, for a launcher that composes it anew."""
        folder = [f"hydra.sweep.dir={to_text(str(self.folder.absolute()))}", f"hydra.sweep.subdir='{number}'"]
        return [*without_storage(self.plan.override_texts(proposal)), *folder]


def mean_of(runs: Sequence[TrialResult]) -> TrialResult:
    """Several runs of one configuration as one: every metric's mean, and its standard error as `<metric>_stderr`."""
    metrics: dict[str, float] = {}
    for name in runs[0].metrics:
        if is_stderr(name, runs[0].metrics):
            continue  # of one run; that of them all takes its place
        values = [run.metrics[name] for run in runs if name in run.metrics]
        metrics[name] = fmean(values)
        if len(values) > 1:
            metrics[stderr_of(name)] = standard_error(values)
    return TrialResult(metrics, warnings=tuple(dict.fromkeys(text for run in runs for text in run.warnings)))


def prepare_worker() -> Callable[[], None]:
    """What a new process has to call once before it runs a `TrialJob`."""
    return partial(use_singletons, singletons())
