"""One option of a config group, as its YAML file says it: hyperparameters, and a search space that mirrors them.

A leaf is Optuna's short form of a distribution (`optuna.distributions.json_to_distribution`) plus `when`:

    kernel: {type: categorical, choices: [linear, rbf]}
    gamma:  {type: float, low: 1.0e-4, high: 1.0, log: true, when: {kernel: rbf}}
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, json_to_distribution

from sweeps.base.build import TARGET
from sweeps.base.errors import ConfigError
from sweeps.compose import override_text as overrides
from sweeps.compose.leaf import Leaf, branches, decode_choice, same
from sweeps.compose.scope import SEARCH_SPACE

TRUSTED_TYPES = "trusted_types"
_NOT_SEARCHED = (TARGET, SEARCH_SPACE, TRUSTED_TYPES)

_NUMBER_WORDS = {"type", "low", "high", "log", "step", "when"}
_WORDS = {"float": _NUMBER_WORDS, "int": _NUMBER_WORDS, "categorical": {"type", "choices", "when"}}


def collect(
    space: Any, beside: Mapping[str, Any], package: str, name_of: Callable[[str], str], where: str
) -> tuple[Leaf, ...]:
    """Read and check a search space, as written.

    Args:
        space: mirrors the keys beside it; None for none.
        beside: the config around it as plain containers: the defaults.
        package: the config key of `beside` (`model`), empty for the root.
        name_of: what Optuna calls a config key.
        where: the file and key of the space, for messages: `conf/model/svm.yaml: search_space`.

    Raises:
        ConfigError: a rule of the search-space language is broken; the message names the file and the key.
    """
    if space is None:
        return ()
    if not isinstance(space, Mapping):
        raise ConfigError(f"{where} must be a mapping of keys to distributions, not {space!r}.")
    return tuple(_walk(space, beside, "", package, name_of, where))


def _walk(
    space: Mapping[str, Any],
    beside: Mapping[str, Any],
    path: str,
    package: str,
    name_of: Callable[[str], str],
    where: str,
) -> Iterator[Leaf]:
    siblings: dict[str, Leaf] = {}
    for key, node in space.items():
        inside = f"{path}{key}"
        here = f"{where}.{inside}"
        full = f"{package}.{inside}" if package else inside
        if not isinstance(node, Mapping):
            raise ConfigError(f"{here} must be a distribution such as {{type: float, low: 0, high: 1}}, not {node!r}.")
        if not path and key in _NOT_SEARCHED:
            raise ConfigError(f"{here}: {key} is not a hyperparameter and cannot be searched.")
        if key not in beside:
            raise ConfigError(
                f"{here} has no default beside it: every searched key needs one; "
                f"add {_default_of(inside, full, where)}."
            )
        if not isinstance(node.get("type"), str):
            inner = beside[key]
            if not isinstance(inner, Mapping) or not node:
                raise ConfigError(f"{here} needs a `type`: float, int or categorical.")
            yield from _walk(node, inner, f"{inside}.", package, name_of, where)
            continue
        leaf = Leaf(
            key=full,
            name=name_of(full),
            distribution=_distribution(node, here),
            default=beside[key],
            when=_conditions(node.get("when"), siblings, here),
            source=where.partition(": ")[0],
        )
        siblings[str(key)] = leaf
        yield leaf


def _default_of(inside: str, full: str, where: str) -> str:
    """What a key of a space lacks, and where to write it."""
    file, _, key = where.partition(": ")
    return f"`{key.removesuffix(SEARCH_SPACE)}{inside}: VALUE` to {file}" if key else f"`{full}: VALUE` to the config"


def _distribution(node: Mapping[str, Any], where: str) -> BaseDistribution:
    kind = node["type"]
    if kind not in _WORDS:
        raise ConfigError(f"{where}.type: {kind!r} is not a type; it must be float, int or categorical.")
    unknown = [word for word in node if word not in _WORDS[kind]]
    if unknown:
        raise ConfigError(
            f"{where}: unknown {', '.join(map(repr, unknown))}; "
            f"a {kind} can have {', '.join(sorted(_WORDS[kind] - {'type'}))}."
        )
    if kind == "categorical":
        return categorical(node.get("choices"), where)
    for bound in ("low", "high"):
        if bound not in node:
            raise ConfigError(f"{where}: {bound!r} is missing; a {kind} needs low and high.")
    for word in ("low", "high", "step"):
        _check_number(node.get(word), kind, f"{where}.{word}", optional=word == "step")
    if not isinstance(node.get("log", False), bool):
        raise ConfigError(f"{where}.log: {node['log']!r} must be true or false.")
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
        raise ConfigError(f"{where}.choices: {choices!r} must be a list of at least one choice.")
    encoded = []
    for choice in choices:
        if isinstance(choice, Mapping):
            raise ConfigError(f"{where}.choices: {choice!r} is a mapping; a choice must be a scalar or a list.")
        encoded.append(
            overrides.to_text(choice) if isinstance(choice, Sequence) and not isinstance(choice, str) else choice
        )
    for index, choice in enumerate(encoded):
        if choice != choice:  # not equal to itself, so that no trial could be told from another
            raise ConfigError(f"{where}.choices: nan cannot be a choice; for the word, write 'nan' in quotes.")
        overrides.to_text(choice)  # refuses now what could not be passed on when it is drawn
        if any(decode_choice(choice) == decode_choice(other) for other in encoded[:index]):
            raise ConfigError(f"{where}.choices: {choice!r} is there twice (1, 1.0 and true are the same to Optuna).")
    return CategoricalDistribution(encoded)


def make_distribution(short: Mapping[str, Any], where: str) -> BaseDistribution:
    """Make a distribution from Optuna's short form.

    Raises:
        ConfigError: Optuna refuses it, or would quietly move its upper bound onto the grid of `step`.
    """
    numbers = {word: short[word] for word in ("low", "high", "step") if short.get(word) is not None}
    for word, number in numbers.items():
        too_large = isinstance(number, int) and not -(2**63) <= number < 2**63
        if too_large or not math.isfinite(number):
            raise ConfigError(f"{where}: {word}={number} is not a finite number of 64 bits.")
    if not math.isfinite(float(numbers["high"]) - float(numbers["low"])):
        raise ConfigError(f"{where}: the range from {numbers['low']} to {numbers['high']} is too wide for a float.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return json_to_distribution(json.dumps(short))
    except UserWarning as error:
        raise ConfigError(f"{where}: high - low is not a multiple of step: {error}") from error
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{where}: {error}") from error


def _conditions(when: Any, siblings: Mapping[str, Leaf], where: str) -> dict[str, tuple[Any, ...]]:
    if when is None:
        return {}
    if not isinstance(when, Mapping) or not when:
        raise ConfigError(f"{where}.when: {when!r} must be a mapping such as {{kernel: rbf}}.")
    conditions = {}
    for key, wanted in when.items():
        sibling = siblings.get(key)
        if sibling is None or not isinstance(sibling.distribution, CategoricalDistribution):
            known = [k for k, leaf in siblings.items() if isinstance(leaf.distribution, CategoricalDistribution)]
            raise ConfigError(
                f"{where}.when: {key!r} must be an earlier categorical of the same mapping"
                + (f"; there is: {', '.join(known)}." if known else "; there is none above it.")
            )
        values = _wanted(wanted)
        if not values:
            raise ConfigError(f"{where}.when: {key!r} has an empty list of values, so the leaf could never be active.")
        choices = [decode_choice(choice) for choice in sibling.distribution.choices]
        for value in values:
            if not any(same(value, choice) for choice in choices):
                raise ConfigError(f"{where}.when: {key!r} has no choice {value!r}; its choices are: {choices}.")
        conditions[sibling.key] = values
    return conditions


def flatten(option: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The hyperparameters of an option by dotted name; `search_space` and `trusted_types` are none."""
    flat: dict[str, Any] = {}
    for key, value in option.items():
        if key == TARGET or (not prefix and key in _NOT_SEARCHED):
            continue
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def inactive_keys(option: Mapping[str, Any]) -> set[str]:
    """The dotted keys of a composed option that its own conditions switch off, such as `gamma` of a linear SVM."""
    leaves = collect(option.get(SEARCH_SPACE), option, "", str, SEARCH_SPACE)
    return {leaf.key for leaf in leaves} - next(branches(leaves, lambda leaf: [leaf.default])).keys()


def _wanted(wanted: Any) -> tuple[Any, ...]:
    """The values of a condition: one, or a list of them; a list choice may be written as override text."""
    values = wanted if isinstance(wanted, Sequence) and not isinstance(wanted, str) else [wanted]
    return tuple(decode_choice(value) for value in values)
