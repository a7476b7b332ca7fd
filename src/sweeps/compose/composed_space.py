"""The search space of a composed config: `search_space` beside the defaults, and what is typed for a sweep."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from enum import Enum
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from sweeps.base.errors import ConfigError, first_line
from sweeps.compose import override_text, space_yaml
from sweeps.compose.leaf import NO_DEFAULT, Leaf, reachable
from sweeps.compose.option_file import locate_option
from sweeps.compose.request import Request
from sweeps.compose.scope import SEARCH_SPACE, Scope, is_space, package_of
from sweeps.compose.search_space import ROOT, Owner

_SETTING = "hydra.sweeper.search_space"


class _Owners:
    """Which option of which group a config key belongs to.

    Args:
        config: composed.
        scope: what may be searched.
    """

    def __init__(self, config: DictConfig, scope: Scope) -> None:
        chosen = {
            str(group): str(choice) for group, choice in config.hydra.runtime.choices.items() if choice is not None
        }
        groups = [group for group in chosen if not group.startswith("hydra/")] if scope.groups is None else scope.groups
        packages = {package_of(group): (group, chosen[group]) for group in groups}
        self._packages = dict(sorted(packages.items(), key=lambda item: len(item[0]), reverse=True))
        self._sources = config.hydra.runtime.config_sources
        self._root = str(config.hydra.job.config_name)

    def of(self, key: str) -> Owner:
        """The innermost option around a key; the root's where there is none."""
        return next(
            (owner for package, owner in self._packages.items() if package and key.startswith(f"{package}.")), ROOT
        )

    def name(self, key: str) -> str:
        """What Optuna calls a key: `model/svm.C` for one of an option, the key itself for others."""
        group, choice = self.of(key)
        return f"{group}/{choice}.{key.removeprefix(f'{package_of(group)}.')}" if group else key

    def place(self, package: str) -> str:
        """Where the search space at a package is written: the file of the option around it, and the key in it."""
        group, choice = self.of(f"{package}.") if package else ROOT
        file = locate_option(self._sources, group.partition("@")[0], choice or self._root)
        around = f"{package}.".removeprefix(f"{package_of(group)}.") if package else ""
        return f"{file}: {around}{SEARCH_SPACE}"

    def at(self, option: str) -> str | None:
        """The package of an option such as `model/svm` where it is chosen, None where it is not."""
        for package, (group, choice) in self._packages.items():
            if option == f"{group.partition('@')[0]}/{choice}":
                return package
        return None

    def packages(self) -> list[str]:
        """Where options stand, in the order of their groups in the scope."""
        return list(self._packages)


def leaves_of(config: DictConfig, request: Request) -> dict[Owner, tuple[Leaf, ...]]:
    """The leaves of a composed config by the option that they belong to, with what was typed for the sweep.

    Raises:
        ConfigError: a rule of the search-space language is broken; the message names the file and the key.
    """
    return {owner: reachable(declared) for owner, declared in _declared(config, request).items()}


def idle_values(config: DictConfig, request: Request) -> set[str]:
    """The keys of typed values that no trial of a composed config uses, since their conditions never hold."""
    declared = _declared(config, request).values()
    idle = {leaf.key for leaves in declared for leaf in leaves} - {
        leaf.key for own in declared for leaf in reachable(own)
    }
    return idle & request.leaf_values.keys()


def _declared(config: DictConfig, request: Request) -> dict[Owner, list[Leaf]]:
    """All leaves, whether some trial uses them or not."""
    owners = _Owners(config, request.scope)
    leaves: dict[str, Leaf] = {}
    for package, space, where in _spaces(config, owners, request.scope):
        node = OmegaConf.select(config, package) if package else config
        beside = OmegaConf.to_container(node, resolve=request.scope.groups is not None, enum_to_str=True)
        assert isinstance(beside, dict)  # noqa: S101 - for mypy: the node has a key
        for leaf in space_yaml.collect(
            space, {str(key): value for key, value in beside.items()}, package, owners.name, where
        ):
            if leaf.key in leaves:
                raise ConfigError(
                    f"{where}: {leaf.key} has a search space in {leaves[leaf.key].source}, too; keep one."
                )
            leaves[leaf.key] = replace(leaf, default=_default(config, leaf))
    for key, sweep in request.leaf_sweeps.items():
        if sweep.adds or has_key(config, key):
            default = _value(config, key)
            distribution = sweep.distribution(default, by_default=request.scope.groups is not None)
            typed = key if has_key(config, key) else f"+{key}"
            leaf = leaves.get(key) or Leaf(typed, owners.name(key), distribution, default, {}, "")
            leaves[key] = replace(leaf, distribution=distribution, source=f"command line: {sweep.text}")
    probe = copy.deepcopy(config)
    for leaf in leaves.values():
        check_values(probe, leaf.key, map(leaf.decode, _extremes(leaf.distribution)), leaf.source)
    by_owner: dict[Owner, list[Leaf]] = {}
    for key, leaf in leaves.items():
        is_fixed = key not in request.leaf_sweeps and request.is_fixed(key)
        by_owner.setdefault(owners.of(key), []).append(replace(leaf, is_fixed=is_fixed))
    return by_owner


