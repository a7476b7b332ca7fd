"""What users get wrong, and what goes wrong in a trial: one message, a truthful end, nothing left half-written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import optuna
import pytest

from .conftest import Finished, Workbench, text_csv, write_texts, write_yaml
from .nursery import user_environment, wait_until

HEADER = "text,label\n"
ROWS = "".join(f"a {word} day,{label}\n" for word, label in [("good", "fair"), ("bad", "hate")] * 20)


def assert_one_message(finished: Finished, *parts: str) -> None:
    assert finished.code == 1, (finished.out, finished.err)
    missing = [part for part in parts if part not in finished.err]
    assert missing == [], finished.err
    assert "Traceback" not in finished.err
    assert len(finished.err.splitlines()) <= 15, finished.err


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["model=nothing"], ["model/nothing", "logistic", "naive_bayes"]),
        (["model=svm,nothing"], ["nothing", "logistic"]),
        (["vectorizer=nothing"], ["vectorizer/nothing", "tfidf"]),
        (["sampler=nothing"], ["sampler/nothing", "tpe"]),
        (["experiment=nothing"], ["experiment/nothing", "hate_speech"]),
        (["nothing=svm"], ["nothing"]),
        (["n_trial=3"], ["n_trial"]),
        (["model=logistic", "model.kernel=choice(rbf,linear)"], ["kernel", "model=logistic", "C"]),
        (["model=svm", "model.nothing=choice(1,2)"], ["nothing", "model=svm", "kernel"]),
        (["n_trials=abc"], ["n_trials", "abc"]),
        (["n_trials=-1"], ["n_trials must be", "-1", "n_trials=20"]),
        (["n_trials=0"], ["n_trials must be", "it is 0", "n_trials=20"]),
        (["n_trials=1.5"], ["n_trials", "1.5"]),
        (["timeout=-5"], ["timeout must be", "-5", "timeout=600"]),
        (["seed=-1"], ["seed must be", "-1"]),
        (["n_jobs=-1"], ["n_jobs must be", "-1", "one per core"]),
        (["promote=often"], ["promote", "often", "never"]),
        (["max_failure_rate=2"], ["max_failure_rate must be", "2"]),
        (["metric=test_f1"], ["metric=test_f1", "cannot be optimised", "val_f1"]),
        (["metric=val_rmse"], ["metric=val_rmse", "val_f1"]),
        (["study_name=a/b"], ["study_name", "a/b"]),
        (["study_name=.."], ["study_name", ".."]),
        (["registered_model_name=a/b"], ["registered_model_name", "a/b"]),
        (["experiment_name=''"], ["experiment_name"]),
        (["seed=1,2"], ["seed", "cannot be swept"]),
        (["dataset.test_size=0.1,0.2"], ["dataset.test_size", "cannot be swept"]),
        (["dataset.test_size=2"], ["dataset.test_size=2", "0.2"]),
        (["dataset.n_folds=1"], ["dataset.n_folds=1", "at least 2"]),
        (["vectorizer=none"], ["vectorizer=none", "vectorizer=tfidf"]),
        (["model.C=tag(log,interval(0,1))"], ["model.C"]),
        (["model.C=interval(2,1)"], ["model.C"]),
        (["n_trails=3"], ["n_trails", "Did you mean n_trials?", "--help lists all keys"]),
        (["n_trials=many"], ["n_trials=many", "Integer"]),
        (["sampler=grid", "model=svm"], ["grid", "model/svm.C"]),
        (["model=svm", "model.C=[1"], ["model.C=[1", "quote"]),
        (["model=svm", "+model.tol=1,2"], ["tol", "default beside it"]),
        (["model=svm", "model.kernel=choice(linear,linear)"], ["linear", "twice"]),
        (["dataset.path=gone.csv"], ["gone.csv"]),
        (["dataset.path=null"], ["dataset.path"]),
        (["dataset.text_column=body"], ["body", "text", "label"]),
        (["dataset.label_column=class"], ["class", "text", "label"]),
        (["dataset.positive_label=nice"], ["nice", "fair", "hate"]),
        (["dataset.encoding=klingon"], ["dataset.encoding=klingon", "utf-8"]),
        (["dataset.separator=';'"], ["text,label"]),
        (["experiment=null"], ["experiment=null", "type ~experiment"]),
        (["model=null"], ["model=null"]),
        (["model=1"], ["model=1", "model=NAME"]),
        (["pruner=nan"], ["pruner=nan", "pruner=NAME"]),
        (["model=[[1]]"], ["model=[[1]]"]),
        (["~dataset=0"], ["~dataset=0"]),
        (["hydra.verbose=nan"], ["cannot compose", "AssertionError"]),
        (["target=" + "9" * 400], ["target must be a finite number, the value at which the sweep stops; it is 999"]),
        (["model=" + "a" * 1000], ["model", "1,000"]),
        (["also_log=${nope}"], ["also_log", "nope"]),
        (["+also_log.params.k=${nope}"], ["also_log.params.k", "nope"]),
        (["hydra.output_subdir=" + "a" * 300], ["hydra.output_subdir", "too long"]),
        (["hydra.job.name=" + "a" * 300], ["hydra.job.name", "too long"]),
        (["hydra.sweep.dir=" + "a" * 300], ["hydra.sweep.dir", "too long"]),
        (["vectorizer.ngram_range=[]"], ["vectorizer", "ngram_range"]),
        (["model.kernel=linear", "model.gamma=interval(0.1,1)"], ["model.gamma=interval(0.1,1)", "never used"]),
        (["model@other=svm,logistic"], ["model@other=svm,logistic", "model=a,b"]),
        (["model=svm.yaml"], ["model=svm.yaml", "type the option without the ending: model=svm"]),
        (["model=[svm,logistic]"], ["without brackets: model=svm,logistic"]),
        (["hydra/sweeper=basic"], ["hydra/sweeper=basic", "leave it out"]),
        (["dataset.path=my file [1].csv"], ["\"dataset.path='my file [1].csv'\""]),
        (["dataset.path=~/x.csv"], ["\"dataset.path='~/x.csv'\""]),
        (["model=logistic", "model.fit_intercept=true,false"], ["fit_intercept", "`fit_intercept: VALUE`"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_bad_argument_is_one_message_and_nothing_is_written(
    bench: Workbench, texts: Path, arguments: list[str], parts: list[str]
) -> None:
    assert_one_message(bench.run("-m", *text_csv(texts), *arguments), *parts)
    assert bench.left() == []
    assert bench.runs() == []


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["dry_run=true", "n_trials=0"], ["n_trials must be", "it is 0"]),
        (["dry_run=true", "metric=val_rmse"], ["metric=val_rmse", "val_f1"]),
        (["dry_run=true", "sampler=grid"], ["grid", "model/svm.C"]),
        (["dry_run=true", "dataset.path=gone.csv"], ["gone.csv"]),
        (["dry_run=true", "model.C=0.01..10"], ["0.01..10"]),
        (["model=logistic", "model.C=x"], ["'x'"]),
        (["model=svm.yaml"], ["model=svm"]),
        (["n_trials=0"], ["n_trials must be"]),
        (["experiment=null"], ["~experiment"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_bad_argument_without_m_is_one_message_and_nothing_is_written(
    bench: Workbench, texts: Path, arguments: list[str], parts: list[str]
) -> None:
    finished = bench.run(*text_csv(texts), *arguments)
    assert_one_message(finished, *parts)
    assert "Error executing job" not in finished.err
    assert bench.left() == []


def test_a_dry_run_is_the_same_without_m_and_leaves_nothing(bench: Workbench, texts: Path) -> None:
    looks = [bench.run(*m, *text_csv(texts), "dry_run=true", "model.C=interval(0.1,1)") for m in (["-m"], [])]
    assert [look.code for look in looks] == [0, 1]  # Hydra refuses a sweep without -m
    looks = [bench.run(*m, *text_csv(texts), "dry_run=true", "model=logistic") for m in (["-m"], [])]
    assert [look.code for look in looks] == [0, 0]
    assert "model/logistic.C" in looks[0].out
    assert looks[0].out == looks[1].out
    assert bench.left() == []


def test_a_key_of_a_sweep_without_m_is_said_to_have_no_effect(bench: Workbench, texts: Path) -> None:
    finished = bench.run(*text_csv(texts), "model=logistic", "n_trials=50", "sampler=random", "seed=3")
    assert finished.code == 0
    assert "Note: n_trials, sampler, n_jobs have no effect on a single run; -m makes a sweep with them." in finished.out


@pytest.mark.slow
def test_a_value_that_no_trial_uses_is_said(bench: Workbench, texts: Path) -> None:
    note = "model.gamma=0.3 is never used, since its condition (`when`) does not hold in any trial."
    svm = [*text_csv(texts), "model=svm", "model.gamma=0.3"]
    dry = bench.run("-m", *svm, "model.kernel=linear", "dry_run=true")
    assert dry.out.count(note) == 1
    for used in ("model.kernel=rbf", "model.kernel=linear,rbf"):
        assert "never used" not in bench.run("-m", *svm, used, "dry_run=true").out
    single = bench.run(*svm, "model.kernel=linear")
    assert single.out.count("Note: model.gamma is not used, since its condition (`when`) does not hold.") == 1


def test_a_name_for_a_metric_that_nothing_measures_is_said(bench: Workbench, texts: Path) -> None:
    more = ["+also_log.metrics.f1=val_f1", "+also_log.metrics.rmse=test_rmse"]
    swept = bench.sweep(*text_csv(texts), "model=logistic", "n_trials=2", *more)
    (line,) = [line for line in swept.out.splitlines() if "test_rmse" in line]
    assert line.startswith("Warning: also_log.metrics.rmse: nothing measures test_rmse; there are val_accuracy, ")
    assert line.endswith("(2 trials: 0, 1)")
    assert all(run.data.metrics["f1"] == run.data.metrics["val_f1"] for run in bench.runs("trial"))


@pytest.mark.parametrize(("multirun", "said"), [(["-m", "n_trials=2"], "(2 trials: 0, 1)"), ([], "Warning: Conv")])
def test_what_models_warn_of_is_said_once(bench: Workbench, texts: Path, multirun: list[str], said: str) -> None:
    done = bench.run(*multirun, *text_csv(texts), "model=logistic", "model.max_iter=1", "model.C=1")
    assert done.code == 0, done.err
    lines = [line for line in done.out.splitlines() if line.startswith("Warning: ConvergenceWarning")]
    assert len(lines) == 1
    assert said in lines[0]


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ('name: "\xfc"\n'.encode("latin-1"), ["UTF-8", "byte 8"]),
        (b"5\n", ["must be a mapping"]),
        (b"".join(b" " * depth + b"a:\n" for depth in range(1000)), ["nested too deeply", "50 levels"]),
        (b"a: &a\n  b: *a\n", ["in a circle"]),
        (b"defaults: [mine]\n", ["circle", "model/mine -> model/mine"]),
        (b"C: " + b"9" * 5000, ["digits"]),
        (b"a: &a [1, 2]\na: &b [*a, *a]\n", ["duplicate key"]),
        (
            b"a0: &a0 [" + b"x," * 10 + b"]\n"
            + b"".join(b"a%d: &a%d [" % (i, i) + b"*a%d, " % (i - 1) * 10 + b"]\n" for i in range(1, 9)),
            ["aliases", "1,234,567,900 values"],
        ),
    ],
    ids=["latin-1", "a number", "1,000 levels", "alias in itself", "itself in its defaults", "digits", "twice", "bomb"],
)  # fmt: skip
@pytest.mark.parametrize(
    ("multirun", "model"), [("-m", "mine"), pytest.param("-m", "svm,mine", marks=pytest.mark.slow), ("", "mine")]
)
def test_a_config_file_that_cannot_be_read_is_one_message_that_names_it(
    bench: Workbench, texts: Path, tmp_path: Path, content: bytes, parts: list[str], multirun: str, model: str
) -> None:
    file = tmp_path / "conf" / "model" / "mine.yaml"
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    options = [*filter(None, [multirun]), "--config-dir", str(tmp_path / "conf")]
    found = bench.run(*options, *text_csv(texts), f"model={model}")
    assert_one_message(found, "mine", *parts)
    assert bench.left() == []


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (b"", ["is empty"]),
        (HEADER.encode(), ["texts.csv"]),
        ((HEADER + "one,fair\n" * 40).encode(), ["fair"]),
        ((HEADER + "a,fair\nb,hate\nc,fair\nd,hate\n").encode(), ["too few rows", "dataset.n_folds"]),
        ((HEADER + ROWS + "rare,other\n").encode(), ["'other' has 1", "dataset.n_folds"]),
        ((HEADER + ROWS).encode() + b"caf\xe9,fair\n", ["does not decode", "dataset.encoding=latin-1"]),
        ((HEADER + ROWS).encode("utf-16"), ["dataset.encoding=utf-16"]),
        ((HEADER + ROWS + ",fair\n").encode(), ["text", "dataset.on_bad_rows=drop"]),
        ((HEADER + ROWS + "no label,\n").encode(), ["label", "dataset.on_bad_rows=drop"]),
        ((HEADER + ROWS + "a,b,c\n").encode(), ["line 42", "dataset.on_bad_rows=drop"]),
        ((HEADER + ROWS + '"open,fair\n').encode(), ["line 42", "double quote"]),
    ],
    ids=[
        "empty",
        "only a header",
        "a single class",
        "fewer rows than folds",
        "a class with one row",
        "undecodable",
        "another encoding",
        "a missing text",
        "a missing label",
        "a ragged row",
        "an open quote",
    ],
)
def test_a_bad_file_is_one_message_that_names_it_and_nothing_is_written(
    bench: Workbench, tmp_path: Path, content: bytes, parts: list[str]
) -> None:
    file = tmp_path / "texts.csv"
    file.write_bytes(content)
    finished = bench.run("-m", "dataset=text_csv", f"dataset.path={file}")
    assert_one_message(finished, str(file), *parts)
    assert bench.left() == []
    assert bench.runs() == []


@pytest.mark.parametrize(
    ("space", "parts"),
    [
        ("tol: {type: float, low: 0, high: 1}", ["tol", "no default beside it"]),
        ("C: {type: double, low: 0, high: 1}", ["double", "float, int or categorical"]),
        ("C: {type: float, low: 2, high: 1}", ["C"]),
        ("C: {type: float, low: 0.0, high: 1.0, log: true}", ["C"]),
        ("C: {type: float, low: 1}", ["'high' is missing"]),
        ("C: {type: float, low: 1, high: 2, hihg: 3}", ["hihg"]),
        ("C: {type: int, low: 1, high: 2.5}", ["2.5", "whole number"]),
        ("C: {type: float, low: 0.0, high: 1.0, step: 0.3}", ["step"]),
        ("penalty: {type: categorical, choices: []}", ["at least one choice"]),
        ("penalty: {type: categorical, choices: [l2, l2]}", ["twice"]),
        ("C: {type: float, low: 1, high: 2, when: {penalty: l2}}", ["'penalty' must be an earlier categorical"]),
        (
            "{penalty: {type: categorical, choices: [l2]}, C: {type: float, low: 1, high: 2, when: {penalty: l9}}}",
            ["'penalty' has no choice 'l9'", "l2"],
        ),
        ("C: 3", ["C", "3"]),
        ("[C]", ["must be a mapping"]),
    ],
)
def test_a_search_space_that_breaks_a_rule_is_one_message_with_file_and_key(
    bench: Workbench, texts: Path, tmp_path: Path, space: str, parts: list[str]
) -> None:
    file = write_yaml(tmp_path / "conf" / "model" / "mine.yaml", "_target_: sklearn.linear_model.LogisticRegression\n")
    body = f"  {space}" if not space.startswith(("{", "[")) else None
    file.write_text(
        file.read_text() + "C: 1.0\npenalty: l2\nsearch_space:" + (f"\n{body}\n" if body else f" {space}\n")
    )
    finished = bench.run("-m", "--config-dir", str(tmp_path / "conf"), *text_csv(texts), "model=svm,mine")
    assert_one_message(finished, "mine.yaml", "search_space", *parts)
    assert bench.left() == []
    assert bench.runs() == []


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("_target_: sklearn.linear_model.LogisticRegresion\n", ["LogisticRegresion", "typo"]),
        ("_target_: not_installed.Model\n", ["not_installed", "install the package"]),
        ("_target_: sklearn.linear_model.LogisticRegression\nc: 1\n", ["takes no argument 'c'", "C"]),
        ("_target_: sklearn.linear_model.LinearRegression\n", ["is not a classifier"]),
        ("_target_: os.getcwd\n", ["conf/model/mine.yaml: model._target_: os.getcwd is not a class"]),
        ("_target_: os.system\ncommand: touch called\n", ["model._target_: os.system is not a class"]),
        ("_target_: subprocess.Popen\nargs: [touch, called]\n", ["model: subprocess.Popen is not a classifier"]),
        (
            "_target_: sklearn.calibration.CalibratedClassifierCV\n"
            "estimator: {_target_: os.system, command: touch called}\n",
            ["conf/model/mine.yaml: model.estimator._target_: os.system is not a class"],
        ),
        (
            "_target_: pandas.core.base.PandasObject.no\n",
            ["conf/model/mine.yaml: model._target_: pandas.core.base.PandasObject has no 'no'"],
        ),
        ("C: 1\n", ["_target_"]),
        ("_target_: [\n", ["mine.yaml"]),
    ],
)
def test_a_model_that_cannot_be_built_is_one_message(
    bench: Workbench, texts: Path, tmp_path: Path, text: str, parts: list[str]
) -> None:
    write_yaml(tmp_path / "conf" / "model" / "mine.yaml", text)
    finished = bench.run("-m", "--config-dir", str(tmp_path / "conf"), *text_csv(texts), "model=logistic,mine")
    assert_one_message(finished, "mine", *parts)
    assert bench.left() == []
    assert bench.runs() == []


@pytest.mark.parametrize("multirun", [["-m"], []])
@pytest.mark.parametrize("group", ["model", "vectorizer", "sampler", "pruner", "dataset"])
def test_what_a_constructor_raises_is_one_message_with_file_and_key(
    bench: Workbench, texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group: str, multirun: list[str]
) -> None:
    if group in ("sampler", "pruner") and not multirun:
        pytest.skip("a run without -m has no sampler and no pruner")
    (tmp_path / "constructors_that_raise.py").write_text(CONSTRUCTORS)
    monkeypatch.syspath_prepend(str(tmp_path))
    kept = "defaults: [text_csv]\n" if group == "dataset" else ""
    write_yaml(tmp_path / "conf" / group / "mine.yaml", f"{kept}_target_: constructors_that_raise.{group}\n")
    typed = [argument for argument in text_csv(texts) if group != "dataset" or argument != "dataset=text_csv"]
    finished = bench.run(*multirun, "--config-dir", str(tmp_path / "conf"), *typed, f"{group}=mine")
    assert_one_message(
        finished, f"conf/{group}/mine.yaml: {group}: constructors_that_raise.{group} fails", "KeyError: 'a key of mine'"
    )
    if multirun:  # without -m, Hydra makes the job's folder first
        assert bench.left() == []
    assert bench.runs() == []


def test_a_fixed_key_that_only_some_options_have_is_answered_with_what_to_write(bench: Workbench, texts: Path) -> None:
    finished = bench.run("-m", *text_csv(texts), "model=naive_bayes,svm", "model.alpha=0.5")
    assert_one_message(finished, "alpha", "model.alpha=choice(0.5)")
    finished = bench.sweep(*text_csv(texts), "model=naive_bayes,svm", "model.alpha=choice(0.5)", "n_trials=3")
    alphas = {run.data.params.get("alpha") for run in bench.runs("trial")}
    assert alphas == {"0.5", None}


def test_the_name_of_a_study_with_another_space_is_one_message_and_the_first_study_stays(
    bench: Workbench, texts: Path
) -> None:
    arguments = [*text_csv(texts), "n_trials=1", "study_name=mine", "promote=never"]
    bench.sweep(*arguments, "model=logistic")
    before = (bench.folder / "multirun" / "mine" / "trials.csv").read_bytes()
    finished = bench.run("-m", *arguments, "model=naive_bayes")
    assert_one_message(
        finished, "study_name=mine", "model: it was logistic, now it is naive_bayes", "choose another study_name"
    )
    assert (bench.folder / "multirun" / "mine" / "trials.csv").read_bytes() == before
    assert len(bench.runs("sweep")) == 1


@pytest.mark.parametrize("multirun", [["-m"], []])
def test_an_unreachable_tracking_server_is_one_message_without_its_password(
    empty_bench: Workbench, texts: Path, unused_port: int, multirun: list[str]
) -> None:
    uri = f"http://reader:s3cr3t@127.0.0.1:{unused_port}"
    quickly = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_TRACKING_URI": uri}
    finished = empty_bench.run(*multirun, *text_csv(texts), "model=logistic", "n_trials=1", environ=quickly)
    assert_one_message(finished, f"http://reader:***@127.0.0.1:{unused_port}", "MLFLOW_TRACKING_URI")
    assert "s3cr3t" not in finished.err + finished.out
    assert not (empty_bench.folder / "mlflow.db").exists()
    assert empty_bench.studies() == []


def test_the_message_alone_stands_on_stderr_of_a_real_process(bench: Workbench) -> None:
    finished = bench.command("sweeps.run", "-m", "n_trials=0")
    assert_one_message(finished, "n_trials must be at least 1", "it is 0")
    assert len(finished.err.splitlines()) == 1
    assert finished.out == ""


def test_the_traceback_is_shown_on_request(bench: Workbench) -> None:
    finished = bench.command("sweeps.run", "-m", "n_trials=0", environ={"HYDRA_FULL_ERROR": "1"})
    assert finished.code != 0
    assert "Traceback" in finished.err
    assert "n_trials must be at least 1" in finished.err


CONSTRUCTORS = """
from optuna.pruners import NopPruner
from optuna.samplers import RandomSampler
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression


