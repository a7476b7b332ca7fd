"""Samplers as their YAML files describe them, each through a small sweep on a conditional space."""

import importlib.util
from collections import Counter
from collections.abc import Mapping
from importlib import resources
from typing import Any

import optuna
import pytest
from omegaconf import OmegaConf
from optuna.trial import TrialState

from spaces import collect
from sweeps.base.errors import ConfigError
from sweeps.compose.search_space import Proposal, SearchSpace
from sweeps.execution.in_process import InProcess
from sweeps.execution.outcome import TrialResult
from sweeps.study.asking import TrialQueue
from sweeps.study.attribute import Attribute
from sweeps.study.loop import StudyLoop
from sweeps.study.result import StudyResult
from sweeps.study.samplers import SamplerFactory
from sweeps.study.stopping import Budget, Outcome
from sweeps.study.trial_record import Record

pytestmark = pytest.mark.filterwarnings("error")
SHIPPED = resources.files("sweeps.conf") / "sampler"
NAMES = sorted(file.name.removesuffix(".yaml") for file in SHIPPED.iterdir() if file.name.endswith(".yaml"))
HAS_TORCH = importlib.util.find_spec("torch") is not None

SVM = """
C: 1.0
kernel: linear
gamma: scale
search_space:
  C:      {type: float, low: 1.0e-2, high: 1.0e2, log: true}
  kernel: {type: categorical, choices: [linear, rbf]}
  gamma:  {type: float, low: 1.0e-2, high: 1.0e1, log: true, when: {kernel: rbf}}
"""
KNN = """
k: 5
weights: uniform
p: 2
search_space:
  k:       {type: int, low: 1, high: 9, step: 2}
  weights: {type: categorical, choices: [uniform, distance]}
  p:       {type: int, low: 1, high: 2, when: {weights: distance}}
"""
COUNT = """
ngram_range: [1, 1]
min_df: 2
search_space:
  ngram_range: {type: categorical, choices: ["[1,1]", "[1,2]"]}
  min_df:      {type: int, low: 1, high: 3}
"""
NUMBERS = """
a: 0.5
b: 0.5
search_space:
  a: {type: float, low: 0.0, high: 1.0}
  b: {type: float, low: 0.0, high: 1.0}
"""
LOOSE = """
a: scale
b: 0.5
c: 0.5
search_space:
  a: {type: float, low: 0.0, high: 1.0}
  b: {type: float, low: 0.0, high: 1.0}
  c: {type: float, low: 0.0, high: 1.0}
"""
ONE_NUMBER = "{a: 0.5, search_space: {a: {type: float, low: 0.0, high: 1.0}}}"
# 5 k x (uniform, or distance with 2 p), 2 n-gram ranges x 3 min_df
KNN_COUNT_POINTS = 5 * 3 * 2 * 3


def space_of(vectorizer: str | None = None, **models: str) -> SearchSpace:
    """A space over models given as YAML, and one vectorizer."""
    leaves = {}
    for group, options in (("model", models), ("vectorizer", {"count": vectorizer} if vectorizer else {})):
        for name, yaml in options.items():
            option = OmegaConf.to_container(OmegaConf.create(yaml), resolve=True)
            assert isinstance(option, dict)
            plain = {str(key): value for key, value in option.items()}
            leaves[group, name] = collect(plain, group, name, f"{group}/{name}.yaml")
    groups = {"model": tuple(models)} | ({"vectorizer": ("count",)} if vectorizer else {})
    return SearchSpace(groups, leaves)


CONDITIONAL = space_of(COUNT, svm=SVM, knn=KNN)
FINITE = space_of(COUNT, knn=KNN)
CONDITIONAL_WITH_NUMBERS = space_of(
    COUNT.replace("min_df: 2", "min_df: 2\nmax_df: 0.9") + "  max_df: {type: float, low: 0.5, high: 1.0}\n",
    svm=SVM,
    knn=KNN,
)
UNCONDITIONAL = space_of(model=NUMBERS)


