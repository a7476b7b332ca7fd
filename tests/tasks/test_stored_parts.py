"""What is inside a stored model: nothing that opens files, calls what a file chose, or points outside of its arrays."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from sklearn.base import BaseEstimator
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.svm import SVC

from sweeps.base.errors import ModelError
from sweeps.tasks.trusted import load_skops, save_skops

TEXTS = ["good fine day", "bad sad day", "fine sun", "bad rain"]
LABELS = ["fair", "hate", "fair", "hate"]


def shout(text: str) -> str:
    return text.upper()


def alone(vectorizer: Any) -> Any:
    return vectorizer


def in_a_pipeline(vectorizer: Any) -> Any:
    return Pipeline([("vectorizer", vectorizer), ("model", LogisticRegression())])


def deep(vectorizer: Any) -> Any:
    union = FeatureUnion([("plain", CountVectorizer()), ("inner", Pipeline([("one", vectorizer)]))])
    return in_a_pipeline(union)


def stored(model: Any, file: Path) -> Path:
    """As a stranger stores it: without looking."""
    skops.io.dump(model, file)
    return file


FORGERIES: dict[str, tuple[Callable[[], Any], str]] = {
    "filename": (lambda: CountVectorizer(input="filename"), "would open the files that texts name"),
    "file": (lambda: TfidfVectorizer(input="file"), "would open the files that texts name"),
    "hashing": (lambda: HashingVectorizer(input="filename"), "would open the files that texts name"),
    "tokenizer": (lambda: CountVectorizer(tokenizer=np.exp), "tokenizer is the function"),
    "analyzer": (lambda: TfidfVectorizer(analyzer=np.absolute), "analyzer is the function"),
    "preprocessor": (lambda: TfidfVectorizer(preprocessor=str), "preprocessor is the function builtins.str"),
    "accents": (lambda: HashingVectorizer(strip_accents=str), "strip_accents is the function builtins.str"),
    "ngrams": (lambda: CountVectorizer(ngram_range=(1, 10**9)), "more than 30 words in a term"),
    "jobs": (lambda: FeatureUnion([("one", CountVectorizer())], n_jobs=10**6), "n_jobs=1000000 is not"),
}


@pytest.mark.parametrize("place", [alone, in_a_pipeline, deep])
@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_vectorizer_that_reads_files_or_calls_functions_is_refused_wherever_it_stands(
    tmp_path: Path, forgery: str, place: Callable[[Any], Any]
) -> None:
    make, message = FORGERIES[forgery]
    file = stored(place(make()), tmp_path / "m.skops")
    with pytest.raises(ModelError, match=rf"^{re.escape(str(file))}: is refused, .*{re.escape(message)}"):
        load_skops(file, ())
    with pytest.raises(ModelError, match=re.escape(message)):
        save_skops(place(make()), tmp_path / "n.skops", ())


def test_a_function_is_called_where_the_person_who_loads_trusts_it_by_name(tmp_path: Path) -> None:
    name = f"{shout.__module__}.shout"
    model = in_a_pipeline(TfidfVectorizer(preprocessor=shout)).fit(TEXTS, LABELS)
    save_skops(model, tmp_path / "m.skops", [name])
    with pytest.raises(ModelError, match=rf"--trust {re.escape(name)}"):
        load_skops(tmp_path / "m.skops", ())
    assert load_skops(tmp_path / "m.skops", [name]).predict(TEXTS).tolist() == LABELS


def fitted(model: BaseEstimator) -> Any:
    return in_a_pipeline(TfidfVectorizer()).set_params(model=model).fit(TEXTS, LABELS)


def changed(model: BaseEstimator, **attributes: Any) -> Any:
    pipeline = fitted(model)
    vars(pipeline["model"]).update(attributes)
    return pipeline


def with_vocabulary(columns: list[Any]) -> Any:
    pipeline = fitted(LogisticRegression())
    vocabulary = pipeline["vectorizer"].vocabulary_
    pipeline["vectorizer"].vocabulary_ = dict(
        zip(vocabulary, [*columns, *range(len(columns), len(vocabulary))], strict=True)
    )
    return pipeline


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: with_vocabulary([10**6]), "a vocabulary's columns"),
        (lambda: with_vocabulary([-1]), "a vocabulary's columns"),
        (lambda: with_vocabulary([3]), "a vocabulary's columns"),
        (lambda: with_vocabulary([0.0]), "a vocabulary's columns"),
        (lambda: changed(SVC(), _n_support=np.array([10**6, 10**6], np.int32)), "an SVM's support"),
        (lambda: changed(SVC(), _n_support=np.array([1], np.int32)), "an SVM's support"),
        (lambda: changed(SVC(), _intercept_=np.empty(0)), "an SVM's intercepts"),
        (lambda: changed(SVC(), _effective_probability=True, probability=True), "an SVM's probabilities"),
        (lambda: changed(SVC(), classes_=np.array(["a", "b", "c"])), "an SVM's weights"),
        (lambda: changed(KNeighborsClassifier(2), _y=np.array([0, 1, 0, 10**6])), "a neighbour's classes"),
        (lambda: changed(KNeighborsClassifier(2), _y=np.array([0, 1])), "a neighbour's classes"),
        (lambda: changed(KNeighborsClassifier(2), n_neighbors=10**9), "n_neighbors=1000000000 of 4 rows"),
    ],
)
def test_what_points_outside_of_its_arrays_is_refused(tmp_path: Path, make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ModelError, match=re.escape(message)):
        load_skops(stored(make(), tmp_path / "m.skops"), ())


def test_an_archive_that_unpacks_to_more_than_memory_is_refused_unread(tmp_path: Path) -> None:
    file = tmp_path / "m.skops"
    with zipfile.ZipFile(file, "w") as archive:
        for number in range(4_000):
            archive.writestr(f"{number}", "")
    head, *entries = file.read_bytes().split(b"PK\x01\x02")  # the central directory, which says how long members are
    entries = [entry[:20] + (2**32 - 2).to_bytes(4, "little") + entry[24:] for entry in entries]
    file.write_bytes(b"PK\x01\x02".join([head, *entries]))
    with pytest.raises(ModelError, match="more memory than this machine has left"):
        load_skops(file, ())
