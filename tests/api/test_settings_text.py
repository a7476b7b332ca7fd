"""Settings as keyword arguments."""

from __future__ import annotations

import pytest

from sweeps.api.settings_text import overrides_of
from sweeps.base.errors import ConfigError


def test_they_are_the_overrides_that_one_would_type() -> None:
    settings = {
        "n_trials": 3,
        "direction": ["minimize", "maximize"],
        "study_name": "it's mine",
        "timeout": None,
        "repeat": {"seed": [1, 2]},
        "start_with": [{"x": 1.5}, "study:s"],
        "constraints": {"size": [">= 1", "<= 2"]},
        "sampler": "random",
        "sampler.multivariate": False,
    }
    assert overrides_of(settings, "hydra.sweeper.") == [
        "hydra.sweeper.n_trials=3",
        "hydra.sweeper.direction=['minimize','maximize']",
        "hydra.sweeper.study_name='it\\'s mine'",
        "hydra.sweeper.timeout=null",
        "hydra.sweeper.repeat={seed:[1,2]}",
        "hydra.sweeper.start_with=[{x:1.5},'study:s']",
        "hydra.sweeper.constraints={size:['>= 1','<= 2']}",
        "hydra/sweeper/sampler=random",
        "hydra.sweeper.sampler.multivariate=false",
    ]
    assert overrides_of({"n_trials": 3, "pruner": "median"}, "") == ["n_trials=3", "pruner=median"]


def test_another_name_is_refused_with_the_one_that_is_meant() -> None:
    with pytest.raises(ConfigError, match=r"n_trial is not a setting of a sweep. Did you mean n_trials\? The settings"):
        overrides_of({"n_trial": 3}, "")
    with pytest.raises(ConfigError, match=r"dry_run is not a setting of a sweep"):
        overrides_of({"dry_run": True}, "")
