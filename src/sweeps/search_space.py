"""Search spaces as they stand in the YAML files: read, check, override, and suggest from them, conditions included.

A leaf is Optuna's short form of a distribution (`optuna.distributions.json_to_distribution`) plus `when`:

    kernel: {type: categorical, choices: [linear, rbf]}
    gamma:  {type: float, low: 1.0e-4, high: 1.0, log: true, when: {kernel: rbf}}
"""

from __future__ import annotations

import itertools
import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from optuna import Trial
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    json_to_distribution,
)
from optuna.trial import FrozenTrial

from sweeps import overrides
from sweeps.errors import ConfigError

SEARCH_SPACE = "search_space"
TRUSTED_TYPES = "trusted_types"
INTERRUPTED = "sweeps.interrupted"  # user attribute of the trials that were cut off from outside
DEFAULT_TRIAL = "sweeps.default"  # user attribute of the trials that run an option's defaults as written

_NUMBER_WORDS = {"type", "low", "high", "log", "step", "when"}
_WORDS = {"float": _NUMBER_WORDS, "int": _NUMBER_WORDS, "categorical": {"type", "choices", "when"}}


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
        return _decode_choice(drawn) if isinstance(self.distribution, CategoricalDistribution) else drawn

    def encode_default(self) -> tuple[bool, Any]:
        """Whether the distribution holds the default, and the default as Optuna would draw it."""
        distribution, value = self.distribution, self.default
        if isinstance(distribution, CategoricalDistribution):
            for choice in distribution.choices:
                if _same(_decode_choice(choice), value):
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

    def suggest(self, trial: Trial) -> Proposal:
        """Draw a trial: the group choices first, then the active leaves of what was chosen.

        A trial marked `DEFAULT_TRIAL` leaves those undrawn whose default lies outside their distribution.
        """
        is_default = bool(trial.user_attrs.get(DEFAULT_TRIAL, False))
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
            branches = [list(_branches(self.leaves.get(pair, ()), {})) for pair in choices.items()]
            for parts in itertools.product(*branches):
                yield drawn | {name: value for part in parts for name, value in part.items()}

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


def _enumerate(leaf: Leaf) -> Sequence[Any]:
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
    n_steps = round((distribution.high - distribution.low) / distribution.step)
    return [distribution.low + index * distribution.step for index in range(n_steps + 1)]


def is_active(when: Mapping[str, tuple[Any, ...]], current: Mapping[str, Any]) -> bool:
    """Whether every condition holds; `current` has the values of the active siblings, so an absent one is inactive."""
    return all(key in current and any(_same(current[key], v) for v in values) for key, values in when.items())


def collect(option: Mapping[str, Any], group: str, choice: str, source: str) -> tuple[Leaf, ...]:
    """Read and check the search space of one composed option, as written.

    Args:
        option: the option's config as plain containers; its `search_space` mirrors its other keys.
        group: the config group (`model`).
        choice: the option's name (`svm`).
        source: the file of the option, for messages.

    Raises:
        ConfigError: a rule of the search-space language is broken; the message names the file and the key.
    """
    space = option.get(SEARCH_SPACE) or {}
    where = f"{source}: {SEARCH_SPACE}"
    if not isinstance(space, Mapping):
        raise ConfigError(f"{where} must be a mapping of keys to distributions, not {space!r}.")
    return tuple(_walk(space, option, (), group, choice, source))


