"""The application that streams media, for a process of its own without Ray."""

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

from serve_app.api import problems
from serve_app.api.forwarding import ForwardedHeaders
from serve_app.api.hosts import CheckedHost
from serve_app.api.middleware import Failures, RequestLog
from serve_app.api.paths import CheckedPath
from serve_app.api.response_headers import ResponseHeaders
from serve_app.archive import sources
from serve_app.archive.http.streaming.admission import Admission, OldMedia
from serve_app.archive.http.streaming.bodies import UntilClientLeaves
from serve_app.archive.http.streaming.headers import ErrorMembers, PlayerHeaders
from serve_app.archive.http.streaming.proxied import ProxiedMedia
from serve_app.archive.http.streaming.routes import ROUTES
from serve_app.archive.http.streaming.stored import Objects, StoredMedia
from serve_app.archive.http.streaming.streams import Streams
from serve_app.archive.media import MediaStore
from serve_app.archive.sources import Sources
from serve_app.errors import AppError
from serve_app.settings import Settings
from serve_app.storage import addresses

_WORKER = "stemserve"
# Starlette's types know no handlers of one kind of error.
_ON_ERRORS: dict[Any, Any] = {
    AppError: problems.on_app_error,
    HTTPException: problems.on_http_exception,
}
# A thread reads one chunk at a time, so these serve many more streams.
_STORE_THREADS = 32
_DATABASE_THREADS = 8
# Each may be blocked by its source.
_MOST_PROXIED = 256


def build(
    media: MediaStore,
    objects: Objects,
    settings: Settings,
    old: OldMedia | None = None,
) -> Starlette:
    """Return the application; `old` is what the old API's tables have."""
    allowed = sources.configured(settings)
    admission = Admission(allowed, objects.has_url, old, media.urls_taken_down)
    proxied = _proxied(allowed, objects, settings, has_old=old is not None)
    store_threads = ThreadPoolExecutor(_STORE_THREADS, "stored-media")
    database_threads = ThreadPoolExecutor(_DATABASE_THREADS, "media-rows")

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        proxied.close()
        for threads in (store_threads, database_threads):
            threads.shutdown(wait=False, cancel_futures=True)

    app = Starlette(
        routes=ROUTES,
        middleware=_middleware(settings),
        exception_handlers=_ON_ERRORS,
        lifespan=lifespan,
    )
    stored = StoredMedia(objects, store_threads, settings.archive_redirects)
    app.state.streams = Streams(
        media, stored, proxied, admission, old, database_threads
    )
    app.state.public_url = settings.archive_url
    app.state.configured = {
        "storage_accounts": _stores(settings),
        "cf_workers_configured": bool(settings.archive_url),
        "worker": _WORKER,
    }
    return app


def _proxied(
    allowed: Sources, objects: Objects, settings: Settings, *, has_old: bool
) -> ProxiedMedia:
    # Old rows lead to the Hub, even if nothing is stored there any more.
    of_hub = addresses.hub_hosts(addresses.hub_endpoint()) if has_old else ()
    hosts = (*allowed.hosts, *objects.hosts(), *of_hub)
    reached = replace(allowed, hosts=hosts)
    client = reached.client(settings.archive_stall_seconds, _MOST_PROXIED)
    return ProxiedMedia(client, _MOST_PROXIED)


def _middleware(settings: Settings) -> list[Middleware]:
    """Return the middleware, outermost first."""
    return [
        Middleware(ResponseHeaders),
        Middleware(ForwardedHeaders, trusted=settings.trusted_proxies),
        Middleware(RequestLog),
        Middleware(PlayerHeaders),
        Middleware(ErrorMembers),
        Middleware(Failures),
        Middleware(CheckedPath),
        Middleware(CheckedHost, settings.effective_hosts),
        Middleware(UntilClientLeaves),
    ]


def _stores(settings: Settings) -> int:
    return len(settings.archive_stores or settings.archive_hub_accounts) or 1
