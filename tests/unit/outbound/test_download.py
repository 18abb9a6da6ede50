"""Files from addresses that strangers give us."""

import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from threading import Thread

import pytest

from serve_app.errors import Cancelled, RefusedUrl, UnreachableUrl, UploadTooLarge
from serve_app.outbound.client import CheckedNetwork, OutboundClient
from serve_app.outbound.download import DownloadLimits, fetch
from serve_app.outbound.urls import UrlRules

SONG = bytes(range(256)) * 2000
LIMITS = DownloadLimits(max_bytes=1_000_000, max_seconds=20.0)


class Host:
    """A server of one file that cuts, changes and lies as it is told to."""

    def __init__(self) -> None:
        host = self
        self.content = SONG
        self.etag: str | None = '"one"'
        self.cut_after: list[int] = []
        self.ranges: list[str | None] = []
        self.headers: dict[str, str] = {}
        self.status = 200
        self.announces = True
        self.pause_seconds = 0.0
        self.most_bytes_of_range: int | None = None

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked = self.headers.get("Range")
                host.ranges.append(asked)
                start, status = 0, host.status
                if asked and self.headers.get("If-Range") == host.etag:
                    start, status = int(asked[6:-1]), 206
                body = host.content[start:]
                if status == 206:
                    body = body[: host.most_bytes_of_range]
                self.send_response(status)
                if host.etag:
                    self.send_header("ETag", host.etag)
                if status == 206:
                    whole = len(host.content)
                    self.send_header(
                        "Content-Range",
                        f"bytes {start}-{start + len(body) - 1}/{whole}",
                    )
                if host.announces:
                    self.send_header("Content-Length", str(len(body)))
                for name, value in host.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                if host.cut_after:
                    body = body[: host.cut_after.pop(0)]
                # A traceback printed here can fail pytest: Python 3.11 parses code in
                # one thread at a time only.
                with suppress(ConnectionError):
                    for begin in range(0, len(body), 65_536):
                        self.wfile.write(body[begin : begin + 65_536])
                        time.sleep(host.pause_seconds)
                self.close_connection = True

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.2", 0), Handler)
        self.url = (
            f"http://host.example:{self._server.server_port}/music/a%20song.mp3?x=y"
        )
        Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def asker(self) -> OutboundClient:
        network = CheckedNetwork(lambda *_: [ip_address("127.0.0.2")], lambda _: True)
        return OutboundClient(
            UrlRules(("http",), (), (self._server.server_port,)), network
        )

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def host() -> Iterator[Host]:
    host = Host()
    yield host
    host.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "song"


def test_a_file_comes_whole_with_its_name(host: Host, path: Path) -> None:
    assert fetch(host.asker(), host.url, path, LIMITS) == "a song.mp3"
    assert path.read_bytes() == SONG


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ('attachment; filename="mine.flac"', "mine.flac"),
        ("attachment; filename*=UTF-8''%EB%82%B4.flac", "내.flac"),
        ('attachment; filename="../../etc/passwd"', "passwd"),
        ("attachment; filename=\"_.flac\"; filename*=UTF-8''%EB%82%B4.flac", "내.flac"),
        ('attachment; filename="=?utf-8?B?64K0LmZsYWM=?="', "내.flac"),
        ('attachment; filename="%EB%82%B4.flac"', "내.flac"),
        ('attachment; filename="12\\" Mix.flac"', '12" Mix.flac'),
        ('attachment; filename=""', "a song.mp3"),
        ("inline", "a song.mp3"),
    ],
)
def test_the_server_may_name_it(
    host: Host, path: Path, disposition: str, name: str
) -> None:
    host.headers["Content-Disposition"] = disposition
    assert fetch(host.asker(), host.url, path, LIMITS) == name


def test_a_cut_download_goes_on_where_it_stopped(host: Host, path: Path) -> None:
    host.cut_after = [100_000, 50_000]
    fetch(host.asker(), host.url, path, LIMITS)
    assert path.read_bytes() == SONG
    assert host.ranges == [None, "bytes=100000-", "bytes=150000-"]


