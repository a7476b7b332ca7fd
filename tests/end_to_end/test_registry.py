"""The gate: which winner becomes champion, on the same held-out part and on another, by itself and by hand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from sklearn.metrics import f1_score
from sklearn.model_selection import train_test_split

from .conftest import Finished, Workbench, text_csv, write_texts

NAME = "judge"
WEAK = "vectorizer.max_features=2"
MIDDLING = "vectorizer.max_features=8"


@dataclass(frozen=True)
class Step:
    """One sweep, its version as it was right after it, and where the aliases pointed then."""

    finished: Finished
    version: ModelVersion
    champion: int
    challenger: int

    @property
    def score(self) -> float:
        return float(self.version.tags["sweeps.score"])


@dataclass(frozen=True)
class History:
    """Sweeps one after another into one registered model."""

    bench: Workbench
    data: Path
    steps: dict[str, Step]


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> History:
    folder = tmp_path_factory.mktemp("registry")
    bench = Workbench(folder)
    (folder / "mlflow.db").write_bytes(empty_store.read_bytes())
    data = write_texts(folder / "texts.csv", rows=120, seed=3)
    other_data = write_texts(folder / "others.csv", rows=120, seed=4)
    plan: list[tuple[str, Path, list[str]]] = [
        ("first", data, [MIDDLING]),
        ("worse", data, [WEAK]),
        ("equal", data, [MIDDLING]),
        ("better", data, []),
        ("never", data, ["promote=never"]),
        ("other split", data, ["dataset.split_seed=7"]),
        ("other data", other_data, []),
    ]
    steps = {}
    for number, (step, file, arguments) in enumerate(plan, start=1):
        finished = bench.sweep(
            *text_csv(file), "model=logistic", "n_trials=1", f"registered_model_name={NAME}", *arguments
        )
        version = bench.client.get_model_version(NAME, str(number))
        steps[step] = Step(finished, version, **bench.aliases(NAME))
    return History(bench, data, steps)


def test_the_sweeps_are_as_good_as_this_file_takes_them_to_be(history: History) -> None:
    scores = {name: step.score for name, step in history.steps.items()}
    assert scores["worse"] < scores["first"] == scores["equal"] < scores["better"] == scores["never"] < 1


def test_the_first_winner_becomes_champion(history: History) -> None:
    step = history.steps["first"]
    assert step.champion == 1
    assert step.version.tags["sweeps.promotion"] == "promoted"


def test_a_worse_winner_leaves_the_champion(history: History) -> None:
    step = history.steps["worse"]
    assert step.champion == 1
    assert step.version.tags["sweeps.promotion"] == "kept"
    assert "champion stays version 1: it is better inside the training part" in step.finished.out


def test_an_equal_winner_leaves_the_champion(history: History) -> None:
    step = history.steps["equal"]
    assert step.champion == 1
    assert step.version.tags["sweeps.promotion"] == "kept"
    assert "a tie keeps it" in step.finished.out


def test_a_better_winner_becomes_champion(history: History) -> None:
    step = history.steps["better"]
    assert step.champion == 4
    assert step.version.tags["sweeps.promotion"] == "promoted"
    assert step.version.tags["sweeps.incumbent.version"] == "1"
    assert float(step.version.tags["sweeps.incumbent.score"]) == history.steps["first"].score


def test_promote_never_leaves_the_champion_and_says_how_to_move_it(history: History) -> None:
    step = history.steps["never"]
    assert step.champion == 4
    assert f"python -m sweeps.promote {NAME} 5" in step.finished.out


@pytest.mark.parametrize("name", ["other split", "other data"])
def test_a_score_on_another_test_part_does_not_compare(history: History, name: str) -> None:
    step = history.steps[name]
    assert step.champion == 4
    assert step.version.tags["sweeps.promotion"] == "kept"
    assert "scores are not comparable" in step.finished.out
    assert f"python -m sweeps.promote {NAME} {step.version.version}" in step.finished.out
    assert step.version.tags["sweeps.evaluation_id"] != history.steps["better"].version.tags["sweeps.evaluation_id"]


def test_the_line_to_predict_names_the_champion_or_the_version_itself(history: History) -> None:
    for name, step in history.steps.items():
        promoted = step.version.tags["sweeps.promotion"] == "promoted"
        own = f"models:/{NAME}@champion" if promoted else f"models:/{NAME}/{step.version.version}"
        lines = [line for line in step.finished.out.splitlines() if line.startswith("Predict:")]
        assert [own in line for line in lines] == [True], name


def test_a_resume_that_has_nothing_left_to_do_names_the_version_too(history: History) -> None:
    step = history.steps["never"]
    arguments = ["model=logistic", "n_trials=1", f"registered_model_name={NAME}", "promote=never"]
    study = step.version.tags["sweeps.study"]
    resumed = history.bench.sweep(*text_csv(history.data), *arguments, f"study_name={study}")
    assert f"models:/{NAME}/5 " in resumed.out


def test_every_new_winner_is_the_challenger(history: History) -> None:
    assert [step.challenger for step in history.steps.values()] == [1, 2, 3, 4, 5, 6, 7]


def test_the_printed_decision_is_the_stored_one_with_both_scores(history: History) -> None:
    first = history.steps["first"].score
    for name in ("worse", "equal", "better"):
        step = history.steps[name]
        reason = step.version.tags["sweeps.promotion.reason"]
        assert reason in step.finished.out
        assert f"{step.score:.6g}" in reason
        assert f"{first:.6g}" in reason


def test_the_sweeps_seed_does_not_change_the_test_part(history: History) -> None:
    ids = {history.steps[name].version.tags["sweeps.evaluation_id"] for name in ("first", "worse", "equal", "better")}
    assert len(ids) == 1


def test_the_champions_score_is_that_of_the_stored_model_on_the_held_out_part(history: History) -> None:
    frame = pd.read_csv(history.data)
    _, test = train_test_split(np.arange(len(frame)), test_size=0.2, stratify=frame["label"], random_state=42)
    held_out = frame.iloc[test]
    source, target = history.bench.folder / "held_out.csv", history.bench.folder / "predicted.csv"
    held_out.to_csv(source, index=False)
    for name in ("worse", "better"):
        version = history.steps[name].version
        finished = history.bench.predict(f"models:/{NAME}/{version.version}", str(source), "-o", str(target))
        assert finished.code == 0, finished.err
        predicted = pd.read_csv(target)["prediction"]
        assert f1_score(held_out["label"], predicted, pos_label="hate") == pytest.approx(history.steps[name].score)


def test_a_version_belongs_to_the_run_of_its_trial(history: History) -> None:
    for step in history.steps.values():
        assert step.version.run_id is not None
        run = history.bench.client.get_run(step.version.run_id)
        assert run.data.tags["sweeps.best"] == "true"
        assert run.data.tags["sweeps.trial.number"] == step.version.tags["sweeps.trial.number"]


def test_promote_moves_the_champion_by_hand(history: History) -> None:
    finished = history.bench.promote(NAME, "6")
    try:
        assert finished.code == 0, finished.err
        assert "champion of judge is now version 6 (it was version 4)" in finished.out
        assert history.bench.aliases(NAME) == {"champion": 6, "challenger": 7}
        tags = history.bench.client.get_model_version(NAME, "6").tags
        assert tags["sweeps.promotion"] == "promoted by hand"
    finally:
        history.bench.promote(NAME, "4")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nobody", "1"], "no registered model 'nobody'"),
        ([NAME, "99"], "it has: 1, 2, 3, 4, 5, 6, 7"),
        ([NAME, "latest"], "has no version 'latest'"),
    ],
)
def test_promote_of_something_unknown_lists_what_there_is(history: History, arguments: list[str], message: str) -> None:
    finished = history.bench.promote(*arguments)
    assert finished.code == 1
    assert message in finished.err
    assert "Traceback" not in finished.err
    assert history.bench.aliases(NAME)["champion"] == 4


def test_promote_without_a_store_makes_none(empty_bench: Workbench) -> None:
    finished = empty_bench.promote(NAME, "1")
    assert finished.code == 1
    assert "There is no MLflow store" in finished.err
    assert list(empty_bench.folder.iterdir()) == []


def test_a_failed_registration_keeps_the_sweep_and_ends_with_an_error(
    bench: Workbench, texts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise MlflowException("the registry is full")

    monkeypatch.setattr(MlflowClient, "create_model_version", refuse)
    finished = bench.run("-m", *text_csv(texts), "model=logistic", "n_trials=2")
    assert finished.code == 1
    assert "could not be registered as comments" in finished.err
    assert "the registry is full" in finished.err
    assert "Traceback" not in finished.err
    assert {run.info.status for run in bench.runs()} == {"FINISHED"}
    assert len(bench.runs("trial")) == 2
    assert "trials.csv" in finished.out
    assert {"trials.csv", "sweep_result.yaml", "study.db"} <= {path.name for path in bench.study().iterdir()}


def test_a_failed_promotion_leaves_the_version_and_the_old_champion(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = MlflowClient.set_registered_model_alias

    def refuse_champion(self: MlflowClient, name: str, alias: str, version: str) -> None:
        if alias == "champion":
            raise MlflowException("no permission for this alias")
        real(self, name, alias, version)

    monkeypatch.setattr(MlflowClient, "set_registered_model_alias", refuse_champion)
    arguments = [*text_csv(history.data), "model=logistic", "n_trials=1", "registered_model_name=locked"]
    finished = history.bench.run("-m", *arguments)
    assert finished.code == 1
    assert "no permission for this alias" in finished.err
    assert "Traceback" not in finished.err
    assert history.bench.aliases("locked") == {"challenger": 1}
    assert history.bench.client.get_model_version("locked", "1").tags.get("sweeps.promotion") != "promoted"
