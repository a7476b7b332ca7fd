"""Words, characters and both in one study, their nested settings, and what is served of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import f1_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict, train_test_split
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.svm import LinearSVC

from .conftest import Workbench, text_csv, write_texts


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Workbench:
    folder = tmp_path_factory.mktemp("vectorizers")
    bench = Workbench(folder)
    (folder / "mlflow.db").write_bytes(empty_store.read_bytes())
    file = write_texts(folder / "comments.csv", rows=240)
    typed = ["model=linear_svm", "vectorizer=tfidf,char,word_char", "n_trials=9", "study_name=s", "model.C=0.1"]
    nested = [
        "vectorizer.char.min_df=choice(3)",
        "vectorizer.word.sublinear_tf=choice(false)",
        "model.class_weight=balanced",
    ]
    bench.sweep(*text_csv(file), *typed, *nested)
    for option in ("char", "word_char"):
        more = [f"vectorizer={option}", "model=linear_svm", "n_trials=1", f"registered_model_name={option}"]
        bench.sweep(*text_csv(file), *more, f"study_name={option}")
    return bench


def test_a_union_scores_as_scikit_learns_does_with_its_nested_settings(swept: Workbench) -> None:
    frame = pd.read_csv(swept.folder / "comments.csv")
    trials = pd.read_csv(swept.folder / "multirun" / "s" / "trials.csv")
    of_both = trials[trials["vectorizer"] == "word_char"]
    assert len(of_both) > 0
    assert set(of_both["char.min_df"]) == {3}
    train, _ = train_test_split(np.arange(len(frame)), test_size=0.2, stratify=frame["label"], random_state=42)
    texts, labels = frame["text"].to_numpy(object)[train], frame["label"].to_numpy(object)[train]
    for _, trial in of_both.iterrows():
        words, characters = (yaml.safe_load(trial[f"{part}.ngram_range"]) for part in ("word", "char"))
        union = FeatureUnion(
            [
                ("word", TfidfVectorizer(ngram_range=tuple(words), min_df=2)),
                (
                    "char",
                    TfidfVectorizer(analyzer="char_wb", ngram_range=tuple(characters), min_df=3, sublinear_tf=True),
                ),
            ]
        )
        pipeline = make_pipeline(union, LinearSVC(C=0.1, class_weight="balanced", max_iter=5000, random_state=42))
        folds = list(StratifiedKFold(3, shuffle=True, random_state=42).split(texts, labels))
        predicted = cross_val_predict(pipeline, texts, labels, cv=folds)
        expected = [f1_score(labels[score], predicted[score], pos_label="hate") for _, score in folds]
        assert trial["val_f1"] == pytest.approx(np.mean(expected), abs=1e-12)


@pytest.mark.parametrize("option", ["char", "word_char"])
def test_characters_are_stored_and_predict(swept: Workbench, option: str) -> None:
    done = swept.predict(f"models:/{option}@champion", "comments.csv", "-o", f"{option}.csv")
    assert done.code == 0, done.err
    predicted = pd.read_csv(swept.folder / f"{option}.csv")
    assert (predicted["prediction"] == predicted["label"]).mean() > 0.8
    assert predicted["confidence"].between(0, 1).all()
