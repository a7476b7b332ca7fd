"""Everything that talks to MLflow: runs, made by a sweep or by hand, and the registry. Nothing else imports mlflow."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sweeps.tracking.by_hand.tracker import Tracker

__all__ = ["get_tracker"]


def get_tracker(experiment_name: str, *, dataset: str | None = None, positive_label: object = None) -> Tracker:
    """A tracker for runs made by hand, in a notebook say, beside those of sweeps.

    >>> from sklearn.dummy import DummyClassifier
    >>> tracker = get_tracker("reviews", positive_label="great")
    >>> model = DummyClassifier().fit([[0], [1]], ["great", "poor"])
    >>> run_id = tracker.log_model_training(model, "dummy", {"test_f1": 0.5}, {"strategy": "prior"})

    Args:
        experiment_name: the MLflow experiment, made on first use. A sweep's is its dataset's name.
        dataset: the param `dataset` of the runs; default: the experiment's name.
        positive_label: the label that counts as positive in prediction logs; None: 1 or True where those are labels.

    Raises:
        TrackingError: the tracking server or store is out of reach.
    """
    from sweeps.tracking.by_hand.tracker import Tracker  # it imports MLflow, which takes seconds

    return Tracker(experiment_name, dataset=dataset or experiment_name, positive_label=positive_label)
