"""The examples of `examples/`, each run by the very lines that stand in its docstring and in the README."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from mlflow.entities import Run
from optuna import Study
from optuna.storages import RDBStorage
from optuna.trial import TrialState
from sqlalchemy.pool import NullPool

from sweeps.compose.settings import SweeperConfig

from .conftest import Workbench, scores
from .fault_site import STATUS, sequence
from .nursery import Nursery, user_environment

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Any Hydra app\n")[2].partition("\n## ")[0]
SCRIPTS = [ROOT / "examples" / name for name in ("sphere.py", "two_objectives.py", "structured.py", "boosting.py")]
SCRIPTS += [ROOT / "examples" / "classifier" / "app.py", ROOT / "examples" / "template" / "src" / "train.py"]


def lines_of(text: str) -> list[str]:
    """The commands of a text, each in one line."""
    joined = re.sub(r"\\\n\s*", "", text)
    return [line.rstrip() for line in re.findall(r"(?:^|\s)(python (?:examples/|-m ).*)", joined)]


def docstring(script: Path) -> str:
    return script.read_text(encoding="utf-8").split('"""')[1]


def the_line(script: str, *, sweeps: bool = True) -> str:
    """The line in the docstring of an example that sweeps, or the one that does not."""
    (line,) = (line for line in lines_of(docstring(ROOT / script)) if (" -m " in line) is sweeps)
    return line


class Tried:
    """A folder in which lines are typed, with `examples` in it."""

    def __init__(self, folder: Path, nursery: Nursery, store: Path) -> None:
        self.bench = Workbench(folder)
        self._nursery = nursery
        shutil.copy(store, folder / "mlflow.db")
        (folder / "examples").symlink_to(ROOT / "examples")

    def type(self, line: str, *more: str) -> str:
        """Run a line, and more arguments, which has to succeed; what it prints."""
        python, *words = shlex.split(line)
        assert python == "python"
        module, *arguments = words[1:] if words[0] == "-m" else words
        command = self._nursery.start(
            module, *arguments, *more, folder=self.bench.folder, environ=user_environment({"OMP_NUM_THREADS": "1"})
        )
        assert command.wait() == 0, command.out + command.err
        return command.out

    def study(self, folder: Path | None = None) -> Study:
        folder = folder or self.bench.study()
        unpooled = RDBStorage(f"sqlite:///{folder / 'study.db'}", engine_kwargs={"poolclass": NullPool})
        return optuna.load_study(study_name=folder.name, storage=unpooled)

    def children(self) -> list[Run]:
        """Its trials' runs in order, all of them children of the one parent run."""
        (parent,) = self.bench.runs("sweep")
        assert parent.info.status == "FINISHED"
        children = self.bench.runs("trial")
        assert {child.data.tags["mlflow.parentRunId"] for child in children} == {parent.info.run_id}
        return sorted(children, key=lambda child: int(child.data.tags["sweeps.trial.number"]))


@pytest.fixture
def tried(tmp_path: Path, nursery: Nursery, empty_store: Path) -> Tried:
    """An empty folder for the commands of one test."""
    return Tried(tmp_path, nursery, empty_store)


def check_tracked(tried: Tried, n_trials: int, names: Callable[[str], str] = lambda name: name) -> Study:
    """A child run for each trial, with what was drawn as params, and the state that Optuna has."""
    study, children = tried.study(), tried.children()
    assert len(study.trials) == len(children) == n_trials
    for trial, child in zip(study.trials, children, strict=True):
        assert child.info.status == STATUS[trial.state]
        drawn = {names(name): value for name, value in trial.params.items()}
        logged = {name: text for name, text in child.data.params.items() if name in drawn}
        assert logged == {name: str(value) for name, value in drawn.items()}
    return study


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: str(script.relative_to(ROOT)))
def test_the_readme_has_the_lines_of_the_docstrings(script: Path) -> None:
    lines = lines_of(docstring(script))
    assert lines
    name = str(script.relative_to(ROOT))
    assert [line for line in lines_of(README) if name in line] == lines


def test_the_readme_has_no_other_command_than_those_that_are_run_here() -> None:
    blocks = "\n".join(re.findall(r"```sh\n(.*?)\n```", README, re.DOTALL))
    known = [line for script in SCRIPTS for line in lines_of(docstring(script))]
    typed = [line for line in re.sub(r"\\\n\s*", "", blocks).splitlines() if line not in known]
    assert typed == ["python -m sweeps.resume multirun/<study> hydra.sweeper.n_trials=100"]


def test_a_config_file_that_says_how_to_run_it_says_the_same() -> None:
    written = [line for file in (ROOT / "examples").rglob("*.yaml") for line in lines_of(file.read_text("utf-8"))]
    assert written == [the_line("examples/template/src/train.py")]


