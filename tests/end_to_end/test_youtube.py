"""`/analyze/youtube` against a stand-in for the YouTube Data API."""

from __future__ import annotations

import gzip
import json
import logging
import math
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from sweeps.serve.problems import Problem
from sweeps.serve.youtube import video_id

from .conftest import Workbench
from .test_serve import Options, client_for
from .youtube_stand_in import KEY, StandIn, youtube_stand_in

VIDEO = "dQw4w9WgXcQ"
COMMENTS = ["a nice train 😀", "an awful bus", "", "an ugly car"]
IDS = st.text("ABCabc012_-", min_size=11, max_size=11)


@pytest.fixture(scope="module")
def service(two_versions: Workbench) -> Iterator[TestClient]:
    with client_for(two_versions, Options(max_batch=300, max_text=10_000, timeout=20)) as client:
        yield client


@pytest.fixture
def youtube(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    with youtube_stand_in() as stand_in:
        monkeypatch.setenv("SWEEPS_YOUTUBE_URL", stand_in.address)
        monkeypatch.setenv("YOUTUBE_API_KEY", KEY)
        stand_in.videos[VIDEO] = COMMENTS
        yield stand_in


def test_a_videos_comments_are_predicted_and_summed_up(service: TestClient, youtube: StandIn) -> None:
    answer = service.post("/analyze/youtube", json={"video": f"https://youtu.be/{VIDEO}?t=3"})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    singles = service.post("/predict/batch", json={"texts": COMMENTS}).json()["predictions"]
    assert [one["text"] for one in body["comments"]] == COMMENTS
    assert [one["prediction"] for one in body["comments"]] == [one["prediction"] for one in singles]
    n_hate = sum(one["prediction"] == "hate" for one in singles)
    assert body["labels"]["hate"] == n_hate
    assert body["positive"] == n_hate / len(COMMENTS)
    assert body["mean_confidence"] == pytest.approx(sum(one["confidence"] for one in singles) / len(COMMENTS))
    assert (body["video"], body["n_comments"], body["note"]) == (VIDEO, len(COMMENTS), None)
    assert body["model"] == {"name": "comments", "version": "1"}


@pytest.mark.parametrize(("n", "at_most", "pages"), [(0, 200, 1), (100, 200, 1), (101, 200, 2), (250, 300, 3)])
def test_all_pages_are_read(service: TestClient, youtube: StandIn, n: int, at_most: int, pages: int) -> None:
    youtube.videos[VIDEO] = [f"comment {number}" for number in range(n)]
    body = service.post("/analyze/youtube", json={"video": VIDEO, "max_comments": at_most}).json()
    assert [one["text"] for one in body["comments"]] == youtube.videos[VIDEO]
    assert (len(youtube.requests), body["note"]) == (pages, None)


def test_no_more_than_asked_for_is_read_and_that_is_said(service: TestClient, youtube: StandIn) -> None:
    youtube.videos[VIDEO] = [f"comment {number}" for number in range(250)]
    body = service.post("/analyze/youtube", json={"video": VIDEO, "max_comments": 120}).json()
    assert body["n_comments"] == 120
    assert "more than 120 comments" in body["note"]
    assert [query["maxResults"] for query in youtube.requests] == ["100", "20"]


def test_quota_that_ends_between_pages_leaves_what_was_read_with_a_note(service: TestClient, youtube: StandIn) -> None:
    youtube.videos[VIDEO] = ["a"] * 250
    youtube.quota = 2
    body = service.post("/analyze/youtube", json={"video": VIDEO, "max_comments": 300}).json()
    assert body["n_comments"] == 200
    assert "quota is used up" in body["note"]


def test_pages_that_never_end_are_given_up(service: TestClient, youtube: StandIn) -> None:
    youtube.raw = (200, b'{"items": [], "nextPageToken": "again"}')
    body = service.post("/analyze/youtube", json={"video": VIDEO}).json()
    assert (body["n_comments"], len(youtube.requests)) == (0, 2)
    assert "no further comments" in body["note"]


@pytest.mark.parametrize(
    ("video", "status", "code"),
    [
        ("https://example.com/watch?v=dQw4w9WgXcQ", 422, "no_video"),
        ("notThereAtA", 404, "video_not_found"),
        ("hasNoneOfIt", 422, "comments_disabled"),
    ],
)
def test_videos_that_cannot_be_analyzed(
    service: TestClient, youtube: StandIn, video: str, status: int, code: str
) -> None:
    youtube.videos["hasNoneOfIt"] = None
    answer = service.post("/analyze/youtube", json={"video": video})
    assert (answer.status_code, answer.json()["error"]) == (status, code)


def test_quota_keys_and_failures_are_told_plainly(
    service: TestClient, youtube: StandIn, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def asked() -> tuple[int, str]:
        answer = service.post("/analyze/youtube", json={"video": VIDEO})
        assert KEY not in answer.text
        return answer.status_code, answer.json()["error"]

    caplog.set_level(logging.DEBUG)
    youtube.quota = 0
    assert asked() == (503, "youtube_quota_exceeded")
    youtube.quota = 1
    monkeypatch.setenv("YOUTUBE_API_KEY", "wrong")
    assert asked() == (503, "youtube_key_refused")
    monkeypatch.delenv("YOUTUBE_API_KEY")
    assert asked() == (503, "youtube_key_missing")
    monkeypatch.setenv("YOUTUBE_API_KEY", KEY)
    for raw, expected in {
        (500, b"{}"): (502, "youtube_failed"),
        (200, b"<html>"): (502, "youtube_senseless"),
        (200, b"[]"): (502, "youtube_senseless"),
        (200, b'{"items": [{"snippet": 3}]}'): (502, "youtube_senseless"),
        (418, b'{"error": {"errors": [{"reason": "teapot"}, 3]}}'): (502, "youtube_refused"),
        (403, b'{"error": "forbidden"}'): (502, "youtube_refused"),
    }.items():
        youtube.raw = raw
        assert asked() == expected
    monkeypatch.setenv("SWEEPS_YOUTUBE_URL", "http://127.0.0.1:9/youtube/v3")
    assert asked() == (502, "youtube_unreachable")
    assert KEY not in caplog.text


def test_a_youtube_that_hangs_is_given_up(two_versions: Workbench, youtube: StandIn) -> None:
    youtube.delay = 1.0
    with client_for(two_versions, Options(timeout=0.2)) as client:
        assert client.post("/analyze/youtube", json={"video": VIDEO}).status_code == 504


@pytest.mark.parametrize(
    "video",
    [
        *("http://127.0.0.1:1/watch?v=dQw4w9WgXcQ", "//evil.example/dQw4w9WgXcQ", "file:///etc/passwd", "../../../etc"),
        *(
            "dQw4w9WgXcQ/..",
            "../dQw4w9WgX",
            "dQw4w9WgXc?",
            "dQw4w9WgXc#",
            "dQw4w9WgXc&",
            "dQw4w9WgX%2",
            "dQw4w9\r\nXcQ",
        ),
        *(
            "dQw4w9WgXc\x00",
            "dQw4w9WgXc\u0661",
            "dQw4w9WgXcé",
            "\uff44Qw4w9WgXcQ",
            "dQw4w9WgXcQ&key=x",
            "dQw4w9WgXcQ\r\nHost: x",
        ),
        *(
            "https://youtube.com@evil.example/watch?v=dQw4w9WgXcQ",
            "https://evil.example/youtube.com/shorts/dQw4w9WgXcQ",
        ),
        *("https://youtube.com.evil.example/v/dQw4w9WgXcQ", "https://evilyoutube.com/v/dQw4w9WgXcQ", "v=" * 5_000),
        *("javascript:dQw4w9WgXcQ", "https://youtu.be:80/dQw4w9WgXcQ", "https://youtu.be\\dQw4w9WgXcQ"),
    ],
)
def test_what_is_no_video_is_asked_of_nobody(service: TestClient, youtube: StandIn, video: str) -> None:
    assert service.post("/analyze/youtube", json={"video": video}).status_code == 422
    assert youtube.requests == []


@pytest.mark.parametrize("tail", ["&key=x", "/../../x", "#\x01", "?a=\u0661&v=../..", "&pageToken=x&part=id"])
def test_of_an_address_nothing_but_the_id_reaches_the_api(service: TestClient, youtube: StandIn, tail: str) -> None:
    answer = service.post("/analyze/youtube", json={"video": f"youtube.com/watch?x=y&v={VIDEO}{tail}"})
    assert (answer.status_code, youtube.paths) == (200, ["/youtube/v3/commentThreads"])
    (query,) = youtube.requests
    known = {"part": "snippet", "order": "relevance", "textFormat": "plainText", "key": KEY, "maxResults": "100"}
    assert query == known | {"videoId": VIDEO}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(service: TestClient, youtube: StandIn, status: int) -> None:
    with youtube_stand_in() as elsewhere:
        youtube.raw = status, b"{}"
        youtube.headers["Location"] = f"{elsewhere.address}/commentThreads?key={KEY}"
        answer = service.post("/analyze/youtube", json={"video": VIDEO})
        assert (answer.status_code, answer.json()["error"]) == (502, "youtube_refused")
        assert (len(youtube.requests), elsewhere.requests) == (1, [])


def thread_of(**snippet: Any) -> bytes:
    """A page with one comment, which differs from a good one."""
    good = {"textOriginal": "a", "likeCount": 1, "publishedAt": "2026-01-02T03:04:05Z"}
    top = {"id": snippet.pop("id", "c"), "snippet": good | snippet}
    return json.dumps({"items": [{"snippet": {"topLevelComment": top}}]}).encode()


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"null", b'"a"', b"\xff", b"[" * 200_000, b'{"items": ' * 200_000, b'{"items": ' + b"9" * 5_000 + b"}"),
        *(b'{"items": 3}', b'{"items": "abc"}', b'{"items": {"a": 1}}', b'{"items": [[]]}', b'{"items": null}'),
        *(b'{"nextPageToken": {}}', b'{"nextPageToken": 3}', b'{"nextPageToken": "' + b"a" * 100_000 + b'"}'),
        *(
            thread_of(likeCount="many"),
            thread_of(likeCount=math.inf),
            thread_of(likeCount=1.5),
            thread_of(likeCount=[1]),
        ),
        *(thread_of(textOriginal=["a"]), thread_of(publishedAt={"a": 1}), thread_of(id=None), thread_of(id={})),
    ],
    ids=lambda content: repr(content[:40]),
)
def test_an_answer_that_makes_no_sense_is_said_to_make_none(
    service: TestClient, youtube: StandIn, content: bytes
) -> None:
    youtube.raw = 200, content
    answer = service.post("/analyze/youtube", json={"video": VIDEO})
    assert (answer.status_code, answer.json()["error"]) == (502, "youtube_senseless")


