"""SIGKILL of the coordinator at every moment of a sweep: gone on with, the sweep ends as if nothing had been."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from .fault_site import Site, check_whole, counted, sequence

Trials = list[tuple[Mapping[str, Any], Sequence[float] | None]]
MLFLOW = "mlflow:MlflowClient"
MOMENTS = [
    "after sweeps.sweep.open_study:open_storage 1",
    "after optuna:create_study 1",
    "after optuna:Study.set_user_attr 1",  # the lease
    "after optuna:Study.set_user_attr 3",  # the study's definition, begun
    "before sweeps.study.command_file:remember 1",
    f"after {MLFLOW}.create_run 1",  # the parent's, before the study knows it
    "after optuna:Study.enqueue_trial 1",
    "before optuna.trial:Trial._suggest 2",  # between two suggests of the defaults
    "before optuna.trial:Trial._suggest 8",  # and of a trial that the sampler draws
    "before sweeps.study.asking:record_proposal 3",
    "after sweeps.study.asking:record_proposal 3",
    "before sweeps.study.loop:tell 3",
    "before optuna:Study.tell 3",  # when everything else of the trial has been written
    "after optuna.storages:RDBStorage.set_trial_state_values 3",  # when its end has, and nobody knows
    "after optuna:Study.tell 3",
    "after optuna:Study.tell 6",
    f"after {MLFLOW}.create_run 3",
    f"before {MLFLOW}.log_batch 4",
    f"before {MLFLOW}.set_terminated 2",
    f"before {MLFLOW}.log_artifact 1",
    f"before {MLFLOW}.set_terminated 7",  # the parent's
    "before sweeps.execution.task_objective:TaskObjective.winner 1",
    "before sweeps.tracking.models.registry:log_predictor 1",
    "after sweeps.tracking.models.registry:log_predictor 1",
    f"after {MLFLOW}.create_registered_model 1",
    f"after {MLFLOW}.create_model_version 1",
    f"after {MLFLOW}.set_registered_model_alias 1",
    f"after {MLFLOW}.set_registered_model_alias 2",
    f"after {MLFLOW}.set_model_version_tag 1",
]
IN_THE_DEFAULT_RUN = "after optuna:Study.tell 3"


@pytest.fixture(scope="module")
def undisturbed(new_site: Callable[[], Site]) -> Callable[[str], Trials]:
    """What a sampler's sweep of six trials draws and finds when nothing kills it."""
    known: dict[str, Trials] = {}

    def of(sampler: str) -> Trials:
        if sampler not in known:
            site = new_site()
            site.sweep(f"sampler={sampler}")
            check_whole(site)
            known[sampler] = sequence(site.study())
        return known[sampler]

    return of


def check_as_undisturbed(site: Site, expected: Trials) -> None:
    check_whole(site)
    study = site.study()
    assert sequence(study) == expected
    versions = site.client.search_model_versions("name = 'clockwork'")
    champion = site.client.get_run(site.champion()).data.tags["sweeps.trial.number"]
    assert champion == str(study.best_trial.number)
    assert [version.run_id for version in versions] == [site.champion()]


@pytest.mark.parametrize(
    "moment", [pytest.param(m, marks=() if m == IN_THE_DEFAULT_RUN else pytest.mark.slow) for m in MOMENTS]
)
def test_a_sweep_killed_at_a_moment_goes_on_as_if_nothing_had_been(
    site: Site, undisturbed: Callable[[str], Trials], moment: str
) -> None:
    killed = site.start(kill=moment)
    assert killed.wait() == -signal.SIGKILL, killed.out + killed.err
    site.sweep()
    check_as_undisturbed(site, undisturbed("tpe"))


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_sweep_killed_again_and_again_in_every_phase_ends_as_if_nothing_had_been(
    site: Site, undisturbed: Callable[[str], Trials], sampler: str
) -> None:
    for moment in (
        "before optuna.trial:Trial._suggest 2",
        "before optuna.trial:Trial._suggest 2",
        "after sweeps.study.asking:record_proposal 2",
        "before optuna:Study.tell 2",
        "after optuna:Study.tell 1",
        f"after {MLFLOW}.create_run 1",
        f"before {MLFLOW}.log_artifact 1",
        f"after {MLFLOW}.create_model_version 1",
    ):
        killed = site.start(f"sampler={sampler}", kill=moment)
        assert killed.wait() == -signal.SIGKILL, f"{moment}\n{killed.out}{killed.err}"
    site.sweep(f"sampler={sampler}")
    check_as_undisturbed(site, undisturbed(sampler))


@pytest.mark.slow
@pytest.mark.parametrize("n_jobs", [0, 2])
def test_a_coordinator_killed_while_trials_run_loses_none(site: Site, n_jobs: int) -> None:
    command = site.start(f"n_jobs={n_jobs}", mischief="sleep:60@2")
    site.wait_until_begun(3)
    command.send(signal.SIGKILL)
    assert command.wait() == -signal.SIGKILL
    site.sweep(f"n_jobs={n_jobs}")
    check_whole(site)
    assert len(site.study().get_trials()) > len(counted(site.study()))
