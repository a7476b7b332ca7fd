"""One trial of a study as a Hydra job, in this process or in a worker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from hydra.types import HydraContext, TaskFunction

from sweeps.compose._hydra_compat import run_trial_job, singletons, use_singletons, without_storage
from sweeps.compose.override_text import to_text
from sweeps.compose.plan import StudyPlan
from sweeps.compose.search_space import Proposal
from sweeps.execution.outcome import TrialResult


@dataclass(frozen=True)
class TrialJob:
    """Composes and runs the trial of a number; may be pickled to another process.

    Attributes:
        plan: the composed configs of the study.
        folder: of the study.
        hydra_context: Hydra's config loader and callbacks.
        task_function: runs one trial's config.
    """

    plan: StudyPlan
    folder: Path
    hydra_context: HydraContext
    task_function: TaskFunction

    def __call__(self, number: int, proposal: Proposal) -> TrialResult:
        """Run a trial in a folder of its own, `<folder>/<number>`."""
        config = self.plan.trial_config(proposal)
        hydra_config = self.plan.hydra_config(number, proposal, self.folder)
        result: TrialResult = run_trial_job(config, hydra_config, self.task_function, self.hydra_context)
        return result

    def override_texts(self, number: int, proposal: Proposal) -> list[str]:
        """The trial as overrides of the main command, for a launcher that composes it anew."""
        folder = [f"hydra.sweep.dir={to_text(str(self.folder.absolute()))}", f"hydra.sweep.subdir='{number}'"]
        return [*without_storage(self.plan.override_texts(proposal)), *folder]


def prepare_worker() -> Callable[[], None]:
    """What a new process has to call once before it runs a `TrialJob`."""
    return partial(use_singletons, singletons())
