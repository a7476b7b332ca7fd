"""Every semi-private name of Hydra that we touch, in one place. Read in the source of 1.3.8 and 1.4.0rc3."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

from hydra.core.plugins import Plugins
from hydra.core.singleton import Singleton
from hydra.core.utils import JobStatus, run_job
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from sweeps.redact import without_passwords


def run_trial_job(config: DictConfig, task_function: TaskFunction, hydra_context: HydraContext) -> Any:
    """Run a task function as a Hydra job in its own folder (`hydra.sweep.dir`/`hydra.sweep.subdir`).

    Returns:
        What the task function returned; what it raised is raised.
    """
    try:
        job = run_job(
            hydra_context=hydra_context,
            task_function=task_function,
            config=config,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )
    finally:
        _redact(Path(config.hydra.sweep.dir, config.hydra.sweep.subdir, config.hydra.output_subdir or ""))
    if job.status is JobStatus.COMPLETED:
        return job.return_value
    with contextlib.redirect_stderr(io.StringIO()):  # reading a failed job's value prints; the sweep reports failures
        return job.return_value


BASIC_LAUNCHER = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"  # of `hydra/launcher: basic`, the default


def launcher_of(config: DictConfig, hydra_context: HydraContext, task_function: TaskFunction) -> Launcher:
    """The launcher that a composed config names."""
    return Plugins.instance().instantiate_launcher(
        hydra_context=hydra_context, task_function=task_function, config=config
    )


def singletons() -> Any:
    """What Hydra keeps for a whole process: plugins, registered configs, the config of the run."""
    return Singleton.get_state()


def use_singletons(state: Any) -> None:
    """Take over what another process's Hydra keeps."""
    Singleton.set_state(state)


def _redact(folder: Path) -> None:
    """Hydra stores configs and overrides as they are; no password shall stay in them."""
    for file in folder.glob("*.yaml"):
        stored = file.read_text(encoding="utf-8")
        redacted = without_passwords(stored)
        if redacted != stored:
            file.write_text(redacted, encoding="utf-8")
