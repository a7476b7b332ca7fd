"""A study in its storage: made with its folder or opened again, and held while it runs."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import optuna
from omegaconf import OmegaConf
from optuna import Study

from sweeps.base.atomic_file import write_text
from sweeps.base.errors import StorageError
from sweeps.base.redact import without_passwords
from sweeps.base.waiting import wait_for
from sweeps.study.attribute import METRICS
from sweeps.study.best import remember_choice
from sweeps.study.command_file import Command, remember
from sweeps.study.identity import IDENTITY, check_same
from sweeps.study.lease import Lease
from sweeps.study.starting_points import STARTING_POINTS
from sweeps.study.storage import open_storage
from sweeps.sweep.data_line import data_tags
from sweeps.sweep.preflight import CheckedStudy
from sweeps.tracking.entries import command_tags
from sweeps.tracking.study.parent import PARENT_RUN, STUDY_ID, TRACKING

_DESCRIBED_WITHIN = 120.0  # seconds


@contextmanager
def open_study(checked: CheckedStudy, experiment: str, command: Command) -> Iterator[tuple[Study, Lease]]:
    """Make a study with its folder, or open it again, and hold it inside a `with` block.

    Args:
        checked: the study.
        experiment: the name of its experiment in MLflow.
        command: that began the sweep.

    Raises:
        ConfigError: the study was begun with something else, or its folder cannot be made.
        StorageError: the study's database is out of reach or full, or another process is at work on the study.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    plan, folder, settings, objective = checked.plan, checked.folder, checked.settings, checked.objective
    folder.make()
    storage = open_storage(checked.storage)
    study = optuna.create_study(
        study_name=checked.name,
        storage=storage,
        directions=list(objective.directions.values()),
        sampler=checked.samplers.sampler_for(0),
        pruner=checked.pruner,
        load_if_exists=True,
    )
    lease = Lease(study, storage)
    lease.acquire(join=settings.join, to_join=f"{settings.prefix}join=true")
    try:
        _wait_until_described(study, lease)
        check_same(study, checked.identity)
        # Anew each time: n_trials may have grown.
        remember(folder, command, plan.study_choice, settings.prefix, settings.storage)
        if IDENTITY not in study.user_attrs:
            write_text(folder.config, without_passwords(OmegaConf.to_yaml(plan.config)))
            study.set_user_attr(TRACKING, _shown_in_tracking(checked, experiment, command))
            study.set_user_attr(METRICS, list(objective.directions))
            if checked.starting_points:
                study.set_user_attr(STARTING_POINTS, list(checked.starting_points))
            study.set_user_attr(IDENTITY, dict(checked.identity))  # last: now everything is there to resume it
        remember_choice(study, settings.choose)
        yield study, lease
    finally:
        with suppress(StorageError):  # a lease of a dead process holds nobody up
            lease.release()


def _wait_until_described(study: Study, lease: Lease, within: float = _DESCRIBED_WITHIN) -> None:
    """Of processes that begin a study together, one describes it and makes its runs; wait for it, unless it dies."""
    is_described = wait_for(
        lambda: PARENT_RUN in study.user_attrs or lease.is_first(),
        lambda: f"Waiting for {lease.named_before()}, which began the study {study.study_name}, to describe it ...",
        within,
    )
    if not is_described:
        raise StorageError(
            f"The study {study.study_name} has no description yet: {lease.named_before()} began it and has not gone on "
            f"for {within:g} s. See what keeps that process from its work, or end it; then start this one again."
        )


def _shown_in_tracking(checked: CheckedStudy, experiment: str, command: Command) -> dict[str, Any]:
    """What the runs in MLflow show of a study beside its trials."""
    return {
        "experiment": experiment,
        "dataset": checked.objective.dataset,
        "choice_params": dict(checked.objective.choice_params),
        "metric": checked.objective.metric,
        "names": dict(checked.objective.names()),
        "tags": {
            **command_tags(command),
            **checked.objective.tags(),
            **data_tags(checked.objective.describe_data()),
            STUDY_ID: uuid.uuid4().hex,
        },
    }
