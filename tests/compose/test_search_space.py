"""The search-space language: its rules, what is drawn from it, and the points it holds."""

import itertools
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import RandomSampler
from optuna.trial import TrialState

from spaces import collect
from sweeps.base.errors import ConfigError
from sweeps.compose import override_text as overrides
from sweeps.compose.leaf import Leaf, is_unconditional, reachable
from sweeps.compose.search_space import Proposal, SearchSpace
from sweeps.compose.space_yaml import flatten, inactive_keys

FILE = "conf/model/svm.yaml"
SVM = """
_target_: sklearn.svm.SVC
C: 1.0
kernel: linear
gamma: scale
degree: 3
search_space:
  C:      {type: float, low: 1.0e-3, high: 1.0e2, log: true}
  kernel: {type: categorical, choices: [linear, rbf, poly]}
  gamma:  {type: float, low: 1.0e-4, high: 1.0, log: true, when: {kernel: [rbf, poly]}}
  degree: {type: int, low: 2, high: 4, when: {kernel: poly}}
"""


def option_of(yaml: str) -> dict[str, Any]:
    """An option's config as plain containers."""
    option = OmegaConf.to_container(OmegaConf.create(yaml), resolve=True)
    assert isinstance(option, dict)
    return {str(key): value for key, value in option.items()}


def leaves_of(yaml: str, group: str = "model", choice: str = "svm") -> tuple[Leaf, ...]:
    """The checked leaves of an option."""
    return collect(option_of(yaml), group, choice, FILE)


def space_of(**options: str) -> SearchSpace:
    """A space over one group `model` with these options."""
    return SearchSpace(
        {"model": tuple(options)}, {("model", name): leaves_of(yaml, choice=name) for name, yaml in options.items()}
    )


def study_with(seed: int = 0) -> optuna.Study:
    """A study in memory that draws at random."""
    return optuna.create_study(sampler=RandomSampler(seed=seed))


def proposals(space: SearchSpace, count: int, seed: int = 0) -> Iterator[tuple[optuna.Trial, Proposal]]:
    """Trials with what was drawn for them."""
    study = study_with(seed)
    for _ in range(count):
        trial = study.ask()
        yield trial, space.suggest(trial)


# Reading


def test_a_leaf_has_its_place_its_name_its_default_and_its_conditions() -> None:
    c, kernel, gamma, degree = leaves_of(SVM)
    assert c == Leaf("model.C", "model/svm.C", FloatDistribution(1e-3, 1e2, log=True), 1.0, {}, FILE)
    assert kernel.distribution == CategoricalDistribution(["linear", "rbf", "poly"])
    assert gamma.when == {"model.kernel": ("rbf", "poly")}
    assert gamma.default == "scale"
    assert degree.distribution == IntDistribution(2, 4)
    assert degree.when == {"model.kernel": ("poly",)}


@pytest.mark.parametrize("yaml", ["C: 1.0", "{C: 1.0, search_space: null}", "{C: 1.0, search_space: {}}", "{}"])
def test_an_option_without_a_search_space_has_nothing_to_search(yaml: str) -> None:
    assert leaves_of(yaml) == ()


def test_nested_mappings_mirror_the_config_and_conditions_stay_within_one_mapping() -> None:
    sim, shrinkage, k = leaves_of(
        """
        k: 40
        sim_options: {name: msd, shrinkage: 100, type: user}
        search_space:
          sim_options:
            name: {type: categorical, choices: [msd, pearson]}
            shrinkage: {type: int, low: 0, high: 200, step: 50, when: {name: pearson}}
          k: {type: int, low: 5, high: 50}
        """
    )
    assert (sim.key, sim.name) == ("model.sim_options.name", "model/svm.sim_options.name")
    assert shrinkage.when == {"model.sim_options.name": ("pearson",)}
    assert (k.key, k.default) == ("model.k", 40)


def test_a_hyperparameter_may_be_called_type() -> None:
    (leaf,) = leaves_of("{inner: {type: a}, search_space: {inner: {type: {type: categorical, choices: [a, b]}}}}")
    assert (leaf.key, leaf.default) == ("model.inner.type", "a")


