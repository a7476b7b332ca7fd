"""The routes of the service."""

# Annotations stay objects here: those of the routes are models made for the kind of model that is served.

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Response
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from fastapi.security import APIKeyHeader
from fastapi_offline import FastAPIOffline
from pydantic import BaseModel
from starlette.exceptions import HTTPException

import sweeps
from sweeps.base.errors import DataError, PredictionTimeoutError
from sweeps.serve.analysis import add_youtube
from sweeps.serve.guard import API_KEY_HEADER, Guard
from sweeps.serve.holder import Served
from sweeps.serve.json_body import JsonRoute
from sweeps.serve.kinds import Body, Pairs, Texts, answer_models
from sweeps.serve.problems import (
    Problem,
    documented,
    on_http_error,
    on_invalid,
    on_problem,
    on_slow_model,
    on_unreadable,
)
from sweeps.serve.service import Service, model_name
from sweeps.serve.youtube import YouTube
from sweeps.tasks.ratings import is_recommender

_OF_BODIES = (408, 413, 415, 422, 503, 504)


def make_app(
    service: Service, on_start: Callable[[], None] = lambda: None, on_end: Callable[[], None] = lambda: None
) -> FastAPI:
    """The application around a service.

    Args:
        service: started and closed with the application.
        on_start: called when requests can be answered.
        on_end: called when the last one is answered, and the log is flushed.
    """

    youtube = YouTube()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.start()
        on_start()
        try:
            yield
        finally:
            await asyncio.to_thread(service.close)
            await youtube.close()
            on_end()

    options = service.options
    app = FastAPIOffline(
        title=f"sweeps: {service.holder.current.version.name}",
        version=sweeps.__version__,
        description=f"Predictions of `{service.holder.model_uri}`.",
        lifespan=lifespan,
    )
    guarded = APIRouter(
        route_class=JsonRoute,
        responses=documented(401) if options.api_key else None,
        dependencies=[Depends(APIKeyHeader(name=API_KEY_HEADER, auto_error=False))] if options.api_key else None,
    )
    app.add_exception_handler(Problem, on_problem)
    app.add_exception_handler(HTTPException, on_http_error)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(DataError, on_unreadable)
    app.add_exception_handler(PredictionTimeoutError, on_slow_model)
    app.add_middleware(Guard, options=options, metrics=service.metrics)
    if options.origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=options.origins, allow_methods=["GET", "POST"], allow_headers=["*"]
        )
    _add_predictions(guarded, service)
    if isinstance(service.holder.current.kind, Pairs):
        _add_recommend(guarded, service, service.holder.current.kind)
    if isinstance(service.holder.current.kind, Texts):
        add_youtube(guarded, service, youtube)
    _add_about(guarded, service)
    app.include_router(guarded)
    _add_health(app, service)
    return app


def _add_predictions(router: APIRouter, service: Service) -> None:
    kind = service.holder.current.kind
    one_answer, many_answer = answer_models(kind)
    one, many = kind.one, kind.many

    @router.post("/predict", response_model=one_answer, responses=documented(*_OF_BODIES), tags=["predictions"])
    async def predict(body: one) -> Response:  # type: ignore[valid-type]  # made for the kind of model
        """Predict one."""
        return JSONResponse(await service.predict_one(kind.of_one(body)))

    @router.post("/predict/batch", response_model=many_answer, responses=documented(*_OF_BODIES), tags=["predictions"])
    async def predict_batch(body: many) -> Response:  # type: ignore[valid-type]  # made for the kind of model
        """Predict many, all by one version of the model."""
        served, answers = await service.predict_many(kind.of_many(body), "batch")
        return JSONResponse({"predictions": answers, "model": model_name(served)})


class RecommendedItem(BaseModel):
    """An item and the rating predicted for it; `was_impossible` as in `/predict`, always so for an unknown user."""

    item: int | str
    prediction: float
    was_impossible: bool


class Recommended(BaseModel):
    """The best items that a user has not rated, best first."""

    items: list[RecommendedItem]
    model: dict[str, str | None]


def _add_recommend(router: APIRouter, service: Service, kind: Pairs) -> None:
    body_model: type[Body] = kind.recommend

    @router.post("/recommend", response_model=Recommended, responses=documented(*_OF_BODIES), tags=["predictions"])
    async def recommend(body: body_model) -> Response:  # type: ignore[valid-type]  # made for the kind of model
        """The items with the highest predictions among those that a user has not rated; to an unknown user, of all."""
        asked: Any = body
        return JSONResponse(await service.in_turn.run(_recommend, service.holder.current, asked.user, asked.n))


def _recommend(served: Served, user: int | str, n: int) -> dict[str, Any]:
    assert is_recommender(served.predictor)  # noqa: S101 - for mypy: the route is made for this kind alone
    frame = served.predictor.recommend(user, n)
    items = frame.rename(columns={served.predictor.item_column: "item"}).to_dict("records")
    return {"items": items, "model": model_name(served)}


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


def _add_about(router: APIRouter, service: Service) -> None:
    @router.get("/model", response_model=About, tags=["about"])
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

    @router.get(
        "/metrics",
        response_class=Response,
        responses={200: {"content": {service.metrics.content_type: {"schema": {"type": "string"}}}}},
        tags=["about"],
    )
    async def metrics() -> Response:
        """Counters for Prometheus."""
        return Response(service.metrics.exposition(), media_type=service.metrics.content_type)


def _add_health(app: FastAPI, service: Service) -> None:
    """What needs no key: whoever restarts a service asks it."""

    @app.get("/health", response_model=Health, tags=["about"])
    async def health() -> Response:
        """Whether predictions are answered. A tracking server out of reach is trouble, but not a failure."""
        version, trouble = service.holder.current.version.number, service.holder.trouble
        return JSONResponse({"status": "ok", "version": version, "trouble": trouble})
