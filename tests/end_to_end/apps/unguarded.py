"""A script that calls its main function without a guard."""

import hydra


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(config):
    return config.x**2


main()