def _walk(
    space: Mapping[str, Any], beside: Mapping[str, Any], path: tuple[str, ...], group: str, choice: str, source: str
) -> Iterator[Leaf]:
    siblings: dict[str, Leaf] = {}
    for key, node in space.items():
        here = (*path, str(key))
        where = f"{source}: {SEARCH_SPACE}.{'.'.join(here)}"
        if not isinstance(node, Mapping):
            raise ConfigError(f"{where} must be a distribution such as {{type: float, low: 0, high: 1}}, not {node!r}.")
        if key not in beside or key == SEARCH_SPACE:
            raise ConfigError(
                f"{where} has no default beside it: every searched key needs one; add `{'.'.join(here)}: VALUE` "
                f"to {source}."
            )
        if not isinstance(node.get("type"), str):
            inner = beside[key]
            if not isinstance(inner, Mapping):
                raise ConfigError(f"{where} has no `type` (float, int or categorical).")
            yield from _walk(node, inner, here, group, choice, source)
            continue
        leaf = Leaf(
            key=".".join((group, *here)),
            name=f"{group}/{choice}.{'.'.join(here)}",
            distribution=_distribution(node, where),
            default=beside[key],
            when=_conditions(node.get("when"), siblings, where, ".".join((group, *path))),
            source=source,
        )
        siblings[str(key)] = leaf
        yield leaf


def _distribution(node: Mapping[str, Any], where: str) -> BaseDistribution:
    kind = node["type"]
    if kind not in _WORDS:
        raise ConfigError(f"{where}.type: {kind!r} is unknown; it is one of float, int, categorical.")
    unknown = [word for word in node if word not in _WORDS[kind]]
    if unknown:
        raise ConfigError(
            f"{where}: unknown {', '.join(map(repr, unknown))}; "
            f"a {kind} takes {', '.join(sorted(_WORDS[kind] - {'type'}))}."
        )
    if kind == "categorical":
        return categorical(node.get("choices"), where)
    for bound in ("low", "high"):
        if bound not in node:
            raise ConfigError(f"{where}: {bound!r} is missing; a {kind} needs low and high.")
    for word in ("low", "high", "step"):
        _check_number(node.get(word), kind, f"{where}.{word}", optional=word == "step")
    if not isinstance(node.get("log", False), bool):
        raise ConfigError(f"{where}.log: {node['log']!r} is not true or false.")
    short = {word: value for word, value in node.items() if word != "when"}
    return make_distribution(short, where)


def _check_number(value: Any, kind: str, where: str, *, optional: bool) -> None:
    if optional and value is None:
        return
    wanted = int if kind == "int" else (int, float)
    if isinstance(value, bool) or not isinstance(value, wanted):
        raise ConfigError(f"{where}: {value!r} is not {'a whole number' if kind == 'int' else 'a number'}.")


def categorical(choices: Any, where: str) -> CategoricalDistribution:
    """A categorical distribution over scalars and lists, the lists written as override text.

    Raises:
        ConfigError: no choices, a mapping among them, or one that stands there twice.
    """
    if not isinstance(choices, Sequence) or isinstance(choices, str) or not choices:
        raise ConfigError(f"{where}.choices: {choices!r} is not a list with at least one choice.")
    encoded = []
    for choice in choices:
        if isinstance(choice, Mapping):
            raise ConfigError(f"{where}.choices: {choice!r} is a mapping; a choice is a scalar or a list.")
        encoded.append(
            overrides.to_text(choice) if isinstance(choice, Sequence) and not isinstance(choice, str) else choice
        )
    for index, choice in enumerate(encoded):
        if any(_same(_decode_choice(choice), _decode_choice(other)) for other in encoded[:index]):
            raise ConfigError(f"{where}.choices: {choice!r} stands there twice.")
    return CategoricalDistribution(encoded)