def sampler_config(name: str, seed: int = 7, **changes: Any) -> dict[str, Any]:
    """The resolved `sampler` option of a sweep with this seed."""
    root = OmegaConf.create({"seed": seed, "sampler": OmegaConf.create((SHIPPED / f"{name}.yaml").read_text())})
    config = OmegaConf.to_container(root.sampler, resolve=True)
    assert isinstance(config, dict)
    return {str(key): value for key, value in config.items()} | changes


def score(proposal: Proposal) -> float:
    """A cheap objective: some function of everything that was drawn."""
    score = 1.0 if proposal.choices["model"] == "svm" else 0.5
    for value in proposal.values.values():
        score -= abs(value - 0.3) / 100 if isinstance(value, int | float) else len(str(value)) / 1000
    return score


def cheap_job(number: int, proposal: Proposal) -> TrialResult:
    """A trial without Hydra, data or model."""
    return TrialResult({"val_f1": score(proposal)})


def sweep(
    name: str,
    space: SearchSpace,
    n_trials: int,
    *,
    seed: int = 7,
    study: optuna.Study | None = None,
    job: Any = cheap_job,
) -> tuple[optuna.Study, StudyResult, SamplerFactory]:
    """A whole sweep with a sampler of the package."""
    samplers = SamplerFactory(sampler_config(name, seed), space)
    if study is None:
        study = optuna.create_study(direction="maximize", sampler=samplers.sampler_for(0))
    result = StudyLoop(study, TrialQueue(study, space, samplers), InProcess(job), Budget(n_trials), ["val_f1"]).run()
    return study, result, samplers


def sequence(study: optuna.Study) -> list[tuple[Mapping[str, Any], list[float]]]:
    """What was run, in order, with the values."""
    return [(trial.params, trial.values) for trial in study.trials]


def supported(name: str) -> str:
    """Skip a sampler whose package is not installed."""
    if name == "gp" and not HAS_TORCH:
        pytest.skip("gp needs torch")
    return name


def finite_or_not(name: str) -> SearchSpace:
    """The conditional space that a sampler is tried on: without endless floats, or with two plain numbers."""
    return {"grid": FINITE, "cmaes": CONDITIONAL_WITH_NUMBERS}.get(name, CONDITIONAL)


@pytest.mark.parametrize("name", NAMES)
def test_each_sampler_runs_the_defaults_first_and_then_points_of_the_conditional_space(name: str) -> None:
    space = finite_or_not(supported(name))
    study, result, _ = sweep(name, space, 16)
    assert result.outcome is Outcome.COMPLETED
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 16
    defaults = space.defaults()
    assert [trial.params for trial in study.trials[: len(defaults)]] == defaults
    for trial in study.trials:
        assert (Attribute.DEFAULT in trial.user_attrs) == (trial.number < len(defaults))
        knn = trial.params.get("model", "knn") == "knn"
        prefix = "model/knn." if knn else "model/svm."
        assert all(name == "model" or name.startswith((prefix, "vectorizer/count.")) for name in trial.params)
        assert ("model/knn.p" in trial.params) == (knn and trial.params["model/knn.weights"] == "distance")
        if trial.number >= len(defaults):
            assert ("model/svm.gamma" in trial.params) == (not knn and trial.params["model/svm.kernel"] == "rbf")
    best = max(study.trials, key=lambda trial: trial.values[0])
    assert result.best is not None
    assert result.best.number == best.number


@pytest.mark.parametrize("name", NAMES)
def test_one_seed_gives_one_sequence_of_trials_and_values(name: str) -> None:
    space = finite_or_not(supported(name))
    assert sequence(sweep(name, space, 16)[0]) == sequence(sweep(name, space, 16)[0])


@pytest.mark.parametrize("name", NAMES)
def test_another_seed_gives_another_sequence(name: str) -> None:
    space = finite_or_not(supported(name))
    assert sequence(sweep(name, space, 16)[0]) != sequence(sweep(name, space, 16, seed=8)[0])


@pytest.mark.parametrize("name", ["tpe", "random"])
def test_a_sweep_taken_up_again_goes_on_as_if_it_had_never_stopped(name: str) -> None:
    whole, _, _ = sweep(name, CONDITIONAL, 24)
    halves, _, _ = sweep(name, CONDITIONAL, 13)
    sweep(name, CONDITIONAL, 24, study=halves)
    assert sequence(halves) == sequence(whole)


