"""One trial, from a composed config to its metrics."""

import json
import warnings
from typing import Any

import numpy as np
import pytest
from omegaconf import DictConfig, OmegaConf
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from sweeps.base.errors import ConfigError, DataError
from sweeps.execution.outcome import TrialResult
from sweeps.execution.trial import candidate_of, hyperparameters, load_task, run_trial
from sweeps.tasks.base import Candidate, Evaluation
from sweeps.tasks.metrics import TIMINGS
from sweeps.tasks.text.data import TextData
from sweeps.tasks.text.task import TextClassification

HERE = __name__
SVM = """
_target_: sklearn.svm.SVC
C: 1.0
kernel: linear
gamma: scale
search_space:
  C:      {type: float, low: 0.01, high: 100.0, log: true}
  kernel: {type: categorical, choices: [linear, rbf, poly]}
  gamma:  {type: float, low: 0.01, high: 10.0, log: true, when: {kernel: [rbf, poly]}}
"""
TFIDF = """
_target_: sklearn.feature_extraction.text.TfidfVectorizer
ngram_range: [1, 2]
min_df: 1
search_space:
  ngram_range: {type: categorical, choices: ["[1,1]", "[1,2]"]}
"""
DATASET = f"""
name: made_up
task: sweeps.tasks.text.task.TextClassification
_target_: {HERE}.load_made_up
n_rows: 60
test_size: 0.25
split_seed: 1
n_folds: 2
"""

loaded: list[int] = []


class Mumbling(LogisticRegression):
    """Warns, and says nothing."""

    def fit(self, X: Any, y: Any) -> "Mumbling":
        warnings.warn("", UserWarning, stacklevel=2)
        return super().fit(X, y)


def load_made_up(n_rows: int, word: str = "fine") -> TextData:
    """A source of texts that notes each time it is read."""
    loaded.append(n_rows)
    rng = np.random.default_rng(n_rows)
    labels = np.arange(n_rows) % 2
    words = np.array([["bad", "sad", "mad", "so"], [word, "nice", "good", "so"]])
    texts = [" ".join(rng.choice([*words[label], "the", "a", "it"], 6)) for label in labels]
    return TextData(np.array(texts, dtype=object), labels, "text", 1, f"{n_rows} {word}", "made up")


def load_given(data: int) -> TextData:
    """A source whose argument has the name of the task's first."""
    return load_made_up(data)


def config_of(model: str = SVM, vectorizer: str = TFIDF, dataset: str = DATASET, **changes: Any) -> DictConfig:
    config = OmegaConf.create(
        {
            "model": OmegaConf.create(model),
            "vectorizer": OmegaConf.create(vectorizer),
            "dataset": OmegaConf.create(dataset),
            "seed": 11,
        }
    )
    for key, value in changes.items():
        OmegaConf.update(config, key.replace("__", "."), value, merge=False)
    return config


# Hyperparameters


@pytest.mark.parametrize(("kernel", "is_shown"), [("linear", False), ("rbf", True), ("poly", True), ("sigmoid", False)])
def test_a_hyperparameter_is_shown_only_where_its_condition_holds(kernel, is_shown):
    shown = hyperparameters(config_of(model__kernel=kernel))
    assert ("model.gamma" in shown) == is_shown
    assert {"model.C", "model.kernel"} <= set(shown)


def test_searched_and_fixed_values_are_shown_and_nothing_else():
    config = config_of(model__kernel="rbf", model__gamma=0.3, model__trusted_types=["a.B"])
    assert hyperparameters(config) == {
        "model.C": 1.0,
        "model.kernel": "rbf",
        "model.gamma": 0.3,
        "vectorizer.ngram_range": [1, 2],
        "vectorizer.min_df": 1,
    }


def test_a_condition_on_a_switched_off_sibling_does_not_hold():
    model = """
    _target_: a.B
    first: x
    second: y
    third: 1
    search_space:
      first:  {type: categorical, choices: [w, x]}
      second: {type: categorical, choices: [y, z], when: {first: w}}
      third:  {type: int, low: 0, high: 3, when: {second: y}}
    """
    assert hyperparameters(config_of(model, "{}")) == {"model.first": "x"}
    assert hyperparameters(config_of(model, "{}", model__first="w")) == {
        "model.first": "w",
        "model.second": "y",
        "model.third": 1,
    }


