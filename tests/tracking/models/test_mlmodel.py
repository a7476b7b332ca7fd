"""`MLmodel` of unknown origin: bounded before MLflow reads it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeps.base.errors import ModelError
from sweeps.tracking.models.mlmodel import read_flavor

FINE = "flavors:\n  python_function:\n    data: model\n    loader_module: sweeps.tracking.models.pyfunc\n"
BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))


def test_a_plain_one_is_read(tmp_path: Path) -> None:
    (tmp_path / "MLmodel").write_text(FINE)
    assert read_flavor(tmp_path, "models:/m/1") == {
        "data": "model",
        "loader_module": "sweeps.tracking.models.pyfunc",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (FINE + BOMB, "has an anchor or an alias"),
        (FINE + "a: &a [*a]\n", "has an anchor or an alias"),
        (FINE + "a: &a 1\n", "has an anchor or an alias"),
        (FINE + "a: " + "[" * 10_000 + "]" * 10_000, "is nested more than 50 deep"),
        (FINE + "a: " + "{a: " * 10_000 + "}" * 10_000, "is nested more than 50 deep"),
        (FINE + f"a: {'x' * 2**20}\n", "at most 1,048,576 are read"),
        ("flavors: [\n", "cannot be read"),
        ("flavors: 3\n", "cannot be read"),
        ("flavors: {python_function: 3}\n", "cannot be read"),
        ("3\n", "cannot be read"),
        ("", "cannot be read"),
        ("!!python/object/apply:os.system [touch called]\n", "cannot be read"),
        ("\0", "cannot be read"),
        ("flavors: {}\nutc_time_created: 3\nsignature: {inputs: 3}\n", "cannot be read"),
    ],
)
def test_whatever_is_wrong_is_one_message(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "MLmodel").write_text(text)
    with pytest.raises(ModelError, match=message) as caught:
        read_flavor(tmp_path, "models:/m/1")
    assert len(str(caught.value)) < 600
    assert [path.name for path in tmp_path.iterdir()] == ["MLmodel"]


def test_a_missing_one_and_a_folder_in_its_place_are_one_message(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"^models:/m/1: its file MLmodel cannot be read"):
        read_flavor(tmp_path, "models:/m/1")
    (tmp_path / "MLmodel").mkdir()
    with pytest.raises(ModelError, match="MLmodel"):
        read_flavor(tmp_path, "models:/m/1")
