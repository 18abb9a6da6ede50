"""Media of sources: checked, and passed on with ranges and nothing else."""

import random
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import quote, unquote

import pytest

from serve_app.archive.http.streaming import app
from serve_app.settings import Settings
from tests.unit.archive.http.streaming.service import (
    Client,
    Origin,
    Rows,
    StoredObjects,
    serving,
)

MP4 = b"\0\0\0\x20ftypisom" + random.Random(1).randbytes(300_000)
PAGE = b"<html><script>alert(1)</script>Video not found</html>"
PLAYLIST = b'#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="k"\n#EXTINF:4,\nsub/a.ts\n'
ALLOWED = Settings(
    archive_hosts=("127.0.0.1",),
    archive_allow_networks=("127.0.0.0/8",),
    archive_stall_seconds=5,
    trusted_proxies=("127.0.0.1",),
)


@pytest.fixture
def client(rows: Rows, objects: StoredObjects) -> Iterator[Client]:
    with serving(app.build(rows.media, objects, ALLOWED)) as found:
        yield found


def test_a_file_is_passed_on_with_the_headers_that_players_need(
    client: Client, origin: Origin
) -> None:
    url = origin.add(
        *("/a.mp4?sig=1%2F2", MP4),
        Set_Cookie="a=b",
        Content_Disposition="attachment; filename=x.mp4",
        Keep_Alive="timeout=5",
        Access_Control_Allow_Origin="https://only.example",
        Content_Security_Policy="default-src *",
        Last_Modified="Fri, 27 Nov 2026 08:00:00 GMT",
    )
    got = client.proxied(url)
    assert (got.status, got.body) == (200, MP4)
    assert got.headers["content-length"] == str(len(MP4))
    assert got.headers["content-type"] == "video/mp4"
    assert got.headers["content-disposition"] == "inline"
    assert got.headers["accept-ranges"] == "bytes"
    assert got.headers["last-modified"] == "Fri, 27 Nov 2026 08:00:00 GMT"
    assert got.headers["etag"].startswith('"')
    assert got.headers["x-content-type-options"] == "nosniff"
    assert got.headers["content-security-policy"] == "sandbox"
    assert got.headers["access-control-allow-origin"] == "*"
    assert not {"set-cookie", "keep-alive"} & set(got.headers)
    assert [path for path, _ in origin.asked] == ["/a.mp4?sig=1%2F2"]


@pytest.mark.parametrize(
    ("wanted", "start", "end"),
    [
        ("bytes=0-", 0, len(MP4)),
        ("bytes=100-199", 100, 200),
        ("bytes=-100", len(MP4) - 100, len(MP4)),
        ("bytes=299000-9999999", 299_000, len(MP4)),
    ],
)
def test_a_range_is_the_sources(
    client: Client, origin: Origin, wanted: str, start: int, end: int
) -> None:
    url = origin.add("/a.mp4", MP4)
    got = client.proxied(url, headers={"Range": wanted})
    assert (got.status, got.body) == (206, MP4[start:end])
    assert got.headers["content-range"] == f"bytes {start}-{end - 1}/{len(MP4)}"
    assert got.headers["content-length"] == str(end - start)


def test_a_range_of_another_version_is_answered_whole(
    client: Client, origin: Origin
) -> None:
    url = origin.add("/a.mp4", MP4)
    etag = client.proxied(url).headers["etag"]
    for condition, status in ((etag, 206), ('"other"', 200), ('"\xe9"', 200)):
        headers = {"Range": "bytes=0-9", "If-Range": condition}
        assert client.proxied(url, headers=headers).status == status


def test_a_range_outside_is_refused_with_the_size(
    client: Client, origin: Origin
) -> None:
    url = origin.add("/a.mp4", MP4)
    got = client.proxied(url, headers={"Range": f"bytes={len(MP4)}-"})
    assert got.status == 416
    assert got.headers["content-range"] == f"bytes */{len(MP4)}"


def test_several_ranges_and_a_source_without_ranges_get_the_whole_file(
    client: Client, origin: Origin
) -> None:
    url = origin.add("/a.mp4", MP4)
    got = client.proxied(url, headers={"Range": "bytes=0-1,5-9"})
    assert (got.status, got.body) == (200, MP4)
    url = origin.add("/b.mp4", MP4, has_ranges=False)
    got = client.proxied(url, headers={"Range": "bytes=5-9"})
    assert (got.status, got.body) == (200, MP4)
    assert got.headers["accept-ranges"] == "none"


def test_head_is_get_without_a_body(client: Client, origin: Origin) -> None:
    url = origin.add("/a.mp4", MP4)
    for headers in ({}, {"Range": "bytes=5-9"}):
        got, head = (
            client.proxied(url, headers=headers, method=method)
            for method in ("GET", "HEAD")
        )
        assert (head.status, head.body) == (got.status, b"")
        names = ("content-length", "content-range", "content-type", "etag")
        assert [head.headers.get(name) for name in names] == [
            got.headers.get(name) for name in names
        ]


