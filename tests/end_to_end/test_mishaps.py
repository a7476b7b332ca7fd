"""What goes wrong around a sweep: names that MLflow refuses, exits, simultaneous starts, ragged tables, secrets."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import Workbench, text_csv, write_texts, write_yaml

SECRET = "hunter2-s3cret"


@pytest.fixture
def bench(empty_bench: Workbench) -> Workbench:
    return empty_bench


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    return write_texts(tmp_path / "texts.csv", rows=60)


def own_model(folder: Path, name: str, text: str) -> list[str]:
    """The arguments that sweep a model of one's own."""
    write_yaml(folder / "conf" / "model" / f"{name}.yaml", text)
    return ["--config-dir", str(folder / "conf"), f"model={name}"]


def failing_models(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "mishap_models.py").write_text(
        "import sys\n"
        "from sklearn.linear_model import LogisticRegression\n\n\n"
        "class Failing(LogisticRegression):\n"
        "    def fit(self, X, y):\n"
        "        if self.C > 1:\n"
        f"            raise RuntimeError('no answer from postgresql://bob:{SECRET}@db/x')\n"
        "        return super().fit(X, y)\n\n\n"
        "class Exiting(LogisticRegression):\n"
        "    def fit(self, X, y):\n"
        "        if self.C > 1:\n"
        "            sys.exit(0)\n"
        "        return super().fit(X, y)\n"
    )
    monkeypatch.syspath_prepend(str(folder))


MODEL = """
    _target_: mishap_models.{}
    C: 1.0
    trusted_types: [mishap_models.{}]
    search_space:
      C: {{type: float, low: 1.5, high: 2.0}}
    """


def test_a_param_name_that_mlflow_refuses_is_logged_under_another(
    bench: Workbench, texts: Path, tmp_path: Path
) -> None:
    model = own_model(
        tmp_path,
        "odd",
        """
        _target_: sklearn.linear_model.LogisticRegression
        class_weight: {"C++ (x)": 2.0, fair: 1.0, hate: 1.0}
        """,
    )
    finished = bench.sweep(*model, *text_csv(texts), "n_trials=2")
    assert finished.code == 0, finished.err
    assert {run.info.status for run in bench.runs()} == {"FINISHED"}
    (first, *_) = bench.runs("trial")
    assert first.data.params["class_weight.C__ _x_"] == "2.0"


def test_a_trial_that_exits_is_failed_and_the_sweep_goes_on(
    bench: Workbench, texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing_models(tmp_path, monkeypatch)
    model = own_model(tmp_path, "exiting", MODEL.format("Exiting", "Exiting"))
    finished = bench.sweep(*model, *text_csv(texts), "n_trials=3", "max_failure_rate=1")
    assert finished.code == 0, finished.err
    assert sorted(run.info.status for run in bench.runs("trial")) == ["FAILED", "FAILED", "FINISHED"]


def test_a_failed_trial_shows_its_hyperparameters_and_no_password(
    bench: Workbench, texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing_models(tmp_path, monkeypatch)
    model = own_model(tmp_path, "failing", MODEL.format("Failing", "Failing"))
    finished = bench.sweep(*model, *text_csv(texts), "n_trials=2", "max_failure_rate=1")
    (failed,) = [run for run in bench.runs("trial") if run.info.status == "FAILED"]
    assert 1.5 <= float(failed.data.params["C"]) <= 2.0
    assert "postgresql://bob:***@db/x" in failed.data.tags["sweeps.error"]
    files = [path for path in bench.folder.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    holding = [path for path in files if SECRET.encode() in path.read_bytes()]
    assert [path.name for path in holding if path.name != "mishap_models.py"] == []
    assert SECRET not in finished.out + finished.err


def test_null_and_lists_in_an_experiments_params_stay_what_they_are(
    bench: Workbench, texts: Path, tmp_path: Path
) -> None:
    write_yaml(
        tmp_path / "conf" / "experiment" / "mine.yaml",
        """
        # @package _global_
        hydra:
          sweeper:
            params:
              model: logistic
              model.class_weight: null
              vectorizer.ngram_range: [1, 2]
        """,
    )
    finished = bench.sweep("--config-dir", str(tmp_path / "conf"), "experiment=mine", *text_csv(texts), "n_trials=1")
    assert finished.code == 0, finished.err
    (child,) = bench.runs("trial")
    assert child.data.params["class_weight"] == "None"
    assert child.data.params["ngram_range"] == "[1, 2]"


@pytest.fixture(scope="module")
def promoted(tmp_path_factory: pytest.TempPathFactory) -> Workbench:
    bench = Workbench(tmp_path_factory.mktemp("promoted"))
    texts = write_texts(bench.folder / "judge.csv", rows=60)
    assert bench.sweep(*text_csv(texts), "model=logistic", "n_trials=1").code == 0
    return bench


@pytest.mark.parametrize(
    "content", ["review\nGood, very good\nBad, awful\n", "id,text\n1,Good, very good\n", "id,text\n1\n"]
)
def test_a_row_of_another_width_is_refused_and_not_shifted(promoted: Workbench, content: str) -> None:
    (promoted.folder / "in.csv").write_text(content)
    finished = promoted.predict("models:/judge@champion", "in.csv")
    assert finished.code == 1
    assert "have too many or too few fields" in finished.err
    assert finished.out == ""


def test_a_blank_line_of_a_one_column_file_is_a_row(promoted: Workbench) -> None:
    (promoted.folder / "in.csv").write_text("text\none\n\nthree\n")
    finished = promoted.predict("models:/judge@champion", "in.csv")
    assert finished.code == 0, finished.err
    assert len(finished.out.splitlines()) == 4


@pytest.mark.parametrize("separator", ["::", ""])
def test_a_separator_of_other_than_one_character_is_one_message(promoted: Workbench, separator: str) -> None:
    (promoted.folder / "in.csv").write_text("a::text\n1::x\n")
    finished = promoted.predict("models:/judge@champion", "in.csv", "--separator", separator)
    assert ("one character" in finished.err) == bool(separator)
    assert "Traceback" not in finished.err


def test_a_folder_as_output_is_one_message(promoted: Workbench, tmp_path: Path) -> None:
    (promoted.folder / "in.csv").write_text("text\nx\n")
    finished = promoted.predict("models:/judge@champion", "in.csv", "-o", str(tmp_path))
    assert finished.code == 1
    assert "is a folder" in finished.err
