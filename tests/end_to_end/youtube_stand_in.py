"""A stand-in for `commentThreads.list` of the YouTube Data API v3 on loopback, after its public documentation.

Parameters, resource and errors are those of https://developers.google.com/youtube/v3/docs/commentThreads/list and
https://developers.google.com/youtube/v3/docs/errors.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

KEY = "the-secret-key"
KNOWN = {"part", "videoId", "maxResults", "order", "textFormat", "key", "pageToken"}


@dataclass
class StandIn:
    """What the server knows and has seen.

    Attributes:
        videos: comments by video id; None: comments are disabled.
        quota: requests that are left.
        raw: status and body to answer with instead, whatever is asked.
        headers: more headers of every answer.
        is_endless: send the body of `raw` again and again.
        delay: seconds before any answer.
        requests: the query of each request.
        paths: the path of each request.
    """

    address: str = ""
    videos: dict[str, list[str] | None] = field(default_factory=dict)
    quota: int = 1_000
    raw: tuple[int, bytes] | None = None
    headers: dict[str, str] = field(default_factory=dict)
    is_endless: bool = False
    delay: float = 0.0
    requests: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    def answer(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
        """Status and body for a request."""
        if path != "/youtube/v3/commentThreads":
            return _error(404, "notFound", "Not Found", "global")
        if "key" not in query:
            return _error(403, "forbidden", "Method doesn't allow unregistered callers.", "global")
        if query["key"] != KEY:
            status, body = _error(400, "badRequest", "API key not valid. Please pass a valid API key.", "global")
            body["error"]["details"] = [{"reason": "API_KEY_INVALID", "domain": "googleapis.com"}]
            return status, body
        size = int(query.get("maxResults", "20"))
        if not KNOWN.issuperset(query) or query.get("part") != "snippet" or not 1 <= size <= 100:
            return _error(400, "invalidParameter", "Invalid value", "global")
        if self.quota <= 0:
            return _error(403, "quotaExceeded", 'You have exceeded your <a href="/quota">quota</a>.', "youtube.quota")
        self.quota -= 1
        video = query.get("videoId", "")
        if video not in self.videos:
            return _error(404, "videoNotFound", "The video cannot be found.", "youtube.commentThread")
        comments = self.videos[video]
        if comments is None:
            return _error(403, "commentsDisabled", "The video has disabled comments.", "youtube.commentThread")
        start = int(query.get("pageToken", "p0")[1:])
        page = [_thread(video, number, text) for number, text in enumerate(comments)][start : start + size]
        body = {
            "kind": "youtube#commentThreadListResponse",
            "pageInfo": {"totalResults": len(page), "resultsPerPage": size},
            "items": page,
        }
        return 200, body | ({"nextPageToken": f"p{start + size}"} if start + size < len(comments) else {})


def _thread(video: str, number: int, text: str) -> dict[str, Any]:
    snippet = {
        "videoId": video,
        "textDisplay": text,
        "textOriginal": text,
        "likeCount": number,
        "publishedAt": "2026-01-02T03:04:05Z",
    }
    top = {"kind": "youtube#comment", "id": f"c{number}", "snippet": snippet}
    return {
        "kind": "youtube#commentThread",
        "id": f"c{number}",
        "snippet": {"videoId": video, "topLevelComment": top, "canReply": True, "totalReplyCount": 0, "isPublic": True},
    }


def _error(status: int, reason: str, message: str, domain: str) -> tuple[int, dict[str, Any]]:
    errors = [{"message": message, "domain": domain, "reason": reason}]
    return status, {"error": {"code": status, "message": message, "errors": errors}}


@contextmanager
def youtube_stand_in() -> Iterator[StandIn]:
    """The server, running."""
    stand_in = StandIn()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            address = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(address.query).items()}
            stand_in.requests.append(query)
            stand_in.paths.append(address.path)
            time.sleep(stand_in.delay)
            if stand_in.raw is not None:
                status, content = stand_in.raw
            else:
                status, body = stand_in.answer(address.path, query)
                content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json; charset=UTF-8")
            for name, value in stand_in.headers.items():
                self.send_header(name, value)
            if not stand_in.is_endless:
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            with suppress(ConnectionError):  # the service has heard enough
                self.wfile.write(content)
                while stand_in.is_endless:
                    self.wfile.write(content)

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the name in the base class
            """Write nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    stand_in.address = f"http://127.0.0.1:{server.server_port}/youtube/v3"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield stand_in
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
