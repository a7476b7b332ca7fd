"""The small parts: cache, metrics, redaction, settings, and the files of a study."""

import csv
import math
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from optuna.trial import TrialState
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score

from sweeps.attribute import Attribute
from sweeps.cache import Cache
from sweeps.config import Promote, RootConfig, Settings, file_stem
from sweeps.console import describe_space, table
from sweeps.errors import ConfigError
from sweeps.locks import alone
from sweeps.metrics import classification_scores, is_better
from sweeps.option import collect
from sweeps.redact import without_passwords
from sweeps.results import StudyFolder, describe_result, new_study_name, write_trials, write_yaml
from sweeps.search_space import SearchSpace
from sweeps.stopping import Outcome
from sweeps.sweep import SweepResult

# Cache


class ReferenceCache:
    """Least recently used, written the plain way."""

    def __init__(self, bound: int) -> None:
        self.bound = bound
        self.sizes: OrderedDict[int, int] = OrderedDict()

    def use(self, key: int, size: int) -> bool:
        """Whether the key was held; held or not, it is the latest one now, if it fits at all."""
        if key in self.sizes:
            self.sizes.move_to_end(key)
            return True
        if size <= self.bound:
            self.sizes[key] = size
        while sum(self.sizes.values()) > self.bound:
            del self.sizes[next(iter(self.sizes))]
        return False


@given(st.integers(0, 20), st.lists(st.tuples(st.integers(0, 6), st.integers(0, 12)), max_size=60))
@settings(max_examples=300, deadline=None)
def test_the_cache_holds_what_a_plain_least_recently_used_one_holds(bound: int, uses: list[tuple[int, int]]) -> None:
    cache, reference = Cache(bound), ReferenceCache(bound)
    for key, size in uses:
        computed = []

        def compute(key: int = key, size: int = size, computed: list[int] = computed) -> tuple[str, int]:
            computed.append(key)
            return f"result of {key}", size

        assert cache.get_or_compute(key, compute) == f"result of {key}"
        assert (not computed) == reference.use(key, size)


def test_a_result_larger_than_the_cache_is_returned_and_evicts_nothing() -> None:
    cache = Cache(10)
    kept = cache.get_or_compute("small", lambda: (["small"], 10))
    assert cache.get_or_compute("large", lambda: ("large", 11)) == "large"
    assert cache.get_or_compute("large", lambda: ("computed again", 11)) == "computed again"
    assert cache.get_or_compute("small", lambda: (["another"], 10)) is kept


def test_a_computation_that_raises_leaves_nothing_behind() -> None:
    def fail() -> tuple[Any, int]:
        raise ValueError("no")

    cache = Cache(10)
    with pytest.raises(ValueError, match="no"):
        cache.get_or_compute("key", fail)
    assert cache.get_or_compute("key", lambda: (1, 10)) == 1
    assert cache.get_or_compute("key", lambda: (2, 10)) == 1


# Metrics

labels = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abcd")), min_size=1, max_size=30)


@given(labels)
@settings(max_examples=200, deadline=None)
def test_scores_over_all_classes_are_scikit_learns_macro_means(pairs: list[tuple[str, str]]) -> None:
    truth, predicted = (np.array(column) for column in zip(*pairs, strict=True))
    assert classification_scores(truth, predicted, None) == pytest.approx(
        {
            "accuracy": accuracy_score(truth, predicted),
            "precision": precision_score(truth, predicted, average="macro", zero_division=0),
            "recall": recall_score(truth, predicted, average="macro", zero_division=0),
            "f1": f1_score(truth, predicted, average="macro", zero_division=0),
        }
    )


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30), st.booleans())
@settings(max_examples=200, deadline=None)
def test_scores_of_one_class_are_the_textbooks_counts(pairs: list[tuple[bool, bool]], positive: bool) -> None:
    truth, predicted = (np.array(column) for column in zip(*pairs, strict=True))
    hits = sum(t == p == positive for t, p in pairs)
    claimed, real = sum(p == positive for _, p in pairs), sum(t == positive for t, _ in pairs)
    scores = classification_scores(truth, predicted, positive)
    assert scores == pytest.approx(
        {
            "accuracy": sum(t == p for t, p in pairs) / len(pairs),
            "precision": hits / claimed if claimed else 0.0,
            "recall": hits / real if real else 0.0,
            "f1": 2 * hits / (claimed + real) if claimed + real else 0.0,
        }
    )
    assert all(type(score) is float for score in scores.values())


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_better_is_strict_and_follows_the_direction(direction: Any) -> None:
    assert is_better(0.9, 0.8, direction) == (direction == "maximize")
    assert is_better(0.8, 0.9, direction) == (direction == "minimize")
    assert not is_better(0.8, 0.8, direction)
    assert not is_better(math.nan, 0.8, direction)


