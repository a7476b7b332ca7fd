"""From override texts to composed configs and their space, through Hydra's own composition."""

from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import optuna
import pytest
from hydra import version
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import ConfigCompositionException
from hydra.types import RunMode
from hypothesis import example, given, settings
from hypothesis import strategies as st
from omegaconf import DictConfig, OmegaConf
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import RandomSampler

from sweeps.base.build import build
from sweeps.base.errors import ConfigError
from sweeps.compose.leaf import Leaf, is_unconditional
from sweeps.compose.option_file import locate_option
from sweeps.compose.plan import Combination, StudyPlan, plan_study
from sweeps.compose.request import Request
from sweeps.compose.root_config import RootConfig
from sweeps.compose.search_space import Proposal
from sweeps.compose.settings import Settings
from sweeps.compose.space_yaml import flatten, inactive_keys
from sweeps.execution.task_objective import TaskObjective
from sweeps.execution.trial import GROUPS, candidate_of

Planner = Callable[..., StudyPlan]
SHIPPED = Path(str(resources.files("sweeps.conf")))


def config_loader(config_dir: Path | None = None) -> ConfigLoader:
    """Hydra's loader over `sweeps.conf`, as its command line makes it; the private names of Hydra are all here."""
    from hydra._internal.hydra import Hydra
    from hydra._internal.utils import create_config_search_path
    from hydra.core.config_search_path import SearchPathQuery

    version.setbase("1.3")
    search_path = create_config_search_path("pkg://sweeps.conf")
    if config_dir is not None:
        search_path.prepend("command-line", f"file://{config_dir}", anchor=SearchPathQuery(provider="schema"))
    GlobalHydra.instance().clear()
    return Hydra.create_main_hydra2("run", search_path).config_loader


def planner(loader: ConfigLoader) -> Planner:
    """Plan the study of some override texts.

    Hydra composes a sweep once before the sweeper sees the texts; those texts change nothing that the sweeper reads of
    that composition, so that one without any serves all plans.
    """
    master = loader.load_configuration("config", [], RunMode.MULTIRUN)

    def plan(*texts: str) -> StudyPlan:
        request = Request.parse(texts, loader, TaskObjective.scope)
        (dataset,) = request.studies()
        return plan_study(request, dataset, master, loader)

    return plan


@pytest.fixture(scope="module")
def loader() -> Iterator[ConfigLoader]:
    """The loader of the configs that come with the package."""
    yield config_loader()
    GlobalHydra.instance().clear()


@pytest.fixture(scope="module")
def plan(loader: ConfigLoader) -> Planner:
    """Plan over the configs that come with the package."""
    return planner(loader)


