"""The conditional search space of a study: what is drawn from, in which order, and under which conditions."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from optuna import Trial
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial

from sweeps.base.errors import ConfigError
from sweeps.compose import override_text
from sweeps.compose.leaf import NO_DEFAULT, Leaf, as_yaml, branches, describe_distribution, same

Owner = tuple[str, str]
"""The group and the option that a leaf belongs to."""

ROOT: Owner = ("", "")
"""The owner of leaves that belong to no group's option."""


@dataclass(frozen=True)
class Proposal:
    """What one trial is to run.

    Attributes:
        choices: the option of each group, `{"model": "svm", "vectorizer": "tfidf"}`.
        values: the drawn values by config key, `{"model.C": 0.3}`.
        environment: variables that its process gets for its time; None for one that it must not have.
    """

    choices: Mapping[str, str]
    values: Mapping[str, Any]
    environment: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True)
class SearchSpace:
    """The conditional space of one study.

    Attributes:
        groups: the options of each group in the order typed; a group with one option is not drawn.
        leaves: for each owner its leaves, in the order of the file, those that an override fixes among them.
        lead: the group of whose options each has a trial of its own defaults, None for the first that is swept.
        added: the groups that are not in the defaults list, so that their options are typed as `+group=option`.
        implied: the groups whose one option the config chooses by itself, so that nothing is typed for them.
    """

    groups: Mapping[str, tuple[str, ...]]
    leaves: Mapping[Owner, tuple[Leaf, ...]] = field(default_factory=dict)
    lead: str | None = None
    added: Collection[str] = ()
    implied: Collection[str] = ()

    def swept_groups(self) -> dict[str, tuple[str, ...]]:
        """The groups that are drawn: those with more than one option."""
        return {group: options for group, options in self.groups.items() if len(options) > 1}

    def searched_leaves(self) -> Iterator[Leaf]:
        """Every leaf of every option that is drawn, in order."""
        for leaves in self.leaves.values():
            yield from (leaf for leaf in leaves if not leaf.is_fixed)

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

        def draw(leaf: Leaf) -> list[Any]:
            if leaf.is_fixed or (is_default and not leaf.holds_default()):
                return [leaf.default]
            values[leaf.key] = leaf.decode(_suggest(trial, leaf))
            return [values[leaf.key]]

        for owner in _owners(choices):
            next(branches(self.leaves.get(owner, ()), draw))
        return Proposal(choices, values)

    def override_texts(self, proposal: Proposal) -> list[str]:
        """A proposal as Hydra overrides, group choices first."""
        typed = {group: choice for group, choice in proposal.choices.items() if group not in self.implied}
        return [f"{'+' if group in self.added else ''}{group}={choice}" for group, choice in typed.items()] + [
            f"{key}={override_text.to_text(value)}" for key, value in proposal.values.items()
        ]

    def replay(self, trial: FrozenTrial) -> Proposal:
        """The proposal that a finished trial ran, from its parameters.

        Those that the space does not know, of a user's own function, have config keys as names.
        """
        choices = {group: trial.params.get(group, options[0]) for group, options in self.groups.items()}
        leaves = [leaf for owner in _owners(choices) for leaf in self.leaves.get(owner, ())]
        values = {leaf.key: leaf.decode(trial.params[leaf.name]) for leaf in leaves if leaf.name in trial.params}
        known = {leaf.name for leaf in leaves} | self.groups.keys()
        return Proposal(choices, values | {key: value for key, value in trial.params.items() if key not in known})

    def is_finite(self) -> bool:
        """Whether every leaf that is drawn has a finite number of values."""
        return all(
            not isinstance(leaf.distribution, FloatDistribution) or leaf.distribution.step is not None
            for leaf in self.searched_leaves()
        )

    def grid(self) -> Iterator[dict[str, Any]]:
        """Every point of a finite space once, as parameters by Optuna name, conditions included.

        Raises:
            ConfigError: a float leaf has no step.
        """
        for options in itertools.product(*self.groups.values()):
            choices = dict(zip(self.groups, options, strict=True))
            yield from self._points(choices, _owners(choices))

    def defaults(self) -> list[dict[str, Any]]:
        """The parameters, by Optuna name, of the first trials: one for each option of a swept lead group.

        Other groups stand at their first option. A default outside its distribution is not among the parameters. Where
        a key has no default, there is no such trial.
        """
        first = {group: options[0] for group, options in self.groups.items()}
        swept = self.swept_groups()
        lead = next(iter(swept), "") if self.lead is None else self.lead
        starts = [{**first, lead: option} for option in swept.get(lead, ())] or [first]
        found = [(start, self._active(start, {})) for start in starts]
        return [self._parameters(start, values) for start, values in found if NO_DEFAULT not in values.values()]

    def parameters_of(self, point: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """A point as parameters by Optuna name, and what of it does not fit.

        Args:
            point: options by group, and values by config key; of those that it lacks, the first and the default.
        """
        choices = {group: str(point.get(group, options[0])) for group, options in self.groups.items()}
        unfit = [
            f"{group}={choices[group]}, which is none of {', '.join(options)}"
            for group, options in self.groups.items()
            if choices[group] not in options
        ]
        active = self._active(choices, point)
        for leaf in (leaf for owner in _owners(choices) for leaf in self.leaves.get(owner, ())):
            key, value = leaf.key.lstrip("+"), active.get(leaf.key)
            if leaf.key not in active or key not in point:
                continue
            if leaf.is_fixed and not same(value, leaf.default):
                unfit.append(f"{key}={as_yaml(value)}, which is fixed at {as_yaml(leaf.default)}")
            elif not leaf.is_fixed and not leaf.encode(value)[0]:
                unfit.append(f"{key}={as_yaml(value)}, which is outside {describe_distribution(leaf.distribution)}")
        known = {*choices, *(key.lstrip("+") for key in active)}
        unfit += [f"{key}, which is not searched with {_shown(choices)}" for key in point if key not in known]
        return self._parameters(choices, active), unfit

    def active_part(self, point: Mapping[str, Any]) -> dict[str, Any]:
        """What of a point is an option here, or the value of a leaf that is active with the others."""
        choices = {group: str(point.get(group, options[0])) for group, options in self.groups.items()}
        keys = {*choices, *(key.lstrip("+") for key in self._active(choices, point))}
        return {key: value for key, value in point.items() if key in keys}

    def _active(self, choices: Mapping[str, str], point: Mapping[str, Any]) -> dict[str, Any]:
        """The values of the leaves that are active in a point, by key; defaults for those that it lacks."""
        values: dict[str, Any] = {}
        for owner in _owners(choices):
            leaves = self.leaves.get(owner, ())
            values |= next(branches(leaves, lambda leaf: [point.get(leaf.key.lstrip("+"), leaf.default)]))
        return values

    def _points(self, choices: Mapping[str, str], rest: Sequence[Owner]) -> Iterator[dict[str, Any]]:
        """The points of some options, one at a time: there may be too many to keep."""
        if not rest:
            yield self._parameters(choices, {})
            return
        for branch in branches(self.leaves.get(rest[0], ()), _every_value):
            for others in self._points(choices, rest[1:]):
                yield self._parameters(choices, branch) | others

    def _parameters(self, choices: Mapping[str, str], values: Mapping[str, Any]) -> dict[str, Any]:
        """Choices and config values as Optuna knows them: what is fixed, or outside its distribution, is left out."""
        parameters: dict[str, Any] = {group: choices[group] for group in self.swept_groups()}
        for owner in _owners(choices):
            for leaf in self.leaves.get(owner, ()):
                holds, encoded = leaf.encode(values[leaf.key]) if leaf.key in values else (False, None)
                if holds and not leaf.is_fixed:
                    parameters[leaf.name] = encoded
        return parameters


def _shown(choices: Mapping[str, str]) -> str:
    return " ".join(f"{group}={choice}" for group, choice in choices.items()) or "this config"


def _owners(choices: Mapping[str, str]) -> list[Owner]:
    return [*choices.items(), ROOT]


def _every_value(leaf: Leaf) -> Iterable[Any]:
    distribution = leaf.distribution
    if leaf.is_fixed:
        return [leaf.default]
    if isinstance(distribution, CategoricalDistribution):
        return map(leaf.decode, distribution.choices)
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
