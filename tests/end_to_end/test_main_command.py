"""`python -m sweeps.run -m model=svm,logistic`, and all that it leaves: MLflow, the registry, files, the study."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import urllib.request
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest
from mlflow.entities import Run
from mlflow.models import Model
from omegaconf import OmegaConf
from optuna.trial import FrozenTrial

import sweeps
from sweeps.compose.root_config import RootConfig

from .conftest import Finished, Workbench, scores, text_csv, write_texts, write_yaml
from .nursery import user_environment, wait_until

N_TRIALS = 10
PASSWORD = "s3cr3t-w0rd"
METRICS = {f"{part}_{name}" for part in ("train", "val", "test") for name in ("accuracy", "precision", "recall", "f1")}
METRICS |= {f"val_{name}_stderr" for name in ("accuracy", "precision", "recall", "f1")}
METRICS |= {"overfitting", "val_overfitting"}
SECONDS = {f"seconds_{phase}" for phase in ("load", "vectorize", "fit", "score", "tracking")}
COMMON_PARAMS = {"model_type", "vectorizer_type", "dataset", "C", "class_weight"}
VECTORIZER_PARAMS = {"ngram_range", "min_df", "max_features", "sublinear_tf"}


class Swept:
    """One finished sweep and what it left."""

    def __init__(self, bench: Workbench, finished: Finished) -> None:
        self.bench = bench
        self.finished = finished
        (self.parent,) = bench.runs("sweep")
        self.children = sorted(bench.runs("trial"), key=lambda run: int(run.data.tags["sweeps.trial.number"]))
        self.folder = bench.study()
        self.study = optuna.load_study(study_name=None, storage=f"sqlite:///{self.folder / 'study.db'}")
        self.trials = self.study.get_trials()
        self.best_child = max(self.children, key=lambda run: run.data.metrics["val_f1"])

    def pairs(self) -> list[tuple[Run, FrozenTrial]]:
        return list(zip(self.children, self.trials, strict=True))


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory, texts: Path) -> Swept:
    """The main command as a user types it: a process of its own, no MLFLOW_TRACKING_URI."""
    bench = Workbench(tmp_path_factory.mktemp("swept"))
    finished = bench.command("sweeps.run", "-m", *text_csv(texts), "model=svm,logistic", f"n_trials={N_TRIALS}")
    assert finished.code == 0, finished.err
    return Swept(bench, finished)


@pytest.fixture(scope="module")
def artifact(swept: Swept) -> Path:
    """The folder of the registered model's files."""
    (folder,) = swept.bench.folder.glob("mlruns/*/models/*/artifacts")
    return folder


def test_the_screen_is_free_of_warnings_and_errors(swept: Swept) -> None:
    assert swept.finished.err == ""


def test_the_screen_shows_each_trial_the_best_of_each_model_the_decision_and_where_to_look(swept: Swept) -> None:
    lines = swept.finished.out.splitlines()
    assert {line.split(":")[0] for line in lines if line.startswith("trial ")} == {f"trial {n}" for n in range(10)}
    header = next(number for number, line in enumerate(lines) if line.startswith("model "))
    assert {line.split()[0] for line in lines[header + 1 : header + 3]} == {"svm", "logistic"}
    assert any("champion is version 1, the first" in line for line in lines)
    assert any(line.startswith("View:") and line.endswith("sqlite:///mlflow.db") for line in lines)
    assert any(line.startswith("Trials:") and line.endswith("trials.csv") for line in lines)


def test_the_experiment_has_the_datasets_name(swept: Swept) -> None:
    (run,) = {run.info.experiment_id for run in swept.bench.runs()}
    assert swept.bench.client.get_experiment(run).name == "comments"


def test_the_store_holds_the_parent_and_its_children_and_nothing_else(swept: Swept) -> None:
    assert len(swept.bench.runs()) == 1 + N_TRIALS
    assert len(swept.children) == N_TRIALS
    assert {run.data.tags["mlflow.parentRunId"] for run in swept.children} == {swept.parent.info.run_id}


