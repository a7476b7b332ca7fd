"""What hydra-optuna-sweeper's nodes of samplers become."""

from __future__ import annotations

from typing import Any

import optuna
import pytest

from spaces import collect
from sweeps.compose.search_space import SearchSpace
from sweeps.study.grid import ConditionalGrid
from sweeps.study.sampler_node import in_our_words
from sweeps.study.samplers import SamplerFactory

NUMBERS = {
    "a": 0.5,
    "b": 2,
    "search_space": {
        "a": {"type": "float", "low": 0.0, "high": 1.0, "step": 0.25},
        "b": {"type": "int", "low": 1, "high": 3},
    },
}
TPE_1_3 = {  # as `hydra/sweeper/sampler: tpe` stands in hydra-optuna-sweeper 1.3
    "_target_": "optuna.samplers.TPESampler",
    "seed": None,
    "consider_prior": True,
    "prior_weight": 1.0,
    "consider_magic_clip": True,
    "consider_endpoints": False,
    "n_startup_trials": 10,
    "n_ei_candidates": 24,
    "multivariate": False,
    "warn_independent_sampling": True,
}
TPE_1_4 = {
    **TPE_1_3,
    **dict.fromkeys(("consider_prior", "prior_weight", "consider_magic_clip", "consider_endpoints")),
    "warn_independent_sampling": None,
    "group": False,
    "constant_liar": False,
    "constraints_func": None,
}
NSGAII_1_4 = {
    "_target_": "hydra_plugins.hydra_optuna_sweeper._impl.create_nsgaii_sampler",
    "seed": None,
    "population_size": 50,
    "mutation_prob": None,
    "mutation": None,
    "crossover": None,
    "crossover_prob": 0.9,
    "swapping_prob": 0.5,
    "constraints_func": None,
}
CMAES_1_4 = {
    "_target_": "optuna.samplers.CmaEsSampler",
    "seed": None,
    "x0": None,
    "sigma0": None,
    "n_startup_trials": 1,
    "independent_sampler": None,
    "warn_independent_sampling": True,
    "consider_pruned_trials": False,
    "restart_strategy": None,
    "popsize": None,
    "inc_popsize": -1,
    "use_separable_cma": False,
    "with_margin": False,
    "lr_adapt": False,
    "source_trials": None,
}
GRID = {"_target_": "optuna.samplers.GridSampler", "_partial_": True, "seed": None}
MOTPE_1_3 = {**TPE_1_3, "_target_": "optuna.samplers.MOTPESampler"}
MOTPE_1_4 = {"_target_": "hydra_plugins.hydra_optuna_sweeper.config.raise_motpe_removed"}


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (TPE_1_3, optuna.samplers.TPESampler),
        (TPE_1_4, optuna.samplers.TPESampler),
        (MOTPE_1_3, optuna.samplers.TPESampler),
        (MOTPE_1_4, optuna.samplers.TPESampler),
        (NSGAII_1_4, optuna.samplers.NSGAIISampler),
        (CMAES_1_4, optuna.samplers.CmaEsSampler),
        (GRID, ConditionalGrid),
    ],
    ids=["tpe 1.3", "tpe 1.4", "motpe 1.3", "motpe 1.4", "nsgaii", "cmaes", "grid"],
)
def test_a_node_of_hydra_optuna_sweeper_makes_a_sampler_without_a_warning(node: dict[str, Any], expected: type) -> None:
    own = in_our_words(node, seed=7)
    space = SearchSpace({"model": ("only",)}, {("model", "only"): collect(NUMBERS, "model", "only", "model/only.yaml")})
    assert type(SamplerFactory(own, space).sampler_for(0)) is expected
    assert own["seed"] == 7


def test_what_was_set_stays() -> None:
    node = {**TPE_1_3, "seed": 3, "n_startup_trials": 4, "consider_prior": False}
    own = in_our_words(node, seed=7)
    assert own == {
        "_target_": "optuna.samplers.TPESampler",
        "seed": 3,
        "n_startup_trials": 4,
        "n_ei_candidates": 24,
        "multivariate": False,
        "consider_prior": False,
    }