MLP = """
# A model of the user's own, with a tuple among its choices and a conditional space.
_target_: sklearn.neural_network.MLPClassifier
hidden_layer_sizes: [20]
solver: adam
momentum: 0.9
alpha: 0.01
search_space:
  hidden_layer_sizes: {type: categorical, choices: ["[20]", "[10,10]"]}
  solver: {type: categorical, choices: [adam, sgd]}
  momentum: {type: float, low: 0.5, high: 0.75, step: 0.25, when: {solver: sgd}}
"""
CALIBRATED = """
_target_: sklearn.calibration.CalibratedClassifierCV
method: sigmoid
estimator:
  _target_: sklearn.svm.LinearSVC
  C: 1.0
  loss: hinge
search_space:
  estimator:
    loss: {type: categorical, choices: [hinge, squared_hinge]}
    C: {type: float, low: 0.1, high: 10, log: true, when: {loss: squared_hinge}}
"""
DEPENDENT = """
_target_: sklearn.svm.LinearSVC
max_iter: 100
search_space: {max_iter: {type: int, low: 1, high: "${vectorizer.max_features}"}}
"""
BROKEN = """
_target_: sklearn.svm.LinearSVC
C: 1.0
search_space: {C: {type: float, low: 1.0}}
"""
FOREST = """
_target_: sklearn.ensemble.RandomForestClassifier
max_depth: 3
max_features: sqrt
"""
SMALL = """
_target_: sklearn.feature_extraction.text.CountVectorizer
max_features: 10
"""


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Planner]:
    """Plan with a `--config-dir` of the user's own in front of the package's configs."""
    files = {
        "model/mlp": MLP,
        "model/calibrated": CALIBRATED,
        "model/dependent": DEPENDENT,
        "model/broken": BROKEN,
        "model/forest": FOREST,
        "vectorizer/small": SMALL,
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.yaml").write_text(text)
    loader = config_loader(tmp_path)
    yield planner(loader)
    config_loader()


def leaf(plan: StudyPlan, name: str) -> Leaf:
    """A leaf by its Optuna name."""
    return next(leaf for leaf in plan.space.searched_leaves() if leaf.name == name)


def names(plan: StudyPlan, group: str = "model") -> list[str]:
    """The Optuna names of a group's leaves."""
    return [leaf.name for leaf in plan.space.searched_leaves() if leaf.name.startswith(f"{group}/")]


def draws(plan: StudyPlan, count: int) -> list[Proposal]:
    """Random proposals of a plan."""
    study = optuna.create_study(sampler=RandomSampler(seed=0))
    return [plan.space.suggest(study.ask()) for _ in range(count)]


def without_hydra(config: DictConfig) -> dict[str, Any]:
    """A composed config as plain containers, Hydra's own part aside."""
    kept = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    plain = OmegaConf.to_container(kept, resolve=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


# What is swept


def test_the_plain_command_sweeps_the_default_model_as_its_file_says(plan: Planner) -> None:
    planned = plan()
    assert (planned.subject, planned.title) == ("reviews", "dataset=reviews")
    assert planned.space.groups == {"model": ("svm",), "vectorizer": ("tfidf",)}
    assert names(planned) == ["model/svm.C", "model/svm.kernel", "model/svm.gamma"]
    assert leaf(planned, "model/svm.gamma").when == {"model.kernel": ("rbf",)}
    assert Path(leaf(planned, "model/svm.C").source).name == "svm.yaml"


def test_swept_groups_keep_the_order_typed_and_every_combination_is_composed(plan: Planner) -> None:
    planned = plan("model=svm,logistic", "vectorizer=count,tfidf")
    assert planned.space.groups == {"model": ("svm", "logistic"), "vectorizer": ("count", "tfidf")}
    assert list(planned.combinations) == [
        ("svm", "count"),
        ("svm", "tfidf"),
        ("logistic", "count"),
        ("logistic", "tfidf"),
    ]
    for (model, vectorizer), combination in planned.combinations.items():
        assert combination.choices == {"model": model, "vectorizer": vectorizer}
        assert combination.config.hydra.runtime.choices.model == model
        assert ("kernel" in combination.config.model) == (model == "svm")
        assert ("sublinear_tf" in combination.config.vectorizer) == (vectorizer == "tfidf")


def test_an_option_typed_twice_counts_once(plan: Planner) -> None:
    assert plan("model=svm,logistic,svm").space.groups["model"] == ("svm", "logistic")
    assert plan("model=svm,svm").space.swept_groups() == {}


def test_quoted_options_are_the_options_themselves(plan: Planner) -> None:
    assert plan("model='svm','logistic'").space.groups["model"] == ("svm", "logistic")


@pytest.mark.parametrize("text", ["~model", "~model=svm", "~vectorizer", "~dataset"])
def test_a_group_that_a_sweep_needs_cannot_be_deleted(text: str, plan: Planner) -> None:
    group = text.removeprefix("~").partition("=")[0]
    with pytest.raises(ConfigError, match=rf"^{text}: a sweep needs a {group}; choose one with {group}=NAME"):
        plan(text)


def test_a_glob_sweeps_every_option_that_it_matches(plan: Planner) -> None:
    every = tuple(sorted(file.stem for file in (SHIPPED / "model").glob("*.yaml")))
    assert plan("model=glob(*)").space.groups["model"] == every
    assert plan("model=glob(*,exclude=[svm,log*])").space.groups["model"] == tuple(
        name for name in every if name != "svm" and not name.startswith("log")
    )
    with pytest.raises(ConfigError, match=r"model=glob\(nothing\*\): no option of model matches"):
        plan("model=glob(nothing*)")


def test_several_datasets_are_one_study_each(loader: ConfigLoader) -> None:
    texts = ["dataset=reviews,toxicity", "model=logistic"]
    master = loader.load_configuration("config", texts, RunMode.MULTIRUN)
    request = Request.parse(texts, loader, TaskObjective.scope)
    planned = [plan_study(request, dataset, master, loader) for dataset in request.studies()]
    assert [p.study_choice for p in planned] == [{"dataset": "reviews"}, {"dataset": "toxicity"}]
    assert [p.config.dataset.name for p in planned] == ["reviews", "toxicity"]
    assert planned[0].space == planned[1].space


def test_an_unknown_option_is_hydras_error_that_lists_the_known_ones(plan: Planner) -> None:
    with pytest.raises(ConfigError, match=r"(?s)model/logistik.*logistic"):
        plan("model=svm,logistik")


def test_a_group_is_swept_over_options_only(plan: Planner) -> None:
    with pytest.raises(
        ConfigError, match=r"model=range\(1,3\): a group can only be swept over its options, as in model=a,b"
    ):
        plan("model=range(1,3)")


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("seed=1,2", "seed"),
        ("dataset.test_size=0.1,0.2", "dataset.test_size"),
        ("dataset.split_seed=range(1,5)", "dataset.split_seed"),
        ("n_trials=choice(1,2)", "n_trials"),
        ("sampler=tpe,random", "sampler"),
        ("sampler.seed=interval(1,2)", "sampler.seed"),
        ("model.search_space.C=choice(1,2)", "model.search_space.C"),
    ],
)
def test_a_sweep_of_anything_but_models_and_vectorizers_is_refused_by_name(text: str, key: str, plan: Planner) -> None:
    with pytest.raises(ConfigError) as error:
        plan(text)
    assert str(error.value).startswith(f"{text}: {key} cannot be swept: scores would not be comparable.")


