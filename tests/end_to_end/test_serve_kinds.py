"""`python -m sweeps.serve` of models that are not about texts: pairs of ids, and rows of a table."""

from __future__ import annotations

import shutil
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fastapi.testclient import TestClient

from sweeps.serve.app import make_app
from sweeps.serve.holder import ModelHolder
from sweeps.serve.metrics import Metrics
from sweeps.serve.options import Options
from sweeps.serve.service import Service
from sweeps.tasks.ratings.model import Recommender
from sweeps.tracking.models.load import load
from sweeps.tracking.models.versions import ModelSource

from .conftest import Workbench
from .test_outside_package import PACKAGE, SEARCHPATH

RATINGS = "models:/ratings@champion"
HOUSES = "models:/houses@champion"
ROWS = [{"area": 1.0, "rooms": -0.5, "age": 0.25}, {"area": 0, "rooms": 2, "age": 0.5}]


def client_of(bench: Workbench, uri: str, trusted: tuple[str, ...] = ()) -> TestClient:
    options = Options(max_batch=50)
    return TestClient(
        make_app(Service(ModelHolder(ModelSource(bench.client, uri, trusted), options), options, Metrics()))
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Workbench:
    bench = Workbench(tmp_path_factory.mktemp("kinds"))
    shutil.copy(empty_store, bench.folder / "mlflow.db")
    return bench


@pytest.fixture(scope="module")
def recommender(folder: Workbench) -> Recommender:
    """Stored and promoted; users are text, items are numbers, ratings are half stars."""
    rng = np.random.default_rng(3)
    pairs = rng.permutation(30 * 40)[:600]
    frame = pd.DataFrame(
        {
            "userId": [f"ü{pair // 40}" for pair in pairs],
            "movieId": pairs % 40 + 1,
            "rating": rng.integers(1, 11, 600),
        }
    )
    frame["rating"] /= 2
    frame.to_csv(folder.folder / "ratings.csv", index=False)
    folder.sweep("dataset=ratings_csv", "dataset.path=ratings.csv", "model=knn", "model.k=5", "n_trials=1")
    loaded = load(folder.client, RATINGS)
    assert isinstance(loaded, Recommender)
    return loaded


@pytest.fixture(scope="module")
def pairs(folder: Workbench, recommender: Recommender) -> Iterator[TestClient]:
    with client_of(folder, RATINGS) as client:
        yield client


def test_pairs_are_answered_as_the_model_does(pairs: TestClient, recommender: Recommender) -> None:
    asked = [{"user": "ü1", "item": 7}, {"user": "nobody", "item": 7}, {"user": "ü2", "item": "9"}]
    frame = pd.DataFrame([(pair["user"], pair["item"]) for pair in asked], columns=["userId", "movieId"])
    expected = recommender.predict(frame).to_dict("records")
    answer = pairs.post("/predict/batch", json={"pairs": asked})
    assert answer.json() == {"predictions": expected, "model": {"name": "ratings", "version": "1"}}
    assert [one["was_impossible"] for one in expected] == [False, True, False]
    singles = [pairs.post("/predict", json=pair).json() for pair in asked]
    assert [{key: one[key] for key in ("prediction", "was_impossible")} for one in singles] == expected


def test_a_whole_number_is_the_same_id_however_json_writes_it(pairs: TestClient) -> None:
    answers = [pairs.post("/predict", json={"user": "ü1", "item": item}).json() for item in (7, 7.0, "7")]
    assert answers[0] == answers[1] == answers[2]
    assert not answers[0]["was_impossible"]


@pytest.mark.parametrize("user", ["ü1", "nobody", 17])
def test_the_best_items_that_a_user_has_not_rated_are_recommended(
    pairs: TestClient, recommender: Recommender, user: Any
) -> None:
    answer = pairs.post("/recommend", json={"user": user, "n": 5}).json()
    expected = recommender.recommend(user, 5)
    assert [item["item"] for item in answer["items"]] == expected["movieId"].tolist()
    assert [item["prediction"] for item in answer["items"]] == expected["prediction"].tolist()
    assert {item["was_impossible"] for item in answer["items"]} == {user != "ü1"}
    assert answer["model"] == {"name": "ratings", "version": "1"}
    assert len(pairs.post("/recommend", json={"user": user}).json()["items"]) == 10
    train = recommender.algorithm.trainset
    known = {train.to_raw_uid(inner): ratings for inner, ratings in train.ur.items()}
    rated = {train.to_raw_iid(item) for item, _ in known.get(user, [])}
    assert not rated & {item["item"] for item in answer["items"]}


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("/recommend", {"user": "ü1", "n": 0}, "n: Input should be greater than or equal to 1"),
        ("/recommend", {"user": "ü1", "n": 51}, "n: Input should be less than or equal to 50"),
        ("/recommend", {"n": 5}, "user: Field required"),
        (
            "/predict",
            {"user": [1], "item": 7},
            "user: Input should be a valid integer, or: Input should be a valid string",
        ),
        (
            "/predict/batch",
            {"pairs": [{"user": 1, "item": 7}, {"user": 1, "item": None}]},
            "pairs.1.item: Input should be a valid integer, or: Input should be a valid string",
        ),
        ("/predict", {"user": "ü1"}, "item: Field required"),
        ("/predict", {"text": "a"}, "user: Field required"),
        ("/predict/batch", {"pairs": []}, "pairs: List should have at least 1 item"),
        ("/predict/batch", {"pairs": [{"user": "ü1", "item": 7}, {"user": 1}]}, "pairs.1.item: Field required"),
    ],
)
def test_what_is_no_pair_is_refused_in_a_sentence(pairs: TestClient, path: str, body: Any, message: str) -> None:
    answer = pairs.post(path, json=body)
    assert answer.status_code == 422
    assert message in answer.json()["message"]


