"""What a study keeps of a trial, however much of it was written before the process died."""

import optuna
import pytest
from optuna.trial import TrialState

from sweeps.compose.search_space import SearchSpace
from sweeps.execution.outcome import Failure, PrunedTrial, TrialResult
from sweeps.study.asking import TrialQueue
from sweeps.study.attribute import Attribute, is_counted, was_cut_off
from sweeps.study.samplers import SamplerFactory
from sweeps.study.trial_record import Record, tell, tell_failure

RESULT = TrialResult({"val_f1": 0.5}, {"fit": 0.1})
WITHOUT_METRIC = TrialResult({"other": 0.5}, {"fit": 0.1})
ENDS = {
    "complete": lambda study, trial: tell(study, trial, RESULT, ["val_f1"]),
    "pruned": lambda study, trial: tell(study, trial, PrunedTrial(), ["val_f1"]),
    "failed": lambda study, trial: tell(study, trial, Failure("it broke", "Traceback: it broke"), ["val_f1"]),
    "without the metric": lambda study, trial: tell(study, trial, WITHOUT_METRIC, ["val_f1"]),
    "its process died": lambda study, trial: tell_failure(
        study, trial, "died", "", interrupted=True, counts={Attribute.ATTEMPT: 1}
    ),
    "its process died again": lambda study, trial: tell_failure(
        study, trial, "died", "", counts={Attribute.ATTEMPT: 2}
    ),
}


class KilledError(BaseException):
    """Stands for the death of the process."""


def dying(write, left):
    """A way to write that works for as long as something is left."""

    def write_or_die(*args, **kwargs):
        if not left:
            raise KilledError
        left.pop()
        return write(*args, **kwargs)

    return write_or_die


def queue_of(study):
    space = SearchSpace({"model": ("svm", "bayes")}, {})
    return TrialQueue(study, space, SamplerFactory({"_target_": "optuna.samplers.RandomSampler", "seed": 1}, space))


@pytest.mark.parametrize("n_written", range(4))
@pytest.mark.parametrize("how", ENDS)
def test_a_trial_told_in_part_counts_as_the_failure_that_it_was_or_is_tried_again(
    tmp_path, monkeypatch, how, n_written
):
    url = f"sqlite:///{tmp_path / 's.db'}"
    study = optuna.create_study(study_name="s", storage=url)
    queue = queue_of(study)
    queue.requeue_orphans()
    trial = queue.ask(0).trial
    with monkeypatch.context() as patch:
        left = [None] * n_written
        patch.setattr(optuna.Trial, "set_user_attr", dying(optuna.Trial.set_user_attr, left))
        patch.setattr(optuna.Study, "tell", dying(optuna.Study.tell, left))
        try:
            told = ENDS[how](study, trial)
        except KilledError:
            told = None
    again = optuna.load_study(study_name="s", storage=url)
    queue = queue_of(again)
    queue.requeue_orphans()
    (found,) = again.trials
    retried = queue.ask(0).trial
    if told is not None and how != "its process died":
        assert is_counted(found)
    if is_counted(found):
        assert Attribute.RETRY_OF not in retried.user_attrs
        if found.state == TrialState.FAIL:  # all of it has been written
            record = Record.of(found)
            assert record.error in ("it broke", "the objective val_f1 is missing", "died")
            assert record.traceback == ("Traceback: it broke" if how == "failed" else "")
            assert found.user_attrs.get(Attribute.ATTEMPT) == (2 if how == "its process died again" else None)
    else:
        assert was_cut_off(found)
        assert retried.user_attrs[Attribute.RETRY_OF] == 0
        assert retried.params == found.params