# One broken rule each: (default beside the space, the space, what the message says after `search_space`).
BROKEN = {
    "the space is a list": ("C: 1", "[C]", r" must be a mapping of keys to distributions, not \['C'\]"),
    "the space is a word": ("C: 1", "C", r" must be a mapping of keys to distributions, not 'C'"),
    "a leaf is a number": ("C: 1", "{C: 3}", r"\.C must be a distribution such as .*, not 3"),
    "a leaf is empty": ("C: 1", "{C: {}}", r"\.C needs a `type`"),
    "no type": ("C: 1", "{C: {low: 0, high: 1}}", r"\.C needs a `type`: float, int or categorical"),
    "type is no word": ("C: 1", "{C: {type: 3, low: 0, high: 1}}", r"\.C needs a `type`"),
    "unknown type": ("C: 1", "{C: {type: uniform, low: 0, high: 1}}", r"\.C\.type: 'uniform' is not a type"),
    "type in capitals": ("C: 1", "{C: {type: Float, low: 0, high: 1}}", r"\.C\.type: 'Float' is not a type"),
    "no default": ("C: 1", "{D: {type: int, low: 0, high: 1}}", r"\.D has no default .*`D: VALUE`"),
    "no nested default": (
        "a: {b: 1}",
        "{a: {c: {type: int, low: 0, high: 1}}}",
        r"\.a\.c has no default .*`a\.c: VALUE`",
    ),
    "the space searches itself": (
        "C: 1",
        "{search_space: {type: int, low: 0, high: 1}}",
        r"\.search_space: search_space is not a hyperparameter",
    ),
    "the space searches the class": (
        "_target_: a.B",
        "{_target_: {type: categorical, choices: [a.B, a.C]}}",
        r"\._target_: _target_ is not a hyperparameter and cannot be searched",
    ),
    "the space searches what is trusted": (
        "trusted_types: []",
        "{trusted_types: {type: categorical, choices: [[]]}}",
        r"\.trusted_types: trusted_types is not a hyperparameter and cannot be searched",
    ),
    "the space is zero": ("C: 1", "0", r" must be a mapping of keys to distributions, not 0"),
    "the space is false": ("C: 1", "false", r" must be a mapping of keys to distributions, not False"),
    "the space is an empty text": ("C: 1", "''", r" must be a mapping of keys to distributions, not ''"),
    "the space is an empty list": ("C: 1", "[]", r" must be a mapping of keys to distributions, not \[\]"),
    "an empty leaf beside a mapping": ("a: {b: 1}", "{a: {}}", r"\.a needs a `type`"),
    "type misspelt beside a mapping": (
        "C: {low: 0, high: 1}",
        "{C: {typ: float, low: 0, high: 1}}",
        r"\.C\.typ must be a distribution such as .*, not 'float'",
    ),
    "low without end": ("C: 1", "{C: {type: float, low: -.inf, high: 1}}", r"\.C: low=-inf is not a finite number"),
    "high without end": ("C: 1", "{C: {type: float, low: 0, high: .inf}}", r"\.C: high=inf is not a finite number"),
    "low is no number": ("C: 1", "{C: {type: float, low: .nan, high: 1}}", r"\.C: low=nan is not a finite number"),
    "high is no number": ("C: 1", "{C: {type: float, low: 0, high: .nan}}", r"\.C: high=nan is not a finite number"),
    "wider than a float": (
        "C: 1",
        "{C: {type: float, low: -1.0e+308, high: 1.0e+308}}",
        r"\.C: the range from -1e\+308 to 1e\+308 is too wide for a float",
    ),
    "a whole number larger than any float": (
        "C: 1",
        f"{{C: {{type: float, low: 0, high: 1{'0' * 400}}}}}",
        r"\.C: high=10+ is not a finite number of 64 bits",
    ),
    "a whole number beyond 64 bits": (
        "C: 1",
        f"{{C: {{type: int, low: 0, high: 1{'0' * 30}}}}}",
        r"\.C: high=10+ is not a finite number of 64 bits",
    ),
    "unknown word": ("C: 1", "{C: {type: float, low: 0, hihg: 1}}", r"\.C: unknown 'hihg'; a float can have"),
    "choices of a number": ("C: 1", "{C: {type: int, choices: [1, 2]}}", r"\.C: unknown 'choices'"),
    "bounds of a choice": ("C: 1", "{C: {type: categorical, low: 0}}", r"\.C: unknown 'low'"),
    "no low": ("C: 1", "{C: {type: float, high: 1}}", r"\.C: 'low' is missing; a float needs low and high"),
    "no high": ("C: 1", "{C: {type: int, low: 1}}", r"\.C: 'high' is missing; a int needs low and high"),
    "low is a word": ("C: 1", "{C: {type: float, low: a, high: 1}}", r"\.C\.low: 'a' is not a number"),
    "low is null": ("C: 1", "{C: {type: float, low: null, high: 1}}", r"\.C\.low: None is not a number"),
    "high is a truth": (
        "C: 1",
        "{C: {type: float, low: 0, high: true}}",
        r"\.C\.high: True is not a number",
    ),
    "int with a fraction": (
        "C: 1",
        "{C: {type: int, low: 0.5, high: 2}}",
        r"\.C\.low: 0\.5 is not a whole",
    ),
    "step is a word": (
        "C: 1",
        "{C: {type: int, low: 0, high: 2, step: a}}",
        r"\.C\.step: 'a' is not a whole",
    ),
    "log is a word": (
        "C: 1",
        "{C: {type: float, low: 1, high: 2, log: 'yes'}}",
        r"\.C\.log: 'yes' must be true or false",
    ),
    "log is null": ("C: 1", "{C: {type: float, low: 1, high: 2, log: null}}", r"\.C\.log: None must be true or false"),
    "low above high": ("C: 1", "{C: {type: float, low: 2, high: 1}}", r"\.C: .*low <= high"),
    "log from zero": ("C: 1", "{C: {type: float, low: 0, high: 1, log: true}}", r"\.C: .*low > 0"),
    "int log from zero": ("C: 1", "{C: {type: int, low: 0, high: 9, log: true}}", r"\.C: .*low >= 1"),
    "log with a step": ("C: 1", "{C: {type: float, low: 1, high: 3, log: true, step: 1}}", r"\.C: .*step"),
    "int log with a step": (
        "C: 1",
        "{C: {type: int, low: 1, high: 3, log: true, step: 2}}",
        r"\.C: .*step",
    ),
    "step of zero": ("C: 1", "{C: {type: float, low: 1, high: 3, step: 0}}", r"\.C: .*step > 0"),
    "step below zero": ("C: 1", "{C: {type: int, low: 1, high: 3, step: -1}}", r"\.C: .*step > 0"),
    "step that misses high": (
        "C: 1",
        "{C: {type: int, low: 0, high: 5, step: 2}}",
        r"\.C: high - low is not a multiple of step",
    ),
    "float step that misses high": (
        "C: 1",
        "{C: {type: float, low: 0, high: 1, step: 0.3}}",
        r"\.C: high - low is not a multiple of step",
    ),
    "no choices": ("C: 1", "{C: {type: categorical}}", r"\.C\.choices: None must be a list"),
    "an empty list of choices": (
        "C: 1",
        "{C: {type: categorical, choices: []}}",
        r"\.C\.choices: \[\] must be",
    ),
    "choices are a word": (
        "C: 1",
        "{C: {type: categorical, choices: ab}}",
        r"\.C\.choices: 'ab' must be a list",
    ),
    "a choice is a mapping": (
        "C: 1",
        "{C: {type: categorical, choices: [{a: 1}]}}",
        r"\.C\.choices: .* mapping",
    ),
    "a choice twice": (
        "C: 1",
        "{C: {type: categorical, choices: [a, b, a]}}",
        r"\.C\.choices: 'a' .* twice",
    ),
    "equal numbers": (
        "C: 1",
        "{C: {type: categorical, choices: [1, 1.0]}}",
        r"\.C\.choices: 1\.0 .* twice",
    ),
    "one and true": ("C: 1", "{C: {type: categorical, choices: [1, true]}}", r"\.C\.choices: True .* twice .*true"),
    "null twice": ("C: 1", "{C: {type: categorical, choices: [null, ~]}}", r"\.C\.choices: None .* twice"),
    "a list twice": (
        "C: 1",
        '{C: {type: categorical, choices: ["[1,2]", [1, 2]]}}',
        r"\.C\.choices: '\[1,2\]' .* twice",
    ),
}
BROKEN_WHEN = {
    "a word": ("gamma", "rbf", r"gamma\.when: 'rbf' must be a mapping"),
    "a list": ("gamma", "[kernel]", r"gamma\.when: \['kernel'\] must be a mapping"),
    "empty": ("gamma", "{}", r"gamma\.when: \{\} must be a mapping"),
    "an unknown sibling": ("gamma", "{kernle: rbf}", r"gamma\.when: 'kernle' must be an earlier .*there is: kernel"),
    "a sibling that is a number": ("gamma", "{C: 1}", r"gamma\.when: 'C' must be an earlier categorical"),
    "itself": ("gamma", "{gamma: 1}", r"gamma\.when: 'gamma' must be an earlier categorical"),
    "an unknown choice": ("gamma", "{kernel: poly}", r"gamma\.when: 'kernel' has no choice 'poly'; .*'linear', 'rbf'"),
    "one unknown choice of two": ("gamma", "{kernel: [rbf, poly]}", r"gamma\.when: 'kernel' has no choice 'poly'"),
    "no choice at all": ("gamma", "{kernel: []}", r"gamma\.when: 'kernel' has an empty list of values"),
    "a choice of another type": ("gamma", "{kernel: true}", r"gamma\.when: 'kernel' has no choice True"),
}


