"""What is filed of a study."""

import csv
from pathlib import Path

import optuna
from omegaconf import OmegaConf
from optuna.trial import TrialState

from sweeps.base.atomic_file import write_yaml
from sweeps.study.attribute import Attribute
from sweeps.study.result import StudyResult
from sweeps.study.stopping import Outcome
from sweeps.sweep.study_files import describe_result, write_trials


def finished_study() -> optuna.Study:
    """A study with a complete, a failed and a running trial."""
    study = optuna.create_study(study_name="s", direction="maximize")
    for number, model in enumerate(["svm", "logistic"]):
        trial = study.ask()
        choices = {"model": model, "vectorizer": "tfidf"}
        overrides = [f"model={model}", "model.text='\\${x}, \"y\"'"]
        trial.set_user_attr(Attribute.PROPOSAL, {"choices": choices, "overrides": overrides})
        if number == 0:
            result = {
                "hyperparameters": {"model.C": 0.1, "vectorizer.ngram_range": [1, 2]},
                "metrics": {"val_f1": 0.75, "test_f1": 0.7},
                "seconds": {"fit": 0.123456},
                "warnings": ["W: one", "W: two, three"],
            }
            trial.set_user_attr(Attribute.RESULT, result)
            study.tell(trial, 0.75)
        else:
            trial.set_user_attr(Attribute.ERROR, 'ValueError: line one\nline "two", with ünïcode')
            study.tell(trial, state=TrialState.FAIL)
    study.ask()
    return study


def test_the_trials_file_has_a_row_for_every_finished_trial(tmp_path: Path) -> None:
    path = tmp_path / "trials.csv"
    write_trials(finished_study(), path, {"model.C": "C", "vectorizer.ngram_range": "ngram_range"})
    with path.open(newline="", encoding="utf-8") as file:
        complete, failed = list(csv.DictReader(file))
    assert (complete["number"], complete["state"], complete["value"]) == ("0", "COMPLETE", "0.75")
    assert (complete["model"], complete["vectorizer"]) == ("svm", "tfidf")
    assert (complete["C"], complete["ngram_range"]) == ("0.1", "[1, 2]")
    assert (complete["val_f1"], complete["test_f1"], complete["seconds_fit"]) == ("0.75", "0.7", "0.1235")
    assert (complete["warnings"], complete["error"]) == ("W: one; W: two, three", "")
    assert complete["start"] <= complete["end"]
    assert (failed["number"], failed["state"], failed["value"], failed["C"]) == ("1", "FAIL", "", "")
    assert failed["error"] == 'ValueError: line one\nline "two", with ünïcode'
    assert [file.name for file in tmp_path.iterdir()] == ["trials.csv"]


def test_hyperparameters_called_like_a_column_of_the_trial_keep_columns_of_their_own(tmp_path: Path) -> None:
    study = optuna.create_study(direction="maximize")
    trial = study.ask()
    called = {f"model.{name}": name for name in ("value", "error", "state", "number", "model", "val_f1", "C")}
    trial.set_user_attr(Attribute.PROPOSAL, {"choices": {"model": "svm", "vectorizer": "tfidf"}})
    hyperparameters = {key: f"own {name}" for key, name in called.items()}
    trial.set_user_attr(Attribute.RESULT, {"hyperparameters": hyperparameters, "metrics": {"val_f1": 0.75}})
    study.tell(trial, 0.75)
    write_trials(study, tmp_path / "trials.csv", called)
    with (tmp_path / "trials.csv").open(newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert (row["number"], row["state"], row["value"], row["val_f1"]) == ("0", "COMPLETE", "0.75", "0.75")
    assert (row["model"], row["error"], row["C"]) == ("svm", "", "own C")
    for key, name in called.items():
        assert row.get(key, row[name]) == f"own {name}"


def test_the_trials_file_is_replaced_and_may_be_empty(tmp_path: Path) -> None:
    path = tmp_path / "trials.csv"
    write_trials(finished_study(), path, {})
    write_trials(optuna.create_study(), path, {})
    assert path.read_text().splitlines() == ["start,end,warnings,error"]


def test_the_result_file_holds_the_end_of_the_sweep(tmp_path: Path) -> None:
    study = finished_study()
    path = tmp_path / "sweep_result.yaml"
    best = study.trials[0]
    described = describe_result(study, StudyResult(Outcome.COMPLETED, "", best), ["val_f1"])
    write_yaml(path, described)
    raw = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    assert raw == {
        "study_name": "s",
        "outcome": "COMPLETED",
        "reason": "",
        "metric": "val_f1",
        "n_trials": 2,
        "best": {
            "trial": 0,
            "value": 0.75,
            "choices": {"model": "svm", "vectorizer": "tfidf"},
            "overrides": ["model=svm", "model.text='\\${x}, \"y\"'"],
            "metrics": {"val_f1": 0.75, "test_f1": 0.7},
        },
    }
    assert [file.name for file in tmp_path.iterdir()] == ["sweep_result.yaml"]


def test_a_sweep_without_a_best_trial_has_none_in_its_result() -> None:
    described = describe_result(optuna.create_study(), StudyResult(Outcome.FAILED, "no trial completed", None), ["m"])
    assert (described["outcome"], described["reason"], described["n_trials"]) == ("FAILED", "no trial completed", 0)
    assert "best" not in described
