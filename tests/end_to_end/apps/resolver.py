"""An app whose config holds what only it can resolve, and what it never reads."""

import hydra
from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

CONFIG = {"x": 1.0, "twice": "${double:${x}}", "unread": "${oc.env:NOBODY_SETS_THIS}"}
ConfigStore.instance().store("config", CONFIG)


@hydra.main(version_base=None, config_name="config")
def main(config):
    OmegaConf.register_new_resolver("double", lambda number: 2 * number, replace=True)
    return config.twice


if __name__ == "__main__":
    main()