@pytest.mark.parametrize(("beside", "space", "message"), BROKEN.values(), ids=BROKEN)
def test_a_broken_rule_is_named_with_file_and_key(beside: str, space: str, message: str) -> None:
    with pytest.raises(ConfigError, match=rf"^conf/model/svm\.yaml: search_space{message}"):
        leaves_of(f"{beside}\nsearch_space: {space}")


@pytest.mark.parametrize(("key", "when", "message"), BROKEN_WHEN.values(), ids=BROKEN_WHEN)
def test_a_broken_condition_is_named_with_file_and_key(key: str, when: str, message: str) -> None:
    space = f"""
      kernel: {{type: categorical, choices: [linear, rbf]}}
      C: {{type: float, low: 0, high: 1}}
      {key}: {{type: float, low: 0, high: 1, when: {when}}}
    """
    with pytest.raises(ConfigError, match=rf"^conf/model/svm\.yaml: search_space\.{message}"):
        leaves_of(f"kernel: linear\nC: 1\ngamma: 1\nsearch_space: {space}")


def test_a_condition_must_come_after_the_sibling_that_it_names() -> None:
    with pytest.raises(ConfigError, match=r"search_space\.gamma\.when: 'kernel' .* there is none above it"):
        leaves_of(
            """
            {kernel: linear, gamma: 1, search_space: {
              gamma: {type: float, low: 0, high: 1, when: {kernel: rbf}},
              kernel: {type: categorical, choices: [linear, rbf]}}}
            """
        )


