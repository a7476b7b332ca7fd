"""The routes of the service."""

# Annotations stay objects here: those of the routes are models made for the kind of model that is served.

import math
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from fastapi import Depends, FastAPI, Response
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from fastapi.security import APIKeyHeader
from fastapi_offline import FastAPIOffline
from pydantic import BaseModel
from starlette.exceptions import HTTPException

import sweeps
from sweeps.serve.batching import InTurn, Together
from sweeps.serve.guard import API_KEY_HEADER, Guard
from sweeps.serve.holder import ModelHolder, Served
from sweeps.serve.kinds import Answer, Body, Pairs, answer_models
from sweeps.serve.metrics import Metrics
from sweeps.serve.options import Options
from sweeps.serve.problems import Problem, documented, on_http_error, on_invalid, on_problem
from sweeps.tasks.recommender import Recommender
from sweeps.tracking.background_log import SINGLE, BackgroundLog
from sweeps.tracking.prediction_batch import PredictionBatch

_BATCHES_AT_ONCE = 2
_OF_BODIES = (408, 413, 415, 422, 503, 504)


class Service:
    """What the routes share: the model, the threads that predict, and the counters.

    Args:
        holder: follows the alias while the service runs.
        options: limits and guards.
        metrics: counters.
        log: of predictions; None: they are not logged.
    """

    def __init__(
        self, holder: ModelHolder, options: Options, metrics: Metrics, log: BackgroundLog | None = None
    ) -> None:
        self.holder = holder
        self.options = options
        self.metrics = metrics
        self._log = log
        self._together = Together(self._predict_singles, options.max_waiting)
        self.in_turn = InTurn(_BATCHES_AT_ONCE, options.max_waiting)

    async def predict_one(self, item: Any) -> Answer:
        """The answer for one item, with the version that gave it."""
        answer: Answer = await self._together.ask(item)
        return answer

    async def predict_many(self, items: Sequence[Any], source: str) -> tuple[Served, list[Answer]]:
        """Answers for items, all of one version."""
        return await self.in_turn.run(self._predict, list(items), source)

    def start(self) -> None:
        """Begin to follow the alias and to log."""
        self.holder.start()
        if self._log is not None:
            self._log.start()
            self.metrics.log_waiting.set_function(self._log.waiting)

    def close(self) -> None:
        """End the threads, and flush the log."""
        self.holder.stop()
        self._together.close()
        self.in_turn.close()
        if self._log is not None:
            self._log.close()

    def _predict_singles(self, items: list[Any]) -> list[Answer]:
        served, answers = self._predict(items, SINGLE)
        model = model_name(served)
        return [answer | {"model": model} for answer in answers]

    def _predict(self, items: list[Any], source: str) -> tuple[Served, list[Answer]]:
        served = self.holder.current
        start = time.perf_counter()
        answers = served.predict(items)
        seconds = time.perf_counter() - start
        self.metrics.predictions.labels(served.version.number or "").inc(len(answers))
        if self._log is not None:
            inputs = items if self.options.log_inputs else None
            self._log.add(_batch(served, source, answers, seconds, inputs))
        return served, answers


def _batch(
    served: Served, source: str, answers: Sequence[Answer], seconds: float, inputs: Sequence[Any] | None
) -> PredictionBatch:
    version = served.version
    return PredictionBatch.of(
        [answer["prediction"] for answer in answers],
        [answer.get("confidence") for answer in answers],
        model=version.name,
        version=version.number,
        run_id=version.run_id,
        source=source,
        seconds=seconds,
        positive_label=version.positive_label,
        inputs=inputs,
    )


def model_name(served: Served) -> dict[str, str | None]:
    """The version that answered, as answers name it."""
    return {"name": served.version.name, "version": served.version.number}


