"""What is said of each trial as it ends, where nobody sees a progress bar."""

from __future__ import annotations

from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from sweeps.study.attribute import Attribute
from sweeps.sweep.progress import Progress


@pytest.mark.parametrize(
    ("choices", "steps", "told", "attributes", "said"),
    [
        ({"model": "svm", "vectorizer": "tfidf"}, {}, {"values": 0.5}, {}, "svm tfidf, val_f1 0.5000"),
        ({}, {}, {"values": 0.5}, {}, "val_f1 0.5000"),
        ({"model": "svm"}, {1: 0.1, 2: 0.2}, {"state": TrialState.PRUNED}, {}, "svm, pruned after step 2"),
        ({}, {0: 0.1, 10: 0.2}, {"state": TrialState.PRUNED}, {}, "pruned after step 10"),
        ({}, {}, {"state": TrialState.PRUNED}, {}, "pruned"),
        ({"model": "svm"}, {}, {"state": TrialState.FAIL}, {Attribute.ERROR: "no\nmore"}, "svm, FAILED: no"),
        ({}, {}, {"state": TrialState.FAIL}, {Attribute.ERROR: "no"}, "FAILED: no"),
    ],
)
def test_a_line_says_what_ran_and_how_it_ended(
    capsys: pytest.CaptureFixture[str],
    choices: dict[str, str],
    steps: dict[int, float],
    told: dict[str, Any],
    attributes: dict[str, str],
    said: str,
) -> None:
    study = optuna.create_study(direction="maximize")
    trial = study.ask()
    trial.set_user_attr(Attribute.PROPOSAL, {"choices": choices})
    for name, value in attributes.items():
        trial.set_user_attr(name, value)
    for step, value in steps.items():
        trial.report(value, step)
    progress = Progress(study, 2, ["val_f1"])
    progress.on_trial(study, study.tell(trial, **told))
    best = " (best 0.5000, trial 0)" if "values" in told else ""
    assert capsys.readouterr().out.splitlines()[-1] == f"trial 0: {said}{best}"
