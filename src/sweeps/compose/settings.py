"""The settings of a sweep: the schema of `hydra.sweeper`, for any Hydra app, and their check."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from omegaconf import DictConfig, OmegaConf

from sweeps.base.errors import ConfigError
from sweeps.compose.choice import Choice, read_choice
from sweeps.compose.constraint import Constraint, read_constraints
from sweeps.compose.target import Target, read_target

_LONGEST_EXPERIMENT, _LONGEST_MODEL = 500, 256  # characters, in MLflow


class Promote(Enum):
    """What happens to the alias `champion` at the end of a sweep."""

    auto = "auto"
    evidence = "evidence"
    never = "never"


class AppLogs(Enum):
    """Where a trial's app finds itself when it logs to MLflow."""

    inside = "inside"  # in the trial's run
    after = "after"  # wherever it would be without a sweep; the trial's run is made after it


@dataclass
class CacheBounds:
    """The most that computed work which trials share may take, in bytes."""

    max_bytes: int = 8_000_000_000
    max_memory_bytes: int = 2_000_000_000


@dataclass
class CommonConfig:
    """The settings that any app has under `hydra.sweeper`, and ours in its root config, with the same defaults."""

    timeout: float | None = None
    patience: int | None = None
    target: Any = None
    n_jobs: int | None = None
    trial_timeout: float | None = None
    max_retries: int = 1
    grace_period: float = 30.0
    study_name: str | None = None
    start_with: Any = None
    constraints: Any = None
    choose: Any = None
    join: bool = False
    promote: Promote = Promote.auto
    max_failure_rate: float = 0.5
    cache: CacheBounds = field(default_factory=CacheBounds)
    profile: bool = False
    dry_run: bool = False


@dataclass
class SweeperConfig(CommonConfig):
    """`hydra/sweeper: sweeps`, as any app may set it under `hydra.sweeper`.

    Attributes:
        objective: what makes trials of configs: an app's function, or a class of another package.
        direction: minimize or maximize, or a list of them for an app that returns several values.
        metric: the name of what is optimised, or a list; needed where an app returns metrics by name.
        params: sweep overrides in a file; the command line's win.
        search_space: a space that stands beside no default: `{model/svm: {C: {...}}, lr: {...}}`.
        custom_search_space: a function of the config and the trial that suggests more, by its dotted name.
        experiment_sequence: of hydra-optuna-sweeper; must be null, since it replaces how trials are asked for.
        repeat: a key and the values under which each configuration runs, `{seed: [1, 2, 3]}`, for the mean.
        sampler: an Optuna sampler; `hydra/sweeper/sampler=tpe` and others.
        pruner: an Optuna pruner; `hydra/sweeper/pruner=median` and others.
        experiment_name: of MLflow; None for the one that its variables name, else the app's name.
        mlflow: `inside` for apps that log to MLflow in the trial's run, `after` for ones whose runs stay their own.
        The others stand in our own `conf/config.yaml`, each with a comment.
    """

    _target_: str = "hydra_plugins.sweeps_sweeper.sweeper.SweepsSweeper"
    _recursive_: bool = False
    objective: str = "sweeps.execution.app_objective.AppObjective"
    n_trials: int = 20
    seed: int = 42
    direction: Any = "minimize"
    metric: Any = None
    storage: Any = "${oc.env:SWEEPS_STORAGE,null}"
    experiment_name: str | None = None
    registered_model_name: str | None = None
    params: dict[str, Any] | None = field(default_factory=dict)
    search_space: Any = None
    custom_search_space: str | None = None
    experiment_sequence: Any = None
    repeat: Any = None
    sampler: Any = None
    pruner: Any = None
    mlflow: AppLogs = AppLogs.inside


