"""An app that leaves a file for each trial that begins, and takes its time."""

import os
import time
from pathlib import Path

import hydra

import sweeps


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(config):
    trial = sweeps.current_trial()
    Path(os.environ["PLACE"], f"{trial.number}-{os.getpid()}").touch()
    time.sleep(float(os.environ["SECONDS_EACH"]))
    return (config.x - 0.3) ** 2


if __name__ == "__main__":
    main()