def make_app(service: Service, on_start: Callable[[], None] = lambda: None) -> FastAPI:
    """The application around a service.

    Args:
        service: started and closed with the application.
        on_start: called when requests can be answered.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.start()
        on_start()
        try:
            yield
        finally:
            service.close()

    options = service.options
    app = FastAPIOffline(
        title=f"sweeps: {service.holder.current.version.name}",
        version=sweeps.__version__,
        description=f"Predictions of `{service.holder.model_uri}`.",
        lifespan=lifespan,
        responses=documented(401) if options.api_key else None,
        dependencies=[Depends(APIKeyHeader(name=API_KEY_HEADER, auto_error=False))] if options.api_key else None,
    )
    app.add_exception_handler(Problem, on_problem)
    app.add_exception_handler(HTTPException, on_http_error)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_middleware(Guard, options=options, metrics=service.metrics)
    if options.origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=options.origins, allow_methods=["GET", "POST"], allow_headers=["*"]
        )
    _add_predictions(app, service)
    if isinstance(service.holder.current.kind, Pairs):
        _add_recommend(app, service, service.holder.current.kind)
    _add_about(app, service)
    return app


def _add_predictions(app: FastAPI, service: Service) -> None:
    kind = service.holder.current.kind
    one_answer, many_answer = answer_models(kind)
    one, many = kind.one, kind.many

    @app.post("/predict", response_model=one_answer, responses=documented(*_OF_BODIES), tags=["predictions"])
    async def predict(body: one) -> Response:  # type: ignore[valid-type]
        """Predict one."""
        return JSONResponse(await service.predict_one(kind.of_one(body)))

    @app.post("/predict/batch", response_model=many_answer, responses=documented(*_OF_BODIES), tags=["predictions"])
    async def predict_batch(body: many) -> Response:  # type: ignore[valid-type]
        """Predict many, all by one version of the model."""
        served, answers = await service.predict_many(kind.of_many(body), "batch")
        return JSONResponse({"predictions": answers, "model": model_name(served)})


class RecommendedItem(BaseModel):
    """An item and the rating predicted for it."""

    item: int | str
    prediction: float


class Recommended(BaseModel):
    """The best items that a user has not rated, best first."""

    items: list[RecommendedItem]
    model: dict[str, str | None]


def _add_recommend(app: FastAPI, service: Service, kind: Pairs) -> None:
    body_model: type[Body] = kind.recommend

    @app.post("/recommend", response_model=Recommended, responses=documented(*_OF_BODIES), tags=["predictions"])
    async def recommend(body: body_model) -> Response:  # type: ignore[valid-type]
        """The items with the highest predictions among those that a user has not rated; to an unknown user, of all."""
        asked: Any = body
        return JSONResponse(await service.in_turn.run(_recommend, service.holder.current, asked.user, asked.n))


def _recommend(served: Served, user: int | str, n: int) -> dict[str, Any]:
    assert isinstance(served.predictor, Recommender)  # noqa: S101 - for mypy: the route is made for this kind alone
    frame = served.predictor.recommend(user, n)
    items = zip(frame[served.predictor.item_column].tolist(), frame["prediction"].tolist(), strict=True)
    return {"items": [{"item": item, "prediction": value} for item, value in items], "model": model_name(served)}


class About(BaseModel):
    """The model being served.

    `promoted` is when `champion` was last pointed at this version by sweeps, null if never; `trouble` says why the
    version that the alias points at is not taken, null if all is well.
    """

    name: str
    version: str | None
    run_id: str | None
    metrics: dict[str, float]
    promoted: str | None
    serving_since: str
    positive_label: str | None
    follows: str
    trouble: str | None


class Health(BaseModel):
    """That the service answers; `trouble` as in `/model`."""

    status: str
    version: str | None
    trouble: str | None


def _add_about(app: FastAPI, service: Service) -> None:
    @app.get("/model", response_model=About, tags=["about"])
    async def model() -> Response:
        """What is served: name, version, metrics, when it was promoted."""
        served = service.holder.current
        version = served.version
        return JSONResponse(
            {
                **model_name(served),
                "run_id": version.run_id,
                "metrics": {name: value for name, value in version.metrics.items() if math.isfinite(value)},
                "promoted": version.promoted.isoformat() if version.promoted else None,
                "serving_since": served.since.isoformat(timespec="seconds"),
                "positive_label": version.positive_label,
                "follows": service.holder.model_uri,
                "trouble": service.holder.trouble,
            }
        )

    @app.get("/health", response_model=Health, tags=["about"])
    async def health() -> Response:
        """Whether predictions are answered. A tracking server out of reach is trouble, but not a failure."""
        version, trouble = service.holder.current.version.number, service.holder.trouble
        return JSONResponse({"status": "ok", "version": version, "trouble": trouble})

    @app.get(
        "/metrics",
        response_class=Response,
        responses={200: {"content": {service.metrics.content_type: {"schema": {"type": "string"}}}}},
        tags=["about"],
    )
    async def metrics() -> Response:
        """Counters for Prometheus."""
        return Response(service.metrics.exposition(), media_type=service.metrics.content_type)
