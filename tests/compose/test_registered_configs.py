"""What our Hydra plugin registers."""

import importlib

from hydra.core.config_store import ConfigStore

from hydra_plugins.sweeps_sweeper import sweeper


def test_a_worker_that_has_the_registered_configs_leaves_them_as_they_are() -> None:
    groups = ConfigStore.instance().repo["hydra"]["sweeper"]
    before = {**groups, "sampler": dict(groups["sampler"])}
    importlib.reload(sweeper)  # Hydra 1.4 warns of each that is registered twice
    assert all(groups[name] is before[name] for name in ("sweeps.yaml", "sweeps_optuna.yaml"))
    assert all(option is before["sampler"][name] for name, option in groups["sampler"].items())
