"""An HTTP proxy on loopback in front of a real server, that answers late, with an error, or with half an answer."""

from __future__ import annotations

import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LATE = 2.0  # seconds
_ANSWER_OF = {"500": 500, "429": 429, "502": 502}


class FaultyProxy:
    """Passes requests on, and has the trouble that it is told to have.

    Args:
        target: the real server's address.

    Attributes:
        uri: its own address.
        trouble: "", "late", "500", "429", "502" (whose request has been carried out), "cut": half of
            the answer, or "torn": the connection ends in the middle of it.
        is_troubled: tells by a request's path whether it meets the trouble.
        n_troubled: requests that met it.
    """

    def __init__(self, target: str) -> None:
        self.trouble = ""
        self.is_troubled: Callable[[str], bool] = lambda path: True
        self.n_troubled = 0
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _pass_on(self) -> None:
                trouble = proxy.trouble if proxy.is_troubled(self.path) else ""
                proxy.n_troubled += bool(trouble)
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if trouble == "late":
                    time.sleep(LATE)
                if trouble in ("500", "429"):
                    self._answer(_ANSWER_OF[trouble], b"the proxy is in trouble")
                    return
                status, answer = proxy._ask(target + self.path, self.command, body, dict(self.headers))
                if trouble == "502":
                    status, answer = _ANSWER_OF[trouble], b"the answer was lost"
                is_half = trouble in ("cut", "torn")
                self._answer(status, answer[: len(answer) // 2] if is_half else answer, is_torn=trouble == "torn")

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass_on  # noqa: N815 - as the base class has them

            def _answer(self, status: int, body: bytes, *, is_torn: bool = False) -> None:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body) + is_torn))
                self.end_headers()
                self.wfile.write(body)
                self.close_connection = is_torn

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.uri = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    @staticmethod
    def _ask(url: str, method: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        kept = {name: value for name, value in headers.items() if name.lower() in ("content-type", "accept")}
        request = urllib.request.Request(url, body or None, kept, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