def test_no_run_is_left_running(swept: Swept) -> None:
    assert {run.info.status for run in swept.bench.runs()} == {"FINISHED"}
    assert all(run.info.end_time >= run.info.start_time for run in swept.bench.runs())


def test_the_parent_is_named_after_the_study(swept: Swept) -> None:
    assert swept.parent.info.run_name == swept.study.study_name == swept.folder.name


def test_the_parent_is_tagged_with_what_made_it(swept: Swept, texts: Path) -> None:
    tags = swept.parent.data.tags
    assert tags["sweeps.kind"] == "sweep"
    assert tags["sweeps.study"] == swept.study.study_name
    assert tags["sweeps.command"] == (
        f"python -m sweeps.run -m {' '.join(text_csv(texts))} model=svm,logistic n_trials={N_TRIALS}"
    )
    assert len(tags["sweeps.dataset.fingerprint"]) == 64


def test_the_parent_shows_the_best_trials_metrics_as_metrics_and_its_params_as_tags(swept: Swept) -> None:
    best = swept.best_child
    assert scores(swept.parent) == scores(best)
    assert swept.parent.data.metrics["fit_seconds"] == best.data.metrics["fit_seconds"] > 0
    assert swept.parent.data.params == {}
    prefix = "sweeps.best."
    tags = {k.removeprefix(prefix): v for k, v in swept.parent.data.tags.items() if k.startswith(prefix)}
    assert tags.pop("trial") == best.data.tags["sweeps.trial.number"]
    assert tags == best.data.params


def test_one_child_is_the_best_and_it_has_the_highest_val_f1(swept: Swept) -> None:
    (tagged,) = [run for run in swept.children if "sweeps.best" in run.data.tags]
    assert tagged.data.tags["sweeps.best"] == "true"
    assert tagged.info.run_id == swept.best_child.info.run_id


def test_a_child_has_number_state_and_times_of_its_trial(swept: Swept) -> None:
    assert [run.data.tags["sweeps.trial.number"] for run in swept.children] == [str(n) for n in range(N_TRIALS)]
    for run, trial in swept.pairs():
        assert run.data.tags["sweeps.trial.state"] == trial.state.name == "COMPLETE"
        assert (run.info.start_time, run.info.end_time) == (
            _milliseconds(trial.datetime_start),
            _milliseconds(trial.datetime_complete),
        )


def test_a_child_has_every_metric_and_the_studys_value(swept: Swept) -> None:
    for run, trial in swept.pairs():
        assert set(scores(run)) == METRICS
        assert run.data.metrics["val_f1"] == trial.value
        gap = run.data.metrics["train_f1"] - run.data.metrics["test_f1"]
        assert run.data.metrics["overfitting"] == pytest.approx(gap)


def test_a_child_has_every_active_hyperparameter_and_no_other(swept: Swept) -> None:
    expected = {
        "logistic": {"max_iter"},
        "linear": {"kernel"},
        "rbf": {"kernel", "gamma"},
    }
    seen = set()
    for run in swept.children:
        params = run.data.params
        kind = params.get("kernel", params["model_type"])
        seen.add(kind)
        assert set(params) == COMMON_PARAMS | VECTORIZER_PARAMS | expected[kind], params
        assert (params["vectorizer_type"], params["dataset"]) == ("tfidf", "comments")
    assert seen == set(expected), "the sweep is too short to show every branch"


def test_the_first_trials_are_the_defaults_in_the_order_typed(swept: Swept) -> None:
    first, second = (run.data.params for run in swept.children[:2])
    assert (first["model_type"], first["C"], first["kernel"]) == ("svm", "1.0", "linear")
    assert (second["model_type"], second["C"], second["class_weight"]) == ("logistic", "1.0", "balanced")
    assert first["ngram_range"] == second["ngram_range"] == "[1, 1]"


