"""HTTP on connections that have limits: uvicorn itself has none for headers, nor for how long a client may take."""

from __future__ import annotations

import asyncio
import socket
from collections import deque

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from sweeps.serve.problems import Problem

_MOST_IN_HEADERS = 64 * 2**10  # bytes
_MOST_AT_ONCE = 100  # requests that a client sends without waiting for the answers
_SECONDS_TO_END = 0.2  # for a request that is on its way when the service is told to end
_SECONDS_TO_LEAVE = 2.0  # for a client that is told that it makes no sense

_NO_HTTP = Problem(400, "bad_request", "The request is not HTTP as the service understands it.")
_HEADERS_TOO_LARGE = Problem(
    431, "headers_too_large", f"The address and headers have more than {_MOST_IN_HEADERS:,} bytes, which is the limit."
)
_TOO_MANY_AT_ONCE = Problem(
    400, "too_many_at_once", f"More than {_MOST_AT_ONCE} requests are waiting on one connection, which is the limit."
)


class PatientServer(uvicorn.Server):
    """Takes the connections that have been made before it closes its port: the system would reset them."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for listener in sockets or []:
            listener.listen(0)  # no more than one waits from now on
        await asyncio.sleep(_SECONDS_TO_END)
        await super().shutdown(sockets)


class LimitedProtocol(HttpToolsProtocol):
    """Ends every connection that takes too long or too much; while a request is answered, the Guard times it.

    Attributes:
        patience: seconds for the headers; after them for the answer, and as long again for a client to take it.
        most_connections: beyond which new ones are cut off at once.
    """

    patience = 30.0
    most_connections = 2_000
    _due: asyncio.TimerHandle | None = None
    _header_size = 0
    _in_headers = False
    _in_body = False
    _is_ending = False
    _refusal: Problem | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn says BaseTransport
        self._unanswered: deque[RequestResponseCycle] = deque()
        super().connection_made(transport)
        if len(self.connections) > self.most_connections:
            transport.abort()
        self._end_in(self.patience)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_in(None)
        self._answer_no_more()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refusal is not None:  # it is read until the client leaves, so that the answer reaches it
            return
        was_in_headers = self._in_headers
        super().data_received(data)
        if was_in_headers and self._in_headers and self._refusal is None:  # a header that does not end
            self._header_size += len(data)
            if self._header_size > _MOST_IN_HEADERS:
                self._refuse(_HEADERS_TOO_LARGE)

    def send_400_response(self, msg: str) -> None:
        self._refuse(_NO_HTTP)

    def on_message_begin(self) -> None:
        self._in_headers, self._in_body, self._header_size = True, True, 0
        self._end_in(self.patience)
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._count(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:  # also of what may follow a body
        self._count(name, value)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_headers = False
        if len(self.pipeline) >= _MOST_AT_ONCE:
            self._refuse(_TOO_MANY_AT_ONCE)
            raise ValueError(_TOO_MANY_AT_ONCE.message)
        self._end_in(2 * self.patience)
        super().on_headers_complete()
        self._unanswered.append(self.cycle)
        if self._is_ending:
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        self._in_body = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self._unanswered.popleft()
        super().on_response_complete()
        if self.pipeline:
            self._end_in(2 * self.patience)
        elif not self._in_body and not self.transport.get_write_buffer_size():
            self._end_in(None)  # otherwise the client still has to send its body, or to take the answer

    def shutdown(self) -> None:
        """Called when the service is told to end; a request that is on its way then is answered."""
        if self._refusal is None and (self.cycle is None or self.cycle.response_complete):
            self._is_ending = True
            if self._in_headers:
                return
            if not self.transport.get_write_buffer_size():
                self._end_in(_SECONDS_TO_END)
                return
        super().shutdown()

    def _count(self, *parts: bytes) -> None:
        self._header_size += sum(map(len, parts))
        if self._header_size > _MOST_IN_HEADERS:
            self._refuse(_HEADERS_TOO_LARGE)
            raise ValueError(_HEADERS_TOO_LARGE.message)  # which ends the parsing

    def _refuse(self, problem: Problem) -> None:
        """Answer what is no request that the service could take, and hear no more."""
        if self._refusal is not None or self.transport.is_closing():
            return
        self._refusal = problem
        is_amid_answer = bool(self._unanswered) and self._unanswered[0].response_started
        self._answer_no_more()
        if is_amid_answer:
            self.transport.abort()
            return
        answer = problem.response()
        lines = [f"HTTP/1.1 {problem.status} Refused", "connection: close"]
        lines += [f"{name.decode()}: {value.decode()}" for name, value in answer.raw_headers]
        self.transport.write("\r\n".join([*lines, "", ""]).encode() + bytes(answer.body))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._end_in(_SECONDS_TO_LEAVE)

    def _answer_no_more(self) -> None:
        """Have all requests know that nobody is there; uvicorn tells the last one alone."""
        for cycle in self._unanswered:
            cycle.disconnected = True
            cycle.message_event.set()
        self._unanswered.clear()

    def _end_in(self, seconds: float | None) -> None:
        """End the connection unless something happens until then; None: it may be idle."""
        if self._due is not None:
            self._due.cancel()
        self._due = None if seconds is None else self.loop.call_later(seconds, self.transport.abort)


def limited_protocol(patience: float, most_connections: int) -> type[LimitedProtocol]:
    """The protocol with its limits, for `uvicorn.Config(http=...)`."""
    return type("LimitedProtocol", (LimitedProtocol,), {"patience": patience, "most_connections": most_connections})
