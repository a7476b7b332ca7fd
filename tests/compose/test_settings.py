"""Settings and what refuses them."""

import math
from typing import Any

import pytest
from omegaconf import OmegaConf

from sweeps.base.errors import ConfigError
from sweeps.compose.root_config import RootConfig, file_stem
from sweeps.compose.settings import Promote, Settings, SweeperConfig


@pytest.mark.parametrize(
    ("path", "stem"),
    [
        ("data/reviews.csv", "reviews"),
        ("/a/b/reviews.tsv.gz", "reviews"),
        ("reviews", "reviews"),
        ("my.reviews.2026.csv", "my.reviews.2026"),
        ("v1.train.csv", "v1.train"),
        ("v1.test.csv.gz", "v1.test"),
        ("v1.2", "v1.2"),
        ("DATA.TSV.ZIP", "DATA"),
        ("..csv", "."),
        (".csv", "fallback"),
        ("", "fallback"),
        (None, "fallback"),
        ("ünïcode file.csv", "ünïcode file"),
    ],
)
def test_a_file_names_its_dataset_by_its_stem(path: str | None, stem: str) -> None:
    assert file_stem(path, "fallback") == stem
    config = OmegaConf.create({"path": path, "name": "${file_stem:${.path},fallback}"})
    assert config.name == stem


def settings_with(**values: Any) -> Settings:
    """The settings of a root config with these values."""
    return Settings.from_config(OmegaConf.merge(OmegaConf.structured(RootConfig), values))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "values",
    [
        {"n_trials": 1},
        {"timeout": None},
        {"timeout": 0.5},
        {"n_jobs": 1},
        {"seed": 0},
        {"seed": 2**32 - 1},
        {"max_failure_rate": 0},
        {"max_failure_rate": 1},
        {"study_name": None},
        {"study_name": "a"},
        {"study_name": "my study-2.1_b@c+d"},
        {"study_name": "étude"},
        {"registered_model_name": "hate speech v2"},
        {"registered_model_name": "..."},
        {"registered_model_name": "x" * 256},
        {"experiment_name": "x" * 500},
        {"promote": "never"},
    ],
    ids=str,
)
def test_settings_at_the_edge_of_what_is_allowed_pass(values: dict[str, Any]) -> None:
    read = settings_with(**values)
    for name, value in values.items():
        assert getattr(read, name) == (Promote(value) if name == "promote" else value)


@pytest.mark.parametrize(
    "values",
    [
        {"n_trials": 0},
        {"n_trials": -1},
        {"timeout": 0},
        {"timeout": -5},
        {"timeout": math.nan},
        {"n_jobs": -1},
        {"seed": -1},
        {"seed": 2**32},
        {"max_failure_rate": -0.1},
        {"max_failure_rate": 1.1},
        {"max_failure_rate": math.nan},
        {"study_name": ""},
        {"study_name": ".hidden"},
        {"study_name": ".."},
        {"study_name": "a/b"},
        {"study_name": "a\nb"},
        {"study_name": "a\n"},
        {"study_name": "x" * 152},
        {"experiment_name": ""},
        {"experiment_name": "  "},
        {"registered_model_name": ""},
        {"registered_model_name": " "},
        {"registered_model_name": "a/b"},
        {"registered_model_name": "a:b"},
        {"registered_model_name": "."},
        {"registered_model_name": ".."},
        {"registered_model_name": "x" * 257},
        {"experiment_name": "x" * 501},
    ],
    ids=str,
)
def test_a_setting_out_of_its_range_is_one_message_that_begins_with_its_name(values: dict[str, Any]) -> None:
    (name,) = values
    with pytest.raises(ConfigError, match=rf"^{name}\b"):
        settings_with(**values)


def test_a_name_that_comes_from_a_file_is_told_with_the_key_to_type() -> None:
    with pytest.raises(ConfigError) as caught:
        settings_with(dataset={"name": "a:b"}, registered_model_name="a:b", experiment_name="a:b")
    message = str(caught.value)
    assert message.startswith("registered_model_name='a:b' (unless you typed it, the name of the data or of the app)")
    assert message.endswith("type registered_model_name=NAME")


def test_an_experiment_sequence_is_refused_unless_it_is_the_default() -> None:
    Settings.from_config(OmegaConf.merge(OmegaConf.structured(SweeperConfig), {"experiment_sequence": None}))
    with pytest.raises(ConfigError, match=r"hydra\.sweeper\.experiment_sequence must be null; it is my\.Sequence\."):
        Settings.from_config(
            OmegaConf.merge(OmegaConf.structured(SweeperConfig), {"experiment_sequence": "my.Sequence"})
        )