# Redaction


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:secret@host:5432/db", "postgresql://me:***@host:5432/db"),
        ("postgresql+psycopg://me:secret@host/db", "postgresql+psycopg://me:***@host/db"),
        ("redis://:secret@host", "redis://:***@host"),
        ("https://me:p@ss:word@host/path", "https://me:***@host/path"),
        ("a http://u:secret@h1/x and http://v:secret@h2/y", "a http://u:***@h1/x and http://v:***@h2/y"),
        ("study=x hydra.storage='mysql://u:secret@h/db'", "study=x hydra.storage='mysql://u:***@h/db'"),
        ("two\nlines mysql://u:secret@h", "two\nlines mysql://u:***@h"),
        ("postgresql://me@host/db?password=secret", "postgresql://me@host/db?password=***"),
        ("https://host/x?user=me&token=secret&page=2", "https://host/x?user=me&token=***&page=2"),
        ("url='https://host/?api_key=secret' n=1", "url='https://host/?api_key=***' n=1"),
        ("http://host:5000/path", "http://host:5000/path"),
        ("https://host/x?page=2&sort=name", "https://host/x?page=2&sort=name"),
        ("http://host:5000/users/me@home", "http://host:5000/users/me@home"),
        ("sqlite:///mlflow.db", "sqlite:///mlflow.db"),
        ("write to me@host: thanks", "write to me@host: thanks"),
        ("", ""),
    ],
)
def test_passwords_in_urls_are_never_shown_and_nothing_else_changes(text: str, shown: str) -> None:
    assert without_passwords(text) == shown
    assert without_passwords(shown) == shown


@given(st.text("abcXYZ019-_.~%!$&'()*+,;=:@", min_size=1, max_size=12).map(lambda text: f"Q{text}Q"))
@settings(max_examples=200, deadline=None)
def test_no_password_survives_whatever_its_characters(password: str) -> None:
    assert without_passwords(f"postgresql://user:{password}@host/db") == "postgresql://user:***@host/db"


# Settings


@pytest.mark.parametrize(
    ("path", "stem"),
    [
        ("data/reviews.csv", "reviews"),
        ("/a/b/reviews.tsv.gz", "reviews"),
        ("reviews", "reviews"),
        ("my.reviews.2026.csv", "my"),
        (".csv", "fallback"),
        ("", "fallback"),
        (None, "fallback"),
        ("ünïcode file.csv", "ünïcode file"),
    ],
)
def test_a_file_names_its_dataset_by_its_stem(path: str | None, stem: str) -> None:
    assert file_stem(path, "fallback") == stem
    config = OmegaConf.create({"path": path, "name": "${file_stem:${.path},fallback}"})
    assert config.name == stem


