"""`python -m sweeps.predict` and MLflow's own `mlflow models predict` on the promoted model; what they refuse."""

from __future__ import annotations

import csv
import io
import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import joblib
import mlflow
import numpy as np
import pandas as pd
import pytest
import skops.io
from mlflow.models import Model

from sweeps.tracking.models.load import load, split_uri

from .conftest import Workbench, text_csv, write_yaml
from .forged import ENDLESS, HOPELESS, put_vectorizer

MODEL = "models:/comments@champion"
INPUT = 'id,text,note\n007,a nice train,"one, two"\n08,an awful bus,\n9,,NA\n'


@dataclass(frozen=True)
class Promoted:
    """A folder in which a sweep has promoted `comments`, and the folder of that model's files."""

    bench: Workbench
    artifact: Path

    def write(self, name: str, content: str | bytes) -> Path:
        file = self.bench.folder / name
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return file


@pytest.fixture(scope="module")
def promoted(tmp_path_factory: pytest.TempPathFactory, empty_store: Path, texts: Path) -> Promoted:
    bench = Workbench(tmp_path_factory.mktemp("predict"))
    shutil.copy(empty_store, bench.folder / "mlflow.db")
    bench.sweep(*text_csv(texts), "model=svm", "n_trials=1")
    (artifact,) = bench.folder.glob("mlruns/*/models/*/artifacts")
    return Promoted(bench, artifact)


def test_the_output_is_the_input_with_prediction_and_confidence(promoted: Promoted) -> None:
    source, target = promoted.write("in.csv", INPUT), promoted.bench.folder / "out.csv"
    finished = promoted.bench.predict(MODEL, str(source), "-o", str(target))
    assert (finished.code, finished.out, finished.err) == (0, "", "")
    frame = pd.read_csv(target, dtype=str, keep_default_na=False)
    assert list(frame.columns) == ["id", "text", "note", "prediction", "confidence"]
    assert frame["prediction"].tolist()[:2] == ["fair", "hate"]
    assert frame["confidence"].astype(float).between(0.5, 1).all()


def test_the_inputs_columns_go_out_byte_for_byte(promoted: Promoted) -> None:
    source, target = promoted.write("in.csv", INPUT), promoted.bench.folder / "kept.csv"
    assert promoted.bench.predict(MODEL, str(source), "-o", str(target)).code == 0
    for before, after in zip(INPUT.splitlines(), target.read_text().splitlines(), strict=True):
        assert after.startswith(f"{before},")


def test_from_standard_input_to_standard_output_in_a_pipe(promoted: Promoted) -> None:
    finished = promoted.bench.command("sweeps.predict", MODEL, "-", text=INPUT)
    assert finished.code == 0, finished.err
    assert finished.err == ""
    frame = pd.read_csv(io.StringIO(finished.out), dtype=str, keep_default_na=False)
    assert frame["id"].tolist() == ["007", "08", "9"]
    assert frame["prediction"].tolist()[:2] == ["fair", "hate"]


def test_a_tsv_file_stays_one(promoted: Promoted) -> None:
    source, target = promoted.write("in.tsv", "id\ttext\n1\ta, nice train\n"), promoted.bench.folder / "out.tsv"
    assert promoted.bench.predict(MODEL, str(source), "-o", str(target)).code == 0
    header, row = target.read_text().splitlines()
    assert header == "id\ttext\tprediction\tconfidence"
    assert row.startswith("1\ta, nice train\tfair\t")


def test_a_separator_can_be_typed(promoted: Promoted) -> None:
    source = promoted.write("semicolons.csv", "id;text\n1;a, nice train\n")
    finished = promoted.bench.predict(MODEL, str(source), "--separator", ";")
    assert finished.out.splitlines()[1].startswith("1;a, nice train;fair;")


def test_an_input_without_a_header_and_with_bare_quotes(promoted: Promoted) -> None:
    source = promoted.write("bare.tsv", '1\t"a nice train\n2\tan "awful" bus\n')
    finished = promoted.bench.predict(MODEL, str(source), "--columns", "id,text", "--quoting", "none")
    assert finished.code == 0, finished.err
    header, *rows = csv.reader(io.StringIO(finished.out), delimiter="\t")
    assert header == ["id", "text", "prediction", "confidence"]
    assert [row[:3] for row in rows] == [["1", '"a nice train', "fair"], ["2", 'an "awful" bus', "hate"]]


