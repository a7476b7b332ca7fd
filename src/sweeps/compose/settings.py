"""The root config's schema, and the settings that a sweep reads from it.

Importing this registers the schema with Hydra and the resolvers with OmegaConf; every entry point does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from importlib.resources import files
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf

from sweeps.base.errors import ConfigError

SWEPT_GROUPS = ("model", "vectorizer")
_LONGEST_EXPERIMENT, _LONGEST_MODEL = 500, 256  # characters, in MLflow
_ENDINGS = re.compile(r"(\.[a-z][a-z0-9]{0,7})?(\.(gz|bz2|zip))?$", re.IGNORECASE)


class Promote(Enum):
    """What happens to the alias `champion` at the end of a sweep."""

    auto = "auto"
    never = "never"


@dataclass
class AlsoLog:
    """More names for what a run logs: param name to config key, and metric name to metric name."""

    params: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, str] = field(default_factory=dict)


@dataclass
class CacheBounds:
    """The most that computed work which trials share may take, in bytes."""

    max_bytes: int = 8_000_000_000
    max_memory_bytes: int = 2_000_000_000


@dataclass
class RootConfig:
    """The keys of `conf/config.yaml`, where each is explained; Hydra refuses others and values of a wrong type."""

    model: dict[str, Any] = field(default_factory=dict)
    vectorizer: dict[str, Any] = field(default_factory=dict)
    dataset: dict[str, Any] = field(default_factory=dict)
    sampler: dict[str, Any] = field(default_factory=dict)
    pruner: dict[str, Any] = field(default_factory=dict)
    n_trials: int = 1
    timeout: float | None = None
    patience: int | None = None
    target: float | None = None
    n_jobs: int | None = None
    trial_timeout: float | None = None
    max_retries: int = 1
    grace_period: float = 30.0
    seed: int = 0
    metric: str | None = None
    study_name: str | None = None
    storage: str | None = None
    join: bool = False
    experiment_name: str = "sweeps"
    registered_model_name: str = "sweeps"
    promote: Promote = Promote.auto
    max_failure_rate: float = 0.5
    also_log: AlsoLog = field(default_factory=AlsoLog)
    cache: CacheBounds = field(default_factory=CacheBounds)
    profile: bool = False
    dry_run: bool = False


@dataclass(frozen=True)
class Settings:
    """The checked top-level values of one composed config.

    Attributes:
        n_jobs: worker processes; None for one for each core, 0 for none.
        The others stand in `conf/config.yaml`.
    """

    n_trials: int
    timeout: float | None
    patience: int | None
    target: float | None
    n_jobs: int | None
    trial_timeout: float | None
    max_retries: int
    grace_period: float
    seed: int
    metric: str | None
    study_name: str | None
    storage: str | None
    join: bool
    experiment_name: str
    registered_model_name: str
    promote: Promote
    max_failure_rate: float
    cache: CacheBounds
    profile: bool

    @classmethod
    def from_config(cls, config: DictConfig) -> Settings:
        """Read and check the settings.

        Raises:
            ConfigError: a value out of its range, or a name that the file system or MLflow refuses.
        """
        values = {name: config[name] for name in cls.__dataclass_fields__}
        settings = cls(**{**values, "cache": CacheBounds(**config.cache)})
        settings._check()
        settings._check_mlflow_names(str(config.dataset.get("name")))
        return settings

    def _check_mlflow_names(self, dataset: str) -> None:
        """Check what MLflow would refuse only when it is asked, which for a model is at the end."""
        for key, longest in (("experiment_name", _LONGEST_EXPERIMENT), ("registered_model_name", _LONGEST_MODEL)):
            name = getattr(self, key)
            shown = name if len(name) <= 60 else f"{name[:60]}…"
            origin = " (from dataset.name, which a data file of your own gives its name)" if name == dataset else ""
            where = f"{key}={shown!r}{origin}"
            _require(bool(name.strip()), f"{where} is empty: type {key}=NAME")
            _require(len(name) <= longest, f"{where} has {len(name)} characters, at most {longest} fit: {key}=NAME")
        _require(
            not re.search("[/:]", name) and name not in (".", ".."),
            f"{where} must be a name without '/' and ':', and neither '.' nor '..': type {key}=NAME",
        )

    def _check(self) -> None:
        _require(self.n_trials >= 1, f"n_trials must be at least 1, such as n_trials=20; it is {self.n_trials}.")
        for name in ("timeout", "trial_timeout"):
            seconds = getattr(self, name)
            _require(
                seconds is None or seconds > 0,
                f"{name} must be a positive number of seconds, such as {name}=600, or null for no limit; it is "
                f"{seconds}.",
            )
        _require(
            self.patience is None or self.patience >= 1,
            f"patience must be at least 1 trial without a better value, or null for no limit; it is {self.patience}.",
        )
        _require(
            self.n_jobs is None or self.n_jobs >= 0,
            f"n_jobs must be the number of workers, null for one per core, or 0 to run trials in this process; it is "
            f"{self.n_jobs}.",
        )
        _require(
            self.trial_timeout is None or self.n_jobs != 0,
            "trial_timeout needs a worker process that can be ended: set n_jobs to 1 or more.",
        )
        for name, bound in vars(self.cache).items():
            _require(bound >= 0, f"cache.{name} must be 0 bytes or more; it is {bound}.")
        _require(self.max_retries >= 0, f"max_retries must be 0 or more; it is {self.max_retries}.")
        _require(self.grace_period >= 0, f"grace_period must be 0 seconds or more; it is {self.grace_period}.")
        _require(0 <= self.seed < 2**32, f"seed must be a whole number from 0 to {2**32 - 1}; it is {self.seed}.")
        _require(
            0 <= self.max_failure_rate <= 1, f"max_failure_rate must be from 0 to 1; it is {self.max_failure_rate}."
        )
        _require(
            self.study_name is None or re.fullmatch(r"[\w][\w.@ +-]{0,150}", self.study_name) is not None,
            f"study_name names a folder: it must begin with a letter or a digit, have at most 151 characters, and none "
            f"but letters, digits, blanks and . _ @ + -; it is {self.study_name!r}.",
        )


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ConfigError(message)


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


ConfigStore.instance().store(name="sweeps_schema", node=RootConfig, provider="sweeps")
OmegaConf.register_new_resolver("file_stem", file_stem, replace=True)
OmegaConf.register_new_resolver("documented_keys", documented_keys, replace=True)
