"""What a plain run of an app, without `-m`, needs of us: its config without the search spaces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from sweeps.compose.scope import SEARCH_SPACE, is_space


class RemoveSearchSpaces(Callback):
    """Removes every `search_space` before the app's function sees its config: `instantiate` would pass it on.

    Hydra makes it from `hydra.callbacks`, where `hydra/sweeper: sweeps` puts it.
    """

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Called with the whole config, of which Hydra makes the app's afterwards."""
        remove_search_spaces(config)


class WithoutSearchSpaces:
    """An app's function whose config comes without search spaces; for launchers that compose it by themselves.

    Args:
        task_function: the app's.
    """

    def __init__(self, task_function: Callable[[DictConfig], Any]) -> None:
        self._task_function = task_function

    def __call__(self, config: DictConfig) -> Any:
        """Run it."""
        remove_search_spaces(config)
        return self._task_function(config)


def remove_search_spaces(config: DictConfig) -> None:
    """Remove every `search_space` of a config, at any depth, `hydra` aside."""
    with read_write(config), open_dict(config):
        _remove(config, is_root=True)


def _is_ours(node: DictConfig) -> bool:
    try:
        found = node[SEARCH_SPACE]
    except OmegaConfBaseException:  # only the app can resolve it
        return False
    return is_space(OmegaConf.to_container(found, resolve=False) if OmegaConf.is_config(found) else found)


def _remove(node: Any, *, is_root: bool = False) -> None:
    if isinstance(node, ListConfig):
        children: list[Any] = list(range(len(node)))
    else:
        if SEARCH_SPACE in node and _is_ours(node):
            del node[SEARCH_SPACE]
        children = [key for key in node if not (is_root and key == "hydra")]
    for key in children:
        if not OmegaConf.is_missing(node, key) and not OmegaConf.is_interpolation(node, key):
            child = node[key]
            if OmegaConf.is_config(child):
                _remove(child)
