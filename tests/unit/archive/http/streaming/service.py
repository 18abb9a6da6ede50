"""The process that streams, in a thread of the tests, over real stores and sources."""

import asyncio
import hashlib
import http.client
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import uvicorn
from sqlalchemy import insert
from starlette.types import ASGIApp

from serve_app.archive.http.streaming import server as streaming_server
from serve_app.archive.identity import Identity, digest
from serve_app.archive.media import MediaStore, archive_media
from serve_app.database import Database
from serve_app.storage.port import Storage, StoredFile

STORED_AT = datetime(2026, 11, 27, 8, 0, 0, 123_456, UTC)
EPISODE = Identity(1234, 5, "example", "720p")
OBJECT_KEY = "1234/ep5/4afa2780216896d6353754b17cddde5c.mp4"


class StoredObjects:
    """The objects of a storage, as the archive's stores present them."""

    def __init__(
        self, storage: Storage, hosts: Collection[str] = (), base_url: str = ""
    ) -> None:
        self.storage = storage
        self._hosts = hosts
        self._base_url = base_url

    def stat(self, object_key: str) -> StoredFile:
        return self.storage.stat(object_key)

    def read(
        self, object_key: str, start: int = 0, end: int | None = None
    ) -> Iterator[bytes]:
        return self.storage.read(object_key, start, end)

    def link(self, object_key: str, media_type: str, seconds: int) -> str | None:
        return self.storage.link(object_key, "inline", media_type, seconds)

    def hosts(self) -> Collection[str]:
        return self._hosts

    def has_url(self, url: str) -> bool:
        return bool(self._base_url) and url.startswith(self._base_url)

    def put(self, object_key: str, content: bytes, folder: Path) -> None:
        """Store a file with this content."""
        path = folder / "content"
        path.write_bytes(content)
        self.storage.put(object_key, path)
        path.unlink()


class Rows:
    """The archive's media in a database, and what a test adds to it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.media = MediaStore(database, lambda: STORED_AT)

    def add(self, key: str, identity: Identity | None = None, **values: Any) -> None:
        """Add media, which is not stored unless `values` say so."""
        row = {
            "id": digest(key),
            "key": key,
            "url": "https://source.invalid/a.mp4",
            "created_at": STORED_AT,
            "updated_at": STORED_AT,
            "failures": 0,
            **({} if identity is None else vars(identity)),
            **values,
        }
        with self._database.writing() as connection:
            connection.execute(insert(archive_media).values(**row))

    def add_ready(
        self,
        content: bytes,
        object_key: str = OBJECT_KEY,
        identity: Identity | None = EPISODE,
        key: str = "",
        media_type: str = "video/mp4",
    ) -> None:
        """Add media that is stored."""
        self.add(
            identity.key if identity is not None else key,
            identity,
            object_key=object_key,
            size_bytes=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            media_type=media_type,
            stored_at=STORED_AT,
            store="1",
        )


@dataclass(frozen=True)
class Answer:
    """A response; names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Client:
    """Sends requests to a server on this machine."""

    port: int
    host: str = "127.0.0.1"

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def ask(
        self, path: str, headers: Mapping[str, str] | None = None, method: str = "GET"
    ) -> Answer:
        """Send one request on a connection of its own."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=30)
        try:
            connection.request(method, path, headers=dict(headers or {}))
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, response.read())
        finally:
            connection.close()

    def proxied(self, url: str, **more: Any) -> Answer:
        """Ask for what is at a URL."""
        return self.ask(self.proxied_url(url).removeprefix(self.url), **more)

    def proxied_url(self, url: str) -> str:
        """Return the URL at which players get what is at another one."""
        return f"{self.url}/proxy?url={quote(url, safe='')}"


@contextmanager
def serving(app: ASGIApp, root_path: str = "") -> Iterator[Client]:
    """Run an application with uvicorn, in a thread; yield a client of it."""
    config = streaming_server.configured(app, "127.0.0.1", 0)
    config.root_path = root_path
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()))
    thread.start()
    try:
        while not server.started:
            thread.join(0.01)
            assert thread.is_alive(), "the server did not start"
        yield Client(server.servers[0].sockets[0].getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()


@dataclass
class Origin:
    """A source of media on this machine: responses by path, and what it was asked."""

    port: int = 0
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    # Get the handler, and do all of the response.
    by_path: dict[str, Callable[[BaseHTTPRequestHandler], None]] = field(
        default_factory=dict
    )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def add(
        self,
        path: str,
        content: bytes,
        media_type: str = "video/mp4",
        status: int = 200,
        has_ranges: bool = True,
        **headers: str,
    ) -> str:
        """Serve content at a path, with ranges; return its URL."""

        def respond(handler: BaseHTTPRequestHandler) -> None:
            answer_range(handler, content, media_type, status, has_ranges, headers)

        self.by_path[path] = respond
        return self.url + path

    def redirect(self, path: str, location: str) -> str:
        """Redirect a path; return its URL."""

        def respond(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(302)
            handler.send_header("Location", location)
            handler.send_header("Content-Length", "0")
            handler.end_headers()

        self.by_path[path] = respond
        return self.url + path


def answer_range(
    handler: BaseHTTPRequestHandler,
    content: bytes,
    media_type: str,
    status: int,
    has_ranges: bool,
    headers: Mapping[str, str],
) -> None:
    """Respond with content, or the part that `bytes=a-b` names."""
    wanted, total = handler.headers.get("Range", ""), len(content)
    etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    is_same = handler.headers.get("If-Range", etag) == etag
    start, end = 0, total
    extra = {"ETag": etag, "Accept-Ranges": "bytes"} if has_ranges else {}
    if has_ranges and status == 200 and wanted and is_same:
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        start = int(first) if first else max(0, total - int(last))
        end = min(int(last) + 1, total) if first and last else total
        status = 206 if start < end else 416
        found = f"{start}-{end - 1}" if start < end else "*"
        extra["Content-Range"] = f"bytes {found}/{total}"
    body = b"" if status == 416 else content[start:end]
    handler.send_response(status)
    length = {"Content-Length": str(len(body))}
    for name, value in {
        "Content-Type": media_type,
        **length,
        **extra,
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }.items():
        handler.send_header(name, value)
    handler.end_headers()
    with suppress(ConnectionError):
        handler.wfile.write(body)


@contextmanager
def origin() -> Iterator[Origin]:
    """Run a source of media."""
    found = Origin()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            found.asked.append((self.path, dict(self.headers.items())))
            respond = found.by_path.get(self.path)
            if respond is None:
                self.send_error(404)
            else:
                respond(self)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