def test_what_optuna_drew_is_what_the_child_shows(swept: Swept) -> None:
    for run, trial in swept.pairs():
        model = run.data.params["model_type"]
        drawn = {name.rpartition(".")[2]: value for name, value in trial.params.items() if "/" in name}
        assert drawn["C"] == float(run.data.params["C"])
        assert trial.params["model"] == model
        assert all(name.startswith((f"model/{model}.", "vectorizer/tfidf.")) for name in trial.params if "/" in name)


def test_the_parents_files_are_in_mlflow(swept: Swept) -> None:
    names = {file.path for file in swept.bench.client.list_artifacts(swept.parent.info.run_id)}
    assert names == {"multirun.yaml", "trials.csv", "sweep_result.yaml"}


def test_the_winner_is_one_version_with_both_aliases(swept: Swept) -> None:
    assert [model.name for model in swept.bench.client.search_registered_models()] == ["comments"]
    assert swept.bench.aliases("comments") == {"champion": 1, "challenger": 1}
    (version,) = swept.bench.client.search_model_versions("name = 'comments'")
    assert version.run_id == swept.best_child.info.run_id


def test_the_version_tells_its_scores_its_origin_and_the_decision(swept: Swept) -> None:
    tags = swept.bench.client.get_model_version("comments", "1").tags
    best = swept.best_child.data
    assert tags["sweeps.study"] == swept.study.study_name
    assert tags["sweeps.trial.number"] == best.tags["sweeps.trial.number"]
    assert float(tags["sweeps.val_f1"]) == best.metrics["val_f1"]
    assert tags["sweeps.metric"] == "test_f1"
    assert float(tags["sweeps.score"]) == float(tags["sweeps.test_f1"])
    assert tags["sweeps.dataset.fingerprint"] == swept.parent.data.tags["sweeps.dataset.fingerprint"]
    assert tags["sweeps.model"] == best.params["model_type"]
    assert tags["sweeps.promotion"] == "promoted"
    assert "champion is version 1, the first" in tags["sweeps.promotion.reason"]


def test_the_model_has_signature_input_example_and_pinned_requirements(artifact: Path) -> None:
    model = Model.load(str(artifact))
    assert model.signature is not None
    assert model.signature.inputs.input_names() == ["text"]
    assert model.signature.outputs.input_names() == ["prediction", "confidence"]
    assert json.loads((artifact / "input_example.json").read_text())["columns"] == ["text"]
    requirements = (artifact / "requirements.txt").read_text().split()
    assert {"mlflow", "scikit-learn", "skops"} <= {line.partition("==")[0] for line in requirements}
    assert all("==" in line for line in requirements)


def test_the_model_holds_no_pickle_and_no_code(artifact: Path) -> None:
    files = [path for path in artifact.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} <= {"", ".json", ".yaml", ".txt", ".skops"}
    assert not [path for path in files if path.read_bytes()[:1] == b"\x80"], "pickles begin so"
    assert Model.load(str(artifact)).flavors["python_function"].get("code") is None


def test_the_input_example_holds_no_text_of_the_data(artifact: Path, texts: Path) -> None:
    example = json.loads((artifact / "input_example.json").read_text())
    data = set(pd.read_csv(texts)["text"])
    assert data.isdisjoint(row[0] for row in example["data"])