@pytest.mark.parametrize("sign", ["+", "++"])
def test_a_searched_key_cannot_be_added_without_a_default(sign: str, plan: Planner) -> None:
    with pytest.raises(ConfigError, match=r"model\.x=choice\(1,2\): a searched key needs a default .* `x: VALUE`"):
        plan(f"{sign}model.x=choice(1,2)")


# Overrides of hyperparameters


def test_a_fixed_override_takes_the_leaf_out_and_reaches_the_config(plan: Planner) -> None:
    planned = plan("model.C=0.5")
    assert names(planned) == ["model/svm.kernel", "model/svm.gamma"]
    assert planned.config.model.C == 0.5


def test_force_adding_a_known_key_fixes_it(plan: Planner) -> None:
    planned = plan("++model.C=3")
    assert names(planned) == ["model/svm.kernel", "model/svm.gamma"]
    assert planned.config.model.C == 3


def test_a_single_quoted_choice_stays_a_text(plan: Planner) -> None:
    assert plan("model.class_weight=choice('1')").config.model.class_weight == "1"


def test_shuffled_choices_are_the_same_in_every_combination(plan: Planner) -> None:
    for _ in range(4):
        planned = plan("vectorizer=tfidf,count", "model=svm,logistic", "model.C=shuffle(choice(1,2,3,4))")
        found = leaf(planned, "model/svm.C").distribution
        assert isinstance(found, CategoricalDistribution)
        assert sorted(map(int, found.choices)) == [1, 2, 3, 4]
        assert leaf(planned, "model/logistic.C").distribution == found


def test_a_fixed_override_drops_the_leaves_that_can_no_longer_become_active(plan: Planner) -> None:
    assert names(plan("model.kernel=linear")) == ["model/svm.C"]
    rbf = plan("model.kernel=rbf")
    assert names(rbf) == ["model/svm.C", "model/svm.gamma"]
    assert is_unconditional(leaf(rbf, "model/svm.gamma"), rbf.space.leaves[("model", "svm")])


def test_swept_choices_that_leave_out_a_condition_drop_its_leaf(plan: Planner) -> None:
    assert names(plan("model.kernel=linear,poly")) == ["model/svm.C", "model/svm.kernel"]
    assert names(plan("model.kernel=poly,rbf")) == ["model/svm.C", "model/svm.kernel", "model/svm.gamma"]


def test_a_sweep_override_replaces_the_leaf_and_keeps_its_condition(plan: Planner) -> None:
    planned = plan("model.gamma=interval(0.5,2)")
    gamma = leaf(planned, "model/svm.gamma")
    assert gamma.distribution == FloatDistribution(0.5, 2)
    assert gamma.when == {"model.kernel": ("rbf",)}
    assert gamma.source == "command line: model.gamma=interval(0.5,2)"


