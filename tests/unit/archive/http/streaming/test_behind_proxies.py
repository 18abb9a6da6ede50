"""Players get media behind nginx and Caddy, at one address with the service."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from serve_app.archive.http.streaming import app
from serve_app.settings import Settings
from tests import hls, proxies
from tests.ports import free_port
from tests.unit.archive.http.streaming.service import (
    OBJECT_KEY,
    Client,
    Origin,
    Rows,
    StoredObjects,
    serving,
)

CONTENT = random.Random(2).randbytes(3_000_000)
SERVICE = Starlette(
    routes=[Route("/{path:path}", lambda _: PlainTextResponse("the service"))]
)


@pytest.fixture(params=[proxies.nginx, proxies.caddy])
def client(
    request: pytest.FixtureRequest,
    rows: Rows,
    objects: StoredObjects,
    origin: Origin,
    tmp_path: Path,
) -> Iterator[Client]:
    objects.put(OBJECT_KEY, CONTENT, tmp_path)
    rows.add_ready(CONTENT)
    port = free_port()
    settings = Settings(
        data_dir=tmp_path,
        trusted_proxies="127.0.0.1",
        archive_hosts="127.0.0.1",
        archive_allow_networks="127.0.0.0/8",
    )
    streaming = app.build(rows.media, objects, settings)
    with serving(SERVICE) as service, serving(streaming) as behind:
        command = request.param(tmp_path, port, service.port, behind.port)
        with proxies.running(command, tmp_path, f"http://localhost:{port}/"):
            yield Client(port, "localhost")


def test_stored_media_has_ranges(client: Client) -> None:
    for path in ("/stream/1234/5/example/720p", f"/media/{OBJECT_KEY}"):
        found = client.ask(path, {"Range": "bytes=1000000-1999999"})
        assert (found.status, found.body) == (206, CONTENT[1_000_000:2_000_000])
        assert found.headers["content-range"] == "bytes 1000000-1999999/3000000"
        assert found.headers["access-control-allow-origin"] == "*"


def test_a_playlist_leads_back_to_the_proxys_address(
    client: Client, origin: Origin
) -> None:
    origin.add("/a.ts", CONTENT, "video/mp2t")
    url = origin.add("/a.m3u8", hls.playlist(["a.ts"]), "application/x-mpegurl")
    [line] = [
        each
        for each in client.proxied(url).body.decode().splitlines()
        if each and not each.startswith("#")
    ]
    assert line == client.proxied_url(f"{origin.url}/a.ts")
    assert client.ask(line.removeprefix(client.url)).body == CONTENT


def test_everything_else_is_the_services(client: Client) -> None:
    for path in ("/job/1", "/archive/media/a", "/proxyman", "/mediathek/a"):
        assert client.ask(path).body == b"the service"
