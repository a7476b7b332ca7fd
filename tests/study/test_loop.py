"""The story of a sweep on a real study in sqlite, with jobs that cost nothing."""

import math
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna import Study
from optuna.trial import FrozenTrial, TrialState

from spaces import collect
from sweeps.base.reporting import Pruned, no_report
from sweeps.compose.search_space import Proposal, SearchSpace
from sweeps.execution.in_process import InProcess
from sweeps.execution.outcome import TrialOutcome, TrialResult, attempt
from sweeps.execution.workers import PruningCheck, WorkerDiedError, WorkerLostError, Workers
from sweeps.study.asking import TrialQueue
from sweeps.study.attribute import Attribute, is_counted
from sweeps.study.best import best_trial
from sweeps.study.lease import Lease
from sweeps.study.loop import StudyLoop
from sweeps.study.pruning import pruning_check
from sweeps.study.result import StudyResult
from sweeps.study.samplers import SamplerFactory
from sweeps.study.stopping import Budget, Outcome
from sweeps.study.storage import open_storage
from sweeps.study.trial_record import Record, tell

SVM = {
    "_target_": "sklearn.svm.SVC",
    "C": 1.0,
    "kernel": "linear",
    "gamma": "scale",
    "search_space": {
        "C": {"type": "float", "low": 0.01, "high": 100.0, "log": True},
        "kernel": {"type": "categorical", "choices": ["linear", "rbf"]},
        "gamma": {"type": "float", "low": 0.01, "high": 10.0, "log": True, "when": {"kernel": "rbf"}},
    },
}
RBF = {**SVM, "kernel": "rbf"}
LOGISTIC = {"C": 2.0, "search_space": {"C": {"type": "float", "low": 0.01, "high": 100.0, "log": True}}}
BAYES = {"alpha": 0.5, "search_space": {"alpha": {"type": "float", "low": 0.1, "high": 0.9, "step": 0.2}}}
OPTIONS = {"svm": SVM, "rbf": RBF, "logistic": LOGISTIC, "bayes": BAYES}


def space_of(*models: str) -> SearchSpace:
    leaves = {("model", name): collect(OPTIONS[name], "model", name, f"{name}.yaml") for name in models}
    return SearchSpace({"model": models, "vectorizer": ("tfidf",)}, leaves)


class Recorder:
    """What the callbacks were told, in order."""

    def __init__(self) -> None:
        self.told: list[FrozenTrial] = []
        self.stored: list[FrozenTrial] = []
        self.ends: list[StudyResult] = []
        self.states_at_end: list[TrialState] = []

    def on_trial(self, study: Study, trial: FrozenTrial) -> None:
        self.told.append(trial)
        self.stored.append(study.get_trials()[trial.number])

    def on_end(self, study: Study, result: StudyResult) -> None:
        self.ends.append(result)
        self.states_at_end = [trial.state for trial in study.get_trials()]


def result(value: float = 0.5, **metrics: float) -> TrialResult:
    return TrialResult({"val_f1": value, **metrics}, {"fit": 0.1}, ("UserWarning: w",))


def value_of(proposal: Proposal) -> float:
    """A value that depends on everything drawn, best where C is near 3 and the kernel is linear."""
    c = proposal.values.get("model.C", proposal.values.get("model.alpha", 1.0))
    kernel = proposal.values.get("model.kernel", "linear")
    gamma = proposal.values.get("model.gamma", 1.0)
    return 1.0 / (1.0 + (math.log10(c) - 0.5) ** 2 + (0.3 * math.log10(gamma) ** 2 if kernel == "rbf" else 0.0))


def scored(number: int, proposal: Proposal) -> TrialResult:
    return result(value_of(proposal))


@pytest.fixture
def new_study(tmp_path: Path) -> Callable[..., Study]:
    def create(direction: str = "maximize", name: str = "study") -> Study:
        return optuna.create_study(storage=f"sqlite:///{tmp_path / name}.db", study_name=name, direction=direction)

    return create


