"""The command `sweeps`, as a user types it in a shell."""

from __future__ import annotations

import os
import pty
import select
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from sweeps import __version__
from sweeps.cli.main import COMMANDS

from .conftest import Finished, Workbench, text_csv, write_yaml
from .nursery import user_environment

SWEEPS = Path(sys.executable).with_name("sweeps")
SPHERE = Path(__file__).parents[2] / "examples" / "sphere.py"
HEAVY = ("hydra", "optuna", "mlflow", "sklearn", "pandas", "numpy")


def sweeps(folder: Path, *arguments: str, environ: Mapping[str, str] | None = None) -> Finished:
    return run([str(SWEEPS), *arguments], folder, environ)


def run(command: list[str], folder: Path, environ: Mapping[str, str] | None = None) -> Finished:
    done = subprocess.run(
        command, cwd=folder, env=user_environment(environ), capture_output=True, text=True, timeout=300, check=False
    )
    return Finished(done.returncode, done.stdout, done.stderr)


def test_the_version_is_ours(tmp_path: Path) -> None:
    assert sweeps(tmp_path, "--version") == Finished(0, f"sweeps {__version__}\n", "")
    assert run([sys.executable, "-m", "sweeps", "--version"], tmp_path).out == f"sweeps {__version__}\n"


def test_help_has_a_line_for_each_command(tmp_path: Path) -> None:
    shown = sweeps(tmp_path, "--help")
    assert shown.code == 0
    for command in [*COMMANDS, "completion"]:
        (line,) = (line for line in shown.out.splitlines() if line.split()[:1] == [command])
        assert len(line.split()) > 3


@pytest.mark.parametrize("arguments", [["swep"], ["-m", "model=svm"], []])
def test_what_is_no_command_is_refused_with_what_there_is(tmp_path: Path, arguments: list[str]) -> None:
    shown = sweeps(tmp_path, *arguments)
    assert (shown.code, shown.out) == (2, "")
    assert shown.err.count("\n") == 1
    assert all(command in shown.err for command in COMMANDS)


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["completion", "bash"], ["nothing"]])
def test_what_needs_no_library_imports_none(tmp_path: Path, arguments: list[str]) -> None:
    script = (
        f"import sys, hydra_sweeps; sys.argv = ['sweeps', *{arguments}]\n"
        "try:\n    hydra_sweeps.main()\nexcept SystemExit:\n    pass\n"
        f"sys.exit(','.join(sorted(set({HEAVY}) & set(sys.modules))) or 0)"
    )
    shown = run([sys.executable, "-c", script], tmp_path)
    assert shown.code == 0, shown.err


@pytest.mark.parametrize("command", ["run", "predict", "serve"])
def test_a_command_is_that_of_its_module(tmp_path: Path, command: str) -> None:
    ours, module = (
        sweeps(tmp_path, command, "--help"),
        run([sys.executable, "-m", f"sweeps.{command}", "--help"], tmp_path),
    )
    assert ours == module
    assert ours.code == 0


@pytest.mark.slow
def test_a_sweep_with_workers_is_resumed_run_again_and_predicted_with(bench: Workbench, texts: Path) -> None:
    folder, arguments = bench.folder, ["-m", *text_csv(texts), "model=logistic", "n_jobs=2"]
    shown = sweeps(folder, "run", *arguments, "n_trials=3")
    assert shown.code == 0, shown.err
    study = bench.study().relative_to(folder)
    stored = yaml.safe_load((bench.study() / "command.yaml").read_text(encoding="utf-8"))
    assert (stored["module"], stored["script"]) == ("sweeps.run", None)
    assert stored["arguments"] == [*arguments, "n_trials=3"]
    (parent,) = bench.runs("sweep")
    assert parent.data.tags["sweeps.command"] == shlex.join(["python", "-m", "sweeps.run", *arguments, "n_trials=3"])

    assert sweeps(folder, "resume", str(study), "n_trials=4").code == 0
    assert len(bench.runs("trial")) == 4
    assert "has every trial" in sweeps(folder, "sync", str(study)).out
    assert sweeps(folder, "rerun", f"{study}/0").code == 0
    predicted = sweeps(folder, "predict", "models:/comments@champion", str(texts))
    assert predicted.out.splitlines()[0] == "text,label,prediction,confidence"


def test_modules_of_the_current_folder_are_found_as_by_python_m(bench: Workbench, texts: Path) -> None:
    module = "from sklearn.linear_model import LogisticRegression\nclass Mine(LogisticRegression): pass\n"
    (bench.folder / "my_models.py").write_text(module, encoding="utf-8")
    write_yaml(
        bench.folder / "conf" / "model" / "mine.yaml", "_target_: my_models.Mine\ntrusted_types: [my_models.Mine]\n"
    )
    arguments = ["--config-dir", "conf", "-m", *text_csv(texts), "model=mine", "n_trials=1", "dry_run=true"]
    shown = sweeps(bench.folder, "run", *arguments)
    assert shown.code == 0, shown.err


