"""The sweeper that Hydra finds: a thin adapter from Hydra's calls to `sweeps`.

Hydra imports this module at every start, also for `--help`, so everything heavy is imported when a sweep begins. It
executes it before it stands in `sys.modules`, where a dataclass with postponed annotations cannot be made.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf


@dataclass
class SweepsOptunaSweeperConf:
    """`hydra/sweeper: sweeps_optuna`. `params` are sweep overrides from a YAML file; the command line's win."""

    _target_: str = "hydra_plugins.sweeps_optuna_sweeper.sweeper.SweepsOptunaSweeper"
    params: dict[str, Any] = field(default_factory=dict)


ConfigStore.instance().store(
    group="hydra/sweeper", name="sweeps_optuna", node=SweepsOptunaSweeperConf, provider="sweeps"
)


class SweepsOptunaSweeper(Sweeper):
    """Runs one Optuna study for each dataset of the command line.

    Args:
        params: sweep overrides by key, as `hydra.sweeper.params` in an experiment's YAML.
    """

    hydra_context: HydraContext
    task_function: TaskFunction
    config: DictConfig

    def __init__(self, params: Mapping[str, Any]) -> None:
        self._params = params

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
        from sweeps.compose.override_text import to_text
        from sweeps.sweep.run_sweep import run_sweep

        params: Any = OmegaConf.to_container(OmegaConf.create(dict(self._params)), resolve=True)
        params = {key: value if isinstance(value, str) else to_text(value) for key, value in params.items()}
        texts = [f"{key}={text}" for key, text in params.items()] + arguments
        return run_sweep(texts, self.config, self.hydra_context, self.task_function)
