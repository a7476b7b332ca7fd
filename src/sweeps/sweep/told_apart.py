"""Which trials of a study are not told apart from its best, by the predictions that are kept of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from optuna import Study
from optuna.trial import FrozenTrial, TrialState

from sweeps.base.predictions import FOLDER, read_predictions
from sweeps.study.alike import Alike
from sweeps.study.attribute import METRICS
from sweeps.study.best import is_feasible, sign_of
from sweeps.study.folder import StudyFolder
from sweeps.study.trial_record import Record
from sweeps.tasks.comparison import Measured, find_score, is_score_of, same_rows
from sweeps.tasks.metrics import Direction, on_test
from sweeps.tasks.scores_of_sums import ScoreOfSums
from sweeps.tasks.uncertainty import difference_interval, score_interval

_MOST = 200  # trials that are compared: some seconds on large data


def find_alike(study: Study, folder: StudyFolder) -> Alike | None:
    """Compare the best trial with the others, the best of them first, inside the training part.

    Args:
        study: that has ended.
        folder: its files.

    Returns:
        None where nothing can be compared: several metrics are optimised, the one is none of the training part, or
        no predictions are kept from which it follows.
    """
    (metric, *others) = study.user_attrs[METRICS]
    if others or not metric.startswith("val_"):
        return None
    sign = sign_of(study.direction)
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    ranked = sorted(filter(is_feasible, complete), key=lambda trial: (sign * trial.values[0], trial.number))
    if not ranked:
        return None
    best, *rest = ranked[: _MOST + 1]
    ours = _measured(best, folder, {"val": best.values[0]})
    score = find_score([ours], metric, _direction(study)) if ours.predictions else None
    if score is None:
        return None
    verdicts = dict(_verdicts(ours, rest, folder, score))
    return Alike(
        best.number,
        alike=[number for number, is_apart in verdicts.items() if not is_apart],
        worse=[number for number, is_apart in verdicts.items() if is_apart],
    )


def interval_on_test(study: Study, folder: StudyFolder, trial: FrozenTrial, metric: str) -> tuple[float, float] | None:
    """The 95 % interval of a trial's score on the test part; None where it does not follow from what is kept.

    Args:
        study: the trial's.
        folder: of the study.
        trial: completed.
        metric: the objective, `val_f1` for the interval of `test_f1`.
    """
    test = Record.of(trial).metrics.get(on_test(metric))
    if test is None:
        return None
    measured = _measured(trial, folder, {"val": trial.values[0], "test": test})
    score = find_score([measured], on_test(metric), _direction(study)) if measured.predictions else None
    on_test_part = measured.on("test").predictions
    return None if score is None or not on_test_part else score_interval(score, on_test_part[0], test)


def _verdicts(
    ours: Measured, rest: Sequence[FrozenTrial], folder: StudyFolder, score: ScoreOfSums
) -> Iterator[tuple[int, bool]]:
    """The number of each trial that can be compared, and whether it is told apart."""
    for trial in rest:
        theirs = _measured(trial, folder, {"val": trial.values[0]})
        if same_rows(ours.predictions, theirs.predictions) and is_score_of(score, theirs):
            low, high = difference_interval(ours.predictions, theirs.predictions, score)
            yield trial.number, low > 0 or high < 0


def _measured(trial: FrozenTrial, folder: StudyFolder, scores: dict[str, float]) -> Measured:
    """A trial's predictions of the parts that the scores are of."""
    kept = read_predictions(folder.path / str(trial.number) / FOLDER)
    predictions = [one for one in kept if one.part in scores]
    parts = {one.part for one in predictions}
    return Measured(f"trial {trial.number}", {part: scores[part] for part in scores if part in parts}, predictions)


def _direction(study: Study) -> Direction:
    return "minimize" if sign_of(study.direction) > 0 else "maximize"