def test_a_key_with_a_default_but_no_space_becomes_searched(plan: Planner) -> None:
    planned = plan("vectorizer.min_df=choice(1,2,5)")
    assert leaf(planned, "vectorizer/tfidf.min_df").distribution == CategoricalDistribution([1, 2, 5])
    assert leaf(planned, "vectorizer/tfidf.min_df").default == 2


def test_a_sweep_override_applies_to_the_options_that_have_the_key(plan: Planner) -> None:
    planned = plan("model=svm,logistic", "model.kernel=choice(rbf,linear)")
    assert leaf(planned, "model/svm.kernel").distribution == CategoricalDistribution(["rbf", "linear"])
    assert [name for name in names(planned) if "kernel" in name] == ["model/svm.kernel"]
    for proposal in draws(planned, 40):
        svm = proposal.choices["model"] == "svm"
        assert ("model.kernel" in proposal.values) == svm
        assert ("model.gamma" in proposal.values) == (svm and proposal.values["model.kernel"] == "rbf")


def test_a_fixed_override_applies_to_the_options_that_have_the_key(plan: Planner) -> None:
    planned = plan("model=svm,logistic", "model.kernel=rbf")
    assert "model/svm.kernel" not in names(planned)
    assert [c.config.model.get("kernel") for c in planned.combinations.values()] == ["rbf", None]


def test_a_single_choice_fixes_a_key_that_the_default_option_lacks(plan: Planner) -> None:
    planned = plan("model=svm,naive_bayes", "model.alpha=choice(0.5)")
    assert names(planned) == [
        "model/svm.C",
        "model/svm.kernel",
        "model/svm.gamma",
        "model/naive_bayes.fit_prior",
    ]
    assert planned.combinations["naive_bayes", "tfidf"].config.model.alpha == 0.5


def test_an_override_that_fits_no_option_is_an_error_that_lists_their_keys(plan: Planner) -> None:
    with pytest.raises(ConfigError) as error:
        plan("model=svm,logistic", "model.kernle=choice(rbf,linear)", "vectorizer.zip=choice(1)")
    text = str(error.value)
    assert "No option of model has the key 'kernle'" in text
    assert "model=svm: C, kernel, gamma, class_weight" in text
    assert "model=logistic: C, class_weight, max_iter" in text
    assert "No option of vectorizer has the key 'zip'" in text
    assert "vectorizer=tfidf: ngram_range, " in text


def test_a_fixed_key_that_the_default_option_lacks_is_refused_by_hydra_itself(loader: ConfigLoader) -> None:
    with pytest.raises(ConfigCompositionException, match=r"model\.alpha"):
        loader.load_configuration("config", ["model=svm,naive_bayes", "model.alpha=0.5"], RunMode.MULTIRUN)


def test_of_several_overrides_of_one_key_the_last_counts(plan: Planner) -> None:
    assert leaf(plan("model.C=1", "model.C=choice(1,2)"), "model/svm.C").distribution == CategoricalDistribution([1, 2])
    fixed = plan("model.C=choice(1,2)", "model.C=0.25")
    assert "model/svm.C" not in names(fixed)
    assert fixed.config.model.C == 0.25
    assert plan("model=svm,logistic", "model=naive_bayes").space.groups["model"] == ("naive_bayes",)
    assert plan("n_trials=3", "n_trials=4").config.n_trials == 4


