"""How good the fronts are that samplers find for two objectives, and what the second objective costs a trial.

    python benchmarks/objectives.py                    10 seeds, 60 trials of four models on the reviews, three samplers
    python benchmarks/objectives.py --seeds 2          quicker
    python benchmarks/objectives.py --overhead 300     ms a trial with two objectives beside one, in turns

The hypervolume is the area between a front and the worst values that any trial of the run had, as a share of the box
that the best and the worst values span: 1 would be a trial that is best in both. Every front that is filed is compared
with the one that Optuna finds in the study (`Study.best_trials`).
"""

from __future__ import annotations

import argparse
import csv
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import optuna
from scipy.stats import wilcoxon

from trivial.command import sweep, table, trials

MODELS = "model=svm,logistic,linear_svm,naive_bayes"
SAMPLERS = ("tpe", "random", "nsgaii")

Point = tuple[float, float]


def hypervolume(points: Sequence[Point]) -> float:
    """The area that points in the unit square, of which (0, 0) is the best, dominate."""
    area, worst_y = 0.0, 1.0
    for x, y in sorted(points):
        if y < worst_y:
            area += (1.0 - x) * (worst_y - y)
            worst_y = y
    return area


def front(folder: Path, name: str, metrics: Sequence[str], sampler: str, seed: int, n_trials: int) -> list[Point]:
    """The front that a sweep files, as values to minimise; it must be Optuna's."""
    command = [sys.executable, "-m", "sweeps.run", "-m", MODELS, f"metric=[{','.join(metrics)}]", "promote=never"]
    subprocess.run(
        [*command, f"study_name={name}", f"sampler={sampler}", f"seed={seed}", f"n_trials={n_trials}"],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    study = optuna.load_study(study_name=name, storage=f"sqlite:///{folder}/multirun/{name}/study.db")
    with (folder / "multirun" / name / "trials.csv").open(newline="") as file:
        filed = [int(row["number"]) for row in csv.DictReader(file) if row["pareto"] == "True"]
    if filed != [trial.number for trial in study.best_trials]:
        sys.exit(f"{name}: the front that is filed is not Optuna's")
    signs = [-1.0 if direction == optuna.study.StudyDirection.MAXIMIZE else 1.0 for direction in study.directions]
    values = [tuple(sign * value for sign, value in zip(signs, trial.values, strict=True)) for trial in study.trials]
    EVERYTHING.extend((x, y) for x, y in values)
    return [(values[number][0], values[number][1]) for number in filed]


EVERYTHING: list[Point] = []
"""The values of all trials of the run, which span the box."""


def fronts(folder: Path, metrics: Sequence[str], n_seeds: int, n_trials: int) -> None:
    found = {
        (sampler, seed): front(folder, f"{sampler}-{seed}", metrics, sampler, seed, n_trials)
        for seed in range(n_seeds)
        for sampler in SAMPLERS
    }
    low = [min(point[axis] for point in EVERYTHING) for axis in (0, 1)]
    high = [max(point[axis] for point in EVERYTHING) for axis in (0, 1)]

    def scaled(point: Point) -> Point:
        x, y = ((value - a) / ((b - a) or 1.0) for value, a, b in zip(point, low, high, strict=True))
        return x, y

    areas = {key: hypervolume([scaled(point) for point in points]) for key, points in found.items()}
    by_sampler = {sampler: [areas[sampler, seed] for seed in range(n_seeds)] for sampler in SAMPLERS}
    ours, rows = by_sampler[SAMPLERS[0]], []
    for sampler, values in by_sampler.items():
        ahead = sum(mine > theirs for mine, theirs in zip(ours, values, strict=True))
        sizes = [len(found[sampler, seed]) for seed in range(n_seeds)]
        row = [sampler, f"{statistics.mean(values):.4f}", f"{min(values):.4f}", f"{statistics.mean(sizes):.1f}"]
        is_ours = sampler == SAMPLERS[0]
        p = "" if is_ours or ours == values else f"{wilcoxon(ours, values).pvalue:.4f}"
        rows.append([*row, "" if is_ours else f"{ahead} of {n_seeds}", p])
    print(f"{metrics[0]} and {metrics[1]}, {n_trials} trials, {n_seeds} seeds")
    table(
        ["sampler", "hypervolume, mean", "least", "trials on the front", "seeds with tpe ahead", "p (Wilcoxon)"], rows
    )
    print(f"the fronts of all {len(found)} studies are Optuna's")


def overhead(folder: Path, n_trials: int) -> None:
    rows = []
    for sampler in ("random", "tpe"):
        cost: dict[str, list[float]] = {"one": [], "two": []}
        for turn in range(3):
            for name, metric in (("one", "metric=val_loss"), ("two", "metric=[val_loss,val_gap]")):
                study = f"{sampler}-{name}-{turn}"
                sweep(folder, study, f"sampler={sampler}", "n_jobs=1", f"n_trials={n_trials}", metric)
                told = [trial.datetime_complete.timestamp() for trial in trials(folder, study)]
                cost[name].append((told[-1] - told[0]) / (n_trials - 1) * 1e3)
        one, two = (statistics.median(values) for values in cost.values())
        rows.append([sampler, f"{one:.1f}", f"{two:.1f}", f"{two - one:+.1f}"])
    table([f"{n_trials} trials, n_jobs=1", "one objective, ms a trial", "two", "more"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--metrics", default="val_f1,val_overfitting", help="two, such as val_f1,predict_ms")
    parser.add_argument("--overhead", type=int, metavar="TRIALS")
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        if arguments.overhead:
            overhead(Path(folder), arguments.overhead)
        else:
            fronts(Path(folder), arguments.metrics.split(","), arguments.seeds, arguments.trials)


if __name__ == "__main__":
    main()
