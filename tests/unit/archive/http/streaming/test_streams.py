"""What players get for a name: the stored object, else its source, else a reason."""

import json
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote

import pytest

from serve_app.archive.http.streaming import app
from serve_app.archive.identity import Identity
from serve_app.errors import StorageUnavailable
from serve_app.settings import Settings
from serve_app.storage.local import LocalStorage
from tests.unit.archive.http.streaming.service import (
    EPISODE,
    OBJECT_KEY,
    STORED_AT,
    Answer,
    Client,
    Origin,
    Rows,
    StoredObjects,
    serving,
)

STORED = b"\0\0\0\x20ftypisom" + random.Random(2).randbytes(100_000)
SOURCE = b"\0\0\0\x20ftypisom" + random.Random(3).randbytes(50_000)
PATH = "/stream/1234/5/example/720p"
ALLOWED = Settings(
    archive_hosts=("127.0.0.1",), archive_allow_networks=("127.0.0.0/8",)
)


@pytest.fixture
def client(rows: Rows, objects: StoredObjects) -> Iterator[Client]:
    with serving(app.build(rows.media, objects, ALLOWED)) as found:
        yield found


def store(rows: Rows, objects: StoredObjects, folder: Path) -> None:
    rows.add_ready(STORED)
    objects.put(OBJECT_KEY, STORED, folder)


def reason(got: Answer) -> str:
    """Return the detail of an error, which has a code too."""
    problem = json.loads(got.body)
    assert problem["error"]
    assert problem["status"] == got.status
    assert got.headers["content-length"] == str(len(got.body))
    assert got.headers["access-control-allow-origin"] == "*"
    return str(problem["detail"])


def test_stored_media_is_sent(
    client: Client, rows: Rows, objects: StoredObjects, tmp_path: Path
) -> None:
    store(rows, objects, tmp_path)
    for path in (PATH, f"/media/{OBJECT_KEY}", "/media/1234:5:example:720p"):
        got = client.ask(path)
        assert (got.status, got.body) == (200, STORED)
        assert got.headers["x-content-type-options"] == "nosniff"
        assert got.headers["content-security-policy"] == "sandbox"


def test_an_unknown_resolution_is_null(
    client: Client, rows: Rows, objects: StoredObjects, tmp_path: Path
) -> None:
    rows.add_ready(STORED, "7/ep1/a.mp4", Identity(7, 1, "example", None))
    objects.put("7/ep1/a.mp4", STORED, tmp_path)
    assert client.ask("/stream/7/1/example/unknown").body == STORED
    assert client.ask("/stream/7/1/example/720p").status == 404


def test_media_with_a_key_of_a_newer_client_is_sent(
    client: Client, rows: Rows, objects: StoredObjects, tmp_path: Path
) -> None:
    key = "연극 1/50% a?b#c"
    rows.add_ready(STORED, "media/0123.webm", None, key, "video/webm")
    objects.put("media/0123.webm", STORED, tmp_path)
    for path in (f"/media/{quote(key, safe='')}", "/media/media/0123.webm"):
        got = client.ask(path)
        assert (got.status, got.body) == (200, STORED)
        assert got.headers["content-type"] == "video/webm"


def test_a_url_of_this_server_is_served_without_asking_itself(
    client: Client, rows: Rows, objects: StoredObjects, tmp_path: Path
) -> None:
    """`hf_direct_url` of media in stores without URLs goes into /proxy."""
    store(rows, objects, tmp_path)
    for path in (f"/media/{OBJECT_KEY}", PATH):
        got = client.proxied(client.url + path, headers={"Range": "bytes=10-19"})
        assert (got.status, got.body) == (206, STORED[10:20])
    assert client.proxied(f"{client.url}/health").status == 404
    assert client.proxied(f"{client.url}/proxy?url=x").status == 404


def test_a_url_of_the_public_base_is_this_servers(
    rows: Rows, objects: StoredObjects, tmp_path: Path
) -> None:
    store(rows, objects, tmp_path)
    settings = Settings(archive_url="https://m.example/arch")
    with serving(app.build(rows.media, objects, settings)) as client:
        got = client.proxied(f"https://m.example/arch/media/{OBJECT_KEY}")
        assert (got.status, got.body) == (200, STORED)