def test_youtube_is_for_models_of_texts(pairs: TestClient) -> None:
    assert pairs.post("/analyze/youtube", json={"video": "dQw4w9WgXcQ"}).status_code == 404
    assert {"/predict", "/predict/batch", "/recommend"} < set(pairs.get("/openapi.json").json()["paths"])


@pytest.fixture(scope="module")
def rows(folder: Workbench) -> Iterator[TestClient]:
    """The service of a model of another package's task."""
    rng = np.random.default_rng(5)
    frame = pd.DataFrame(rng.normal(size=(80, 3)), columns=["area", "rooms", "age"])
    frame["price"] = 3 * frame["area"] + frame["rooms"] - frame["age"]
    frame.to_csv(folder.folder / "houses.csv", index=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(PACKAGE))
        folder.sweep(SEARCHPATH, "dataset=houses", "dataset.path=houses.csv", "model=ridge", "n_trials=1")
        with client_of(folder, HOUSES, ("price_models.regression.Regression",)) as client:
            yield client


def test_rows_are_answered_as_the_model_does(rows: TestClient, folder: Workbench) -> None:
    predictor = load(folder.client, HOUSES, ["price_models.regression.Regression"])
    expected = predictor.predict(pd.DataFrame(ROWS)).to_dict("records")
    assert rows.post("/predict/batch", json={"rows": ROWS}).json()["predictions"] == expected
    assert rows.post("/predict", json={"row": ROWS[1]}).json()["prediction"] == expected[1]["prediction"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (10**400, "row: area: a text of at most 50000 characters, a number of 64 bits"),
        (-(2**63) - 1, "a number of 64 bits"),
        ([], "a text of at most"),
        ("x" * 50_001, "a text of at most"),
    ],
)
def test_a_value_that_no_column_holds_is_refused_in_one_sentence(rows: TestClient, value: Any, message: str) -> None:
    answer = rows.post("/predict", json={"row": ROWS[0] | {"area": value}})
    assert (answer.status_code, answer.json()["error"]) == (422, "invalid")
    assert message in answer.json()["message"]
    assert len(answer.json()["message"]) < 200


@pytest.mark.parametrize("content", [b"NaN", b"1e999", b'1, "area": 2'])
def test_a_row_says_what_json_can_say_and_says_it_once(rows: TestClient, content: bytes) -> None:
    body = b'{"row": {"area": ' + content + b', "rooms": 1, "age": 1}}'
    answer = rows.post("/predict", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422


def test_a_million_errors_are_not_collected(rows: TestClient, pairs: TestClient) -> None:
    """Each of them would be an object of some hundred bytes."""
    columns = b",".join(b'"%x":[]' % number for number in range(7_000))
    keys = b",".join(b'"%x":1' % number for number in range(7_000))
    for client, body in (
        (rows, b'{"rows": [' + b",".join([b"{%s}" % columns] * 50) + b"]}"),
        (pairs, b'{"pairs": [' + b",".join([b"{%s}" % keys] * 50) + b"]}"),
    ):
        tracemalloc.start()
        try:
            answer = client.post("/predict/batch", content=body, headers={"Content-Type": "application/json"})
            assert answer.status_code == 422
            assert tracemalloc.get_traced_memory()[1] < 100 * 2**20
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize("row", [{"area": 1.0}, {"area": "wide", "rooms": 1, "age": 1}])
def test_rows_that_the_model_cannot_read_are_the_askers_fault(rows: TestClient, row: dict[str, Any]) -> None:
    answer = rows.post("/predict", json={"row": row})
    assert answer.status_code == 422
    assert answer.json() == {"error": "invalid", "message": "A row needs numbers in the columns area, rooms, age."}
    assert rows.post("/predict", json={"row": ROWS[0]}).status_code == 200
