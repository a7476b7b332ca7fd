"""A text sweep against what people write by hand: `python benchmarks/text_sweep.py CSV|reviews [options]`.

    python benchmarks/text_sweep.py reviews
    python benchmarks/text_sweep.py labeled_data.csv --text tweet --label class
    python benchmarks/text_sweep.py reviews --trials 20 --rows 2500 --peer-trials 6

The same trials for all, drawn once with `sampler=random` from `model=svm,logistic` over TF-IDF of words and word pairs,
5 folds of the same training part, 2 workers:

* ours: `python -m sweeps.run` with tracking, registration and everything, timed from outside;
* loop: `cross_validate` on a Pipeline, in two processes that take turns;
* random: scikit-learn's `RandomizedSearchCV`, `Pipeline(memory=...)`, `n_jobs=2`;
* optuna: optuna-integration's `OptunaSearchCV`, `Pipeline(memory=...)`, two threads.

Ours also fits each trial on the whole training part and scores that part and the test part; the peers do not. With
`--peer-trials` the peers run that many of the trials and their seconds are scaled up, which is printed. CPU seconds and
peak memory (proportional set size) are those of the whole process tree: on a machine that does other work, the ratio of
CPU seconds is the one to read. At the end the trials are compared: the labels that ours and
scikit-learn's own pipeline predict on every fold.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
from sklearn.metrics import f1_score, make_scorer
from sklearn.model_selection import RandomizedSearchCV, StratifiedKFold, cross_validate, train_test_split
from sklearn.pipeline import Pipeline

from sweeps.base.build import build
from sweeps.study.trial_record import Record
from sweeps.tasks.text.reviews import load_reviews
from sweeps.tasks.text.svm import sparse_svc
from sweeps.tasks.text.svm.sparse_svc import SparseSVC

SEED, N_FOLDS, TEST_SIZE, N_WORKERS = 42, 5, 0.2, 2
VECTORIZER = {
    "_target_": "sklearn.feature_extraction.text.TfidfVectorizer",
    "ngram_range": [1, 2],
    "min_df": 2,
    "max_features": 20000,
    "sublinear_tf": True,
}
SPACE = ["vectorizer.ngram_range=[1,2]", "vectorizer.sublinear_tf=true"]

Model = dict[str, Any]


class Problem:
    """Texts and labels, the training part and its folds, as `TextClassification` makes them."""

    def __init__(self, source: str, text: str, label: str, n_rows: int | None) -> None:
        if source == "reviews":
            whole = load_reviews()
            self.texts, labels = whole.texts, whole.labels
            self.positive: Any = whole.positive_label
        else:
            frame = pd.read_csv(source)
            self.texts, labels = frame[text].to_numpy(object), frame[label].to_numpy()
            self.positive = None
        self.texts, self.labels = self.texts[:n_rows], labels[:n_rows]
        rows = np.arange(len(self.labels))
        self.train, _ = train_test_split(rows, test_size=TEST_SIZE, stratify=self.labels, random_state=SEED)
        folds = StratifiedKFold(N_FOLDS, shuffle=True, random_state=SEED)
        self.folds = list(folds.split(self.train, self.labels[self.train]))

    @property
    def x(self) -> np.ndarray:
        return self.texts[self.train]

    @property
    def y(self) -> np.ndarray:
        return self.labels[self.train]

    @property
    def scorer(self) -> Callable[..., float]:
        """The task's `f1`."""
        if self.positive is None:
            return make_scorer(f1_score, average="macro", zero_division=0.0)
        return make_scorer(f1_score, pos_label=self.positive, zero_division=0.0)


def pipeline(model: Model, memory: str | None = None) -> Pipeline:
    """A fresh pipeline of the configured vectorizer and model."""
    return Pipeline([("vectorizer", build(VECTORIZER, "vectorizer")), ("model", build(model, "model"))], memory=memory)


@dataclass(frozen=True)
class Cost:
    """Wall seconds, CPU seconds and peak memory in GiB of this process and all that it starts."""

    wall: float
    cpu: float
    memory: float


def measured(run: Callable[[], None]) -> Cost:
    """What a function costs, by looking at the process tree every half second."""
    done, peak = threading.Event(), 0.0
    before, seconds_before = tree()
    seconds: dict[int, float] = {}

    def watch() -> None:
        nonlocal peak
        while True:
            memory, now = tree()
            peak = max(peak, memory)
            seconds.update(now)
            if done.wait(0.5):
                return

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.perf_counter()
    try:
        run()
    finally:
        wall = time.perf_counter() - start
        done.set()
        watcher.join()
    seconds.update(tree()[1])
    cpu = sum(spent - seconds_before.get(process, 0.0) for process, spent in seconds.items())
    return Cost(wall, cpu, max(0.0, peak - before) / 2**30)