def make_distribution(short: Mapping[str, Any], where: str) -> BaseDistribution:
    """Make a distribution from Optuna's short form.

    Raises:
        ConfigError: Optuna refuses it, or would quietly move its upper bound onto the grid of `step`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return json_to_distribution(json.dumps(short))
    except UserWarning as error:
        raise ConfigError(f"{where}: high - low is not a multiple of step: {error}") from error
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{where}: {error}") from error


def _conditions(when: Any, siblings: Mapping[str, Leaf], where: str, prefix: str) -> dict[str, tuple[Any, ...]]:
    if when is None:
        return {}
    if not isinstance(when, Mapping) or not when:
        raise ConfigError(f"{where}.when: {when!r} is not a mapping such as {{kernel: rbf}}.")
    conditions = {}
    for key, wanted in when.items():
        sibling = siblings.get(key)
        if sibling is None or not isinstance(sibling.distribution, CategoricalDistribution):
            known = [k for k, leaf in siblings.items() if isinstance(leaf.distribution, CategoricalDistribution)]
            raise ConfigError(
                f"{where}.when: {key!r} is not an earlier categorical of the same mapping"
                + (f"; those are: {', '.join(known)}." if known else "; there is none above it.")
            )
        values = tuple(wanted) if isinstance(wanted, Sequence) and not isinstance(wanted, str) else (wanted,)
        choices = [_decode_choice(choice) for choice in sibling.distribution.choices]
        for value in values:
            if not any(_same(value, choice) for choice in choices):
                raise ConfigError(f"{where}.when: {key!r} has no choice {value!r}; its choices are: {choices}.")
        conditions[f"{prefix}.{key}"] = values
    return conditions


def drop_unreachable(leaves: Sequence[Leaf], values: Mapping[str, Any]) -> tuple[Leaf, ...]:
    """Leave out the leaves whose condition can no longer hold, and forget conditions that always hold.

    Args:
        leaves: the leaves of one option after overrides, those fixed by an override already taken out.
        values: the option's composed values by config key, for conditions on siblings that are fixed.
    """
    kept: dict[str, Leaf] = {}
    gone: set[str] = set()
    for leaf in leaves:
        open_conditions = {}
        possible = True
        for key, wanted in leaf.when.items():
            if key in kept:
                open_conditions[key] = wanted
                possible &= any(_same(value, w) for value in _reachable(kept[key]) for w in wanted)
            else:
                possible &= key not in gone and any(_same(values.get(key), w) for w in wanted)
        if possible:
            kept[leaf.key] = replace(leaf, when=open_conditions)
        else:
            gone.add(leaf.key)
    return tuple(kept.values())


def _reachable(leaf: Leaf) -> list[Any]:
    if not isinstance(leaf.distribution, CategoricalDistribution):
        return [leaf.default]
    return [leaf.default, *(leaf.decode(choice) for choice in leaf.distribution.choices)]


def flatten(option: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The hyperparameters of an option by dotted name, without `_target_`, `search_space` and `trusted_types`."""
    flat: dict[str, Any] = {}
    for key, value in option.items():
        if key == "_target_" or (not prefix and key in (SEARCH_SPACE, TRUSTED_TYPES)):
            continue
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def inactive_keys(option: Mapping[str, Any]) -> set[str]:
    """The dotted keys of a composed option that its own conditions switch off, such as `gamma` of a linear SVM."""
    return set(_inactive(option.get(SEARCH_SPACE) or {}, option, ""))


def _inactive(space: Mapping[str, Any], beside: Mapping[str, Any], prefix: str) -> Iterator[str]:
    off: set[str] = set()
    for key, node in space.items():
        if not isinstance(node.get("type"), str):
            yield from _inactive(node, beside[key], f"{prefix}{key}.")
            continue
        current = {sibling: value for sibling, value in beside.items() if sibling not in off}
        when = {
            sibling: tuple(wanted) if isinstance(wanted, Sequence) and not isinstance(wanted, str) else (wanted,)
            for sibling, wanted in (node.get("when") or {}).items()
        }
        if not is_active(when, current):
            off.add(key)
            yield f"{prefix}{key}"


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


def _decode_choice(choice: Any) -> Any:
    """A choice written as the override text of a list is that list; any other is itself."""
    if isinstance(choice, str) and choice.startswith("["):
        from hydra.errors import OverrideParseException

        try:
            value = overrides.from_text(choice)
        except OverrideParseException:
            return choice
        return value if isinstance(value, list) else choice
    return choice


def _same(left: Any, right: Any) -> bool:
    """Equal values of the same kind: `True` is not `1`, while `1` is `1.0`."""
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)
