"""The built wheel in an environment of its own, away from the checkout: a sweep from an empty directory."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from .conftest import Workbench, text_csv
from .nursery import user_environment

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a new environment: the wheel, and this environment's packages behind it."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run(build, check=True)
    (wheel,) = folder.glob("hydra_sweeps-*.whl")
    venv.create(folder / "env", with_pip=False, symlinks=True)
    python = folder / "env" / "bin" / "python"
    ask = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    site = Path(subprocess.run(ask, check=True, capture_output=True, text=True).stdout.strip())
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--no-index", "--quiet"]
    subprocess.run([*install, str(wheel)], check=True)
    # A path in a .pth file is appended, and the .pth files of that directory (the editable install's) are not read.
    (site / "packages_of_the_tests.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def run(python: Path, folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [str(python), *arguments],
        cwd=folder,
        env=user_environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_package_of_the_wheel_is_the_one_that_runs(python: Path, tmp_path: Path) -> None:
    asked = "import sweeps, hydra_plugins.sweeps_sweeper as plugin; print(sweeps.__file__, plugin.__file__)"
    files = run(python, tmp_path, "-c", asked).split()
    assert len(files) == 2
    assert all(Path(file).is_relative_to(python.parents[1]) for file in files)


def test_the_wheel_holds_every_config_file(python: Path, tmp_path: Path) -> None:
    asked = (
        "import json, pathlib, sweeps; conf = pathlib.Path(sweeps.__file__).parent / 'conf'; "
        "print(json.dumps(sorted(str(f.relative_to(conf)) for f in conf.rglob('*.yaml'))))"
    )
    held = json.loads(run(python, tmp_path, "-c", asked))
    assert held == sorted(str(file.relative_to(ROOT / "conf")) for file in (ROOT / "conf").rglob("*.yaml"))


def test_it_sweeps_promotes_and_predicts_from_an_empty_directory(
    python: Path, empty_bench: Workbench, texts: Path
) -> None:
    folder = empty_bench.folder
    out = run(python, folder, "-m", "sweeps.run", "-m", *text_csv(texts), "model=svm,logistic", "n_trials=3")
    assert "champion is version 1" in out
    assert len(empty_bench.runs("trial")) == 3
    out = run(python, folder, "-m", "sweeps.predict", "models:/comments@champion", str(texts))
    assert out.splitlines()[0] == "text,label,prediction,confidence"


def test_it_brings_the_command_and_its_completion(python: Path, tmp_path: Path) -> None:
    script = str(python.with_name("sweeps"))
    assert run(python, tmp_path, script, "--version").startswith("sweeps ")
    for shell in ("bash", "zsh"):
        assert "multirun" in run(python, tmp_path, script, "completion", shell)


def test_it_explains_itself(python: Path, tmp_path: Path) -> None:
    out = run(python, tmp_path, "-m", "sweeps.run", "--help")
    assert "python -m sweeps.run -m model=svm,logistic" in out
    assert "model: baseline, knn, linear_svm, logistic, naive_bayes, svd, svm" in out
