"""Which text models predict in a time that their size bounds, so that they need no supervision.

Written as a list of what is known to be so: whatever is not on it predicts in a supervised process. There are ways to
hang that no list of what is bad would have: a `token_pattern` that tries again and again, a topic model that iterates
until it has converged, a million processes for `n_jobs`.
"""

from __future__ import annotations

from collections.abc import Collection

from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.decomposition import TruncatedSVD
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfTransformer, TfidfVectorizer
from sklearn.feature_selection import SelectFromModel, SelectKBest, SelectPercentile, VarianceThreshold
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import (
    LogisticRegression,
    LogisticRegressionCV,
    PassiveAggressiveClassifier,
    Perceptron,
    RidgeClassifier,
    RidgeClassifierCV,
    SGDClassifier,
)
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier, OutputCodeClassifier
from sklearn.naive_bayes import BernoulliNB, CategoricalNB, ComplementNB, GaussianNB, MultinomialNB
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid, RadiusNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import LabelBinarizer, LabelEncoder, MaxAbsScaler, Normalizer, StandardScaler
from sklearn.svm import SVC, LinearSVC, NuSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor, ExtraTreeClassifier

from sweeps.tasks.stored_parts import walk
from sweeps.tasks.text.token_patterns import is_linear

_BOUNDED = {
    *(CountVectorizer, HashingVectorizer, TfidfTransformer, TfidfVectorizer),
    *(FeatureUnion, Pipeline, CalibratedClassifierCV),
    *(LabelBinarizer, LabelEncoder, MaxAbsScaler, Normalizer, StandardScaler, TruncatedSVD),
    *(SelectFromModel, SelectKBest, SelectPercentile, VarianceThreshold),
    *(LogisticRegression, PassiveAggressiveClassifier, Perceptron, RidgeClassifier, RidgeClassifierCV, SGDClassifier),
    *(BernoulliNB, ComplementNB, GaussianNB, MultinomialNB, DummyClassifier, MLPClassifier),
    *(CategoricalNB, IsotonicRegression, LogisticRegressionCV),
    *(LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis),
    *(LinearSVC, NuSVC, SVC, KNeighborsClassifier, NearestCentroid, RadiusNeighborsClassifier),
    *(DecisionTreeClassifier, DecisionTreeRegressor, ExtraTreeClassifier, ExtraTreesClassifier, RandomForestClassifier),
    *(AdaBoostClassifier, BaggingClassifier, GradientBoostingClassifier, HistGradientBoostingClassifier),
    *(StackingClassifier, VotingClassifier, OneVsOneClassifier, OneVsRestClassifier, OutputCodeClassifier),
}
_BOUNDED_TOO = (
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.calibration._TemperatureScaling",
    "sklearn.multiclass._ConstantPredictor",
)
_NO_PROCESSES = (None, 1)


def is_bounded(model: object, trusted: Collection[str] = ()) -> bool:
    """Whether predictions of a text model surely end.

    Args:
        model: fitted.
        trusted: full names of types that the person who loads the model vouches for.
    """
    return all(_is_bounded(part, trusted) for part, _ in walk(model) if isinstance(part, BaseEstimator))


def _is_bounded(part: BaseEstimator, trusted: Collection[str]) -> bool:
    kind, state = type(part), vars(part)
    if kind not in _BOUNDED and f"{kind.__module__}.{kind.__qualname__}" not in (*_BOUNDED_TOO, *trusted):
        return False
    return (
        is_linear(state.get("token_pattern"))
        and state.get("n_jobs") in _NO_PROCESSES
        and not callable(state.get("kernel"))
        and not callable(state.get("metric"))
    )