def test_trials_csv_has_one_row_per_trial(swept: Swept) -> None:
    with (swept.folder / "trials.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["number"] for row in rows] == [str(n) for n in range(N_TRIALS)]
    for row, (run, trial) in zip(rows, swept.pairs(), strict=True):
        assert (row["state"], float(row["value"])) == ("COMPLETE", trial.value)
        assert (row["model"], row["vectorizer"]) == (run.data.params["model_type"], "tfidf")
        shown = {
            name: row[name] for name in run.data.params if name not in {"model_type", "vectorizer_type", "dataset"}
        }
        assert {name: value or "None" for name, value in shown.items()} == {
            name: run.data.params[name] for name in shown
        }
        assert {name: float(row[name]) for name in METRICS} == scores(run)
        assert {name for name in run.data.metrics if name.startswith("seconds_")} == SECONDS
        assert not (run.data.params["model_type"] == "logistic" and (row["kernel"] or row["gamma"]))


def test_sweep_result_tells_the_end_of_the_sweep(swept: Swept) -> None:
    result: Any = OmegaConf.to_container(OmegaConf.load(swept.folder / "sweep_result.yaml"))
    assert (result["study_name"], result["outcome"], result["n_trials"]) == (swept.folder.name, "COMPLETED", N_TRIALS)
    assert result["best"]["trial"] == swept.study.best_trial.number
    assert result["best"]["value"] == swept.study.best_value
    kept = {**scores(swept.best_child), "fit_seconds": swept.best_child.data.metrics["fit_seconds"]}
    assert result["best"]["metrics"] == kept


def test_the_study_keeps_its_composed_config(swept: Swept, texts: Path) -> None:
    config = OmegaConf.load(swept.folder / "multirun.yaml")
    assert config.n_trials == N_TRIALS
    assert config.dataset.path == str(texts)


def test_each_trials_folder_holds_its_config_and_overrides(swept: Swept) -> None:
    for number, run in enumerate(swept.children):
        stored = swept.folder / str(number) / ".hydra"
        config = OmegaConf.load(stored / "config.yaml")
        assert str(config.model.C) == run.data.params["C"]
        overrides: Any = OmegaConf.to_container(OmegaConf.load(stored / "overrides.yaml"))
        assert f"model={run.data.params['model_type']}" in overrides
        assert f"model.C={run.data.params['C']}" in overrides


def test_a_trials_overrides_typed_as_one_run_give_the_same_metrics(swept: Swept) -> None:
    best = swept.best_child
    stored = swept.folder / best.data.tags["sweeps.trial.number"] / ".hydra"
    overrides = OmegaConf.to_object(OmegaConf.load(stored / "overrides.yaml"))
    assert isinstance(overrides, list)
    bench = Workbench(swept.bench.folder.parent)
    finished = bench.run(*overrides)
    assert finished.code == 0, finished.err
    (run,) = bench.runs()
    assert scores(run) == scores(best)
    assert run.data.params == best.data.params


@pytest.mark.slow
def test_rerun_of_a_trials_folder_gives_the_same_metrics(
    swept: Swept, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = Workbench(tmp_path_factory.mktemp("rerun"))
    folders = [str(swept.folder / str(number)) for number in (0, N_TRIALS - 1)]
    for finished in (elsewhere.rerun(folders[0]), elsewhere.command("sweeps.rerun", folders[1])):
        assert finished.code == 0, finished.err
    first, last = elsewhere.runs("run")
    assert scores(first) == scores(swept.children[0])
    assert scores(last) == scores(swept.children[-1])
    assert last.data.params == swept.children[-1].data.params
    assert last.data.tags["sweeps.command"] == f"python -m sweeps.rerun {folders[1]}"


def test_rerun_of_another_folder_names_the_missing_file(empty_bench: Workbench) -> None:
    finished = empty_bench.rerun(str(empty_bench.folder))
    assert finished.code == 1
    assert "config.yaml is missing" in finished.err
    assert not (empty_bench.folder / "mlflow.db").exists()


@pytest.mark.slow
def test_the_same_seed_gives_the_same_trials_and_values_and_another_does_not(
    swept: Swept, bench: Workbench, texts: Path
) -> None:
    arguments = [*text_csv(texts), "model=svm,logistic", "promote=never"]
    bench.sweep(*arguments, f"n_trials={N_TRIALS}", "study_name=same", "seed=42")
    bench.sweep(*arguments, "n_trials=4", "study_name=other", "seed=7")
    found = {}
    for name in ("same", "other"):
        study = optuna.load_study(study_name=name, storage=f"sqlite:///{bench.folder}/multirun/{name}/study.db")
        found[name] = [(trial.params, trial.value) for trial in study.get_trials()]
    first = [(trial.params, trial.value) for trial in swept.trials]
    assert found["same"] == first
    assert found["other"][2:] != first[2:4]


def test_help_explains_every_key(empty_bench: Workbench) -> None:
    finished = empty_bench.run("--help")
    assert finished.code == 0
    explained = finished.out.partition("== Keys ==")[2].partition("== The config as composed ==")[0]
    for key in RootConfig.__dataclass_fields__.keys() - {"model", "vectorizer", "dataset", "sampler", "pruner"}:
        assert f"\n{key}:" in explained
    assert "# seconds after which no new trial starts" in explained
    assert "${oc.env:SWEEPS_STORAGE,null}" in explained


def test_dry_run_prints_the_space_and_writes_nothing(empty_bench: Workbench, texts: Path) -> None:
    finished = empty_bench.sweep(*text_csv(texts), "model=svm,logistic", "dry_run=true")
    rows = {line.split("  ")[0]: line for line in finished.out.splitlines()}
    assert "one of svm, logistic" in rows["model"]
    assert "float 0.01 to 100 log" in rows["model/svm.C"]
    assert "scale" in rows["model/svm.gamma"]
    assert "kernel is rbf" in rows["model/svm.gamma"]
    assert rows["model/svm.gamma"].endswith("svm.yaml")
    assert "model/logistic.C" in rows
    assert list(empty_bench.folder.iterdir()) == []


def test_dry_run_without_m_prints_the_space_and_writes_nothing_but_hydras_own_folder(
    empty_bench: Workbench, texts: Path
) -> None:
    finished = empty_bench.run(*text_csv(texts), "model=svm", "dry_run=true")
    assert finished.code == 0, finished.err
    assert "model/svm.gamma" in finished.out
    assert not (empty_bench.folder / "mlflow.db").exists()


def test_two_datasets_are_two_studies_named_after_them(bench: Workbench, texts: Path, tmp_path: Path) -> None:
    conf = tmp_path / "conf"
    (conf / "dataset").mkdir(parents=True)
    shipped = Path(sweeps_conf("dataset/text_csv.yaml")).read_text(encoding="utf-8")
    for name, file in (("first", texts), ("second", write_texts(tmp_path / "second.csv", seed=5))):
        text = shipped.replace("path: null", f"path: {file}").replace(
            "name: ${file_stem:${.path},text_csv}", f"name: {name}"
        )
        (conf / "dataset" / f"{name}.yaml").write_text(text, encoding="utf-8")
    finished = bench.sweep(
        "--config-dir", str(conf), "dataset=first,second", "model=logistic", "n_trials=2", "study_name=both"
    )
    assert [path.name for path in bench.studies()] == ["both-first", "both-second"]
    parents = bench.runs("sweep")
    assert [run.info.run_name for run in parents] == ["both-first", "both-second"]
    assert len({run.data.tags["sweeps.dataset.fingerprint"] for run in parents}) == 2
    assert [model.name for model in bench.client.search_registered_models()] == ["first", "second"]
    for parent, name in zip(parents, ("first", "second"), strict=True):
        children = [r for r in bench.runs("trial") if r.data.tags["mlflow.parentRunId"] == parent.info.run_id]
        assert [run.data.params["dataset"] for run in children] == [name, name]
    assert finished.out.count("champion is version 1") == 2


def test_without_m_it_is_one_run_of_the_composed_config(bench: Workbench, texts: Path) -> None:
    finished = bench.run(*text_csv(texts), "model=svm", "model.C=0.5")
    assert finished.code == 0, finished.err
    (run,) = bench.runs()
    assert (run.data.tags["sweeps.kind"], run.info.status) == ("run", "FINISHED")
    assert set(scores(run)) == METRICS
    assert run.data.params["C"] == "0.5"
    assert "gamma" not in run.data.params
    assert bench.client.search_registered_models() == []
    assert bench.studies() == []


@pytest.mark.slow
def test_the_hate_speech_experiment_sweeps_svm_and_logistic_over_words_and_characters(
    bench: Workbench, tmp_path: Path
) -> None:
    file = tmp_path / "toxicity.csv"
    frame = pd.read_csv(write_texts(tmp_path / "made_up.csv"))
    frame["is_toxic"] = frame.pop("label").map({"hate": "Toxic", "fair": "Not Toxic"})
    frame.to_csv(file, index=False)
    bench.sweep("experiment=hate_speech", f"dataset.path={file}", "n_trials=6", "sampler=random")
    (parent,) = bench.runs("sweep")
    assert bench.client.get_experiment(parent.info.experiment_id).name == "hate_speech_detection"
    children = bench.runs("trial")
    assert {run.data.params["model_type"] for run in children} == {"svm", "logistic"}
    assert {run.data.params["vectorizer_type"] for run in children} == {"tfidf", "char"}
    for run in children:
        assert (run.data.params.get("analyzer") == "char_wb") == (run.data.params["vectorizer_type"] == "char")
    assert bench.aliases("hate_speech")["champion"] == 1


def test_a_kernel_typed_as_choice_reaches_only_the_svm(bench: Workbench, texts: Path) -> None:
    bench.sweep(*text_csv(texts), "model=svm,logistic", "model.kernel=choice(rbf,linear)", "n_trials=6", "seed=3")
    for run in bench.runs("trial"):
        params = run.data.params
        assert ("kernel" in params) == (params["model_type"] == "svm")
        assert ("gamma" in params) == (params.get("kernel") == "rbf")


def test_the_parent_is_tagged_with_the_commit_of_the_folder(bench: Workbench, texts: Path) -> None:
    identity = ["-c", "user.name=A User", "-c", "user.email=user@example.org"]
    for command in (["init", "-q"], [*identity, "commit", "-q", "--allow-empty", "-m", "First"]):
        subprocess.run(["git", *command], cwd=bench.folder, check=True)
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=bench.folder, check=True, capture_output=True, text=True
    ).stdout.strip()
    bench.sweep(*text_csv(texts), "model=logistic", "n_trials=1", "promote=never")
    (parent,) = bench.runs("sweep")
    assert parent.data.tags["git.commit"] == head


def test_outside_a_git_repository_there_is_no_commit_tag(swept: Swept) -> None:
    assert "git.commit" not in swept.parent.data.tags


def test_a_model_of_one_yaml_file_outside_the_project_is_swept_and_promoted(
    bench: Workbench, texts: Path, tmp_path: Path
) -> None:
    conf = tmp_path / "my_conf"
    write_yaml(
        conf / "model" / "my_sgd.yaml",
        """
        _target_: sklearn.linear_model.SGDClassifier
        loss: hinge
        penalty: l2
        l1_ratio: 0.15
        alpha: 0.001
        search_space:
          alpha:    {type: float, low: 1.0e-5, high: 1.0e-1, log: true}
          penalty:  {type: categorical, choices: [l2, elasticnet]}
          l1_ratio: {type: float, low: 0.05, high: 0.95, when: {penalty: elasticnet}}
        """,
    )
    write_yaml(
        conf / "vectorizer" / "my_words.yaml",
        """
        _target_: sklearn.feature_extraction.text.TfidfVectorizer
        ngram_range: [1, 1]
        token_pattern: (?u)\\b\\w+\\b
        search_space:
          ngram_range: {type: categorical, choices: ["[1,1]", "[1,2]", "[2,2]"]}
        """,
    )
    bench.sweep(
        "--config-dir", str(conf), *text_csv(texts), "model=my_sgd", "vectorizer=my_words", "n_trials=8", "seed=1"
    )
    children = bench.runs("trial")
    assert {run.info.status for run in children} == {"FINISHED"}
    params = [run.data.params for run in children]
    assert {"l2", "elasticnet"} == {p["penalty"] for p in params}
    assert all(("l1_ratio" in p) == (p["penalty"] == "elasticnet") for p in params)
    assert len({p["ngram_range"] for p in params}) > 1
    assert {p["model_type"] for p in params} == {"my_sgd"}
    assert {p["token_pattern"] for p in params} == {r"(?u)\b\w+\b"}
    assert bench.aliases("comments")["champion"] == 1


def test_a_password_on_the_command_line_is_kept_nowhere(
    bench: Workbench, texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "database_of_texts.py").write_text(
        "from sweeps.tasks.text.csv import load_text_csv\n\n"
        "def load(url, file):\n"
        "    return load_text_csv(file, 'text', 'label')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    write_yaml(
        tmp_path / "conf" / "dataset" / "warehouse.yaml",
        f"""
        name: warehouse
        task: sweeps.tasks.text.task.TextClassification
        _target_: database_of_texts.load
        url: null
        file: {texts}
        n_folds: 3
        """,
    )
    finished = bench.sweep(
        *("--config-dir", str(tmp_path / "conf"), "dataset=warehouse", "model=logistic", "n_trials=2"),
        f"dataset.url=postgresql://reader:{PASSWORD}@db.example/texts",
    )
    (parent,) = bench.runs("sweep")
    assert "reader:***@db.example" in parent.data.tags["sweeps.command"]
    assert places_of(PASSWORD, finished, bench.folder) == []


@pytest.mark.slow
def test_a_password_in_the_tracking_uri_is_kept_nowhere(bench: Workbench, texts: Path, unused_port: int) -> None:
    address = f"127.0.0.1:{unused_port}"
    server = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", bench.uri, "--port", str(unused_port)],
        cwd=bench.folder,
        env=user_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_until(lambda: answers(f"http://{address}/health"))
        uri = f"http://reader:{PASSWORD}@{address}"
        finished = bench.command(
            "sweeps.run", "-m", *text_csv(texts), "n_trials=2", environ={"MLFLOW_TRACKING_URI": uri}
        )
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()
    assert finished.code == 0, finished.err
    assert f"http://reader:***@{address}" in finished.out
    assert len(bench.runs("trial")) == 2
    assert places_of(PASSWORD, finished, bench.folder) == []


def test_several_classes_are_swept_with_macro_scores(bench: Workbench, tmp_path: Path) -> None:
    file = write_texts(tmp_path / "three.csv", labels=("fair", "hate", "other"))
    bench.sweep("dataset=text_csv", f"dataset.path={file}", "model=linear_svm,naive_bayes", "n_trials=3")
    assert {run.info.status for run in bench.runs()} == {"FINISHED"}
    assert {run.data.params["model_type"] for run in bench.runs("trial")} == {"linear_svm", "naive_bayes"}
    output = bench.folder / "out.csv"
    finished = bench.predict("models:/three@champion", str(file), "-o", str(output))
    assert finished.code == 0, finished.err
    assert set(pd.read_csv(output)["prediction"]) == {"fair", "hate", "other"}


def places_of(secret: str, finished: Finished, folder: Path) -> list[str]:
    """Where a secret stands: on the screen, or in any file, databases included."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    found = [str(path.relative_to(folder)) for path in files if secret.encode() in path.read_bytes()]
    return found + [name for name in ("out", "err") if secret in getattr(finished, name)]


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return int(response.status) == 200
    except OSError:
        return False


def sweeps_conf(name: str) -> str:
    return str(Path(sweeps.__file__).parent / "conf" / name)


def _milliseconds(moment: datetime | None) -> int:
    assert moment is not None
    return int(moment.timestamp() * 1000)
