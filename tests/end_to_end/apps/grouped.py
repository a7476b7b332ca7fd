"""An app with groups of every kind, which returns what it was composed of as a number."""

import hydra


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(config):
    return config.model.encoder.width + config.backup.port + config.get("bonus", 0)


if __name__ == "__main__":
    main()