@pytest.mark.parametrize("zipped", [False, True])
def test_an_endless_answer_is_cut_off(service: TestClient, youtube: StandIn, zipped: bool) -> None:
    youtube.raw = 200, gzip.compress(bytes(2**24)) if zipped else b'{"items": []} ' + b" " * 2**16
    youtube.is_endless = True
    youtube.headers |= {"Content-Encoding": "gzip"} if zipped else {}
    tracemalloc.start()
    try:
        answer = service.post("/analyze/youtube", json={"video": VIDEO})
        assert (answer.status_code, answer.json()["error"]) == (502, "youtube_senseless")
        assert tracemalloc.get_traced_memory()[1] < 64 * 2**20
    finally:
        tracemalloc.stop()


def test_a_comment_with_half_a_character_is_predicted(service: TestClient, youtube: StandIn) -> None:
    youtube.raw = 200, thread_of(textOriginal="a nice \ud83d train", id="\udc00")
    answer = service.post("/analyze/youtube", json={"video": VIDEO})
    assert (answer.status_code, answer.json()["comments"][0]["text"]) == (200, "a nice ? train")


@pytest.mark.parametrize("proxy", ["gopher://127.0.0.1:9", "http://secret:word@[::1"])
def test_a_proxy_that_cannot_be_used_is_named(
    two_versions: Workbench, youtube: StandIn, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with client_for(two_versions) as client:
        answer = client.post("/analyze/youtube", json={"video": VIDEO, "max_comments": 1})
    assert (answer.status_code, answer.json()["error"]) == (503, "youtube_proxy_unusable")
    assert "word" not in answer.text


@given(IDS, st.sampled_from(["", "https://", "http://"]), st.sampled_from(["", "www.", "m.", "music."]))
def test_the_id_is_found_in_every_form_of_address(video: str, scheme: str, host: str) -> None:
    forms = [f"{host}youtube.com/{path}/{video}" for path in ("shorts", "embed", "live", "v")]
    forms += [f"{host}youtube.com/watch?v={video}&t=3s", f"{host}youtube.com/watch?list=x&v={video}#a"]
    forms += [f"{host}youtube.com/{path}/{video}?si=x" for path in ("shorts", "embed")]
    forms += [f"youtu.be/{video}", f"youtu.be/{video}?si=abc"]
    for form in forms:
        assert video_id(f" {scheme}{form} ") == video
    assert video_id(video) == video


@given(
    st.text(max_size=60) | st.builds("https://youtube.com{}{}".format, st.sampled_from("/?@:["), st.text(max_size=30))
)
def test_anything_else_is_refused_or_an_id(video: str) -> None:
    with suppress(Problem):
        found = video_id(video)
        assert found in video
        assert len(found) == 11
