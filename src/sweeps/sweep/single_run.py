"""One run of a composed config, tracked as a run of its own: `sweeps.run` without `-m`, and `sweeps.rerun`."""

from __future__ import annotations

import traceback
from collections.abc import Container, Iterator, Sequence
from datetime import datetime
from typing import Any

from omegaconf import DictConfig, ListConfig

from sweeps.base.errors import SweepFailedError, SweepsError
from sweeps.base.say import say
from sweeps.compose.option_file import naming_its_file
from sweeps.compose.plan import names_of
from sweeps.compose.request import check_option_name
from sweeps.compose.settings import Settings
from sweeps.execution.outcome import TrialResult
from sweeps.execution.trial import GROUPS, candidate_of, hyperparameters, load_task, run_trial, switched_off
from sweeps.sweep.tables import table

_HAS_EFFECT = ("also_log", "dry_run", "experiment", "experiment_name", "seed", "dataset", *GROUPS)


def check_single(config: DictConfig, runtime: Any, overrides: Sequence[str] = ()) -> None:
    """Check a composed config that is to run once, before anything is written, and say what of it has no effect.

    Args:
        config: the composed config.
        runtime: Hydra's `hydra.runtime` of the composition: the options chosen and the search path.
        overrides: what was typed.

    Raises:
        SweepsError: anything that the user can mend.
    """
    Settings.from_config(config)
    for group in GROUPS:
        check_option_name(group, str(runtime.choices[group]))
    with naming_its_file(runtime):
        task = load_task(config)
        task.check(candidate_of(config))
    keys = dict.fromkeys(text.partition("=")[0].lstrip("+~").partition("@")[0] for text in overrides)
    has_effect = {*_HAS_EFFECT, *_measuring(config, task.on_demand)}
    idle = [key for key in keys if key.partition(".")[0] not in has_effect]
    if idle:
        has, it = ("have", "them") if len(idle) > 1 else ("has", "it")
        say(f"Note: {', '.join(idle)} {has} no effect on a single run; -m makes a sweep with {it}.")
    for key in sorted(switched_off(config) & keys.keys()):
        say(f"Note: {key} is not used, since its condition (`when`) does not hold.")


def _measuring(config: DictConfig, on_demand: Container[str]) -> Iterator[str]:
    """The settings of a sweep that have something measured which is measured on demand only."""
    metric = config.get("metric")
    named = metric if isinstance(metric, ListConfig) else [metric]
    if any(name in on_demand for name in named):
        yield "metric"
    if any(name in on_demand for name in config.get("constraints") or {}):
        yield "constraints"


def run_single(config: DictConfig, runtime: Any) -> TrialResult:
    """Run a composed config once and log it.

    Args:
        config: the composed config, without `hydra`.
        runtime: Hydra's `hydra.runtime` of the composition: the options chosen and the search path.

    Returns:
        What was measured.

    Raises:
        SweepsError: anything that the user can mend; nothing has been logged then, unless the model itself raised.
    """
    choices = {group: str(runtime.choices[group]) for group in GROUPS}
    settings = Settings.from_config(config)
    task = load_task(config)

    from sweeps.tracking import client as tracking
    from sweeps.tracking.entries import command_tags, log_failed_run, log_single_run, params_of

    client = tracking.connect()
    experiment_name = tracking.experiment_name(client, settings.experiment_name, str(config.dataset.name))
    experiment = tracking.experiment_id(client, experiment_name)
    tags = {**command_tags(), "sweeps.dataset.fingerprint": task.fingerprint}
    active = hyperparameters(config)
    choice_params = {group: f"{group}_type" for group in GROUPS}
    params = params_of(choices, choice_params, str(config.dataset.name), active, names_of(active, GROUPS))
    started = datetime.now()
    try:
        result = run_trial(config)
    except SweepsError:
        raise
    except Exception as error:
        run = log_failed_run(client, experiment, choices, tags, started, traceback.format_exc())
        raise SweepFailedError(
            f"The run failed: {type(error).__name__}: {error}\nIts traceback is an artifact of MLflow run {run}."
        ) from error
    run = log_single_run(client, experiment, choices, params, result, tags, started)
    say(table([[name, f"{value:.6g}"] for name, value in result.metrics.items()], ["metric", "value"]))
    for warning in result.warnings:
        say(f"Warning: {warning}")
    say(f"MLflow: experiment {experiment_name}, run {run}, at {tracking.shown_uri()}")
    return result