def _node_and_name(config: DictConfig, key: str) -> tuple[Any, str]:
    parent, _, name = key.rpartition(".")
    return (OmegaConf.select(config, parent) if parent else config), name


def has_key(config: DictConfig, key: str) -> bool:
    """Whether a config has a key."""
    node, name = _node_and_name(config, key)
    return isinstance(node, DictConfig) and name in node.keys()  # noqa: SIM118 - a key that is ??? is not "in" it


def _spaces(config: DictConfig, owners: _Owners, scope: Scope) -> Iterator[tuple[str, Any, str]]:
    """Every search space of a config: the package that it mirrors, the space itself, and where it is written."""
    if scope.groups is not None:
        for group in scope.groups:
            package = package_of(group)
            yield package, _plain(OmegaConf.select(config, f"{package}.{SEARCH_SPACE}")), owners.place(package)
        return
    written = OmegaConf.to_container(config, resolve=False)
    assert isinstance(written, dict)  # noqa: S101 - for mypy: a config is one
    for package in _packages_with_space({key: node for key, node in written.items() if key != "hydra"}, ""):
        space = _plain(OmegaConf.select(config, f"{package}.{SEARCH_SPACE}" if package else SEARCH_SPACE))
        if is_space(space):
            yield package, space, owners.place(package)
    space = _plain(config.hydra.sweeper.get(SEARCH_SPACE))
    if not isinstance(space, Mapping):
        yield "", space, _SETTING
        return
    yield "", {key: node for key, node in space.items() if "/" not in key}, _SETTING
    for option, of_option in space.items():
        at = owners.at(option) if "/" in option else None
        if at is not None:
            yield at, of_option, f"{_SETTING}.{option}"


def _packages_with_space(node: Mapping[Any, Any], package: str) -> Iterator[str]:
    if SEARCH_SPACE in node:
        yield package
    for key, inner in node.items():
        if key != SEARCH_SPACE and isinstance(inner, Mapping):
            yield from _packages_with_space(inner, f"{package}.{key}" if package else str(key))


def _plain(node: Any) -> Any:
    return OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node


def _default(config: DictConfig, leaf: Leaf) -> Any:
    """A leaf's default as it resolves."""
    if leaf.default == NO_DEFAULT:
        raise ConfigError(f"{leaf.source}: {leaf.key} is ???; a searched key needs a default.")
    if isinstance(leaf.default, str) and "${" in leaf.default:
        return _value(config, leaf.key)
    return leaf.default


def _value(config: DictConfig, key: str) -> Any:
    """The value of a key as it resolves and as it is typed: a member of an Enum by its name."""
    if not has_key(config, key) or OmegaConf.is_missing(*_node_and_name(config, key)):
        return NO_DEFAULT
    found = OmegaConf.select(config, key)
    if isinstance(found, Enum):
        return found.name
    return OmegaConf.to_container(found, enum_to_str=True) if OmegaConf.is_config(found) else found


def check_values(probe: DictConfig, key: str, values: Iterable[Any], source: str) -> None:
    """Have a config, which may have types, take the values that trials set.

    Args:
        probe: a copy, which keeps the last of them.
        key: in it.
        values: to set.
        source: of the values, for the message.

    Raises:
        ConfigError: it refuses one.
    """
    for value in values:
        try:
            added = key.startswith("+")
            OmegaConf.update(probe, key.lstrip("+"), override_text.stored(value), merge=False, force_add=added)
        except OmegaConfBaseException as error:
            is_whole = OmegaConf.get_type(probe, key.lstrip("+")) is int and isinstance(value, float)
            hint = " For whole numbers: range(1,5), or int(interval(1,4))." if is_whole else ""
            raise ConfigError(f"{source}: {key} cannot be {value!r}: {first_line(error)}.{hint}") from error


def _extremes(distribution: BaseDistribution) -> Iterable[Any]:
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices
    assert isinstance(distribution, FloatDistribution | IntDistribution)  # noqa: S101 - for mypy: there are no others
    return distribution.low, distribution.high
