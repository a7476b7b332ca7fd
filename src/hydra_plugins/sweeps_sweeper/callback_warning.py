"""Hydra 1.4 warns of every callback that an app does not list as trusted; of ours an app need not know."""

import warnings

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin

_OURS = r"sweeps\.compose\.plain_run\.RemoveSearchSpaces|hydra\.experimental\.callback\.Callback"


class IgnoreCallbackWarning(SearchPathPlugin):
    """Filters that warning. Hydra calls it before it makes callbacks; filters set while it reads plugins are lost."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """The search path stays as it is."""
        warnings.filterwarnings("ignore", rf"hydra\.utils\.instantiate\(\) resolved _target_='({_OURS})'")