@pytest.fixture
def sweep(new_study: Callable[..., Study]) -> Callable[..., Any]:
    def run(
        job: Callable[[int, Proposal], TrialResult] | None = None,
        *,
        space: SearchSpace | None = None,
        study: Study | None = None,
        workers: Workers | None = None,
        n_trials: int = 6,
        timeout: float | None = None,
        max_failure_rate: float = 1.0,
        sampler: str = "RandomSampler",
        seed: int = 1,
        callbacks: Sequence[Any] = (),
        describe: Callable[[Proposal], Mapping[str, Any]] = lambda proposal: proposal.values,
    ) -> tuple[Study, StudyResult, Recorder]:
        space = space or space_of("logistic")
        study = study or new_study()
        recorder = Recorder()
        samplers = SamplerFactory({"_target_": f"optuna.samplers.{sampler}", "seed": seed}, space)
        outcome = StudyLoop(
            study,
            TrialQueue(study, space, samplers, describe=describe),
            workers or InProcess(job or scored),
            Budget(n_trials, timeout, max_failure_rate),
            ["val_f1"],
            [recorder, *callbacks],
        ).run()
        return study, outcome, recorder

    return run


def states(study: Study) -> list[TrialState]:
    return [trial.state for trial in study.get_trials()]


# The first trials


def test_defaults_run_first_one_for_each_model_in_the_order_typed(sweep):
    proposals: list[Proposal] = []

    def job(number: int, proposal: Proposal) -> TrialResult:
        proposals.append(proposal)
        return result()

    study, _, _ = sweep(job, space=space_of("logistic", "svm", "bayes"), n_trials=5)
    assert [p.choices["model"] for p in proposals[:3]] == ["logistic", "svm", "bayes"]
    assert [dict(p.values) for p in proposals[:3]] == [
        {"model.C": 2.0},
        {"model.C": 1.0, "model.kernel": "linear"},
        {"model.alpha": 0.5},
    ]
    assert [trial.params for trial in study.trials[:3]] == [
        {"model": "logistic", "model/logistic.C": 2.0},
        {"model": "svm", "model/svm.C": 1.0, "model/svm.kernel": "linear"},
        {"model": "bayes", "model/bayes.alpha": 0.5},
    ]
    assert proposals[3].values not in [p.values for p in proposals[:3]]


def test_a_default_outside_its_distribution_is_run_as_written_with_that_leaf_undrawn(sweep):
    study, _, _ = sweep(space=space_of("rbf"), n_trials=1)
    (only,) = study.trials
    assert only.params == {"model/rbf.C": 1.0, "model/rbf.kernel": "rbf"}
    assert not any("gamma" in text for text in Record.of(only).overrides)


def test_a_leaf_is_drawn_only_where_its_condition_holds(sweep):
    study, _, _ = sweep(space=space_of("svm"), n_trials=12)
    drawn = study.trials[1:]
    assert {trial.params["model/svm.kernel"] for trial in drawn} == {"linear", "rbf"}
    assert all(("model/svm.gamma" in t.params) == (t.params["model/svm.kernel"] == "rbf") for t in drawn)


# What counts, and when a sweep stops


def test_n_trials_counts_complete_trials_and_those_that_raised(sweep):
    def job(number: int, proposal: Proposal) -> TrialResult:
        if number % 3 == 1:
            raise ValueError(f"no fit in trial {number}")
        return scored(number, proposal)

    study, outcome, recorder = sweep(job, n_trials=7)
    complete, fail = TrialState.COMPLETE, TrialState.FAIL
    assert states(study) == [complete, fail, complete, complete, fail, complete, complete]
    assert outcome.outcome is Outcome.COMPLETED
    assert [trial.number for trial in recorder.told] == list(range(7))
    assert all(is_counted(trial) for trial in study.trials)


def test_a_job_that_raises_fails_with_its_error_and_traceback_in_the_study(sweep):
    def fit_that_breaks() -> TrialResult:
        raise ArithmeticError("the matrix is singular")

    def job(number: int, proposal: Proposal) -> TrialResult:
        return fit_that_breaks() if number == 1 else result()

    study, _, _ = sweep(job, n_trials=3)
    failed = study.trials[1]
    assert failed.state == TrialState.FAIL
    assert failed.user_attrs[Attribute.ERROR] == "ArithmeticError: the matrix is singular"
    shown = failed.user_attrs[Attribute.TRACEBACK]
    assert shown.startswith("Traceback (most recent call last)")
    assert "in fit_that_breaks" in shown
    assert shown.rstrip().endswith("ArithmeticError: the matrix is singular")
    assert Attribute.INTERRUPTED not in failed.user_attrs
    assert states(study)[2] == TrialState.COMPLETE