def test_a_condition_cannot_reach_out_of_its_mapping() -> None:
    with pytest.raises(ConfigError, match=r"search_space\.inner\.deep\.when: 'kernel' .* there is none above it"):
        leaves_of(
            """
            {kernel: linear, inner: {deep: 1}, search_space: {
              kernel: {type: categorical, choices: [linear, rbf]},
              inner: {deep: {type: float, low: 0, high: 1, when: {kernel: rbf}}}}}
            """
        )


def test_a_condition_on_a_truth_does_not_accept_a_number() -> None:
    yaml = """
        {{bias: true, scale: 1.0, search_space: {{
          bias: {{type: categorical, choices: [true, false]}},
          scale: {{type: float, low: 0, high: 2, when: {{bias: {value}}}}}}}}}
    """
    assert leaves_of(yaml.format(value="true"))[1].when == {"model.bias": (True,)}
    with pytest.raises(ConfigError, match=r"'bias' has no choice 1; its choices are: \[True, False\]"):
        leaves_of(yaml.format(value="1"))


# Choices that are lists

NGRAMS = '{ngram_range: [1, 1], search_space: {ngram_range: {type: categorical, choices: ["[1,1]", [1, 2], "[1, 3]"]}}}'


def test_a_choice_that_is_a_list_is_text_in_optuna_and_a_list_in_the_config() -> None:
    space = space_of(tfidf=NGRAMS)
    seen = set()
    for trial, proposal in proposals(space, 40):
        drawn = trial.params["model/tfidf.ngram_range"]
        assert isinstance(drawn, str)
        assert proposal.values == {"model.ngram_range": overrides.from_text(drawn)}
        seen.add(tuple(proposal.values["model.ngram_range"]))
    assert seen == {(1, 1), (1, 2), (1, 3)}


@pytest.mark.parametrize("text", ["[a-z]+", r"\w+", "[", "[1,2", "[^a]", "(?u)[a-z]+"])
def test_a_choice_that_only_begins_like_a_list_is_a_text(text: str) -> None:
    option = {"x": "y", "search_space": {"x": {"type": "categorical", "choices": ["y", text]}}}
    (leaf,) = collect(option, "model", "m", FILE)
    assert leaf.decode(text) == text


@pytest.mark.parametrize("choice", [["${x}"], ["\\${x}", "it's"], [["a,b"], None]], ids=repr)
def test_a_choice_that_is_a_list_is_decoded_to_itself(choice: list[Any]) -> None:
    option = {"x": "y", "search_space": {"x": {"type": "categorical", "choices": ["y", choice]}}}
    (leaf,) = collect(option, "model", "m", FILE)
    assert isinstance(leaf.distribution, CategoricalDistribution)
    assert leaf.decode(leaf.distribution.choices[1]) == choice


def test_a_default_that_is_a_list_is_found_among_the_choices() -> None:
    assert space_of(tfidf=NGRAMS).defaults() == [{"model/tfidf.ngram_range": "[1,1]"}]


def test_a_condition_on_a_list_names_it_in_a_list_of_values() -> None:
    first, second = leaves_of(
        """
        {ngrams: [1, 1], df: 1, search_space: {
          ngrams: {type: categorical, choices: [[1, 1], [1, 2]]},
          df: {type: int, low: 1, high: 5, when: {ngrams: [[1, 2]]}}}}
        """
    )
    assert second.is_active({first.key: [1, 2]})
    assert not second.is_active({first.key: [1, 1]})


# Drawing, conditions included

CHAIN = """
a: x
b: p
c: 1
d: 0.5
search_space:
  a: {type: categorical, choices: [x, y, z]}
  b: {type: categorical, choices: [p, q], when: {a: [y, z]}}
  c: {type: int, low: 1, high: 3, when: {b: q}}
  d: {type: float, low: 0, high: 1, step: 0.5, when: {a: z, b: p}}
"""


def test_a_chain_of_conditions_is_active_only_as_a_whole() -> None:
    keys = set()
    for _, proposal in proposals(space_of(m=CHAIN), 200):
        values = {key.removeprefix("model."): value for key, value in proposal.values.items()}
        keys.add(frozenset(values))
        assert ("b" in values) == (values["a"] in {"y", "z"})
        assert ("c" in values) == (values.get("b") == "q")
        assert ("d" in values) == (values["a"] == "z" and values.get("b") == "p")
    assert keys == {frozenset("a"), frozenset("ab"), frozenset("abc"), frozenset("abd")}


def test_a_leaf_whose_sibling_is_switched_off_is_off_even_where_that_ones_default_fits() -> None:
    yaml = CHAIN.replace("b: p\n", "b: q\n", 1)
    for _, proposal in proposals(space_of(m=yaml), 50):
        assert not (proposal.values["model.a"] == "x" and "model.c" in proposal.values)