DISTRIBUTIONS: list[tuple[str, str, BaseDistribution]] = [
    ("model.C", "interval(1,5)", FloatDistribution(1, 5)),
    ("model.C", "range(1,5)", FloatDistribution(1, 4, step=1)),
    ("model.C", "range(0,1,0.1)", FloatDistribution(0, 0.9, step=0.1)),
    ("model.C", "range(0.0,1.5,0.1)", FloatDistribution(0, 1.4, step=0.1)),
    ("model.C", "range(0.1,1.0,0.3)", FloatDistribution(0.1, 0.7, step=0.3)),
    ("model.C", "range(0,2.1,0.7)", FloatDistribution(0, 1.4, step=0.7)),
    ("model.C", "range(0,10000000)", FloatDistribution(0, 9999999, step=1)),
    ("model.C", "tag(log,range(1,5))", FloatDistribution(1, 4, log=True)),
    ("model.C", "tag(log,interval(0.01,10))", FloatDistribution(0.01, 10, log=True)),
    ("model.C", "choice(0.1,1,10)", CategoricalDistribution([0.1, 1, 10])),
    ("model.C", "0.1,1", CategoricalDistribution([0.1, 1])),
    ("model.class_weight", "null,balanced", CategoricalDistribution([None, "balanced"])),
    ("model.class_weight", "'1','a,b'", CategoricalDistribution(["1", "a,b"])),
    ("model.class_weight", "choice('1','a,b')", CategoricalDistribution(["1", "a,b"])),
    ("model.C", "sort(choice(3,1,2))", CategoricalDistribution([1, 2, 3])),
    ("vectorizer.min_df", "interval(1,5)", IntDistribution(1, 5)),
    ("vectorizer.min_df", "range(5,50,step=5)", IntDistribution(5, 45, step=5)),
    ("vectorizer.min_df", "range(9,0,step=-3)", IntDistribution(3, 9, step=3)),
    ("vectorizer.min_df", "tag(log,interval(1,100))", IntDistribution(1, 100, log=True)),
    ("vectorizer.sublinear_tf", "true,false", CategoricalDistribution([True, False])),
    ("vectorizer.ngram_range", "choice([1,1],[1,3])", CategoricalDistribution(["[1,1]", "[1,3]"])),
]


@pytest.mark.parametrize(("key", "text", "distribution"), DISTRIBUTIONS, ids=lambda value: str(value)[:40])
def test_hydras_sweeps_become_distributions_of_the_defaults_kind(
    key: str, text: str, distribution: BaseDistribution, plan: Planner
) -> None:
    option = "model/svm" if key.startswith("model") else "vectorizer/tfidf"
    found = leaf(plan(f"{key}={text}"), f"{option}.{key.partition('.')[2]}").distribution
    assert found == distribution
    assert repr(found) == repr(distribution)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "vectorizer.min_df=interval(0.5,2)",
            "the default, 2, is a whole number, so the bounds must be whole numbers, too",
        ),
        (
            "vectorizer.min_df=range(1,3,0.5)",
            "the default, 2, is a whole number, so the bounds must be whole numbers, too",
        ),
        ("model.C=range(5,5)", "the range is empty"),
        ("model.C=range(1.0,0.0)", "the range is empty"),
        ("model.C=range(0,inf)", "a range must have finite numbers"),
        ("model.C=range(1,5,0)", "a step other than 0"),
        ("model.C=interval(0,inf)", "high=inf is not a finite number"),
        ("vectorizer.min_df=interval(1,inf)", "high=inf is not a finite number"),
        ("model.C=interval(nan,1)", "low=nan is not a finite number"),
        ("model.C=interval(10,1)", "low <= high"),
        ("model.C=tag(log,interval(0,1))", "low > 0"),
        ("model.C=tag(cold,interval(1,2))", "the tag cold is not known; intervals and ranges can have the tag log"),
        ("model.C=tag(log,choice(1,2))", "the tag log is not known"),
        ("model.C=tag(log,range(1,100,10))", "a logarithmic range has no step; use tag(log,interval(...))"),
        ("model.C=choice(1,1)", "1 is there twice"),
        ("model.C=choice({a:1},2)", "is a mapping"),
        ("model.C=glob(*)", "must be a list of at least one choice"),
    ],
)
def test_a_sweep_that_makes_no_sense_is_refused_with_its_own_text(text: str, message: str, plan: Planner) -> None:
    with pytest.raises(ConfigError) as error:
        plan(text)
    assert str(error.value).startswith(text)
    assert message in str(error.value)


@given(st.integers(-40, 40), st.integers(1, 60), st.integers(1, 9), st.booleans())
@example(5, 45, 5, False)
@settings(max_examples=8, deadline=None)
def test_a_range_of_whole_numbers_holds_what_python_holds(
    plan: Planner, low: int, width: int, step: int, backwards: bool
) -> None:
    numbers = range(low + width, low, -step) if backwards else range(low, low + width, step)
    text = f"vectorizer.min_df=range({numbers.start},{numbers.stop},{numbers.step})"
    distribution = leaf(plan(text), "vectorizer/tfidf.min_df").distribution
    assert isinstance(distribution, IntDistribution)
    assert list(range(distribution.low, distribution.high + 1, distribution.step)) == sorted(numbers)


