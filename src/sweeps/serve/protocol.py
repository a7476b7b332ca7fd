"""HTTP on connections whose requests have to arrive: uvicorn itself waits for the end of the headers for ever."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class PromptProtocol(HttpToolsProtocol):
    """Closes a connection that is slow with its headers; what follows them is the Guard's to time.

    Attributes:
        header_timeout: seconds from the connection, or a later request's first byte, to the end of the headers.
    """

    header_timeout = 30.0
    _headers_due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn says BaseTransport
        super().connection_made(transport)
        self._expect_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        self._have_headers()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        self._expect_headers()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._have_headers()
        super().on_headers_complete()

    def _expect_headers(self) -> None:
        if self._headers_due is None:
            self._headers_due = self.loop.call_later(self.header_timeout, self.transport.abort)

    def _have_headers(self) -> None:
        if self._headers_due is not None:
            self._headers_due.cancel()
            self._headers_due = None


def prompt_protocol(header_timeout: float) -> type[PromptProtocol]:
    """The protocol with a time-out, for `uvicorn.Config(http=...)`."""
    return type("PromptProtocol", (PromptProtocol,), {"header_timeout": header_timeout})
