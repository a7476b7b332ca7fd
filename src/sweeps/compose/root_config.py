"""The schema of our own app's root config, `conf/config.yaml`.

Importing this registers the schema with Hydra and the resolvers with OmegaConf; every entry point of ours does.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import omegaconf
from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

from sweeps.compose.settings import CommonConfig

_ENDINGS = re.compile(r"(\.[a-z][a-z0-9]{0,7})?(\.(gz|bz2|zip))?$", re.IGNORECASE)


@dataclass
class AlsoLog:
    """More names for what a run logs: param name to config key, and metric name to metric name."""

    params: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, str] = field(default_factory=dict)


@dataclass
class RootConfig(CommonConfig):
    """The keys of `conf/config.yaml`, where each is explained; Hydra refuses others and values of a wrong type."""

    model: dict[str, Any] = field(default_factory=dict)
    vectorizer: dict[str, Any] = field(default_factory=dict)
    dataset: dict[str, Any] = field(default_factory=dict)
    sampler: dict[str, Any] = field(default_factory=dict)
    pruner: dict[str, Any] = field(default_factory=dict)
    n_trials: int = 1
    seed: int = 0
    metric: Any = None
    storage: str | None = None
    experiment_name: str | None = None
    registered_model_name: str = "sweeps"
    also_log: AlsoLog = field(default_factory=AlsoLog)


def file_stem(path: str | None, fallback: str) -> str:
    """A file's name without folder and endings, `fallback` without a path: `${file_stem:${.path},x}`.

    Endings are those of a format and of a compression: `v1.train` for `v1.train.csv.gz`.
    """
    name = Path(path).name if path else ""
    return _ENDINGS.sub("", name) or fallback


def documented_keys() -> str:
    """The keys of the root config as they stand in its file, each with its comment; for a template, as `--help` is."""
    text = (files("sweeps.conf") / "config.yaml").read_text(encoding="utf-8")
    keys = text[text.index("n_trials:") : text.index("hydra:\n")]
    return keys.strip().replace("$", "$$")


ConfigStore.instance().store(name="sweeps_schema", node=RootConfig, provider="hydra-sweeps")
# OmegaConf 2.4 has renamed it, to a name that is another function's in 2.3.
_register_resolver: Callable[..., None] = getattr(
    OmegaConf, "register_new_resolver" if omegaconf.__version__ < "2.4" else "register_resolver"
)
_register_resolver("file_stem", file_stem, replace=True)
_register_resolver("documented_keys", documented_keys, replace=True)
