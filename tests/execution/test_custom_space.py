"""A user's own function that suggests more: called at ask, on a config that has what was drawn before."""

from __future__ import annotations

import optuna
import pytest
from hydra import compose, initialize
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, open_dict

from spaces import collect
from sweeps.base.errors import ConfigError
from sweeps.compose.plan import Combination, StudyPlan
from sweeps.compose.search_space import Proposal, SearchSpace
from sweeps.execution.custom_space import custom_space


def suggest_more(config: DictConfig, trial: optuna.Trial) -> None:
    """Twice as wide at most as what was drawn."""
    trial.suggest_int("depth", config.model.width, 2 * config.model.width)


@pytest.fixture
def plan() -> StudyPlan:
    with initialize(version_base=None):
        config = compose(return_hydra_config=True)
    GlobalHydra.instance().clear()
    with open_dict(config):
        config.hydra.overrides.task = []
        config.merge_with({"model": {"width": 3}, "depth": 1})
    option = {"width": 3, "search_space": {"width": {"type": "int", "low": 1, "high": 9}}}
    leaves = collect(option, "model", "mlp", "model/mlp.yaml")
    space = SearchSpace({"model": ("mlp",)}, {("model", "mlp"): leaves})
    return StudyPlan("app", {}, {("mlp",): Combination({"model": "mlp"}, config)}, space)


def test_it_adds_to_the_trial_and_knows_what_was_drawn(plan: StudyPlan) -> None:
    drawn = Proposal({"model": "mlp"}, {"model.width": 7})
    trial = optuna.create_study().ask()
    more = custom_space(f"{__name__}.suggest_more", plan)(drawn, trial)
    assert more.values == {"model.width": 7, "depth": trial.params["depth"]}
    assert 7 <= plan.trial_config(more).depth <= 14


def test_a_name_of_no_function_is_refused(plan: StudyPlan) -> None:
    with pytest.raises(ConfigError, match=r"hydra\.sweeper\.custom_search_space=no\.such is not a function"):
        custom_space("no.such", plan)


def test_none_adds_nothing(plan: StudyPlan) -> None:
    drawn = Proposal({"model": "mlp"}, {"model.width": 7})
    assert custom_space(None, plan)(drawn, optuna.create_study().ask()) is drawn