ENGINE = {
    "METADATA": "Metadata-Version: 2.1\nName: sweeps\nVersion: 0.3.0\n",
    "RECORD": "sweeps/__init__.py,,\nsweeps/run.py,,\n",
    "top_level.txt": "sweeps\n",
}


def install(folder: Path, files: Mapping[str, str], package: bool) -> Mapping[str, str]:
    """Another distribution `sweeps`, as W&B's; the environment in which it is installed."""
    for name, text in files.items():
        write_yaml(folder / "sweeps-0.3.0.dist-info" / name, text)
    if package:
        write_yaml(folder / "sweeps" / "__init__.py", "")
    return {"PYTHONPATH": str(folder)}


COMMAND_LINES = [
    [str(SWEEPS), "run", "-m"],
    [sys.executable, "-m", "sweeps", "resume", "multirun/x"],
    [sys.executable, "-m", "sweeps.run", "-m"],
    [sys.executable, "-m", "sweeps.resume", "multirun/x"],
    [sys.executable, "-m", "sweeps.predict", "models:/a/1", "-"],
    [sys.executable, str(SPHERE), "-m", "hydra/sweeper=sweeps", "x=1,2"],
]


@pytest.mark.parametrize("command", COMMAND_LINES)
def test_another_distribution_of_the_name_is_named_with_what_to_type(tmp_path: Path, command: list[str]) -> None:
    shown = run(command, tmp_path, install(tmp_path / "site", ENGINE, package=False))
    assert shown.code == 1
    assert "The distribution sweeps 0.3.0 (the sweep engine of Weights & Biases)" in shown.err
    assert "pip uninstall -y sweeps && pip install --force-reinstall --no-deps hydra-sweeps" in shown.err
    assert "Traceback" not in shown.err


@pytest.mark.parametrize("command", [COMMAND_LINES[0], COMMAND_LINES[-1]])
def test_another_package_that_hides_ours_is_named(tmp_path: Path, command: list[str]) -> None:
    shown = run(command, tmp_path, install(tmp_path / "site", ENGINE, package=True))
    assert shown.code == 1
    assert "pip uninstall -y sweeps" in shown.err


def test_a_folder_that_hides_the_package_is_named(tmp_path: Path) -> None:
    write_yaml(tmp_path / "sweeps" / "__init__.py", "")
    shown = sweeps(tmp_path, "run", "-m")
    assert shown.code == 1
    assert f"is not that of hydra-sweeps: {tmp_path / 'sweeps' / '__init__.py'}. Rename it" in shown.err


def test_a_link_to_a_clone_under_the_old_name_is_no_other_package(tmp_path: Path) -> None:
    environ = install(tmp_path / "site", ENGINE | {"RECORD": "_sweeps.pth,,\n"}, package=False)
    assert sweeps(tmp_path, "--version", environ=environ).code == 0


# Stands before Surprise on the path and is missing, as where the extra `recommend` is not installed.
NO_SURPRISE = "import sys\nsys.modules['surprise'] = None\n"


@pytest.fixture
def without_surprise(tmp_path: Path) -> Mapping[str, str]:
    write_yaml(tmp_path / "site" / "sitecustomize.py", NO_SURPRISE)
    return {"PYTHONPATH": str(tmp_path / "site")}


@pytest.mark.slow
def test_texts_are_swept_and_served_without_surprise(
    bench: Workbench, texts: Path, without_surprise: Mapping[str, str]
) -> None:
    sweep = ["run", "-m", *text_csv(texts), "model=logistic", "n_trials=2", "n_jobs=1"]
    shown = sweeps(bench.folder, *sweep, environ=without_surprise)
    assert shown.code == 0, shown.err
    assert "champion is version 1" in shown.out
    predicted = sweeps(bench.folder, "predict", "models:/comments@champion", str(texts), environ=without_surprise)
    assert predicted.code == 0, predicted.err
    modules = "sweeps.serve.app, sweeps.tracking.by_hand.model, sweeps.tasks.ratings.movielens"
    imported = run([sys.executable, "-W", "ignore", "-c", f"import {modules}"], bench.folder, without_surprise)
    assert imported.code == 0, imported.err


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["dataset=movielens"], ["dataset=movielens", "model=svd"], ["model=baseline"]])
def test_ratings_without_surprise_are_refused_with_what_to_type(
    bench: Workbench, without_surprise: Mapping[str, str], arguments: list[str]
) -> None:
    shown = sweeps(bench.folder, "run", "-m", *arguments, environ=without_surprise)
    assert shown.code == 1
    assert "pip install 'hydra-sweeps[recommend]'" in shown.err
    assert "Traceback" not in shown.err


def test_hydras_own_completion_works(tmp_path: Path) -> None:
    for arguments in (["install=bash"], ["uninstall=bash"], ["install=zsh"], ["install=fish"]):
        shown = run([sys.executable, "-m", "sweeps.run", "-sc", *arguments], tmp_path)
        assert shown.code == 0, shown.err
    line = {"COMP_LINE": "python run.py model=lo", "COMP_POINT": "22"}
    assert run([sys.executable, "-m", "sweeps.run", "-sc", "query=bash"], tmp_path, line).out == "model=logistic\n"