# The configs of trials


def test_a_trials_config_has_its_values_and_composes_again_from_its_own_overrides(
    loader: ConfigLoader, tmp_path: Path
) -> None:
    typed = [
        "model=svm,logistic",
        "vectorizer=tfidf,count",
        "model.kernel=choice(rbf,linear,'a,b')",
        "vectorizer.min_df=3",
        "vectorizer.ngram_range=choice([1,1],[1,3])",
        "n_trials=7",
        "dataset.test_size=0.3",
    ]
    master = loader.load_configuration("config", typed, RunMode.MULTIRUN)
    planned = plan_study(Request.parse(typed, loader, TaskObjective.scope), None, master, loader)
    before = {options: OmegaConf.to_yaml(c.config) for options, c in planned.combinations.items()}
    for number, proposal in enumerate(draws(planned, 25)):
        config, hydra = planned.trial_config(proposal), planned.hydra_config(number, proposal, tmp_path).hydra
        for key, value in proposal.values.items():
            assert OmegaConf.select(config, key) == value
        assert (config.n_trials, config.dataset.test_size, config.vectorizer.min_df) == (7, 0.3, 3)
        assert (hydra.job.num, hydra.sweep.subdir) == (number, str(number))
        again = loader.load_sweep_config(master, list(hydra.overrides.task))
        assert without_hydra(again) == without_hydra(config)
    assert {options: OmegaConf.to_yaml(c.config) for options, c in planned.combinations.items()} == before


def test_hyperparameters_are_called_by_their_name_and_by_group_where_two_groups_have_it(own: Planner) -> None:
    planned = own("model=forest,logistic", "vectorizer=small")
    called = TaskObjective(planned, Settings.from_config(planned.config.hydra.sweeper)).names()
    assert called["model.max_features"] == "model.max_features"
    assert called["vectorizer.max_features"] == "vectorizer.max_features"
    assert called["model.max_depth"] == "max_depth"
    assert called["model.C"] == "C"
    assert not any("search_space" in key or "_target_" in key for key in called)


# The user's own configs


def test_a_model_of_the_users_own_is_swept_with_tuples_and_conditions(own: Planner, tmp_path: Path) -> None:
    planned = own("model=mlp,logistic")
    assert leaf(planned, "model/mlp.solver").source == str((tmp_path / "model/mlp.yaml").resolve())
    seen = set()
    for proposal in draws(planned, 60):
        if proposal.choices["model"] != "mlp":
            continue
        assert ("model.momentum" in proposal.values) == (proposal.values["model.solver"] == "sgd")
        model = build(candidate_of(planned.trial_config(proposal)).model, "model")
        assert isinstance(model.hidden_layer_sizes, tuple)
        seen.add(model.hidden_layer_sizes)
    assert seen == {(20,), (10, 10)}


def test_a_nested_model_is_searched_overridden_and_built(own: Planner, tmp_path: Path) -> None:
    planned = own("model=calibrated", "model.estimator.C=range(1,4)")
    inner = leaf(planned, "model/calibrated.estimator.C")
    assert inner.distribution == FloatDistribution(1, 3, step=1)
    assert inner.when == {"model.estimator.loss": ("squared_hinge",)}
    for proposal in draws(planned, 10):
        model = build(candidate_of(planned.trial_config(proposal)).model, "model")
        assert model.estimator.loss == proposal.values["model.estimator.loss"]
        assert proposal.values.get("model.estimator.C", 1.0) == model.estimator.C
    assert names(own("model=calibrated", "model.estimator.loss=hinge")) == []


def test_an_options_file_is_found_in_the_users_folder_and_in_the_package(own: Planner, tmp_path: Path) -> None:
    sources = own("model=forest").config.hydra.runtime.config_sources
    assert locate_option(sources, "model", "forest") == str((tmp_path / "model/forest.yaml").resolve())
    assert Path(locate_option(sources, "model", "logistic")).samefile(SHIPPED / "model/logistic.yaml")
    assert locate_option(sources, "model", "unheard_of") == "model/unheard_of.yaml"