def test_a_file_that_has_changed_meanwhile_is_fetched_anew(
    host: Host, path: Path
) -> None:
    host.cut_after = [100_000]
    asker = host.asker()
    original = asker.get

    def get(*given: object) -> object:
        if host.ranges:
            host.content, host.etag = SONG[::-1], '"two"'
        return original(*given)  # type: ignore[arg-type]

    asker.get = get  # type: ignore[method-assign, assignment]
    fetch(asker, host.url, path, LIMITS)
    assert path.read_bytes() == SONG[::-1]


def test_without_a_version_it_is_fetched_anew(host: Host, path: Path) -> None:
    host.etag, host.cut_after = None, [100_000]
    fetch(host.asker(), host.url, path, LIMITS)
    assert path.read_bytes() == SONG
    assert host.ranges == [None, None]


def test_any_number_of_cuts_does_not_matter_while_bytes_come(
    host: Host, path: Path
) -> None:
    host.cut_after = [0, 0] + [20_000, 0, 0] * 20
    fetch(host.asker(), host.url, path, LIMITS)
    assert path.read_bytes() == SONG


def test_three_tries_in_a_row_without_a_new_byte_fail(host: Host, path: Path) -> None:
    host.cut_after = [1000, 0, 0, 0]
    with pytest.raises(UnreachableUrl, match=r"The download failed: .*Check the URL"):
        fetch(host.asker(), host.url, path, LIMITS)
    assert host.ranges == [None] + ["bytes=1000-"] * 3


def test_bytes_that_were_received_before_are_not_new(host: Host, path: Path) -> None:
    host.etag, host.cut_after = None, [1000] * 20
    with pytest.raises(UnreachableUrl, match=r"The download failed: .*Check the URL"):
        fetch(host.asker(), host.url, path, LIMITS)
    assert host.ranges == [None] * 4


def test_a_server_may_send_less_than_the_rest(host: Host, path: Path) -> None:
    host.cut_after, host.most_bytes_of_range = [100_000], 100_000
    fetch(host.asker(), host.url, path, LIMITS)
    assert path.read_bytes() == SONG


def test_a_rest_that_is_no_longer_there_starts_over(host: Host, path: Path) -> None:
    host.cut_after = [100_000]
    asker = host.asker()
    original = asker.get

    def get(url: str, headers: dict[str, str], deadline: float) -> object:
        host.status = 416 if "Range" in headers else 200
        return original(url, headers | {"If-Range": ""}, deadline)

    asker.get = get  # type: ignore[method-assign, assignment]
    fetch(asker, host.url, path, LIMITS)
    assert path.read_bytes() == SONG
    assert host.ranges == [None, "bytes=100000-", None]


@pytest.mark.parametrize("announces", [True, False])
def test_what_is_too_large_is_not_taken(
    host: Host, path: Path, announces: bool
) -> None:
    host.announces = announces
    with pytest.raises(UploadTooLarge, match="at most 100000 bytes"):
        fetch(host.asker(), host.url, path, DownloadLimits(100_000, 20.0))
    assert path.stat().st_size < (1 if announces else 300_000)


@pytest.mark.parametrize("status", [404, 403, 500, 204])
def test_an_answer_that_is_no_song_is_said(host: Host, path: Path, status: int) -> None:
    host.status = status
    with pytest.raises(UnreachableUrl, match=str(status)):
        fetch(host.asker(), host.url, path, LIMITS)


def test_a_server_that_drips_is_given_up(host: Host, path: Path) -> None:
    host.pause_seconds = 0.2
    began = time.monotonic()
    with pytest.raises(UnreachableUrl):
        fetch(host.asker(), host.url, path, DownloadLimits(1_000_000, 0.5))
    assert time.monotonic() - began < 5


def test_a_refused_address_stays_refused(host: Host, path: Path) -> None:
    with pytest.raises(RefusedUrl):
        fetch(host.asker(), "http://127.0.0.1/", path, LIMITS)


def test_a_name_without_an_address_is_said(path: Path) -> None:
    asker = OutboundClient(UrlRules(("http",)), CheckedNetwork(lambda *_: []))
    with pytest.raises(UnreachableUrl, match="no address"):
        fetch(asker, "http://nobody.example/", path, LIMITS)


def test_what_is_not_wanted_any_more_is_left(host: Host, path: Path) -> None:
    host.pause_seconds = 0.1
    answers = iter([True, True, False])
    with pytest.raises(Cancelled):
        fetch(host.asker(), host.url, path, LIMITS, lambda: next(answers))
    assert path.stat().st_size < len(SONG)
