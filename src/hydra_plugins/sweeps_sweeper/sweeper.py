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

from sweeps.compose.settings import SweeperConfig


class SweepsSweeper(Sweeper):
    """Runs the study, or the studies, that a command line and `hydra.sweeper` ask for.

    Args:
        settings: `hydra.sweeper`; read from the composed config when the sweep begins.
    """

    hydra_context: HydraContext
    task_function: TaskFunction
    config: DictConfig

    def __init__(self, **settings: Any) -> None:
        self._params = settings.get("params") or {}

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
        from sweeps.compose.override_text import to_text
        from sweeps.sweep.run_sweep import run_sweep

        params: Any = OmegaConf.to_container(OmegaConf.create(dict(self._params)), resolve=True)
        params = {key: value if isinstance(value, str) else to_text(value) for key, value in params.items()}
        texts = [f"{key}={text}" for key, text in params.items()] + arguments
        return run_command(lambda: run_sweep(texts, self.config, self.hydra_context, self.task_function))


def _register() -> None:
    store = ConfigStore.instance()
    node = {
        "defaults": ["_self_", {"sampler@sweeper.sampler": "tpe"}, {"pruner@sweeper.pruner": "none"}],
        "sweeper": SweeperConfig,
        "callbacks": {"sweeps": {"_target_": "sweeps.compose.plain_run.RemoveSearchSpaces"}},
        "sweep": {"dir": "multirun"},
    }
    for name in ("sweeps", "sweeps_optuna"):
        if not _is_known("sweeper", f"{name}.yaml"):  # a worker has the registered configs before it imports us
            store.store(group="hydra/sweeper", name=name, node=node, package="hydra", provider="sweeps")
    for group in ("sampler", "pruner"):
        for file in files("sweeps.conf").joinpath(group).iterdir():
            if file.name.endswith(".yaml") and not _is_known("sweeper", group, file.name):  # another plugin's stay
                option = OmegaConf.create(file.read_text(encoding="utf-8").replace("${seed}", "${hydra.sweeper.seed}"))
                store.store(group=f"hydra/sweeper/{group}", name=file.name, node=option, provider="sweeps")


def _is_known(*path: str) -> bool:
    """Whether something is registered below `hydra`."""
    node: Any = ConfigStore.instance().repo.get("hydra", {})
    for name in path:
        node = node.get(name) if isinstance(node, dict) else None
    return node is not None


_register()
