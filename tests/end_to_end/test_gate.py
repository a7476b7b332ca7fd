"""The gate and `sweeps compare` on real sweeps, their figures recomputed from the predictions that MLflow keeps."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score

from .conftest import Workbench, text_csv, write_texts

MODEL = "comments"
WEAK = ("model.C=0.001", "model.class_weight=null")


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Workbench:
    """Four sweeps of one name: a weak model, a good one with evidence, the weak one again, and one of other folds."""
    folder = tmp_path_factory.mktemp("gate")
    bench = Workbench(folder)
    (folder / "mlflow.db").write_bytes(empty_store.read_bytes())
    file = write_texts(folder / "comments.csv", rows=200, labels=("fair", "fair", "hate"), own=0.6)
    for name, typed in (
        ("weak", ["n_trials=1", *WEAK]),
        ("good", ["n_trials=3", "promote=evidence"]),
        ("again", ["n_trials=1", "promote=evidence", *WEAK]),
        ("folds", ["n_trials=1", "dataset.n_folds=4"]),
    ):
        bench.sweep(*text_csv(file), "model=logistic", f"study_name={name}", *typed)
    return bench


def tags(bench: Workbench, version: str) -> Mapping[str, str]:
    return dict(bench.client.get_model_version(MODEL, version).tags)


def kept(bench: Workbench, version: str, tmp_path: Path) -> dict[str, list[Mapping[str, Any]]]:
    """The predictions of a version by part, as numpy reads them."""
    run = bench.client.get_model_version(MODEL, version).run_id
    folder = tmp_path / version
    folder.mkdir()
    where = Path(bench.client.download_artifacts(str(run), "predictions", str(folder)))
    return {part: [np.load(file) for file in sorted(where.glob(f"{part}-*.npz"))] for part in ("val", "test")}


def score(part: list[Mapping[str, Any]]) -> float:
    return float(np.mean([f1_score(fold["y_true"], fold["y_pred"], pos_label="hate") for fold in part]))


def test_what_is_kept_gives_the_scores_and_the_difference(swept: Workbench, tmp_path: Path) -> None:
    weak, good = (kept(swept, version, tmp_path) for version in "12")
    assert [len(good[part]) for part in ("val", "test")] == [3, 1]
    assert sum(len(fold["y_true"]) for fold in good["val"]) == 160
    for version, of in (("1", weak), ("2", good)):
        assert float(tags(swept, version)["sweeps.val_f1"]) == pytest.approx(score(of["val"]))
        assert float(tags(swept, version)["sweeps.test_f1"]) == pytest.approx(score(of["test"]))
    expected = 0.5 * (score(good["val"]) - score(weak["val"])) + 0.5 * (score(good["test"]) - score(weak["test"]))
    found = tags(swept, "2")
    selection = float(found["sweeps.gate.selection"])
    assert 0 < selection < 0.05, "chosen from three, and the other from one"
    assert float(found["sweeps.gate.difference"]) == pytest.approx(expected - selection)
    assert float(found["sweeps.gate.low"]) < expected - selection < float(found["sweeps.gate.high"])
    assert not [name for of in (weak, good) for part in of.values() for fold in part for name in fold if "text" in name]


def test_each_rule_decides_and_says_why(swept: Workbench) -> None:
    reasons = {version: tags(swept, version)["sweeps.promotion.reason"] for version in "1234"}
    assert reasons["1"].startswith("champion is version 1, the first")
    assert reasons["2"].startswith("champion is version 2: P(better) is at least 0.95: version 2 has val_f1")
    assert reasons["3"].startswith("champion stays version 2: P(better) is below 0.95")
    assert "on test alone, as the two were not selected on the same folds" in reasons["4"]
    for version, n in (("2", 1), ("3", 2), ("4", 3)):
        assert f"Comparison {n} on this test part" in reasons[version]
        n_trials = tags(swept, version)["sweeps.n_trials"]
        assert f"Chosen from {n_trials} trials, and the champion from {'1' if n == 1 else '3'}" in reasons[version]
        assert f"P(better) {float(tags(swept, version)['sweeps.gate.p_better']):.3f}" in reasons[version]
    assert tags(swept, "2")["sweeps.n_trials"] == "3"
    assert tags(swept, "3")["sweeps.incumbent.n_trials"] == "3"
    assert tags(swept, "2")["sweeps.selection_id"] == tags(swept, "3")["sweeps.selection_id"]
    assert tags(swept, "4")["sweeps.selection_id"] != tags(swept, "3")["sweeps.selection_id"]
    assert len({tags(swept, version)["sweeps.evaluation_id"] for version in "1234"}) == 1


def test_two_versions_and_two_trials_are_compared(swept: Workbench) -> None:
    versions = swept.compare(f"models:/{MODEL}/2", f"models:/{MODEL}@challenger")
    assert versions.code == 0, versions.err
    assert "On the test part alone" in versions.out
    versions = swept.compare(f"models:/{MODEL}/2", f"models:/{MODEL}/1")
    difference = float(tags(swept, "2")["sweeps.gate.difference"])
    assert f"Difference {difference:+.4g} (95 % interval" in versions.out
    assert f"{MODEL} version 2 is better." in versions.out
    runs = {run.data.tags["sweeps.study"]: run for run in swept.runs("sweep")}
    best = runs["good"].data.tags["sweeps.best.trial"]
    trials = swept.compare(f"multirun/good/{best}", "multirun/weak/0")
    assert trials.code == 0, trials.err
    difference += float(tags(swept, "2")["sweeps.gate.selection"])  # two trials were chosen by whoever names them
    assert re.search(
        rf"Difference {re.escape(f'{difference:+.4g}')} \(95 % interval .*: trial {best} of good", trials.out
    )
    same = swept.compare(f"multirun/good/{best}", f"multirun/good/{best}")
    assert "the two are not told apart" in same.out


@pytest.mark.parametrize(
    ("one", "part"),
    [
        ("multirun/good/99", "has no trial 99 that completed"),
        ("multirun/nothing/1", "is no trial's folder"),
        ("multirun/good", "is no trial's folder"),
        (f"models:/{MODEL}/9", "has no version 9"),
        ("models:/nothing/1", "nothing"),
    ],
)
def test_what_cannot_be_compared_is_one_message(swept: Workbench, one: str, part: str) -> None:
    done = swept.compare(one, "multirun/good/0")
    assert done.code == 1
    assert part in done.err
    assert len(done.err.splitlines()) == 1


def test_promote_says_what_the_gate_would_have_said(swept: Workbench) -> None:
    promoted = swept.promote(MODEL, "3")
    assert promoted.code == 0, promoted.err
    auto, evidence = promoted.out.splitlines()[1:]
    assert auto.startswith("By promote=auto it would not be champion: it is better inside the training part: version 3")
    assert evidence.startswith("By promote=evidence it would not be champion: P(better) is below 0.95: version 3 has")
    back = swept.promote(MODEL, "2")
    assert "By promote=evidence it would be champion: P(better) is at least 0.95" in back.out