def test_of_an_endless_traceback_the_end_is_kept(sweep):
    def job(number: int, proposal: Proposal) -> TrialResult:
        raise ValueError("x" * 100_000 + " the cause")

    study, _, _ = sweep(job, n_trials=1)
    shown = study.trials[0].user_attrs[Attribute.TRACEBACK]
    assert len(shown) < 100_000
    assert shown.rstrip().endswith("the cause")


def test_an_endless_error_message_is_cut(sweep):
    def job(number: int, proposal: Proposal) -> TrialResult:
        raise ValueError("x" * 5_000_000)

    study, _, _ = sweep(job, n_trials=2)
    for trial in study.trials:
        assert trial.user_attrs[Attribute.ERROR].startswith("ValueError: xxx")
        assert all(len(str(value)) < 100_000 for value in trial.user_attrs.values())


@pytest.mark.parametrize(
    ("metrics", "params"),
    [
        ({"val_f1": None}, {}),
        ({"val_f1": "x"}, {}),
        ({"val_f1": [0.5]}, {}),
        ({"val_f1": 0.5, "test_f1": None}, {}),
        ({"val_f1": 0.5}, {"name": print}),
        ({"val_f1": 0.5}, {"name": {1, 2}}),
        pytest.param(
            {"val_f1": 10**400},
            {},
            id="a huge int",
        ),
    ],
    ids=str,
)
def test_a_result_that_cannot_be_recorded_fails_its_trial_with_the_reason(sweep, metrics, params):
    def job(number: int, proposal: Proposal) -> TrialResult:
        return TrialResult(metrics, params=params) if number == 1 else result()

    study, outcome, recorder = sweep(job, n_trials=3)
    assert states(study) == [TrialState.COMPLETE, TrialState.FAIL, TrialState.COMPLETE]
    assert study.trials[1].user_attrs[Attribute.ERROR].startswith("the trial's result cannot be recorded: ")
    assert outcome.outcome is Outcome.COMPLETED
    assert [trial.number for trial in recorder.told] == [0, 1, 2]


def test_numbers_of_numpy_are_metrics_like_any_other(sweep):
    study, _, _ = sweep(lambda n, p: TrialResult({"val_f1": np.float32(0.5), "n": np.int64(3)}), n_trials=1)
    assert study.trials[0].value == 0.5
    assert Record.of(study.trials[0]).metrics == {"val_f1": 0.5, "n": 3.0}


@pytest.mark.parametrize(
    ("metrics", "reason"),
    [
        ({"val_f1": math.nan, "test_f1": 0.5}, "nan"),
        ({"val_f1": math.inf, "test_f1": 0.5}, "inf"),
        ({"test_f1": 0.5}, "missing"),
    ],
)
def test_an_objective_that_is_no_number_fails_the_trial_with_the_reason(sweep, metrics, reason):
    def job(number: int, proposal: Proposal) -> TrialResult:
        return TrialResult(metrics) if number == 0 else result()

    study, outcome, _ = sweep(job, n_trials=2)
    failed = study.trials[0]
    assert states(study) == [TrialState.FAIL, TrialState.COMPLETE]
    assert "val_f1" in failed.user_attrs[Attribute.ERROR]
    assert reason in failed.user_attrs[Attribute.ERROR]
    assert Record.of(failed).metrics == {"test_f1": 0.5}
    assert Record.of(failed).hyperparameters == {"model.C": 2.0}
    assert outcome.best.number == 1


def test_a_nan_beside_the_objective_is_left_out_and_the_trial_completes(sweep):
    study, _, _ = sweep(lambda n, p: result(0.7, test_f1=math.nan, train_f1=0.9), n_trials=1)
    assert study.trials[0].value == 0.7
    assert Record.of(study.trials[0]).metrics == {"val_f1": 0.7, "train_f1": 0.9}