def tree() -> tuple[float, dict[int, float]]:
    """Proportional set size of this process and its descendants in bytes, and the CPU seconds of each, from /proc."""
    children: dict[int, list[int]] = {}
    seconds: dict[int, float] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
            seconds[int(stat.parent.name)] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    todo, found, memory = [os.getpid()], {}, 0
    while todo:
        process = todo.pop()
        todo += children.get(process, [])
        with suppress(OSError, KeyError):
            found[process] = seconds[process]
            rollup = Path(f"/proc/{process}/smaps_rollup").read_text()
            memory += sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    return memory * 1024.0, found


def run_ours(arguments: argparse.Namespace, folder: Path, n_jobs: int) -> None:
    """The real command, in an empty folder."""
    dataset = ["dataset=reviews"]
    if arguments.source != "reviews":
        path = Path(arguments.source).resolve()
        dataset = [
            "dataset=text_csv",
            f"dataset.path={path}",
            f"dataset.text_column={arguments.text}",
            f"dataset.label_column={arguments.label}",
        ]
    if arguments.rows:
        dataset = [
            "dataset=text_csv",
            "dataset.path=rows.csv",
            "dataset.text_column=text",
            "dataset.label_column=label",
        ]
        if arguments.source == "reviews":
            dataset.append("dataset.positive_label=great")
    command = [sys.executable, "-m", "sweeps.run", "-m", *dataset, "model=svm,logistic", *SPACE, "sampler=random"]
    # The peers split rows, not different texts.
    command += [
        "dataset.on_duplicates=keep",
        f"dataset.n_folds={N_FOLDS}",
        f"n_trials={arguments.trials}",
        f"n_jobs={n_jobs}",
    ]
    command += ["study_name=ours", "experiment_name=benchmark", "registered_model_name=benchmark"]
    environment = os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"}
    subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)


def models_of(folder: Path) -> list[tuple[Model, float]]:
    """Each trial's composed model, and its `val_f1`."""
    study = optuna.load_study(study_name="ours", storage=f"sqlite:///{folder}/multirun/ours/study.db")
    bases = {
        "svm": {"_target_": "sklearn.svm.SVC"},
        "logistic": {"_target_": "sklearn.linear_model.LogisticRegression"},
    }
    found = []
    for trial in study.get_trials():
        record = Record.of(trial)
        active, choice = record.hyperparameters, record.choices["model"]
        options = {name.removeprefix("model."): value for name, value in active.items() if name.startswith("model.")}
        found.append((bases[choice] | options, trial.values[0]))
    return found


def cross_validated(problem: Problem, model: Model) -> float:
    """One turn of the plain loop."""
    warnings.simplefilter("ignore")
    scores = cross_validate(pipeline(model), problem.x, problem.y, cv=problem.folds, scoring=problem.scorer)
    return float(np.mean(scores["test_score"]))


def run_loop(problem: Problem, models: Sequence[Model]) -> None:
    """Two processes, one BLAS thread each."""
    with ProcessPoolExecutor(N_WORKERS, mp_context=get_context("spawn")) as pool:
        list(pool.map(cross_validated, [problem] * len(models), models))


def parameters_of(model: Model) -> dict[str, Any]:
    """A point of `RandomizedSearchCV`: the configured estimator itself."""
    return {"model": [build(model, "model")]}


def run_random_search(problem: Problem, models: Sequence[Model]) -> None:
    """Given the trials as a list of points, it runs each of them once."""
    with tempfile.TemporaryDirectory() as memory, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search = RandomizedSearchCV(
            pipeline(models[0], memory),
            [parameters_of(model) for model in models],
            n_iter=len(models),
            cv=problem.folds,
            scoring=problem.scorer,
            n_jobs=N_WORKERS,
            refit=False,
        )
        search.fit(problem.x, problem.y)


def run_optuna_search(problem: Problem, models: Sequence[Model]) -> None:
    """The trials as a categorical parameter that is walked through."""
    from optuna_integration import OptunaSearchCV

    points = [build(model, "model") for model in models]
    with tempfile.TemporaryDirectory() as memory, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        study = optuna.create_study(sampler=optuna.samplers.BruteForceSampler(), direction="maximize")
        search = OptunaSearchCV(
            pipeline(models[0], memory),
            {"model": optuna.distributions.CategoricalDistribution(points)},
            cv=StratifiedKFold(N_FOLDS, shuffle=True, random_state=SEED),
            scoring=problem.scorer,
            n_trials=len(models),
            n_jobs=N_WORKERS,
            refit=False,
            study=study,
        )
        search.fit(problem.x, problem.y)


