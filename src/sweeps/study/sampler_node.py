"""A sampler's node as hydra-optuna-sweeper writes it, read as the node of ours that it stands for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sweeps.base.build import TARGET
from sweeps.study.samplers import GRID

_TPE = "optuna.samplers.TPESampler"
_OURS = {
    "optuna.samplers.GridSampler": GRID,
    "optuna.samplers.MOTPESampler": _TPE,  # 1.2 and 1.3; Optuna's TPE takes several objectives since 2.9
    "hydra_plugins.hydra_optuna_sweeper.config.raise_motpe_removed": _TPE,
    "hydra_plugins.hydra_optuna_sweeper._impl.create_nsgaii_sampler": "optuna.samplers.NSGAIISampler",
    "hydra_plugins.hydra_optuna_sweeper._impl.create_nsgaiii_sampler": "optuna.samplers.NSGAIIISampler",
}
_DEPRECATED = {  # arguments of TPE: Optuna warns of them, whatever they are set to
    "consider_prior": (None, True),
    "prior_weight": (None, 1.0),
    "consider_magic_clip": (None, True),
    "consider_endpoints": (None, False),
    "warn_independent_sampling": (None, True, False),
}


def in_our_words(node: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """A sampler's node with a class for a target and without what Optuna no longer takes.

    Args:
        node: resolved; of the group `hydra/sweeper/sampler`, whoever has registered the option, or written by hand.
        seed: of the sweep, for a sampler whose own is null.
    """
    target = str(node.get(TARGET, ""))
    own = {key: value for key, value in node.items() if key != "_partial_"}
    if target in _OURS:
        own |= {TARGET: _OURS[target], "seed": own.get("seed")}
    if own.get(TARGET) == _TPE:
        own = {key: value for key, value in own.items() if value not in _DEPRECATED.get(key, ())}
    if own.get("multivariate") is False:
        own.pop("group", None)  # of our own option, beneath an app's settings
    if "seed" in own and own["seed"] is None:
        own["seed"] = seed
    return own
