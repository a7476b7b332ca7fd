"""Errors of the service, all of one shape: a short code for programs and a sentence for people.

Nothing of the request's content but its keys is repeated: texts belong to whoever sent them, and logs and proxies keep
answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

_NOT_JSON = "the body is not JSON; send application/json in UTF-8"
_CODES = {404: "not_found", 405: "method_not_allowed"}


class ProblemAnswer(BaseModel):
    """What every error looks like."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"error": "invalid", "message": "texts: at most 1000"}]})

    error: str = Field(description="a short code")
    message: str = Field(description="what is wrong, and what would be right")


class Problem(Exception):  # noqa: N818 - what HTTP calls it (RFC 9457)
    """An error to be answered.

    Args:
        status: the HTTP status.
        code: short and stable, for programs.
        message: a sentence for people.
        headers: more headers of the answer.
    """

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.headers = status, code, message, dict(headers or {})

    def response(self) -> JSONResponse:
        """The answer."""
        return JSONResponse({"error": self.code, "message": self.message}, self.status, self.headers)


def documented(*statuses: int) -> dict[int | str, dict[str, object]]:
    """The error statuses of a route, for its OpenAPI entry."""
    return {status: {"model": ProblemAnswer, "description": _MEANING[status]} for status in statuses}


async def on_problem(_: Request, error: Exception) -> JSONResponse:
    """Answer a `Problem`."""
    assert isinstance(error, Problem)  # noqa: S101 - for mypy: registered for it
    return error.response()


async def on_http_error(_: Request, error: Exception) -> JSONResponse:
    """Answer what the framework itself refuses: unknown paths and methods."""
    assert isinstance(error, HTTPException)  # noqa: S101 - for mypy: registered for it
    if error.status_code == 400:  # bytes that are no text, or nested too deep to read
        return Problem(422, "invalid", _NOT_JSON).response()
    if error.status_code == 422:  # JSON of more than one meaning, or none
        return Problem(422, "invalid", error.detail).response()
    code = _CODES.get(error.status_code, "refused")
    return Problem(error.status_code, code, f"{error.detail}. See /docs.", error.headers).response()


async def on_unreadable(_: Request, error: Exception) -> JSONResponse:
    """Answer what the model itself refuses to read."""
    return Problem(422, "invalid", str(error)).response()


async def on_slow_model(_: Request, error: Exception) -> JSONResponse:
    """Answer where the model was given up."""
    return Problem(504, "prediction_timeout", str(error)).response()


async def on_invalid(_: Request, error: Exception) -> JSONResponse:
    """Answer a body that does not fit the route, naming the first three places."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 - for mypy: registered for it
    messages: dict[str, list[str]] = {}  # of one place there are several where several types would do
    for one in error.errors():
        if one["type"] == "json_invalid":
            messages = {"": [_NOT_JSON]}
            break
        messages.setdefault(f"{_place(one, error.body) or 'body'}: ", []).append(one["msg"])
    sentences = [place + ", or: ".join(dict.fromkeys(said)) for place, said in messages.items()]
    return Problem(422, "invalid", "; ".join(sentence[:300] for sentence in sentences[:3])).response()


def _place(error: Mapping[str, Any], body: Any) -> str:
    """Where in the body an error is, without what pydantic adds: which of several types it tried."""
    *parents, last = error["loc"][1:] or [""]
    here, place = body, []
    for part in parents + ([] if error["type"] == "missing" else [last]):
        if (isinstance(here, dict) and part in here) or (isinstance(here, list) and isinstance(part, int)):
            here = here[part]
            place.append(str(part))
    return ".".join([*place, last] if error["type"] == "missing" else place)


_MEANING = {
    401: "The API key is missing or wrong.",
    404: "There is no such thing.",
    408: "The request did not arrive in time.",
    413: "The body is too large.",
    415: "The body is not application/json.",
    422: "The body does not fit.",
    502: "YouTube cannot be reached or does not make sense.",
    503: "Too much is waiting, or something the service needs is missing. Try again later.",
    504: "The answer took too long.",
}