def settings_with(**values: Any) -> Settings:
    """The settings of a root config with these values."""
    return Settings.from_config(OmegaConf.merge(OmegaConf.structured(RootConfig), values))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "values",
    [
        {"n_trials": 1},
        {"timeout": None},
        {"timeout": 0.5},
        {"n_jobs": 1},
        {"seed": 0},
        {"seed": 2**32 - 1},
        {"max_failure_rate": 0},
        {"max_failure_rate": 1},
        {"study_name": None},
        {"study_name": "a"},
        {"study_name": "my study-2.1_b@c+d"},
        {"study_name": "étude"},
        {"registered_model_name": "hate speech v2"},
        {"promote": "never"},
    ],
    ids=str,
)
def test_settings_at_the_edge_of_what_is_allowed_pass(values: dict[str, Any]) -> None:
    read = settings_with(**values)
    for name, value in values.items():
        assert getattr(read, name) == (Promote(value) if name == "promote" else value)


@pytest.mark.parametrize(
    "values",
    [
        {"n_trials": 0},
        {"n_trials": -1},
        {"timeout": 0},
        {"timeout": -5},
        {"timeout": math.nan},
        {"n_jobs": -1},
        {"seed": -1},
        {"seed": 2**32},
        {"max_failure_rate": -0.1},
        {"max_failure_rate": 1.1},
        {"max_failure_rate": math.nan},
        {"study_name": ""},
        {"study_name": ".hidden"},
        {"study_name": ".."},
        {"study_name": "a/b"},
        {"study_name": "a\nb"},
        {"study_name": "a\n"},
        {"study_name": "x" * 152},
        {"experiment_name": ""},
        {"experiment_name": "  "},
        {"registered_model_name": ""},
        {"registered_model_name": " "},
        {"registered_model_name": "a/b"},
        {"registered_model_name": "a:b"},
    ],
    ids=str,
)
def test_a_setting_out_of_its_range_is_one_message_that_begins_with_its_name(values: dict[str, Any]) -> None:
    (name,) = values
    with pytest.raises(ConfigError, match=rf"^{name}\b"):
        settings_with(**values)


# The files of a study


def test_a_study_folder_owns_every_path_and_is_a_new_studys_until_something_else_is_in_it(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path / "multirun" / "first")
    folder.check_new()
    folder.make()
    paths = {folder.config, folder.command, folder.trials, folder.result}
    assert len(paths) == 4
    assert {path.parent for path in paths} == {folder.path}
    optuna.create_study(storage=folder.storage_url, study_name="first")
    assert (folder.path / "study.db").is_file()
    folder.check_new()  # a sweep that was killed before it had a study
    (folder.path / "thesis.tex").touch()
    with pytest.raises(ConfigError, match=r"study_name=first: .* is there already, .* Choose another study_name"):
        folder.check_new()


def test_a_study_folder_that_cannot_be_made_says_how_to_choose_another_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(ConfigError, match=r"cannot be made: .*hydra\.sweep\.dir=FOLDER"):
        StudyFolder(tmp_path / "file" / "study").make()


def test_a_new_studys_name_is_one_that_the_settings_accept() -> None:
    name = new_study_name("reviews")
    assert name.startswith("reviews-")
    assert settings_with(study_name=name).study_name == name


def finished_study() -> optuna.Study:
    """A study with a complete, a failed and a running trial."""
    study = optuna.create_study(study_name="s", direction="maximize")
    for number, model in enumerate(["svm", "logistic"]):
        trial = study.ask()
        choices = {"model": model, "vectorizer": "tfidf"}
        overrides = [f"model={model}", "model.text='\\${x}, \"y\"'"]
        trial.set_user_attr(Attribute.PROPOSAL, {"choices": choices, "overrides": overrides})
        if number == 0:
            result = {
                "hyperparameters": {"model.C": 0.1, "vectorizer.ngram_range": [1, 2]},
                "metrics": {"val_f1": 0.75, "test_f1": 0.7},
                "seconds": {"fit": 0.123456},
                "warnings": ["W: one", "W: two, three"],
            }
            trial.set_user_attr(Attribute.RESULT, result)
            study.tell(trial, 0.75)
        else:
            trial.set_user_attr(Attribute.ERROR, 'ValueError: line one\nline "two", with ünïcode')
            study.tell(trial, state=TrialState.FAIL)
    study.ask()
    return study


