"""The launcher that Hydra finds: a thin adapter from `hydra.launcher` to workers on a Dask cluster.

Hydra imports this module at every start, so everything heavy is imported when a sweep begins. It executes it before it
stands in `sys.modules`, where a dataclass with postponed annotations cannot be made.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

if TYPE_CHECKING:
    from sweeps.execution.workers import Job, Workers


@dataclass
class SweepsDaskLauncherConf:
    """`hydra/launcher: sweeps_dask`.

    `address` is a scheduler's, such as `tcp://host:8786`. Without one, `cluster` names a cluster class by `_target_`,
    with its arguments; without that, too, there is a cluster on this machine with `n_jobs` workers. `scale` workers
    are asked of a cluster object, or between `minimum` and `maximum` of `adapt`.
    """

    _target_: str = "hydra_plugins.sweeps_dask_launcher.launcher.SweepsDaskLauncher"
    _recursive_: bool = False
    address: str | None = None
    cluster: dict[str, Any] = field(default_factory=lambda: {"_target_": None})
    scale: int | None = None
    adapt: dict[str, Any] = field(default_factory=lambda: {"minimum": None, "maximum": None})


ConfigStore.instance().store(
    group="hydra/launcher", name="sweeps_dask", node=SweepsDaskLauncherConf, provider="hydra-sweeps"
)


class SweepsDaskLauncher(Launcher):
    """Keeps a Dask cluster full of trials; see `SweepsDaskLauncherConf` for the arguments."""

    def __init__(
        self,
        address: str | None,
        cluster: Mapping[str, Any],
        scale: int | None,
        adapt: Mapping[str, Any],
    ) -> None:
        self._address = address
        self._cluster = cluster
        self._scale = scale
        self._adapt = {key: value for key, value in adapt.items() if value is not None}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """The job that `workers` is given has all of it."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Other sweepers hand over batches; this launcher takes trials one by one.

        Raises:
            sweeps.errors.ConfigError: always.
        """
        from sweeps.base.errors import ConfigError

        raise ConfigError("hydra/launcher=sweeps_dask works with hydra/sweeper=sweeps alone.")

    def workers(
        self, prepare: Callable[[], None], job: "Job", n_jobs: int | None, trial_timeout: float | None
    ) -> "Workers":
        """Connect, or start a cluster.

        Args:
            prepare: called once in each process that runs trials.
            job: runs one trial.
            n_jobs: trials at a time, None for as many as the cluster has threads.
            trial_timeout: seconds that a trial may take, or None.

        Raises:
            sweeps.errors.ConfigError: `distributed` is not installed, or the cluster cannot be made.
            sweeps.errors.ClusterError: the scheduler is out of reach, or a worker is unfit.
        """
        from sweeps.base.errors import ConfigError

        try:
            from sweeps.execution.dask_cluster import DaskWorkers, connect, start_cluster
        except ImportError as error:
            raise ConfigError(
                "hydra/launcher=sweeps_dask needs the package distributed: pip install distributed"
            ) from error

        cluster = None
        if self._address:
            client = connect(self._address)
        else:
            client, cluster = start_cluster(lambda: self._make(n_jobs))
        return DaskWorkers(client, cluster, prepare, job, n_jobs, trial_timeout)

    def _make(self, n_jobs: int | None) -> Any:
        from sweeps.base.build import TARGET, build

        options: dict[str, Any] = {str(key): value for key, value in _plain(self._cluster).items()}
        if options.get(TARGET) is None:
            options = {
                TARGET: "distributed.LocalCluster",
                "n_workers": n_jobs or None,
                "threads_per_worker": 1,
                "dashboard_address": None,
            }
        cluster: Any = build(options, "hydra.launcher.cluster")
        if self._scale is not None:
            cluster.scale(self._scale)
        if self._adapt:
            cluster.adapt(**self._adapt)
        return cluster


def _plain(node: Any) -> Any:
    return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node
