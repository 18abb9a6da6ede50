"""No URL leads to our own network: in a trigger, in a playlist, or of a player."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from serve_app.archive import sources
from serve_app.archive.http.streaming import app
from serve_app.errors import AppError, InvalidInput, RefusedUrl
from serve_app.settings import Settings
from tests import hls
from tests.hostile import HOSTILE, NAMES, PUBLIC, Listener, asker
from tests.origin import Origin
from tests.unit.archive.downloads import samples
from tests.unit.archive.downloads.conftest import Desk
from tests.unit.archive.http.streaming.conftest import objects, rows
from tests.unit.archive.http.streaming.service import Rows, StoredObjects, serving

__all__ = ["objects", "rows"]

# An operator who allows every host that the table has, as names and as addresses.
HOSTS = tuple(sorted({*NAMES, "*.example", "127.0.0.1", "10.0.0.1", "localhost"}))
# A playlist is one of lines: these would be two, or none.
LINES = [url for url in HOSTILE if url and not {"\r", "\n"} & set(url)]


@pytest.fixture
def inner() -> Iterator[Listener]:
    """A server of our own network that nobody may reach."""
    listener = Listener("127.0.0.1")
    yield listener
    listener.close()


@pytest.fixture
def origin() -> Iterator[Origin]:
    """A source on the Internet, which may say anything."""
    origin = Origin(address=PUBLIC)
    for number, segment in enumerate(samples.segments()):
        origin.add(f"/v/{number}.ts", segment)
    yield origin
    origin.close()


@pytest.fixture
def desk(tmp_path: Path, inner: Listener, origin: Origin) -> Iterator[Desk]:
    port = int(origin.url.rpartition(":")[2])
    client = asker(inner.port, port)
    yield Desk(tmp_path / "downloads", client)
    client.close()


@pytest.mark.parametrize("url", HOSTILE)
def test_what_triggers_name_is_refused(inner: Listener, desk: Desk, url: str) -> None:
    address = url.replace("{port}", str(inner.port))
    allowed = sources.configured(Settings(archive_hosts=HOSTS))
    try:
        allowed.checked(address)
    except InvalidInput:
        pass
    else:
        # Names are looked up later: their job fails.
        assert any(name in address.lower() for name in NAMES)
    with pytest.raises(RefusedUrl):
        desk.fetch(address)
    assert inner.reached == []


@pytest.mark.parametrize("url", LINES)
def test_what_playlists_name_is_refused(
    inner: Listener, desk: Desk, origin: Origin, url: str
) -> None:
    address = url.replace("{port}", str(inner.port))
    origin.add("/v/away", b"", status=302, headers={"Location": address})
    for line in (
        address,
        f'#EXT-X-KEY:METHOD=AES-128,URI="{address}"\n0.ts',
        f'#EXT-X-MAP:URI="{address}"\n0.ts',
        "away",
        '#EXT-X-KEY:METHOD=AES-128,URI="away"\n0.ts',
    ):
        playlist = origin.add("/v/index.m3u8", hls.playlist(["0.ts", line]))
        with pytest.raises(AppError):
            desk.fetch(playlist)
    for master in (
        f"#EXT-X-STREAM-INF:BANDWIDTH=1\n{address}",
        f'#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="x",NAME="n",URI="{address}"\n'
        '#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO="x"\nindex.m3u8',
    ):
        with pytest.raises(AppError):
            desk.fetch(origin.add("/v/master.m3u8", hls.master(master)))
    assert inner.reached == []


def test_what_players_name_is_refused(
    inner: Listener, rows: Rows, objects: StoredObjects
) -> None:
    settings = Settings(archive_hosts=HOSTS)
    with serving(app.build(rows.media, objects, settings)) as client:
        for url in HOSTILE:
            address = url.replace("{port}", str(inner.port))
            got = client.proxied(address)
            # 502: a name that nobody knows here.
            is_name = any(name in address.lower() for name in NAMES)
            assert got.status in (400, 403) or (is_name and got.status == 502), url
    assert inner.reached == []
