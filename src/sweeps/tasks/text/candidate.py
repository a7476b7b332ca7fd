"""The vectorizer and the classifier that a config names."""

from __future__ import annotations

from typing import Any

from sklearn.base import BaseEstimator, is_classifier

from sweeps.base.build import TARGET, BuildError, build, class_of
from sweeps.base.errors import ConfigError
from sweeps.tasks.base import Candidate


def build_parts(candidate: Candidate) -> tuple[Any, Any]:
    """Build both, unfitted, with the candidate's seed wherever the YAML leaves one open.

    Raises:
        ConfigError: the config names something else.
        BuildError: it cannot be built.
    """
    if not candidate.vectorizer:
        raise ConfigError("vectorizer=none does not fit text classification; choose vectorizer=tfidf or count.")
    _check_classes(candidate)
    vectorizer, model = build(candidate.vectorizer, "vectorizer"), build(candidate.model, "model")
    if not is_classifier(model):
        raise _not_a_classifier(candidate)
    return _seeded(vectorizer, candidate.seed), _seeded(model, candidate.seed)


def _check_classes(candidate: Candidate) -> None:
    """Refuse, before they are called, classes that cannot be a vectorizer or a classifier."""
    vectorizer, model = class_of(candidate.vectorizer, "vectorizer"), class_of(candidate.model, "model")
    if not (hasattr(vectorizer, "fit_transform") and hasattr(vectorizer, "transform")):
        raise BuildError(
            f"vectorizer: {candidate.vectorizer.get(TARGET)} does not turn texts into features (no fit_transform and "
            f"transform); text classification needs one such as vectorizer=tfidf."
        )
    if model is None or not issubclass(model, BaseEstimator):
        raise _not_a_classifier(candidate)


def _not_a_classifier(candidate: Candidate) -> BuildError:
    return BuildError(
        f"model: {candidate.model.get(TARGET, 'a model without _target_')} is not a classifier in scikit-learn's "
        f"sense; text classification needs one such as model=svm."
    )


def _seeded(model: Any, seed: int) -> Any:
    """Give the seed to every `random_state` that the YAML leaves open, so that one seed means one result."""
    if not hasattr(model, "get_params"):
        return model
    open_states = {
        name: seed
        for name, value in model.get_params(deep=True).items()
        if value is None and (name == "random_state" or name.endswith("__random_state"))
    }
    return model.set_params(**open_states)