def made_of(base):
    def __init__(self):
        raise KeyError("a key of mine")

    return type(base.__name__, (base,), {"__init__": __init__})


model, vectorizer, sampler, pruner = map(made_of, [LogisticRegression, CountVectorizer, RandomSampler, NopPruner])


def dataset(**options):
    raise KeyError("a key of mine")
"""

MODELS = '''
"""Models that fail, or never end, in a trial; the checks before the first trial they pass."""

import time
from pathlib import Path

from sklearn.linear_model import LogisticRegression


class Raising(LogisticRegression):
    def fit(self, X, y):
        if self.C != 1:
            raise ArithmeticError(f"cannot fit with C={self.C}")
        return super().fit(X, y)


class Endless(LogisticRegression):
    def fit(self, X, y):
        if Path("multirun").exists() and self.C != 1:
            Path("in_a_trial").touch()
            time.sleep(600)
        return super().fit(X, y)
'''


@pytest.fixture
def conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A config directory with the models above."""
    (tmp_path / "failing_models.py").write_text(MODELS)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("Raising", "Endless"):
        write_yaml(
            tmp_path / "conf" / "model" / f"{name.lower()}.yaml",
            f"""
            _target_: failing_models.{name}
            C: 1.0
            trusted_types: [failing_models.{name}]
            search_space:
              C: {{type: float, low: 2.0, high: 3.0}}
            """,
        )
    return tmp_path / "conf"


