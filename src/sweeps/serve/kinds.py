"""What a service asks for and answers, by the kind of model it serves: texts, pairs of ids, or rows of a table."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pandas as pd
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Strict, create_model, model_validator
from pydantic_core import PydanticCustomError

from sweeps.serve.options import Options
from sweeps.tasks.base import Predictor
from sweeps.tasks.ratings import is_recommender
from sweeps.tasks.text.model import TextModel

if TYPE_CHECKING:  # it needs Surprise
    from sweeps.tasks.ratings.model import Recommender

Answer = dict[str, Any]
# JSON does not tell 11.0 from 11. After the bounds in a field's list, so that the OpenAPI document has these.
WHOLE = BeforeValidator(lambda value: int(value) if isinstance(value, float) and value % 1 == 0 else value)
Id = Annotated[int, Strict(), Field(ge=-(2**63), lt=2**63), WHOLE] | Annotated[str, Field(max_length=1_000)]
_MOST_ERRORS = 10  # of one kind that are worth telling
Label = bool | int | float | str


class Body(BaseModel):
    """A request: nothing unknown in it, and no value converted."""

    model_config = ConfigDict(extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _refuse_many_unknown_keys(cls, body: Any) -> Any:
        """One error, where there would be one for each of a million keys."""
        if isinstance(body, dict) and len(body) > len(cls.model_fields) + _MOST_ERRORS:
            n_unknown = len(body.keys() - cls.model_fields.keys())
            raise PydanticCustomError("unknown_keys", "{n} keys are not known", {"n": n_unknown})
        return body


class ModelName(BaseModel):
    """The version that answered."""

    name: str
    version: str | None


class Kind(ABC):
    """How one kind of model is asked.

    Attributes:
        one: the body of `/predict`.
        many: the body of `/predict/batch`.
        item: one prediction, as it is answered.
    """

    one: type[Body]
    many: type[Body]
    item: type[BaseModel]

    @abstractmethod
    def of_one(self, body: Any) -> Any:
        """The item in the body of `/predict`."""

    @abstractmethod
    def of_many(self, body: Any) -> Sequence[Any]:
        """The items in the body of `/predict/batch`."""

    @abstractmethod
    def predict(self, predictor: Any, items: Sequence[Any]) -> list[Answer]:
        """Predictions for items, in their order."""


class Texts(Kind):
    """Texts, answered with a label and its confidence."""

    class Item(BaseModel):
        """A label and how sure the model is of it; null where the model cannot say."""

        prediction: Label
        confidence: float | None

    item = Item

    def __init__(self, options: Options) -> None:
        text = Annotated[str, Field(max_length=options.max_text)]
        self.one = make_body("Text", {"text": "Best coffee I ever had"}, text=(text, ...))
        many = Annotated[list[text], Field(min_length=1, max_length=options.max_batch)]
        example = {"texts": ["Best coffee I ever had", "Arrived stale and broken"]}
        self.many = make_body("Texts", example, texts=(many, ...))

    def of_one(self, body: Any) -> str:
        return str(body.text)

    def of_many(self, body: Any) -> Sequence[str]:
        texts: list[str] = body.texts
        return texts

    def predict(self, predictor: TextModel, items: Sequence[str]) -> list[Answer]:
        labels, confidences = predictor.score(list(items))
        return [
            {"prediction": label, "confidence": None if math.isnan(confidence) else confidence}
            for label, confidence in zip(labels.tolist(), confidences.tolist(), strict=True)
        ]


class Pairs(Kind):
    """Users and items, answered with a rating."""

    class Item(BaseModel):
        """A rating; `was_impossible` where nothing is known of the pair, and the mean of all ratings stands in."""

        prediction: float
        was_impossible: bool

    item = Item

    def __init__(self, options: Options) -> None:
        example = {"user": 671, "item": 31}
        self.one = make_body("Pair", example, user=(Id, ...), item=(Id, ...))
        pairs = Annotated[list[self.one], Field(min_length=1, max_length=options.max_batch)]  # type: ignore[name-defined]  # a type known when it runs
        self.many = make_body("Pairs", {"pairs": [example, {"user": 1, "item": 296}]}, pairs=(pairs, ...))
        n = Annotated[int, Field(ge=1, le=options.max_batch), WHOLE]
        self.recommend = make_body("Recommend", {"user": 671, "n": 10}, user=(Id, ...), n=(n, 10))

    def of_one(self, body: Any) -> tuple[int | str, int | str]:
        return body.user, body.item

    def of_many(self, body: Any) -> Sequence[tuple[int | str, int | str]]:
        return [(pair.user, pair.item) for pair in body.pairs]

    def predict(self, predictor: Recommender, items: Sequence[tuple[int | str, int | str]]) -> list[Answer]:
        users, rated = zip(*items, strict=True)
        columns = {predictor.user_column: users, predictor.item_column: rated}
        return _records(predictor.predict(pd.DataFrame(columns, dtype=object)))


class Rows(Kind):
    """Rows of a table, for the models of other packages' tasks."""

    class Item(BaseModel):
        """The model's own columns, `prediction` among them."""

        model_config = ConfigDict(extra="allow")

        prediction: Any

    item = Item

    def __init__(self, options: Options) -> None:
        whole = Annotated[int, Field(ge=-(2**63), lt=2**63)]
        value = Annotated[str, Field(max_length=options.max_text)] | bool | whole | float | None
        row = Annotated[dict[str, value], Field(min_length=1), BeforeValidator(partial(_check_row, options.max_text))]
        self.one = make_body("Row", {"row": {"column": 1.0}}, row=(row, ...))
        rows = Annotated[list[row], Field(min_length=1, max_length=options.max_batch)]
        self.many = make_body("Rows", {"rows": [{"column": 1.0}, {"column": 2.0}]}, rows=(rows, ...))

    def of_one(self, body: Any) -> Mapping[str, Any]:
        row: dict[str, Any] = body.row
        return row

    def of_many(self, body: Any) -> Sequence[Mapping[str, Any]]:
        rows: list[dict[str, Any]] = body.rows
        return rows

    def predict(self, predictor: Predictor, items: Sequence[Mapping[str, Any]]) -> list[Answer]:
        return _records(predictor.predict(pd.DataFrame.from_records(items)))