def test_the_only_column_may_have_any_name(promoted: Promoted) -> None:
    source = promoted.write("one.csv", "whatever\na nice train\n")
    finished = promoted.bench.predict(MODEL, str(source))
    assert finished.code == 0, finished.err
    assert finished.out.splitlines()[0] == "whatever,prediction,confidence"


def test_another_encoding_can_be_typed(promoted: Promoted) -> None:
    source = promoted.write("latin.csv", "text\nça va, é nice\n".replace(", ", " ").encode("latin-1"))
    finished = promoted.bench.predict(MODEL, str(source), "--encoding", "latin-1")
    assert finished.out.splitlines()[1].startswith("ça va é nice,")


def test_a_header_without_rows_gives_a_header(promoted: Promoted) -> None:
    source = promoted.write("no_rows.csv", "id,text\n")
    finished = promoted.bench.predict(MODEL, str(source))
    assert (finished.code, finished.out) == (0, "id,text,prediction,confidence\n")


@pytest.mark.parametrize(
    ("content", "messages"),
    [
        ("id,body\n1,nice\n", ["'text'", "'id', 'body'"]),
        ("", ["in.csv", "is empty"]),
        (b"text\n\xff\xfe nice\n", ["in.csv is not utf-8", "--encoding latin-1"]),
        ('text\n"nice\n', ["in.csv, the row that starts on line 2"]),
    ],
)
def test_a_bad_input_file_is_one_message_and_no_output(
    promoted: Promoted, content: str | bytes, messages: list[str]
) -> None:
    source, target = promoted.write("in.csv", content), promoted.bench.folder / "never.csv"
    finished = promoted.bench.predict(MODEL, str(source), "-o", str(target))
    assert finished.code == 1
    assert all(message in finished.err for message in messages), finished.err
    assert "Traceback" not in finished.err
    assert not target.exists()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("models:/nobody@champion", "no registered model 'nobody'"),
        ("models:/nobody@champion", "there are: comments"),
        ("models:/comments@emperor", "comments has no alias emperor"),
        ("models:/comments@emperor", "champion (version 1)"),
        ("models:/comments/99", "comments has no version 99"),
        ("models:/comments", "models:/NAME@champion"),
        ("models:/m-0123456789", "cannot be fetched"),
        ("nothing_here", "nothing_here"),
    ],
)
def test_an_unknown_model_is_one_message_that_lists_what_there_is(promoted: Promoted, model: str, message: str) -> None:
    source = promoted.write("in.csv", INPUT)
    finished = promoted.bench.predict(model, str(source))
    assert finished.code == 1
    assert message in finished.err
    assert "Traceback" not in finished.err
    assert finished.out == ""


@pytest.mark.parametrize("kind", ["alias", "version", "logged"])
def test_a_model_comes_from_the_clients_store_whatever_the_process_has_set(
    promoted: Promoted, tmp_path: Path, kind: str
) -> None:
    client = promoted.bench.client
    source = client.get_model_version("comments", "1").source
    uris = {"alias": MODEL, "version": "models:/comments/1", "logged": source}
    assert source.startswith("models:/m-")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'another.db'}")
    try:
        assert len(load(client, uris[kind]).predict(pd.DataFrame({"text": ["a nice train"]}))) == 1
    finally:
        mlflow.set_tracking_uri(before)


def test_a_models_name_may_have_an_at_sign() -> None:
    assert split_uri("models:/me@work@champion") == ("me@work", "champion", None)
    assert split_uri("models:/me@work/3") == ("me@work", None, "3")
    assert split_uri("models:/m-lens@champion") == ("m-lens", "champion", None)
    assert split_uri("models:/m-lens/3") == ("m-lens", None, "3")
    assert split_uri("models:/m-0123456789abcdef") == (None, None, None)  # a run's model


def test_a_missing_input_file_is_named(promoted: Promoted) -> None:
    finished = promoted.bench.predict(MODEL, "gone.csv")
    assert finished.code == 1
    assert finished.err.startswith("gone.csv does not exist (looked in ")
    assert finished.err.endswith(": name a file with the model's input, or -: standard input\n")