def test_a_trial_that_raises_is_failed_with_its_traceback_and_the_sweep_goes_on(
    bench: Workbench, texts: Path, conf: Path
) -> None:
    arguments = ["--config-dir", str(conf), *text_csv(texts), "model=raising,logistic", "n_trials=6"]
    finished = bench.sweep(*arguments, "model.C=choice(1.0,2.0)", "sampler=random")
    states = {run.data.tags["sweeps.trial.number"]: run.info.status for run in bench.runs("trial")}
    failed = [run for run in bench.runs("trial") if run.info.status == "FAILED"]
    assert len(states) == 6
    assert failed
    for run in failed:
        assert run.data.tags["sweeps.trial.state"] == "FAIL"
        assert run.data.tags["sweeps.error"] == "ArithmeticError: cannot fit with C=2.0"
        assert run.data.params["model_type"] == "raising"
        traceback = Path(run.info.artifact_uri or "") / "traceback.txt"
        assert 'raise ArithmeticError(f"cannot fit with C={self.C}")' in traceback.read_text()
    study = optuna.load_study(study_name=None, storage=f"sqlite:///{bench.study() / 'study.db'}")
    assert {str(t.number) for t in study.trials if t.state.name == "FAIL"} == {
        run.data.tags["sweeps.trial.number"] for run in failed
    }
    assert [run.info.status for run in bench.runs("sweep")] == ["FINISHED"]
    assert "ArithmeticError: cannot fit with C=2.0" in (bench.study() / "trials.csv").read_text()
    assert "ArithmeticError" in finished.out
    assert bench.aliases("comments")["champion"] == 1


