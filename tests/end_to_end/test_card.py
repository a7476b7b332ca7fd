"""What a sweep says of how sure its figures are: in its table, in trials.csv, in MLflow and on a version's card."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy.stats import sem

from sweeps.base.predictions import read_predictions
from sweeps.tasks.comparison import same_rows

from .conftest import Finished, Workbench, text_csv, write_texts

MODEL = "comments"


@dataclass(frozen=True)
class Swept:
    bench: Workbench
    finished: Finished
    file: Path

    def trials(self) -> pd.DataFrame:
        return pd.read_csv(self.bench.folder / "multirun" / "s" / "trials.csv")

    def kept(self, number: int, part: str) -> list[dict[str, np.ndarray]]:
        folder = self.bench.folder / "multirun" / "s" / str(number) / "predictions"
        return [dict(np.load(file)) for file in sorted(folder.glob(f"{part}-*.npz"))]


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Swept:
    """Twelve trials, some of them weak, with a threshold and folds of two seeds."""
    folder = tmp_path_factory.mktemp("card")
    bench = Workbench(folder)
    (folder / "mlflow.db").write_bytes(empty_store.read_bytes())
    file = write_texts(folder / "comments.csv", rows=400, labels=("fair", "fair", "fair", "hate"), own=0.5)
    typed = ["model=logistic,naive_bayes", "study_name=s", "n_trials=12", "dataset.threshold=f1", "dataset.n_repeats=2"]
    return Swept(bench, bench.sweep(*text_csv(file), *typed), file)


def f1(kept: dict[str, np.ndarray]) -> float:
    real, given = kept["y_true"] == "hate", kept["y_pred"] == "hate"
    return float(2 * np.sum(real & given) / (np.sum(real) + np.sum(given)))


def drawn(kept: list[dict[str, np.ndarray]], others: list[dict[str, np.ndarray]], n_draws: int = 800) -> np.ndarray:
    """Differences of two trials' mean F1 of the first repeat's folds, by drawing rows within folds and classes."""
    rng = np.random.default_rng(1)
    differences = []
    for _ in range(n_draws):
        of_folds = []
        for one, other in zip(kept[:3], others[:3], strict=True):
            places = [np.flatnonzero(one["y_true"] == label) for label in np.unique(one["y_true"])]
            rows = np.concatenate([rng.choice(of_label, len(of_label)) for of_label in places])
            pair = [f1({name: of[name][rows] for name in ("y_true", "y_pred")}) for of in (one, other)]
            of_folds.append(pair[0] - pair[1])
        differences.append(np.mean(of_folds))
    return np.asarray(differences)


def test_trials_are_told_apart_by_paired_intervals_over_the_folds(swept: Swept) -> None:
    trials = swept.trials()
    best = int(trials.loc[trials["value"].idxmax(), "number"])
    said = dict(zip(trials["number"], trials["told_apart"], strict=True))
    assert said[best] == False  # noqa: E712 - numpy's
    ours = swept.kept(best, "val")
    for number, is_apart in said.items():
        if number == best:
            continue
        theirs = swept.kept(number, "val")
        difference = np.mean([f1(one) for one in ours]) - np.mean([f1(one) for one in theirs])
        draws = drawn(ours, theirs)
        z = abs(difference) / max(draws.std(), 1e-12)
        if abs(z - 1.96) > 0.3 and draws.std() > 0:  # the draws' own noise
            assert bool(is_apart) == (z > 1.96), number
    alike = sorted(number for number, is_apart in said.items() if number != best and not is_apart)
    runs = {run.data.tags["sweeps.trial.number"]: run for run in swept.bench.runs("trial")}
    marked = sorted(int(n) for n, run in runs.items() if run.data.tags.get("sweeps.not_told_apart") == "true")
    assert marked == alike
    line = re.search(rf"Not told apart from the best, trial {best}: (\d+) of 11 others", swept.finished.out)
    assert line is not None
    assert int(line[1]) == len(alike)
    seconds = trials.set_index("number")["fit_seconds"][[best, *alike]]
    assert f"Of all these the least fitting takes trial {seconds.idxmin()}, {seconds.min():.3g} s" in swept.finished.out


def test_the_table_shows_standard_errors_and_intervals(swept: Swept) -> None:
    trials = swept.trials()
    best = trials.loc[trials["value"].idxmax()]
    errors = [sem([f1(one) for one in swept.kept(int(best["number"]), "val")[start : start + 3]]) for start in (0, 3)]
    expected = float(np.sqrt(np.mean(np.square(errors))))
    assert best["val_f1_stderr"] == pytest.approx(expected)
    row = next(line for line in swept.finished.out.splitlines() if "  the best  " in line and "±" in line)
    assert f"{best['value']:.4f} ± {expected:.4f}" in row
    shown = re.search(rf"{best['test_f1']:.4f} \((0\.\d+) to (0\.\d+)\)", row)
    assert shown is not None
    (test,) = swept.kept(int(best["number"]), "test")
    rng = np.random.default_rng(2)
    n = len(test["y_true"])
    draws = [f1({name: test[name][rows] for name in ("y_true", "y_pred")}) for rows in rng.integers(0, n, (1500, n))]
    assert [float(shown[1]), float(shown[2])] == pytest.approx(list(np.quantile(draws, [0.025, 0.975])), abs=0.02)


def test_the_card_is_on_the_versions_page_and_with_its_run(swept: Swept) -> None:
    version = swept.bench.client.get_model_version(MODEL, "1")
    card = version.description
    folder = swept.bench.folder / "card"
    folder.mkdir()
    file = swept.bench.client.download_artifacts(str(version.run_id), "model_card.md", str(folder))
    assert Path(file).read_text() == card
    trials = swept.trials()
    best = trials.loc[trials["value"].idxmax()]
    for said in (
        f"Trial {best['number']} of the study s, the best of 12",
        f"| val_f1 | {best['value']:.4f} ± {best['val_f1_stderr']:.4f} |",
        f"| test_f1 | {best['test_f1']:.4f}, 95 % interval ",
        f"right labels by {float(version.tags['sweeps.test_ece']):.3f} (expected calibration error",
        "champion is version 1, the first",
        "| rows | 400 |",
        "| dataset.threshold | f1 |",
        "| dataset.n_repeats | 2 |",
        f"| dataset.path | {swept.file} |",
        f"| model | {best['model']} |",
        "model/logistic.C",
        "python -m sweeps.predict models:/comments/1 input.csv -o output.csv",
    ):
        assert said in card, said


def test_what_is_served_is_what_was_chosen(swept: Swept) -> None:
    trials = swept.trials()
    best = trials.loc[trials["value"].idxmax()]
    done = swept.bench.predict(f"models:/{MODEL}@champion", str(swept.file), "-o", "out.csv")
    assert done.code == 0, done.err
    predicted = pd.read_csv(swept.bench.folder / "out.csv")
    assert predicted["confidence"].between(0, 1).all()
    assert predicted["confidence"].min() < 0.5, "a label given below one half keeps its own probability"
    result = yaml.safe_load((swept.bench.folder / "multirun" / "s" / "sweep_result.yaml").read_text())
    assert result["best"]["trial"] == best["number"]


def test_a_winner_whose_predictions_are_not_in_its_folder_predicts_once_more(swept: Swept, tmp_path: Path) -> None:
    bench = Workbench(tmp_path)
    shutil.copy(swept.bench.folder / "mlflow.db", tmp_path / "mlflow.db")
    typed = [
        *text_csv(swept.file),
        "model=naive_bayes",
        "study_name=other",
        "n_trials=2",
        "registered_model_name=other",
    ]
    bench.sweep(*typed)
    runs = bench.client.get_model_version("other", "1").run_id
    before = read_predictions(Path(bench.client.download_artifacts(str(runs), "predictions", str(tmp_path))))
    bench.client.delete_registered_model("other")
    for folder in (tmp_path / "multirun" / "other").glob("*/predictions"):
        for file in folder.glob("test-*.npz"):
            file.write_bytes(b"damaged")
    again = bench.sweep(*typed)
    assert "predicting once more" in again.out
    assert bench.client.get_model_version("other", "1").tags["sweeps.promotion"] == "promoted"
    (best,) = [run for run in bench.runs("trial") if run.info.run_id == runs]
    number = best.data.tags["sweeps.trial.number"]
    after = read_predictions(tmp_path / "multirun" / "other" / number / "predictions")
    assert same_rows(before, after)
    assert all((one.y_pred == other.y_pred).all() for one, other in zip(before, after, strict=True))
