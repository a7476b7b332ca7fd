"""What every request passes before a route sees it: the key, the body's size and kind, the time, and the counting."""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
import traceback

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sweeps.base.redact import without_passwords
from sweeps.serve.batching import too_busy
from sweeps.serve.metrics import Metrics
from sweeps.serve.options import Options
from sweeps.serve.problems import Problem

API_KEY_HEADER = "X-API-Key"
OPEN_PATHS = ("/health", "/docs", "/redoc", "/openapi.json", "/static-offline-docs/")

_BODIES_AT_ONCE = 32  # of the largest size allowed: what the bodies of all requests together may take
_HELD = "sweeps.body_bytes"  # of a request, which are given back when it is answered

_log = logging.getLogger(__name__)


class Guard:
    """ASGI middleware around every route.

    Args:
        app: what it guards.
        options: limits and the key.
        metrics: where requests are counted, by route, so that made-up paths make no new series.
    """

    def __init__(self, app: ASGIApp, options: Options, metrics: Metrics) -> None:
        self._app = app
        self._options = options
        self._metrics = metrics
        self._room = _BODIES_AT_ONCE * options.max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start = time.perf_counter()
        status = 0

        async def counting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            async with asyncio.timeout(self._options.timeout):
                await self._answer(scope, receive, counting)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - the last place to answer
            problem = self._problem(error, arrived="sweeps.arrived" in scope)
            if not status:  # otherwise a part of the answer is out already
                await problem.response()(scope, receive, counting)
        finally:
            self._room += scope.get(_HELD, 0)
            self._metrics.answered(self._counted_as(scope), status, time.perf_counter() - start)

    def _counted_as(self, scope: Scope) -> str:
        """The route of a request; of one refused before it had a route, its path, if there is such a route."""
        route = scope.get("route")
        if route is not None:
            return str(getattr(route, "path", "other"))
        return str(scope["path"]) if scope["path"] in scope["app"].openapi()["paths"] else "other"

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        self._check_key(scope["path"], headers)
        if scope["method"] == "POST":
            self._check_content_type(headers)
            receive = _replay(await self._body(scope, headers, receive), receive)
        scope["sweeps.arrived"] = True
        await self._app(scope, receive, send)

    def _check_key(self, path: str, headers: Headers) -> None:
        key = self._options.api_key
        if key is None or path.startswith(OPEN_PATHS):
            return
        if not hmac.compare_digest(headers.get(API_KEY_HEADER, "").encode("latin-1"), key.encode()):
            raise Problem(401, "unauthorized", f"Send the service's key in the header {API_KEY_HEADER}.")

    def _check_content_type(self, headers: Headers) -> None:
        kind = headers.get("content-type", "application/json").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise Problem(415, "not_json", "Send the body as application/json.")

    async def _body(self, scope: Scope, headers: Headers, receive: Receive) -> bytes:
        """The whole body, refused as soon as it is known to be too large, or too much with those of others."""
        limit = self._options.max_body
        too_large = Problem(413, "body_too_large", f"The body has more than {limit:,} bytes, which is the limit.")
        declared = headers.get("content-length", "0")
        if declared.isdecimal() and int(declared) > limit:
            raise too_large
        body, more = bytearray(), True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Problem(400, "disconnected", "The client left.")
            part: bytes = message.get("body", b"")
            body += part
            if len(body) > limit:
                raise too_large
            if len(part) > self._room:
                raise too_busy()
            self._room -= len(part)
            scope[_HELD] = len(body)
            more = message.get("more_body", False)
        return bytes(body)

    def _problem(self, error: Exception | asyncio.CancelledError, *, arrived: bool) -> Problem:
        if isinstance(error, Problem):
            return error
        if isinstance(error, TimeoutError):
            if not arrived:
                return Problem(408, "body_timeout", f"The body did not arrive within {self._options.timeout:g} s.")
            return Problem(504, "timeout", f"No answer within {self._options.timeout:g} s.")
        if isinstance(error, asyncio.CancelledError):
            return Problem(503, "ending", "The service was told to end at once.", {"Retry-After": "1"})
        *_, where = traceback.extract_tb(error.__traceback__)
        kind = f"{type(error).__name__} at {where.filename}:{where.lineno}"
        _log.error("%s", without_passwords("".join(traceback.format_exception(error))), extra={"kind": kind})
        return Problem(500, "internal", "The service failed; its log says how.")


def _replay(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def replayed() -> Message:
        nonlocal sent
        if sent:
            return await receive()  # the client's leaving
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed
