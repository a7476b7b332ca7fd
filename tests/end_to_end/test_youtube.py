"""`/analyze/youtube` against a stand-in for the YouTube Data API."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress

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