def test_without_a_seed_no_two_sweeps_are_alike() -> None:
    drawn = set()
    for _ in range(2):
        samplers = SamplerFactory(sampler_config("random", seed=None), UNCONDITIONAL)  # type: ignore[arg-type]
        study = optuna.create_study(sampler=samplers.sampler_for(0))
        drawn.add(UNCONDITIONAL.suggest(study.ask()).values["model.a"])
    assert len(drawn) == 2


def test_every_sampler_that_comes_with_the_package_sees_to_its_seed() -> None:
    for name in NAMES:
        assert sampler_config(name, seed=123)["seed"] == 123


# The grid


def overrides_run(study: optuna.Study) -> Counter[tuple[str, ...]]:
    """How often each point ran, as the overrides of its job."""
    return Counter(tuple(Record.of(trial).overrides) for trial in study.trials)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_grid_runs_every_point_once_and_then_stops(seed: int) -> None:
    study, result, _ = sweep("grid", FINITE, 1000, seed=seed)
    assert (result.outcome, result.reason) == (Outcome.COMPLETED, "every point of the grid has run")
    assert len(study.trials) == KNN_COUNT_POINTS
    ran = overrides_run(study)
    assert set(ran.values()) == {1}
    assert len(ran) == KNN_COUNT_POINTS
    assert {frozenset(trial.params.items()) for trial in study.trials} == {
        frozenset(point.items()) for point in FINITE.grid()
    }


def test_the_grid_covers_every_option_of_a_swept_group() -> None:
    other = "{alpha: 1, search_space: {alpha: {type: categorical, choices: [1, 2, null]}}}"
    study, result, _ = sweep("grid", space_of(COUNT, knn=KNN, bayes=other, plain="{}"), 1000)
    assert result.outcome is Outcome.COMPLETED
    assert len(study.trials) == KNN_COUNT_POINTS + 3 * 6 + 6
    assert Counter(trial.params["model"] for trial in study.trials) == {"knn": 90, "bayes": 18, "plain": 6}
    assert set(overrides_run(study).values()) == {1}


def test_a_default_outside_the_grid_is_none_of_its_trials() -> None:
    outside = "{x: 99, y: a, search_space: {x: {type: int, low: 1, high: 3}, y: {type: categorical, choices: [a, b]}}}"
    study, result, _ = sweep("grid", space_of(model=outside), 1000)
    assert result.outcome is Outcome.COMPLETED
    assert len(study.trials) == 6
    assert len({frozenset(trial.params.items()) for trial in study.trials}) == 6
    assert all(len(trial.params) == 2 for trial in study.trials)


def test_a_grid_taken_up_again_runs_only_what_is_left() -> None:
    study, _, _ = sweep("grid", FINITE, 20)
    assert len(study.trials) == 20
    _, result, _ = sweep("grid", FINITE, 1000, study=study)
    assert result.reason == "every point of the grid has run"
    assert set(overrides_run(study).values()) == {1}
    assert len(study.trials) == KNN_COUNT_POINTS


def test_a_point_that_failed_is_not_tried_again() -> None:
    def refuse_one(number: int, proposal: Proposal) -> TrialResult:
        if proposal.values["model.k"] == 9:
            raise ValueError("no nines")
        return cheap_job(number, proposal)

    study, result, _ = sweep("grid", FINITE, 1000, job=refuse_one)
    assert result.reason == "every point of the grid has run"
    failed = [trial for trial in study.trials if trial.state is TrialState.FAIL]
    assert len(failed) == KNN_COUNT_POINTS / 5
    assert all(trial.user_attrs[Attribute.ERROR] == "ValueError: no nines" for trial in failed)
    assert len(study.trials) == KNN_COUNT_POINTS