def test_the_trials_file_has_a_row_for_every_finished_trial(tmp_path: Path) -> None:
    path = tmp_path / "trials.csv"
    write_trials(finished_study(), path, {"model.C": "C", "vectorizer.ngram_range": "ngram_range"})
    with path.open(newline="", encoding="utf-8") as file:
        complete, failed = list(csv.DictReader(file))
    assert (complete["number"], complete["state"], complete["value"]) == ("0", "COMPLETE", "0.75")
    assert (complete["model"], complete["vectorizer"]) == ("svm", "tfidf")
    assert (complete["C"], complete["ngram_range"]) == ("0.1", "[1, 2]")
    assert (complete["val_f1"], complete["test_f1"], complete["seconds_fit"]) == ("0.75", "0.7", "0.1235")
    assert (complete["warnings"], complete["error"]) == ("W: one; W: two, three", "")
    assert complete["start"] <= complete["end"]
    assert (failed["number"], failed["state"], failed["value"], failed["C"]) == ("1", "FAIL", "", "")
    assert failed["error"] == 'ValueError: line one\nline "two", with ünïcode'
    assert [file.name for file in tmp_path.iterdir()] == ["trials.csv"]


def test_hyperparameters_called_like_a_column_of_the_trial_keep_columns_of_their_own(tmp_path: Path) -> None:
    study = optuna.create_study(direction="maximize")
    trial = study.ask()
    called = {f"model.{name}": name for name in ("value", "error", "state", "number", "model", "val_f1", "C")}
    trial.set_user_attr(Attribute.PROPOSAL, {"choices": {"model": "svm", "vectorizer": "tfidf"}})
    hyperparameters = {key: f"own {name}" for key, name in called.items()}
    trial.set_user_attr(Attribute.RESULT, {"hyperparameters": hyperparameters, "metrics": {"val_f1": 0.75}})
    study.tell(trial, 0.75)
    write_trials(study, tmp_path / "trials.csv", called)
    with (tmp_path / "trials.csv").open(newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert (row["number"], row["state"], row["value"], row["val_f1"]) == ("0", "COMPLETE", "0.75", "0.75")
    assert (row["model"], row["error"], row["C"]) == ("svm", "", "own C")
    for key, name in called.items():
        assert row.get(key, row[name]) == f"own {name}"


def test_the_trials_file_is_replaced_and_may_be_empty(tmp_path: Path) -> None:
    path = tmp_path / "trials.csv"
    write_trials(finished_study(), path, {})
    write_trials(optuna.create_study(), path, {})
    assert path.read_text().splitlines() == ["start,end,warnings,error"]


def test_the_result_file_holds_the_end_of_the_sweep(tmp_path: Path) -> None:
    study = finished_study()
    path = tmp_path / "sweep_result.yaml"
    best = study.trials[0]
    described = describe_result(study, SweepResult(Outcome.COMPLETED, "", best), "val_f1")
    write_yaml(path, described)
    raw = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    assert raw == {
        "study_name": "s",
        "outcome": "COMPLETED",
        "reason": "",
        "metric": "val_f1",
        "n_trials": 2,
        "best": {
            "trial": 0,
            "value": 0.75,
            "choices": {"model": "svm", "vectorizer": "tfidf"},
            "overrides": ["model=svm", "model.text='\\${x}, \"y\"'"],
            "metrics": {"val_f1": 0.75, "test_f1": 0.7},
        },
    }
    assert [file.name for file in tmp_path.iterdir()] == ["sweep_result.yaml"]


def test_a_sweep_without_a_best_trial_has_none_in_its_result() -> None:
    described = describe_result(optuna.create_study(), SweepResult(Outcome.FAILED, "no trial completed", None), "m")
    assert (described["outcome"], described["reason"], described["n_trials"]) == ("FAILED", "no trial completed", 0)
    assert "best" not in described


# The screen


def test_a_table_is_as_wide_as_its_widest_cells() -> None:
    assert table([["a", "1"], ["long name", ""]], ["x", "count"]).splitlines() == [
        "x          count",
        "a          1",
        "long name",
    ]


def test_a_described_space_shows_name_distribution_default_condition_and_file() -> None:
    option = {
        "kernel": "linear",
        "gamma": "scale",
        "degree": 3,
        "search_space": {
            "kernel": {"type": "categorical", "choices": ["linear", "rbf", "poly"]},
            "gamma": {"type": "float", "low": 0.01, "high": 10, "log": True, "when": {"kernel": ["rbf", "poly"]}},
            "degree": {"type": "int", "low": 2, "high": 6, "step": 2, "when": {"kernel": "poly"}},
        },
    }
    space = SearchSpace({"model": ("svm", "knn")}, {("model", "svm"): collect(option, "model", "svm", "svm.yaml")})
    rows = [line.split("  ") for line in describe_space(space, "reviews").splitlines()]
    cells = [[cell.strip() for cell in row if cell.strip()] for row in rows]
    assert cells == [
        ["dataset=reviews"],
        ["name", "distribution", "default", "when", "from"],
        ["model", "one of svm, knn", "svm", "command line"],
        ["model/svm.kernel", "one of linear, rbf, poly", "linear", "svm.yaml"],
        ["model/svm.gamma", "float 0.01 to 10 log", "scale", "kernel is rbf or poly", "svm.yaml"],
        ["model/svm.degree", "int 2 to 6 step 2", "3", "kernel is poly", "svm.yaml"],
    ]


def test_a_described_space_writes_values_as_yaml_does() -> None:
    option = {
        "weight": None,
        "search_space": {"weight": {"type": "categorical", "choices": [None, True, "balanced"]}},
    }
    space = SearchSpace({"model": ("svm",)}, {("model", "svm"): collect(option, "model", "svm", "svm.yaml")})
    shown = describe_space(space, "reviews").splitlines()[-1]
    assert shown.split("  ")[:3] == ["model/svm.weight", "one of null, true, balanced", "null"]


def test_a_space_without_anything_to_search_says_so() -> None:
    assert (
        describe_space(SearchSpace({"model": ("svm",)}), "reviews") == "dataset=reviews, model=svm: nothing to search."
    )


def test_one_process_at_a_time_holds_a_lock_and_none_leaves_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "locks"))
    (tmp_path / "locks").mkdir()
    counter = tmp_path / "counter"
    counter.write_text("0")

    def count() -> None:
        for _ in range(100):
            with alone("counter"):
                before = int(counter.read_text())
                time.sleep(0)  # lets another thread in, if the lock does
                counter.write_text(str(before + 1))

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counter.read_text() == "800"
    assert list((tmp_path / "locks").iterdir()) == []


