"""The conditional search space of a study: what is drawn from, in which order, and under which conditions."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from hydra.errors import HydraException
from optuna import Trial
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial

from sweeps.base.errors import ConfigError
from sweeps.compose import override_text as overrides


@dataclass(frozen=True)
class Leaf:
    """One searched hyperparameter of one option, such as `C` of `model/svm`.

    Attributes:
        key: where its value goes in the composed config (`model.C`).
        name: its name in Optuna (`model/svm.C`).
        distribution: what is drawn from.
        default: the value beside the space, used where the leaf is not drawn.
        when: for each earlier sibling's key, the values under which this leaf is active; all must hold.
        source: the file it is written in, or the override that replaced it.
    """

    key: str
    name: str
    distribution: BaseDistribution
    default: Any
    when: Mapping[str, tuple[Any, ...]]
    source: str

    def decode(self, drawn: Any) -> Any:
        """The config value of what Optuna drew: a choice written as `"[1,2]"` is that list."""
        return decode_choice(drawn) if isinstance(self.distribution, CategoricalDistribution) else drawn

    def encode_default(self) -> tuple[bool, Any]:
        """Whether the distribution holds the default, and the default as Optuna would draw it."""
        distribution, value = self.distribution, self.default
        if isinstance(distribution, CategoricalDistribution):
            for choice in distribution.choices:
                if same(decode_choice(choice), value):
                    return True, choice
            return False, None
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False, None
        assert isinstance(distribution, FloatDistribution | IntDistribution)  # noqa: S101 - for mypy: no third kind
        if not distribution.low <= value <= distribution.high:
            return False, None
        if isinstance(distribution, IntDistribution) and value != int(value):
            return False, None
        if distribution.step is not None and not distribution.log:
            steps = (value - distribution.low) / distribution.step
            if abs(steps - round(steps)) > 1e-8:
                return False, None
        return True, int(value) if isinstance(distribution, IntDistribution) else float(value)


@dataclass(frozen=True)
class Proposal:
    """What one trial is to run.

    Attributes:
        choices: the option of each group, `{"model": "svm", "vectorizer": "tfidf"}`.
        values: the drawn values by config key, `{"model.C": 0.3}`.
    """

    choices: Mapping[str, str]
    values: Mapping[str, Any]

    def override_texts(self) -> list[str]:
        """The proposal as Hydra overrides, group choices first."""
        return [f"{group}={choice}" for group, choice in self.choices.items()] + [
            f"{key}={overrides.to_text(value)}" for key, value in self.values.items()
        ]


@dataclass(frozen=True)
class SearchSpace:
    """The conditional space of one study.

    Attributes:
        groups: the options of each group in the order typed; a group with one option is not drawn.
        leaves: for each (group, option) its leaves, in the order of the file.
    """

    groups: Mapping[str, tuple[str, ...]]
    leaves: Mapping[tuple[str, str], tuple[Leaf, ...]] = field(default_factory=dict)

    def swept_groups(self) -> dict[str, tuple[str, ...]]:
        """The groups that are drawn: those with more than one option."""
        return {group: options for group, options in self.groups.items() if len(options) > 1}

    def all_leaves(self) -> Iterator[Leaf]:
        """Every leaf of every option, in order."""
        for leaves in self.leaves.values():
            yield from leaves

    def suggest(self, trial: Trial, *, is_default: bool = False) -> Proposal:
        """Draw a trial: the group choices first, then the active leaves of what was chosen.

        Args:
            trial: to draw from.
            is_default: whether it runs the defaults: one that lies outside its distribution is left undrawn.
        """
        choices = {
            group: trial.suggest_categorical(group, options) if len(options) > 1 else options[0]
            for group, options in self.groups.items()
        }
        values: dict[str, Any] = {}
        for group, choice in choices.items():
            current: dict[str, Any] = {}
            for leaf in self.leaves.get((group, choice), ()):
                if not is_active(leaf.when, current):
                    continue
                current[leaf.key] = leaf.default
                if is_default and not leaf.encode_default()[0]:
                    continue
                current[leaf.key] = values[leaf.key] = leaf.decode(_suggest(trial, leaf))
        return Proposal(choices, values)

    def replay(self, trial: FrozenTrial) -> Proposal:
        """The proposal that a finished trial ran, from its parameters."""
        choices = {group: trial.params.get(group, options[0]) for group, options in self.groups.items()}
        leaves = (leaf for pair in choices.items() for leaf in self.leaves.get(pair, ()))
        return Proposal(
            choices, {leaf.key: leaf.decode(trial.params[leaf.name]) for leaf in leaves if leaf.name in trial.params}
        )

    def grid(self) -> Iterator[dict[str, Any]]:
        """Every point of a finite space once, as parameters by Optuna name, conditions included.

        Raises:
            ConfigError: a float leaf has no step.
        """
        for options in itertools.product(*self.groups.values()):
            choices = dict(zip(self.groups, options, strict=True))
            drawn = {group: choice for group, choice in choices.items() if len(self.groups[group]) > 1}
            for point in _points([self.leaves.get(pair, ()) for pair in choices.items()]):
                yield drawn | point

    def defaults(self) -> list[dict[str, Any]]:
        """The parameters, by Optuna name, of the first trials: one for each option of a swept `model`.

        Other groups stand at their first option. A default outside its distribution is not among the parameters.
        """
        swept = self.swept_groups()
        first = {group: options[0] for group, options in swept.items()}
        starts = [{**first, "model": option} for option in swept["model"]] if "model" in swept else [first]
        return [start | self._default_leaves(start) for start in starts]

    def _default_leaves(self, start: Mapping[str, str]) -> dict[str, Any]:
        parameters = {}
        for group, options in self.groups.items():
            current: dict[str, Any] = {}
            for leaf in self.leaves.get((group, start.get(group, options[0])), ()):
                if not is_active(leaf.when, current):
                    continue
                current[leaf.key] = leaf.default
                inside, encoded = leaf.encode_default()
                if inside:
                    parameters[leaf.name] = encoded
        return parameters


def _points(options: Sequence[Sequence[Leaf]]) -> Iterator[dict[str, Any]]:
    """Every combination of the branches of several options, one at a time: there may be too many to keep."""
    if not options:
        yield {}
        return
    for branch in _branches(options[0], {}):
        for rest in _points(options[1:]):
            yield branch | rest


def _branches(leaves: Sequence[Leaf], current: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if not leaves:
        yield {}
        return
    leaf, *rest = leaves
    if not is_active(leaf.when, current):
        yield from _branches(rest, current)
        return
    for value in _enumerate(leaf):
        for branch in _branches(rest, {**current, leaf.key: leaf.decode(value)}):
            yield {leaf.name: value, **branch}


def _enumerate(leaf: Leaf) -> Iterable[Any]:
    distribution = leaf.distribution
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices
    if isinstance(distribution, IntDistribution):
        return range(distribution.low, distribution.high + 1, distribution.step)
    assert isinstance(distribution, FloatDistribution)  # noqa: S101 - for mypy: no fourth kind
    if distribution.step is None:
        raise ConfigError(
            f"sampler=grid cannot enumerate {leaf.name} ({leaf.source}): a float needs a step or a choice of "
            f"values, e.g. '{leaf.key}=choice(0.1,1,10)'."
        )
    low, high, step = (Decimal(str(number)) for number in (distribution.low, distribution.high, distribution.step))
    return (float(low + index * step) for index in range(int((high - low) / step) + 1))


def is_active(when: Mapping[str, tuple[Any, ...]], current: Mapping[str, Any]) -> bool:
    """Whether every condition holds; `current` has the values of the active siblings, so an absent one is inactive."""
    return all(key in current and any(same(current[key], v) for v in values) for key, values in when.items())


def drop_unreachable(leaves: Sequence[Leaf], fixed: Collection[str]) -> tuple[Leaf, ...]:
    """The leaves that are still searched: not fixed, and with a condition that can hold.

    Args:
        leaves: the leaves of one option, in order; the default of a fixed one is the value it is fixed at.
        fixed: the config keys that an override fixes.

    Returns:
        The searched leaves. A condition on a fixed sibling is settled here, and the sibling's own conditions, which
        decide whether it has a value at all, are handed down.
    """
    kept: list[Leaf] = []
    conditions: dict[str, dict[str, tuple[Any, ...]]] = {}  # of the leaves that can become active
    searched: dict[str, Leaf] = {}
    for leaf in leaves:
        open_conditions: dict[str, tuple[Any, ...]] | None = {}
        for key, wanted in leaf.when.items():
            inherited = {key: wanted} if key in searched else conditions.get(key)
            if key not in searched and not any(same(value, w) for value in _fixed_value(leaves, key) for w in wanted):
                inherited = None
            open_conditions = _both(open_conditions, inherited, searched)
        if open_conditions is None:
            continue
        conditions[leaf.key] = open_conditions
        if leaf.key not in fixed:
            searched[leaf.key] = replace(leaf, when=open_conditions)
            kept.append(searched[leaf.key])
    return tuple(kept)


def _fixed_value(leaves: Sequence[Leaf], key: str) -> list[Any]:
    return [leaf.default for leaf in leaves if leaf.key == key]


def _both(
    left: dict[str, tuple[Any, ...]] | None, right: Mapping[str, tuple[Any, ...]] | None, searched: Mapping[str, Leaf]
) -> dict[str, tuple[Any, ...]] | None:
    """The conditions of both, None where they cannot hold together."""
    if left is None or right is None:
        return None
    merged = dict(left)
    for key, wanted in right.items():
        values = tuple(value for value in wanted if key not in merged or any(same(value, v) for v in merged[key]))
        if not any(same(value, reachable) for reachable in _reachable(searched[key]) for value in values):
            return None
        merged[key] = values
    return merged


def _reachable(leaf: Leaf) -> list[Any]:
    if not isinstance(leaf.distribution, CategoricalDistribution):
        return [leaf.default]
    return [leaf.default, *(leaf.decode(choice) for choice in leaf.distribution.choices)]


def _suggest(trial: Trial, leaf: Leaf) -> Any:
    distribution = leaf.distribution
    if isinstance(distribution, FloatDistribution):
        return trial.suggest_float(
            leaf.name, distribution.low, distribution.high, log=distribution.log, step=distribution.step
        )
    if isinstance(distribution, IntDistribution):
        return trial.suggest_int(
            leaf.name, distribution.low, distribution.high, log=distribution.log, step=distribution.step
        )
    assert isinstance(distribution, CategoricalDistribution)  # noqa: S101 - for mypy: no fourth kind
    return trial.suggest_categorical(leaf.name, distribution.choices)


def decode_choice(choice: Any) -> Any:
    """A choice written as the override text of a list is that list; any other is itself."""
    if isinstance(choice, str) and choice.startswith("["):
        try:
            value = overrides.from_text(choice)
        except HydraException:
            return choice
        return overrides.unescape(value) if isinstance(value, list) else choice
    return choice


def same(left: Any, right: Any) -> bool:
    """Equal values of the same kind: `True` is not `1`, while `1` is `1.0`."""
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)