def test_an_interrupted_point_is_run_when_the_grid_is_taken_up_again() -> None:
    def interrupt(number: int, proposal: Proposal) -> TrialResult:
        if number == 4:
            raise KeyboardInterrupt
        return cheap_job(number, proposal)

    study, result, _ = sweep("grid", FINITE, 1000, job=interrupt)
    assert result.outcome is Outcome.INTERRUPTED
    (cut,) = (trial for trial in study.trials if Attribute.INTERRUPTED in trial.user_attrs)
    assert (cut.number, cut.state) == (4, TrialState.FAIL)
    _, result, _ = sweep("grid", FINITE, 1000, study=study)
    assert result.reason == "every point of the grid has run"
    complete = [trial.params for trial in study.trials if trial.state is TrialState.COMPLETE]
    assert len(complete) == KNN_COUNT_POINTS
    assert cut.params in complete


def test_a_grid_over_nothing_runs_its_one_point() -> None:
    study, result, _ = sweep("grid", space_of(model="{C: 1}"), 5)
    assert (result.outcome, len(study.trials)) == (Outcome.COMPLETED, 1)


def test_a_float_with_a_step_runs_each_value_once() -> None:
    yaml = "{C: 0.3, search_space: {C: {type: float, low: 0, high: 1, step: 0.1}}}"
    study, _, _ = sweep("grid", space_of(model=yaml), 100)
    assert study.trials[0].params == {"model/model.C": 0.3}
    assert sorted(trial.params["model/model.C"] for trial in study.trials) == [n / 10 for n in range(11)]


def test_the_grid_refuses_an_endless_float_and_says_what_to_type() -> None:
    with pytest.raises(ConfigError, match=r"sampler=grid cannot enumerate model/svm\.C \(model/svm\.yaml\).*choice\("):
        SamplerFactory(sampler_config("grid"), CONDITIONAL)


@pytest.mark.parametrize("high", [100_001, 10**12])
def test_the_grid_refuses_more_points_than_can_be_listed(high: int) -> None:
    huge = f"{{n: 1, search_space: {{n: {{type: int, low: 1, high: {high}}}}}}}"
    with pytest.raises(ConfigError, match=r"more than 100,000 points; use sampler=random"):
        SamplerFactory(sampler_config("grid"), space_of(model=huge))


# Samplers that cannot model every space


@pytest.mark.parametrize(("name", "called"), [("cmaes", "CmaEsSampler"), ("qmc", "QMCSampler")])
def test_what_a_numeric_sampler_cannot_model_is_named(name: str, called: str) -> None:
    warning = SamplerFactory(sampler_config(name), CONDITIONAL_WITH_NUMBERS).warning
    assert warning is not None
    assert warning.startswith(f"{called} cannot model conditional or categorical parameters; drawn at random: ")
    blind = set(warning.partition("drawn at random: ")[2].removesuffix(".").split(", "))
    assert blind == {
        "model",
        "model/svm.C",
        "model/svm.kernel",
        "model/svm.gamma",
        "model/knn.k",
        "model/knn.weights",
        "model/knn.p",
        "vectorizer/count.ngram_range",
    }


@pytest.mark.parametrize("name", ["cmaes", "qmc"])
def test_a_number_whose_default_is_outside_its_range_is_named(name: str) -> None:
    _, result, samplers = sweep(name, space_of(model=LOOSE), 12)
    assert result.outcome is Outcome.COMPLETED
    assert samplers.warning is not None
    assert samplers.warning.endswith("drawn at random: model/model.a.")


@pytest.mark.parametrize("name", ["cmaes", "qmc"])
def test_what_a_numeric_sampler_models_is_what_it_does_not_name(name: str) -> None:
    for space in (UNCONDITIONAL, space_of(model=LOOSE)):
        study, _, samplers = sweep(name, space, 6)
        blind = (samplers.warning or "").partition("drawn at random: ")[2].removesuffix(".").split(", ")
        modelled = samplers.sampler_for(0).infer_relative_search_space(study, study.trials[-1])
        assert set(modelled) == {leaf.name for leaf in space.searched_leaves()} - set(blind)