def test_a_missing_output_folder_is_named(promoted: Promoted) -> None:
    source = promoted.write("in.csv", INPUT)
    finished = promoted.bench.predict(MODEL, str(source), "-o", "gone/out.csv")
    assert finished.code == 1
    assert "gone/out.csv cannot be written" in finished.err
    assert "Traceback" not in finished.err


def test_without_a_store_none_is_made(empty_bench: Workbench) -> None:
    (empty_bench.folder / "in.csv").write_text(INPUT)
    finished = empty_bench.predict(MODEL, "in.csv")
    assert finished.code == 1
    assert "There is no MLflow store" in finished.err
    assert [path.name for path in empty_bench.folder.iterdir()] == ["in.csv"]


@pytest.mark.slow
def test_mlflows_own_command_gives_the_same_predictions(promoted: Promoted) -> None:
    source = promoted.write("for_mlflow.csv", "text\na nice train\nan awful bus\n")
    arguments = ["models", "predict", "-m", MODEL, "--env-manager", "local", "-i", str(source), "-t", "csv"]
    finished = promoted.bench.command("mlflow", *arguments)
    assert finished.code == 0, finished.err
    theirs = json.loads(finished.out.splitlines()[-1])["predictions"]
    ours = pd.read_csv(io.StringIO(promoted.bench.predict(MODEL, str(source)).out))
    assert [row["prediction"] for row in theirs] == ours["prediction"].tolist()
    assert np.allclose([row["confidence"] for row in theirs], ours["confidence"])


