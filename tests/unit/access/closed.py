"""A server that requires credentials, with links and an audit log."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import httpx
from fastapi import FastAPI

from serve_app.access.audit import Audit, AuditLevel
from serve_app.access.authenticator import Authenticator
from serve_app.access.http.door import AccessDoor, AccessPolicy
from serve_app.access.http.part import part as access_part
from serve_app.access.http.services import AccessServices
from serve_app.access.key_cache import KeyCache
from serve_app.access.keys import ApiKey, KeyStore, NewKey
from serve_app.access.links import Links
from serve_app.api.app import create_app
from serve_app.stems.http.part import part as stems_part
from serve_app.webhooks.http.part import part as webhooks_part
from tests.unit.server import Server, connect

SECRET = b"a secret of this server's own, of 32 bytes"
ADMIN_KEY = "the-key-of-an-operator-of-enough-characters"
LINK_SECONDS = 3600
REQUIRED = AccessPolicy(is_required=True)


@dataclass(frozen=True)
class Closed:
    """A server behind its door. Keys are never cached: tests don't wait for that."""

    server: Server
    keys: KeyStore
    links: Links
    app: FastAPI
    client: httpx.AsyncClient

    def key(self, tenant: str = "acme", *scopes: str) -> tuple[ApiKey, dict[str, str]]:
        """Create a key, and return it with the header that sends it."""
        found = frozenset(scopes or ("*:read", "*:write"))
        key, text = self.keys.create(NewKey("test", tenant, found))
        return key, {"Authorization": f"Bearer {text.text}"}

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


@asynccontextmanager
async def closed(
    server: Server,
    policy: AccessPolicy = REQUIRED,
    audit: AuditLevel = "changes",
    admin_key: str = ADMIN_KEY,
) -> AsyncIterator[Closed]:
    """Put a door in front of the application of a server."""
    clock = server.clock
    keys = KeyStore(server.database, clock, SECRET)
    seconds = iter(range(0, 1_000_000, 10))
    cache = KeyCache(keys, monotonic=lambda: float(next(seconds)))
    links = Links(SECRET, clock, LINK_SECONDS)
    authenticator = Authenticator(cache, clock, admin_key=admin_key)
    door = AccessDoor(authenticator, policy, links, Audit(audit, clock))
    app = create_app(
        replace(server.services, door=door),
        [
            access_part(AccessServices(keys, clock, ("stems",))),
            webhooks_part(server.webhooks),
            stems_part(server.stems),
        ],
    )
    async with connect(app) as client:
        yield Closed(server, keys, links, app, client)
