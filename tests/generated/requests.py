"""Requests to the service, most of which it refuses."""

from __future__ import annotations

import json
import random
from typing import Any

from fastapi.testclient import TestClient

from .trial_and_error import WrongError

PATHS = [
    "/predict", "/predict", "/predict/batch", "/predict/batch", "/analyze/youtube", "/model", "/health", "/metrics",
    "/recommend", "/docs", "/openapi.json", "/", "/predict/", "//predict", "/predict?x=1", "/..%2f", "/%00",
    "/" + "a" * 5_000,
]  # fmt: skip
METHODS = ["POST"] * 8 + ["GET", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"]
TYPES = ["application/json"] * 8 + [
    "text/plain",
    "",
    "application/json; charset=utf-16",
    "multipart/form-data",
    "a/b;c=ü",
]
WORDS = [
    "good day",
    "",
    " ",
    "ü",
    "\ud800",
    "\0",
    "a" * 300,
    "a" * 10_000,
    "good " * 50,
    "\u202e",
    "https://youtu.be/x",
]


def value(rng: random.Random, depth: int = 0) -> Any:
    """A JSON value, or what some take for one."""
    plain = [None, True, 0, -1, 1.5, 10**400, float("nan"), float("inf"), 1e308, *WORDS, [], {}]
    if depth < 3 and rng.random() < 0.4:
        if rng.random() < 0.5:
            return [value(rng, depth + 1) for _ in range(rng.choice([0, 1, 3, 60]))]
        keys = ["text", "texts", "video", "user", "item", "pairs", "other", "", "__class__"]
        return {rng.choice(keys): value(rng, depth + 1) for _ in range(rng.choice([0, 1, 2]))}
    return rng.choice(plain)


def body(rng: random.Random) -> bytes:
    """A body that may be right, nearly right, or nothing of the kind."""
    made = rng.choice(
        [
            lambda: {"text": rng.choice(WORDS)},
            lambda: {"texts": rng.choices(WORDS, k=rng.choice([0, 1, 2, 19, 20, 21]))},
            lambda: {"text": value(rng)},
            lambda: {"texts": value(rng)},
            lambda: {"video": value(rng)},
            lambda: value(rng),
        ]
    )()
    content = json.dumps(made).encode(rng.choice(["utf-8"] * 6 + ["utf-16", "utf-8-sig"]))
    if rng.random() < 0.2:
        place = rng.randrange(len(content) + 1)
        content = rng.choice(
            [
                content[:place],
                content[:place] + rng.randbytes(3) + content[place:],
                content + content,
                b"[" * 5_000 + content,
                b"9" * 5_000,
                b'{"text": "a", "text": "b"}',
            ]
        )
    return content


class Ask:
    """Asks a service in this process.

    Args:
        client: of its application; it raises what the application raises.
    """

    def __init__(self, client: TestClient) -> None:
        self._client = client

    def __call__(self, rng: random.Random) -> str:
        method, path, content = rng.choice(METHODS), rng.choice(PATHS), body(rng)
        headers = {b"content-type": rng.choice(TYPES).encode("latin-1")}
        if rng.random() < 0.1:
            headers[b"x-api-key"] = rng.randbytes(5).replace(b"\r", b"").replace(b"\n", b"")
        answer = self._client.request(method, path, content=content, headers=headers, follow_redirects=False)
        what = f"{method} {path[:50]} {content[:200]!r}: {answer.status_code} {answer.text[:300]}"
        if answer.status_code in (500, 501, 502) or "Traceback" in answer.text:
            raise WrongError(what)
        if answer.status_code < 400:
            return "accepted"
        if method != "HEAD" and not {"error", "message"} <= set(answer.json()):
            raise WrongError(what)
        return "refused"