def test_completion_of_another_shell_is_refused(tmp_path: Path) -> None:
    shown = sweeps(tmp_path, "completion", "tcsh")
    assert shown.code == 2
    assert "bash or zsh" in shown.err


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    """A folder with two studies, of which the first has trials."""
    for study in ("reviews-1", "other-2"):
        write_yaml(tmp_path / "multirun" / study / "command.yaml", "arguments: []\n")
    for trial in ("0", "1", "10"):
        (tmp_path / "multirun" / "reviews-1" / trial / ".hydra").mkdir(parents=True)
    (tmp_path / "multirun" / "single").mkdir()
    return tmp_path


BOTH = ["multirun/other-2", "multirun/reviews-1"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("sweeps ", [*COMMANDS, "completion", "--help", "--version"]),
        ("sweeps re", ["resume", "rerun"]),
        ("sweeps completion ", ["bash", "zsh"]),
        ("sweeps resume ", BOTH),
        ("sweeps  sync mul", BOTH),
        ("sweeps resume rev", ["multirun/reviews-1"]),
        ("sweeps resume multirun/other-2 n_tri", []),
        ("sweeps rerun ", ["multirun/other-2/", "multirun/reviews-1/"]),
        ("sweeps rerun multirun/rev", ["multirun/reviews-1/"]),
        ("sweeps rerun multirun/reviews-1/1", ["multirun/reviews-1/1", "multirun/reviews-1/10"]),
        ("sweeps predict ", []),
    ],
)
def test_bash_completes_commands_and_studies(studies: Path, line: str, expected: list[str]) -> None:
    assert replies(line, studies) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("sweeps run -m model=lo", ["logistic"]),  # bash takes what follows the = for a word
        ("sweeps run -m model=logistic n_tri", ["n_trials="]),
        ("sweeps run -m pruner=none vectorizer=", ["char", "count", "none", "tfidf", "word_char"]),
        (f"{SWEEPS} run dataset.split_s", ["dataset.split_seed="]),
    ],
)
def test_bash_completes_what_hydra_knows(tmp_path: Path, line: str, expected: list[str]) -> None:
    assert replies(line, tmp_path) == expected


def replies(line: str, folder: Path) -> list[str]:
    """What the function answers in a bash that has read it."""
    script = (
        'eval "$(sweeps completion bash)"; COMP_LINE=$1 COMP_POINT=${#1}; read -r -a COMP_WORDS <<< "$1"; '
        "COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); $(complete -p sweeps | sed 's/.*-F \\([^ ]*\\).*/\\1/'); "
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    shown = run(["bash", "--norc", "-c", script, "bash", line], folder, PATH_TO_US)
    assert shown.code == 0, shown.err
    assert shown.err == ""
    return shown.out.split()


PATH_TO_US = {"PATH": f"{SWEEPS.parent}{os.pathsep}{os.environ['PATH']}"}
SHELLS = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
}
PREPARED = {"bash": "PS1='> '", "zsh": "PS1='> '; autoload -U compinit && compinit -u -D"}


@pytest.mark.parametrize("shell", list(SHELLS))
@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("sweeps resu\t", "sweeps resume "),
        ("sweeps run -m model=logi\t", "sweeps run -m model=logistic"),
        ("sweeps run -m n_tri\t", "sweeps run -m n_trials="),
        ("sweeps resume multirun/rev\t", "sweeps resume multirun/reviews-1 "),
        ("sweeps rerun multirun/rev\t0", "sweeps rerun multirun/reviews-1/0"),
    ],
)
def test_the_tab_key(studies: Path, shell: str, keys: str, expected: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    with_terminal = Terminal(SHELLS[shell], studies)
    try:
        with_terminal.type(f'{PREPARED[shell]}; eval "$(sweeps completion {shell})"; echo rea""dy\n')
        with_terminal.wait_for("ready")
        with_terminal.type(keys)
        with_terminal.wait_for(expected)
    finally:
        with_terminal.close()


class Terminal:
    """An interactive shell."""

    def __init__(self, command: list[str], folder: Path) -> None:
        self._pid, self._screen = pty.fork()
        if self._pid == 0:
            os.chdir(folder)
            environ = user_environment({**PATH_TO_US, "TERM": "dumb", "HOME": str(folder)})
            os.execvpe(command[0], command, environ)
        self._shown = ""

    def type(self, keys: str) -> None:
        self._shown = ""
        os.write(self._screen, keys.encode())

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + 60
        while text not in self._shown:
            assert time.monotonic() < deadline, self._shown
            if select.select([self._screen], [], [], 0.2)[0]:
                self._shown += os.read(self._screen, 65536).decode(errors="replace")

    def close(self) -> None:
        os.close(self._screen)  # hangs it up
        os.waitpid(self._pid, 0)