def test_the_readme_names_settings_that_there_are() -> None:
    _, *rows = re.findall(r"^\| (`.*?) \|", README, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`([a-z_]+)", row)}
    assert len(named) > 15
    assert named <= set(SweeperConfig.__dataclass_fields__)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: str(script.relative_to(ROOT)))
def test_without_m_an_example_is_a_plain_run(tried: Tried, script: Path) -> None:
    line = next((line for line in lines_of(docstring(script)) if " -m " not in line), None)
    tried.type(line or f"python {script.relative_to(ROOT)}")
    assert tried.bench.runs() == []
    assert not (tried.bench.folder / "multirun").exists()


@pytest.mark.slow
def test_sphere(tried: Tried) -> None:
    tried.type(the_line("examples/sphere.py"), "hydra.sweeper.n_trials=6", "hydra.sweeper.n_jobs=2")
    study = check_tracked(tried, 6)
    assert all(-5 <= value <= 5 for trial in study.trials for value in trial.params.values())
    for trial, child in zip(study.trials, tried.children(), strict=True):
        assert scores(child) == {"objective": trial.value}
        assert trial.value == pytest.approx(trial.params["x"] ** 2 + trial.params["y"] ** 2)
    (best,) = (child for child in tried.children() if child.data.tags.get("sweeps.best") == "true")
    assert best.data.metrics["objective"] == study.best_value
    assert {name: str(value) for name, value in study.best_params.items()}.items() <= best.data.params.items()


def test_a_conf_tree(tried: Tried) -> None:
    """`instantiate` would hand `search_space` to the model, which takes no such argument."""
    tried.type(
        the_line("examples/classifier/app.py"), "hydra.sweeper.n_trials=5", "hydra.sweeper.n_jobs=2", "n_folds=2"
    )
    study = check_tracked(tried, 5, lambda name: name.rpartition(".")[2])
    assert [trial.params["model"] for trial in study.trials[:2]] == ["forest", "linear"]
    for trial in study.trials:
        assert trial.state == TrialState.COMPLETE
        own = {name for name in trial.params if name != "model"}
        assert all(name.startswith(f"model/{trial.params['model']}.") for name in own)
        assert ("model/linear.gamma" in own) == (trial.params.get("model/linear.kernel") == "rbf")


@pytest.mark.slow
def test_a_structured_config(tried: Tried) -> None:
    """The app asks whether its config is of its own class; where it is not, ridge's arguments reach the trees."""
    tried.type(the_line("examples/structured.py"), "hydra.sweeper.n_trials=4", "hydra.sweeper.n_jobs=1", "n_folds=2")
    study = check_tracked(tried, 4, lambda name: name.rpartition(".")[2])
    assert {trial.params["model"] for trial in study.trials} == {"ridge", "trees"}
    assert {trial.state for trial in study.trials} == {TrialState.COMPLETE}
    assert 1e-3 <= study.trials[0].params["model/ridge.alpha"] <= 1e3


def test_several_objectives(tried: Tried) -> None:
    tried.type(the_line("examples/two_objectives.py"), "hydra.sweeper.n_trials=6", "hydra.sweeper.n_jobs=2")
    study = check_tracked(tried, 6)
    for trial, child in zip(study.trials, tried.children(), strict=True):
        assert list(scores(child).values()) == trial.values
        assert trial.values[1] == trial.params["degree"]
        assert 1 <= trial.params["degree"] < 15


def test_each_configuration_under_several_seeds(tried: Tried) -> None:
    tried.type(the_line("examples/boosting.py"), "hydra.sweeper.n_trials=2", "hydra.sweeper.n_jobs=2")
    check_tracked(tried, 2)
    for child in tried.children():
        names = {"accuracy", "worst_fold"}
        assert set(scores(child)) == names | {f"{name}_stderr" for name in names}
        assert child.data.metrics["accuracy_stderr"] > 0
        assert "seed" not in child.data.params


def test_a_training_loop_is_pruned(tried: Tried) -> None:
    line = the_line("examples/template/src/train.py")
    early = (
        "hydra.sweeper.pruner.n_startup_trials=1",
        "hydra.sweeper.n_trials=6",
        "hydra.sweeper.n_jobs=1",
        "n_epochs=4",
    )
    tried.type(line, *early)
    study = check_tracked(tried, 6, lambda name: name.rpartition(".")[2])
    assert {trial.state for trial in study.trials} == {TrialState.COMPLETE, TrialState.PRUNED}
    for trial, child in zip(study.trials, tried.children(), strict=True):
        assert steps(tried, child) == list(trial.intermediate_values.items())
        assert len(trial.intermediate_values) == 4 or trial.state == TrialState.PRUNED


@pytest.mark.slow
def test_a_sweep_is_resumed_by_its_own_line_and_from_its_folder(tried: Tried) -> None:
    line, one = the_line("examples/sphere.py"), "hydra.sweeper.n_jobs=1"
    tried.type(line, one, "hydra.sweeper.study_name=whole", "hydra.sweeper.n_trials=9")
    tried.type(line, one, "hydra.sweeper.study_name=parts", "hydra.sweeper.n_trials=3")
    tried.type(line, one, "hydra.sweeper.study_name=parts", "hydra.sweeper.n_trials=6")
    (again,) = (typed for typed in lines_of(README) if "sweeps.resume" in typed)
    tried.type(again.replace("<study>", "parts").replace("=100", "=9"))
    folder = tried.bench.folder / "multirun"
    whole, parts = (sequence(tried.study(folder / name)) for name in ("whole", "parts"))
    assert len(parts) == 9
    assert parts == whole
    assert len(tried.bench.runs("sweep")) == 2
    assert len(tried.bench.runs("trial")) == 18


def steps(tried: Tried, run: Run) -> list[tuple[int, float]]:
    """What a trial reported, by step."""
    (name,) = (name for name in run.data.metrics if name.endswith("_objective"))
    return [(metric.step, metric.value) for metric in tried.bench.client.get_metric_history(run.info.run_id, name)]