def test_nested_hyperparameters_are_shown_by_their_path_and_follow_their_own_conditions():
    model = """
    _target_: a.Outer
    inner:
      _target_: a.Inner
      kind: flat
      depth: 3
    search_space:
      inner:
        kind:  {type: categorical, choices: [flat, deep]}
        depth: {type: int, low: 1, high: 5, when: {kind: deep}}
    """
    assert hyperparameters(config_of(model, "{}")) == {"model.inner.kind": "flat"}
    deep = hyperparameters(config_of(model, "{}", model__inner__kind="deep"))
    assert deep == {"model.inner.kind": "deep", "model.inner.depth": 3}


def test_interpolations_are_shown_as_what_they_stand_for():
    config = config_of(model__C="${seed}")
    assert hyperparameters(config)["model.C"] == 11


# Candidates


def test_search_space_and_trusted_types_never_reach_the_estimator():
    config = config_of(model__trusted_types=["a.B"], vectorizer__trusted_types=["c.D", "e.F"])
    assert candidate_of(config) == Candidate(
        model={"_target_": "sklearn.svm.SVC", "C": 1.0, "kernel": "linear", "gamma": "scale"},
        vectorizer={
            "_target_": "sklearn.feature_extraction.text.TfidfVectorizer",
            "ngram_range": [1, 2],
            "min_df": 1,
        },
        seed=11,
        trusted_types=("a.B", "c.D", "e.F"),
    )
    run_trial(config)  # SVC would refuse either key


def test_the_config_stays_as_it_was():
    config = config_of(model__trusted_types=["a.B"])
    before = OmegaConf.to_yaml(config)
    candidate_of(config)
    hyperparameters(config)
    run_trial(config)
    assert OmegaConf.to_yaml(config) == before


@pytest.mark.parametrize("group", ["model", "vectorizer"])
@pytest.mark.parametrize("value", ["a.B", 3, ["a.B", 3], {"a": "b"}], ids=str)
def test_trusted_types_that_are_no_list_of_names_are_refused(group, value):
    with pytest.raises(ConfigError, match=rf"^{group}\.trusted_types: .* is not a list of type names"):
        candidate_of(config_of(**{f"{group}__trusted_types": value}))


def test_no_vectorizer_is_an_empty_one():
    assert candidate_of(config_of(vectorizer="{}")).vectorizer == {}


@pytest.mark.parametrize("value", ["${nowhere}", "???", "${nowhere:1}"])
@pytest.mark.parametrize("group", ["model", "vectorizer"])
def test_a_value_that_does_not_resolve_is_named_by_group_and_key(group, value):
    config = config_of(**{f"{group}__C": value})
    with pytest.raises(ConfigError, match=rf"(?s)^{group}: .*\bC\b"):
        candidate_of(config)


# Datasets


def test_one_dataset_is_loaded_once_whatever_the_model():
    loaded.clear()
    first = load_task(config_of(dataset__n_rows=61))
    again = load_task(config_of(dataset__n_rows=61, model__C=3.0, seed=5))
    assert first is again
    run_trial(config_of(dataset__n_rows=61, vectorizer__min_df=2))
    assert loaded == [61]


@pytest.mark.parametrize(
    "change", [{"n_rows": 64}, {"word": "else"}, {"test_size": 0.3}, {"split_seed": 2}, {"n_folds": 3}], ids=str
)
def test_another_dataset_or_split_is_another_task(change):
    first = load_task(config_of())
    other = load_task(config_of(**{f"dataset__{key}": value for key, value in change.items()}))
    assert first is not other


def test_keys_of_the_task_go_to_the_task_and_the_others_to_the_source():
    task = load_task(config_of(dataset__n_rows=80))
    assert isinstance(task, TextClassification)
    assert (task.test_size, task.split_seed, task.n_folds) == (0.25, 1, 2)
    assert len(task.data.texts) == 80


