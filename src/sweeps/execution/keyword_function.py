"""A plain Python function as what a trial runs: a config's values are its keyword arguments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf


@dataclass(frozen=True)
class KeywordFunction:
    """Calls a function with the values of a trial's config.

    Attributes:
        __wrapped__: the function.
        tuples: the arguments that are tuples; a config has lists.
    """

    __wrapped__: Callable[..., Any]
    tuples: frozenset[str] = frozenset()

    def __call__(self, config: DictConfig) -> Any:
        """Run it."""
        values = OmegaConf.to_container(config, resolve=True)
        assert isinstance(values, dict)  # noqa: S101 - for mypy: a config is one
        arguments = {str(key): tuple(value) if key in self.tuples else value for key, value in values.items()}
        return self.__wrapped__(**arguments)