@pytest.mark.parametrize(
    ("failing", "rate", "n_run"),
    [
        ({0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, 0.5, 5),  # not before the fifth
        ({0, 1, 2}, 0.5, 5),
        ({0, 1}, 0.5, 10),  # 2 of 5 are fewer than half
        ({0, 1, 5}, 0.5, 10),  # 3 of 6 are half, not more
        ({0, 1, 5, 6}, 0.5, 7),
        ({3}, 0.0, 5),
        ({0, 1, 2, 3, 4, 5, 6, 7, 8}, 1.0, 10),
    ],
)
def test_max_failure_rate_is_judged_after_five_trials(sweep, failing, rate, n_run):
    def job(number: int, proposal: Proposal) -> TrialResult:
        if number in failing:
            raise ValueError("no")
        return result()

    study, outcome, recorder = sweep(job, n_trials=10, max_failure_rate=rate)
    assert len(study.trials) == n_run
    if n_run < 10:
        assert outcome.outcome is Outcome.FAILED
        assert f"{len([n for n in failing if n < n_run])} of {n_run}" in outcome.reason
        assert f"max_failure_rate={rate}" in outcome.reason
    else:
        assert outcome.outcome is Outcome.COMPLETED
    assert recorder.ends == [outcome]


class OneAtATime(Recorder):
    """Workers with four trials in flight that finish one, the oldest, whenever a trial has been told."""

    capacity = 4

    def __init__(self, job: Callable[[int, Proposal], TrialResult]) -> None:
        super().__init__()
        self._job = job
        self._running: list[tuple[Future[TrialOutcome], int, Proposal]] = []

    def submit(self, number: int, proposal: Proposal, should_prune: PruningCheck | None) -> Future[TrialOutcome]:
        future: Future[TrialOutcome] = Future()
        self._running.append((future, number, proposal))
        if number == self.capacity - 1:
            self._finish_oldest()
        return future

    def start(self) -> None:
        """Trials begin when they are submitted."""

    def close(self) -> None:
        """Nothing runs by itself."""

    def on_trial(self, study: Study, trial: FrozenTrial) -> None:
        super().on_trial(study, trial)
        if self._running:
            self._finish_oldest()

    def _finish_oldest(self) -> None:
        future, number, proposal = self._running.pop(0)
        future.set_result(attempt(partial(self._job, number, proposal), no_report))


@pytest.mark.parametrize("n_trials", [20, 8])
def test_a_stop_for_failures_holds_whatever_the_trials_in_flight_still_bring(sweep, n_trials):
    def job(number: int, proposal: Proposal) -> TrialResult:
        if number < 3:
            raise ValueError("no")
        return result()

    workers = OneAtATime(job)
    study, outcome, _ = sweep(workers=workers, n_trials=n_trials, max_failure_rate=0.5, callbacks=[workers])
    assert [trial.number for trial in workers.told] == list(range(8))
    assert states(study) == [TrialState.FAIL] * 3 + [TrialState.COMPLETE] * 5
    assert outcome.outcome is Outcome.FAILED
    assert outcome.reason.startswith("3 of 5 trials failed")


def test_a_sweep_without_any_complete_trial_has_failed(sweep):
    def job(number: int, proposal: Proposal) -> TrialResult:
        raise ValueError("no")

    _, outcome, recorder = sweep(job, n_trials=3)
    assert outcome == StudyResult(Outcome.FAILED, "no trial completed", None)
    assert recorder.ends == [outcome]


def test_after_the_timeout_no_trial_starts_and_the_one_that_runs_is_finished(sweep):
    def job(number: int, proposal: Proposal) -> TrialResult:
        time.sleep(0.6)
        return result()

    study, outcome, _ = sweep(job, n_trials=1000, timeout=0.5)
    assert states(study) == [TrialState.COMPLETE]
    assert outcome.outcome is Outcome.COMPLETED
    assert "timeout=0.5" in outcome.reason


def test_a_sweep_that_the_timeout_ends_before_any_trial_completed_names_the_timeout(sweep):
    def job(number: int, proposal: Proposal) -> TrialResult:
        time.sleep(0.3)
        raise ValueError("no")

    study, outcome, _ = sweep(job, n_trials=1000, timeout=0.2)
    assert states(study) == [TrialState.FAIL]
    assert outcome == StudyResult(Outcome.FAILED, "timeout=0.2 s has passed, and no trial completed", None)


def test_a_study_that_has_all_its_trials_runs_nothing_more(sweep):
    study, first, _ = sweep(n_trials=3)
    _, second, recorder = sweep(lambda n, p: pytest.fail("ran a trial"), study=study, n_trials=3)
    assert len(study.trials) == 3
    assert second.outcome is Outcome.COMPLETED
    assert second.best.number == first.best.number
    assert recorder.told == []
    assert recorder.ends == [second]


# Interrupts and errors


def test_an_interrupt_ends_the_sweep_with_nothing_left_running_and_is_not_counted(sweep):
    def job(number: int, proposal: Proposal) -> TrialResult:
        if number == 2:
            raise KeyboardInterrupt
        return scored(number, proposal)

    study, outcome, recorder = sweep(job, n_trials=6)
    assert states(study) == [TrialState.COMPLETE, TrialState.COMPLETE, TrialState.FAIL]
    assert outcome.outcome is Outcome.INTERRUPTED
    assert outcome.best.number in (0, 1)
    cut_off = study.trials[2]
    assert cut_off.user_attrs[Attribute.INTERRUPTED] is True
    assert "interrupted" in cut_off.user_attrs[Attribute.ERROR]
    assert [is_counted(trial) for trial in study.trials] == [True, True, False]
    assert [trial.number for trial in recorder.told] == [0, 1, 2]
    assert recorder.ends == [outcome]
    assert TrialState.RUNNING not in recorder.states_at_end


@pytest.mark.parametrize("in_flight", [1, 4])
def test_an_interrupt_right_after_a_trial_was_told_is_the_outcome_and_everyone_hears_of_it(
    sweep, new_study, monkeypatch, in_flight
):
    study, last = new_study(), Recorder()
    tell, n_told = study.tell, []

    def tell_and_interrupt(*args: Any, **options: Any) -> FrozenTrial:
        told = tell(*args, **options)
        n_told.append(told.number)
        if len(n_told) == 2:
            raise KeyboardInterrupt
        return told

    monkeypatch.setattr(study, "tell", tell_and_interrupt)
    workers = NewestFirst(scored, in_flight, 12) if in_flight > 1 else InProcess(scored)
    _, outcome, first = sweep(study=study, workers=workers, n_trials=12, callbacks=[last])
    assert (outcome.outcome, outcome.reason) == (Outcome.INTERRUPTED, "interrupted")
    assert isinstance(outcome.interrupt, KeyboardInterrupt)
    assert states(study).count(TrialState.COMPLETE) == 2
    assert TrialState.RUNNING not in states(study)
    for recorder in (first, last):
        assert sorted(trial.number for trial in recorder.told) == list(range(len(study.trials)))
        assert recorder.ends == [outcome]


def test_a_sweep_taken_up_again_makes_up_for_the_interrupted_trial(sweep):
    def interrupted(number: int, proposal: Proposal) -> TrialResult:
        if number == 4:
            raise KeyboardInterrupt
        return scored(number, proposal)

    arguments = {"n_trials": 8, "sampler": "TPESampler", "space": space_of("svm", "logistic")}
    study, _, _ = sweep(interrupted, **arguments)
    _, outcome, _ = sweep(scored, study=study, **arguments)
    assert outcome.outcome is Outcome.COMPLETED
    assert sum(is_counted(trial) for trial in study.trials) == 8
    assert states(study).count(TrialState.COMPLETE) == 8


def test_an_interrupted_and_resumed_sweep_draws_what_an_uninterrupted_one_draws(sweep, new_study):
    def interrupted(number: int, proposal: Proposal) -> TrialResult:
        if number == 4:
            raise KeyboardInterrupt
        return scored(number, proposal)

    arguments = {"n_trials": 8, "space": space_of("svm", "logistic")}
    study, _, _ = sweep(interrupted, **arguments)
    sweep(scored, study=study, **arguments)
    whole, _, _ = sweep(scored, study=new_study(name="whole"), **arguments)
    assert [t.params for t in study.trials if is_counted(t)] == [t.params for t in whole.trials]


def test_an_exit_in_a_job_fails_its_trial_and_the_sweep_goes_on(sweep, new_study):
    study, recorder = new_study(), Recorder()

    def job(number: int, proposal: Proposal) -> TrialResult:
        if number == 1:
            sys.exit(3)
        return result()

    sweep(job, study=study, callbacks=[recorder])
    assert states(study)[:3] == [TrialState.COMPLETE, TrialState.FAIL, TrialState.COMPLETE]
    assert study.trials[1].user_attrs[Attribute.ERROR] == "SystemExit: 3"
    assert [end.outcome for end in recorder.ends] == [Outcome.COMPLETED]
    assert TrialState.RUNNING not in recorder.states_at_end


class Breaking(Recorder):
    """A callback with a defect that shows once."""

    def on_trial(self, study: Study, trial: FrozenTrial) -> None:
        super().on_trial(study, trial)
        if len(self.told) == 1:
            raise RuntimeError("a defect in a callback")


def test_an_error_of_a_callback_is_raised_after_the_end_was_told(sweep, new_study):
    study, recorder = new_study(), Recorder()
    with pytest.raises(RuntimeError, match="a defect in a callback"):
        sweep(study=study, callbacks=[recorder, Breaking()])
    assert states(study) == [TrialState.COMPLETE]
    assert [end.outcome for end in recorder.ends] == [Outcome.FAILED]


class BreakingThroughout(Recorder):
    """A callback that never works."""

    def on_trial(self, study: Study, trial: FrozenTrial) -> None:
        raise RuntimeError("a defect in a callback")

    def on_end(self, study: Study, result: StudyResult) -> None:
        raise RuntimeError("a defect at the end")


def test_a_callback_that_raises_at_the_end_too_does_not_keep_the_others_from_it(sweep, new_study):
    study, recorder = new_study(), Recorder()
    with pytest.raises(RuntimeError, match="a defect"):
        sweep(study=study, callbacks=[BreakingThroughout(), recorder, BreakingThroughout()])
    assert states(study) == [TrialState.COMPLETE]
    assert {trial.number for trial in recorder.told} == {0}
    assert [end.outcome for end in recorder.ends] == [Outcome.FAILED]
    assert recorder.ends[0].best.number == 0


def test_an_error_of_a_callback_fails_the_trials_in_flight(sweep, new_study):
    study, recorder, workers = new_study(), Recorder(), NewestFirst(scored, capacity=4, n_trials=12)
    with pytest.raises(RuntimeError, match="a defect in a callback"):
        sweep(study=study, workers=workers, n_trials=12, callbacks=[Breaking(), recorder])
    assert sorted(state.name for state in states(study)) == ["COMPLETE", "FAIL", "FAIL", "FAIL"]
    assert sum(is_counted(trial) for trial in study.trials) == 1
    assert [end.outcome for end in recorder.ends] == [Outcome.FAILED]
    assert TrialState.RUNNING not in recorder.states_at_end


# What is shown of a trial, and which is the best


def test_everything_shown_of_a_trial_is_in_its_attributes_before_it_is_told(sweep):
    _, _, recorder = sweep(
        lambda n, p: TrialResult({"val_f1": 0.1 * n}, {"fit": 1.5}, ("W: w",)),
        describe=lambda proposal: {"model.C": 4.0, "model.n": None},
        space=space_of("svm", "logistic"),
        n_trials=4,
    )
    # Optuna refuses to write to a told trial, so what the first callback reads back was there before.
    for trial, stored in zip(recorder.told, recorder.stored, strict=True):
        assert stored.state == TrialState.COMPLETE
        assert stored.user_attrs == trial.user_attrs
        model = trial.params["model"]
        assert Record.of(trial).metrics == {"val_f1": 0.1 * trial.number}
        assert Record.of(trial).hyperparameters == {"model.C": 4.0, "model.n": None}
        assert Record.of(trial).seconds == {"fit": 1.5}
        assert Record.of(trial).warnings == ["W: w"]
        assert Record.of(trial).choices == {"model": model, "vectorizer": "tfidf"}
        typed = Record.of(trial).overrides
        assert typed[:2] == [f"model={model}", "vectorizer=tfidf"]
        assert f"model.C={trial.params[f'model/{model}.C']!r}" in typed


def test_choices_and_overrides_are_known_of_a_trial_that_failed(sweep):
    def job(number: int, proposal: Proposal) -> TrialResult:
        raise ValueError("no")

    _, _, recorder = sweep(job, n_trials=1)
    assert Record.of(recorder.told[0]).choices == {"model": "logistic", "vectorizer": "tfidf"}
    assert Record.of(recorder.told[0]).overrides == ["model=logistic", "vectorizer=tfidf", "model.C=2.0"]


@pytest.mark.parametrize(("direction", "best"), [("maximize", 1), ("minimize", 2)])
def test_the_best_trial_is_the_earliest_of_equals(sweep, new_study, direction, best):
    values = [0.5, 0.9, 0.1, 0.9, 0.1, 0.5]
    study, outcome, _ = sweep(lambda n, p: result(values[n]), study=new_study(direction), n_trials=6)
    assert outcome.best.number == best
    assert best_trial(study).number == best


def test_the_best_trial_leaves_failed_trials_aside(sweep):
    def job(number: int, proposal: Proposal) -> TrialResult:
        if number == 0:
            raise ValueError("no")
        return result(-1.0)

    _, outcome, _ = sweep(job, n_trials=2)
    assert outcome.best.number == 1


# Repeatable


@pytest.mark.parametrize("sampler", ["RandomSampler", "TPESampler"])
def test_the_same_seed_gives_the_same_trials_and_values(sweep, new_study, sampler):
    def run(name: str, seed: int) -> list[tuple[dict[str, Any], float]]:
        arguments = {"sampler": sampler, "seed": seed, "n_trials": 13, "space": space_of("svm", "logistic")}
        study, _, _ = sweep(study=new_study(name=name), **arguments)
        return [(trial.params, trial.value) for trial in study.trials]

    first = run("first", 5)
    assert run("again", 5) == first
    assert run("other", 6) != first
    assert len({str(params) for params, _ in first}) == 13


# Several trials at a time


class NewestFirst:
    """Workers that finish the newest trial first, and only once they are as full as the trials left allow.

    Attributes:
        counts: trials in flight whenever one finished.
    """

    def __init__(self, job: Callable[[int, Proposal], TrialResult], capacity: int, n_trials: int) -> None:
        self.capacity = capacity
        self.counts: list[int] = []
        self._job = job
        self._left = n_trials
        self._running: dict[int, tuple[Future[TrialOutcome], Proposal]] = {}
        self._changed = threading.Condition()

    def submit(self, number: int, proposal: Proposal, should_prune: PruningCheck | None) -> Future[TrialOutcome]:
        future: Future[TrialOutcome] = Future()
        with self._changed:
            assert len(self._running) < self.capacity
            self._running[number] = future, proposal
            self._changed.notify_all()
        threading.Thread(target=self._finish_newest, daemon=True).start()
        return future

    def start(self) -> None:
        """Trials begin when they are submitted."""

    def close(self) -> None:
        """Let go of every trial, whether or not there are as many as there should be."""
        with self._changed:
            self._left = 0
            self._changed.notify_all()

    def _finish_newest(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: len(self._running) >= min(self.capacity, self._left), timeout=10)
            self.counts.append(len(self._running))
            number = max(self._running)
            future, proposal = self._running.pop(number)
            self._left -= 1
        future.set_result(attempt(partial(self._job, number, proposal), no_report))


def test_workers_that_finish_out_of_order_are_kept_full_and_each_trial_is_told_once(sweep):
    workers = NewestFirst(scored, capacity=4, n_trials=15)
    study, outcome, recorder = sweep(workers=workers, n_trials=15, space=space_of("svm", "logistic"))
    told = [trial.number for trial in recorder.told]
    assert sorted(told) == list(range(15))
    assert told != sorted(told)
    assert workers.counts == [4] * 12 + [3, 2, 1]
    assert states(study) == [TrialState.COMPLETE] * 15
    assert outcome.outcome is Outcome.COMPLETED


def test_a_failure_among_several_trials_in_flight_fails_that_trial_alone(sweep):
    def job(number: int, proposal: Proposal) -> TrialResult:
        if number in (2, 5):
            raise ValueError(f"trial {number}")
        return result(number)

    study, _, _ = sweep(workers=NewestFirst(job, capacity=3, n_trials=8), n_trials=8)
    failed = [trial for trial in study.trials if trial.state == TrialState.FAIL]
    assert [trial.number for trial in failed] == [2, 5]
    assert [trial.user_attrs[Attribute.ERROR] for trial in failed] == ["ValueError: trial 2", "ValueError: trial 5"]
    assert [t.value for t in study.trials if t.state == TrialState.COMPLETE] == [0, 1, 3, 4, 6, 7]


# A trial that another process gave up


@pytest.mark.parametrize("late", ["result", "error", "pruned"])
def test_a_result_that_comes_after_its_trial_was_given_up_is_ignored(sweep, new_study, late):
    study = new_study()

    def job(number: int, proposal: Proposal) -> TrialResult:
        if number == 1:
            optuna.load_study(study_name="study", storage=study._storage).tell(1, state=TrialState.FAIL)
            if late == "error":
                raise ValueError("late")
            if late == "pruned":
                raise Pruned
        return scored(number, proposal)

    _, outcome, recorder = sweep(job, study=study, n_trials=4)
    assert outcome.outcome is Outcome.COMPLETED
    assert [trial.number for trial in study.trials if is_counted(trial)] == [0, 2, 3, 4]
    assert Attribute.RESULT not in study.trials[1].user_attrs
    assert Attribute.ERROR not in study.trials[1].user_attrs
    assert 1 not in [trial.number for trial in recorder.told]  # whoever gave it up has told of it


def test_a_step_that_is_reported_after_its_trial_was_given_up_stops_the_trial(new_study):
    study = new_study()
    study.pruner = optuna.pruners.MedianPruner()
    trial = study.ask()
    should_prune = pruning_check(study, trial, "val_f1")
    assert should_prune is not None
    study.tell(trial.number, state=TrialState.FAIL)
    assert should_prune({"val_f1": 0.5}, None)


def test_a_pruner_is_not_asked_after_the_last_step(new_study):
    study = new_study()
    study.pruner = optuna.pruners.ThresholdPruner(lower=0.9)
    answers = []
    for n_reports in (None, 2):
        trial = study.ask()
        should_prune = pruning_check(study, trial, "val_f1", n_reports)
        assert should_prune is not None
        answers.append([should_prune({"val_f1": 0.5}, None) for _ in range(2)])
        assert study.trials[trial.number].intermediate_values == {1: 0.5, 2: 0.5}
    assert answers == [[True, True], [True, False]]


# Shared with other processes


@pytest.mark.parametrize("joins", ["before", "while a trial is drawn"])
def test_the_last_trial_is_asked_once_whatever_the_others_do_while_it_is_drawn(new_study, tmp_path, joins):
    """Another process asks the last trial, and ends both of its own, between our look at the study and our ask."""
    study = new_study()
    space = space_of("logistic")
    samplers = SamplerFactory({"_target_": "optuna.samplers.RandomSampler", "seed": 1}, space)
    storage = open_storage(f"sqlite:///{tmp_path / 'study.db'}")
    lease, other = Lease(study, storage), Lease(optuna.load_study(study_name="study", storage=storage), storage)
    lease.acquire(join=False)
    others_agenda = TrialQueue(study, space, samplers, other.holder)
    others_trials: list[Any] = []

    def join() -> None:
        other.acquire(join=True)
        others_trials.append(others_agenda.ask(0))

    class Overtaken(SamplerFactory):
        def sampler_for(self, n_before: int) -> Any:
            if not others_trials:
                join()
            if len(others_trials) == 1:
                others_trials.append(others_agenda.ask(1))
                for asked in others_trials:
                    tell(study, asked.trial, result(), ["val_f1"])
            return super().sampler_for(n_before)

    overtaken = Overtaken({"_target_": "optuna.samplers.RandomSampler", "seed": 1}, space)
    if joins == "before":
        join()
    ended = StudyLoop(
        study,
        TrialQueue(study, space, overtaken, lease.holder),
        InProcess(scored),
        Budget(2),
        ["val_f1"],
        lease=lease,
    ).run()
    other.release()
    lease.release()
    assert ended.outcome is Outcome.COMPLETED
    assert [is_counted(trial) for trial in study.get_trials()].count(True) == 2


class Losing:
    """Gives up each trial a number of times before it runs."""

    capacity = 1

    def __init__(self, n_times: int, error: Exception) -> None:
        self._left = n_times
        self._error = error

    def submit(self, number: int, proposal: Proposal, should_prune: PruningCheck | None) -> Future[TrialOutcome]:
        future: Future[TrialOutcome] = Future()
        self._left -= 1
        if self._left >= 0:
            future.set_exception(self._error)
        else:
            future.set_result(scored(number, proposal))
        return future

    def start(self) -> None:
        pass

    def close(self) -> None:
        pass


def test_a_lost_worker_costs_no_attempt(sweep: Callable[..., Any]) -> None:
    study, _, _ = sweep(workers=Losing(5, WorkerLostError("its worker was lost")), n_trials=1)
    *lost, last = study.get_trials()
    assert [trial.state for trial in lost] == [TrialState.FAIL] * 5
    assert {trial.user_attrs.get(Attribute.ATTEMPT, 0) for trial in lost} == {0}
    assert (last.state, last.params) == (TrialState.COMPLETE, lost[0].params)


@pytest.mark.parametrize(
    ("error", "n_attempts"), [(WorkerDiedError("its process died"), 2), (WorkerLostError("its worker was lost"), 12)]
)
def test_a_trial_that_always_costs_its_worker_comes_to_an_end(
    sweep: Callable[..., Any], error: Exception, n_attempts: int
) -> None:
    study, outcome, _ = sweep(workers=Losing(1000, error), n_trials=1)
    assert outcome.outcome is Outcome.FAILED
    assert len(study.get_trials()) == n_attempts
    assert sum(is_counted(trial) for trial in study.get_trials()) == 1
