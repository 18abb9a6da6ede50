"""The real application with the page in front of it, on a port that it keeps."""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from threading import Thread
from typing import Any

import uvicorn
from anyio.from_thread import start_blocking_portal
from fastapi import FastAPI
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from serve_app.access.authenticator import Authenticator
from serve_app.access.http.door import AccessDoor, AccessPolicy
from serve_app.access.key_cache import FRESH_SECONDS, KeyCache
from serve_app.access.keys import KeyStore, NewKey
from serve_app.access.links import Links
from serve_app.database import Database
from serve_app.jobs.job import Claim
from serve_app.page.bundle import ASSETS, Bundle
from serve_app.page.http.part import Page, part
from serve_app.page.policy import content_security_policy
from tests.unit.access import gate
from tests.unit.server import Server, running

KEYS = ("*:read", "*:write")

Answer = Callable[[], Mapping[str, Any]]


@dataclass
class Site:
    """A server with the page, which can be stopped and started again.

    `answers` are of paths that the application does not have, and `refused` those of
    them that need a key. The page's files are those in `assets`.
    """

    server: Server
    url: str
    app: Callable[[], ASGIApp]
    answers: dict[str, Answer]
    root: str = ""
    refused: set[str] = field(default_factory=set)
    assets: Path = ASSETS
    _http: uvicorn.Server | None = None
    _thread: Thread | None = None
    _loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Serve until `stop`."""
        port = int(self.url.rsplit(":", 1)[1].partition("/")[0])
        app = with_page(self)
        config = uvicorn.Config(
            app, port=port, ws="none", log_config=None, timeout_graceful_shutdown=0
        )
        self._http = uvicorn.Server(config)
        self._thread = Thread(target=asyncio.run, args=[self._serve(self._http)])
        self._thread.start()
        while not self._http.started:
            assert self._thread.is_alive(), "the server ended before it had started"
            time.sleep(0.01)

    def stop(self) -> None:
        """Cut all connections, as a crash does."""
        if self._http is not None and self._thread is not None:
            assert self._loop is not None
            self._loop.call_soon_threadsafe(self._abort, self._http)
            self._thread.join()
            self._http = None

    async def _serve(self, http: uvicorn.Server) -> None:
        self._loop = asyncio.get_running_loop()
        await http.serve()
        # Those that were accepted meanwhile: a process that ends leaves none open.
        for connection in list(http.server_state.connections):
            transport: Any = connection.transport
            transport.abort()
        await asyncio.sleep(0)

    def _abort(self, http: uvicorn.Server) -> None:
        for connection in list(http.server_state.connections):
            transport: Any = connection.transport
            transport.abort()
        http.should_exit = True

    def claim(self) -> Claim:
        """Take up the oldest job that waits, as soon as there is one."""
        self._tick()
        ends_at = time.monotonic() + 20
        while time.monotonic() < ends_at:
            claimed = self.server.store.claim(
                "me", lease_seconds=60.0, include_alone=True
            )
            if claimed:
                return claimed[0].claim
            time.sleep(0.02)
        raise AssertionError("no job came")

    def report(self, claim: Claim, progress: float, stage: str = "separate") -> None:
        """Record a job's progress, from 0 to 1."""
        self._tick()
        self.server.store.report(claim, stage, progress)

    def fail(self, claim: Claim, code: str, error: str) -> None:
        """Fail a job."""
        self._tick()
        self.server.store.fail(claim, code, error)

    def succeed(self, claim: Claim) -> None:
        """Finish a job with the stems that it shall have."""
        self._tick()
        job = self.server.store.get(claim.job_id)
        made = {name: name.encode() * 50 for name in job.request.options.stems}
        self.server.store.release(claim)
        self.server.succeed(made)

    def _tick(self) -> None:
        # Jobs have changed if their times have.
        self.server.clock.now = datetime.now(UTC)

    def revoke_keys(self) -> None:
        """Revoke all API keys."""
        keys = KeyStore(self.server.database, self.server.clock, gate.SECRET)
        for key in keys.listed():
            keys.revoke(key.id)

    def key(self, *scopes: str) -> str:
        """Create an API key."""
        keys = KeyStore(self.server.database, self.server.clock, gate.SECRET)
        _, text = keys.create(NewKey("test", "acme", frozenset(scopes or KEYS), None))
        return text.text


@contextmanager
def serving(
    directory: Path,
    database: Path,
    port: int,
    *,
    needs_key: bool = False,
    root: str = "",
    **changes: Any,
) -> Iterator[Site]:
    """Run a site whose files are in `directory`."""
    with (
        Database(f"sqlite:///{database}") as opened,
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(running(directory, opened)) as server,
    ):
        # Browsers compare the server's times with their own.
        server.clock.now = datetime.now(UTC)

        def app() -> ASGIApp:
            return guarded(server) if needs_key else server.app_with(**changes)

        site = Site(server, f"http://127.0.0.1:{port}{root}", app, {}, root)
        site.start()
        try:
            yield site
        finally:
            site.stop()


def guarded(server: Server) -> ASGIApp:
    """Return the application behind a door that wants a key."""
    keys = KeyStore(server.database, server.clock, gate.SECRET)
    authenticator = Authenticator(
        # Never cached: tests don't wait for a key to become old.
        KeyCache(keys, count(step=2 * FRESH_SECONDS).__next__),
        server.clock,
        admin_key=gate.ADMIN_KEY,
    )
    links = Links(gate.SECRET, server.clock, gate.LINK_SECONDS)
    door = AccessDoor(authenticator, AccessPolicy(is_required=True), links)
    return gate.application(server, door, keys)


def with_page(site: Site) -> ASGIApp:
    """Return the application of a site, with the page and the answers of tests."""
    app, root, pages = site.app(), site.root, FastAPI()
    page = part(Page(Bundle(site.assets), content_security_policy()))
    for router in page.public_routers:
        pages.include_router(router)
    pages.state.page = page.state["page"]
    pages.state.services = site.server.services

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        path = scope["path"].removeprefix(root)
        found: ASGIApp = pages if path.startswith("/page") else app
        if path in site.refused:
            found = JSONResponse({"detail": "Send a key."}, 401)
        elif path in site.answers:
            found = JSONResponse(site.answers[path]())
        await found({**scope, "root_path": root}, receive, send)

    return serve
