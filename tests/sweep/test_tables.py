"""What is printed: tables, and the search space as one."""

import optuna

from spaces import collect
from sweeps.compose.search_space import SearchSpace
from sweeps.study.attribute import Attribute
from sweeps.sweep.space_table import describe_space
from sweeps.sweep.tables import front_table, table


def test_a_table_is_as_wide_as_its_widest_cells() -> None:
    assert table([["a", "1"], ["long name", ""]], ["x", "count"]).splitlines() == [
        "x          count",
        "a          1",
        "long name",
    ]


def test_a_front_holds_what_nothing_beats_by_the_first_metric_with_names_and_short_values() -> None:
    study = optuna.create_study(directions=["minimize", "maximize"])
    space = {"model.rate": optuna.distributions.FloatDistribution(0, 1)}
    for rate, values in ((0.123456, [3.0, 9.0]), (0.5, [1.23456, 2.0]), (0.75, [3.5, 8.0])):
        params = {"model.rate": rate}
        proposal = {Attribute.PROPOSAL: {"choices": {"model": "net"}, "hyperparameters": params}}
        study.add_trial(optuna.create_trial(params=params, distributions=space, values=values, user_attrs=proposal))
    assert front_table(study, ("loss", "score"), {"model.rate": "rate"}).splitlines() == [
        "trial  loss   score  searched values",
        "1      1.235  2      model=net, rate=0.5",
        "0      3      9      model=net, rate=0.1235",
    ]


def test_a_described_space_shows_name_distribution_default_condition_and_file() -> None:
    option = {
        "kernel": "linear",
        "gamma": "scale",
        "degree": 3,
        "search_space": {
            "kernel": {"type": "categorical", "choices": ["linear", "rbf", "poly"]},
            "gamma": {"type": "float", "low": 0.01, "high": 10, "log": True, "when": {"kernel": ["rbf", "poly"]}},
            "degree": {"type": "int", "low": 2, "high": 6, "step": 2, "when": {"kernel": "poly"}},
        },
    }
    space = SearchSpace({"model": ("svm", "knn")}, {("model", "svm"): collect(option, "model", "svm", "svm.yaml")})
    rows = [line.split("  ") for line in describe_space(space, "dataset=reviews").splitlines()]
    cells = [[cell.strip() for cell in row if cell.strip()] for row in rows]
    assert cells == [
        ["dataset=reviews"],
        ["name", "distribution", "default", "when", "from"],
        ["model", "one of svm, knn", "svm", "command line"],
        ["model/svm.kernel", "one of linear, rbf, poly", "linear", "svm.yaml"],
        ["model/svm.gamma", "float 0.01 to 10 log", "scale", "kernel is rbf or poly", "svm.yaml"],
        ["model/svm.degree", "int 2 to 6 step 2", "3", "kernel is poly", "svm.yaml"],
    ]


def test_a_described_space_writes_values_as_yaml_does() -> None:
    option = {
        "weight": None,
        "search_space": {"weight": {"type": "categorical", "choices": [None, True, "balanced"]}},
    }
    space = SearchSpace({"model": ("svm",)}, {("model", "svm"): collect(option, "model", "svm", "svm.yaml")})
    shown = describe_space(space, "dataset=reviews").splitlines()[-1]
    assert shown.split("  ")[:3] == ["model/svm.weight", "one of null, true, balanced", "null"]


def test_a_space_without_anything_to_search_says_so() -> None:
    assert (
        describe_space(SearchSpace({"model": ("svm",)}), "dataset=reviews")
        == "dataset=reviews, model=svm: nothing to search."
    )