def test_the_grid_of_a_chain_is_each_reachable_combination_once() -> None:
    points = [tuple(sorted(point.items())) for point in space_of(m=CHAIN).grid()]
    names = ["model/m.a", "model/m.b", "model/m.c", "model/m.d"]
    expected = [("x",)]
    expected += [(a, "q", c) for a in "yz" for c in (1, 2, 3)]
    expected += [("y", "p"), *(("z", "p", d) for d in (0.0, 0.5, 1.0))]

    def named(point: tuple[Any, ...]) -> tuple[tuple[str, Any], ...]:
        keys = [*names[:2], names[3]] if point[:2] == ("z", "p") else names
        return tuple(zip(keys, point, strict=False))

    assert sorted(points, key=repr) == sorted(map(named, expected), key=repr)


def test_grid_points_of_a_float_with_a_step_are_the_numbers_one_would_type() -> None:
    space = space_of(m="{C: 0.3, search_space: {C: {type: float, low: 0, high: 1, step: 0.1}}}")
    assert [point["model/m.C"] for point in space.grid()] == [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1]
    assert space.defaults()[0] in list(space.grid())


def test_an_endless_float_has_no_grid_and_the_message_says_what_to_type() -> None:
    with pytest.raises(ConfigError, match=r"model/svm\.C \(conf/model/svm\.yaml\).*'model\.C=choice\(0\.1,1,10\)'"):
        list(space_of(svm=SVM).grid())


def test_the_same_hyperparameter_of_two_options_has_two_names() -> None:
    other = "{C: 2.0, search_space: {C: {type: float, low: 1, high: 3}}}"
    space = space_of(svm=SVM, logistic=other)
    for trial, proposal in proposals(space, 40):
        chosen = proposal.choices["model"]
        assert f"model/{chosen}.C" in trial.params
        assert all(name == "model" or name.startswith(f"model/{chosen}.") for name in trial.params)
        assert "model.C" in proposal.values


def test_a_group_with_one_option_is_not_drawn() -> None:
    for trial, proposal in proposals(space_of(svm=SVM), 3):
        assert proposal.choices == {"model": "svm"}
        assert "model" not in trial.params


def test_a_proposal_is_written_as_overrides_with_the_groups_first() -> None:
    proposal = Proposal({"model": "svm", "vectorizer": "tfidf"}, {"model.x": "a,b", "vectorizer.ngram_range": [1, 2]})
    assert SearchSpace({"model": ("svm",), "vectorizer": ("tfidf",)}).override_texts(proposal) == [
        "model=svm",
        "vectorizer=tfidf",
        "model.x='a,b'",
        "vectorizer.ngram_range=[1,2]",
    ]


def test_a_group_outside_the_defaults_list_is_typed_with_a_plus_and_one_that_the_config_chooses_is_not_typed() -> None:
    groups = {"db": ("mysql", "sqlite"), "optimizer": ("adam",)}
    space = SearchSpace(groups, added={"db"}, implied={"optimizer"})
    proposal = Proposal({"db": "sqlite", "optimizer": "adam"}, {"optimizer.lr": 0.5})
    assert space.override_texts(proposal) == ["+db=sqlite", "optimizer.lr=0.5"]


# The first trials


def enqueued(space: SearchSpace) -> list[tuple[optuna.Trial, Proposal]]:
    """The default trials as a sweep runs them."""
    study = study_with()
    for parameters in space.defaults():
        study.enqueue_trial(parameters)
    return [(trial, space.suggest(trial, is_default=True)) for trial in (study.ask() for _ in space.defaults())]


def test_the_first_trials_are_the_defaults_of_each_option_in_the_order_typed() -> None:
    logistic = "{C: 2.0, search_space: {C: {type: float, low: 1, high: 3}}}"
    space = space_of(logistic=logistic, svm=SVM)
    assert space.defaults() == [
        {"model": "logistic", "model/logistic.C": 2.0},
        {"model": "svm", "model/svm.C": 1.0, "model/svm.kernel": "linear"},
    ]
    (_, first), (_, second) = enqueued(space)
    assert first == Proposal({"model": "logistic"}, {"model.C": 2.0})
    assert second == Proposal({"model": "svm"}, {"model.C": 1.0, "model.kernel": "linear"})


def test_other_groups_stand_at_their_first_option_in_the_first_trials() -> None:
    vectorizer = leaves_of("{df: 2, search_space: {df: {type: int, low: 1, high: 5}}}", "vectorizer", "count")
    space = SearchSpace(
        {"model": ("a", "b"), "vectorizer": ("count", "tfidf")},
        {("model", "a"): (), ("model", "b"): (), ("vectorizer", "count"): vectorizer, ("vectorizer", "tfidf"): ()},
    )
    assert space.defaults() == [
        {"model": "a", "vectorizer": "count", "vectorizer/count.df": 2},
        {"model": "b", "vectorizer": "count", "vectorizer/count.df": 2},
    ]


def test_without_a_swept_model_there_is_one_first_trial() -> None:
    groups = {"model": ("svm",), "vectorizer": ("count", "tfidf")}
    space = SearchSpace(groups, {("model", "svm"): leaves_of(SVM)}, lead="model")
    assert space.defaults() == [{"vectorizer": "count", "model/svm.C": 1.0, "model/svm.kernel": "linear"}]