def test_an_argument_of_the_source_may_be_called_data():
    dataset = f"""
    name: given
    task: sweeps.tasks.text.task.TextClassification
    _target_: {HERE}.load_given
    data: 70
    n_folds: 2
    """
    task = load_task(config_of(dataset=dataset))
    assert isinstance(task, TextClassification)
    assert (len(task.data.texts), task.n_folds) == (70, 2)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("dataset__task", None, r"dataset: .*task:"),
        ("dataset__task", "sweeps.tasks.text.task.Nothing", r"dataset\.task: .*Nothing"),
        ("dataset__task", "no_such_package.Task", r"dataset\.task: .*no_such_package"),
        ("dataset__task", "sklearn.svm.SVC", r"dataset\.task: sklearn\.svm\.SVC is not a subclass of sweeps"),
        ("dataset__task", f"{HERE}.load_made_up", r"dataset\.task: .* is not a class"),
        ("dataset___target_", f"{HERE}.nothing", r"dataset\._target_: .*nothing"),
        ("dataset__n_rowz", 3, r"dataset\.n_rowz: .*takes: n_rows, word"),
        ("dataset__test_size", 1.5, r"dataset\.test_size=1\.5"),
        ("dataset__n_folds", 1, r"dataset\.n_folds=1"),
        ("dataset__split_seed", "x", r"dataset\.split_seed=x"),
        ("dataset__n_rows", "???", r"(?s)^dataset: .*n_rows"),
        ("dataset__word", "${nowhere}", r"(?s)^dataset: .*nowhere"),
    ],
)
def test_a_mistake_in_the_dataset_is_named_by_its_key(key, value, message):
    with pytest.raises(ConfigError, match=message):
        load_task(config_of(**{key: value}))


def test_a_dataset_without_a_source_is_told_what_it_needs():
    with pytest.raises(ConfigError, match=r"`_target_: package\.module\.load`"):
        load_task(config_of(dataset="{name: x, task: sweeps.tasks.text.task.TextClassification}"))


def test_data_that_is_unfit_is_refused_each_time():
    for _ in range(2):
        with pytest.raises(DataError, match="too few rows"):
            load_task(config_of(dataset__n_rows=4, dataset__n_folds=3))


# A trial


def scores(result: TrialResult | Evaluation) -> dict[str, float]:
    """The metrics that are the same each time."""
    return {name: value for name, value in result.metrics.items() if name not in TIMINGS}


def test_a_trial_measures_what_its_task_evaluates():
    config = config_of(model__kernel="rbf")
    result = run_trial(config)
    task = load_task(config)
    assert scores(result) == scores(task.evaluate(candidate_of(config)))
    assert result.metrics.keys() == {*scores(result), "fit_seconds"}
    assert set(result.seconds) == {"load", "vectorize", "fit", "score"}
    assert result.warnings == ()


def test_what_a_trial_gives_can_be_written_as_json():
    result = run_trial(config_of())
    shown = [dict(result.metrics), hyperparameters(config_of()), dict(result.seconds), list(result.warnings)]
    assert json.loads(json.dumps(shown)) == shown


@pytest.mark.parametrize("model", ["sklearn.svm.SVC", "sklearn.svm.LinearSVC"])
def test_warnings_are_collected_once_each_and_not_shown(model, recwarn):
    config = config_of(f"{{_target_: {model}, max_iter: 1, C: 100.0}}")
    (message,) = run_trial(config).warnings
    assert message.startswith(f"{ConvergenceWarning.__name__}: ")
    assert not recwarn.list


def test_a_warning_without_words_is_shown_by_its_kind():
    assert run_trial(config_of(f"{{_target_: {HERE}.Mumbling}}")).warnings == ("UserWarning",)


def test_warnings_of_one_trial_are_not_those_of_the_next():
    assert run_trial(config_of("{_target_: sklearn.svm.LinearSVC, max_iter: 1, C: 100.0}")).warnings
    assert run_trial(config_of("{_target_: sklearn.svm.LinearSVC, max_iter: 10000}")).warnings == ()


def test_a_model_that_breaks_raises_its_own_error():
    with pytest.raises(ValueError, match="The 'C' parameter"):
        run_trial(config_of(model__C=-1.0))


def test_the_same_config_gives_the_same_metrics_and_the_seed_matters():
    forest = "{_target_: sklearn.ensemble.RandomForestClassifier, n_estimators: 3, max_depth: 2}"
    first = scores(run_trial(config_of(forest)))
    assert scores(run_trial(config_of(forest))) == first
    assert any(scores(run_trial(config_of(forest, seed=seed))) != first for seed in range(3))