def test_an_estimator_of_another_package_needs_the_word_of_its_yaml_and_of_the_loader(
    bench: Workbench, texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_estimators.py").write_text(
        "from sklearn.linear_model import LogisticRegression\n\n\nclass Mine(LogisticRegression):\n    pass\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    file = write_yaml(tmp_path / "conf" / "model" / "mine.yaml", "_target_: my_estimators.Mine\nC: 1.0\n")
    arguments = ["-m", "--config-dir", str(tmp_path / "conf"), *text_csv(texts), "model=mine", "n_trials=1"]

    refused = bench.run(*arguments)
    assert refused.code == 1
    assert "my_estimators.Mine" in refused.err
    assert "trusted_types" in refused.err
    assert bench.left() == []

    file.write_text(file.read_text() + "trusted_types: [my_estimators.Mine]\n")
    bench.sweep(*arguments[1:])
    source = bench.folder / "in.csv"
    source.write_text(INPUT)
    untrusting = bench.predict(MODEL, str(source))
    assert untrusting.code == 1
    assert "--trust my_estimators.Mine" in untrusting.err
    trusting = bench.predict(MODEL, str(source), "--trust", "my_estimators.Mine")
    assert trusting.code == 0, trusting.err
    assert "prediction" in trusting.out


@pytest.fixture
def tampered(promoted: Promoted, tmp_path: Path) -> Path:
    """A copy of the model's files, to be spoilt."""
    return Path(shutil.copytree(promoted.artifact, tmp_path / "tampered"))


def test_an_untouched_copy_of_the_files_predicts(promoted: Promoted, tampered: Path) -> None:
    source = promoted.write("in.csv", INPUT)
    assert promoted.bench.predict(str(tampered), str(source)).code == 0


def test_a_model_that_would_open_the_file_a_text_names_is_refused(promoted: Promoted, tampered: Path) -> None:
    secret = promoted.write("secret.txt", "bb")
    put_vectorizer(tampered, input="filename")
    finished = promoted.bench.predict(str(tampered), str(promoted.write("in.csv", f"text\n{secret}\n")))
    assert (finished.code, finished.out) == (1, "")
    assert "would open the files that texts name" in finished.err
    assert len(finished.err.splitlines()) == 1


@pytest.mark.slow
def test_a_model_that_does_not_come_to_an_end_is_one_message(promoted: Promoted, tampered: Path) -> None:
    put_vectorizer(tampered, token_pattern=ENDLESS)
    source, target = promoted.write("in.csv", f"text\n{HOPELESS}\n"), promoted.bench.folder / "never.csv"
    finished = promoted.bench.predict(str(tampered), str(source), "-o", str(target), "--timeout", "1")
    assert (finished.code, finished.out) == (1, "")
    assert "did not answer within 1 s" in finished.err
    assert "--timeout 10" in finished.err
    assert len(finished.err.splitlines()) == 1
    assert not target.exists()
    fine = promoted.bench.predict(str(tampered), str(promoted.write("in.csv", "text\nbb\naa\n")))
    assert (fine.code, len(fine.out.splitlines())) == (0, 3)


@pytest.mark.parametrize("text", ["0", "-1", "inf", "nan", "soon"])
def test_a_timeout_is_a_positive_number(promoted: Promoted, text: str) -> None:
    finished = promoted.bench.predict(MODEL, "-", f"--timeout={text}")
    assert finished.code == 2
    assert "--timeout" in finished.err


def test_an_alias_bomb_is_one_message(promoted: Promoted, tampered: Path) -> None:
    with (tampered / "MLmodel").open("a") as file:
        file.write("a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 60)))
    finished = promoted.bench.predict(str(tampered), str(promoted.write("in.csv", INPUT)))
    assert finished.code == 1
    assert "anchor or an alias" in finished.err
    assert len(finished.err.splitlines()) == 1


class Untrusted:
    """A type of a model's file that this package does not know."""


def test_a_file_with_an_unknown_type_is_refused(promoted: Promoted, tampered: Path) -> None:
    (file,) = tampered.rglob("*.skops")
    skops.io.dump({"model": Untrusted()}, file)
    finished = promoted.bench.predict(str(tampered), str(promoted.write("in.csv", INPUT)))
    assert finished.code == 1
    assert "Untrusted" in finished.err
    assert "Traceback" not in finished.err


def test_a_pickle_in_the_place_of_the_file_is_not_executed(promoted: Promoted, tampered: Path, tmp_path: Path) -> None:
    executed = tmp_path / "executed"

    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (executed,))  # type: ignore[return-value]

    (file,) = tampered.rglob("*.skops")
    joblib.dump(Bomb(), file)
    finished = promoted.bench.predict(str(tampered), str(promoted.write("in.csv", INPUT)))
    assert finished.code == 1
    assert "Traceback" not in finished.err
    assert not executed.exists()


@pytest.mark.parametrize("key", ["loader_module", "code"])
def test_a_file_that_names_code_of_its_own_is_not_executed(
    promoted: Promoted, tampered: Path, tmp_path: Path, key: str
) -> None:
    executed = tmp_path / "executed"
    (tampered / "code").mkdir()
    (tampered / "code" / "evil_loader.py").write_text(f"open({str(executed)!r}, 'w')\n")
    model = Model.load(str(tampered))
    model.flavors["python_function"]["code"] = "code"
    if key == "loader_module":
        model.flavors["python_function"]["loader_module"] = "evil_loader"
    model.save(str(tampered / "MLmodel"))
    finished = promoted.bench.predict(str(tampered), str(promoted.write("in.csv", INPUT)))
    if key == "loader_module":
        assert finished.code == 1
        assert "was not stored by a sweep" in finished.err
    assert not executed.exists()
    assert "evil_loader" not in sys.modules
    assert str(tampered / "code") not in sys.path


def test_data_outside_the_models_own_folder_is_refused(promoted: Promoted, tampered: Path, tmp_path: Path) -> None:
    shutil.move(tampered / "data", tmp_path / "elsewhere")
    model = Model.load(str(tampered))
    model.flavors["python_function"]["data"] = "../elsewhere/model"
    model.save(str(tampered / "MLmodel"))
    finished = promoted.bench.predict(str(tampered), str(promoted.write("in.csv", INPUT)))
    assert finished.code == 1
    assert "points outside its own folder" in finished.err


def test_a_task_named_by_the_files_alone_is_refused(promoted: Promoted, tampered: Path) -> None:
    (file,) = tampered.rglob("sweeps_model.json")
    file.write_text(json.dumps({"format": 1, "task": "evil.Task"}))
    finished = promoted.bench.predict(str(tampered), str(promoted.write("in.csv", INPUT)))
    assert finished.code == 1
    assert "--trust evil.Task" in finished.err
    assert "Traceback" not in finished.err