def test_without_a_lead_the_first_swept_group_has_a_first_trial_for_each_option() -> None:
    groups = {"model": ("svm",), "vectorizer": ("count", "tfidf"), "dataset": ("a", "b")}
    space = SearchSpace(groups, {("model", "svm"): leaves_of(SVM)})
    of_svm = {"dataset": "a", "model/svm.C": 1.0, "model/svm.kernel": "linear"}
    assert space.defaults() == [{"vectorizer": "count", **of_svm}, {"vectorizer": "tfidf", **of_svm}]


def test_a_default_outside_its_distribution_runs_as_written_and_is_left_undrawn() -> None:
    space = space_of(svm=SVM.replace("kernel: linear", "kernel: rbf"))
    assert space.defaults() == [{"model/svm.C": 1.0, "model/svm.kernel": "rbf"}]
    ((trial, proposal),) = enqueued(space)
    assert "model.gamma" not in proposal.values
    assert "model/svm.gamma" not in trial.params


def test_an_undrawn_default_still_decides_the_leaves_that_depend_on_it() -> None:
    yaml = """
        {kernel: linear, gamma: 1.0, C: 1.0, search_space: {
          kernel: {type: categorical, choices: [rbf, poly]},
          gamma: {type: float, low: 0, high: 2, when: {kernel: rbf}},
          C: {type: float, low: 0, high: 2}}}
    """
    ((_, proposal),) = enqueued(space_of(m=yaml))
    assert proposal.values == {"model.C": 1.0}


@pytest.mark.parametrize(
    ("distribution", "default", "encoded"),
    [
        ("{type: float, low: 0, high: 1}", 1, 1.0),
        ("{type: float, low: 0, high: 1}", 1.5, None),
        ("{type: float, low: 0, high: 1}", True, None),
        ("{type: float, low: 0, high: 1}", None, None),
        ("{type: float, low: 0, high: 1}", "0.5", None),
        ("{type: float, low: 0, high: 1}", math.nan, None),
        ("{type: float, low: 0, high: 1}", math.inf, None),
        ("{type: float, low: 0, high: 1, step: 0.1}", 0.3, 0.3),
        ("{type: float, low: 0, high: 1, step: 0.1}", 0.35, None),
        ("{type: int, low: 1, high: 9, step: 2}", 3, 3),
        ("{type: int, low: 1, high: 9, step: 2}", 4, None),
        ("{type: int, low: 1, high: 9}", 3.0, 3),
        ("{type: int, low: 1, high: 9}", 3.5, None),
        ("{type: int, low: 1, high: 9, log: true}", 9, 9),
        ("{type: categorical, choices: [null, 2]}", 2, 2),
        ("{type: categorical, choices: [a, null]}", "b", None),
        ("{type: categorical, choices: [true, false]}", 1, None),
        ("{type: categorical, choices: [0, 1]}", False, None),
        ("{type: categorical, choices: [[1, 2], a]}", [1, 2], "[1,2]"),
        ("{type: categorical, choices: ['1', '2']}", 1, None),
    ],
)
def test_a_default_counts_as_inside_only_where_the_distribution_holds_that_very_value(
    distribution: str, default: Any, encoded: Any
) -> None:
    option = {"x": default, "search_space": {"x": option_of(distribution)}}
    (leaf,) = collect(option, "model", "m", FILE)
    inside, value = leaf.encode(leaf.default)
    assert inside == (encoded is not None)
    assert repr(value) == repr(encoded)


def test_a_null_default_among_the_choices_is_drawn() -> None:
    yaml = "{x: null, search_space: {x: {type: categorical, choices: [balanced, null]}}}"
    assert space_of(m=yaml).defaults() == [{"model/m.x": None}]
    ((_, proposal),) = enqueued(space_of(m=yaml))
    assert proposal.values == {"model.x": None}


# Random conditional spaces against brute force


@dataclass(frozen=True)
class Spec:
    """One generated leaf: its finite values and its conditions by sibling name."""

    name: str
    yaml: dict[str, Any]
    values: tuple[Any, ...]
    when: Mapping[str, tuple[Any, ...]]
    default: Any


CHOICES: tuple[tuple[Any, ...], ...] = (
    ("a", "b"),
    (None, "x", 2.5),
    (True, False),
    ("a,b", "${x}", "it's"),
    ([1, 1], [1, 2]),
    (1, 2, 3),
    ("only",),
)


@st.composite
def spec_lists(draw: st.DrawFn) -> list[Spec]:
    specs: list[Spec] = []
    for index in range(draw(st.integers(0, 5))):
        kind = draw(st.sampled_from(["categorical", "int", "float"]))
        yaml: dict[str, Any] = {"type": kind}
        values: tuple[Any, ...]
        if kind == "categorical":
            values = draw(st.sampled_from(CHOICES))
            yaml["choices"] = list(values)
        elif kind == "int":
            low, step, n_steps = draw(st.integers(-5, 5)), draw(st.integers(1, 3)), draw(st.integers(0, 3))
            values = tuple(low + step * i for i in range(n_steps + 1))
            yaml |= {"low": low, "high": values[-1], "step": step}
        else:
            low, n_steps = draw(st.sampled_from([-1.0, 0.0, 0.5])), draw(st.integers(0, 3))
            values = tuple(low + 0.25 * i for i in range(n_steps + 1))
            yaml |= {"low": low, "high": values[-1], "step": 0.25}
        when: dict[str, tuple[Any, ...]] = {}
        for earlier in specs:
            if earlier.yaml["type"] == "categorical" and draw(st.integers(0, 2)) == 0:
                when[earlier.name] = tuple(
                    draw(st.lists(st.sampled_from(earlier.values), min_size=1, max_size=2, unique_by=repr))
                )
        if when:
            yaml["when"] = {name: list(wanted) for name, wanted in when.items()}
        default = draw(st.sampled_from(values) | st.just("outside"))
        specs.append(Spec(f"p{index}", yaml, values, when, default))
    return specs


