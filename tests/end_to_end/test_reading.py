"""What a sweep reads, from the file to the prediction: nothing wrong in silence."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import pytest

from .conftest import Workbench, scores, text_csv

Row = Sequence[str]


def rewritten(file: Path, target: Path, change: Callable[[int, list[str]], Row]) -> Path:
    """A copy of a CSV file with every data row changed."""
    with file.open(newline="", encoding="utf-8") as stream:
        header, *rows = list(csv.reader(stream))
    with target.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([header, *(change(number, row) for number, row in enumerate(rows))])
    return target


def test_blanks_around_labels_change_no_score(bench: Workbench, texts: Path, tmp_path: Path) -> None:
    spaced = rewritten(
        texts, tmp_path / "spaced.csv", lambda number, row: [row[0], f" {row[1]}\t" if number % 4 < 2 else row[1]]
    )
    for file in (texts, spaced):
        bench.sweep(*text_csv(file), "model=logistic", "n_trials=1")
    clean, blank = bench.runs("trial")
    assert scores(clean) == scores(blank)
    parents = bench.runs("sweep")
    assert parents[0].data.tags["sweeps.dataset.fingerprint"] == parents[1].data.tags["sweeps.dataset.fingerprint"]


def test_codes_come_out_of_a_promoted_model_as_they_went_in(bench: Workbench, texts: Path, tmp_path: Path) -> None:
    coded = rewritten(texts, tmp_path / "codes.csv", lambda _, row: [row[0], "01" if row[1] == "fair" else "02"])
    bench.sweep(
        "dataset=text_csv", f"dataset.path={coded}", "dataset.positive_label=01", "model=logistic", "n_trials=1"
    )
    source = bench.folder / "in.csv.gz"
    source.write_bytes(gzip.compress("id,text \n007,a nice train\n08,an awful bus\n".encode("utf-16")))
    finished = bench.predict("models:/codes@champion", str(source), "--encoding", "utf-16")
    frame = pd.read_csv(io.StringIO(finished.out), dtype=str)
    assert frame["id"].tolist() == ["007", "08"]
    assert frame["prediction"].tolist() == ["01", "02"]


def test_what_was_read_is_said_before_the_first_trial_in_a_dry_run_and_on_the_parent_run(
    bench: Workbench, texts: Path, tmp_path: Path
) -> None:
    lines = texts.read_text().splitlines()
    file = tmp_path / "twice.csv"
    file.write_text("\n".join([*lines, *lines[1:9], lines[1].replace("fair", "hate"), "no label,", ",fair"]) + "\n")
    arguments = [*text_csv(file), "model=logistic", "dataset.on_bad_rows=drop"]
    expected = {
        "rows": "99",
        "classes": "hate 50, fair 49",
        "duplicates": "9 (on_duplicates=group)",
        "duplicates across the split": "0",
        "texts with two labels": "1",
    }
    read = "; ".join(f"{name}: {value}" for name, value in expected.items())
    shown = f"Data: {read}; dropped: 2 of 101 data rows"
    dry = bench.sweep(*arguments, "dry_run=true")
    assert shown in dry.out
    assert bench.left() == []
    out = bench.sweep(*arguments, "n_trials=1").out
    assert shown in out
    assert out.index(shown) < out.index("Trials:")
    (parent,) = bench.runs("sweep")
    for name, value in expected.items():
        assert parent.data.tags[f"sweeps.data.{name.replace(' ', '_')}"] == value
    assert "lack a text or a label" in parent.data.tags["sweeps.data.dropped"]
    single = bench.run(*arguments, "dry_run=true")
    assert shown in single.out


def test_ratings_are_described_too(bench: Workbench, tmp_path: Path) -> None:
    file = tmp_path / "stars.csv"
    rows = [f"u{user},{item},{(user * item) % 5 + 1},0" for user in range(12) for item in range(8)]
    file.write_text("\n".join(["userId ,movieId,rating,when", *rows, "u1 , 2.0,5,7"]) + "\n")
    arguments = ["dataset=ratings_csv", f"dataset.path={file}", "dataset.timestamp_column=when", "model=baseline"]
    refused = bench.run("-m", *arguments, "n_trials=1")
    assert refused.code == 1
    assert 'rated again later: data row 11 ("u1", "2")' in refused.err
    finished = bench.sweep(*arguments, "n_trials=1", "dataset.on_bad_rows=drop")
    assert "Data: ratings: 96; users: 12; items: 8; scale: 1 to 5; dropped: 1 of 97 data rows" in finished.out


def test_texts_that_stand_twice_do_not_help(bench: Workbench, tmp_path: Path) -> None:
    file = tmp_path / "five.csv"
    rows = [f"word{number} item{number},{'fair' if number * 7919 % 101 % 2 else 'hate'}" for number in range(60)]
    file.write_text("\n".join(["text,label", *rows * 5]) + "\n")
    for rule in ("keep", "group"):
        arguments = [*text_csv(file), "model=linear_svm", "model.C=100", f"dataset.on_duplicates={rule}"]
        bench.sweep(*arguments, "n_trials=1")
    keep, group = (run.data.metrics["val_accuracy"] for run in bench.runs("trial"))
    assert keep > 0.85
    assert group < 0.8
    kept, grouped = (run.data.tags["sweeps.data.duplicates_across_the_split"] for run in bench.runs("sweep"))
    assert (kept, grouped) == ("60", "0")


@pytest.mark.slow
def test_what_the_messages_tell_to_type_works(bench: Workbench, texts: Path, tmp_path: Path) -> None:
    """Each file is refused, and read once what its message says has been typed."""
    rows = list(csv.reader(io.StringIO(texts.read_text())))[1:]
    unquoted = tmp_path / "unquoted.tsv"
    unquoted.write_text("".join(f'{label}\t"{text}\n' for text, label in rows))
    escaped = tmp_path / "escaped.csv"
    escaped.write_text("text,label\n" + "".join(f'"a \\"so\\", {text}",{label}\n' for text, label in rows))
    emoji = tmp_path / "emoji.csv"
    smiles = {"fair": "\U0001f600", "hate": "\U0001f621"}
    faces = "".join(f"{smiles[label]} {chr(0x1F400 + n)},{label}\n" for n, (_, label) in enumerate(rows))
    emoji.write_text("text,label\n" + faces)
    cases = [
        (unquoted, "dataset.quoting=none", ["dataset.quoting=none", "dataset.columns=[label,text]"]),
        (escaped, r"'dataset.escape=\\'", [r"dataset.escape=\\"]),
        (emoji, r"++vectorizer.token_pattern='\S+'", [r"++vectorizer.token_pattern='\S+'"]),
    ]
    for file, told, typed in cases:
        refused = bench.run("-m", *text_csv(file), "model=logistic", "n_trials=1")
        assert refused.code == 1
        assert told in refused.err
        assert bench.studies() == []
        assert bench.run("-m", *text_csv(file), "model=logistic", "dry_run=true", *typed).code == 0
    assert "min_df=2" in refused.err
    assert "all 48" in refused.err

    commas = tmp_path / "commas.csv"
    commas.write_text("userId;movieId;rating\n" + "".join(f"{u};{i};{u},{i}\n" for u in range(9) for i in range(9)))
    ratings = ["dataset=ratings_csv", f"dataset.path={commas}", "model=baseline", "dry_run=true"]
    for told, typed in (
        ("\"dataset.separator=';'\"", "dataset.separator=';'"),
        ("\"dataset.decimal=','\"", "dataset.decimal=','"),
    ):
        refused = bench.run("-m", *ratings)
        assert told in refused.err
        ratings.append(typed)
    assert "scale: 0 to 8.8" in bench.sweep(*ratings).out


def test_files_whose_names_differ_before_the_last_dot_are_two_experiments(
    bench: Workbench, texts: Path, tmp_path: Path
) -> None:
    for name in ("v1.train.csv", "v1.test.csv"):
        (tmp_path / name).write_bytes(texts.read_bytes())
        bench.sweep(*text_csv(tmp_path / name), "model=logistic", "n_trials=1")
    names = {model.name for model in bench.client.search_registered_models()}
    assert names == {"v1.train", "v1.test"}


@pytest.mark.parametrize("name", ["..", ".", "a:b"])
def test_a_name_that_the_registry_refuses_is_found_before_the_first_trial(
    bench: Workbench, texts: Path, name: str
) -> None:
    refused = bench.run("-m", *text_csv(texts), "model=logistic", "n_trials=1", f"registered_model_name='{name}'")
    assert refused.code == 1
    assert f"registered_model_name='{name}'" in refused.err
    assert bench.left() == []
