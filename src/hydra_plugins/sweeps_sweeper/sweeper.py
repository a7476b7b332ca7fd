"""The sweeper that Hydra finds: a thin adapter from Hydra's calls to `sweeps`.

Hydra imports this module at every start, also for `--help`, so everything heavy is imported when a sweep begins. It
executes it before it stands in `sys.modules`, where a dataclass with postponed annotations cannot be made.
"""

from importlib.resources import files
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from hydra_sweeps import foreign_package

try:
    from sweeps.compose.settings import SweeperConfig
except ModuleNotFoundError as error:  # Hydra shows the message, and goes on without this plugin
    raise ImportError(foreign_package() or str(error)) from error


class SweepsSweeper(Sweeper):
    """Runs the study, or the studies, that a command line and `hydra.sweeper` ask for.

    Args:
        settings: `hydra.sweeper`; read from the composed config when the sweep begins.
    """

    hydra_context: HydraContext
    task_function: TaskFunction
    config: DictConfig

    def __init__(self, **settings: Any) -> None:
        """They belong to the composed config of each study."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what Hydra hands over; the sweep begins in `sweep`."""
        self.hydra_context = hydra_context
        self.task_function = task_function
        self.config = config

    def sweep(self, arguments: list[str]) -> Any:
        """Run the sweep that the overrides ask for.

        Raises:
            sweeps.errors.SweepsError: anything that the user can mend.
            KeyboardInterrupt: the sweep was interrupted; its runs are closed.
        """
        from sweeps.base.command import run_command
        from sweeps.study.command_file import Command
        from sweeps.sweep.run_sweep import run_sweep

        command = Command.typed()
        return run_command(lambda: run_sweep(arguments, self.config, self.hydra_context, self.task_function, command))


def _register() -> None:
    node = {
        "defaults": ["_self_", {"sampler@sweeper.sampler": "tpe"}, {"pruner@sweeper.pruner": "none"}],
        "sweeper": SweeperConfig,
        "callbacks": {"sweeps": {"_target_": "sweeps.compose.plain_run.RemoveSearchSpaces"}},
        "sweep": {"dir": "multirun"},
    }
    for name in ("sweeps", "sweeps_optuna"):
        _store("hydra/sweeper", f"{name}.yaml", node, package="hydra")
    for group in ("sampler", "pruner"):
        texts = {
            file.name: file.read_text(encoding="utf-8")
            for file in files("sweeps.conf").joinpath(group).iterdir()
            if file.name.endswith(".yaml")
        }
        if group == "sampler":
            texts["motpe.yaml"] = texts["tpe.yaml"]  # what hydra-optuna-sweeper's users type for several objectives
        for name, text in texts.items():
            option = OmegaConf.create(text.replace("${seed}", "${hydra.sweeper.seed}"))
            _store(f"hydra/sweeper/{group}", name, option)


def _store(group: str, name: str, node: Any, package: str | None = None) -> None:
    """Register an option, unless another plugin, or this one before, has done so."""
    store = ConfigStore.instance()
    options = store.repo
    for part in group.split("/"):
        options = options.get(part, {})
    if name not in options:
        store.store(group=group, name=name, node=node, package=package, provider="hydra-sweeps")


_register()
