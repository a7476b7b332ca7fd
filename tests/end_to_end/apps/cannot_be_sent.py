"""An app of which a worker process cannot have a copy: its function is made in another one, and holds a lock."""

import threading

import hydra


def make():
    the_lock = threading.Lock()

    @hydra.main(version_base=None, config_path="conf", config_name="config")
    def main(config):
        with the_lock:
            return config.x**2

    return main


if __name__ == "__main__":
    make()()