def test_too_many_failures_stop_the_sweep_and_register_nothing(bench: Workbench, texts: Path, conf: Path) -> None:
    arguments = ["--config-dir", str(conf), *text_csv(texts), "model=raising", "n_trials=20"]
    finished = bench.run("-m", *arguments)
    assert_one_message(finished, "4 of 5 trials failed", "max_failure_rate=0.5", "ArithmeticError")
    assert sorted(run.info.status for run in bench.runs("trial")) == ["FAILED"] * 4 + ["FINISHED"]
    (parent,) = bench.runs("sweep")
    assert parent.info.status == "FAILED"
    assert bench.client.search_registered_models() == []
    assert "outcome: FAILED" in (bench.study() / "sweep_result.yaml").read_text()


def test_a_higher_failure_rate_lets_the_sweep_end(bench: Workbench, texts: Path, conf: Path) -> None:
    arguments = ["--config-dir", str(conf), *text_csv(texts), "model=raising", "n_trials=6", "max_failure_rate=0.9"]
    bench.sweep(*arguments)
    assert len(bench.runs("trial")) == 6
    assert [run.info.status for run in bench.runs("sweep")] == ["FINISHED"]


def test_a_run_without_m_that_raises_is_a_failed_run_with_its_traceback(
    bench: Workbench, texts: Path, conf: Path
) -> None:
    finished = bench.run("--config-dir", str(conf), *text_csv(texts), "model=raising", "model.C=2.0")
    assert_one_message(finished, "ArithmeticError: cannot fit with C=2.0", "traceback")
    (run,) = bench.runs()
    assert run.info.status == "FAILED"
    assert "ArithmeticError" in (Path(run.info.artifact_uri or "") / "traceback.txt").read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_an_interrupted_sweep_closes_its_trial_and_its_runs(
    bench: Workbench, tmp_path: Path, conf: Path, number: signal.Signals
) -> None:
    file = write_texts(tmp_path / "comments.csv")
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "sweeps.run", "-m", "--config-dir", str(conf)),
            *text_csv(file),
            *("model=endless", "n_trials=5", "seed=1", "n_jobs=1", "grace_period=0.5"),
        ],
        cwd=bench.folder,
        env=user_environment({"PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_until(lambda: (bench.folder / "in_a_trial").exists() or process.poll() is not None)
        process.send_signal(number)
        _, err = process.communicate(timeout=120)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 128 + number, err
    assert "Traceback" not in err
    (parent,) = bench.runs("sweep")
    assert parent.info.status == "KILLED"
    children = sorted(bench.runs("trial"), key=lambda run: int(run.data.tags["sweeps.trial.number"]))
    assert [run.info.status for run in children] == ["FINISHED", "FAILED"]
    assert children[-1].data.tags["sweeps.trial.state"] == "INTERRUPTED"
    study = optuna.load_study(study_name=None, storage=f"sqlite:///{bench.study() / 'study.db'}")
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "FAIL"]
    assert "outcome: INTERRUPTED" in (bench.study() / "sweep_result.yaml").read_text()
    assert bench.client.search_registered_models() == []