def test_media_that_is_not_stored_is_proxied_from_its_newest_url(
    client: Client, rows: Rows, origin: Origin
) -> None:
    rows.add(EPISODE.key, EPISODE, url=origin.add("/a.mp4", SOURCE))
    for path in (PATH, f"/media/{EPISODE.key}"):
        got = client.ask(path, {"Range": "bytes=5-9"})
        assert (got.status, got.body) == (206, SOURCE[5:10])


def test_media_whose_source_is_not_allowed_is_refused(
    client: Client, rows: Rows
) -> None:
    rows.add(EPISODE.key, EPISODE, url="https://other.example/a.mp4")
    got = client.ask(PATH)
    assert got.status == 403
    assert "other.example" in reason(got)


class OldMedia:
    """Rows of `video_store`: of every episode but those of series 9."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked: list[Identity] = []

    def url_of(self, identity: Identity) -> str | None:
        self.asked.append(identity)
        return self.url if identity.mal_id != 9 else None

    def has_url(self, url: str) -> bool:
        return url == self.url


def test_old_rows_are_read(
    rows: Rows,
    objects: StoredObjects,
    origin: Origin,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A row of `video_store` comes before a queue row's URL, and after our own.

    Its URL is one of the Hub, though the operator allows no host of it any more.
    """
    monkeypatch.setenv("HF_ENDPOINT", origin.url)
    old = OldMedia(origin.add("/datasets/u/r/resolve/main/a.mp4", SOURCE))
    other = origin.add("/datasets/u/r/resolve/main/b.mp4", SOURCE)
    rows.add("8:1:example:unknown", Identity(8, 1, "example"), url="https://a.invalid/")
    store(rows, objects, tmp_path)
    settings = ALLOWED.model_copy(update={"archive_hosts": ("cdn.example",)})
    with serving(app.build(rows.media, objects, settings, old)) as client:
        assert client.ask("/stream/7/1/example/unknown").body == SOURCE
        assert client.ask("/stream/8/1/example/unknown").body == SOURCE
        assert client.ask("/stream/9/1/example/unknown").status == 404
        assert client.ask(PATH).body == STORED
        assert client.proxied(old.url).body == SOURCE
        assert client.proxied(other).status == 403
    assert [each.mal_id for each in old.asked] == [7, 8, 9]
    assert old.asked[0] == Identity(7, 1, "example", None)


def test_the_source_of_what_was_taken_down_is_not_passed_on(
    client: Client, rows: Rows, origin: Origin
) -> None:
    url = origin.add("/get?id=1", SOURCE)
    rows.add("a", url=url, blocked_at=STORED_AT)
    got = client.proxied(url)
    assert (got.status, "taken down" in reason(got)) == (404, True)
    assert origin.asked == []
    assert client.proxied(origin.add("/get?id=2", SOURCE)).body == SOURCE


@pytest.mark.parametrize(
    "path",
    [
        PATH,
        "/stream/1234/5/example/1080p",
        "/stream/a/5/example/720p",
        "/stream/-1/5/example/720p",
        "/stream/1234/5.0/example/720p",
        f"/stream/{'9' * 5000}/5/example/720p",
        "/stream/٣/5/example/720p".encode().decode("latin-1"),
        "/media/none",
        "/media/",
        "/media/../../etc/passwd",
        "/media/%2e%2e/%2e%2e/etc/passwd",
        "/media/a%00b",
        "/stream/1234/5/example",
        "/other",
    ],
)
def test_what_is_not_there_is_404_with_a_reason(client: Client, path: str) -> None:
    got = client.ask(quote(path, safe="/%:"))
    assert got.status == 404
    assert reason(got)


def test_media_that_was_taken_down_is_not_there(
    client: Client, rows: Rows, objects: StoredObjects, origin: Origin, tmp_path: Path
) -> None:
    store(rows, objects, tmp_path)
    rows.media.block(EPISODE.key)
    for path in (PATH, f"/media/{EPISODE.key}", f"/media/{OBJECT_KEY}"):
        got = client.ask(path)
        assert (got.status, STORED in got.body) == (404, False)
    assert "taken down" in reason(client.ask(PATH))
    assert origin.asked == []