def space_of_specs(options: Mapping[str, Sequence[Spec]]) -> SearchSpace:
    leaves = {}
    for name, specs in options.items():
        option = {spec.name: spec.default for spec in specs}
        option["search_space"] = {spec.name: spec.yaml for spec in specs}
        leaves["model", name] = collect(option, "model", name, FILE)
    return SearchSpace({"model": tuple(options)}, leaves)


def active(specs: Sequence[Spec], assignment: Mapping[str, Any]) -> dict[str, Any]:
    """The reference: which of a full assignment is active, decided from the first to the last."""
    alive: dict[str, Any] = {}
    for spec in specs:
        if all(name in alive and alive[name] in wanted for name, wanted in spec.when.items()):
            alive[spec.name] = assignment[spec.name]
    return alive


def brute_force(specs: Sequence[Spec]) -> set[str]:
    """Every point, by trying every assignment of every leaf and leaving out what is inactive."""
    names = [spec.name for spec in specs]
    return {
        repr(sorted(active(specs, dict(zip(names, values, strict=True))).items()))
        for values in itertools.product(*(spec.values for spec in specs))
    }


def decoded(space: SearchSpace, point: Mapping[str, Any]) -> tuple[str, str]:
    """A grid point as its option and its values in the config."""
    by_name = {leaf.name: leaf for leaf in space.searched_leaves()}
    option = point.get("model", space.groups["model"][0])
    values = {name.rpartition(".")[2]: by_name[name].decode(value) for name, value in point.items() if name != "model"}
    return option, repr(sorted(values.items()))


@given(st.dictionaries(st.sampled_from(["svm", "knn"]), spec_lists(), min_size=1))
@settings(max_examples=120, deadline=None)
def test_the_grid_is_exactly_the_points_that_brute_force_finds_and_each_once(options: dict[str, list[Spec]]) -> None:
    space = space_of_specs(options)
    points = [decoded(space, point) for point in space.grid()]
    expected = {(name, point) for name, specs in options.items() for point in brute_force(specs)}
    assert len(points) == len(set(points))
    assert set(points) == expected


@given(st.dictionaries(st.sampled_from(["svm", "knn"]), spec_lists(), min_size=1), st.integers(0, 2**32 - 1))
@settings(max_examples=120, deadline=None)
def test_every_drawn_proposal_is_a_point_of_the_grid_and_is_given_back_by_replay(
    options: dict[str, list[Spec]], seed: int
) -> None:
    space = space_of_specs(options)
    expected = {(name, point) for name, specs in options.items() for point in brute_force(specs)}
    study = study_with(seed)
    for _ in range(6):
        trial = study.ask()
        proposal = space.suggest(trial)
        values = {key.removeprefix("model."): value for key, value in proposal.values.items()}
        assert (proposal.choices["model"], repr(sorted(values.items()))) in expected
        told = study.tell(trial, 0.0)
        assert space.replay(told) == proposal


@given(st.dictionaries(st.sampled_from(["svm", "knn"]), spec_lists(), min_size=1))
@settings(max_examples=120, deadline=None)
def test_a_default_trial_draws_nothing_but_defaults(options: dict[str, list[Spec]]) -> None:
    space = space_of_specs(options)
    firsts = enqueued(space)
    assert [proposal.choices["model"] for _, proposal in firsts] == list(options)
    for trial, proposal in firsts:
        specs = options[proposal.choices["model"]]
        alive = active(specs, {spec.name: spec.default for spec in specs})
        inside = {spec.name for spec in specs if spec.default in spec.values}
        expected = {f"model.{name}": value for name, value in alive.items() if name in inside}
        assert proposal.values == expected
        told = trial.study.tell(trial, 0.0)
        assert told.state is TrialState.COMPLETE
        assert space.replay(told) == proposal


@given(spec_lists(), st.integers(0, 2**32 - 1))
@settings(max_examples=120, deadline=None)
def test_what_a_trials_own_config_switches_off_is_what_was_not_drawn(specs: list[Spec], seed: int) -> None:
    space = space_of_specs({"svm": specs})
    for _, proposal in proposals(space, 3, seed):
        option: dict[str, Any] = {spec.name: spec.default for spec in specs}
        option |= {key.removeprefix("model."): value for key, value in proposal.values.items()}
        option["search_space"] = {spec.name: spec.yaml for spec in specs}
        drawn = {key.removeprefix("model.") for key in proposal.values}
        assert inactive_keys(option) == {spec.name for spec in specs} - drawn


