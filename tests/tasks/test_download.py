"""Downloads from a real server on this machine: good, refused, missing, broken off, wrong; and without any server."""

import gc
import hashlib
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sweeps.base.errors import DataError
from sweeps.tasks import download
from sweeps.tasks.download import fetch
from sweeps.tasks.text.csv import load_downloaded_text_csv

CONTENT = b"text,label\nfine day,1\nbad day,0\n"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
OTHER_SHA256 = hashlib.sha256(b"something else").hexdigest()


class Server(ThreadingHTTPServer):
    """Serves CONTENT as /data.csv and counts the requests."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[str] = []
        self.hang_up = threading.Event()

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{name}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        if self.path == "/silent.csv":
            self.server.hang_up.wait(10)
            return
        if not self.path.startswith(("/data", "/short")):
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT) + 1_000 * self.path.startswith("/short")))
        self.end_headers()
        self.wfile.write(CONTENT)

    def log_message(self, *args: object) -> None:
        """Nothing on the terminal."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.hang_up.set()
        server.shutdown()
        thread.join()


# pooch leaves the socket of a response that failed to the garbage collector, which warns of it.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "cache"
    monkeypatch.setenv(download.CACHE_VARIABLE, str(folder))
    yield folder
    gc.collect()  # here, and not in another file's test


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_the_first_use_downloads_and_the_second_needs_no_network(server, cache):
    file = fetch(server.url("data.csv"), SHA256)
    assert file.read_bytes() == CONTENT
    assert files_in(cache) == [file]
    assert file.suffix == ".csv"
    server.shutdown()
    server.server_close()
    assert fetch(server.url("data.csv"), SHA256) == file
    assert server.requests == ["/data.csv"]


def test_two_versions_under_one_name_do_not_collide(server, cache):
    file = fetch(server.url("data.csv"), SHA256)
    with pytest.raises(DataError):
        fetch(server.url("data.csv"), OTHER_SHA256)
    assert files_in(cache) == [file]


def test_a_kept_file_that_changed_is_fetched_again(server):
    file = fetch(server.url("data.csv"), SHA256)
    file.write_bytes(b"truncated")
    assert fetch(server.url("data.csv"), SHA256) == file
    assert file.read_bytes() == CONTENT
    assert len(server.requests) == 2


def test_a_wrong_checksum_names_both_and_keeps_nothing(server, cache):
    with pytest.raises(DataError) as caught:
        fetch(server.url("data.csv"), OTHER_SHA256)
    message = str(caught.value)
    assert SHA256 in message
    assert OTHER_SHA256 in message
    assert files_in(cache) == []


@pytest.mark.parametrize("name", ["gone.csv", "short.csv"])
def test_a_failed_download_says_where_to_put_the_file(server, cache, name):
    url = server.url(name)
    with pytest.raises(DataError) as caught:
        fetch(url, SHA256)
    message = str(caught.value)
    assert message.startswith(f"{url} could not be downloaded: ")
    assert "dataset.path=FILE" in message
    assert files_in(cache) == []
    assert 1 <= len(server.requests) <= 2

    by_hand = cache / f"{SHA256[:8]}-{name}"
    assert f"at {by_hand} " in message
    by_hand.write_bytes(CONTENT)
    assert fetch(url, SHA256) == by_hand


def test_a_file_put_there_by_hand_that_does_not_fit_is_mentioned_and_left(server, cache):
    cache.mkdir()
    by_hand = cache / f"{SHA256[:8]}-gone.csv"
    by_hand.write_bytes(b"something else")
    with pytest.raises(DataError, match=f"has another checksum, {OTHER_SHA256}"):
        fetch(server.url("gone.csv"), SHA256)
    assert by_hand.read_bytes() == b"something else"


def test_a_refused_connection(cache):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(DataError, match=r"could not be downloaded(.|\n)*dataset\.path=FILE"):
        fetch(f"http://127.0.0.1:{port}/data.csv", SHA256)
    assert files_in(cache) == []


def test_a_server_that_never_answers(server, cache, monkeypatch):
    monkeypatch.setattr(download, "SECONDS_WITHOUT_AN_ANSWER", 0.2)
    with pytest.raises(DataError, match="timed out"):
        fetch(server.url("silent.csv"), SHA256)
    assert files_in(cache) == []


@pytest.mark.parametrize("url", ["data.csv", "http://", "gopher://127.0.0.1/data.csv", "http://[bad/data.csv"])
def test_an_address_that_is_none(url):
    with pytest.raises(DataError, match="could not be downloaded"):
        fetch(url, SHA256)


def test_a_cache_folder_that_cannot_be_made(server, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv(download.CACHE_VARIABLE, str(tmp_path / "file" / "cache"))
    with pytest.raises(DataError, match="SWEEPS_DATA_DIR=FOLDER"):
        fetch(server.url("data.csv"), SHA256)


def test_a_path_is_used_as_it_is(server, tmp_path):
    mine = tmp_path / "mine.csv"
    with pytest.raises(DataError, match=r"mine\.csv does not exist"):
        fetch(server.url("data.csv"), SHA256, mine)
    mine.write_bytes(b"an edited copy")
    assert fetch(server.url("data.csv"), SHA256, str(mine)) == mine
    assert server.requests == []


def test_a_terminal_sees_a_progress_bar_and_a_log_file_none(server, monkeypatch, capsys):
    fetch(server.url("data.csv"), SHA256)
    assert "100%" not in capsys.readouterr().err
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    fetch(server.url("data-2.csv"), SHA256)
    assert "100%" in capsys.readouterr().err


def test_a_downloaded_csv_takes_the_options_of_a_csv(server):
    data = load_downloaded_text_csv(server.url("data.csv"), SHA256, "text", "label", positive_label="1")
    assert data.texts.tolist() == ["fine day", "bad day"]
    assert data.positive_label == 1
    assert Path(data.source).is_file()