def test_a_source_gets_nothing_of_the_client_but_its_range(
    client: Client, origin: Origin
) -> None:
    url = origin.add("/a.mp4", MP4)
    client.proxied(
        url,
        headers={
            "Range": "bytes=0-9",
            "Cookie": "session=secret",
            "Authorization": "Bearer secret",
            "Referer": "https://player.example/",
            "User-Agent": "Mozilla/5.0",
            "X-Forwarded-For": "192.0.2.1",
            "Origin": "https://player.example",
        },
    )
    ((_, headers),) = origin.asked
    names = {name.lower() for name in headers}
    assert names <= {"host", "user-agent", "range", "accept-encoding"}
    assert headers["User-Agent"] == "stemserve"
    assert headers["Range"] == "bytes=0-9"


def test_a_source_that_sends_no_length_is_passed_on(
    client: Client, origin: Origin
) -> None:
    def respond(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "video/mp4")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for part in (MP4[:1], MP4[1:700], MP4[700:]):
            handler.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
        handler.wfile.write(b"0\r\n\r\n")

    origin.by_path["/a.mp4"] = respond
    got = client.proxied(f"{origin.url}/a.mp4")
    assert (got.status, got.body) == (200, MP4)
    assert "content-length" not in got.headers


@pytest.mark.parametrize(
    ("status", "expected"),
    [(404, 404), (410, 404), (401, 502), (403, 502), (429, 502), (500, 502)],
)
def test_other_statuses_are_reasons(
    client: Client, origin: Origin, status: int, expected: int
) -> None:
    url = origin.add("/a.mp4", PAGE, "text/html", status)
    got = client.proxied(url)
    assert got.status == expected
    assert str(status).encode() in got.body
    assert got.headers["content-type"] == "application/problem+json"
    assert b'"error": ' in got.body
    assert b'"detail": ' in got.body


@pytest.mark.parametrize(
    ("content", "media_type"),
    [(PAGE, "text/html"), (PAGE, "video/mp4"), (b"{}" * 20, "application/json")],
)
def test_a_page_is_not_served_whatever_its_type(
    client: Client, origin: Origin, content: bytes, media_type: str
) -> None:
    got = client.proxied(origin.add("/a.mp4", content, media_type))
    assert got.status == 502
    assert b"neither video nor audio" in got.body
    assert b"script" not in got.body


def test_compressed_media_is_refused(client: Client, origin: Origin) -> None:
    url = origin.add("/a.mp4", MP4, Content_Encoding="gzip")
    assert client.proxied(url).status == 502


def test_a_source_that_is_not_there_is_a_bad_gateway(client: Client) -> None:
    assert client.proxied("http://127.0.0.1:1/a.mp4").status == 502


def test_a_source_that_breaks_off_leaves_the_response_incomplete(
    client: Client, origin: Origin
) -> None:
    def respond(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "video/mp4")
        handler.send_header("Content-Length", str(len(MP4)))
        handler.end_headers()
        handler.wfile.write(MP4[:100_000])
        handler.close_connection = True

    origin.by_path["/a.mp4"] = respond
    with pytest.raises(Exception, match="IncompleteRead"):
        client.proxied(f"{origin.url}/a.mp4")


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("", "missing"),
        ("?", "missing"),
        ("?uri=https://a.example/x", "missing"),
        ("?url=", "must be"),
        ("?url=a.mp4", "must be"),
        ("?url=%2Fmedia%2Fa", "must be"),
        ("?url=//a.example/x", "must be"),
        ("?url=https%3A%2F%2F", "must be"),
        ("?url=https%3A%2F%2Fa%3Aport%2F", "must be"),
        ("?url=ftp%3A%2F%2Fa.example%2Fx", "must be"),
        ("?url=file%3A%2F%2F%2Fetc%2Fpasswd", "must be"),
        ("?url=javascript%3Aalert(1)", "must be"),
        ("?url=data%3Atext/html,x", "must be"),
    ],
)
def test_without_a_good_url_the_request_is_bad(
    client: Client, query: str, detail: str
) -> None:
    got = client.ask(f"/proxy{query}")
    assert got.status == 400
    assert detail in got.body.decode()


@pytest.mark.parametrize(
    "url",
    [
        "https://other.example/a.mp4",
        "https://127.0.0.1.example.com/a.mp4",
        "http://user:password@127.0.0.1/a.mp4",
        "http://localhost/a.mp4",
        "http://169.254.169.254/latest/meta-data/",
        "http://[::1]/a.mp4",
        "http://2130706433/a.mp4",
        "http://0x7f000001/a.mp4",
        "http://127.1/a.mp4",
        "https://127.0.0.1\\@other.example/a.mp4",
        "https://127.0.0.1%00.other.example/a.mp4",
    ],
)
def test_a_url_that_the_operator_does_not_allow_is_refused(
    client: Client, url: str
) -> None:
    got = client.proxied(url)
    assert got.status in (400, 403)
    assert b"secret" not in got.body


