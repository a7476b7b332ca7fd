"""From override texts to composed configs and their space, in an app of any kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hydra import version
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution

from sweeps.compose.plan import StudyPlan, plan_study
from sweeps.compose.request import Request
from sweeps.compose.scope import Scope
from sweeps.compose.search_space import Proposal

FILES = {
    "config": "defaults: [{model: mlp}, {optimizer: adam}, {override hydra/sweeper: sweeps}, _self_]\nseed: 1",
    "model/mlp": "width: 3\nsearch_space: {width: {type: int, low: 1, high: 5}}",
    "model/cnn": "width: 4\ndepth: 2\nsearch_space: {depth: {type: int, low: 1, high: 5}}",
    "optimizer/adam": "lr: 0.1\nsearch_space: {lr: {type: float, low: 0.01, high: 1.0}}",
    "db/mysql": "pool: 2\nsearch_space: {pool: {type: int, low: 1, high: 9}}",
    "db/sqlite": "pool: 1",
}


@pytest.fixture
def plan(tmp_path: Path) -> Iterator[Callable[..., StudyPlan]]:
    """Plan the study of some override texts."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.yaml").write_text(text)
    version.setbase("1.3")
    GlobalHydra.instance().clear()
    loader = Hydra.create_main_hydra2("app", create_config_search_path(str(tmp_path))).config_loader

    def plan(*texts: str) -> StudyPlan:
        master = loader.load_configuration("config", [], RunMode.MULTIRUN)
        return plan_study(Request.parse(texts, loader, Scope()), None, master, loader)

    yield plan
    GlobalHydra.instance().clear()


def names(planned: StudyPlan) -> list[str]:
    return [leaf.name for leaf in planned.space.searched_leaves()]


@pytest.mark.parametrize(
    ("texts", "searched"),
    [
        ([], ["model/mlp.width", "optimizer/adam.lr"]),
        (["model=cnn"], ["model/cnn.depth", "optimizer/adam.lr"]),
        (["+db=mysql"], ["model/mlp.width", "optimizer/adam.lr", "db/mysql.pool"]),
        (["model=cnn", "model.depth=3"], ["optimizer/adam.lr"]),
    ],
    ids=str,
)
def test_an_option_that_is_chosen_keeps_its_space_and_a_value_that_is_set_is_not_searched(
    plan: Callable[..., StudyPlan], texts: list[str], searched: list[str]
) -> None:
    assert sorted(names(plan(*texts))) == sorted(searched)


@pytest.mark.parametrize(
    ("texts", "overrides"),
    [
        (["model=mlp,cnn", "optimizer=adam"], ["optimizer=adam", "model=cnn"]),
        (["+db=mysql,sqlite"], ["+db=sqlite"]),
        (["+db=mysql", "model=mlp,cnn"], ["+db=mysql", "model=cnn"]),
    ],
    ids=str,
)
def test_a_trial_composes_again_from_its_own_overrides(
    plan: Callable[..., StudyPlan], texts: list[str], overrides: list[str]
) -> None:
    planned = plan(*texts)
    (*_, point) = planned.space.defaults()
    chosen = {group: point.get(group, options[0]) for group, options in planned.space.groups.items()}
    written = planned.override_texts(Proposal(chosen, {}))
    assert written == overrides
    plan(*written)  # or Hydra refuses it


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("model.width=interval(1,10)", FloatDistribution(1, 10)),
        ("model.width=int(interval(1,10))", IntDistribution(1, 10)),
        ("model.width=range(1,10)", IntDistribution(1, 9)),
        ("model.width=range(1,10,3)", IntDistribution(1, 7, step=3)),
        ("optimizer.lr=range(1,10)", IntDistribution(1, 9)),
        ("optimizer.lr=range(0.5,2,0.5)", FloatDistribution(0.5, 1.5, step=0.5)),
    ],
)
def test_numbers_are_what_hydra_makes_of_them_whatever_the_default_is(
    plan: Callable[..., StudyPlan], text: str, expected: BaseDistribution
) -> None:
    (found,) = (leaf.distribution for leaf in plan(text).space.searched_leaves() if leaf.source.endswith(text))
    assert found == expected