@pytest.mark.parametrize(
    "space",
    [CONDITIONAL, space_of(model=ONE_NUMBER), space_of(model=LOOSE.replace("b: 0.5", "b: none"))],
    ids=["one beside others", "one number", "one with a default inside"],
)
def test_cmaes_refuses_fewer_than_two_numbers_that_it_can_model(space: SearchSpace) -> None:
    with pytest.raises(ConfigError, match=r"CmaEsSampler needs two unconditional numbers .*Use sampler=tpe"):
        SamplerFactory(sampler_config("cmaes"), space)
    assert SamplerFactory(sampler_config("qmc"), space)


@pytest.mark.parametrize("name", ["cmaes", "qmc"])
def test_a_numeric_sampler_has_nothing_to_warn_of_on_plain_numbers(name: str) -> None:
    study, result, samplers = sweep(name, UNCONDITIONAL, 12)
    assert samplers.warning is None
    assert result.outcome is Outcome.COMPLETED
    assert len({trial.params["model/model.a"] for trial in study.trials}) == 12


@pytest.mark.parametrize("name", ["cmaes", "qmc"])
@pytest.mark.parametrize(
    "models",
    [
        {"svm": SVM, "knn": KNN},
        {"only": "{x: a, search_space: {x: {type: categorical, choices: [a, b]}}}"},
        {"a": NUMBERS, "b": NUMBERS},
    ],
    ids=["swept models", "categories", "numbers of swept models"],
)
def test_a_space_that_a_numeric_sampler_cannot_model_at_all_is_refused(name: str, models: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"cannot model conditional or categorical parameters.*Use sampler=tpe"):
        SamplerFactory(sampler_config(name), space_of(**models))


@pytest.mark.parametrize("name", ["tpe", "random"])
def test_a_sampler_for_conditional_spaces_has_nothing_to_warn_of(name: str) -> None:
    assert SamplerFactory(sampler_config(name), CONDITIONAL).warning is None


@pytest.mark.skipif(HAS_TORCH, reason="torch is installed")
def test_a_sampler_whose_package_is_missing_says_which() -> None:
    with pytest.raises(ConfigError, match=r"GPSampler needs the package torch: pip install torch"):
        SamplerFactory(sampler_config("gp"), UNCONDITIONAL)


# The sampler's config


@pytest.mark.parametrize("called", ["GridSampler", "BruteForceSampler"])
def test_optunas_own_grids_are_refused_in_favour_of_ours(called: str) -> None:
    config = {"_target_": f"optuna.samplers.{called}", "seed": 1}
    with pytest.raises(ConfigError, match=rf"{called} does not work with conditional spaces; use sampler=grid"):
        SamplerFactory(config, CONDITIONAL)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, r"sampler\._target_: '' is not a dotted name"),
        ({"_target_": "optuna.samplers.TPESampelr"}, r"has no 'TPESampelr'"),
        ({"_target_": "optuna.samplers.TPESampler", "n_starts": 3}, r"sampler\.n_starts: .* takes no argument"),
        ({"_target_": "optuna.samplers.RandomSampler", "seed": -1}, r"sampler: .*does not accept its arguments"),
        ({"_target_": "builtins.dict"}, r"builtins\.dict is not an Optuna sampler"),
        (sampler_config("grid", n=1), r"sampler=grid has no argument n; its only one is seed"),
    ],
)
def test_a_sampler_that_cannot_be_made_is_one_message(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SamplerFactory(config, FINITE)


@pytest.mark.parametrize("seed", [-1, 1.5])
def test_a_seed_that_the_grid_cannot_use_is_one_message(seed: Any) -> None:
    with pytest.raises(ConfigError, match=r"^sampler"):
        SamplerFactory(sampler_config("grid", seed=seed), FINITE)


def test_a_sampler_may_have_no_seed_at_all() -> None:
    assert SamplerFactory({"_target_": "optuna.samplers.CmaEsSampler"}, UNCONDITIONAL).sampler_for(0)


def test_a_sampler_that_keeps_more_than_a_random_state_lives_for_the_whole_sweep() -> None:
    samplers = SamplerFactory(sampler_config("cmaes"), UNCONDITIONAL)
    assert samplers.sampler_for(0) is samplers.sampler_for(5)
    fresh = SamplerFactory(sampler_config("tpe"), UNCONDITIONAL)
    assert fresh.sampler_for(0) is not fresh.sampler_for(0)