@dataclass(frozen=True)
class Settings:
    """The checked settings of one composed config.

    Attributes:
        n_jobs: worker processes; None for one for each core, 0 for none.
        direction: one, or one for each metric.
        metric: the name of what is optimised, several, or None for the objective's own.
        experiment_name: None for what MLflow's variables name, else the subject's.
        repeat: a config key and the values under which each configuration runs; None for once.
        target: the value at which the sweep stops, or several by metric; None for none.
        constraints: that the winner keeps to.
        choose: how the winner is chosen where several metrics are optimised.
        start_with: points to run after the defaults, or where their best come from, as plain data; None for none.
        prefix: what stands before a setting's name on the command line.
        The others stand in `conf/config.yaml`.
    """

    n_trials: int
    timeout: float | None
    patience: int | None
    target: Target | None
    n_jobs: int | None
    trial_timeout: float | None
    max_retries: int
    grace_period: float
    seed: int
    direction: str | tuple[str, ...]
    metric: str | tuple[str, ...] | None
    study_name: str | None
    storage: str | None
    start_with: Any
    constraints: tuple[Constraint, ...]
    choose: Choice
    join: bool
    experiment_name: str | None
    registered_model_name: str | None
    promote: Promote
    max_failure_rate: float
    cache: CacheBounds
    profile: bool
    custom_search_space: str | None
    repeat: tuple[str, tuple[Any, ...]] | None
    mlflow: AppLogs
    prefix: str

    @classmethod
    def from_config(cls, config: DictConfig, prefix: str = "") -> Settings:
        """Read and check the settings.

        Args:
            config: `hydra.sweeper` of a composed config, or our own root config, whose keys have the same names.
            prefix: what stands before a setting's name on the command line: `hydra.sweeper.` in any app but ours.

        Raises:
            ConfigError: a value out of its range, or a name that the file system or MLflow refuses.
        """
        plain = OmegaConf.to_container(OmegaConf.structured(SweeperConfig), resolve=False)
        assert isinstance(plain, dict)  # noqa: S101 - for mypy: a dataclass is one
        values = {name: config.get(name, plain[name]) for name in cls.__dataclass_fields__ if name in plain}
        sequence = config.get("experiment_sequence")
        _require(
            sequence is None,
            f"hydra.sweeper.experiment_sequence must be null; it is {sequence}. Trials are asked for one at a time: "
            f"say how with hydra/sweeper/sampler=tpe, or hydra.sweeper.custom_search_space.",
        )
        values["cache"] = CacheBounds(**config.cache)
        values["repeat"] = _repeat(_plain(values["repeat"]))
        values["start_with"] = _plain(values["start_with"])
        readers = {"constraints": read_constraints, "choose": read_choice, "target": read_target}
        values |= {name: read(_plain(values[name]), f"{prefix}{name}") for name, read in readers.items()}
        for name in ("direction", "metric"):
            found = _plain(values[name])
            values[name] = tuple(map(str, found)) if isinstance(found, list) else found if found is None else str(found)
        settings = cls(**values, prefix=prefix)
        settings._check()
        settings._check_mlflow_names()
        return settings

    def _check(self) -> None:
        p = self.prefix
        _require(self.n_trials >= 1, f"{p}n_trials must be at least 1, such as {p}n_trials=20; it is {self.n_trials}.")
        for name in ("timeout", "trial_timeout"):
            seconds = getattr(self, name)
            _require(
                seconds is None or seconds > 0,
                f"{p}{name} must be a positive number of seconds, such as {p}{name}=600, or null for no limit; it is "
                f"{seconds}.",
            )
        _require(
            self.patience is None or self.patience >= 1,
            f"{p}patience must be at least 1 trial without a better value, or null for no limit; it is "
            f"{self.patience}.",
        )
        _require(
            self.n_jobs is None or self.n_jobs >= 0,
            f"{p}n_jobs must be the number of workers, null for one per core, or 0 to run trials in this process; it "
            f"is {self.n_jobs}.",
        )
        _require(
            self.trial_timeout is None or self.n_jobs != 0,
            f"{p}trial_timeout needs a worker process that can be ended: set {p}n_jobs to 1 or more.",
        )
        for name, bound in vars(self.cache).items():
            _require(bound >= 0, f"{p}cache.{name} must be 0 bytes or more; it is {bound}.")
        _require(self.max_retries >= 0, f"{p}max_retries must be 0 or more; it is {self.max_retries}.")
        _require(self.grace_period >= 0, f"{p}grace_period must be 0 seconds or more; it is {self.grace_period}.")
        _require(0 <= self.seed < 2**32, f"{p}seed must be a whole number from 0 to {2**32 - 1}; it is {self.seed}.")
        _require(
            0 <= self.max_failure_rate <= 1, f"{p}max_failure_rate must be from 0 to 1; it is {self.max_failure_rate}."
        )
        _require(
            self.study_name is None or re.fullmatch(r"[\w][\w.@ +-]{0,150}", self.study_name) is not None,
            f"{p}study_name names a folder: it must begin with a letter or a digit, have at most 151 characters, and "
            f"none but letters, digits, blanks and . _ @ + -; it is {self.study_name!r}.",
        )

    def _check_mlflow_names(self) -> None:
        """Check what MLflow would refuse only when it is asked, which for a model is at the end."""
        for key, longest in (("experiment_name", _LONGEST_EXPERIMENT), ("registered_model_name", _LONGEST_MODEL)):
            name, key = getattr(self, key), f"{self.prefix}{key}"
            if name is None:
                continue
            shown = name if len(name) <= 60 else f"{name[:60]}…"
            where = f"{key}={shown!r} (unless you typed it, the name of the data or of the app)"
            _require(bool(name.strip()), f"{where} is empty: type {key}=NAME")
            _require(len(name) <= longest, f"{where} has {len(name)} characters, at most {longest} fit: {key}=NAME")
            _require(
                not key.endswith("model_name") or (not re.search("[/:]", name) and name not in (".", "..")),
                f"{where} must be a name without '/' and ':', and neither '.' nor '..': type {key}=NAME",
            )


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ConfigError(message)


def _plain(value: Any) -> Any:
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value


def _repeat(value: Any) -> tuple[str, tuple[Any, ...]] | None:
    if value is None:
        return None
    is_one = isinstance(value, Mapping) and len(value) == 1
    (key, values) = next(iter(value.items())) if is_one else ("", None)
    if not isinstance(values, list) or len(values) < 2:
        raise ConfigError(
            f"hydra.sweeper.repeat must be one key with a list of at least two values, such as {{seed: [1, 2, 3]}}; it "
            f"is {value}."
        )
    return str(key), tuple(values)