def test_a_redirect_is_checked_like_the_first_url(
    client: Client, origin: Origin
) -> None:
    here = origin.add("/a.mp4", MP4)
    assert client.proxied(origin.redirect("/ok", here)).body == MP4
    for target in ("http://localhost:1/a.mp4", "https://other.example/", "file:///x"):
        assert client.proxied(origin.redirect("/away", target)).status == 403
    assert client.proxied(origin.redirect("/loop", "/loop")).status == 403


def test_an_address_inside_is_refused_unless_its_network_is_allowed(
    rows: Rows, objects: StoredObjects, origin: Origin
) -> None:
    url = origin.add("/a.mp4", MP4)
    for settings in (
        Settings(archive_hosts=("127.0.0.1",)),
        Settings(archive_allow_networks=("127.0.0.0/8",)),
        Settings(archive_hosts=("127.0.0.1",), archive_allow_networks=("10.0.0.0/8",)),
        Settings(),
    ):
        with serving(app.build(rows.media, objects, settings)) as client:
            assert client.proxied(url).status == 403
    assert origin.asked == []


def test_objects_of_the_stores_are_allowed_and_nothing_else_of_their_hosts(
    rows: Rows, objects: StoredObjects, origin: Origin
) -> None:
    """The Hub's URLs of our rows are proxied, though no host is allowed otherwise."""
    base_url = f"{origin.url}/datasets/me/"
    hub = StoredObjects(objects.storage, ("127.0.0.1",), base_url)
    settings = Settings(archive_allow_networks=("127.0.0.0/8",))
    there = origin.add("/cdn/a.mp4", MP4)
    mine = origin.redirect("/datasets/me/a.mp4", there)
    with serving(app.build(rows.media, hub, settings)) as client:
        assert client.proxied(mine).body == MP4
        assert client.proxied(there).status == 403
        assert client.proxied(origin.add("/datasets/you/a.mp4", MP4)).status == 403


def lines_of(got: Any) -> list[str]:
    found: list[str] = got.body.decode().split("\n")
    return found


@pytest.mark.parametrize("media_type", ["application/x-mpegurl", "text/plain"])
def test_a_playlist_leads_back_here(
    client: Client, origin: Origin, media_type: str
) -> None:
    url = origin.add("/show/list.m3u8?t=1", PLAYLIST, media_type)
    got = client.proxied(origin.redirect("/start.m3u8", url))
    base = f"{client.url}/proxy?url="
    assert got.status == 200
    assert got.headers["content-type"] == "application/vnd.apple.mpegurl"
    assert got.headers["content-length"] == str(len(got.body))
    _, key, _, segment, _ = lines_of(got)
    assert f'URI="{base}{quote(origin.url + "/show/k", safe="")}"' in key
    assert segment == f"{base}{quote(origin.url + '/show/sub/a.ts', safe='')}"
    # A player follows it, as it is.
    origin.add("/show/sub/a.ts", b"G" + bytes(187), "application/octet-stream")
    assert client.ask(segment.removeprefix(client.url)).headers["content-type"] == (
        "video/mp2t"
    )


def test_the_links_of_a_playlist_have_the_public_base_with_its_prefix(
    rows: Rows, objects: StoredObjects, origin: Origin
) -> None:
    url = origin.add("/list.m3u8", PLAYLIST)
    settings = ALLOWED.model_copy(update={"archive_url": "https://m.example/arch/"})
    with serving(app.build(rows.media, objects, settings)) as client:
        segment = lines_of(client.proxied(url))[3]
    assert segment.startswith("https://m.example/arch/proxy?url=http%3A%2F%2F127")


def test_the_links_of_a_playlist_have_the_base_that_a_trusted_proxy_received(
    rows: Rows, objects: StoredObjects, origin: Origin
) -> None:
    url = origin.add("/list.m3u8", PLAYLIST)
    forwarded = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "m.example"}
    with serving(app.build(rows.media, objects, ALLOWED), root_path="/arch") as client:
        path = f"/proxy?url={quote(url, safe='')}"
        segment = lines_of(client.ask(path, forwarded))[3]
    assert segment.startswith("https://m.example/arch/proxy?url=")
    untrusting = ALLOWED.model_copy(update={"trusted_proxies": ()})
    with serving(app.build(rows.media, objects, untrusting)) as client:
        segment = lines_of(client.proxied(url, headers=forwarded))[3]
        assert segment.startswith(f"{client.url}/proxy?url=")


