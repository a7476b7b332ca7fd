"""Pruning from end to end: what a pruned trial leaves in the study and in MLflow, and that it never wins."""

from __future__ import annotations

import pytest
from mlflow.entities import Run
from optuna.trial import TrialState

from .fault_site import Site, check_projection, check_whole

PRUNERS = {
    "median": ["pruner.n_startup_trials=3"],
    "percentile": ["pruner.n_startup_trials=3"],
    "hyperband": ["pruner.max_resource=4"],
    "successive_halving": [],
    "wilcoxon": ["pruner.p_threshold=0.4"],
    "threshold": ["pruner.lower=0.85"],
}
CASES = [(pruner, n_jobs) for pruner in PRUNERS for n_jobs in (0, 2)]


@pytest.mark.parametrize(
    ("pruner", "n_jobs"),
    [pytest.param(*case, marks=() if case == ("median", 2) else pytest.mark.slow) for case in CASES],
)
def test_a_pruned_trial_is_shown_as_far_as_it_came_and_never_wins(site: Site, pruner: str, n_jobs: int) -> None:
    site.sweep("n_trials=20", f"n_jobs={n_jobs}", "sampler=random", f"pruner={pruner}", *PRUNERS[pruner])
    check_whole(site, 20)
    trials = site.study().get_trials()
    pruned = [trial for trial in trials if trial.state == TrialState.PRUNED]
    assert pruned
    runs = {int(run.data.tags["sweeps.trial.number"]): run for run in site.children()}
    for trial in trials:
        steps = _steps(site, runs[trial.number])
        assert steps == trial.intermediate_values
        assert list(steps) == list(range(1, len(steps) + 1))
        if trial.state == TrialState.PRUNED:
            assert runs[trial.number].info.status == "KILLED"
            assert runs[trial.number].data.tags["sweeps.trial.state"] == "PRUNED"
            assert "val_score" not in runs[trial.number].data.metrics
        else:
            assert len(steps) == 4
    champion = site.client.get_run(site.champion())
    assert champion.data.tags["sweeps.trial.state"] == "COMPLETE"


@pytest.mark.slow
def test_all_trials_pruned_is_one_message_and_no_model(site: Site) -> None:
    command = site.start("pruner=threshold", "pruner.lower=2")
    assert command.wait() == 1
    assert "Traceback" not in command.err
    assert "the pruner stopped" in command.err
    assert len(command.err.splitlines()) <= 3
    check_projection(site)
    assert site.parent().info.status == "FAILED"
    assert site.client.search_registered_models() == []


@pytest.mark.slow
def test_a_sweep_with_a_pruner_that_is_killed_goes_on(site: Site) -> None:
    arguments = ["n_trials=12", "pruner=median", "pruner.n_startup_trials=2"]
    for kill in ("after optuna.trial:Trial.report 7", "before optuna:Study.tell 4"):
        site.start(*arguments, kill=kill).wait()
    site.sweep(*arguments)
    check_whole(site, 12)


def _steps(site: Site, run: Run) -> dict[int, float]:
    history = site.client.get_metric_history(run.info.run_id, "step_val_score")
    return {metric.step: metric.value for metric in sorted(history, key=lambda metric: metric.step)}
