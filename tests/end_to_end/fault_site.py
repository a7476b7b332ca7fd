"""A folder where sweeps of the faulty package run, are killed and go on, and what must hold of it in the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from mlflow import MlflowClient
from mlflow.entities import Run
from optuna import Study
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.pool import NullPool

from sweeps.study.attribute import is_counted, was_cut_off

from .nursery import Command, Nursery, user_environment, wait_until

PACKAGE = Path(__file__).parent / "faulty_package"
STATUS = {TrialState.COMPLETE: "FINISHED", TrialState.FAIL: "FAILED", TrialState.PRUNED: "KILLED"}


class Site:
    """A folder with an MLflow store, a dataset for `mischief`, and studies.

    Args:
        folder: empty but for the store.
        nursery: starts commands.
    """

    def __init__(self, folder: Path, nursery: Nursery) -> None:
        self.folder = folder
        self.nursery = nursery
        self.tracking_uri = f"sqlite:///{folder / 'mlflow.db'}"
        self.offset = folder / "offset.txt"
        self.offset.write_text("0.0")
        self.place = folder / "begun"
        self.place.mkdir()

    def start(self, *overrides: str, study: str = "s", kill: str = "", mischief: str = "", **environ: str) -> Command:
        """Start a sweep: six trials in one worker, unless the overrides say otherwise."""
        arguments = self.arguments(*overrides, study=study)
        return self.command("sweeps.run", *arguments, kill=kill, mischief=mischief, **environ)

    def arguments(self, *overrides: str, study: str = "s") -> list[str]:
        """The arguments of `python -m sweeps.run` for a sweep."""
        data = ["hydra.searchpath=[pkg://mischief.conf]", "dataset=clockwork", f"dataset.path={self.offset}"]
        return ["-m", *data, f"study_name={study}", "n_trials=6", "n_jobs=1", *overrides]

    def sweep(self, *overrides: str, **how: Any) -> Command:
        """A sweep that has to succeed."""
        command = self.start(*overrides, **how)
        assert command.wait() == 0, command.out + command.err
        return command

    def command(
        self,
        module: str,
        *arguments: str,
        folder: Path | None = None,
        kill: str = "",
        mischief: str = "",
        **environ: str,
    ) -> Command:
        """Start `python -m MODULE`."""
        environment = user_environment({"PLACE": str(self.place), "MISCHIEF": mischief, **environ})
        return self.nursery.start(module, *arguments, folder=folder or self.folder, environ=environment, kill=kill)

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(self.tracking_uri, self.tracking_uri)

    def study(self, name: str = "s", storage: str | None = None) -> Study:
        unpooled = RDBStorage(storage or self.storage(name), engine_kwargs={"poolclass": NullPool})
        return optuna.load_study(study_name=name, storage=unpooled)

    def storage(self, name: str = "s") -> str:
        return f"sqlite:///{self.folder / 'multirun' / name / 'study.db'}"

    def n_begun(self) -> int:
        """Trials that have begun, in whatever process."""
        return len(list(self.place.iterdir()))

    def wait_until_begun(self, n_trials: int) -> None:
        wait_until(lambda: self.n_begun() >= n_trials)

    def children(self, name: str = "s") -> list[Run]:
        """The child runs of a study in MLflow."""
        parent = self.parent(name)
        return self._runs(f"tags.mlflow.parentRunId = '{parent.info.run_id}'")

    def parent(self, name: str = "s") -> Run:
        (parent,) = self._runs(f"tags.`sweeps.study` = '{name}' and tags.`sweeps.kind` = 'sweep'")
        return parent

    def _runs(self, query: str) -> list[Run]:
        experiments = [experiment.experiment_id for experiment in self.client.search_experiments()]
        return list(self.client.search_runs(experiments, query, max_results=1000))

    def champion(self, name: str = "clockwork") -> str:
        """The run of the registered model's champion, which must have ended."""
        version = self.client.get_model_version_by_alias(name, "champion")
        assert version.run_id is not None
        assert self.client.get_run(version.run_id).info.status == "FINISHED"
        return version.run_id


def counted(study: Study) -> list[FrozenTrial]:
    """The trials that count, in order."""
    return [trial for trial in study.get_trials() if is_counted(trial)]


def sequence(study: Study) -> list[tuple[Mapping[str, Any], Sequence[float] | None]]:
    """Parameters and values of the trials that count."""
    return [(trial.params, trial.values) for trial in counted(study)]


def check_projection(
    site: Site,
    name: str = "s",
    storage: str | None = None,
    metric: str | Sequence[str] = "val_score",
    x: str | None = "model/cog.x",
) -> None:
    """Nothing is RUNNING in the study or in MLflow, and MLflow shows each trial once, as it was.

    Args:
        site: where the study ran.
        name: of the study.
        storage: of the study; None for the file in its folder.
        metric: that is optimised, or several.
        x: what Optuna calls the number that is searched, whose param is `x`; None for none.
    """
    trials = site.study(name, storage).get_trials()
    assert {trial.state for trial in trials} <= set(STATUS)
    children = {int(run.data.tags["sweeps.trial.number"]): run for run in site.children(name)}
    assert len(site.children(name)) == len(children) == len(trials), Counter(
        run.data.tags["sweeps.trial.number"] for run in site.children(name)
    )
    for trial in trials:
        run = children[trial.number]
        assert run.info.status == STATUS[trial.state]
        state = "INTERRUPTED" if was_cut_off(trial) else trial.state.name
        assert run.data.tags["sweeps.trial.state"] == state
        if trial.state == TrialState.COMPLETE:
            metrics = [metric] if isinstance(metric, str) else metric
            assert [run.data.metrics[name] for name in metrics] == trial.values
            assert x is None or float(run.data.params["x"]) == trial.params[x]
    assert site.parent(name).info.status != "RUNNING"


def check_whole(site: Site, n_trials: int = 6, name: str = "s", storage: str | None = None) -> None:
    """A sweep has all its trials, and its winner is registered and champion."""
    study = site.study(name, storage)
    assert len(counted(study)) == n_trials
    check_projection(site, name, storage)
    parent = site.parent(name)
    assert parent.info.status == "FINISHED"
    (best,) = [run for run in site.children(name) if run.data.tags.get("sweeps.best") == "true"]
    assert best.data.tags["sweeps.trial.number"] == str(study.best_trial.number)
    assert parent.data.tags["sweeps.best.trial"] == str(study.best_trial.number)
    assert parent.data.tags["sweeps.registered_model"].startswith("clockwork/")