def kind_of(predictor: Predictor) -> Callable[[Options], Kind]:
    """The kind of a loaded model."""
    if isinstance(predictor, TextModel):
        return Texts
    return Pairs if is_recommender(predictor) else Rows


def answer_models(kind: Kind) -> tuple[type[BaseModel], type[BaseModel]]:
    """The answers to `/predict` and `/predict/batch`, for the OpenAPI document."""
    one = create_model("Prediction", __base__=kind.item, model=(ModelName, ...))
    predictions = list[kind.item]  # type: ignore[name-defined]  # a type known when it runs
    return one, create_model("Predictions", predictions=(predictions, ...), model=(ModelName, ...))


def make_body(name: str, example: Mapping[str, Any], **fields: Any) -> type[Body]:
    """A request with an example, for models made for a service's limits."""
    made = create_model(name, __base__=Body, **fields)
    made.model_config["json_schema_extra"] = {"examples": [dict(example)]}
    made.model_rebuild(force=True)
    return made


def _check_row(most: int, row: Any) -> Any:
    """One error for a row, where there would be one for each value and each type that it might have."""
    for name, value in row.items() if isinstance(row, dict) else ():
        if isinstance(value, str):
            fits = len(value) <= most
        else:
            fits = value is None or isinstance(value, float) or (isinstance(value, int) and -(2**63) <= value < 2**63)
        if not fits:
            said = (
                f"{{column}}: a text of at most {most} characters, a number of 64 bits, true, false or null is expected"
            )
            raise PydanticCustomError("row_value", said, {"column": name[:100]})
    return row


def _records(frame: pd.DataFrame) -> list[Answer]:
    """Rows as JSON has them: no NaN, no infinity."""
    columns = {str(name): [_plain(value) for value in frame[name].tolist()] for name in frame.columns}
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return [_plain(one) for one in value.tolist()]
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value)
