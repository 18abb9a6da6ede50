"""A server whose requests need credentials, and the keys that open it."""

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import count

import httpx
from fastapi import FastAPI

from serve_app.access.audit import Audit, AuditLevel
from serve_app.access.authenticator import Authenticator
from serve_app.access.http.door import AccessDoor, AccessPolicy
from serve_app.access.http.part import part as access_part
from serve_app.access.http.services import AccessServices
from serve_app.access.key_cache import FRESH_SECONDS, KeyCache
from serve_app.access.keys import ApiKey, KeyStore, NewKey
from serve_app.access.links import Links
from serve_app.api.app import create_app
from serve_app.api.door import Door
from serve_app.stems.http.part import part as stems_part
from serve_app.storage.probe import probe
from serve_app.telemetry.exposition import Service
from serve_app.telemetry.http.operations import OperationsServices
from serve_app.telemetry.http.operations import part as operations_part
from serve_app.telemetry.http.part import Metrics
from serve_app.telemetry.http.part import parts as metrics_parts
from serve_app.telemetry.operations import Operations
from serve_app.telemetry.recent import RecentStore
from serve_app.telemetry.scrape import Scraper, Sources
from serve_app.telemetry.store import TelemetryStore
from serve_app.webhooks.http.part import part as webhooks_part
from tests.unit.server import Server, connect

SECRET = b"a secret of this server's own, of 32 bytes"
ADMIN_KEY = "an-operators-key-of-enough-characters"
LINK_SECONDS = 3600
REQUIRED = AccessPolicy(is_required=True)
SERVICE = Service("1", {"separation": "stems", "analysis": "stems"})


@dataclass(frozen=True)
class Gate:
    """A server's application behind a door, and its keys."""

    server: Server
    keys: KeyStore
    cache: KeyCache
    links: Links
    app: FastAPI
    client: httpx.AsyncClient

    def key(
        self,
        *scopes: str,
        tenant: str = "acme",
        seconds: float | None = None,
    ) -> tuple[ApiKey, dict[str, str]]:
        """Create a key, and return it with the header that sends it.

        It allows everything but `admin` by default, and expires after `seconds`.
        """
        found = frozenset(scopes or ("*:read", "*:write"))
        now = self.server.clock.now
        expires_at = None
        if seconds is not None:
            self.server.clock.move(seconds)
            expires_at = self.server.clock.now
            self.server.clock.now = now
        key, text = self.keys.create(NewKey("test", tenant, found, expires_at))
        return key, bearer(text.text)

    async def separated(self, song: bytes, headers: dict[str, str], **form: str) -> str:
        """Separate a song into drums and bass, and return the job's id."""
        sent = await self.client.post(
            "/separate", files={"file": ("song.wav", song)}, data=form, headers=headers
        )
        assert sent.status_code == 200, sent.text
        self.server.succeed({"drums": b"drums" * 100, "bass": b"bass" * 100})
        return str(sent.json()["job_id"])

    async def stem_url(self, job_id: str, headers: dict[str, str]) -> str:
        """Return the URL of a job's drums, as its client sees it."""
        job = await self.client.get(f"/job/{job_id}", headers=headers)
        assert job.status_code == 200, job.text
        return str(job.json()["stems"]["drums"]["download_url"])

    async def linked(self, path: str, headers: dict[str, str]) -> str:
        """Return a link to a path."""
        made = await self.client.post("/links", json={"paths": [path]}, headers=headers)
        assert made.status_code == 200, made.text
        return str(made.json()["links"][0]["url"])


def bearer(credential: str) -> dict[str, str]:
    """Return the header that sends a credential."""
    return {"Authorization": f"Bearer {credential}"}


def application(server: Server, door: Door, keys: KeyStore) -> FastAPI:
    """Return the whole application behind `door`."""
    telemetry = TelemetryStore(server.database, server.clock)
    sources = Sources(telemetry.facts, partial(probe, server.storage))
    scraper = Scraper(sources)
    recent = RecentStore(server.database, server.clock)
    operations = Operations(scraper, recent.facts, dict)
    return create_app(
        replace(server.services, door=door),
        [
            access_part(AccessServices(keys, server.clock, ("stems",))),
            webhooks_part(server.webhooks),
            *metrics_parts(Metrics(scraper, SERVICE), "admin"),
            operations_part(OperationsServices(operations, SERVICE.systems)),
            stems_part(server.stems),
        ],
    )


@asynccontextmanager
async def guarded(
    server: Server,
    policy: AccessPolicy = REQUIRED,
    admin_key: str = ADMIN_KEY,
    audit: AuditLevel = "changes",
    monotonic: Callable[[], float] = time.monotonic,
) -> AsyncIterator[Gate]:
    """Put a door in front of the application of a server."""
    clock = server.clock
    keys = KeyStore(server.database, clock, SECRET)
    cache = KeyCache(keys, monotonic)
    links = Links(SECRET, clock, LINK_SECONDS)
    authenticator = Authenticator(cache, clock, admin_key=admin_key)
    door = AccessDoor(authenticator, policy, links, Audit(audit, clock))
    app = application(server, door, keys)
    async with connect(app) as client:
        yield Gate(server, keys, cache, links, app, client)


# The same, but keys are never cached, for tests that don't wait for that.
uncached = partial(guarded, monotonic=count(step=2 * FRESH_SECONDS).__next__)


def open_systems(*names: str, tenant_header: str = "") -> AccessPolicy:
    """Return a policy that requires credentials, except for some systems."""
    return AccessPolicy(True, frozenset(names), tenant_header)


def statuses(answers: Sequence[httpx.Response]) -> list[int]:
    """Return the statuses of responses."""
    return [answer.status_code for answer in answers]