def test_processes_that_write_a_file_at_once_do_not_trip_each_other(tmp_path):
    code = (
        "import sys; from pathlib import Path; from sweeps.results import write_text\n"
        "for number in range(300): write_text(Path(sys.argv[1]), f'{number}\\n')"
    )
    file = tmp_path / "trials.csv"
    command = [sys.executable, "-c", code, str(file)]
    writers = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    assert [writer.communicate()[1] for writer in writers] == ["", "", ""]
    assert file.read_text() == "299\n"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("pipe", "code", "said"), [("the output", 128 + signal.SIGPIPE, ""), ("a worker's", 1, "BrokenPipeError: a worker")]
)
def test_only_the_pipe_that_nobody_reads_any_more_ends_a_command_quietly(pipe, code, said):
    script = f"""
import sys
from sweeps.command import until_nobody_reads
with until_nobody_reads():
    if {pipe == "the output"}:
        sys.stdin.readline()
        for _ in range(10):
            print("x" * 100_000)
    raise BrokenPipeError("a worker")
"""
    command = [sys.executable, "-c", script]
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(command, **streams, text=True) as process:
        if pipe == "the output":
            process.stdout.close()
        process.stdin.write("go\n")
        process.stdin.close()
        shown = process.stderr.read()
    assert process.returncode == code, shown
    assert said in shown
    assert said or not shown