def test_an_object_that_is_lost_is_said_to_be(client: Client, rows: Rows) -> None:
    rows.add_ready(STORED)
    for method in ("GET", "HEAD"):
        assert client.ask(PATH, method=method).status == 503
    assert "missing in all stores" in reason(client.ask(PATH))


class Away(LocalStorage):
    """A store that is not available."""

    def read(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        raise StorageUnavailable("The file storage is unavailable. Try again later.")


def test_without_its_store_media_is_unavailable(rows: Rows, tmp_path: Path) -> None:
    rows.add_ready(STORED)
    objects = StoredObjects(Away(tmp_path / "objects"))
    with serving(app.build(rows.media, objects, ALLOWED)) as client:
        got = client.ask(PATH)
    assert got.status == 503
    assert got.headers["retry-after"] == "5"
    assert "unavailable" in reason(got)


class Shortened(LocalStorage):
    """A store that fails in the middle of a file."""

    def read(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        yield STORED[start : start + 1000]
        raise StorageUnavailable("The file storage is unavailable. Try again later.")


def test_a_store_that_fails_in_the_middle_leaves_the_response_incomplete(
    rows: Rows, tmp_path: Path
) -> None:
    rows.add_ready(STORED)
    objects = StoredObjects(Shortened(tmp_path / "objects"))
    with (
        serving(app.build(rows.media, objects, ALLOWED)) as client,
        pytest.raises(Exception, match="IncompleteRead"),
    ):
        client.ask(PATH)


class Linked(LocalStorage):
    """A store that has URLs."""

    def link(self, key: str, disposition: str, media_type: str, seconds: int) -> str:  # type: ignore[override]
        return f"https://store.example/{key}?type={media_type}&seconds={seconds}"


def test_players_are_redirected_to_the_store_if_the_operator_wants_that(
    rows: Rows, tmp_path: Path
) -> None:
    rows.add_ready(STORED)
    objects = StoredObjects(Linked(tmp_path / "objects"))
    objects.put(OBJECT_KEY, STORED, tmp_path)
    settings = Settings(archive_redirects=True)
    with serving(app.build(rows.media, objects, settings)) as client:
        got = client.ask(PATH, {"Range": "bytes=0-9"})
        assert got.status == 302
        place = f"https://store.example/{OBJECT_KEY}?type=video/mp4&seconds=21600"
        assert got.headers["location"] == place
        assert got.headers["cache-control"] == "no-store"
        assert got.headers["access-control-allow-origin"] == "*"
        # A signed URL is for GET alone.
        head = client.ask(PATH, method="HEAD")
        assert (head.status, head.headers["content-length"]) == (200, str(len(STORED)))
    with serving(app.build(rows.media, objects, Settings())) as client:
        assert client.ask(PATH).body == STORED


def test_a_store_without_urls_sends_its_media_itself(
    rows: Rows, objects: StoredObjects, tmp_path: Path
) -> None:
    store(rows, objects, tmp_path)
    settings = Settings(archive_redirects=True)
    with serving(app.build(rows.media, objects, settings)) as client:
        assert client.ask(PATH).body == STORED


@pytest.mark.parametrize("path", [PATH, "/proxy?url=x", "/media/a", "/health"])
def test_pages_of_all_origins_may_read_and_ask_for_ranges(
    client: Client, path: str
) -> None:
    asked = {
        "Origin": "https://player.example",
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "range",
    }
    got = client.ask(path, asked, "OPTIONS")
    assert (got.status, got.body) == (204, b"")
    assert got.headers["access-control-allow-origin"] == "*"
    assert got.headers["access-control-max-age"] == "86400"
    assert "Range" in got.headers["access-control-allow-headers"].split(", ")
    methods = got.headers["access-control-allow-methods"].split(", ")
    assert {"GET", "HEAD"} <= set(methods)
    exposed = client.ask(path, asked).headers["access-control-expose-headers"]
    assert exposed == "Content-Length, Content-Range, Accept-Ranges"
    assert "access-control-allow-credentials" not in got.headers


def test_origins_of_the_service_do_not_matter(
    rows: Rows, objects: StoredObjects
) -> None:
    settings = Settings(cors_origins=("https://only.example",))
    with serving(app.build(rows.media, objects, settings)) as client:
        got = client.ask("/health", {"Origin": "https://player.example"})
    assert got.headers["access-control-allow-origin"] == "*"


def test_other_methods_are_refused(client: Client) -> None:
    for method in ("POST", "DELETE", "PUT"):
        got = client.ask(PATH, method=method)
        assert got.status == 405
        assert reason(got)
        assert set(got.headers["allow"].split(", ")) == {"GET", "HEAD"}


def test_health_has_the_fields_of_the_old_api(
    rows: Rows, objects: StoredObjects
) -> None:
    settings = Settings(archive_stores=("/a", "/b"), archive_url="https://m.example")
    with serving(app.build(rows.media, objects, settings)) as client:
        got = client.ask("/health")
        assert json.loads(got.body) == {
            "status": "ok",
            "worker_running": True,
            "storage_accounts": 2,
            "cf_workers_configured": True,
            "worker": "stemserve",
        }
    with serving(app.build(rows.media, objects, Settings())) as client:
        found = json.loads(client.ask("/health").body)
        assert (found["storage_accounts"], found["cf_workers_configured"]) == (1, False)


def test_hosts_are_checked_where_the_operator_lists_them(
    rows: Rows, objects: StoredObjects
) -> None:
    settings = Settings(allowed_hosts=("a.example",), archive_url="https://m.example")
    with serving(app.build(rows.media, objects, settings)) as client:
        for host, status in (("a.example", 200), ("m.example", 200), ("b", 421)):
            assert client.ask("/health", {"Host": host}).status == status


class Counted(LocalStorage):
    """A store of endless files that counts the chunks that were read."""

    chunks = 0
    open_files = 0
    lock = threading.Lock()

    def read(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        return self._chunks()

    def _chunks(self) -> Iterator[bytes]:
        with self.lock:
            self.open_files += 1
        try:
            while True:
                with self.lock:
                    self.chunks += 1
                yield bytes(256 * 1024)
        finally:
            with self.lock:
                self.open_files -= 1


def reading(client: Client) -> socket.socket:
    """Begin to read an endless stream, and stop at once."""
    connection = socket.create_connection(("127.0.0.1", client.port), timeout=30)
    connection.sendall(f"GET {PATH} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    connection.recv(100)
    return connection


def add_endless(rows: Rows) -> None:
    rows.add(
        EPISODE.key,
        EPISODE,
        object_key=OBJECT_KEY,
        size_bytes=10**12,
        sha256="0" * 64,
        media_type="video/mp4",
        stored_at=STORED_AT,
        store="1",
    )


def test_no_more_is_read_than_clients_take(rows: Rows, tmp_path: Path) -> None:
    """More clients that stop than there are threads, and another one is served."""
    storage = Counted(tmp_path / "objects")
    add_endless(rows)
    with (
        serving(app.build(rows.media, StoredObjects(storage), Settings())) as client,
        ExitStack() as stack,
    ):
        for _ in range(50):
            stack.enter_context(reading(client))
        quiet = settled(lambda: storage.chunks)
        # The kernel's buffers have a few megabytes of each, this process one chunk.
        assert quiet < 50 * 40
        assert storage.open_files == 50
        with reading(client) as other:
            began = time.monotonic()
            taken = 0
            while taken < 20_000_000:
                taken += len(other.recv(1_000_000))
            assert time.monotonic() - began < 30
    # All have left, so nothing is open any more.
    deadline = time.monotonic() + 10
    while storage.open_files and time.monotonic() < deadline:
        time.sleep(0.01)
    assert storage.open_files == 0


def settled(value: Callable[[], int]) -> int:
    """Return what a counter is when it has stopped."""
    before = -1
    while before != (now := value()):
        before = now
        time.sleep(0.5)
    return now
