"""An app of Hydra 1.1's ways: it runs in its job's folder, a value is missing, `search_space` is its own word."""

from pathlib import Path

import hydra


@hydra.main(config_path=".", config_name="plain", version_base="1.1")
def main(config):
    Path("here.txt").write_text(str(config.x))
    assert config.nas.search_space == "darts"
    return config.x + config.get("z", 0)


if __name__ == "__main__":
    main()
