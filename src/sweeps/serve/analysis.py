"""`/analyze/youtube`: a video's comments, predicted and summed up."""

# Annotations stay objects here: the body's is made for the service's limits.

import math
from collections import Counter
from typing import Annotated, Any

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from sweeps.serve.kinds import WHOLE, Label, ModelName, make_body
from sweeps.serve.problems import documented
from sweeps.serve.service import Service, model_name
from sweeps.serve.youtube import VIDEO, YouTube, video_id

_EXAMPLE = {"video": "https://www.youtube.com/watch?v=dQw4w9WgXcQ", "max_comments": 200}


class AnalyzedComment(BaseModel):
    """A comment and what the model says of it."""

    id: str
    text: str
    likes: int
    published: str
    prediction: Label
    confidence: float | None


class Analysis(BaseModel):
    """A video's comments.

    `labels` counts the predictions; `positive` is the share of the model's positive label, null where it has none;
    `note` says why there may be more comments, null if these are all.
    """

    video: str
    n_comments: int
    labels: dict[str, int]
    positive: float | None
    mean_confidence: float | None
    note: str | None
    comments: list[AnalyzedComment]
    model: ModelName


def add_youtube(router: APIRouter, service: Service, youtube: YouTube) -> None:
    """Add the route."""
    most = service.options.max_batch
    body_model = make_body(
        "Video",
        _EXAMPLE | {"max_comments": min(200, most)},
        video=(Annotated[str, Field(max_length=2_000, json_schema_extra={"pattern": VIDEO})], ...),
        max_comments=(Annotated[int, Field(ge=1, le=most), WHOLE], min(200, most)),
    )

    @router.post(
        "/analyze/youtube",
        response_model=Analysis,
        responses=documented(404, 408, 413, 415, 422, 502, 503, 504),
        tags=["predictions"],
    )
    async def analyze_youtube(body: body_model) -> Response:  # type: ignore[valid-type]  # made for the kind of model
        """Predict the top-level comments of a video, the most relevant first."""
        asked: Any = body
        video = video_id(asked.video)
        found = await youtube.comments(video, asked.max_comments)
        texts = [comment.text[: service.options.max_text] for comment in found.comments]
        served, answers = await service.predict_many(texts, "youtube") if texts else (service.holder.current, [])
        positive = served.version.positive_label
        labels = Counter(str(answer["prediction"]) for answer in answers)
        known = [answer["confidence"] for answer in answers if answer["confidence"] is not None]
        return JSONResponse(
            {
                "video": video,
                "n_comments": len(answers),
                "labels": dict(labels.most_common()),
                "positive": labels[positive] / len(answers) if positive is not None and answers else None,
                "mean_confidence": math.fsum(known) / len(known) if known else None,
                "note": found.note,
                "comments": [vars(comment) | answer for comment, answer in zip(found.comments, answers, strict=True)],
                "model": model_name(served),
            }
        )