@given(
    st.floats(-1e6, 1e6), st.floats(0, 1e6), st.integers(-1000, 1000), st.integers(0, 1000), st.integers(0, 2**32 - 1)
)
@settings(max_examples=60, deadline=None)
def test_numbers_are_drawn_within_their_bounds(low: float, width: float, floor: int, span: int, seed: int) -> None:
    option = {
        "x": 0.0,
        "n": 0,
        "search_space": {
            "x": {"type": "float", "low": low, "high": low + width},
            "n": {"type": "int", "low": floor, "high": floor + span},
        },
    }
    space = SearchSpace({"model": ("m",)}, {("model", "m"): collect(option, "model", "m", FILE)})
    for _, proposal in proposals(space, 5, seed):
        assert low <= proposal.values["model.x"] <= low + width
        assert floor <= proposal.values["model.n"] <= floor + span
        assert isinstance(proposal.values["model.n"], int)


# After overrides


def fixing(option: dict[str, Any], fixed: Collection[str]) -> tuple[Leaf, ...]:
    """The reachable leaves of an option of which an override fixes some keys."""
    leaves = collect(option, "model", "m", FILE)
    return reachable([replace(leaf, is_fixed=leaf.key.removeprefix("model.") in fixed) for leaf in leaves])


def kept_of(yaml: str, **fixed: Any) -> dict[str, str]:
    """The leaves that are still searched when an override fixes these values: in every trial, or in some."""
    kept = fixing(option_of(yaml) | fixed, fixed)
    return {
        leaf.key.removeprefix("model."): "every" if is_unconditional(leaf, kept) else "some"
        for leaf in kept
        if not leaf.is_fixed
    }


def test_a_leaf_whose_condition_a_fixed_value_rules_out_is_dropped() -> None:
    assert kept_of(SVM, kernel="linear") == {"C": "every"}


def test_a_leaf_whose_condition_a_fixed_value_fulfils_is_in_every_trial() -> None:
    assert kept_of(SVM, kernel="rbf") == {"C": "every", "gamma": "every"}
    assert kept_of(CHAIN, a="z", b="p") == {"d": "every"}


def test_what_depends_on_a_dropped_leaf_is_dropped_too() -> None:
    assert kept_of(CHAIN, a="x") == {}


def test_a_fixed_leaf_hands_its_own_condition_to_its_dependants() -> None:
    assert kept_of(CHAIN, b="q") == {"a": "every", "c": "some"}
    assert kept_of(CHAIN, b="p") == {"a": "every", "d": "some"}


def test_a_fixed_leaf_that_is_itself_ruled_out_takes_its_dependants_along() -> None:
    assert kept_of(CHAIN, a="x", b="q") == {}


def test_nothing_is_dropped_or_changed_where_nothing_is_fixed() -> None:
    leaves = leaves_of(CHAIN)
    assert reachable(leaves) == leaves


@given(spec_lists(), st.data())
@settings(max_examples=120, deadline=None)
def test_what_is_drawn_beside_fixed_values_is_what_the_trials_own_config_leaves_on(
    specs: list[Spec], data: st.DataObject
) -> None:
    names = data.draw(st.lists(st.sampled_from(specs), unique_by=lambda spec: spec.name)) if specs else []
    fixed = {spec.name: data.draw(st.sampled_from(spec.values)) for spec in names}
    option: dict[str, Any] = {spec.name: spec.default for spec in specs} | fixed
    option["search_space"] = {spec.name: spec.yaml for spec in specs}
    kept = fixing(option, fixed)
    for _, proposal in proposals(SearchSpace({"model": ("m",)}, {("model", "m"): kept}), 4):
        drawn = {key.removeprefix("model."): value for key, value in proposal.values.items()}
        assert set(drawn) == {spec.name for spec in specs} - set(fixed) - inactive_keys(option | drawn)


# The hyperparameters of an option


def test_hyperparameters_are_flattened_without_the_words_that_are_none() -> None:
    option = {
        "_target_": "a.B",
        "C": 1,
        "inner": {"_target_": "c.D", "x": [1, 2], "empty": {}, "trusted_types": 3},
        "trusted_types": ["a.B"],
        "search_space": {"C": {"type": "int", "low": 0, "high": 1}},
    }
    assert flatten(option) == {"C": 1, "inner.x": [1, 2], "inner.empty": {}, "inner.trusted_types": 3}


def test_the_keys_that_conditions_switch_off_follow_the_composed_values() -> None:
    option = option_of(SVM)
    assert inactive_keys(option) == {"gamma", "degree"}
    assert inactive_keys(option | {"kernel": "rbf"}) == {"degree"}
    assert inactive_keys(option | {"kernel": "poly"}) == set()
    assert inactive_keys({"C": 1}) == set()


def test_what_a_users_own_function_drew_is_replayed_by_its_config_key() -> None:
    space, study = space_of(svm=SVM), study_with()
    trial = study.ask()
    drawn = space.suggest(trial)
    trial.suggest_float("data.noise", 0.0, 1.0)
    study.tell(trial, 0.0)
    replayed = space.replay(study.trials[0])
    assert replayed.values == {**drawn.values, "data.noise": trial.params["data.noise"]}