def compare(problem: Problem, models: Sequence[Model], scores: Sequence[float]) -> None:
    """Fit trials with scikit-learn alone, and print how far ours is from it."""
    difference, differing, largest, predicted = {"SVC": 0.0, "LogisticRegression": 0.0}, 0, 0.0, 0
    for model, score in zip(models, scores, strict=True):
        kind = model["_target_"].rpartition(".")[2]
        theirs = cross_validated(problem, model)
        difference[kind] = max(difference[kind], abs(theirs - score))
        if kind != "SVC":
            continue
        for fit, held_out in problem.folds[:1]:
            vectorizer, svc = build(VECTORIZER, "vectorizer"), build(model, "model")
            x = vectorizer.fit_transform(problem.x[fit])
            if not sparse_svc.fits(svc, x):
                continue
            x_held_out = vectorizer.transform(problem.x[held_out])
            ours, plain = SparseSVC(svc).fit(x, problem.y[fit]), svc.fit(x, problem.y[fit])
            unequal = ours.predict(x_held_out) != plain.predict(x_held_out)
            differing, predicted = differing + int(unequal.sum()), predicted + len(unequal)
            if unequal.any():
                largest = max(largest, float(np.abs(ours.decision_values(x_held_out)[unequal]).min(axis=1).max()))
    print(f"compared {len(models)} trials with scikit-learn's own pipeline:")
    print(
        f"  largest difference of val_f1: logistic {difference['LogisticRegression']:.1e}, SVM {difference['SVC']:.1e}"
    )
    print(f"  SVM labels that differ: {differing} of {predicted}, decision value at most {largest:.1e}")


def main() -> None:
    """Run all of them and print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("source", help="reviews, or a CSV file")
    parser.add_argument("--text", default="text")
    parser.add_argument("--label", default="label")
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--rows", type=int, default=None, help="the first so many rows")
    parser.add_argument("--peer-trials", type=int, default=None, help="run so many with the peers, and scale")
    parser.add_argument("--peers", default="loop,random,optuna")
    parser.add_argument(
        "--compare", type=int, default=4, help="compare so many trials of each kind with scikit-learn's"
    )
    parser.add_argument("--jobs", type=int, default=N_WORKERS, help="workers of ours")
    arguments = parser.parse_args()
    os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # of the processes started from here
    problem = Problem(arguments.source, arguments.text, arguments.label, arguments.rows)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pd.DataFrame({"text": problem.texts, "label": problem.labels}).to_csv(folder / "rows.csv", index=False)
        ours = measured(lambda: run_ours(arguments, folder, arguments.jobs))
        trials = models_of(folder)
    models, scores = [model for model, _ in trials], [score for _, score in trials]
    kinds = [model["_target_"].rpartition(".")[2] for model in models]
    n_peers = min(arguments.peer_trials or len(models), len(models))
    # Evenly over the trials, so that each kind has its share.
    some = [models[place] for place in np.linspace(0, len(models) - 1, n_peers).round().astype(int)]
    factor = len(models) / n_peers
    svms = kinds.count("SVC")
    print(f"{arguments.source}, {len(problem.labels)} rows, {len(models)} trials ({svms} SVM), {N_FOLDS} folds")
    if n_peers < len(models):
        print(f"peers ran {n_peers} of the trials; their seconds are scaled by {factor:.2f}")
    print(f"{'':<8} {'seconds':>9} {'ratio':>7} {'of CPU':>9} {'ratio':>7} {'GiB':>6}")
    print(f"{'ours':<8} {ours.wall:9.1f} {'':>7} {ours.cpu:9.1f} {'':>7} {ours.memory:6.2f}", flush=True)
    runs = {"loop": run_loop, "random": run_random_search, "optuna": run_optuna_search}
    for peer in filter(None, arguments.peers.split(",")):
        cost = measured(partial(runs[peer], problem, some))
        wall, cpu = cost.wall * factor, cost.cpu * factor
        print(
            f"{peer:<8} {wall:9.1f} {wall / ours.wall:7.2f} {cpu:9.1f} {cpu / ours.cpu:7.2f} {cost.memory:6.2f}",
            flush=True,
        )
    if arguments.compare:
        chosen = [
            place
            for kind in ("SVC", "LogisticRegression")
            for place in [at for at, one in enumerate(kinds) if one == kind][: arguments.compare]
        ]
        compare(problem, [models[place] for place in chosen], [scores[place] for place in chosen])


if __name__ == "__main__":
    main()
