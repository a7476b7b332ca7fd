"""One searched hyperparameter, and the one walk over those that depend on one another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from hydra.errors import HydraException
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from sweeps.compose import override_text

NO_DEFAULT = "???"  # as Hydra writes that a value is missing


@dataclass(frozen=True)
class Leaf:
    """One hyperparameter with a distribution, such as `C` of `model/svm`.

    Attributes:
        key: where its value goes in the composed config (`model.C`).
        name: its name in Optuna (`model/svm.C`).
        distribution: what is drawn from.
        default: the value beside the space, used where the leaf is not drawn; `NO_DEFAULT` for none.
        when: for each earlier sibling's key, the values under which this leaf is active; all must hold.
        source: the file it is written in, or the override that replaced it.
        is_fixed: whether an override fixes it, at `default`: it is not drawn, but others may depend on it.
    """

    key: str
    name: str
    distribution: BaseDistribution
    default: Any
    when: Mapping[str, tuple[Any, ...]]
    source: str
    is_fixed: bool = False

    def decode(self, drawn: Any) -> Any:
        """The config value of what Optuna drew: a choice written as `"[1,2]"` is that list."""
        return decode_choice(drawn) if isinstance(self.distribution, CategoricalDistribution) else drawn

    def encode(self, value: Any) -> tuple[bool, Any]:
        """Whether the distribution holds a config value, and the value as Optuna would draw it."""
        distribution = self.distribution
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

    def holds_default(self) -> bool:
        """Whether the default lies in the distribution."""
        return self.encode(self.default)[0]

    def is_active(self, values: Mapping[str, Any]) -> bool:
        """Whether every condition holds; `values` has the active siblings by key, so an absent one is inactive."""
        return all(
            key in values and any(same(values[key], value) for value in wanted) for key, wanted in self.when.items()
        )


def branches(leaves: Sequence[Leaf], values_of: Callable[[Leaf], Iterable[Any]]) -> Iterator[dict[str, Any]]:
    """Every way through the leaves of one option, each with the value of every active leaf by its key.

    Args:
        leaves: each after those that its conditions name.
        values_of: the config values that an active leaf may have; called when the walk is at the leaf, so it may draw.
    """

    def walk(position: int, values: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if position == len(leaves):
            yield values
            return
        leaf = leaves[position]
        if not leaf.is_active(values):
            yield from walk(position + 1, values)
            return
        for value in values_of(leaf):
            yield from walk(position + 1, {**values, leaf.key: value})

    return walk(0, {})


def reachable(leaves: Sequence[Leaf]) -> tuple[Leaf, ...]:
    """The leaves that are active in some trial; a fixed sibling may rule others out."""
    return tuple(leaf for leaf in leaves if any(leaf.key in branch for branch in _branches_to(leaf, leaves)))


def is_unconditional(leaf: Leaf, leaves: Sequence[Leaf]) -> bool:
    """Whether a leaf is active in every trial of its option."""
    return all(leaf.key in branch for branch in _branches_to(leaf, leaves))


def _branches_to(leaf: Leaf, leaves: Sequence[Leaf]) -> Iterator[dict[str, Any]]:
    """The branches of a leaf and of those that it depends on, directly or not."""
    needed = {leaf.key}
    for other in reversed(leaves):  # conditions name earlier ones
        if other.key in needed:
            needed |= other.when.keys()
    return branches([other for other in leaves if other.key in needed], _possible_values)


def _possible_values(leaf: Leaf) -> list[Any]:
    if leaf.is_fixed or not isinstance(leaf.distribution, CategoricalDistribution):
        return [leaf.default]
    return [leaf.default, *map(decode_choice, leaf.distribution.choices)]


def decode_choice(choice: Any) -> Any:
    """A choice written as the override text of a list is that list; any other is itself."""
    if isinstance(choice, str) and choice.startswith("["):
        found = _list_of(choice)
        return choice if found is None else deepcopy(found)
    return choice


@lru_cache(maxsize=1024)  # Hydra's parser takes a third of a millisecond, and a trial decodes each choice several times
def _list_of(text: str) -> list[Any] | None:
    try:
        value = override_text.from_text(text)
    except HydraException:
        return None
    return override_text.unescape(value) if isinstance(value, list) else None


def same(left: Any, right: Any) -> bool:
    """Equal values of the same kind: `True` is not `1`, while `1` is `1.0`."""
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)


def as_yaml(value: Any) -> str:
    """As YAML and Hydra write it."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def describe_distribution(distribution: BaseDistribution) -> str:
    """In words, such as `float 0.01 to 100 log`."""
    if isinstance(distribution, CategoricalDistribution):
        return f"one of {', '.join(map(as_yaml, distribution.choices))}"
    assert isinstance(  # noqa: S101 - for mypy: no third kind
        distribution, FloatDistribution | IntDistribution
    )
    kind = "int" if isinstance(distribution, IntDistribution) else "float"
    step = f" step {distribution.step:g}" if distribution.step is not None and not distribution.log else ""
    return f"{kind} {distribution.low:g} to {distribution.high:g}{' log' if distribution.log else ''}{step}"
