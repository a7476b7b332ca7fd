"""Bodies read as strictly as JSON is defined: Python's own reader takes NaN, 1e999, and the last of two equal keys."""

from __future__ import annotations

import gc
import json
import math
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException


class JsonRoute(APIRoute):
    """A route whose body is read strictly; for `APIRouter(route_class=...)`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def read_strictly(request: Request) -> Response:
            return await handler(_JsonRequest(request.scope, request.receive))

        return read_strictly


class _JsonRequest(Request):
    async def json(self) -> Any:
        return read_json(await self.body())


def read_json(content: bytes) -> Any:
    """What a body says.

    Raises:
        json.JSONDecodeError, UnicodeDecodeError: it is no JSON.
        HTTPException: it is, but with more than one meaning, or none.
    """
    was_enabled = gc.isenabled()
    gc.disable()  # it would look through millions of new lists again and again
    try:
        return json.loads(content, object_pairs_hook=_unambiguous, parse_constant=_refuse_constant, parse_float=_finite)
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise
    except RecursionError:
        raise _unreadable("the body is nested too deep") from None
    except ValueError:  # Python's own limit
        raise _unreadable("the body has a number of too many digits") from None
    finally:
        if was_enabled:
            gc.enable()


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]  # it adds
        raise _unreadable(f"the body has the key {twice[:100]!r} more than once")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise _unreadable(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise _unreadable("the body has a number that is too large")
    return number


def _unreadable(message: str) -> HTTPException:
    return HTTPException(422, message)
