"""The house: its rooms, their order, and how large a room's parts may be."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "sweeps"
MODULES = [path for path in sorted(SOURCE.rglob("*.py")) if "conf" not in path.relative_to(SOURCE).parts]
MAX_LINES, MAX_FUNCTION = 400, 60


def layers() -> list[str]:
    """The rooms in the order of the contract, the highest first."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (contract,) = (one for one in project["tool"]["importlinter"]["contracts"] if one["type"] == "layers")
    names = [name for line in contract["layers"] for name in line.split(" | ")]
    return [name.removeprefix("sweeps.") for name in names if name.startswith("sweeps.")]


def test_every_room_has_its_place_in_the_contract_and_says_what_it_is_for() -> None:
    rooms = {path.name for path in SOURCE.iterdir() if (path / "__init__.py").is_file()} - {"conf"}
    commands = {path.stem for path in SOURCE.glob("*.py")} - {"__init__"}
    assert rooms | commands == set(layers())
    for room in rooms:
        said = ast.get_docstring(ast.parse((SOURCE / room / "__init__.py").read_text(encoding="utf-8")))
        assert said, room
        assert said.endswith("."), room


def test_no_module_and_no_function_outgrows_a_few_screens() -> None:
    for path in MODULES:
        text = path.read_text(encoding="utf-8")
        assert text.count("\n") <= MAX_LINES, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno is not None
                assert node.end_lineno - node.lineno <= MAX_FUNCTION, f"{path}: {node.name}"


@pytest.mark.parametrize("page", ["docs/architecture.md", "CONTRIBUTING.md"])
def test_every_module_that_a_page_names_is_there(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    named = set(re.findall(r"`([\w/]+\.py)`", text))
    assert named
    paths = {path.relative_to(ROOT).as_posix() for path in [*MODULES, *(ROOT / "tests").rglob("*.py")]}
    assert [
        name for name in sorted(named) if not any(path.endswith(f"/{name}") or path == name for path in paths)
    ] == []


def test_the_architecture_names_every_room() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)
    commands = {path.stem for path in SOURCE.glob("*.py")}
    assert table == [name for name in layers() if name not in commands]
