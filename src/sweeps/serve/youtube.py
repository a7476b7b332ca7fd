"""The comments of a YouTube video, by `commentThreads.list` of the YouTube Data API v3.

https://developers.google.com/youtube/v3/docs/commentThreads/list has the parameters, the resource and the errors. The
API takes the key in the address, so addresses are neither logged nor shown.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import httpx2

from sweeps.serve.problems import Problem

KEY = "YOUTUBE_API_KEY"
ADDRESS = "SWEEPS_YOUTUBE_URL"  # of another server with the same interface
_DEFAULT_ADDRESS = "https://www.googleapis.com/youtube/v3"
_PAGE = 100  # the API's maximum
_MOST_EMPTY_PAGES = 5  # in a row; moderation can empty a page that has a next one
_LARGEST_PAGE = 12 * 2**20  # bytes; 100 comments of 10,000 characters, each there twice, take less in every script
_LONGEST_TOKEN = 2_000
_ID = "[A-Za-z0-9_-]{11}"
_PATH = r"(?:watch\?(?:[^#\s]*&)?v=|shorts/|live/|embed/|v/|e/)"
_SITE = rf"(?:(?:www|m|music|gaming)\.)?youtube(?:-nocookie)?\.com/{_PATH}|(?:www\.)?youtu\.be/"
VIDEO = rf"^\s*({_ID}|(?:https?://)?(?:{_SITE}){_ID}(?:[?&#/]\S*)?)\s*$"  # also in the OpenAPI document

logging.getLogger("httpx2").setLevel(logging.WARNING)  # it logs addresses


@dataclass(frozen=True)
class Comment:
    """A top-level comment."""

    id: str
    text: str
    likes: int
    published: str


@dataclass
class Comments:
    """What was read of a video.

    Attributes:
        comments: in YouTube's order.
        note: why there may be more that were not read; None if these are all.
    """

    comments: list[Comment] = field(default_factory=list)
    note: str | None = None


def video_id(video: str) -> str:
    """The id in a video's address, or the id itself.

    Raises:
        Problem: it is neither.
    """
    if re.fullmatch(VIDEO, video):
        named = re.search(rf"(?:{_SITE})({_ID})", video)
        return named[1] if named else video.strip()
    raise Problem(
        422,
        "no_video",
        "video: neither the address of a YouTube video nor its id of 11 characters, such as "
        "https://www.youtube.com/watch?v=dQw4w9WgXcQ or dQw4w9WgXcQ.",
    )


class YouTube:
    """Reads comments, with the key and the address in the environment."""

    @cached_property
    def _client(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(
            timeout=10,
            limits=httpx2.Limits(max_connections=10),
            follow_redirects=False,  # the API has none, and the key goes nowhere else
            headers={"Accept-Encoding": "identity"},  # so that what is read is as large as what is sent
        )

    async def comments(self, video: str, at_most: int) -> Comments:
        """The top-level comments of a video, most relevant first.

        Args:
            video: its id.
            at_most: how many to read.

        Raises:
            Problem: there is no key, no such video, no comments to read, no quota, or no answer.
        """
        key = os.environ.get(KEY)
        if not key:
            raise Problem(503, "youtube_key_missing", f"The service has no YouTube key: start it with {KEY} set.")
        found, seen, token, empty = Comments(), set[str](), "", 0
        while True:
            try:
                page = await self._page(key, video, token, min(_PAGE, at_most - len(found.comments)))
            except Problem as problem:
                if not found.comments:
                    raise
                found.note = f"After {len(found.comments)} comments: {problem.message}"
                return found
            new = [comment for comment in _read(page) if comment.id not in seen]
            seen.update(comment.id for comment in new)
            found.comments += new[: at_most - len(found.comments)]
            empty = 0 if new else empty + 1
            before, token = token, _next(page)
            if not token:
                return found
            if len(found.comments) >= at_most:
                found.note = f"There are more than {at_most} comments; these are the most relevant."
                return found
            if token == before or empty > _MOST_EMPTY_PAGES:
                found.note = "YouTube sent no further comments, though it says that there are."
                return found

    async def close(self) -> None:
        """Close the connections."""
        if "_client" in self.__dict__:
            await self._client.aclose()

    async def _page(self, key: str, video: str, token: str, size: int) -> Mapping[str, Any]:
        address = os.environ.get(ADDRESS) or _DEFAULT_ADDRESS
        query: dict[str, str | int] = {
            "part": "snippet",
            "videoId": video,
            "maxResults": size,
            "order": "relevance",
            "textFormat": "plainText",
            "key": key,
        }
        if token:
            query["pageToken"] = token
        try:
            status, content = await self._get(f"{address.rstrip('/')}/commentThreads", query)
        except httpx2.TimeoutException:
            raise Problem(504, "youtube_timeout", "YouTube did not answer in time; try again later.") from None
        except (httpx2.HTTPError, httpx2.InvalidURL, ValueError):  # whose text may hold the address
            raise Problem(502, "youtube_unreachable", "YouTube cannot be reached from the service.") from None
        try:
            page = json.loads(content)
        except (ValueError, RecursionError):
            raise _senseless(status) from None
        if not isinstance(page, dict):
            raise _senseless(status)
        if status != httpx2.codes.OK:
            raise _refusal(status, page)
        return page

    async def _get(self, address: str, query: Mapping[str, str | int]) -> tuple[int, bytes]:
        """Status and content, of which no more is read than a page may have."""
        try:
            client = self._client
        except (
            ValueError,
            ImportError,
            httpx2.InvalidURL,
        ):  # of a proxy in the environment, whose address may hold a password
            raise Problem(*_NO_CLIENT) from None
        async with client.stream("GET", address, params=query) as response:
            content = bytearray()
            async for part in response.aiter_raw():
                content += part
                if len(content) > _LARGEST_PAGE:
                    raise _senseless(response.status_code)
            return response.status_code, bytes(content)


def _next(page: Mapping[str, Any]) -> str:
    token = page.get("nextPageToken", "")
    if not isinstance(token, str) or len(token) > _LONGEST_TOKEN:
        raise _senseless(200)
    return token


def _read(page: Mapping[str, Any]) -> list[Comment]:
    try:
        return [_comment(thread["snippet"]["topLevelComment"]) for thread in page.get("items", [])]
    except (AttributeError, KeyError, TypeError, ValueError):
        raise _senseless(200) from None


def _comment(top: Mapping[str, Any]) -> Comment:
    snippet = top["snippet"]
    text = snippet.get("textOriginal") or snippet.get("textDisplay") or ""
    likes = snippet.get("likeCount") or 0
    if isinstance(likes, bool) or not isinstance(likes, int):
        raise TypeError("likeCount")
    return Comment(_text(top["id"]), _text(text), likes, _text(snippet.get("publishedAt") or ""))


def _text(value: object) -> str:
    """A text that can be sent on: JSON may hold halves of characters."""
    if not isinstance(value, str):
        raise TypeError("a text is expected")
    return value.encode(errors="replace").decode()


def _refusal(status: int, content: Mapping[str, Any]) -> Problem:
    """An error of the API, by its documented reason."""
    reasons = _reasons(content)
    for reason in reasons:
        if reason in _REFUSALS:
            return Problem(*_REFUSALS[reason])
    if status == httpx2.codes.NOT_FOUND:
        return Problem(*_REFUSALS["videoNotFound"])
    if status >= httpx2.codes.INTERNAL_SERVER_ERROR:
        return Problem(502, "youtube_failed", f"YouTube failed (status {status}); try again later.")
    known = [reason for reason in reasons if re.fullmatch(r"[A-Za-z0-9_]{1,50}", reason)]
    shown = ", ".join(known[:3]) or "without a reason"
    return Problem(502, "youtube_refused", f"YouTube refused (status {status}, {shown}).")


def _reasons(content: Mapping[str, Any]) -> list[str]:
    error = content.get("error")
    if not isinstance(error, dict):
        return []
    parts = [part for name in ("details", "errors") for part in _list(error.get(name)) if isinstance(part, dict)]
    return [part["reason"] for part in parts if isinstance(part.get("reason"), str)]


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _senseless(status: int) -> Problem:
    return Problem(502, "youtube_senseless", f"YouTube's answer (status {status}) is not what its API documents.")


_NO_QUOTA = (
    503,
    "youtube_quota_exceeded",
    "The YouTube key's quota is used up. The daily one is renewed at midnight Pacific time.",
)
_BAD_KEY = (503, "youtube_key_refused", f"YouTube refuses the service's key: check {KEY} and what it is restricted to.")
_NO_CLIENT = (
    503,
    "youtube_proxy_unusable",
    "The service cannot use the proxy that its environment names: check HTTPS_PROXY, ALL_PROXY and NO_PROXY.",
)
_NOT_ENABLED = (503, "youtube_key_refused", "The key's project has the YouTube Data API v3 switched off: enable it.")
_REFUSALS: Mapping[str, tuple[int, str, str]] = {
    "quotaExceeded": _NO_QUOTA,
    "dailyLimitExceeded": _NO_QUOTA,
    "rateLimitExceeded": (503, "youtube_quota_exceeded", "The YouTube key is used too fast; try again in a minute."),
    "userRateLimitExceeded": (
        503,
        "youtube_quota_exceeded",
        "The YouTube key is used too fast; try again in a minute.",
    ),
    "commentsDisabled": (422, "comments_disabled", "The video's comments are switched off."),
    "videoNotFound": (404, "video_not_found", "There is no such video, or it is not public."),
    "forbidden": (422, "video_forbidden", "YouTube does not show the comments of this video to the service's key."),
    "API_KEY_INVALID": _BAD_KEY,
    "keyInvalid": _BAD_KEY,
    "keyExpired": _BAD_KEY,
    "ipRefererBlocked": _BAD_KEY,
    "API_KEY_SERVICE_BLOCKED": _BAD_KEY,
    "accessNotConfigured": _NOT_ENABLED,
    "SERVICE_DISABLED": _NOT_ENABLED,
}
