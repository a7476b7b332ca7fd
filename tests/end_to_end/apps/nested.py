"""An app whose options choose options of a group below them, each with a space of its own."""

import hydra


@hydra.main(version_base="1.3", config_path="nested", config_name="config")
def main(config):
    assert "search_space" not in config.model
    encoder = config.model.get("enc")
    return config.model.depth + (0 if encoder is None else encoder.dim)


if __name__ == "__main__":
    main()