def test_a_range_of_a_playlist_is_one_of_the_rewritten_playlist(
    client: Client, origin: Origin
) -> None:
    for path in ("/list.m3u8", "/list?format=hls"):
        url = origin.add(path, PLAYLIST)
        whole = client.proxied(url)
        part = client.proxied(url, headers={"Range": "bytes=5-9"})
        head = client.proxied(url, method="HEAD")
        assert head.headers["content-length"] == str(len(whole.body))
        if path.endswith(".m3u8"):
            assert (part.status, part.body) == (206, whole.body[5:10])
            known = {"If-None-Match": whole.headers["etag"]}
            assert client.proxied(url, headers=known).status == 304
    # The source was asked for the whole, since only that can be rewritten.
    start = client.proxied(url, headers={"Range": "bytes=0-9"})
    assert (start.status, start.body) == (206, whole.body[:10])


def test_a_playlist_without_end_is_refused(client: Client, origin: Origin) -> None:
    url = origin.add("/list.m3u8", b"#EXTM3U\n" + b"#x\n" * 1_700_000)
    got = client.proxied(url)
    assert got.status == 502
    assert b"5,000,000 bytes" in got.body


def test_a_page_as_a_playlist_is_refused(client: Client, origin: Origin) -> None:
    url = origin.add("/list.m3u8", PAGE, "application/vnd.apple.mpegurl")
    assert client.proxied(url).status == 502


class Silent:
    """A source that says so much and no more, until its client leaves."""

    def __init__(self, sent: bytes) -> None:
        self._sent = sent
        self.is_asked = threading.Event()
        self.is_left = threading.Event()

    def __call__(self, handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(self._sent)
        handler.wfile.flush()
        self.is_asked.set()
        handler.connection.settimeout(30)
        with suppress(OSError):
            if handler.connection.recv(1) == b"":
                self.is_left.set()
        handler.close_connection = True


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: 300000\r\n\r\n"


@pytest.mark.parametrize(
    "sent", [b"", HEAD, HEAD + MP4[:100], HEAD + MP4[:100_000]], ids=len
)
def test_the_source_is_left_when_the_client_leaves(
    rows: Rows, objects: StoredObjects, origin: Origin, sent: bytes
) -> None:
    """Also while this server waits for its head, or for the next bytes."""
    silent = Silent(sent)
    origin.by_path["/a.mp4"] = silent
    settings = ALLOWED.model_copy(update={"archive_stall_seconds": 60.0})
    with serving(app.build(rows.media, objects, settings)) as client:
        leaving = threading.Thread(target=leave, args=(client, f"{origin.url}/a.mp4"))
        began = time.monotonic()
        leaving.start()
        assert silent.is_asked.wait(10)
        assert silent.is_left.wait(10)
        assert time.monotonic() - began < 20
        leaving.join()


def leave(client: Client, url: str) -> None:
    """Ask for what is at a URL, and leave after a moment."""
    import socket

    with socket.create_connection(("127.0.0.1", client.port)) as connection:
        path = f"/proxy?url={quote(url, safe='')}"
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        time.sleep(1)


def test_a_source_that_stalls_ends_the_response(
    rows: Rows, objects: StoredObjects, origin: Origin
) -> None:
    origin.by_path["/a.mp4"] = Silent(HEAD + MP4[:10_000])
    origin.by_path["/b.mp4"] = Silent(b"")
    settings = ALLOWED.model_copy(update={"archive_stall_seconds": 0.5})
    with serving(app.build(rows.media, objects, settings)) as client:
        with pytest.raises(Exception, match="IncompleteRead"):
            client.proxied(f"{origin.url}/a.mp4")
        assert client.proxied(f"{origin.url}/b.mp4").status == 502


def test_urls_are_taken_as_clients_encode_them(client: Client, origin: Origin) -> None:
    origin.add("/a+b%20c/%ED%95%9C.mp4", MP4)
    for url in ("/a+b%20c/%ED%95%9C.mp4", "/a+b c/한.mp4"):
        assert client.proxied(origin.url + url).body == MP4
    assert unquote(origin.asked[0][0]) == "/a+b c/한.mp4"


def test_more_streams_than_there_are_threads_are_asked_to_come_back(
    rows: Rows, objects: StoredObjects, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "_MOST_PROXIED", 1)
    silent = Silent(HEAD + MP4[:100_000])
    origin.by_path["/a.mp4"] = silent
    url = origin.add("/b.mp4", MP4)
    with serving(app.build(rows.media, objects, ALLOWED)) as client:
        first = threading.Thread(target=leave, args=(client, f"{origin.url}/a.mp4"))
        first.start()
        assert silent.is_asked.wait(10)
        got = client.proxied(url)
        assert (got.status, got.headers["retry-after"]) == (503, "5")
        first.join()
        assert silent.is_left.wait(10)
        assert client.proxied(url).body == MP4