def test_an_option_in_two_folders_is_refused_with_both_files(tmp_path: Path) -> None:
    mine = tmp_path / "model" / "svm.yaml"
    mine.parent.mkdir()
    mine.write_text(FOREST)
    try:
        plan = planner(config_loader(tmp_path))
        with pytest.raises(
            ConfigError, match=r"model=svm is written in several files; give yours another name"
        ) as error:
            plan()
        assert str(mine.resolve()) in str(error.value)
        assert str(error.value).count("svm.yaml") == 2
        assert names(plan("model=logistic"))
    finally:
        config_loader()


def test_a_broken_space_in_the_users_file_is_named_with_that_file(own: Planner, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        own("model=logistic,broken")
    assert str(error.value).startswith(
        f"{(tmp_path / 'model/broken.yaml').resolve()}: search_space.C: 'high' is missing"
    )


def test_a_space_that_depends_on_another_group_is_refused(own: Planner) -> None:
    with pytest.raises(ConfigError, match=r"the search space of model=dependent differs between combinations"):
        own("model=dependent", "vectorizer=small,tfidf")
    assert leaf(own("model=dependent", "vectorizer=small"), "model/dependent.max_iter").distribution.single() is False


# Every file that comes with the package

FILES = sorted(
    file.relative_to(SHIPPED) for file in SHIPPED.rglob("*.yaml") if len(file.relative_to(SHIPPED).parts) > 1
)
OPTIONS = [file for file in FILES if file.parts[0] in GROUPS]


def test_the_folder_has_the_groups_that_the_project_promises() -> None:
    assert {file.parts[0] for file in FILES} >= {"model", "vectorizer", "dataset", "sampler", "experiment"}


@pytest.mark.parametrize("file", FILES, ids=str)
def test_every_file_composes(file: Path, loader: ConfigLoader) -> None:
    group, option = file.parent.as_posix(), file.stem
    config = loader.load_configuration("config", [f"{group}={option}"], RunMode.MULTIRUN)
    assert config.hydra.runtime.choices[group] == option
    without_hydra(config)


@pytest.mark.parametrize("file", OPTIONS, ids=str)
def test_every_search_space_collects_and_its_defaults_and_draws_build(
    file: Path, plan: Planner, tmp_path: Path
) -> None:
    group, option = file.parts[0], file.stem
    planned = plan(f"{group}={option}")
    combination = next(iter(planned.combinations.values()))
    assert set(inactive_keys(combination.option(group))) <= set(flatten(combination.option(group)))
    configs = [planned.config, *(planned.trial_config(proposal) for proposal in draws(planned, 5))]
    for config in configs:
        candidate = candidate_of(config)
        node = candidate.model if group == "model" else candidate.vectorizer
        assert "search_space" not in node
        built = build(node, group)
        assert callable(getattr(built, "fit", None)) if "_target_" in node else built == {}


def test_the_root_config_refuses_a_key_that_it_does_not_know_and_a_value_of_a_wrong_type(loader: ConfigLoader) -> None:
    assert set(RootConfig.__dataclass_fields__) >= {"n_trials", "timeout", "seed", "metric"}
    for text in ("n_trial=3", "n_trials=abc", "seed=1.5", "promote=maybe", "dry_run=perhaps"):
        with pytest.raises(ConfigCompositionException, match=text.partition("=")[0]):
            loader.load_configuration("config", [text], RunMode.MULTIRUN)


def test_the_option_of_a_combination_is_plain_and_resolved(plan: Planner) -> None:
    combination = next(iter(plan("model=logistic").combinations.values()))
    assert isinstance(combination, Combination)
    option = combination.option("model")
    assert type(option) is dict
    assert type(option["search_space"]["C"]) is dict


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("int(interval(1,10))", IntDistribution),
        ("int(tag(log,interval(1,10)))", IntDistribution),
        ("interval(1,10)", FloatDistribution),
        ("float(range(1,10))", FloatDistribution),
    ],
)
def test_a_cast_wins_over_the_type_of_the_default(plan: Planner, text: str, kind: type) -> None:
    leaves = {leaf.key: leaf for leaf in plan("model=logistic", f"model.C={text}").space.searched_leaves()}
    assert isinstance(leaves["model.C"].distribution, kind)
    assert leaves["model.C"].holds_default()
